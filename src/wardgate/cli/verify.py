"""`wardgate verify`: check a finished run, or one file of it, offline."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from wardgate.cli.certificate import Approvals, Corpus, Demo, Floor, On, Revocations, examined, tell
from wardgate.hub.intake.audit import Audit, audit, is_run
from wardgate.hub.intake.one_file import audit_certificate, audit_file
from wardgate.records.canonical import sha256
from wardgate.records.errors import Invalid

SHOWN = 20
"""Findings that are printed as text; `--json` prints all."""


def verify(
    path: Annotated[Path, typer.Argument(help="Folder of a finished run, or one file inside it.")],
    key: Annotated[
        str | None,
        typer.Option(
            help="Public key of the hub in hexadecimal, known from elsewhere; for a lone certificate its signer's."
        ),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="For a certificate: public keys that you trust; checks all that it says.")
    ] = None,
    corpus: Corpus = None,
    floor: Floor = None,
    approvals: Approvals = None,
    revocations: Revocations = None,
    on: On = None,
    demo: Demo = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check signatures, digests, study, logs, decisions and sums by the files alone; exit code 4 where one breaks."""
    known = _key(key)
    if not path.exists():
        raise Invalid(f"{path} does not exist; expected the folder of a finished run, or a file inside one")
    if keys is not None:
        found = examined(
            path,
            keys=keys,
            corpus=corpus,
            floor=floor,
            approvals=approvals,
            revocations=revocations,
            on=on,
            demo=demo,
        )
        tell(path, found, json_output=json_output)
        return
    if path.is_dir():
        checked = audit(path, key=known)
    elif known is not None and path.name.endswith(".json") and not _in_run(path):
        _lone(path, known, json_output=json_output)
        return
    else:
        checked = audit_file(path, key=known)
    typer.echo(json.dumps(_plain(checked), indent=2) if json_output else _text(checked, pinned=known is not None))
    checked.raise_if_broken()


def _key(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Invalid("--key: expected 64 hexadecimal digits, the 32 bytes of an Ed25519 public key")
    return key


def _in_run(path: Path) -> bool:
    return any(is_run(parent) for parent in path.resolve().parents)


def _lone(path: Path, key: bytes, *, json_output: bool) -> None:
    said = audit_certificate(path, key=key).certificate
    if json_output:
        typer.echo(json.dumps({"path": str(path), "broken": [], "certificate": said.plain()}, indent=2))
        return
    study = f"of study {said.study.protocol_sha256[:16]}" if said.study else "without a study"
    typer.echo(
        f"{path}: signed by {sha256(key)[:16]}; verdict {said.verdict.outcome} under policy {said.policy.sha256[:16]}"
        f" {study}.\nNot checked: the corpus, the log, the approvals and the policy; --keys checks them."
    )


def _plain(found: Audit) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "study_sha256": found.study_sha256,
        "hub_key": found.hub_key,
        "broken": [{"where": finding.where, "what": finding.what} for finding in found.findings],
        "checked": dict(found.checked),
        "notes": list(found.notes),
    }


def _text(found: Audit, *, pinned: bool) -> str:
    lines = [f"{found.path}", f"  study {found.study_sha256 or 'unknown'}"]
    vouched = "the key that was given" if pinned else "the key that lies in the run; compare it, or give it with --key"
    lines.append(f"  hub key {found.hub_key or 'unknown'} ({vouched})")
    lines += [f"  {number:>7}  {what}" for what, number in found.checked]
    lines += [f"  note: {note}" for note in found.notes]
    if not found.findings:
        return "\n".join([*lines, "Everything holds."])
    lines.append(f"Broken ({len(found.findings)}):")
    lines += [f"  {finding}" for finding in found.findings[:SHOWN]]
    if len(found.findings) > SHOWN:
        lines.append(f"  and {len(found.findings) - SHOWN} more; --json shows all")
    return "\n".join(lines)

"""`wardgate certificate`: show, check, approve, waive and revoke, offline; and a key of one's own."""

import datetime
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from wardgate.cli.options import AsJson
from wardgate.entropy import SystemEntropy
from wardgate.hub.commons.durable import write_whole
from wardgate.hub.intake.certificates import Examined, Material, examine
from wardgate.hub.layout import peek, split_lines
from wardgate.papers.certificate import certificate_html
from wardgate.papers.certificate_text import certificate_text, checks_text
from wardgate.records import policy_file
from wardgate.records.approval import ROLES, ApprovalFile, Role, Waiver, WaiverFile, approve, check_reason
from wardgate.records.certificate import approvable
from wardgate.records.certificate_file import read_certificate
from wardgate.records.errors import Invalid, Refused
from wardgate.records.keyring import KeyFile, Keyring, read_key, read_keyring
from wardgate.records.revocation import Revocation, seal_revocation
from wardgate.records.verdict import Evidence

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Cert = Annotated[Path, typer.Argument(help="The certificate.", show_default=False)]
Keys = Annotated[Path, typer.Option("--keys", help="Public keys that you trust, known from elsewhere (JSON).")]
OwnKey = Annotated[Path, typer.Option("--key", help="Your private key; see 'certificate key'.")]
Corpus = Annotated[list[Path] | None, typer.Option("--corpus", help="A file it speaks of. May be repeated.")]
Floor = Annotated[Path | None, typer.Option("--floor", help="The least that your consortium asks (policy YAML).")]
Approvals = Annotated[
    Path | None, typer.Option("--approvals", help="Approvals; else CERTIFICATE.approvals.json beside it.")
]
Revocations = Annotated[Path | None, typer.Option("--revocations", help="Signed revocations, one a line.")]
On = Annotated[str | None, typer.Option("--on", help="The day it is asked for, as 2026-01-31; else today.")]
Demo = Annotated[bool, typer.Option("--demo", help="Accept keys and approvals marked SIMULATED.")]


@app.command("show")
def show(
    certificate: Cert,
    html: Annotated[Path | None, typer.Option(help="Write it as a page for people.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write it as PDF.")] = None,
    keys: Annotated[Path | None, typer.Option(help="Check it under these keys first.")] = None,
    json_output: AsJson = False,
) -> None:
    """Show what a certificate says, in the terminal, as HTML or as PDF. Without --keys nothing is checked."""
    data = _read(certificate)
    opened = read_certificate(peek(data), envelope=data)
    checks = () if keys is None else examine(data, Material(keys=_keys(keys), on=_day(None))).checks
    if html is not None:
        write_whole(html, certificate_html(opened, checks=checks).encode())
    if pdf is not None:
        from wardgate.papers.certificate_pdf import certificate_pdf  # its library is slow to load

        write_whole(pdf, certificate_pdf(opened, checks=checks))
    if json_output:
        typer.echo(json.dumps(opened.certificate.plain(), indent=2))
    elif html is None and pdf is None:
        typer.echo(certificate_text(opened, checks=checks))


@app.command("verify")
def verify(
    certificate: Cert,
    keys: Keys,
    corpus: Corpus = None,
    floor: Floor = None,
    approvals: Approvals = None,
    revocations: Revocations = None,
    on: On = None,
    demo: Demo = False,
    json_output: AsJson = False,
) -> None:
    """Check a certificate offline: one line for each check, and exit code 4 or 3 where it may not be relied on."""
    found = examined(
        certificate,
        keys=keys,
        corpus=corpus,
        floor=floor,
        approvals=approvals,
        revocations=revocations,
        on=on,
        demo=demo,
    )
    tell(certificate, found, json_output=json_output)


def beside_of(certificate: Path) -> Path:
    """Return where the approvals of a certificate lie, unless somebody says otherwise."""
    return certificate.with_name(f"{certificate.name}.approvals.json")


def examined(
    certificate: Path,
    *,
    keys: Path,
    corpus: list[Path] | None,
    floor: Path | None,
    approvals: Path | None,
    revocations: Path | None,
    on: str | None,
    demo: bool,
) -> Examined:
    """Read what lies in files, and check the certificate with it."""
    data = _read(certificate)
    subjects = [name for name, _ in peek(data).subjects]
    beside = beside_of(certificate)
    given = _approval_file(approvals or beside) if approvals or beside.exists() else None
    lines = None if revocations is None else split_lines(_read(revocations), where="the list of revocations")
    material = Material(
        keys=_keys(keys),
        on=_day(on),
        files=dict(_file(path, subjects) for path in corpus or ()),
        floor=None if floor is None else policy_file.parse(_read(floor).decode(), name=floor.name),
        approvals=() if given is None else given.approvals,
        revocations=lines,
        accept_simulated=demo,
    )
    return examine(data, material)


def tell(certificate: Path, found: Examined, *, json_output: bool) -> None:
    """Print the lines of a check, and stop where the certificate may not be relied on."""
    if json_output:
        lines = [{"what": one.what, "state": one.state, "words": one.words} for one in found.checks]
        said = None if found.opened is None else found.opened.certificate.plain()
        typer.echo(json.dumps({"path": str(certificate), "checks": lines, "certificate": said}, indent=2))
    else:
        typer.echo(checks_text(certificate.name, found.checks))
    found.raise_if_not_held()


@app.command("key")
def key(
    file: Annotated[Path, typer.Argument(help="Where to write it; must not exist yet.", show_default=False)],
    name: Annotated[str, typer.Option(help="Whose it is: a person's or a site's name, without spaces.")],
    role: Annotated[str, typer.Option(help="site, hub, privacy_officer or second_person.")] = "privacy_officer",
    simulated: Annotated[bool, typer.Option("--simulated", help="Mark it as one that stands for nobody.")] = False,
) -> None:
    """Make a private key that its owner alone can read, and print the public half, to be enrolled by others."""
    secret = SystemEntropy().bytes(32)
    made = KeyFile.from_plain(
        {"schema": "wardgate/key/1", "name": name, "role": role, "seed": secret.hex(), "simulated": simulated}
    )
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Invalid(f"{file} exists already; a key is never written over") from None
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(made.to_bytes() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    typer.echo(json.dumps(made.public.plain(), indent=2))


@app.command("approve")
def approve_(
    certificate: Cert,
    key: OwnKey,
    keys: Keys,
    approvals: Approvals = None,
    on: On = None,
) -> None:
    """Approve a certificate that passed: adds your signature to CERTIFICATE.approvals.json."""
    own, data = _own(key), _read(certificate)
    found = examine(data, Material(keys=_keys(keys), on=_day(on), accept_simulated=own.simulated))
    bad = [one for one in found.checks if one.state in ("broken", "refused") and one.what != "approvals"]
    if found.opened is None or bad:
        raise Refused(f"it cannot be approved: {bad[0].what}: {bad[0].words}")
    path = approvals or beside_of(certificate)
    given = _approval_file(path).approvals if path.exists() else ()
    signer, opened = own.signer, found.opened
    if any(one.key_id == signer.key_id for one in given):
        raise Refused("you approved it already; the other approval must come from somebody else")
    digest = approvable(opened.certificate, opened.subjects)
    added = approve(digest, role=_role(own), at=_day(on), signer=signer, simulated=own.simulated)
    record = ApprovalFile(certificate_sha256=opened.sha256, approvals=(*given, added))
    write_whole(path, record.to_bytes() + b"\n")
    typer.echo(f"{path}: approved by {own.name} as {_words(own)} ({len(record.approvals)} of {len(ROLES)})")


@app.command("waive")
def waive(
    evidence: Annotated[Path, typer.Argument(help="What 'gate check --json' printed.", show_default=False)],
    rule: Annotated[str, typer.Argument(help="The rule to waive.", show_default=False)],
    key: OwnKey,
    reason: Annotated[str | None, typer.Option(help="Why, in a sentence; the second person confirms it.")] = None,
    waivers: Annotated[Path, typer.Option(help="File of waivers to add to.")] = Path("waivers.json"),
    on: On = None,
) -> None:
    """Sign that one rule need not pass on one piece of evidence. It counts once two persons signed the same words."""
    own, digest = _own(key), _evidence(evidence).fingerprint()
    given = _waiver_file(waivers).waivers if waivers.exists() else ()
    same = [one for one in given if one.rule == rule and one.evidence_sha256 == digest]
    if not same and reason is None:
        raise Invalid("--reason: the first of the two persons says why")
    if same and reason is not None and same[0].reason != reason:
        raise Refused(f"the first person gave another reason; leave --reason out to confirm theirs: {same[0].reason}")
    waiver = same[0] if same else Waiver(rule=rule, reason=str(reason), evidence_sha256=digest)
    check_reason(waiver.reason)
    signer = own.signer
    if any(one.key_id == signer.key_id or one.role == own.role for one in waiver.approvals):
        raise Refused(f"a {_words(own)} signed it already; the other signature must come from the other role")
    signed = waiver.signed(role=_role(own), at=_day(on), signer=signer, simulated=own.simulated)
    record = WaiverFile(waivers=(*(one for one in given if one not in same), signed))
    write_whole(waivers, record.to_bytes() + b"\n")
    typer.echo(f"{waivers}: '{rule}' waived by {len(signed.approvals)} of {len(ROLES)}: {signed.reason}")


@app.command("revoke")
def revoke(
    certificate: Cert,
    key: OwnKey,
    reason: Annotated[str, typer.Option(help="Why, for everybody who holds the corpus. Names no patient.")],
    revocations: Annotated[Path, typer.Option(help="The site's list of revocations; a line is added.")],
    on: On = None,
) -> None:
    """Take a certificate back: adds a line, signed by the key that issued it, to the site's list of revocations."""
    own, data = _own(key), _read(certificate)
    opened, signer = read_certificate(peek(data), envelope=data), own.signer
    if opened.key_id != signer.key_id:
        raise Refused(f"only the key that issued it can revoke it ({opened.key_id[:16]}, not {signer.key_id[:16]})")
    if not reason.strip():
        raise Invalid("--reason: say why, so that holders of the corpus know what to do")
    line = seal_revocation(Revocation(certificate_sha256=opened.sha256, reason=reason, at=_day(on)), signer=signer)
    before = _read(revocations) if revocations.exists() else b""
    split_lines(before, where=str(revocations))
    write_whole(revocations, before + line + b"\n")
    typer.echo(f"{revocations}: certificate {opened.sha256[:16]} revoked from {_day(on)} on; send the list to holders")


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise Invalid(f"{path} is no file")
    return path.read_bytes()


def _keys(path: Path) -> Keyring:
    return read_keyring(_read(path))


def _own(path: Path) -> KeyFile:
    """Read a private key.

    Raises:
        Refused: others than its owner can read it.
    """
    data = _read(path)
    if path.stat().st_mode & 0o077:
        raise Refused(f"{path} can be read by others; `chmod 600` it, and think whether somebody did")
    return read_key(data)


def _role(own: KeyFile) -> Role:
    for role in ROLES:
        if own.role == role:
            return role
    raise Refused(f"a key of a {own.role} approves nothing; expected one of {' or '.join(ROLES)}")


def _words(own: KeyFile) -> str:
    return own.role.replace("_", " ")


def _day(text: str | None) -> str:
    try:
        return (datetime.date.today() if text is None else datetime.date.fromisoformat(text)).isoformat()
    except ValueError:
        raise Invalid("--on: expected a day as 2026-01-31") from None


def _file(path: Path, subjects: list[str]) -> tuple[str, bytes]:
    """Return a file under the subject that it is meant for: the one of its name, else the first."""
    name = path.name if path.name in subjects or not subjects else subjects[0]
    return name, _read(path)


def _plain(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except (ValueError, RecursionError):
        raise Invalid(f"{path.name}: expected JSON") from None


def _approval_file(path: Path) -> ApprovalFile:
    return ApprovalFile.from_plain(_plain(path))


def _waiver_file(path: Path) -> WaiverFile:
    return WaiverFile.from_plain(_plain(path))


def _evidence(path: Path) -> Evidence:
    plain = _plain(path)
    return Evidence.from_plain(plain["evidence"] if isinstance(plain, dict) and "evidence" in plain else plain)

"""`wardgate study` at a hospital: review a proposed study, sign it, or refuse it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.options import AsJson
from wardgate.cli.running import utc_now
from wardgate.federation import site as hospital
from wardgate.federation.site import Review
from wardgate.hospital.premises import Premises
from wardgate.papers.data_check_text import check_text

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

SiteFolder = Annotated[Path, typer.Option("--site", help="The hospital's folder.", show_default=False)]
Named = Annotated[
    str, typer.Argument(help="The study's id, id@version, or the beginning of its SHA-256.", show_default=False)
]


@app.command("review")
def review(
    site: SiteFolder,
    study: Annotated[str | None, typer.Argument(help="One study; else a list of all.", show_default=False)] = None,
    data: Annotated[bool, typer.Option("--data", help="Also check this hospital's data; may take minutes.")] = False,
    json_output: AsJson = False,
) -> None:
    """Show what was proposed to this hospital: what it asks and spends, by whom, and what speaks against signing."""
    premises = Premises(site)
    if study is None:
        _list(premises, json_output=json_output)
        return
    found = hospital.review(premises, study, on=utc_now().date().isoformat(), with_data=data)
    if json_output:
        typer.echo(json.dumps(_plain(found), indent=2, ensure_ascii=False))
    else:
        typer.echo(_text(found))


@app.command("sign")
def sign(
    study: Named,
    site: SiteFolder,
    code: Annotated[
        str, typer.Option(help="The study's code, as compared with another hospital by phone.", show_default=False)
    ],
) -> None:
    """Sign a study on behalf of this hospital. Its questions are answered from then on."""
    decision = hospital.sign(Premises(site), study, code=code, now=_now())
    typer.echo(f"Signed: {study} ({decision.study_sha256[:16]}). The hub is told by the next mail.")


@app.command("refuse")
def refuse(
    study: Named,
    site: SiteFolder,
    reason: Annotated[str, typer.Option(help="Why; the hub is told.", show_default=False)],
) -> None:
    """Refuse a study, with the reason."""
    decision = hospital.refuse(Premises(site), study, reason=reason, now=_now())
    typer.echo(f"Refused: {study} ({decision.study_sha256[:16]}). The hub is told by the next mail.")


def _now() -> str:
    return utc_now().isoformat(timespec="seconds")


def _list(premises: Premises, *, json_output: bool) -> None:
    found = hospital.studies(premises)
    if json_output:
        plain = [
            {
                "study_sha256": one.study_sha256,
                "study": one.id,
                "version": one.version,
                "title": one.title,
                "outcome": one.outcome,
                "notice": one.notice,
                "code": one.code,
                "members": list(one.members),
            }
            for one in found
        ]
        typer.echo(json.dumps({"studies": plain}, indent=2, ensure_ascii=False))
        return
    for one in found:
        state = one.outcome + (f", {one.notice} at the hub" if one.notice else "")
        typer.echo(f"{one.id} version {one.version}  {one.study_sha256[:16]}  {state}  {one.title}")
    if not found:
        typer.echo("No study was proposed to this hospital.")


def _plain(found: Review) -> dict[str, object]:
    return {
        "study_sha256": found.study_sha256,
        "study": found.study.id,
        "version": found.study.version,
        "outcome": found.outcome,
        "code": found.code,
        "hub_code": found.hub_code,
        "members": [{"site": m.site, "code": m.code, "known_since": m.known_since} for m in found.members],
        "asks": list(found.asks),
        "spends": list(found.spends),
        "objections": list(found.objections),
        "data": None if found.data is None else found.data.plain(),
    }


def _text(found: Review) -> str:
    study = found.study
    lines = [
        f"{study.title} ({study.id} version {study.version}): {found.outcome}",
        f"  {study.question}",
        f"sha256 {found.study_sha256}",
        "",
        "What it may ask",
        *(f"  {line}" for line in found.asks),
        "What it may spend",
        *(f"  {line}" for line in found.spends),
        "Whose keys",
        f"  the hub  {found.hub_code}",
        *(
            f"  {m.site}  {m.code}  {'known since ' + m.known_since if m.known_since else 'NEW here'}"
            for m in found.members
        ),
        "",
        f"Code: {found.code}",
        "  Read it to another hospital of the study by phone. If theirs differs, do not sign.",
    ]
    if found.data is not None:
        lines += ["", check_text(found.data).rstrip()]
    if found.objections:
        lines += ["", "It cannot be signed here:", *(f"  {line}" for line in found.objections)]
    return "\n".join(lines)

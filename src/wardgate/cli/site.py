"""`wardgate site`: a hospital joins a consortium, serves, and keeps its own hand on everything."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.files import bytes_in
from wardgate.cli.running import stopping, utc_now
from wardgate.cli.tables import AsJson
from wardgate.entropy import source
from wardgate.federation import consortium, site
from wardgate.federation.consortium import Asking, Users
from wardgate.federation.doctor import examine
from wardgate.federation.site import Entry, Word
from wardgate.hospital.app.serving import Side
from wardgate.hospital.app.serving import serve as serve_site
from wardgate.hospital.premises import Premises
from wardgate.papers.examination_text import examination_text
from wardgate.records.errors import CheckFailed, Invalid

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

SiteFolder = Annotated[Path, typer.Argument(help="The hospital's folder.", show_default=False)]
Study = Annotated[
    str, typer.Argument(help="The study's id, id@version, or the beginning of its SHA-256.", show_default=False)
]
WardOnly = Annotated[bool, typer.Option("--ward-only", help="The ward's side alone; the wire is elsewhere.")]
WireOnly = Annotated[bool, typer.Option("--wire-only", help="The wire's side alone; the ward is elsewhere.")]


@app.command("init")
def init(
    folder: SiteFolder,
    name: Annotated[str, typer.Option(help="The hospital's name in studies.", show_default=False)],
    source_folder: Annotated[
        Path, typer.Option("--source", help="Folder of its data, with hospital.yaml and mapping.yaml or source.yaml.")
    ],
    policy: Annotated[Path | None, typer.Option(help="The hospital's own gate policy; no study may be laxer.")] = None,
    contact: Annotated[str, typer.Option(help="Whom the hub may call; travels in the request.")] = "",
    users: Annotated[
        str | None, typer.Option(help="WARD:WIRE:GROUP, two users of this machine and their group; needs root.")
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Make a hospital's folder with all its keys, and the one file that leaves: site.request."""
    asking = consortium.site_init(
        Premises(folder),
        site=name,
        source=source_folder,
        policy=policy,
        contact=contact,
        entropy=source(unsafe_seed=None),
        users=None if users is None else _users(users),
    )
    _tell(asking, json_output=json_output)


@app.command("renew")
def renew(
    folder: SiteFolder,
    contact: Annotated[str, typer.Option(help="Whom the hub may call; travels in the request.")] = "",
    json_output: AsJson = False,
) -> None:
    """Ask for a new certificate with a new TLS key, under the ward's key as before."""
    _tell(consortium.site_ask_again(Premises(folder), contact=contact), json_output=json_output)


@app.command("enrol")
def enrol(
    folder: SiteFolder,
    response: Annotated[Path, typer.Argument(help="What the hub sent back.", show_default=False)],
    hub_code: Annotated[
        str, typer.Option(help="The code of the hub's key, as you heard it from the hub by phone.", show_default=False)
    ],
) -> None:
    """Install the hub's response, after checking that it is this hub's and for this hospital."""
    found = consortium.site_enrol(
        Premises(folder), bytes_in(response, "the hub's response"), hub_code=hub_code, now=utc_now()
    )
    typer.echo(
        f"Enrolled until {found.not_after:%Y-%m-%d}.\n"
        f"Check the way: wardgate site doctor {folder}\nServe:         wardgate site serve {folder}"
    )


@app.command("doctor")
def doctor(
    folder: SiteFolder, ward_only: WardOnly = False, wire_only: WireOnly = False, json_output: AsJson = False
) -> None:
    """Say what stands between this hospital and its hub, and the rule to ask the network team for."""
    found = examine(folder, now=utc_now(), environment=os.environ, sides=_sides(ward_only, wire_only))
    if json_output:
        typer.echo(json.dumps(found.plain(), indent=2, ensure_ascii=False))
    else:
        typer.echo(examination_text(found))
    failed = [check.name for check in found.checks if check.state == "fail"]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(found.checks)} checks failed: {', '.join(failed)}")


@app.command("serve")
def serve(folder: SiteFolder, ward_only: WardOnly = False, wire_only: WireOnly = False) -> None:
    """Serve until interrupted: the ward as a process without a network, the wire as one without the data."""

    def started(side: Side, process: int) -> None:
        typer.echo(f"the {side} runs as process {process}")

    with stopping() as stop:
        serve_site(
            Premises(folder),
            sides=_sides(ward_only, wire_only),
            clock=time.monotonic,
            pause=lambda: stop.wait(0.2),
            on_start=started,
        )


@app.command("questions")
def questions(
    folder: SiteFolder,
    study: Annotated[str, typer.Option(help="Of one study.")] = "",
    since: Annotated[str, typer.Option(help="From this ISO date or time on.")] = "",
    json_output: AsJson = False,
) -> None:
    """Show every question that was asked of this hospital, in plain words, and what left as its answer."""
    asked = site.questions(Premises(folder), since=since, study=study)
    if json_output:
        plain = [{"question": one.question.plain(), "outcomes": [e.plain() for e in one.outcomes]} for one in asked]
        typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    for one in asked:
        typer.echo(f"{_when(one.question)}  {one.question.words}")
        for outcome in one.outcomes:
            typer.echo(f"{'':19}  -> {outcome.words}")
    if not asked:
        typer.echo("Nothing was asked yet.")


@app.command("book")
def book(
    folder: SiteFolder,
    study: Annotated[str, typer.Option(help="Of one study.")] = "",
    since: Annotated[str, typer.Option(help="From this ISO date or time on.")] = "",
    json_output: AsJson = False,
) -> None:
    """Show the whole visitors' book: questions, answers, proposals, decisions, approvals, and what did not hold."""
    entries = site.book(Premises(folder), since=since, study=study)
    if json_output:
        typer.echo(json.dumps([one.plain() for one in entries], indent=2, ensure_ascii=False))
        return
    for one in entries:
        typer.echo(f"{_when(one)}  {one.event:9} {one.words}")


@app.command("approvals")
def approvals(folder: SiteFolder, json_output: AsJson = False) -> None:
    """Show what waits for a person, and what people have said so far."""
    waiting, said = site.waiting(Premises(folder)), site.approvals(Premises(folder))
    if json_output:
        plain = {
            "waiting": [
                {
                    "digest": one.digest,
                    "question": one.question,
                    "study": one.study,
                    "computation": one.computation,
                    "words": one.words,
                }
                for one in waiting
            ],
            "said": [one.plain() for one in said],
        }
        typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    for one in waiting:
        typer.echo(f"waits   {one.digest[:16]}  {one.study}: {one.words}")
    for word in said:
        typer.echo(f"{word.word:7} {word.digest[:16]}  {word.at[:16].replace('T', ' ')}  {word.words}")
    if not waiting:
        typer.echo("Nothing waits for a person.")


@app.command("approve")
def approve(
    folder: SiteFolder,
    digest: Annotated[str, typer.Argument(help="As 'site approvals' shows it.", show_default=False)],
    once: Annotated[bool, typer.Option("--once", help="The question that waits, and no other.")] = False,
    always: Annotated[bool, typer.Option("--always", help="Whenever the same is asked.")] = False,
    never: Annotated[bool, typer.Option("--never", help="Refuse it, now and later.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take back what was said.")] = False,
) -> None:
    """Approve a computation once, always or never, by the digest of its name, version and parameters."""
    words: dict[Word, bool] = {"once": once, "always": always, "never": never, "withdrawn": withdraw}
    chosen = [word for word, given in words.items() if given]
    if len(chosen) != 1:
        raise Invalid("say one of --once, --always, --never and --withdraw")
    said = site.approve(Premises(folder), digest, chosen[0], now=_now())
    typer.echo(f"{said.word}: {said.words or said.digest[:16]}")


@app.command("pause")
def pause(
    folder: SiteFolder, study: Study, reason: Annotated[str, typer.Option(help="Why; the hub is told.")] = ""
) -> None:
    """Answer nothing of a study until it is resumed. Questions wait."""
    site.pause(Premises(folder), study, reason=reason, now=_now())
    typer.echo(f"{study} is paused here. Go on with: wardgate site resume {folder} {study}")


@app.command("resume")
def resume(folder: SiteFolder, study: Study) -> None:
    """Answer a paused study again."""
    site.resume(Premises(folder), study, now=_now())
    typer.echo(f"{study} goes on here.")


@app.command("leave")
def leave(
    folder: SiteFolder,
    study: Study,
    reason: Annotated[str, typer.Option(help="Why; the hub is told.", show_default=False)],
    json_output: AsJson = False,
) -> None:
    """Leave a study for good, and say what stays outside of what was given."""
    left = site.leave(Premises(folder), study, reason=reason, now=_now())
    if json_output:
        stays = [
            {"left": one.left, "count": one.count, "first": one.first, "last": one.last, "words": one.words}
            for one in left.stays
        ]
        typer.echo(json.dumps({"decision": left.decision.plain(), "stays": stays}, indent=2, ensure_ascii=False))
        return
    typer.echo("This hospital has left; it answers nothing of this study any more.")
    for one in left.stays:
        typer.echo(f"{one.count} x {one.left}, {one.first[:16]} to {one.last[:16]}: {one.words}")
    if not left.stays:
        typer.echo("Nothing of it had left the hospital.")


@app.command("members")
def members(folder: SiteFolder, json_output: AsJson = False) -> None:
    """Show the keys that are known under a name: the hub's, and those of hospitals in signed studies."""
    known = site.members(Premises(folder))
    if json_output:
        plain = [{"name": one.name, "code": one.code, "since": one.since} for one in known]
        typer.echo(json.dumps(plain, indent=2))
        return
    typer.echo(f"this hospital  {consortium.site_code(Premises(folder))}")
    for one in known:
        typer.echo(f"{one.name}  {one.code}  since {one.since[:10]}")


@app.command("forget")
def forget(
    folder: SiteFolder, name: Annotated[str, typer.Argument(help="Whose key is forgotten.", show_default=False)]
) -> None:
    """Forget the key of a name, after a call: the next signature takes the key that is proposed then."""
    pin = site.forget(Premises(folder), name, now=_now())
    typer.echo(f"The key {pin.code} of {pin.name} is forgotten. Compare the next one by phone before you sign.")


def _now() -> str:
    return utc_now().isoformat(timespec="seconds")


def _when(entry: Entry) -> str:
    return entry.at[:19].replace("T", " ")


def _sides(ward_only: bool, wire_only: bool) -> Sequence[Side]:
    if ward_only and wire_only:
        raise Invalid("--ward-only and --wire-only exclude each other; leave both out for both sides")
    if ward_only:
        return ("ward",)
    return ("wire",) if wire_only else ("ward", "wire")


def _users(text: str) -> Users:
    parts = text.split(":")
    if len(parts) != 3 or not all(parts):
        raise Invalid(f"found '{text}', expected WARD:WIRE:GROUP, e.g. wardgate-ward:wardgate-wire:wardgate")
    return Users(ward=parts[0], wire=parts[1], group=parts[2])


def _tell(asking: Asking, *, json_output: bool) -> None:
    if json_output:
        typer.echo(
            json.dumps({"site": asking.site, "request": str(asking.request), "site_code": asking.code}, indent=2)
        )
        return
    typer.echo(
        f"Send {asking.request} to the hub; it holds no secret.\n"
        f"Code of this hospital's key, to be read to the hub by phone: {asking.code}"
    )

"""`wardgate site`, the people's side: what was asked, what waits, what is known; approve, pause, leave."""

import json
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.files import write_out
from wardgate.cli.options import AsJson
from wardgate.cli.running import utc_now
from wardgate.cli.site import SiteFolder
from wardgate.federation import consortium, site
from wardgate.federation.site import Entry, Word
from wardgate.hospital.premises import Premises
from wardgate.records.errors import Invalid

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Study = Annotated[
    str, typer.Argument(help="The study's id, id@version, or the beginning of its SHA-256.", show_default=False)
]


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


@app.command("result")
def result(
    folder: SiteFolder,
    study: Study,
    out: Annotated[Path, typer.Option(help="New folder for the files.", show_default=False)],
) -> None:
    """Write the report and the results of a finished study, as the hub sent them."""
    if out.exists():
        raise Invalid(f"{out} exists; choose a new folder")
    files = site.result(Premises(folder), study)
    out.mkdir(parents=True)
    for name, data in files.items():
        write_out(out / name, data)
    typer.echo(f"{', '.join(files)} in {out}")


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

"""`wardgate federate contributions`: who contributed how much, over hospitals on this machine or between machines."""

import datetime
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.federate import Epsilon, progress
from wardgate.cli.files import bytes_in, text_in, write_out
from wardgate.cli.options import AsJson
from wardgate.cli.running import utc_now
from wardgate.cli.streams import turned_aside
from wardgate.cli.study import StudyFile, read_study
from wardgate.federation.connect import Wait, connect
from wardgate.federation.contribution import (
    Contributions,
    check_contribution,
    contribution_record,
    seal_contribution,
)
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.session import Federation
from wardgate.papers.contribution_page import contribution_page
from wardgate.papers.contribution_text import contribution_text, credit_lines
from wardgate.papers.words import number
from wardgate.records.errors import Invalid
from wardgate.records.study import Study
from wardgate.simulate.divide import divide, mapping_beside

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

RECORD, PAGE, CREDIT, TRANSCRIPT = "contribution.parcel", "contribution.html", "credit.txt", "transcript"


@app.command("contributions")
def contributions(
    study: StudyFile,
    out: Annotated[Path, typer.Option(help="New folder for record, page, credit lines and transcript.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of a public data set, divided by the mapping beside the study.")
    ] = None,
    hospitals: Annotated[
        Path | None, typer.Option(help="Folder with one folder a hospital, each with its own source or mapping.")
    ] = None,
    hub: Annotated[Path | None, typer.Option(help="The hub's folder: over hospitals that signed.")] = None,
    block: Annotated[
        list[str] | None,
        typer.Option(help="Hospitals of one block, by commas; at least three. May be repeated; else by public coin."),
    ] = None,
    threshold: Annotated[list[float] | None, typer.Option(help="Risk from which one treats. May be repeated.")] = None,
    epsilon: Epsilon = None,
    within: Annotated[
        float,
        typer.Option(help="Copies of a record within this part of a number's range count once; 0 looks for none."),
    ] = 0.05,
    patience: Annotated[float, typer.Option(help="With --hub: minutes that a sum waits for a hospital.")] = 15.0,
    seed: Annotated[int, typer.Option(help="Of redraws and permutations, and of simulated splits.")] = 1,
    json_output: AsJson = False,
) -> None:
    """Divide what the joint model is worth among blocks of hospitals, or with --epsilon among single ones; sign it.

    Give one of --data, --hospitals and --hub. The study lists class_moments under its analyses.
    """
    if sum(one is not None for one in (data, hospitals, hub)) != 1:
        raise Invalid("give one of --data (a public set), --hospitals (their folders) and --hub (between machines)")
    if out.exists():
        raise Invalid(f"{out} exists; choose another --out")
    asked, text = read_study(study), text_in(study, "a study (YAML)")
    wish = Contributions(
        thresholds=tuple(threshold or (0.5,)),
        blocks=tuple(tuple(sorted(one.split(","))) for one in block or ()),
        epsilon=epsilon,
        within=within or None,
        seed=seed,
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wardgate-")))
        screen = stack.enter_context(turned_aside(folder / "printed.log"))
        on_event = stack.enter_context(progress(quiet=json_output, screen=screen))
        if hub is not None:
            wait = Wait(patience_seconds=patience * 60.0)
            opening = connect(hub=hub, study=asked.fingerprint(), now=utc_now, wait=wait)
        else:
            opening = _here(asked, study, data, hospitals, folder, seed)
        federation = stack.enter_context(opening)
        done = 0

        def on_ask(what: str, sites: int) -> None:
            nonlocal done
            done += 1
            on_event(f"{what} ({number(sites, 'site')})", done, done + 1)

        federation.on_event = on_ask
        found = wish.run(federation, asked)
        day = datetime.date.today().isoformat()
        record = contribution_record(found, study=asked, issued_on=day, drawn=wish.drawn)
        parcel = seal_contribution(found, record, signer=federation.exchange.signer)
        federation.save(out / TRANSCRIPT, study_text=text)
    write_out(out / RECORD, parcel.to_bytes())
    write_out(out / PAGE, contribution_page(record).encode())
    write_out(out / CREDIT, credit_lines(record).encode())
    if json_output:
        typer.echo(json.dumps(record.plain(), indent=2))
        return
    typer.echo(contribution_text(record))
    typer.echo(f"Page:    {out / PAGE}\nRecord:  {out / RECORD}\nCheck:   wardgate verify {out / TRANSCRIPT}")


@app.command("check-contributions")
def check_contributions(
    record: Annotated[Path, typer.Argument(help="A record of contributions (contribution.parcel).")],
    study: Annotated[Path, typer.Option(help="The locked study (YAML).")],
    transcript: Annotated[Path, typer.Option(help="Folder of the conversation on which it rests.")],
    key: Annotated[str | None, typer.Option(help="The hub's public key in hexadecimal, known from elsewhere.")] = None,
    json_output: AsJson = False,
) -> None:
    """Check a record of contributions: who signed, that its sums were opened, and the table made again from them."""
    try:
        known = None if key is None else bytes.fromhex(key)
    except ValueError:
        raise Invalid("--key must be a public key in hexadecimal") from None
    content = bytes_in(record, "a record of contributions")
    found = check_contribution(content, transcript=transcript, study=read_study(study), key=known)
    if json_output:
        typer.echo(json.dumps(found.plain(), indent=2))
        return
    sums, players = number(len(found.basis), "sum"), number(len(found.players), "player")
    typer.echo(f"The record holds: {players}, made again from {sums} that the conversation opened.")


@contextmanager
def _here(
    study: Study, file: Path, data: Path | None, hospitals: Path | None, folder: Path, seed: int
) -> Iterator[Federation]:
    homes = hospitals
    if homes is None:
        homes = folder / "hospitals"
        divide(data or Path(), study, mapping_beside(file), homes)
    work = folder / "private"
    work.mkdir(mode=0o700)
    settings = Settings(seed=seed, issued_on=datetime.date.today().isoformat())
    with local(study=study, hospitals=find_hospitals(homes, study), settings=settings, work=work) as federation:
        yield federation

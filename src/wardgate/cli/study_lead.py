"""`wardgate study` at the hub: propose a study to hospitals, run it over the road, watch it, stop it."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from wardgate.cli.files import text_in
from wardgate.cli.finished import tell_finished, write_finished
from wardgate.cli.options import AsJson
from wardgate.cli.running import utc_now
from wardgate.cli.study import StudyFile
from wardgate.federation import studies
from wardgate.federation.connect import Wait, run_connected
from wardgate.federation.studies import SiteStatus, StudyStatus
from wardgate.hub.commons.directory import check_target
from wardgate.records.errors import Invalid, WardgateError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

HubFolder = Annotated[Path, typer.Option("--hub", help="The hub's folder.", show_default=False)]
Named = Annotated[
    str, typer.Argument(help="The study's id, or the first 8 characters of its SHA-256 or more.", show_default=False)
]
Patience = Annotated[float, typer.Option(help="Minutes that a round waits for a hospital that does not answer.")]
Needed = Annotated[
    int | None, typer.Option(help="Hospitals that must have signed before the first round; else all of the study.")
]
OutFolder = Annotated[Path, typer.Option(help="Folder for the report and the evidence; made by this command.")]
Replace = Annotated[bool, typer.Option(help="Replace an earlier run in the same folder.")]


@app.command("propose")
def propose(
    file: StudyFile,
    hub: HubFolder,
    seed: Annotated[int, typer.Option(help="For repeatable work that protects nobody; every hospital sees it.")] = 1,
    json_output: AsJson = False,
) -> None:
    """Send a locked study to all its hospitals, for each to review, and sign or refuse."""
    proposed = studies.propose(hub=hub, text=text_in(file, "a study (YAML)"), name=file.name, seed=seed)
    if json_output:
        plain = {
            "study_sha256": proposed.study_sha256,
            "study": proposed.study.id,
            "version": proposed.study.version,
            "sites": list(proposed.study.sites),
            "code": proposed.code,
        }
        typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    typer.echo(
        f"{proposed.study.id} version {proposed.study.version} is on its way to {len(proposed.study.sites)} hospitals\n"
        f"sha256 {proposed.study_sha256}\n"
        f"code   {proposed.code}  (hospitals compare it with each other by phone before they sign)\n"
        f"Watch: wardgate study status {proposed.study.id} --hub {hub}"
    )


@app.command("run")
def run(
    study: Named,
    hub: HubFolder,
    out: OutFolder,
    patience: Patience = 15.0,
    sites_needed: Needed = None,
    replace: Replace = False,
    json_output: AsJson = False,
) -> None:
    """Run a signed study over the road, from the review of data to the tested models.

    Killed, interrupted or cut off, it goes on at the round where it stopped when it is run again.
    """
    if out.exists() and not replace:
        raise Invalid(f"{out} exists; choose another --out, or add --replace")
    check_target(out.resolve(), replace=replace)
    wait = Wait(patience_seconds=patience * 60.0, sites_needed=sites_needed)
    text = studies.text_of(hub=hub, study=study)
    with _watched(hub, study, quiet=json_output):
        finished = run_connected(hub=hub, study=study, now=utc_now, wait=wait)
        results = write_finished(out, finished, study_text=text, simulated=False, isolated=True, replace=replace)
        files = {name: (out / name).read_bytes() for name in ("report.html", "results.json")}
        studies.deliver(hub=hub, study=study, files=files, now=utc_now)
    tell_finished(out, results, json_output=json_output)


@app.command("resume")
def resume(
    study: Named,
    hub: HubFolder,
    out: OutFolder,
    patience: Patience = 15.0,
    sites_needed: Needed = None,
    replace: Replace = False,
    json_output: AsJson = False,
) -> None:
    """Go on with a study that was stopped, killed or cut off, at the round where it was."""
    found = studies.status(hub=hub, study=study)
    if found.state == "proposed":
        raise Invalid(f"{found.study} was never run, so there is nothing to go on with; use 'wardgate study run'")
    run(study, hub, out, patience, sites_needed, replace, json_output)


@app.command("status")
def status(
    hub: HubFolder,
    study: Annotated[str | None, typer.Argument(help="One study; else all of this hub.", show_default=False)] = None,
    json_output: AsJson = False,
) -> None:
    """Say where a study is: its round, and for every hospital its decision, its road, bytes, budget and last word."""
    found = studies.all_studies(hub=hub) if study is None else (studies.status(hub=hub, study=study),)
    if json_output:
        typer.echo(json.dumps([one.plain() for one in found], indent=2, ensure_ascii=False))
        return
    if not found:
        typer.echo("No study was proposed at this hub.")
    console = Console()
    for one in found:
        console.print(_shown(one))


@app.command("abort")
def abort(
    study: Named,
    hub: HubFolder,
    reason: Annotated[str, typer.Option(help="Why; every hospital reads it.", show_default=False)],
) -> None:
    """Stop a study and tell every hospital why. `study resume` goes on with it."""
    stopped = studies.abort(hub=hub, study=study, reason=reason, now=utc_now)
    typer.echo(f"{stopped.study.id} is stopped; its hospitals are told. Go on with: wardgate study resume")


@contextmanager
def _watched(hub: Path, study: str, *, quiet: bool) -> Iterator[None]:
    """Show where the study is while it runs, a line a hospital; silent where nobody looks."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
        return

    def now() -> Group | Text:
        try:
            return _shown(studies.status(hub=hub, study=study))
        except WardgateError as error:
            return Text(str(error))

    with Live(get_renderable=now, console=console, refresh_per_second=1, transient=True):
        yield


def _shown(found: StudyStatus) -> Group:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("site", "decision", "road", "answered", "missed", "out", "in", "heard"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("answered", "missed", "out", "in") else "left")
    table.add_column("says")
    for site in found.sites:
        says = site.words or site.standing.replace("_", " ") or ("asked" if site.waited_for else "")
        table.add_row(
            site.site,
            site.decision,
            site.lane,
            str(site.answered),
            str(site.missed),
            _bytes(site.bytes_out),
            _bytes(site.bytes_in),
            site.last_heard[11:19],
            says or site.reason,
        )
    head = f"{found.study} version {found.version}: {found.state}" + (f", round {found.round}" if found.round else "")
    spent = [Text(f"{site.site} spent: {words}") for site in found.sites if (words := _spent(site))]
    return Group(Text(head, style="bold"), Text(found.words), table, *spent, Text(f"code {found.code}", style="dim"))


def _spent(site: SiteStatus) -> str:
    """Return what a site said that it spent, split by split; nothing before it closed."""
    parts = []
    for line in site.budget:
        spent = [f"epsilon {line.epsilon:.3g}"] if 0 < line.epsilon < math.inf else []
        spent += [f"{line.exact_answers} exact answers"] if line.exact_answers else []
        if spent:
            parts.append(f"{line.split.replace('_', ' ')} {' and '.join(spent)}")
    return ", ".join(parts)


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"

"""A finished run, wherever its hospitals were: written with its report and its evidence, and told."""

import sys
from pathlib import Path

import typer

from wardgate.federation.session import Finished
from wardgate.hub.commons.directory import write_run
from wardgate.hub.telling import results_of
from wardgate.papers.report import render
from wardgate.papers.summary import summarise
from wardgate.records.results import Results


def write_finished(
    out: Path, finished: Finished, *, study_text: str, simulated: bool, isolated: bool, replace: bool
) -> Results:
    """Write report, results and evidence, whole or not at all; return the results.

    Args:
        study_text: The study's YAML as it was given.
        simulated: Whether the hospitals were made up.
        isolated: Whether every ward ran without a network.
        replace: Whether an earlier run at `out` may be replaced.

    Raises:
        Invalid: it cannot be written.
    """
    results = results_of(finished.run, finished.exchange, simulated=simulated, isolated=isolated)
    write_run(
        out,
        exchange=finished.exchange,
        run=finished.run,
        results=results,
        report_html=render(results),
        study_text=study_text,
        replace=replace,
        issued_on=finished.issued_on,
    )
    return results


def tell_finished(out: Path, results: Results, *, json_output: bool) -> None:
    """Print the summary and where everything is, or the results alone."""
    if json_output:
        typer.echo((out / "results.json").read_text(encoding="utf-8"))
        return
    typer.echo(summarise(results))
    called = sys.argv[0] if Path(sys.argv[0]).name == "wardgate" else "wardgate"  # an example may have called
    typer.echo(f"\nReport:  {out / 'report.html'}\nCheck:   {called} verify {out}")

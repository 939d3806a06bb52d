"""`wardgate demo`: the whole chain on simulated hospitals, or on a public data set divided into its hospitals."""

import datetime
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from wardgate.cli.finished import tell_finished, write_finished
from wardgate.cli.streams import turned_aside
from wardgate.federation.local import Settings, find_hospitals, run_study
from wardgate.federation.session import OnEvent
from wardgate.hub.commons.directory import check_target
from wardgate.records.errors import Invalid
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside
from wardgate.simulate.hospitals import build


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report and the evidence; made by this command.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of a public data set; without it, six hospitals are simulated.")
    ] = None,
    hospitals: Annotated[
        Path | None, typer.Option(help="Folder with one folder a hospital, each with its own source or mapping.")
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="The study file; for --data its mapping.yaml lies beside it.")
    ] = None,
    mapping: Annotated[Path | None, typer.Option(help="Another mapping file than the one beside the study.")] = None,
    seed: Annotated[int, typer.Option(help="Makes everything repeatable but the noise that protects people.")] = 1,
    replace: Annotated[bool, typer.Option(help="Replace an earlier run in the same folder.")] = False,
    isolate: Annotated[bool, typer.Option(help="Run every hospital's ward as a process without any network.")] = False,
    reference: Annotated[
        bool, typer.Option(help="Also fit the centralised comparator, impossible in reality.")
    ] = False,
    private: Annotated[
        Path | None,
        typer.Option(
            help="New folder for the hospitals' private logs, which may quote patients; else they are deleted."
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print results.json instead of the summary.")] = False,
) -> None:
    """Take several hospitals from a locked study to a tested, explained model, and leave signed evidence.

    Without --data, six hospitals are simulated, with their traps.
    """
    if data is not None and hospitals is not None:
        raise Invalid("--data is divided into hospitals, --hospitals are divided already: give one of them")
    if (data is None and hospitals is None) != (study is None):
        raise Invalid("--data or --hospitals belongs to a --study: give both, or neither for simulated hospitals")
    if out.exists() and not replace:
        raise Invalid(f"{out} exists; choose another --out, or add --replace")
    check_target(out.resolve(), replace=replace)
    if private is not None and private.exists():
        raise Invalid(f"{private} exists; private logs need a new folder")
    issued_on = datetime.date.today().isoformat()
    settings = Settings(seed=seed, issued_on=issued_on, isolate=isolate, reference=reference)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wardgate-")))
        made, work = folder / "hospitals", private or folder / "private"
        made.mkdir(mode=0o700)
        work.mkdir(mode=0o700, parents=True)
        screen = stack.enter_context(turned_aside(work / "printed.log"))
        on_event = stack.enter_context(_progress(screen, quiet=json_output))
        if study is None:
            on_event("simulate six hospitals", 6)
            path = build(made, seed=seed).study
        else:
            path = study
        text = read_text(path)
        parsed = parse(text, name=path.name)
        if data is not None and study is not None:
            on_event("divide the public data set into its hospitals", len(parsed.sites))
            divide(data, parsed, _mapping(mapping) or mapping_beside(study), made)
        finished = run_study(
            study=parsed,
            hospitals=find_hospitals(hospitals or made, parsed),
            settings=settings,
            work=work,
            on_event=on_event,
        )
        on_event("write the report and the evidence", 1)
        results = write_finished(
            out, finished, study_text=text, simulated=study is None, isolated=isolate, replace=replace
        )
    tell_finished(out, results, json_output=json_output)


def _mapping(path: Path | None) -> Path | None:
    if path is not None and not path.is_file():
        raise Invalid(f"{path} is not a file; expected a mapping")
    return path


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        Invalid: absent, or not UTF-8.
    """
    if not path.is_file():
        raise Invalid(f"{path} is not a file; expected a study (make one with 'wardgate study init')")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Invalid(f"{path} is not UTF-8 text; save it as UTF-8") from None


@contextmanager
def _progress(screen: TextIO, *, quiet: bool) -> Iterator[OnEvent]:
    """Show what is being asked while it runs, and nothing that anybody prints; silent when nobody looks."""
    console = Console(file=screen)
    if quiet or not console.is_terminal:
        yield lambda _what, _sites: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task("start", total=None)

        def on_event(what: str, sites: int) -> None:
            progress.update(task, description=f"{what} ({sites} site{'s' if sites != 1 else ''})")

        yield on_event

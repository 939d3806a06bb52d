"""`wardgate federate`: choose how to train a network over hospitals, and train it."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from wardgate.cli.files import bytes_in, write_out
from wardgate.cli.options import AsJson
from wardgate.cli.study import StudyFile, read_study
from wardgate.entropy import SystemEntropy
from wardgate.federation.compare import OnEvent, Settings, compare
from wardgate.measures.layers.tensors import size as numbers
from wardgate.papers.compare_page import compare_page
from wardgate.papers.words import figure, size
from wardgate.records.bands import at_least
from wardgate.records.comparison import Comparison
from wardgate.records.corpus_file import read_corpus
from wardgate.records.errors import Invalid
from wardgate.records.study import Study
from wardgate.simulate.splits import Way

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Network = Annotated[str, typer.Option(help="A network that the study locks, by its name.", show_default=False)]
Epsilon = Annotated[
    float | None, typer.Option(help="Noise in all sums together costs so much; without it, sums are exact.")
]


ENOUGH = 3
"""Own corpora of hospitals that stand for the commons; with fewer, the joint corpus knows more."""

SMALL = 100_000
"""Numbers of a network whose training is quickest in one thread."""


@app.command("compare")
def compare_(
    study: StudyFile,
    corpora: Annotated[
        list[Path],
        typer.Argument(
            metavar="CORPUS...", help="Corpora of the commons (Parquet), or folders of them.", show_default=False
        ),
    ],
    network: Network,
    seeds: Annotated[int, typer.Option(help="Divisions in each way.")] = 2,
    rounds: Annotated[int, typer.Option(help="Of each algorithm.")] = 20,
    epsilon: Epsilon = None,
    way: Annotated[
        list[str] | None,
        typer.Option(help="natural, sizes, features or labels:ALPHA. May be repeated; else all, labels with 0.3."),
    ] = None,
    persons: Annotated[
        str | None,
        typer.Option(help="Each hospital's persons, as numbers or bands: 400,200-499,50-99; else the corpora's rows."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Makes divisions and training repeatable, but for noise.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the page and the record.", show_default=False)
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Try the algorithms on simulated hospitals made of synthetic corpora, and recommend one with the reason.

    No patient is needed and none is asked: only files marked as synthetic are taken.
    """
    if out is not None and out.exists():
        raise Invalid(f"{out} exists; choose another --out")
    asked = read_study(study)
    few_threads(asked, network)
    settings = Settings(seeds=seeds, rounds=rounds, seed=seed)
    if way:
        settings = Settings(ways=tuple(Way.of(name) for name in way), seeds=seeds, rounds=rounds, seed=seed)
    tables, digests = read_corpora(corpora)
    with progress(quiet=json_output) as on_event:
        found = compare(
            asked,
            tables,
            network=network,
            entropy=SystemEntropy(),
            sizes=None if persons is None else _sizes(persons),
            epsilon=epsilon,
            settings=settings,
            digests=digests,
            on_event=on_event,
        )
    if out is not None:
        out.mkdir(parents=True)
        write_out(out / "compare.json", found.to_bytes() + b"\n")
        write_out(out / "compare.html", compare_page(found).encode())
    if json_output:
        typer.echo(json.dumps(found.plain(), indent=2))
        return
    typer.echo("\n".join(_told(found)))
    if out is not None:
        typer.echo(f"\nPage:    {out / 'compare.html'}\nRecord:  {out / 'compare.json'}")


def few_threads(study: Study, network: str) -> None:
    """Let torch compute a small network in one thread, unless the caller's environment says otherwise.

    Threads of small networks wait for each other, on a busy machine ten times as long as they compute. Torch reads this
    when it is loaded.
    """
    found = study.networks.get(network)
    if found is not None and numbers(found) <= SMALL:
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def read_corpora(paths: Sequence[Path]) -> tuple[list[pl.DataFrame], list[str]]:
    """Return corpora in the order given, folders by their files' names, and the SHA-256 of each file.

    Of a folder, the hospitals' own corpora are taken where there are three or more, else `joint.parquet` alone, which
    holds the same patients' figures once more.

    Raises:
        Invalid: no such file, or a folder without any.
        Broken: a file that is not marked as synthetic, or cannot be read.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            here = sorted(path.glob("*.parquet")) or sorted((path / "commons").glob("*.parquet"))
            if not here:
                raise Invalid(f"{path} holds no corpus (*.parquet)")
            own = [file for file in here if file.stem != "joint"]
            joint = [file for file in here if file.stem == "joint"]
            files += own if len(own) >= ENOUGH or not joint else joint
        else:
            files.append(path)
    contents = [bytes_in(file, "a corpus (Parquet)") for file in files]
    return [read_corpus(content) for content in contents], [hashlib.sha256(one).hexdigest() for one in contents]


@contextmanager
def progress(*, quiet: bool, screen: TextIO | None = None) -> Iterator[OnEvent]:
    """Show what is being done and how much of it, where somebody looks; silent otherwise.

    Args:
        screen: Standard error by default.
    """
    console = Console(file=screen or sys.stderr)
    if quiet or not console.is_terminal:
        yield lambda _words, _done, _total: None
        return
    columns = (BarColumn(), TextColumn("{task.completed} of {task.total}  {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as shown:
        task = shown.add_task("start", total=None)
        yield lambda words, done, total: shown.update(task, description=words, completed=done, total=total)


def _sizes(text: str) -> list[int]:
    """Read persons of each hospital: numbers, or bands as hospitals sign them, whose lower end counts."""
    found = []
    for part in (part.strip() for part in text.split(",")):
        try:
            found.append(max(1, at_least(part)))
        except ValueError:
            raise Invalid(f"found --persons {part[:40]!r}, expected numbers or bands, e.g. 400,200-499,50-99") from None
    return found


def _told(found: Comparison) -> Iterator[str]:
    chosen = found.of(found.recommended)
    yield f"Recommended: {chosen.label}"
    yield from (f"  {words}" for words in found.reason)
    if chosen.name != found.algorithm:
        best = found.of(found.algorithm)
        rate = "" if best.rate is None else f" with rate {best.rate:g}"
        rate += ", in one step on all persons a round" if best.whole else ""
        yield f"  To train the network all the same: {best.label}{rate}."
    yield ""
    yield f"{'candidate':<36} {'AUROC':>6} {'behind':>8} {'error':>7} {'worst':>6} {'O/E':>5} {'slope':>5} {'bytes':>9}"
    for one in found.candidates:
        yield (
            f"{one.label:<36} {figure(one.auroc, 3):>6} {figure(one.behind, 4):>8} {figure(one.error, 4):>7}"
            f" {_short(one.worst):>6} {figure(one.oe):>5} {figure(one.slope):>5}"
            f" {size(round(one.moved)) if one.moved else '':>9}" + ("  misses a guard" if one.guards else "")
        )
    yield ""
    yield "What this cannot tell:"
    yield from (f"  {words}" for words in found.cannot_tell)


def _short(value: float) -> str:
    return "-" if value != value else figure(value, 3)

"""`wardgate federate train`: train a network of a locked study over hospitals, on this machine or over the road."""

import datetime
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.federate import Epsilon, Network, few_threads, progress, read_corpora
from wardgate.cli.files import bytes_in, json_in, text_in, write_out
from wardgate.cli.options import AsJson
from wardgate.cli.running import utc_now
from wardgate.cli.streams import turned_aside
from wardgate.cli.study import StudyFile, read_study
from wardgate.entropy import SystemEntropy
from wardgate.federation.compare import OnEvent, Settings
from wardgate.federation.connect import Wait, connect
from wardgate.federation.local import Settings as LocalSettings
from wardgate.federation.local import find_hospitals, local
from wardgate.federation.networks import AUTO
from wardgate.federation.session import Federation
from wardgate.federation.training import Finished, Wish, run
from wardgate.hub.pooling.networks.checkpoint import Checkpoint
from wardgate.papers.compare_page import compare_page
from wardgate.papers.training_page import NAMES, training_page
from wardgate.papers.words import figure, number, size
from wardgate.records.comparison import Comparison
from wardgate.records.errors import Invalid
from wardgate.records.study import Study
from wardgate.simulate.divide import divide, mapping_beside

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

MODEL, CHECKPOINT, RECORD, REPORT = "model.safetensors", "checkpoint.safetensors", "training.json", "report.html"
VOTES, TRANSCRIPT = "judgements.jsonl", "transcript"


@app.command("train")
def train(
    study: StudyFile,
    network: Network,
    out: Annotated[Path, typer.Option(help="New folder for model, checkpoint, report and transcript.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of a public data set, divided by the mapping beside the study.")
    ] = None,
    hospitals: Annotated[
        Path | None, typer.Option(help="Folder with one folder a hospital, each with its own source or mapping.")
    ] = None,
    hub: Annotated[
        Path | None, typer.Option(help="The hub's folder: train between machines, over hospitals that signed.")
    ] = None,
    algorithm: Annotated[
        str, typer.Option(help="auto, or fedavg, fedprox, scaffold, ...; with --epsilon dp-sgd or dp-fedavg.")
    ] = AUTO,
    commons: Annotated[
        list[Path] | None, typer.Option(help="Corpora on which 'auto' tries the algorithms. May be repeated.")
    ] = None,
    compared: Annotated[
        Path | None, typer.Option(help="The compare.json of an earlier comparison, for 'auto' to take its choice from.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="At most.")] = 50,
    epsilon: Epsilon = None,
    robust: Annotated[
        str | None, typer.Option(help="A rule over groups of hospitals that bears bad ones, e.g. nnm-trimmed-mean.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="A checkpoint of the same study, network and algorithm to go on from.")
    ] = None,
    patience: Annotated[float, typer.Option(help="With --hub: minutes that a round waits for a hospital.")] = 15.0,
    seed: Annotated[int, typer.Option(help="Makes everything repeatable but the noise that protects people.")] = 1,
    json_output: AsJson = False,
) -> None:
    """Train a network over hospitals and judge it on their holdout persons; leave model, report and signed evidence.

    Give one of --data, --hospitals and --hub. After every round a checkpoint is written into OUT.
    """
    if sum(one is not None for one in (data, hospitals, hub)) != 1:
        raise Invalid("give one of --data (a public set), --hospitals (their folders) and --hub (between machines)")
    if out.exists():
        raise Invalid(f"{out} exists; choose another --out")
    if hub is not None and resume is not None:
        raise Invalid("between machines the journal goes on by itself: run the same command again, without --resume")
    if hub is not None and algorithm == AUTO and epsilon is not None and compared is None:
        raise Invalid("a comparison with noise may end otherwise when the command is run again: give it by --compared")
    asked = read_study(study)
    text = text_in(study, "a study (YAML)")
    tables, digests = read_corpora(commons or ())
    wish = Wish(
        network=network,
        algorithm=algorithm,
        rounds=rounds,
        epsilon=epsilon,
        robust=robust,
        commons=tables,
        digests=digests,
        compared=None if compared is None else Comparison.from_plain(json_in(compared)),
        settings=Settings(rounds=min(rounds, Settings().rounds), seed=seed),
    )
    wish.check(asked)
    few_threads(asked, network)
    begun = None if resume is None else bytes_in(resume, "a checkpoint")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wardgate-")))
        screen = stack.enter_context(turned_aside(folder / "printed.log"))
        on_event = stack.enter_context(progress(quiet=json_output, screen=screen))
        if hub is not None:
            wait = Wait(patience_seconds=patience * 60.0)
            opening = connect(hub=hub, study=asked.fingerprint(), now=utc_now, wait=wait)
        else:
            homes = _homes(asked, study, data, hospitals, folder, on_event)
            opening = _here(asked, homes, folder, seed)
        federation = stack.enter_context(opening)
        finished = _trained(federation, wish, out, begun, on_event)
        federation.save(out / TRANSCRIPT, study_text=text)
    _write(out, finished)
    if json_output:
        typer.echo(json.dumps(finished.record.plain(), indent=2))
    else:
        typer.echo("\n".join(_told(out, finished)))


def _homes(
    study: Study, file: Path, data: Path | None, hospitals: Path | None, folder: Path, on_event: OnEvent
) -> dict[str, Path]:
    if hospitals is not None:
        return find_hospitals(hospitals, study)
    made = folder / "hospitals"
    on_event("divide the public data set into its hospitals", 0, 1)
    divide(data or Path(), study, mapping_beside(file), made)
    return find_hospitals(made, study)


@contextmanager
def _here(study: Study, homes: dict[str, Path], folder: Path, seed: int) -> Iterator[Federation]:
    work = folder / "private"
    work.mkdir(mode=0o700)
    settings = LocalSettings(seed=seed, issued_on=datetime.date.today().isoformat())
    with local(study=study, hospitals=homes, settings=settings, work=work) as federation:
        yield federation


def _trained(federation: Federation, wish: Wish, out: Path, begun: bytes | None, on_event: OnEvent) -> Finished:
    done = 0

    def on_ask(what: str, sites: int) -> None:
        on_event(f"{what} ({number(sites, 'site')})", done, wish.rounds)

    def on_round(point: Checkpoint) -> None:
        nonlocal done
        done = point.rounds
        out.mkdir(parents=True, exist_ok=True)
        write_out(out / CHECKPOINT, point.to_bytes())

    federation.on_event = on_ask
    return run(federation, wish, entropy=SystemEntropy(), resume=begun, on_round=on_round, on_event=on_event)


def _write(out: Path, finished: Finished) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_out(out / MODEL, finished.model.to_bytes())
    write_out(out / RECORD, finished.record.to_bytes() + b"\n")
    write_out(out / REPORT, training_page(finished.record).encode())
    if finished.comparison is not None:
        write_out(out / "compare.json", finished.comparison.to_bytes() + b"\n")
        write_out(out / "compare.html", compare_page(finished.comparison).encode())
    if finished.judgements:
        write_out(out / VOTES, b"".join(one.to_bytes() + b"\n" for one in finished.judgements))


def _told(out: Path, finished: Finished) -> Iterator[str]:
    record = finished.record
    how = "chosen by auto" if record.chosen else "as asked"
    rate = "" if record.rate is None else f", rate {record.rate:g}"
    yield f"Trained '{record.network}' over {number(len(record.sites), 'hospital')}: {record.algorithm}{rate}, {how}"
    claim = record.claim
    cost = f"epsilon {claim.epsilon:g} at delta {claim.delta:g}" if claim.kind == "dp" else "exact sums"
    yield f"  {len(record.rounds)} of {record.planned} rounds, model after {record.best}; {size(record.moved)}; {cost}"
    if record.stopped:
        yield f"  {record.stopped}"
    if record.held_out:
        figures = ", ".join(f"{NAMES.get(one.name, one.name)} {figure(one.value, 3)}" for one in record.held_out)
        yield f"  on holdout persons: {figures}"
    else:
        yield f"  not judged on holdout persons: {record.not_judged}"
    if record.advice:
        yield f"  Something simpler does as well on the commons: {record.advice}"
    yield from (f"  {alarm.kind}: {alarm.words}" for alarm in record.alarms)
    yield ""
    yield f"Model:   {out / MODEL}"
    yield f"Report:  {out / REPORT}"
    yield f"Check:   wardgate verify {out / TRANSCRIPT}"

"""A hub and hospitals as real processes in network namespaces: the same bits as in process, time, bytes, memory, cuts.

    .venv/bin/python benchmarks/consortium.py --part loopback|shaped|forty|large     (root; WARDGATE_DATA for IST)

Each part writes results of its own, consortium_PART.json. Every hospital is a machine of tests/laboratory: a network
namespace with its ward and wire, started by `wardgate site serve`; packets are recorded in all of them. The study's
driver runs in this process, on the hub's folder, as `wardgate study run` does.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from harness import ROOT, Figure, write

sys.path.insert(0, str(ROOT / "tests" / "federation"))
sys.path.insert(0, str(ROOT / "tests" / "laboratory"))

import smallest
from consortium_in_namespaces import HUB, Consortium, consortium
from namespaces import HOSPITAL_LINE, PLAIN, Line, why_not

from wardgate.federation.connect import Wait, run_connected
from wardgate.federation.local import Settings, find_hospitals, run_study
from wardgate.federation.session import Finished
from wardgate.hospital.premises import Premises
from wardgate.hospital.spool import FolderSpool
from wardgate.hub.chain import Run, Steps
from wardgate.hub.home import Home
from wardgate.records.envelope import Statement, seal
from wardgate.records.keyring import read_key
from wardgate.records.messages import ANSWER, Answer
from wardgate.records.parcel import Parcel, pack_bytes
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside

DATA = Path(os.environ.get("WARDGATE_DATA", ROOT.parent / "shared" / "data"))
LARGEST_COUNTRIES = 8
SEED = 1
PATIENCE = Wait(patience_seconds=3600.0)
BUSY = "the machine's two cores were shared by hub, hospitals and shaper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A run, and when each of its asks began."""

    finished: Finished
    asks: Sequence[tuple[float, str]]
    seconds: float

    def gaps(self, word: str) -> list[float]:
        """Seconds from each ask that begins with `word` to the next ask."""
        ends = [at for at, _ in self.asks[1:]]
        return [end - at for (at, what), end in zip(self.asks, ends, strict=False) if what.startswith(word)]


def timed(go: Callable[[Callable[[str, int], None]], Finished]) -> Timed:
    """Run with a clock beside every ask."""
    asks: list[tuple[float, str]] = []
    start = time.perf_counter()
    finished = go(lambda what, _: asks.append((time.perf_counter(), what)))
    return Timed(finished=finished, asks=asks, seconds=time.perf_counter() - start)


def only_fit(run: Run) -> Steps:
    """The federated fit alone, with what must come before it."""
    yield from run.review()
    yield from run.introduce(run.sites)
    yield from run.fit()


def only_review(run: Run) -> Steps:
    """One round."""
    yield from run.review()


@contextmanager
def countries(folder: Path) -> Iterator[tuple[Path, Study, dict[str, Path]]]:
    """IST divided into its largest countries: the study's file, the study, a folder each."""
    path = ROOT / "examples/ist/country.yaml"
    text = path.read_text(encoding="utf-8")
    every = parse(text, name=path.name)
    divide(DATA / "ist_stroke", every, mapping_beside(path), folder / "every")
    rows = {
        s: pl.scan_parquet(folder / "every" / s / "table.parquet").select(pl.len()).collect().item()
        for s in every.sites
    }
    chosen = sorted(sorted(rows, key=rows.__getitem__)[-LARGEST_COUNTRIES:])
    given = folder / "study.yaml"
    start = text.index("sites: [")
    given.write_text(text[:start] + f"sites: [{', '.join(chosen)}]" + text[text.index("]", start) + 1 :])
    study = parse(given.read_text(encoding="utf-8"), name=given.name)
    yield given, study, find_hospitals(folder / "every", study)


def small(folder: Path, sites: Sequence[str], persons: int) -> tuple[Path, Study, dict[str, Path]]:
    """Made-up hospitals, each small, with the study of the tests."""
    for number, site in enumerate(sites):
        smallest.write_hospital(folder / "every" / site, persons, (SEED, number), inverted=False, note="")
    given = folder / "study.yaml"
    given.write_text(smallest.STUDY.replace("SITES", ", ".join(sites)))
    study = parse(given.read_text(encoding="utf-8"), name=given.name)
    return given, study, find_hospitals(folder / "every", study)


def started(given: Consortium, study_file: Path) -> str:
    """Serve everybody, and let all sign."""
    for name in (HUB, *given.premises):
        given.serve(name)
    digest = given.propose(study_file, seed=SEED)
    given.sign(digest)
    return digest


def over_the_road(given: Consortium, digest: str, course: Callable[[Run], Steps]) -> Timed:
    """Drive a signed study from the hub's folder."""
    return timed(
        lambda on_event: run_connected(
            hub=given.home, study=digest, now=lambda: datetime.now(UTC), wait=PATIENCE, on_event=on_event, course=course
        )
    )


def in_process(
    given: Consortium, study: Study, homes: Mapping[str, Path], work: Path, course: Callable[[Run], Steps]
) -> Timed:
    """The same study over the same hospitals in this process, split by the same secrets."""
    work.mkdir()
    salts = {site: Premises(premises).salt.read_bytes() for site, premises in given.premises.items()}
    settings = Settings(seed=SEED, issued_on=datetime.now(UTC).date().isoformat(), salts=salts)
    return timed(
        lambda on_event: run_study(
            study=study, hospitals=homes, settings=settings, work=work, on_event=on_event, course=course
        )
    )


def same_bits(real: Timed, local: Timed) -> int:
    """Count coefficients of the federated fit that are not the same bits."""
    here, there = local.finished.run.federated, real.finished.run.federated
    if here is None or there is None:
        return -1
    a, b = np.asarray(here.beta, "<f8"), np.asarray(there.beta, "<f8")
    return int(np.sum(a.view("<u8") != b.view("<u8"))) if a.shape == b.shape else -1


def equality(what: str, real: Timed, local: Timed) -> Figure:
    """The coefficients of both roads, bit by bit."""
    differ = same_bits(real, local)
    entries = 0 if real.finished.run.federated is None else len(real.finished.run.federated.beta)
    return Figure(
        name=f"{what}: coefficients that differ in any bit from the fit in process, of {entries}",
        value=differ,
        goal="0",
        met=differ == 0,
        seeds=1,
        reason="" if differ == 0 else "see value; -1 where one of the fits is missing",
    )


def round_figure(what: str, real: Timed, local: Timed, *, goal: float | None) -> Figure:
    """Seconds of one exact sum of the fit, and what the road adds to it."""
    there, here = real.gaps("fit"), local.gaps("fit")
    if not there or not here:
        return Figure(name=f"{what}: overhead of a round trip", value=None, seeds=1, reason="the fit took no rounds")
    added = statistics.median(there) - statistics.median(here)
    return Figure(
        name=f"{what}: seconds that the road adds to a round trip of the fit, median of {len(there)}",
        value=round(added, 3),
        unit="s",
        goal="" if goal is None else f"<= {goal} s",
        met=None if goal is None else added <= goal,
        seeds=1,
        peers={
            "whole round over the road, median": round(statistics.median(there), 3),
            "slowest": round(max(there), 3),
            "the same round in process, median": round(statistics.median(here), 3),
        },
        reason=BUSY,
    )


def loopback() -> list[Figure]:
    """IST over plain lines: what real processes and the engine add."""
    with tempfile.TemporaryDirectory() as name, countries(Path(name)) as (file, study, homes):
        folder = Path(name)
        (folder / "c").mkdir()
        with consortium(folder / "c", homes, seed=SEED, line=PLAIN, typed=False) as given:
            digest = started(given, file)
            real = over_the_road(given, digest, only_fit)
            local = in_process(given, study, homes, folder / "local", only_fit)
            memory = {name: machine.memory_bytes() for name, machine in given.lab.machines.items()}
    what = f"IST, {len(homes)} countries, plain lines"
    return [
        equality(what, real, local),
        round_figure(what, real, local, goal=0.5),
        Figure(
            name=f"{what}: memory of a hospital after the fit (ward, wire and job together), median",
            value=round(statistics.median(memory[site] for site in homes) / 1e6),
            unit="MB",
            seeds=1,
            peers={"hub": round(memory[HUB] / 1e6), "largest": round(max(memory[site] for site in homes) / 1e6)},
            reason="proportional set size: pages shared by several processes are divided among them",
        ),
    ]


def shaped() -> list[Figure]:
    """The IST study from end to end over slow, lossy lines."""
    with tempfile.TemporaryDirectory() as name, countries(Path(name)) as (file, study, homes):
        folder = Path(name)
        (folder / "c").mkdir()
        with consortium(folder / "c", homes, seed=SEED, line=HOSPITAL_LINE, typed=False) as given:
            digest = started(given, file)
            before = {site: given.lab[site].moved_bytes() for site in homes}
            real = over_the_road(given, digest, Run.steps)
            after = {site: given.lab[site].moved_bytes() for site in homes}
            exchange = real.finished.exchange
            local = in_process(given, study, homes, folder / "local", only_fit)
    moved = {site: sum(after[site]) - sum(before[site]) for site in homes}
    useful = {site: exchange.bytes_out.get(site, 0) + exchange.bytes_in.get(site, 0) for site in homes}
    what = f"IST, {len(homes)} countries, 10 Mbit/s, 50 ms each way, 1 % loss"
    rounds = len(real.asks)
    return [
        equality(what, real, local),
        round_figure(what, real, local, goal=None),
        Figure(
            name=f"{what}: whole study from review to tested models, {rounds} asks",
            value=round(real.seconds, 1),
            unit="s",
            seeds=1,
            peers={"seconds an ask": round(real.seconds / rounds, 2)},
            reason=BUSY,
        ),
        Figure(
            name=f"{what}: bytes over a hospital's cable in the whole study, median, headers and heartbeats included",
            value=int(statistics.median(moved.values())),
            unit="B",
            seeds=1,
            peers={
                "largest": max(moved.values()),
                "signed records and vectors among them, median": int(statistics.median(useful.values())),
            },
        ),
    ]


LEAST_FREE = 3 * 2**30
"""Memory that stays free on the machine while sites are added."""


def forty(sites: int) -> list[Figure]:
    """Many small hospitals on one machine, as many as its memory holds."""
    names = [f"s{number:02d}" for number in range(sites)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, study, homes = small(folder, names, 200)
        (folder / "c").mkdir()
        with consortium(folder / "c", homes, seed=SEED, typed=False) as given:
            given.serve(HUB)
            for number, site in enumerate(names):
                if _free() < LEAST_FREE:
                    reason = f"stopped before site {number + 1}: less than {LEAST_FREE >> 30} GiB of memory was left"
                    return [
                        Figure(
                            name=f"{sites} sites on one machine",
                            value=number,
                            goal=f"{sites}",
                            met=False,
                            reason=reason,
                        )
                    ]
                given.serve(site)
                time.sleep(1)
            digest = given.propose(file, seed=SEED)
            given.sign(digest)
            real = over_the_road(given, digest, only_fit)
            memory = {site: given.lab[site].memory_bytes() for site in names}
            hub = given.hub.memory_bytes()
            free = _free()
            local = in_process(given, study, homes, folder / "local", only_fit)
    what = f"{sites} small sites on one machine, plain lines"
    return [
        equality(what, real, local),
        round_figure(what, real, local, goal=None),
        Figure(
            name=f"{what}: memory of a site (ward, wire and job together), median",
            value=round(statistics.median(memory.values()) / 1e6),
            unit="MB",
            seeds=1,
            peers={"hub": round(hub / 1e6), "free on the machine meanwhile": round(free / 1e6)},
        ),
    ]


def _free() -> int:
    line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024


def large(megabytes: int, line: Line) -> list[Figure]:
    """A large answer from one hospital, whose cable is pulled in the middle for a while."""
    names = ["north", "south", "west"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, _, homes = small(folder, names, 200)
        (folder / "c").mkdir()
        with consortium(folder / "c", homes, seed=SEED, lines={"north": line}, typed=False) as given:
            digest = started(given, file)
            over_the_road(given, digest, only_review)
            machine, premises, home = given.lab["north"], Premises(given.premises["north"]), Home(given.home)
            parcel = _update(premises, digest, megabytes * 1_000_000)
            size, before, peaks, idle = parcel.size, _peaks(given), dict[str, int](), machine.moved_bytes()[1]

            def seen(true: Callable[[], bool]) -> Callable[[], bool]:
                def look() -> bool:
                    peaks.update({what: max(peak, peaks.get(what, 0)) for what, peak in _peaks(given).items()})
                    return true()

                return look

            start = time.perf_counter()
            name_of = FolderSpool(premises.spool).put("answers", parcel)
            arrived = home.inbox("north") / f"{name_of}.parcel"
            cut = _until(seen(lambda: machine.moved_bytes()[1] - idle > 0.45 * size), arrived, seconds=1200)
            machine.cut()
            pause = 20.0
            time.sleep(pause)
            at_cut = machine.moved_bytes()[1] - idle
            machine.mend()
            _until(seen(arrived.exists), arrived, seconds=1200)
            took = time.perf_counter() - start
            sent = machine.moved_bytes()[1] - idle
            seen(arrived.exists)()
    growth = max(peaks[kind] - before.get(kind, 0) for kind in peaks)
    what = f"{megabytes} MB from one hospital over {line.mbit:g} Mbit/s, cable pulled for {pause:.0f} s in the middle"
    return [
        Figure(
            name=f"{what}: bytes sent over its cable, of the parcel's",
            value=round(sent / size, 3),
            goal="< 1.2",
            met=sent < 1.2 * size,
            seeds=1,
            peers={"of the parcel's, sent when it was cut": round(at_cut / size, 3), "seconds": round(took, 1)},
            reason="headers, repeats of lost packets and heartbeats included" + ("" if cut else "; it was never cut"),
        ),
        Figure(
            name=f"{what}: growth of the largest peak of a hub's process, of the parcel's size",
            value=round(growth / size, 2),
            goal="< 3",
            met=growth < 3 * size,
            seeds=1,
            peers={"largest peak of any of the hub's processes, MB": round(max(peaks.values()) / 1e6)},
            reason="" if growth < 3 * size else "see value",
        ),
    ]


def _update(premises: Premises, digest: str, size: int) -> Parcel:
    """A signed answer of a hospital to a question that came in, with a blob that no compression makes smaller."""
    questions = premises.wire / "studies" / digest / "questions"
    question = next(iter(sorted(path.name for path in questions.iterdir())))
    ref, blob = pack_bytes("update", np.random.default_rng(SEED).bytes(size))
    answer = Answer(
        study_sha256=digest,
        question_sha256=question,
        site="north",
        computation="review",
        outcome="released",
        verdict="not_judged",
        vectors=(ref,),
    )
    signer = read_key(premises.ward_key.read_bytes()).signer
    subjects = (("update", ref.sha256),)
    return Parcel(seal(Statement(predicate_type=ANSWER, predicate=answer.plain(), subjects=subjects), signer), (blob,))


def _peaks(given: Consortium) -> dict[str, int]:
    """The most memory that the hub's processes held so far, by what they run: a job begun anew is the same kind."""
    found: dict[str, int] = {}
    for line, peak in given.hub.peak_bytes().items():
        words = line.split()
        kind = words[words.index("-m") + 1] if "-m" in words else " ".join(words[1:4])
        found[kind] = max(peak, found.get(kind, 0))
    return found


def _until(true: Callable[[], bool], arrived: Path, *, seconds: float) -> bool:
    """Wait; say whether it came true before the parcel had arrived."""
    deadline = time.monotonic() + seconds
    while not true():
        if arrived.exists():
            return False
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing happened in {seconds:.0f} s")
        time.sleep(0.2)
    return True


def main() -> None:
    """Measure one part and write."""
    given = argparse.ArgumentParser(description="A consortium of real processes.")
    given.add_argument("--part", choices=("loopback", "shaped", "forty", "large"), required=True)
    given.add_argument("--sites", type=int, default=40, help="of the part 'forty'")
    given.add_argument("--megabytes", type=int, default=100, help="of the part 'large'")
    options = given.parse_args()
    reason = why_not()
    if reason is not None:
        sys.exit(reason)
    command = f".venv/bin/python benchmarks/consortium.py --part {options.part}"
    if options.part == "forty":
        figures = forty(options.sites)
        command += "" if options.sites == 40 else f" --sites {options.sites}"
    elif options.part == "large":
        figures = large(options.megabytes, HOSPITAL_LINE)
        command += "" if options.megabytes == 100 else f" --megabytes {options.megabytes}"
    else:
        figures = loopback() if options.part == "loopback" else shaped()
    for figure in figures:
        print(figure.name, figure.value, figure.unit, dict(figure.peers), flush=True)
    write(f"consortium_{options.part}", figures, command)


if __name__ == "__main__":
    main()

"""How a hub's cost grows with its hospitals: 8, 40, 120 and 466 of them on the whole road but for the engine.

    make bench NAME=many_sites

Each consortium fits one logistic regression by exact masked sums (the smallest study of the tests, 60 made-up persons a
hospital, real wards), first over the road, then with the same wards in process. Then it carries made sums of 400 and
100,000 masked entries, whose answers the stub signs in place of the wards: question (8 KB and the roster of all sites)
journalled, put out, brought over, answered, brought back, checked, filed, read and added. What stands for the engine is
a call from one end's frames to the other's, in one thread; how long the engine itself takes is measured elsewhere.

Seconds of the hub are what its side spends; those of wires and wards are booked apart. Files lie in memory, so that the
machine's disk does not blur the growth; beside them stands how often the hub waits for its disk, and one fit on a disk.
Memory is what a round allocates above what was there, at its peak (tracemalloc, in a round of its own).
"""

import argparse
import gc
import itertools
import os
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import Figure, write
from made_road import HUB_SEED, NOW, Consortium, Site, consortium
from smallest import COLUMNS

from wardgate.federation.carrier import Links
from wardgate.federation.connect import connect
from wardgate.federation.session import Federation
from wardgate.hub.pooling.newton import newton
from wardgate.hub.study.post import Post
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.messages import ANSWER, QUESTION, Answer, Question, SumTerms, open_answer
from wardgate.records.parcel import Parcel, pack_bytes, pack_vector, unpack_vector
from wardgate.road.box import Box

COMMAND = "make bench NAME=many_sites"
SIZES = (8, 40, 120, 466)
VECTORS = ((400, np.dtype("<u8")), (100_000, np.dtype("<u4")))
SEED = 7


Mark = tuple[dict[str, tuple[float, float, int]], tuple[int, int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round over the road: (wall, processor) seconds and waits for the disk, of the hub and of all wires together,
    bytes of one site, calls.
    """

    hub: tuple[float, ...]
    wire: tuple[float, ...]
    to_site: float
    from_site: float
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one number of sites gave.

    Attributes:
        steps: Rounds of the fit over the road.
        near: Processor seconds of the hub for the same steps in process.
        same: Whether both fits gave the same coefficients, to the bit.
        sums: Median rounds of made sums, by entries.
        peaks: Bytes that a round allocates at its peak, by entries.
        look: Processor seconds of one look into all sites' boxes when nothing came.
    """

    sites: int
    steps: Sequence[Round]
    near: float
    same: bool
    sums: Mapping[int, Round]
    peaks: Mapping[int, int]
    look: float


@dataclass(slots=True)
class Laps:
    """Rounds between one mark and the next."""

    made: Consortium

    def mark(self) -> Mark:
        """Read all meters."""
        return self.made.meter.read(), self.made.bytes(), sum(self.made.calls.values())

    def since(self, before: Mark) -> Round:
        """Return what was spent since a mark."""
        (was, old_bytes, calls), (now, new_bytes, later) = before, self.mark()
        count = len(self.made.sites)
        return Round(
            hub=tuple(new - old for new, old in zip(now["hub"], was["hub"], strict=True)),
            wire=tuple(new - old for new, old in zip(now["wire"], was["wire"], strict=True)),
            to_site=(new_bytes[0] - old_bytes[0]) / count,
            from_site=(new_bytes[1] - old_bytes[1]) / count,
            calls=later - calls,
        )


def measure(sites: int, *, folder: Path, repeats: int) -> Measured:
    """Run one consortium, its files below a folder."""
    with (
        consortium(Path(tempfile.mkdtemp(prefix="many-sites-", dir=folder)), sites=sites, seed=SEED) as made,
        ThreadPoolExecutor(1) as pool,
    ):
        made.sign()
        with connect(hub=made.home.root, study="attacked", now=lambda: NOW, wait=made.wait()) as federation:
            far, steps = fit(federation, Laps(made))
            print(sites, "over the road", [step.hub for step in steps], flush=True)
            road = federation.carrier
            federation.carrier = Links({site: Booked(made, site) for site in made.sites}, pool)
            near, rounds = fit(federation, Laps(made))
            federation.carrier = road
            sums = {
                entries: sum_over_the_road(federation, made, entries, dtype, repeats=repeats)
                for entries, dtype in VECTORS
            }
            peaks = {entries: peak(federation, made, entries, dtype) for entries, dtype in VECTORS}
        return Measured(
            sites=sites,
            steps=steps,
            near=statistics.median(one.hub[1] for one in rounds),
            same=far.tobytes() == near.tobytes(),
            sums=sums,
            peaks=peaks,
            look=look(made),
        )


def on_a_disk(sites: int) -> Sequence[Round]:
    """Return the rounds of one fit over the road, with all files on a disk."""
    with consortium(Path(tempfile.mkdtemp(prefix="many-sites-")), sites=sites, seed=SEED) as made:
        made.sign()
        with connect(hub=made.home.root, study="attacked", now=lambda: NOW, wait=made.wait()) as federation:
            return fit(federation, Laps(made))[1]


@dataclass(frozen=True, slots=True)
class Booked:
    """A ward in process, its time booked apart from the hub's."""

    made: Consortium
    site: str

    @property
    def public_key(self) -> bytes:
        return self.made.sites[self.site].signer.public_key

    def send(self, parcel: Parcel) -> None:
        with self.made.meter.at("ward"):
            self.made.sites[self.site].link.send(parcel)  # type: ignore[attr-defined]

    def receive(self) -> Parcel:
        with self.made.meter.at("ward"):
            return self.made.sites[self.site].link.receive()  # type: ignore[attr-defined,no-any-return]

    def close(self) -> None:
        """Nothing to do."""


def fit(federation: Federation, laps: Laps) -> tuple[np.ndarray, list[Round]]:
    """Fit one regression; return its coefficients and its rounds."""
    marks = []
    heard, federation.on_event = federation.on_event, lambda what, sites: marks.append(laps.mark())
    rounds: list[Round] = []

    def asked(what: str, sites: int) -> None:
        heard(what, sites)
        if marks:
            rounds.append(laps.since(marks.pop()))
        marks.append(laps.mark())

    federation.on_event = asked
    found = federation.drive(newton(sites=federation.sites, start=np.zeros(COLUMNS), ridge=1.0))
    rounds.append(laps.since(marks.pop()))
    federation.on_event = heard
    return found.beta, rounds


def sum_over_the_road(
    federation: Federation, made: Consortium, entries: int, dtype: np.dtype, *, repeats: int
) -> Round:
    """Carry made sums and check each total; return the round of the median processor seconds of the hub."""
    found = []
    for repeat in range(repeats):
        gc.collect()
        before = Laps(made).mark()
        carry(federation, made, entries, dtype, number=repeat)
        found.append(Laps(made).since(before))
    return sorted(found, key=lambda one: one.hub[1])[len(found) // 2]


def peak(federation: Federation, made: Consortium, entries: int, dtype: np.dtype) -> int:
    """Return what one round allocates at its peak."""
    gc.collect()
    tracemalloc.start()
    try:
        carry(federation, made, entries, dtype, number=1000)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def carry(federation: Federation, made: Consortium, entries: int, dtype: np.dtype, *, number: int) -> None:
    """Ask all sites for one made sum over the road, add up what came, and compare with the sum of what was sent."""
    sites, exchange = federation.sites, federation.exchange
    expected = np.zeros(entries, dtype)
    rng = np.random.default_rng([SEED, entries, number])
    masked = rng.integers(0, np.iinfo(dtype).max, entries, dtype=dtype, endpoint=True)

    def answer(site: Site, question: Parcel) -> Parcel:
        vector = masked + dtype.type(len(site.name) + int(site.name[1:]))
        np.add(expected, vector, out=expected)
        packed = pack_vector("masked", vector)
        said = Answer(
            study_sha256=exchange.study_sha256,
            question_sha256=sha256(question.envelope),
            site=site.name,
            computation="made",
            outcome="released",
            verdict="not_judged",
            vectors=(packed[0],),
        )
        subjects = (("masked", packed[0].sha256),)
        return Parcel(
            seal(Statement(predicate_type=ANSWER, predicate=said.plain(), subjects=subjects), site.signer), (packed[1],)
        )

    blob = pack_bytes("state", rng.bytes(8192))
    question = Question(
        study_sha256=exchange.study_sha256,
        number=100_000 + entries + number,
        computation="made",
        sum=SumTerms(
            roster=sites,
            entries=entries,
            persons=500 * len(sites),
            coin=exchange.coin,
            roster_sha256="0" * 64,
            bits=8 * dtype.itemsize,
        ),
        vectors=(blob[0],),
    )
    statement = Statement(predicate_type=QUESTION, predicate=question.plain(), subjects=(("state", blob[0].sha256),))
    parcel = Parcel(seal(statement, Signer(bytes.fromhex(HUB_SEED))), (blob[1],))
    made.made = answer
    try:
        answers = federation.carrier.carry(dict.fromkeys(sites, parcel), computation="made")
    finally:
        made.made = None
    total = np.zeros(entries, dtype)
    for site, came in answers.items():
        said = open_answer(came.envelope, site_key=made.sites[site].signer.public_key)
        np.add(total, unpack_vector(said.vectors[0], came.blobs[0]), out=total)
    if len(answers) != len(sites) or not np.array_equal(total, expected):
        raise RuntimeError("the sum over the road is not the sum of what was sent")


def look(made: Consortium) -> float:
    """Return processor seconds of the driver's look into all boxes when nothing came."""
    post = Post(made.home)
    spent = []
    for _ in range(6):
        before = time.process_time()
        for site in made.sites:
            post.collect(site)
        spent.append(time.process_time() - before)
    return statistics.median(spent[1:])


def box_seconds(folder: Path, size: int, *, repeats: int) -> dict[str, float]:
    """Return median milliseconds of put, names, read and remove of one parcel, and of a put that waits for no disk."""
    rng = np.random.default_rng(SEED)
    laps: dict[str, list[float]] = {}
    for durable in (True, False):
        box = Box(folder / f"{size}-{durable}", durable=durable)
        for _ in range(repeats):
            parcel = Parcel(rng.bytes(200), (rng.bytes(size),))
            marks = [time.perf_counter()]
            name = box.put(parcel)
            marks.append(time.perf_counter())
            box.names()
            marks.append(time.perf_counter())
            box.read(name)
            marks.append(time.perf_counter())
            box.remove(name)
            marks.append(time.perf_counter())
            steps = ("put", "names", "read", "remove") if durable else ("put without the disk",)
            for step, (start, end) in zip(steps, itertools.pairwise(marks), strict=False):
                laps.setdefault(step, []).append(1000 * (end - start))
    return {step: statistics.median(found) for step, found in laps.items()}


def of(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def of_one(one: Measured, *, repeats: int) -> list[Figure]:
    """What one number of sites gave."""
    steps, title = one.steps, f"{one.sites} sites"
    made = [
        Figure(
            name=f"{title}, step of a regression: processor seconds of the hub, over the road",
            value=round(of(step.hub[1] for step in steps), 3),
            unit="s",
            seeds=1,
            peers={"the same wards in process": round(one.near, 3)},
            reason=f"median of {len(steps)} steps; all wires together {of(step.wire[1] for step in steps):.3f} s, on"
            " machines of their own in a consortium. Wall time is not shown: the machine was shared",
        ),
        Figure(
            name=f"{title}, step of a regression: waits of the hub for its disk, a site",
            value=round(of(step.hub[2] for step in steps) / one.sites, 1),
            unit="fsync",
            seeds=1,
            reason=f"{of(step.wire[2] for step in steps) / one.sites:.1f} at each wire;"
            f" {steps[-1].calls / one.sites:g} calls a site",
        ),
        Figure(
            name=f"{title}, step of a regression: bytes of one site, to it and from it, frames and all",
            value=f"{of(step.to_site for step in steps):.0f} and {of(step.from_site for step in steps):.0f}",
            unit="bytes",
            seeds=1,
            reason="the question names the whole roster, once",
        ),
        Figure(
            name=f"{title}: coefficients over the road equal those in process, to the bit",
            value="yes" if one.same else "no",
            goal="yes",
            met=one.same,
            seeds=1,
            reason="" if one.same else "they differ",
        ),
        Figure(
            name=f"{title}: one look of the driver into all boxes when nothing came, processor milliseconds",
            value=round(1000 * one.look, 2),
            unit="ms",
            seeds=1,
            reason="it looks every 10 ms while it waits",
        ),
    ]
    for entries, dtype in VECTORS:
        lap, what = one.sums[entries], f"{title}, a sum of {entries} masked {dtype.name}"
        made += [
            Figure(
                name=f"{what}: processor seconds of the hub",
                value=round(lap.hub[1], 3),
                unit="s",
                seeds=1,
                reason=f"median of {repeats}; {lap.to_site:.0f} bytes to each site, {lap.from_site:.0f} from it",
            ),
            Figure(
                name=f"{what}: peak memory of a round",
                value=round(one.peaks[entries] / 2**20, 1),
                unit="MiB",
                seeds=1,
                reason=f"all answers together have {one.sites * entries * dtype.itemsize / 2**20:.1f} MiB, and are kept"
                " until the sum opens",
            ),
        ]
    return made


def growth(found: Sequence[Measured]) -> list[Figure]:
    """How costs grow with the sites."""
    sizes = [one.sites for one in found]
    rows = {
        "a step of a regression over the road": [of(step.hub[1] for step in one.steps) for one in found],
        "a step of a regression in process": [one.near for one in found],
        **{f"a sum of {entries} masked entries": [one.sums[entries].hub[1] for one in found] for entries, _ in VECTORS},
    }
    made = []
    for what, values in rows.items():
        slope = float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
        last = float(np.log(values[-1] / values[-2]) / np.log(sizes[-1] / sizes[-2]))
        made.append(
            Figure(
                name=f"growth of the hub's processor seconds with the sites: {what}",
                value=round(slope, 2),
                unit="exponent",
                seeds=1,
                reason=f"least squares over {', '.join(map(str, sizes))} sites, 1 is linear; between the last two"
                f" {last:.2f}",
            )
        )
    return made


def on_disks(sizes: Sequence[int]) -> list[Figure]:
    """What waiting for a disk costs: of a box, and of a step."""
    made = []
    for sites in sizes:
        steps = on_a_disk(sites)
        made.append(
            Figure(
                name=f"{sites} sites, files on a disk, step of a regression: wall seconds of the hub's side",
                value=round(of(step.hub[0] for step in steps), 3),
                unit="s",
                seeds=1,
                reason=f"median of {len(steps)}, of which {of(step.hub[1] for step in steps):.3f} s of processor; the"
                f" rest is {of(step.hub[2] for step in steps):.0f} waits for a disk and for the two cores, which other"
                f" work shared (load average {os.getloadavg()[0]:.0f}); one after the other here, side by side in an"
                " engine's threads",
            )
        )
    with tempfile.TemporaryDirectory() as folder:
        for size, count in ((4_000, 60), (400_000, 30), (10_000_000, 6)):
            took = box_seconds(Path(folder), size, repeats=count)
            made.append(
                Figure(
                    name=f"box on a disk: one parcel of {size} bytes put, listed, read and removed",
                    value=round(sum(took[step] for step in ("put", "names", "read", "remove")), 2),
                    unit="ms",
                    reason=f"median of {count}: "
                    + ", ".join(f"{step} {value:.2f} ms" for step, value in took.items())
                    + "; a put waits for the disk twice, for the file and for its name",
                )
            )
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--disk-sizes", type=int, nargs="*", default=[8])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="a folder in memory")
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    chosen = parser.parse_args()
    measured, told = [], []
    for size in chosen.sizes:
        repeats = chosen.repeats if size < 400 else 1
        measured.append(measure(size, folder=chosen.folder, repeats=repeats))
        told += of_one(measured[-1], repeats=repeats)
        print(measured[-1], flush=True)
    told += [*growth(measured), *on_disks(chosen.disk_sizes)]
    for figure in told:
        print(figure.name, figure.value, figure.unit, figure.reason)
    if not chosen.dry:
        write("many_sites", told, COMMAND)

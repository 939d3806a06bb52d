"""Boosting over real hospitals through the whole chain: equal to pooled; beside scikit-learn; with noise, beside peers.

make bench NAME=boosting        (needs the real data: WARDGATE_DATA, default ../shared/data)

Peers with noise run in environments of their own: WARDGATE_DIFFPRIVLIB names an interpreter with diffprivlib 0.6.5 and
scikit-learn below 1.4, WARDGATE_OPACUS one with torch 2.13.0 and opacus 1.6.0. Without them their figures are absent.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from harness import ROOT, Figure, Value, write
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from wardgate.computations.menu import MENU
from wardgate.entropy import SystemEntropy
from wardgate.federation.estimators import numbers_most
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.part import Part
from wardgate.hospital.ward.cohort.split import tables
from wardgate.hospital.ward.learning.menu import ANSWERS
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.boosting import Boosted, boosting
from wardgate.hub.pooling.boosting_private import PrivatelyBoosted, private_boosting
from wardgate.measures.boosting import Growth
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.random_trees import RandomGrowth
from wardgate.privacy.accountant import epsilon_of
from wardgate.privacy.noise import gaussian_release
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside

DATA = Path(os.environ.get("WARDGATE_DATA", ROOT.parent / "shared" / "data"))
TODAY = "2026-01-01"
EPSILON, DELTA = 1.0, 1e-6
SETS = (
    ("Heart", "examples/heart/study.yaml", "uci_heart"),
    ("IST by country", "examples/ist/country.yaml", "ist_stroke"),
    ("Diabetes-130", "examples/diabetes130/study.yaml", "diabetes130"),
)
Vector = NDArray[np.float64]
Driver = Callable[[Study, tuple[str, ...], int], Generator[Ask, Told, Any]]


@contextmanager
def hospitals(path: Path, data: Path) -> Iterator[tuple[Study, dict[str, Path], Path]]:
    """Divide a data set into its hospitals, under a study that lists boosting and its 301 exact sums."""
    text = path.read_text(encoding="utf-8")
    study = parse(text, name=path.name)
    own = {
        **study.plain(),
        "analyses": [name for name in MENU if name.startswith("boosting_")],
        "gate": {**study.gate.plain(), "dp": {**study.gate.dp.plain(), "exact_sum_ration": 400}},
    }
    study = Study.from_plain(own)
    with tempfile.TemporaryDirectory() as folder:
        homes = Path(folder) / "hospitals"
        homes.mkdir()
        divide(data, study, mapping_beside(path), homes)
        yield study, find_hospitals(homes, study), Path(folder)


def split_tables(study: Study, homes: dict[str, Path], seed: int) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """Return each site's training table, and all locked tests: only a benchmark may hold them in one place."""
    settings = Settings(seed=seed, issued_on=TODAY)
    parts = [tables(load(homes[site], study), study.splits, salt=settings.salt(site)) for site in study.sites]
    return [part["train"] for part in parts], pl.concat([part["locked_test"] for part in parts])


def through_the_chain(
    study: Study, homes: dict[str, Path], folder: Path, seed: int, driver: Driver
) -> tuple[Any, float, tuple[str, ...], int]:
    """Fit once in a session, signing, gate, masks and log included; its seconds do not count the enrolment."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        settings = Settings(seed=seed, issued_on=TODAY)
        with local(study=study, hospitals=homes, settings=settings, work=Path(work)) as federation:
            most = numbers_most(federation)
            start = time.perf_counter()
            fit = federation.drive(driver(study, federation.sites, most))
            return fit, time.perf_counter() - start, federation.sites, most


@dataclass(slots=True, kw_only=True)
class Desk:
    """One hospital without the chain around it."""

    study: Study
    table: pl.DataFrame
    kept: dict[str, Any] = field(default_factory=dict)

    def part(self, split: str) -> Part:
        del split
        return Part(table=self.table, x=np.zeros((0, 0)), y=labels(self.table))


def without_the_chain(steps: Generator[Ask, Told, Any], desks: Sequence[Desk], clock: dict[str, float]) -> Any:
    """Add plain vectors; with noise, every hospital its own whole noise. Notes seconds of wards and hub."""
    told: Told | None = None
    try:
        while True:
            start = time.perf_counter()
            ask = next(steps) if told is None else steps.send(told)
            clock["hub"] = clock.get("hub", 0.0) + time.perf_counter() - start
            start = time.perf_counter()
            vectors = [answered(ask, desk) for desk in desks]
            clock["wards"] = clock.get("wards", 0.0) + time.perf_counter() - start
            noise = 0.0
            if ask.noise_multiplier is not None and ask.shape is not None:
                how = {"l2": ask.shape.l2, "noise_multiplier": ask.noise_multiplier}
                vectors = [gaussian_release(vector, **how, entropy=SystemEntropy()) for vector in vectors]
                noise = ask.noise_multiplier * ask.shape.l2 * float(np.sqrt(len(desks)))
            told = Told(total=np.sum(vectors, axis=0), noise=noise)
    except StopIteration as end:
        return end.value


def answered(ask: Ask, desk: Desk) -> Vector:
    """Return one hospital's addend."""
    asked = MENU[ask.computation].read(ask.parameters, dict(ask.arrays))
    return np.asarray(ANSWERS[ask.computation].answer(asked, bench=desk, split=ask.split).vector)  # type: ignore[arg-type]


def numbers(study: Study, table: pl.DataFrame) -> Vector:
    """Return features as scikit-learn takes them: categories as codes, missing as NaN."""
    columns = []
    for feature in study.features:
        series = table[feature.name]
        if feature.type == "category":
            levels = {value: place for place, value in enumerate(feature.values or ())}
            series = series.replace_strict(levels, default=None, return_dtype=pl.Float64)
        columns.append(series.cast(pl.Float64).to_numpy())
    return np.column_stack(columns)


def of_scikit_learn(study: Study, train: pl.DataFrame, test: pl.DataFrame, seed: int) -> float:
    """Return the AUROC of HistGradientBoostingClassifier as it comes, categories declared."""
    peer = HistGradientBoostingClassifier(
        categorical_features=[feature.type == "category" for feature in study.features], random_state=seed
    )
    peer.fit(numbers(study, train), labels(train))
    return auroc(labels(test), peer.decision_function(numbers(study, test))).value


def score(fit: Boosted | PrivatelyBoosted, test: pl.DataFrame) -> float:
    """Return the AUROC of a fitted ensemble."""
    return auroc(labels(test), fit.trees.scores(fit.bins.codes(test), fit.bins)).value


def exact(title: str, path: str, data: str, seeds: tuple[int, ...]) -> list[Figure]:
    """Without noise: equality with pooled training, discrimination, time."""

    def driver(study: Study, sites: tuple[str, ...], most: int) -> Generator[Ask, Told, Boosted]:
        return boosting(study=study, sites=sites, growth=Growth(), numbers_most=most)

    seconds, ours, theirs, gaps, other_splits = [], [], [], [], 0
    with hospitals(ROOT / path, DATA / data) as (study, homes, folder):
        for seed in seeds:
            fit, took, sites, most = through_the_chain(study, homes, folder, seed, driver)
            train, test = split_tables(study, homes, seed)
            whole, clock = pl.concat(train), {}
            pooled = without_the_chain(driver(study, sites, most), [Desk(study=study, table=whole)], {})
            apart = without_the_chain(
                driver(study, sites, most), [Desk(study=study, table=one) for one in train], clock
            )
            other_splits += int(np.sum(fit.trees.splits.place != pooled.trees.splits.place))
            other_splits += int(np.sum(fit.trees.splits.cut != pooled.trees.splits.cut))
            other_splits += int(not apart.trees.splits.same(pooled.trees.splits))
            gaps.append(float(np.max(np.abs(fit.trees.value - pooled.trees.value))))
            seconds.append(took)
            ours.append(score(fit, test))
            theirs.append(of_scikit_learn(study, whole, test, seed))
            print(title, seed, round(took, 1), ours[-1], theirs[-1], gaps[-1], other_splits, flush=True)
    worst = min(a - b for a, b in zip(ours, theirs, strict=True))
    equal = other_splits == 0 and max(gaps) <= 1e-9
    count = len(sites)
    quick = statistics.median(seconds) < 60
    return [
        Figure(
            name=f"{title}, {count} sites, {len(fit.trees)} trees: splits that differ from pooled training",
            value=other_splits,
            goal="0",
            met=other_splits == 0,
            seeds=len(seeds),
            peers={"largest difference of a leaf value": max(gaps)},
            reason="" if equal else "see value",
        ),
        Figure(
            name=f"{title}: AUROC over all locked tests, median",
            value=round(statistics.median(ours), 4),
            goal=">= scikit-learn's HistGradientBoosting as it comes, same rows, - 0.003 in every seed",
            met=worst >= -0.003,
            seeds=len(seeds),
            peers={
                "scikit-learn, pooled (median)": round(statistics.median(theirs), 4),
                "least difference over seeds": round(worst, 4),
            },
            reason="" if worst >= -0.003 else "see the least difference",
        ),
        Figure(
            name=f"{title}: seconds of the fit through the whole chain over {count} sites in process, median",
            value=round(statistics.median(seconds), 1),
            unit="s",
            goal="< 60 s",
            met=quick,
            seeds=len(seeds),
            peers={
                "slowest": round(max(seconds), 1),
                "of it all wards' own arithmetic": round(clock["wards"], 2),
                "of it the driver's arithmetic": round(clock["hub"], 2),
                "sums": fit.sums,
                "numbers a sum (mean)": round(fit.numbers / fit.sums),
                "MB both ways, all sites": round(fit.bytes_moved / 1e6, 1),
            },
            reason="signing, gate, masks, budget and log of every answer included; reading data and enrolment are not",
        ),
    ]


def noisy(title: str, path: str, data: str, seeds: tuple[int, ...]) -> list[Figure]:
    """With noise in shares: one fit that costs epsilon 1, beside every hospital its own noise and beside peers."""
    growth = RandomGrowth()
    rows: dict[str, list[float]] = {}
    absent: dict[str, str] = {}
    cost = 0.0

    def with_noise(seed: int) -> Driver:
        return lambda study, sites, _: private_boosting(
            study=study, sites=sites, growth=growth, epsilon=EPSILON, delta=DELTA, public_seed=seed
        )

    with hospitals(ROOT / path, DATA / data) as (study, homes, folder):
        for seed in seeds:
            fit, took, sites, most = through_the_chain(study, homes, folder, seed, with_noise(seed))
            cost = max(cost, epsilon_of(gaussian=fit.events, delta=DELTA))
            train, test = split_tables(study, homes, seed)
            whole = pl.concat(train)
            rows.setdefault("noise in shares", []).append(score(fit, test))
            rows.setdefault("seconds", []).append(took)
            desks = [Desk(study=study, table=one) for one in train]
            alone = without_the_chain(with_noise(seed)(study, sites, most), desks, {})
            rows.setdefault("every hospital its own noise", []).append(score(alone, test))
            clean = without_the_chain(
                boosting(study=study, sites=sites, growth=Growth()), [Desk(study=study, table=whole)], {}
            )
            rows.setdefault("without noise, exact form", []).append(score(clean, test))
            for name, value in peers(study, whole, test, seed, absent).items():
                rows.setdefault(name, []).append(value)
            print(title, seed, {name: round(values[-1], 4) for name, values in rows.items()}, flush=True)
    middle = {name: round(statistics.median(values), 4) for name, values in rows.items()}
    best = max((value for name, value in middle.items() if name.startswith(("diffprivlib", "opacus"))), default=None)
    ours = middle.pop("noise in shares")
    shown: dict[str, Value] = {name: value for name, value in middle.items() if name != "seconds"} | absent
    shown |= {"lowest seed": round(min(rows["noise in shares"]), 4), "epsilon by the accountant": cost}
    shown |= {"seconds through the chain (median)": round(statistics.median(rows["seconds"]), 1), "sums": fit.sums}
    return [
        Figure(
            name=f"{title}, {len(sites)} sites, epsilon 1, delta 1e-6, noise in shares: AUROC, locked tests, median",
            value=ours,
            goal="above every DP peer on the pooled table",
            met=None if best is None else ours > best,
            seeds=len(seeds),
            peers=shown,
            reason="peers see the pooled table in one place; the best of each peer's settings is taken by its test "
            "AUROC, which favours the peer; diffprivlib's guarantee is pure (delta 0) and so asks for more noise",
        )
    ]


def peers(study: Study, train: pl.DataFrame, test: pl.DataFrame, seed: int, absent: dict[str, str]) -> dict[str, float]:
    """Return the AUROC of each peer's best setting in this seed."""
    commands = {
        "diffprivlib": ("WARDGATE_DIFFPRIVLIB", "dp_classifiers_diffprivlib.py", [f"{EPSILON}", f"{seed}"]),
        "opacus": ("WARDGATE_OPACUS", "dp_classifiers_opacus.py", [f"{EPSILON}", f"{DELTA}", f"{seed}"]),
    }
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.npz"
        x, tx = (design_matrix(study.features, table)[:, 1:] for table in (train, test))
        np.savez(file, x=x, y=labels(train), tx=tx, ty=labels(test))
        for name, (variable, script, arguments) in commands.items():
            python = os.environ.get(variable)
            if not python:
                absent[name] = f"not measured: {variable} names no interpreter"
                continue
            command = [python, str(ROOT / "benchmarks" / "peers" / script), str(file), *arguments]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            for setting, value in json.loads(done.stdout.splitlines()[-1]).items():
                kind = f"{name} {setting.split(',')[0].split(' of ')[0]}"
                found[kind] = max(found.get(kind, 0.0), float(value))
    return found


def main() -> None:
    """Measure and write."""
    figures: list[Figure] = []
    for title, path, data in SETS:
        figures += exact(title, path, data, seeds=(1, 2, 3))
    title, path, data = SETS[2]
    figures += noisy(title, path, data, seeds=(1, 2, 3, 4, 5))
    write("boosting", figures, "make bench NAME=boosting")


if __name__ == "__main__":
    main()

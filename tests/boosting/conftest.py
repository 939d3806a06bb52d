"""Hospitals in memory for boosting: the wards' own answers, the ring's rounding, noise where a driver asks for it."""

import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from wardgate.computations.menu import MENU
from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.part import Part
from wardgate.hospital.ward.learning.menu import ANSWERS
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.measures.encoding import labels
from wardgate.privacy.noise import gaussian_release
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside
from wardgate.sums.ring import decode, encode, exponents

STUDY = """\
schema: wardgate/study/1
id: boosted
version: 1
title: A study to grow trees on
question: Who gets worse?
cohort: {entry: admitted}
index_date: admission
label: {name: worse, meaning: worse within a week, window_days: [0, 7]}
features:
  - {name: age, type: integer, unit: a, range: [18, 100], missing: refused}
  - {name: marker, type: number, unit: mg/L, range: [0, 200]}
  - {name: ward, type: category, values: [a, b, c, d, e]}
  - {name: frail, type: boolean}
  - {name: sex, type: category, values: [female, male], missing: refused}
acceptance: {auroc_min: 0.5, worst_site_auroc_min: 0.3}
sites: [s0, s1, s2]
"""

SHIPPED = {
    "heart": ("examples/heart/study.yaml", "uci_heart"),
    "ist": ("examples/ist/country.yaml", "ist_stroke"),
    "diabetes": ("examples/diabetes130/study.yaml", "diabetes130"),
}


def persons(n: int, seed: int = 1) -> pl.DataFrame:
    """A table with a rise in age, a bend in the marker, two kinds of ward, and telling gaps."""
    rng = np.random.default_rng(seed)
    age, marker = rng.integers(18, 101, n).astype(float), np.round(rng.uniform(0, 200, n), 1)
    ward, frail = rng.choice(list("abcde"), n), rng.integers(0, 2, n).astype(float)
    gaps = {"marker": rng.random(n) < 0.15, "ward": rng.random(n) < 0.05, "frail": rng.random(n) < 0.1}
    score = 0.04 * (age - 60) + np.where(gaps["marker"], 1.5, -0.0004 * (marker - 90) ** 2)
    score += np.isin(ward, ["b", "d"]) * 1.2 + 0.5 * frail
    table = pl.DataFrame(
        {
            "age": age,
            "marker": marker,
            "ward": ward,
            "frail": frail,
            "sex": rng.choice(["female", "male"], n),
            "label": (rng.random(n) < 1 / (1 + np.exp(-score))).astype(np.int8),
        }
    )
    return table.with_columns(
        pl.when(pl.Series(gap)).then(None).otherwise(pl.col(name)).alias(name) for name, gap in gaps.items()
    )


@dataclass(slots=True, kw_only=True)
class Ward:
    """What an answer may look at."""

    study: Study
    parts: dict[str, Part]
    kept: dict[str, Any] = field(default_factory=dict)

    def part(self, split: str) -> Part:
        return self.parts[split]


@dataclass(slots=True, kw_only=True)
class Wards:
    """Hospitals whose answers are rounded and added as in the ring."""

    study: Study
    wards: list[Ward]
    ring: bool = True
    noise_share: float = 1.0
    leaves_at: int | None = None
    asked: list[Ask] = field(default_factory=list)
    totals: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], float]] = field(default_factory=list)

    def drive(self, driver: Generator[Ask, Told, Any]) -> Any:
        """Carry asks and sums until the driver is done. At ask number `leaves_at` the last hospital has gone."""
        try:
            ask = next(driver)
            while True:
                if self.leaves_at == len(self.asked):
                    self.wards, self.leaves_at = self.wards[:-1], None
                ask = driver.send(self.told(ask))
        except StopIteration as end:
            return end.value

    def told(self, ask: Ask) -> Told:
        assert ask.shape is not None
        self.asked.append(ask)
        vectors = [self.answer(ward, ask) for ward in self.wards]
        shape, persons_in_all = ask.shape, max(sum(count for _, count in vectors), 1)
        if ask.noise_multiplier is not None:
            exact = np.sum([vector for vector, _ in vectors], axis=0)
            multiplier = ask.noise_multiplier * self.noise_share
            noisy = gaussian_release(exact, l2=shape.l2, noise_multiplier=multiplier, entropy=SystemEntropy())
            self.totals.append((exact, noisy, ask.noise_multiplier * shape.l2))
            return Told(total=noisy, noise=ask.noise_multiplier * shape.l2, sites=self.names)
        if not self.ring:
            return Told(total=np.sum([vector for vector, _ in vectors], axis=0), sites=self.names)
        scale = exponents(persons=persons_in_all, bound=shape.bound, entries=shape.entries)
        rounded = [encode(v, exponents=scale, bound=shape.bound, persons_here=n) for v, n in vectors]
        return Told(total=decode(np.sum(rounded, axis=0, dtype=np.uint64), exponents=scale), sites=self.names)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"s{place}" for place in range(len(self.wards)))

    def answer(self, ward: Ward, ask: Ask) -> tuple[np.ndarray[Any, Any], int]:
        """One ward's addend, from the question as it travels."""
        asked = MENU[ask.computation].read(ask.parameters, dict(ask.arrays))
        assert ask.split in asked.splits
        found = ANSWERS[ask.computation].answer(asked, bench=ward, split=ask.split)
        expected = asked.shape(self.study)
        assert found.shape.l2 <= expected.l2 and np.array_equal(found.shape.bound, expected.bound)
        return found.vector, found.persons


def part_of(study: Study, table: pl.DataFrame) -> Part:
    """A split without the linear design, which trees do not need."""
    kept = table.select([*(feature.name for feature in study.features), "label"])
    return Part(table=kept, x=np.zeros((0, 0)), y=labels(kept))


def wards_of(study: Study, tables: Iterable[pl.DataFrame], tuning: Iterable[pl.DataFrame] = (), **how: Any) -> Wards:
    """Hospitals of these training (and tuning) tables."""
    wards = [Ward(study=study, parts={"train": part_of(study, table)}) for table in tables]
    for ward, table in zip(wards, tuning, strict=False):
        ward.parts["tuning"] = part_of(study, table)
    return Wards(study=study, wards=wards, **how)


@pytest.fixture(scope="session")
def study() -> Study:
    """A study with every kind of feature."""
    return parse(STUDY, name="study.yaml")


@pytest.fixture(scope="session")
def make_persons() -> Callable[..., pl.DataFrame]:
    """Makes tables of persons."""
    return persons


@pytest.fixture(scope="session")
def make_wards() -> Callable[..., Wards]:
    """Makes hospitals in memory."""
    return wards_of


@pytest.fixture(scope="session")
def shipped(root: Path, data_folder: Path) -> Callable[[str], tuple[Study, Mapping[str, pl.DataFrame]]]:
    """Loads a shipped study and the cohort of each of its hospitals."""
    known: dict[str, tuple[Study, Mapping[str, pl.DataFrame]]] = {}

    def tables_of(name: str) -> tuple[Study, Mapping[str, pl.DataFrame]]:
        if name not in known:
            study_path, data = SHIPPED[name]
            folder = data_folder / data
            if not folder.is_dir():
                reason = f"no data set {data} in the folder of real data"
                if os.environ.get("WARDGATE_REQUIRE_DATA") == "1":
                    pytest.fail(reason)
                pytest.skip(reason)
            study = parse((root / study_path).read_text(encoding="utf-8"), name="study.yaml")
            with tempfile.TemporaryDirectory() as work:
                homes = Path(work) / "homes"
                divide(folder, study, mapping_beside(root / study_path), homes)
                known[name] = study, {site: load(homes / site, study).table for site in study.sites}
        return known[name]

    return tables_of

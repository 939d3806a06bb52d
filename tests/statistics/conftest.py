"""Persons of made-up hospitals, and drivers driven over plain sums of the hospitals' own answers."""

import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_persons import persons, small_study
from wardgate.computations import model_scores, moments, platt, summaries, tables
from wardgate.hospital.ward.cohort.part import Part, part_of
from wardgate.hospital.ward.learning import model_scores as model_scores_here
from wardgate.hospital.ward.learning import moments as moments_here
from wardgate.hospital.ward.learning import platt as platt_here
from wardgate.hospital.ward.learning import summaries as summaries_here
from wardgate.hospital.ward.learning import tables as tables_here
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.records.study import Study

KINDS: dict[str, tuple[Any, Any]] = {
    "summaries": (summaries.Summaries, summaries_here),
    "moments": (moments.Moments, moments_here),
    "tables": (tables.Tables, tables_here),
    "model_scores": (model_scores.ModelScores, model_scores_here),
    "platt": (platt.Platt, platt_here),
}


class Bench:
    """One hospital, every split the same persons."""

    def __init__(self, study: Study, part: Part) -> None:
        self.study = study
        self.kept: dict[str, Any] = {}
        self._part = part

    def part(self, split: str) -> Part:
        return self._part


class Pool:
    """Hospitals whose answers are added in the open, with the noise that a sum promises where it promises some."""

    def __init__(self, study: Study, tables: Sequence[pl.DataFrame], seed: int = 0) -> None:
        self.study = study
        self.benches = [Bench(study, part_of(study, table)) for table in tables]
        self.whole = pl.concat(tables)
        self.rng = np.random.default_rng(seed)
        self.asks: list[Ask] = []

    def tell(self, ask: Ask) -> Told:
        """Answer one ask the way the wards would: from its signed parameters and arrays alone."""
        kind, room = KINDS[ask.computation]
        asked = kind.read(ask.parameters, dict(ask.arrays))
        assert ask.split in kind.splits
        self.asks.append(ask)
        answers = [room.answer(asked, bench=bench, split=ask.split) for bench in self.benches]
        shape = asked.shape(self.study)
        assert ask.shape is not None
        assert np.array_equal(ask.shape.bound, shape.bound)
        assert ask.shape.l2 == shape.l2
        total = np.sum([one.checked().vector for one in answers], axis=0)
        noise = 0.0 if ask.noise_multiplier is None else ask.noise_multiplier * shape.l2
        return Told(total=total + self.rng.normal(0, noise, len(total)) if noise else total, noise=noise)

    def drive(self, driver: Generator[Ask, Told, Any]) -> Any:
        """Return what a driver finds."""
        try:
            ask = next(driver)
            while True:
                ask = driver.send(self.tell(ask))
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="session")
def study() -> Study:
    return small_study()


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Study]:
    return small_study


@pytest.fixture(scope="session")
def make_persons() -> Callable[..., pl.DataFrame]:
    return persons


@pytest.fixture(scope="session")
def make_pool() -> type[Pool]:
    return Pool


@pytest.fixture
def pool(study: Study) -> Pool:
    """Three hospitals of different size, 3,000 persons."""
    whole = persons(3_000, seed=1)
    return Pool(study, [whole[:200], whole[200:1_000], whole[1_000:]])

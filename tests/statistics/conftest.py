"""Persons of made-up hospitals, and drivers driven over plain sums of the hospitals' own answers."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from wardgate.computations import model_scores, moments, platt, summaries, tables
from wardgate.hospital.ward.cohort.part import Part, part_of
from wardgate.hospital.ward.learning import model_scores as model_scores_here
from wardgate.hospital.ward.learning import moments as moments_here
from wardgate.hospital.ward.learning import platt as platt_here
from wardgate.hospital.ward.learning import summaries as summaries_here
from wardgate.hospital.ward.learning import tables as tables_here
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.records.study import Acceptance, Cohort, Feature, Label, Study

FEATURES = (
    Feature(name="age", type="integer", unit="a", range=(18, 99), missing="refused"),
    Feature(name="glucose", type="number", unit="mmol/L", range=(0, 30)),
    Feature(name="sex", type="category", values=("F", "M"), missing="refused"),
    Feature(name="stage", type="category", values=("I", "II", "III", "IV")),
    Feature(name="smoker", type="boolean", missing="refused"),
    Feature(name="cough", type="boolean"),
)

KINDS: dict[str, tuple[Any, Any]] = {
    "summaries": (summaries.Summaries, summaries_here),
    "moments": (moments.Moments, moments_here),
    "tables": (tables.Tables, tables_here),
    "model_scores": (model_scores.ModelScores, model_scores_here),
    "platt": (platt.Platt, platt_here),
}

SITES = ("a", "b", "c")


def small_study(*features: Feature, **changes: Any) -> Study:
    return Study(
        schema="wardgate/study/1",
        id="small",
        version=1,
        title="Small",
        question="Who has the outcome?",
        cohort=Cohort(entry="everybody"),
        index_date="admission",
        label=Label(name="outcome", meaning="the outcome", window_days=(0, 30)),
        features=features or FEATURES,
        acceptance=Acceptance(auroc_min=0.6, worst_site_auroc_min=0.5),
        sites=SITES,
        **changes,
    )


def persons(count: int, *, seed: int) -> pl.DataFrame:
    """Persons whose stage follows smoking, whose cough follows the stage, and whose outcome follows age and stage."""
    rng = np.random.default_rng(seed)
    age = np.clip(np.rint(rng.normal(62, 14, count)), 18, 99)
    smoker = (rng.random(count) < 0.3).astype(float)
    stage = np.clip(rng.poisson(0.7 + 1.2 * smoker), 0, 3)
    cough = (rng.random(count) < 0.2 + 0.2 * stage).astype(float)
    glucose = np.clip(rng.gamma(9, 0.75, count), 0, 30)
    risk = 1 / (1 + np.exp(-(-1.2 + 0.06 * (age - 62) + 0.7 * stage)))
    outcome = (rng.random(count) < risk).astype(np.int8)
    stages = np.array(["I", "II", "III", "IV"])[stage]
    return pl.DataFrame(
        {
            "age": age,
            "glucose": pl.Series(glucose).set(pl.Series(rng.random(count) < 0.15), None),
            "sex": np.array(["F", "M"])[(rng.random(count) < 0.5).astype(int)],
            "stage": pl.Series(stages).set(pl.Series(rng.random(count) < 0.1), None),
            "smoker": smoker,
            "cough": pl.Series(cough).set(pl.Series(rng.random(count) < 0.05 + 0.2 * outcome), None),
            "label": outcome,
        }
    )


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

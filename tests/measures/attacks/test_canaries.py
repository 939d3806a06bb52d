"""Invented records: made of the dictionary alone, and found only where a generator brings them back."""

import numpy as np
import polars as pl
import pytest

from wardgate.measures.attacks.canaries import chances, found, invent, twins_needed
from wardgate.measures.study_rules import rule_breakers
from wardgate.records.dictionary import OUTCOME
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.feature import ClinicalRule, Feature

FEATURES = (
    Feature(name="upper", type="integer", unit="mm[Hg]", range=(40, 260)),
    Feature(name="lower", type="integer", unit="mm[Hg]", range=(20, 160)),
    Feature(name="lactate", type="number", unit="mmol/L", range=(0.1, 30)),
    Feature(name="ward", type="category", values=("a", "b", "c")),
    Feature(name="diabetes", type="boolean"),
    OUTCOME,
)
RULES = (ClinicalRule(name="pressure", left="lower", op="<=", right="upper"),)


def persons(count: int, rng: np.random.Generator) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "upper": np.round(135 + 15 * rng.normal(size=count)),
            "lower": np.round(75 + 8 * rng.normal(size=count)),
            "lactate": np.round(np.exp(0.3 + 0.4 * rng.normal(size=count)), 1),
            "ward": rng.choice(["a", "b"], size=count),
            "diabetes": (rng.random(count) < 0.2).astype(float),
            "label": (rng.random(count) < 0.1).astype(np.int8),
        }
    )


def tried(synthetic: pl.DataFrame, drawn: pl.DataFrame, real: pl.DataFrame, planted: int = 20) -> int:
    return found(FEATURES, real=real, synthetic=synthetic, planted=drawn[:planted], twins=drawn[planted:])


@pytest.fixture(scope="module")
def drawn() -> pl.DataFrame:
    return invent(FEATURES, RULES, 2020, np.random.default_rng(1))


def test_canaries_lie_in_range_obey_the_rules_and_miss_nothing(drawn: pl.DataFrame) -> None:
    assert drawn.null_count().sum_horizontal().item() == 0
    assert not rule_breakers(RULES, FEATURES, drawn).any()
    for feature in FEATURES:
        if feature.range is not None:
            assert drawn[feature.name].is_between(*feature.range).all()
    assert (drawn["upper"] == drawn["upper"].round()).all()
    assert set(drawn["ward"].unique()) == {"a", "b", "c"}


def test_canaries_are_conspicuous(drawn: pl.DataFrame) -> None:
    extreme = (drawn["lactate"] < 0.1 + 0.06 * 29.9) | (drawn["lactate"] > 30 - 0.06 * 29.9)
    assert float(extreme.mean()) > 0.45


def test_rules_that_leave_no_room_are_not_evaluable() -> None:
    none = (ClinicalRule(name="never", left="upper", op="<", right="0"),)
    with pytest.raises(NotEvaluable, match="no canary"):
        invent(FEATURES, none, 50, np.random.default_rng(2))


def test_a_replaying_generator_brings_all_back(drawn: pl.DataFrame) -> None:
    real = persons(1500, np.random.default_rng(3))
    shown = pl.concat((real, drawn[:20].select(real.columns)), how="vertical_relaxed")
    assert tried(shown, drawn, real) == 20


def test_one_canary_brought_back_with_noise_is_found(drawn: pl.DataFrame) -> None:
    rng = np.random.default_rng(4)
    real = persons(1500, rng)
    noisy = drawn[:1].with_columns(pl.col("upper") + 2, pl.col("lactate") + 0.2)
    synthetic = pl.concat((persons(1500, rng), noisy.select(real.columns)), how="vertical_relaxed")
    assert tried(synthetic, drawn, real) == 1


def test_a_generator_that_learns_only_that_such_values_occur_is_clean() -> None:
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(60):
        drawn = invent(FEATURES, RULES, 2020, rng)
        real = persons(600, rng)
        synthetic = pl.concat(
            (persons(600, rng), invent(FEATURES, RULES, 20, rng).select(real.columns)), how="vertical_relaxed"
        )
        alarms += tried(synthetic, drawn, real) > 0
    # Binomial(60, 0.01): more than 7 has a chance below 1e-6.
    assert alarms <= 7


def test_too_few_twins_are_refused(drawn: pl.DataFrame) -> None:
    real = persons(100, np.random.default_rng(6))
    with pytest.raises(Invalid, match="twins"):
        tried(real, drawn[:500], real)
    assert twins_needed(20, level=0.01) == 2000


def test_the_chance_of_one_canary_is_a_rank() -> None:
    assert chances(np.array([0.0, 2.0, 9.0]), np.array([1.0, 2.0, 3.0])).tolist() == [0.25, 0.75, 1.0]

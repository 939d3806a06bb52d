"""A holdout that overlaps or differs is no control, and is found out; one split at random is left alone."""

import numpy as np
import polars as pl

from wardgate.measures.attacks.control import one_population, overlap
from wardgate.records.feature import Feature

FEATURES = (
    Feature(name="age", type="integer", unit="a", range=(0, 100)),
    Feature(name="sodium", type="number", unit="mmol/L", range=(100, 180)),
    Feature(name="region", type="category", values=("n", "s", "w")),
)
COARSE = FEATURES[2:]
NONE = np.zeros(4, dtype=bool)


def _table(rng: np.random.Generator, count: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "age": rng.integers(18, 90, count).astype(float),
            "sodium": np.round(139 + 3 * rng.normal(size=count), 2),
            "region": rng.choice(["n", "s", "w"], size=count),
        }
    )


def _overlap(features: tuple[Feature, ...], train: pl.DataFrame, holdout: pl.DataFrame, seed: int = 0) -> float:
    rng = np.random.default_rng(seed)
    return overlap(features, train, holdout, persons=(1000, 400), level=0.9, rng=rng).value


def test_persons_on_both_sides_are_found() -> None:
    rng = np.random.default_rng(0)
    train, holdout = _table(rng, 1000), _table(rng, 400)
    assert _overlap(FEATURES, train, pl.concat((holdout[:370], train[:30]))) < 0.001


def test_twins_that_coarse_columns_bring_are_no_overlap() -> None:
    rng = np.random.default_rng(1)
    found = [_overlap(COARSE, _table(rng, 1000), _table(rng, 400), seed) for seed in range(10)]
    some = [_overlap(FEATURES[::2], _table(rng, 1000), _table(rng, 400), seed) for seed in range(30)]
    assert min(found) > 0.05
    assert min(some) > 0.001
    assert _overlap(FEATURES, _table(rng, 1000), _table(rng, 400)) > 0.001


def test_sides_of_different_years_are_told_apart_and_sides_of_one_are_not() -> None:
    rng = np.random.default_rng(2)

    def value(shift: float) -> float:
        sides = [rng.normal(size=(1000, 4)).astype(np.float32) for _ in range(2)]
        sides[1][:, 2] += shift
        return one_population(*sides, NONE, persons=(1000, 1000), level=0.9, rng=rng).value

    assert value(0.5) < 1e-4
    assert min(value(0.0) for _ in range(10)) > 1e-5


def test_sides_of_one_value_do_not_differ() -> None:
    same = np.ones((200, 4), dtype=np.float32)
    found = one_population(same, same, NONE, persons=(200, 200), level=0.9, rng=np.random.default_rng(0))
    assert found.value > 0.4

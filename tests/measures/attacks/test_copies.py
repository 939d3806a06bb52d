"""Each veto sees its own copy and passes an innocent corpus, chance matches and ties included."""

import numpy as np
import polars as pl
import pytest

from wardgate.measures.attacks import copies
from wardgate.records.dictionary import Dictionary
from wardgate.records.feature import Feature, Subgroup

FEATURES = (
    Feature(name="age", type="integer", unit="a", range=(0, 100), quasi_identifier=True),
    Feature(name="sodium", type="number", unit="mmol/L", range=(100, 180)),
    Feature(name="region", type="category", values=("n", "s", "w"), quasi_identifier=True),
    Feature(name="sex", type="boolean"),
)


def _table(count: int, rng: np.random.Generator) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "age": np.clip(np.round(60 + 15 * rng.normal(size=count)), 0, 100),
            "sodium": np.round(139 + 3 * rng.normal(size=count), 3),
            "region": rng.choice(["n", "s", "w"], size=count, p=(0.6, 0.395, 0.005)),
            "sex": (rng.random(count) < 0.5).astype(float),
            "label": (rng.random(count) < 0.2).astype(np.int8),
        }
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def real(rng: np.random.Generator) -> pl.DataFrame:
    return _table(1500, rng)


MEMBER = np.arange(1500) < 1000


def test_whole_records_of_members_are_copies(real: pl.DataFrame, rng: np.random.Generator) -> None:
    assert copies.exact_matches(FEATURES, real, _table(1000, rng), MEMBER) > 0.05
    assert copies.exact_matches(FEATURES, real, pl.concat((_table(970, rng), real[:30])), MEMBER) < 1e-4


def test_whole_records_of_strangers_are_no_copies(real: pl.DataFrame, rng: np.random.Generator) -> None:
    assert copies.exact_matches(FEATURES, real, real[1000:], MEMBER) > 0.9


def test_chance_matches_of_common_patients_are_no_copies(rng: np.random.Generator) -> None:
    features = FEATURES[2:]
    pool, member = _table(1500, rng), np.arange(1500) < 1000
    found = [copies.exact_matches(features, pool, _table(1000, rng), member) for _ in range(20)]
    assert min(found) > 0.01


def test_lone_values_of_members_are_seen_though_no_row_is_copied(real: pl.DataFrame, rng: np.random.Generator) -> None:
    innocent = _table(1000, rng)
    assert copies.reused_values(FEATURES, real, innocent, MEMBER)[0] > 0.05
    shuffled = innocent.with_columns(real["sodium"][:1000].shuffle(seed=1))
    assert copies.exact_matches(FEATURES, real, shuffled, MEMBER) > 0.05
    assert copies.reused_values(FEATURES, real, shuffled, MEMBER)[0] < 1e-6


def test_rare_combinations_of_members_are_seen(rng: np.random.Generator) -> None:
    known = tuple(
        Feature(name=name, type="number", unit="1", range=(0, 1), quasi_identifier=True) for name in ("first", "second")
    )
    assert Dictionary(features=(*known, FEATURES[3])).quasi_identifiers == known

    def table(count: int) -> pl.DataFrame:
        return pl.DataFrame({"first": rng.random(count), "second": rng.random(count)})

    pool = table(1500)
    innocent, holders = copies.rare_combinations(known, pool, table(150), MEMBER)
    assert innocent > 0.01
    assert holders > 1000
    assert copies.rare_combinations(known, pool, pool[:150], MEMBER)[0] < 0.01
    assert copies.rare_combinations(known, pool, pool[1000:1150], MEMBER)[0] > 0.9


def test_rows_near_members_are_seen_and_ties_say_nothing(rng: np.random.Generator) -> None:
    near, index = rng.random(2000).astype(np.float32), rng.integers(0, 500, 2000)
    other = rng.random(2000).astype(np.float32)
    assert copies.near_copies(near, index, other, index, persons=(500, 500)) > 0.01
    close = near.copy()
    close[:40] = 0.00001
    assert copies.near_copies(close, index, other, index, persons=(500, 500)) < 0.01
    assert copies.near_copies(near, index, near, index, persons=(500, 500)) == 1.0


def test_a_crowd_around_one_person_is_one_hit(rng: np.random.Generator) -> None:
    near, index = rng.random(2000).astype(np.float32), rng.integers(0, 500, 2000)
    other = rng.random(2000).astype(np.float32)
    near[:30], index[:30] = 0.00001, 7
    assert copies.near_copies(near, index, other, index, persons=(500, 500)) > 0.01


def test_no_hits_are_no_evidence() -> None:
    nobody = np.zeros(0, dtype=bool)
    assert copies.excess(nobody, nobody) == 1.0
    assert copies.excess(np.zeros(10, dtype=bool), np.arange(10) < 5) == 1.0


def test_without_marked_traits_subgroups_then_categories_stand_in() -> None:
    plain = tuple(feature.model_copy(update={"quasi_identifier": False}) for feature in FEATURES)
    grouped = Dictionary(features=plain, subgroups=(Subgroup(feature="sex"),))
    assert [part.name for part in grouped.quasi_identifiers] == ["sex"]
    assert [part.name for part in Dictionary(features=plain).quasi_identifiers] == ["region", "sex"]
    assert copies.rare_combinations((), pl.DataFrame({"x": [1]}), pl.DataFrame({"x": [1]}), np.array([True])) == (
        1.0,
        0,
    )

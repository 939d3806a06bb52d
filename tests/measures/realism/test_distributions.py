"""Patterns, missingness, subgroups and the rare: a fresh sample scores near nothing, each change what it changed."""

import math

import numpy as np
import pytest

from wardgate.measures.realism.coding import equal_shares, values
from wardgate.measures.realism.groups import subgroup_error
from wardgate.measures.realism.joint import joint_error, public_groups
from wardgate.measures.realism.missingness import missingness_error
from wardgate.measures.realism.rare import rare_outcome_ratio
from wardgate.measures.realism.resampling import DRAWS, blocks, chance_distance, spread
from wardgate.records.dictionary import OUTCOME
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Matrix = np.ndarray
FEATURES = (
    Feature(name="a", type="number", unit="1", range=(-10, 10)),
    Feature(name="b", type="number", unit="1", range=(-10, 10)),
    Feature(name="parity", type="boolean"),
    Feature(name="kind", type="category", values=tuple("wxyz")),
    OUTCOME,
)


def _persons(count: int, rng: np.random.Generator) -> Matrix:
    """A yes or no that a and b decide together and neither alone; b is missing more often in those with the outcome."""
    a, b = rng.normal(size=(2, count))
    parity = ((a > 0) == (b > 0)).astype(float)
    label = (rng.random(count) < 0.3).astype(float)
    b[rng.random(count) < np.where(label == 1, 0.4, 0.1)] = np.nan
    return np.column_stack((a, b, parity, rng.choice(4, size=count, p=(0.57, 0.3, 0.1, 0.03)), label))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("cells", [4, 60, 2000])
def test_the_distance_by_chance_is_that_of_two_samples_of_one_population(cells: int, rng: np.random.Generator) -> None:
    shares = rng.dirichlet(np.ones(cells))
    pairs = [(rng.multinomial(400, shares), rng.multinomial(1000, shares)) for _ in range(300)]
    found = [np.abs(one / 400 - other / 1000).sum() / 2 for one, other in pairs]
    expected = [chance_distance(one.astype(float), other.astype(float)) for one, other in pairs]
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.04)


def test_blocks_of_persons_spread_as_persons_do(rng: np.random.Generator) -> None:
    codes = (rng.random(3000) < 0.2).astype(np.int64)
    found = []
    for _ in range(30):
        by = blocks(3000, rng=rng)
        found.append(spread(by.shares(by.counts(codes, 2))[:, 1]))
    assert np.mean(found) == pytest.approx(math.sqrt(0.2 * 0.8 / 3000), rel=0.1)
    assert by.shares(by.counts(codes, 2)).shape == (DRAWS, 2)


@pytest.mark.parametrize(("persons", "rows"), [(200, 500), (1000, 1000), (1000, 20_000)])
def test_a_fresh_sample_has_no_error_beyond_chance(persons: int, rows: int, rng: np.random.Generator) -> None:
    joint, missing = [], []
    for _ in range(20):
        real, corpus = _persons(persons, rng), _persons(rows, rng)
        found = joint_error(FEATURES, (), real, corpus, level=0.9, rng=rng)
        assert found is not None
        joint.append(found)
        missing.append(missingness_error(FEATURES, real, corpus, level=0.9, rng=rng))
    assert np.mean([one.value for one in joint]) < 0.02
    assert max(one.high for one in joint) < 0.15
    assert max(one.high for one in missing) < 0.15
    assert np.mean([one.value for one in missing]) < 0.04


def test_what_only_three_columns_show_together_is_seen(rng: np.random.Generator) -> None:
    real, corpus = _persons(2000, rng), _persons(2000, rng)
    corpus[:, 2] = rng.permutation(corpus[:, 2])
    together = joint_error(FEATURES, (("a", "b", "parity"),), real, corpus, level=0.9, rng=rng)
    apart = joint_error(FEATURES, (("a", "kind", "parity"),), real, corpus, level=0.9, rng=rng)
    assert together is not None
    assert apart is not None
    assert together.low > 0.15
    assert apart.value < 0.02
    assert "1 declared" in together.note


def test_no_overlap_scores_one_however_many_cells_there_are(rng: np.random.Generator) -> None:
    many = tuple(Feature(name=f"x{place}", type="number", unit="1", range=(-10, 10)) for place in range(9))
    real = rng.normal(size=(300, 9))
    found = joint_error(many, (tuple(one.name for one in many),), real, real + 5, level=0.9, rng=rng)
    assert found is not None
    assert found.value == pytest.approx(1)


def test_public_groups_hold_every_column_and_never_depend_on_data() -> None:
    assert public_groups(2) == ()
    for columns in (3, 4, 11, 40):
        groups = public_groups(columns)
        assert groups == public_groups(columns)
        assert set(range(columns)) == {place for group in groups for place in group}
        assert {len(set(group)) for group in groups} == {3}


@pytest.mark.parametrize("which", ["filled in", "at random", "out of range"])
def test_missingness_that_is_not_that_of_patients_is_seen(which: str, rng: np.random.Generator) -> None:
    real, corpus = _persons(3000, rng), _persons(3000, rng)
    if which == "filled in":
        corpus[:, 1] = np.nan_to_num(corpus[:, 1])
    elif which == "at random":
        corpus[:, 1] = rng.permutation(corpus[:, 1])
    else:
        corpus[rng.random(3000) < 0.2, 1] = np.nan
    found = missingness_error(FEATURES, real, corpus, level=0.9, rng=rng)
    # Dependence: 2 x |covariance| of missing and outcome, 2 x 0.3 x 0.7 x 0.3.
    assert found.value == pytest.approx({"filled in": 0.19, "at random": 0.126, "out of range": 0.16}[which], abs=0.03)
    assert found.low <= found.value <= found.high


def test_nothing_missing_is_no_error_and_single_persons_are_not_spoken_of(rng: np.random.Generator) -> None:
    real = np.nan_to_num(_persons(500, rng))
    none = missingness_error(FEATURES, real, real, level=0.9, rng=rng)
    few = real.copy()
    few[:10, 0] = np.nan
    assert none == missingness_error(FEATURES, few, real, level=0.9, rng=rng)
    assert none.value == 0


def test_a_group_made_of_others_is_seen_and_one_that_is_absent_scores_one(rng: np.random.Generator) -> None:
    def grouped(count: int) -> Matrix:
        table = _persons(count, rng)
        table[:, 0] += 1.5 * (table[:, 4] == 1)
        return table

    real, corpus = grouped(2000), grouped(2000)
    sides = [(real[:, 4] == value, corpus[:, 4] == value) for value in (0, 1)]
    honest = subgroup_error(FEATURES, sides, real, corpus, level=0.9, rng=rng)
    corpus[corpus[:, 4] == 1, 0] -= 1.5
    wrong = subgroup_error(FEATURES, sides, real, corpus, level=0.9, rng=rng)
    nobody = (sides[0], (sides[1][0], np.zeros(2000, dtype=np.bool_)))
    absent = subgroup_error(FEATURES, nobody, real, corpus, level=0.9, rng=rng)
    assert honest is not None
    assert wrong is not None
    assert absent is not None
    assert honest.high < 0.1
    assert wrong.low > 0.15
    assert absent.value == 1


def test_groups_too_small_are_left_out_and_said(rng: np.random.Generator) -> None:
    table = _persons(400, rng)
    large, small = np.arange(400) < 300, np.arange(400) < 20
    found = subgroup_error(FEATURES, [(large, large), (small, small)], table, table, level=0.9, rng=rng)
    assert found is not None
    assert "1 have fewer than 50" in found.note
    assert subgroup_error(FEATURES, [(small, small)], table, table, level=0.9, rng=rng) is None
    none = subgroup_error(FEATURES, [], table, table, level=0.9, rng=rng)
    assert none is not None
    assert (none.high, none.note) == (0, "No subgroup is declared.")


def test_a_rare_trait_that_vanishes_is_seen_and_few_persons_decide_nothing(rng: np.random.Generator) -> None:
    real, corpus = _persons(4000, rng), _persons(4000, rng)
    fresh = rare_outcome_ratio(FEATURES, real, corpus, level=0.9)
    lost = rare_outcome_ratio(FEATURES, real, corpus[corpus[:, 3] != 3], level=0.9)
    doubled = rare_outcome_ratio(FEATURES, real, np.concatenate((corpus, *[corpus[corpus[:, 3] == 3]] * 5)), level=0.9)
    small = _persons(150, rng)
    few = rare_outcome_ratio(FEATURES, small, small[small[:, 3] != 3], level=0.9)
    assert fresh is not None
    assert lost is not None
    assert doubled is not None
    assert few is not None
    assert 0.6 <= fresh.low <= fresh.value <= fresh.high <= 1.8
    assert lost.high < 1.5
    assert lost.low < 0.25
    assert doubled.high > 3
    assert few.low > 0.5
    for one in (fresh, lost, doubled, few):
        assert all(round(end * 10) == pytest.approx(end * 10) for end in (one.value, one.low, one.high))


def test_a_count_below_eleven_changes_nothing_that_is_told() -> None:
    def with_rare(count: int) -> Matrix:
        table = np.zeros((2000, 5))
        table[:count, 3] = 3
        table[:600, 4] = 1
        return table

    corpus = with_rare(300)
    told = {str(rare_outcome_ratio(FEATURES, with_rare(count), corpus, level=0.9)) for count in range(11)}
    assert len(told) == 1
    assert "too rare" in str(rare_outcome_ratio(FEATURES, with_rare(4), with_rare(4), level=0.9))


def test_without_an_outcome_or_rare_traits_there_is_nothing_to_lose(rng: np.random.Generator) -> None:
    table = rng.normal(size=(100, 2))
    found = rare_outcome_ratio(FEATURES[:2], table, table, level=0.9)
    assert found is not None
    assert found.value == 1
    assert "no outcome" in found.note


def test_constant_missing_and_thousand_level_columns_are_coded(rng: np.random.Generator) -> None:
    wide = (
        Feature(name="constant", type="number", unit="1", range=(0, 1)),
        Feature(name="missing", type="integer", unit="1", range=(0, 9)),
        Feature(name="codes", type="category", values=tuple(f"c{place}" for place in range(1000))),
        Feature(name="flag", type="boolean"),
    )
    real = np.column_stack(
        (np.ones(3000), np.full(3000, np.nan), rng.integers(1000, size=3000), rng.integers(2, size=3000))
    )
    coding = equal_shares(wide, real, parts=3, most_levels=5)
    found = coding(real)
    assert all(found[:, place].max() < width for place, width in enumerate(coding.widths))
    assert coding.lumped == 1
    other = real[rng.permutation(3000)]
    joint = joint_error(wide, (), real, other, level=0.9, rng=rng)
    assert joint is not None
    assert joint.value < 0.01
    assert missingness_error(wide, real, other, level=0.9, rng=rng).value < 0.01


def test_values_out_of_range_are_missing_and_unknown_ones_refuse() -> None:
    import polars as pl

    table = pl.DataFrame({"a": [0.0, 11.0, None, -10.0], "kind": ["w", None, "z", "x"]})
    found = values((FEATURES[0], FEATURES[3]), table)
    np.testing.assert_array_equal(found, [[0, 0], [np.nan, np.nan], [np.nan, 3], [-10, 1]])
    with pytest.raises(Invalid) as caught:
        values((FEATURES[3],), table.with_columns(kind=pl.lit("moon")))
    assert "moon" not in str(caught.value)

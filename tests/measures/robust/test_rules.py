"""The rules that find a middle: as their papers say, whatever the order, never no number, and up to their breakdown."""

import numpy as np
import pytest
import robust_oracles as oracles
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wardgate.measures.robust.menu import DEFAULT, RULES, middle
from wardgate.measures.robust.points import COLUMNS, FURTHEST
from wardgate.records.errors import Invalid

ROBUST = sorted(set(RULES) - {"mean"})
MEAN_WITHOUT_LIARS = ["mean", "trimmed-mean", "multi-krum", "nnm-trimmed-mean", "centred-clipping"]

ORACLES = {
    "mean": lambda x, w, f: np.average(x, axis=0, weights=w),
    "median": lambda x, w, f: oracles.median(x, w),
    "trimmed-mean": oracles.trimmed,
    "multi-krum": oracles.krum,
    "nnm-trimmed-mean": oracles.mixed_trimmed,
    "centred-clipping": lambda x, w, f: oracles.clipping(x, w),
}


@pytest.mark.parametrize("rule", sorted(ORACLES))
@pytest.mark.parametrize("seed", range(8))
def test_a_rule_does_what_its_paper_says(rule: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(5, 12))
    corrupt = int(rng.integers(1, (count - 3) // 2 + 1))
    values, weights = rng.normal(size=(count, 4)), rng.uniform(0.5, 3, size=count)
    expected = ORACLES[rule](values, weights, corrupt)
    np.testing.assert_allclose(middle(values, rule=rule, corrupt=corrupt, weights=weights), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_geometric_median_has_the_least_sum_of_distances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=(9, 3)), rng.uniform(0.5, 2, size=9)
    found = middle(values, rule="geometric-median", corrupt=0, weights=weights)
    slow = oracles.geometric(values, weights)
    assert oracles.distances(found, values, weights) <= oracles.distances(slow, values, weights) + 1e-9
    np.testing.assert_allclose(found, slow, atol=0.01)


def test_the_geometric_median_of_points_that_mostly_agree_is_where_they_agree() -> None:
    values = np.vstack([np.tile([1.0, 2.0], (5, 1)), [[50.0, -3.0], [9.0, 9.0]]])
    np.testing.assert_allclose(middle(values, rule="geometric-median", corrupt=0), [1.0, 2.0], atol=1e-4)
    np.testing.assert_array_equal(middle(np.ones((3, 2)), rule="geometric-median", corrupt=0), [1.0, 1.0])


@pytest.mark.parametrize("rule", MEAN_WITHOUT_LIARS)
def test_with_nobody_corrupt_a_rule_is_the_weighted_mean(rule: str) -> None:
    rng = np.random.default_rng(3)
    values, weights = rng.normal(size=(10, 30)), rng.uniform(1, 9, size=10)
    expected = np.average(values, axis=0, weights=weights)
    np.testing.assert_allclose(middle(values, rule=rule, corrupt=0, weights=weights), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_order_of_points_changes_not_one_bit(rule: str) -> None:
    rng = np.random.default_rng(4)
    values, weights = np.round(rng.normal(size=(11, 40)), 1), rng.uniform(1, 9, size=11)
    values[3] = values[7]
    first = middle(values, rule=rule, corrupt=3, weights=weights)
    for _ in range(5):
        order = rng.permutation(11)
        again = middle(values[order], rule=rule, corrupt=3, weights=weights[order])
        np.testing.assert_array_equal(first, again)


@settings(max_examples=60, deadline=None)
@given(
    values=arrays(np.float64, (7, 3), elements=st.floats(-1e300, 1e300)),
    corrupt=st.integers(0, 3),
    rule=st.sampled_from(sorted(RULES)),
)
def test_what_comes_out_is_always_a_number_within_what_went_in(values: np.ndarray, corrupt: int, rule: str) -> None:
    found = middle(values, rule=rule, corrupt=corrupt)
    assert np.all(np.isfinite(found))
    slack = 1e-9 * np.max(np.abs(values), initial=0)
    assert np.all(found <= values.max(axis=0) + slack) and np.all(found >= values.min(axis=0) - slack)


@pytest.mark.parametrize("rule", ROBUST)
@pytest.mark.parametrize("far", [1e1, 1e3, 1e9, 1e200])
def test_up_to_its_breakdown_liars_move_a_rule_no_further_than_honest_points_differ(rule: str, far: float) -> None:
    """Whatever 3 of 11 say, together or apart, the middle stays among the honest; the mean does not."""
    rng = np.random.default_rng(5)
    honest = rng.normal(size=(8, 20))
    for lies in (np.full((3, 20), far), far * rng.normal(size=(3, 20)), np.diag([far, -far, far])[:, [0] * 20]):
        values = np.vstack([honest, lies])
        moved = np.linalg.norm(middle(values, rule=rule, corrupt=3) - honest.mean(axis=0))
        assert moved < 2 * np.max(np.linalg.norm(honest - honest.mean(axis=0), axis=1))
    assert np.max(np.abs(middle(values, rule="mean", corrupt=0) - honest.mean(axis=0))) > min(far, FURTHEST) / 20


def test_beyond_its_breakdown_the_default_follows_the_liars() -> None:
    values = np.vstack([np.zeros((4, 5)), np.full((7, 5), 100.0)])
    assert np.all(middle(values, rule=DEFAULT, corrupt=3) > 50)


def test_a_liar_that_claims_a_great_weight_is_trimmed_all_the_same() -> None:
    rng = np.random.default_rng(6)
    honest = rng.normal(size=(9, 4))
    values, weights = np.vstack([honest, np.full((1, 4), 1e6)]), np.array([1.0] * 9 + [1e6])
    assert np.all(np.abs(middle(values, rule="trimmed-mean", corrupt=1, weights=weights)) < 3)


def test_networks_larger_than_one_block_of_coordinates_are_sorted_in_blocks() -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(size=(5, COLUMNS + 3))
    np.testing.assert_allclose(middle(values, rule="median", corrupt=0), np.median(values, axis=0), atol=1e-15)
    trimmed = middle(values, rule="trimmed-mean", corrupt=1)
    np.testing.assert_allclose(trimmed, np.sort(values, axis=0)[1:-1].mean(axis=0), atol=1e-14)


@pytest.mark.parametrize(
    ("values", "weights", "corrupt", "rule"),
    [
        (np.zeros((0, 3)), None, 0, DEFAULT),
        (np.zeros((2, 2, 2)), None, 0, DEFAULT),
        (np.full((4, 2), np.nan), None, 1, DEFAULT),
        (np.array([[np.inf], [0.0], [1.0]]), None, 1, DEFAULT),
        (np.zeros((4, 2)), None, 2, DEFAULT),
        (np.zeros((4, 2)), None, -1, DEFAULT),
        (np.zeros((4, 2)), [1, 1, 1], 1, DEFAULT),
        (np.zeros((4, 2)), [1, 1, 1, 0], 1, DEFAULT),
        (np.zeros((4, 2)), [1, 1, 1, np.nan], 1, DEFAULT),
        (np.zeros((4, 2)), None, 1, "krum-of-krums"),
    ],
)
def test_points_that_have_no_middle_are_refused(values: np.ndarray, weights: object, corrupt: int, rule: str) -> None:
    with pytest.raises(Invalid):
        middle(values, rule=rule, corrupt=corrupt, weights=weights)

"""Calibration: the slope of a regression, intervals that cover, curves without small groups, shifts that shrink."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from wardgate.measures.calibration import (
    curve_of_counts,
    in_the_large,
    observed_over_expected,
    recalibrate,
    slope_of_counts,
)

Array = np.ndarray[Any, Any]

counts = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=30)


def persons(n: int, seed: int, *, slope: float = 1.0, shift: float = 0.0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(-0.5, 1.2, n)
    return (rng.random(n) < expit(slope * logits + shift)).astype(np.int8), logits


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.7])
def test_the_slope_is_that_of_a_binomial_glm(slope: float) -> None:
    y, logits = persons(800, 2, slope=slope)
    model = sm.GLM(y, sm.add_constant(logits), family=sm.families.Binomial()).fit(tol=1e-13)
    found = slope_of_counts(logits, y.astype(float), 1.0 - y)
    assert found.value == pytest.approx(model.params[1], abs=1e-7)
    low, high = model.conf_int()[1]
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-5)


def test_the_slope_of_bins_is_the_glm_on_counts_and_near_that_of_persons() -> None:
    y, logits = persons(5000, 3, slope=0.7)
    edges = np.linspace(-4, 3, 61)
    place = np.clip(np.digitize(logits, edges) - 1, 0, 59)
    events = np.bincount(place, weights=y, minlength=60)
    others = np.bincount(place, minlength=60) - events
    middles = (edges[:-1] + edges[1:]) / 2
    full = events + others > 0
    model = sm.GLM(
        np.column_stack([events, others])[full], sm.add_constant(middles[full]), family=sm.families.Binomial()
    ).fit(tol=1e-13)
    found = slope_of_counts(middles, events, others)
    assert found.value == pytest.approx(model.params[1], abs=1e-7)
    assert found.value == pytest.approx(slope_of_counts(logits, y.astype(float), 1.0 - y).value, abs=0.02)


@pytest.mark.parametrize(
    ("events", "others"),
    [([0, 0, 0], [3, 4, 5]), ([3, 4, 5], [0, 0, 0]), ([0, 9, 0], [0, 9, 0]), ([0, 0, 0], [0, 0, 0])],
)
def test_a_slope_that_is_not_identified_is_no_number(events: list[int], others: list[int]) -> None:
    found = slope_of_counts(np.array([-1.0, 0.0, 1.0]), np.array(events, float), np.array(others, float))
    assert np.isnan([found.value, found.low, found.high]).all()


def test_persons_told_apart_wholly_give_no_wild_slope() -> None:
    logits = np.linspace(-2, 2, 40)
    found = slope_of_counts(logits, (logits > 0).astype(float), (logits <= 0).astype(float))
    assert np.isnan(found.value) or found.high - found.low > 10


def test_observed_over_expected_covers_one_for_a_calibrated_model() -> None:
    covered = 0
    for seed in range(300):
        y, logits = persons(400, seed)
        found = observed_over_expected(float(y.sum()), float(expit(logits).sum()), persons=len(y))
        covered += found.low <= 1 <= found.high
    assert covered / 300 >= 0.93
    off = observed_over_expected(200.0, 100.0, persons=1000)
    assert off.value == 2 and off.low > 1.5


@pytest.mark.parametrize(("events", "expected"), [(0.0, 5.0), (5.0, 0.0), (-1.0, 3.0), (float("nan"), 3.0)])
def test_observed_over_nothing_is_no_number(events: float, expected: float) -> None:
    assert np.isnan(observed_over_expected(events, expected, persons=20).value)


@given(counts, st.integers(2, 20))
def test_no_group_of_a_curve_is_below_eleven_persons(rows: list[tuple[int, int]], groups: int) -> None:
    events = np.array([e for e, _ in rows], dtype=float)
    others = np.array([n for _, n in rows], dtype=float)
    points = curve_of_counts(np.linspace(-2, 2, len(rows)), events, others, groups=groups)
    total = float(events.sum() + others.sum())
    assert len(points) != 1
    for point in points:
        assert point.share * total >= 11 - 1e-9
        assert 0 <= point.low <= point.observed <= point.high <= 1
    if points:
        assert sum(point.share for point in points) == pytest.approx(1)
        assert sum(point.share * point.observed for point in points) * total == pytest.approx(events.sum())
        assert [point.predicted for point in points] == sorted(point.predicted for point in points)


def test_a_curve_over_too_few_persons_is_not_shown() -> None:
    assert curve_of_counts(np.array([-1.0, 1.0]), np.array([5.0, 5.0]), np.array([5.0, 5.0])) == ()
    assert curve_of_counts(np.array([-1.0, 1.0]), np.array([6.0, 5.0]), np.array([5.0, 6.0])) != ()


def test_no_records_no_shift() -> None:
    nothing = recalibrate(np.array([], dtype=np.int8), np.array([]), prior_deviation=0.5)
    assert (nothing.value, nothing.deviation, nothing.records) == (0.0, float("inf"), 0)


def test_few_records_move_a_little_and_many_all_the_way() -> None:
    y, logits = persons(40_000, 4, shift=0.8)
    shifts = [recalibrate(y[:k], logits[:k], prior_deviation=0.3).value for k in (10, 100, 1000, 40_000)]
    assert 0 < shifts[0] < 0.5
    assert shifts[-1] == pytest.approx(0.8, abs=0.05)
    wide = [abs(recalibrate(y[:50], logits[:50], prior_deviation=d).value) for d in (0.01, 0.1, 0.3, 1.0, 10.0)]
    assert wide == sorted(wide) and wide[0] < 0.02


def test_the_shift_is_the_posterior_mode_and_without_a_prior_the_glm() -> None:
    y, logits = persons(200, 6, shift=-0.6)
    grid = np.linspace(-3, 3, 60_001)
    loss = [np.sum(y * (logits + s) - np.logaddexp(0, logits + s)) - 0.5 * (s / 0.4) ** 2 for s in grid[::20]]
    assert recalibrate(y, logits, prior_deviation=0.4).value == pytest.approx(
        grid[::20][int(np.argmax(loss))], abs=2e-3
    )
    model = sm.GLM(y, np.ones(len(y)), offset=logits, family=sm.families.Binomial()).fit(tol=1e-13)
    free = recalibrate(y, logits, prior_deviation=1e6)
    assert free.value == pytest.approx(model.params[0], abs=1e-6)
    assert free.deviation == pytest.approx(model.bse[0], rel=1e-4)


@given(st.integers(1, 50), st.floats(0.1, 0.9))
def test_no_shift_is_surer_than_its_floor(k: int, rate: float) -> None:
    y = (np.arange(k) < round(k * rate)).astype(np.int8)
    shift = recalibrate(y, np.full(k, logit(rate)), prior_deviation=0.3)
    p = expit(logit(rate) + shift.value)
    assert shift.deviation == pytest.approx(1 / np.sqrt(k * p * (1 - p)), rel=1e-6)
    assert shift.deviation >= 2 / np.sqrt(k) - 1e-9


def test_records_of_one_class_move_within_the_prior() -> None:
    for label in (0, 1):
        shift = recalibrate(np.full(50, label, dtype=np.int8), np.zeros(50), prior_deviation=0.3)
        assert np.isfinite(shift.value) and abs(shift.value) < 1.5
        assert np.sign(shift.value) == (1 if label else -1)


def test_calibration_in_the_large_is_nought_for_a_calibrated_model_and_covers() -> None:
    covered = 0
    for seed in range(300):
        y, logits = persons(200, seed, shift=0.4)
        found = in_the_large(y, logits)
        covered += found.low <= 0.4 <= found.high
    assert 0.92 <= covered / 300 <= 0.98
    y, logits = persons(50_000, 1)
    assert in_the_large(y, logits).value == pytest.approx(0, abs=0.05)
    assert np.isnan(in_the_large(np.ones(20, dtype=np.int8), np.zeros(20)).value)


def test_a_shift_by_what_is_wrong_makes_it_right() -> None:
    y, logits = persons(500, 9, shift=0.7)
    wrong = in_the_large(y, logits).value
    assert in_the_large(y, logits + wrong).value == pytest.approx(0, abs=1e-6)

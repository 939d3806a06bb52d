"""A changed training set is accepted only where it helps patients for certain."""

import math

import numpy as np
import pytest

from wardgate.measures.no_harm import benefits, judge, predicted, refit
from wardgate.records.errors import Invalid

LIMITS = (0.1, 0.2, 0.3)


def patients(n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and their true logits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1.5, 1.2, n)
    return (rng.random(n) < 1 / (1 + np.exp(-logits))).astype(np.int8), logits


def noisy(logits: np.ndarray, *, seed: int, spread: float = 1.5) -> np.ndarray:
    return logits + np.random.default_rng(seed).normal(0, spread, len(logits))


def test_net_benefit_is_that_of_the_decision_curve():
    y = np.array([1, 1, 0, 0, 0], dtype=np.int8)
    logits = np.array([2.0, -3.0, 2.0, -3.0, -3.0])
    assert benefits(y, logits, (0.2,)).mean() == pytest.approx(1 / 5 - 0.25 / 5)


def test_treating_everybody_has_the_net_benefit_of_the_prevalence():
    y, _ = patients(500, seed=1)
    value = benefits(y, np.full(500, 10.0), (0.3,)).mean()
    assert value == pytest.approx(y.mean() - 0.3 / 0.7 * (1 - y.mean()))


def test_a_better_model_is_accepted():
    y, logits = patients(3_000, seed=2)
    found = judge(y, noisy(logits, seed=3), logits, thresholds=LIMITS, rng=np.random.default_rng(4))
    assert found.accepted
    assert found.net_benefit.low > 0 and found.brier.low > 0
    assert "Net benefit improves:" in found.reasons[0]
    assert "improves for certain" in found.reasons[1]
    assert found.after.auroc.value > found.before.auroc.value


def test_a_worse_model_is_not():
    y, logits = patients(3_000, seed=2)
    found = judge(y, logits, noisy(logits, seed=3), thresholds=LIMITS, rng=np.random.default_rng(4))
    assert not found.accepted
    assert found.net_benefit.high < 0


def test_the_same_model_is_not_accepted():
    y, logits = patients(3_000, seed=5)
    assert not judge(y, logits, logits, thresholds=LIMITS, rng=np.random.default_rng(6)).accepted


def test_better_order_does_not_make_up_for_worse_calibration():
    """The broken twin is a rule that looks at AUROC alone."""
    y, logits = patients(4_000, seed=7)
    found = judge(
        y, noisy(logits, seed=8, spread=0.3), 2.5 * logits + 1.5, thresholds=LIMITS, rng=np.random.default_rng(9)
    )
    assert found.after.auroc.value > found.before.auroc.value
    assert not found.accepted
    assert "gets worse" in found.reasons[2]


def test_equal_models_are_seldom_accepted():
    """At most 5 % by construction of the rule; 14 of 60 have a chance below 1e-6."""
    accepted = 0
    for seed in range(60):
        y, logits = patients(400, seed=seed)
        one, other = (noisy(logits, seed=1_000 * k + seed, spread=0.5) for k in (1, 2))
        accepted += judge(y, one, other, thresholds=LIMITS, rng=np.random.default_rng(seed), draws=60).accepted
    assert accepted < 14


def test_small_gains_are_not_certain_in_few_persons():
    y, logits = patients(120, seed=10)
    assert not judge(
        y, noisy(logits, seed=11, spread=0.2), logits, thresholds=LIMITS, rng=np.random.default_rng(1)
    ).accepted


def test_too_few_events_are_no_evidence():
    y = np.zeros(500, dtype=np.int8)
    y[:10] = 1
    worse, better = np.full(500, -3.0), np.where(y == 1, 3.0, -3.0)
    found = judge(y, worse, better, thresholds=LIMITS, rng=np.random.default_rng(2))
    assert not found.accepted
    assert found.net_benefit is None
    assert "too few to tell" in found.reasons[0]


def test_slope_and_intercept_of_true_logits_are_one_and_zero():
    y, logits = patients(60_000, seed=12)
    assert refit(y, logits, np.ones(len(y))) == pytest.approx([0, 1], abs=0.05)
    assert refit(y, 2 * logits - 1, np.ones(len(y))) == pytest.approx([0.5, 0.5], abs=0.05)


def test_logits_that_separate_have_a_finite_slope():
    y = np.array([0] * 20 + [1] * 20, dtype=np.int8)
    assert np.isfinite(refit(y, np.where(y == 1, 5.0, -5.0), np.ones(40))).all()


def test_predictions_stay_within_reach():
    assert np.abs(predicted(np.array([[1.0, 1e6]]), np.array([0.0, 1.0]))).max() == 20


@pytest.mark.parametrize("limits", [(), (0.0,), (1.0,), (0.2, math.nan), (-0.1,)])
def test_thresholds_are_risks(limits):
    y, logits = patients(100, seed=13)
    with pytest.raises(Invalid, match="threshold"):
        judge(y, logits, logits, thresholds=limits, rng=np.random.default_rng(1))


@pytest.mark.parametrize("wrong", ["length", "nan", "outcome"])
def test_input_that_cannot_be_judged_is_refused(wrong):
    y, logits = patients(100, seed=14)
    after = (
        logits[:-1]
        if wrong == "length"
        else np.where(np.arange(100) == 3, np.nan, logits)
        if wrong == "nan"
        else logits
    )
    y = y * 2 if wrong == "outcome" else y
    with pytest.raises(Invalid):
        judge(y, logits, after, thresholds=LIMITS, rng=np.random.default_rng(1))


@pytest.mark.parametrize("change", [{"level": 1.0}, {"level": math.nan}, {"draws": 3}])
def test_intervals_need_a_level_and_draws(change):
    y, logits = patients(100, seed=15)
    with pytest.raises(Invalid, match="level"):
        judge(y, logits, logits, thresholds=LIMITS, rng=np.random.default_rng(1), **change)

import numpy as np
import pytest
from scipy.optimize import minimize

from wardgate.marginals.estimate import fitted, shrunk, simplex, smoothed, weighted


@pytest.mark.parametrize("seed", range(5))
def test_the_simplex_point_is_the_nearest_one(seed):
    values = np.random.default_rng(seed).normal(2, 5, 6)
    found = simplex(values, 10.0)
    slow = minimize(
        lambda x: ((x - values) ** 2).sum(),
        np.full(6, 10 / 6),
        bounds=[(0, None)] * 6,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 10},
    )
    assert found.min() >= 0
    assert found.sum() == pytest.approx(10)
    assert ((found - values) ** 2).sum() <= slow.fun + 1e-6


def test_a_total_of_nothing_leaves_nothing():
    assert simplex(np.array([3.0, -1.0]), 0.0).tolist() == [0, 0]


def test_pure_noise_is_shrunk_away_and_a_clear_effect_stays():
    rng = np.random.default_rng(3)
    scale = np.full(40, 500.0)
    noise = rng.normal(0, 30, 40)
    assert np.abs(shrunk(noise, variance=900, scale=scale)).mean() < 0.4 * np.abs(noise).mean()
    effect = 400 * np.sign(rng.normal(size=40))
    kept = shrunk(effect + noise, variance=900, scale=scale)
    assert np.allclose(kept, effect + noise, rtol=0.05, atol=15)


def test_without_noise_nothing_is_shrunk_or_smoothed():
    counts = np.array([5.0, 900.0, 3.0, 40.0, 0.0, 77.0])
    assert np.allclose(smoothed(counts, variance=0.0), counts, atol=0.5)
    assert np.allclose(shrunk(counts, variance=0.0, scale=np.full(6, 1000.0)), counts, atol=1e-3)


def test_smoothing_lends_to_neighbours_but_keeps_a_spike():
    rng = np.random.default_rng(2)
    bell = 400 * np.exp(-((np.arange(64) - 40) ** 2) / 200)
    raw = bell + rng.normal(0, 30, 64)
    assert np.linalg.norm(smoothed(raw, variance=900) - bell) < 0.6 * np.linalg.norm(raw - bell)
    spike = np.zeros(64)
    spike[0] = 5_000
    found = smoothed(spike + rng.normal(0, 30, 64), variance=900)
    assert found[0] == pytest.approx(5_000, rel=0.03)


def test_weights_follow_precision():
    mean, variance = weighted([np.array([0.0]), np.array([10.0])], [1.0, 4.0])
    assert mean[0] == pytest.approx(2.0)
    assert variance == pytest.approx(0.8)


def test_fitting_meets_its_margins():
    rng = np.random.default_rng(0)
    goal = rng.random((3, 4, 2))
    margins = [((0, 1), goal.sum(axis=2)), ((0, 2), goal.sum(axis=1)), ((1, 2), goal.sum(axis=0))]
    found = fitted(np.ones((3, 4, 2)), margins, sweeps=500)
    for axes, margin in margins:
        other = ({0, 1, 2} - set(axes)).pop()
        assert np.allclose(found.sum(axis=other), margin, rtol=1e-3)

import numpy as np
import pytest
from scipy.optimize import minimize

from wardgate.marginals.estimate import (
    fitted,
    likelihood,
    posterior,
    shrunk,
    simplex,
    smoothed,
    standing_out,
    weighted,
)


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


def test_a_long_tail_of_noise_is_cut_and_the_persons_stay():
    rng = np.random.default_rng(5)
    counts = np.concatenate([50_000 * 0.15 ** np.arange(4), np.zeros(60)])
    place = np.arange(64)

    def spread(cells):
        mean = (cells * place).sum() / cells.sum()
        return np.sqrt((cells * (place - mean) ** 2).sum() / cells.sum())

    for _ in range(5):
        noisy = counts + rng.normal(0, 45, 64)
        mean, variance = posterior(noisy, variance=45.0**2)
        run = standing_out(mean, variance=variance)
        kept = np.zeros(64)
        kept[run] = np.maximum(mean[run], 0)
        assert run.start == 0
        assert 3 <= run.stop < 20
        assert spread(kept) < 1.2 * spread(counts) < spread(np.maximum(noisy, 0)) / 2


def test_what_stands_out_far_from_the_rest_is_kept():
    counts = np.zeros(50)
    counts[3:9], counts[49] = 1_000.0, 400.0
    run = standing_out(counts, variance=np.full(50, 30.0**2))
    assert (run.start, run.stop) == (3, 50)


def test_a_trend_along_a_number_is_kept_where_cell_by_cell_it_would_drown():
    rng = np.random.default_rng(2)
    scale = np.full(16, 40.0)
    truth = scale * np.linspace(-0.8, 0.8, 16)
    alone, along = [], []
    for _ in range(20):
        noisy = truth + rng.normal(0, 25, 16)
        found = [likelihood(noisy, variance=np.full(16, 625.0), scale=scale, ordered=many).mean() for many in (0, 16)]
        alone.append(np.linalg.norm(found[0] - truth))
        along.append(np.linalg.norm(found[1] - truth))
    assert np.mean(along) < 0.85 * np.mean(alone)


def test_a_cell_that_was_measured_better_is_believed_more():
    found = likelihood(np.array([50.0, 50.0]), variance=np.array([1.0, 2500.0]), scale=np.full(2, 50.0)).mean()
    assert found[0] > 48
    assert found[1] < 0.7 * found[0]

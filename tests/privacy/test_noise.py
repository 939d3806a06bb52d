"""The noise is what it says it is, tested directly; halved noise is caught."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wardgate.entropy import UnsafeEntropy
from wardgate.privacy import noise
from wardgate.privacy.noise import bernoulli_exp, discrete_gaussian, gaussian_release, uniform_integers
from wardgate.records.errors import Invalid

DRAWS = 100_000
KNOWN_DRAWS = [-196, 1783, 1130, -1116, 521, -1588]


def chi_square(drawn: np.ndarray, *, sigma: float, cells: int = 60) -> float:
    """Return the p-value of `drawn` against the exact pmf of the discrete Gaussian, in about equal cells."""
    reach = math.ceil(12 * sigma)
    support = np.arange(-reach, reach + 1)
    weight = np.exp(-(support.astype(float) ** 2) / (2 * sigma**2))
    pmf = weight / weight.sum()
    cell = np.minimum((np.cumsum(pmf) - pmf / 2) * cells, cells - 1).astype(int)
    expected = np.bincount(cell, weights=pmf, minlength=cells) * len(drawn)
    assert np.abs(drawn).max() <= reach
    observed = np.bincount(cell[drawn + reach], minlength=cells)
    used = expected > 5
    observed, expected = (
        np.append(observed[used], observed[~used].sum()),
        np.append(expected[used], expected[~used].sum()),
    )
    kept = expected > 0
    statistic = float((((observed - expected) ** 2)[kept] / expected[kept]).sum())
    return float(stats.chi2.sf(statistic, kept.sum() - 1))


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 2.5, 4.2247, 30.0, 1024.0])
def test_draws_follow_the_discrete_gaussian(sigma: float) -> None:
    drawn = discrete_gaussian(sigma=sigma, size=DRAWS, entropy=UnsafeEntropy(f"chi {sigma}"))
    assert drawn.dtype == np.int64
    assert chi_square(drawn, sigma=sigma) > 1e-4


@pytest.mark.parametrize("sigma", [1.0, 4.2247, 1024.0])
@pytest.mark.parametrize("factor", [0.5, 0.95, 1.05])
def test_a_sampler_with_the_wrong_scale_is_caught(sigma: float, factor: float) -> None:
    mutant = discrete_gaussian(sigma=factor * sigma, size=DRAWS, entropy=UnsafeEntropy("mutant"))
    assert chi_square(mutant, sigma=sigma) < 1e-9


def test_a_rounded_continuous_gaussian_is_caught_where_it_differs() -> None:
    rounded = np.rint(np.random.default_rng(1).normal(0, 0.5, DRAWS)).astype(np.int64)
    assert chi_square(rounded, sigma=0.5) < 1e-9


@pytest.mark.parametrize("sigma", [2.0**20, 2.0**40])
def test_large_scales_follow_the_gaussian(sigma: float) -> None:
    drawn = discrete_gaussian(sigma=sigma, size=DRAWS, entropy=UnsafeEntropy("large"))
    assert stats.kstest(drawn / sigma, "norm").pvalue > 1e-4
    assert stats.kstest(drawn / sigma * 2, "norm").pvalue < 1e-9
    assert np.all(np.bincount(drawn & 7) / DRAWS == pytest.approx(1 / 8, abs=0.006))


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf, 2.0**42])
def test_an_unusable_sigma_is_refused(sigma: float) -> None:
    with pytest.raises(Invalid, match="sigma"):
        discrete_gaussian(sigma=sigma, size=1, entropy=UnsafeEntropy("bad"))


def test_sizes_are_kept_and_negative_ones_refused() -> None:
    for size in (0, 1, 7, 1000):
        assert discrete_gaussian(sigma=3.0, size=size, entropy=UnsafeEntropy("size")).shape == (size,)
    with pytest.raises(Invalid, match="size"):
        discrete_gaussian(sigma=3.0, size=-1, entropy=UnsafeEntropy("size"))


def test_known_draws_stay_the_same() -> None:
    drawn = discrete_gaussian(sigma=1000.0, size=6, entropy=UnsafeEntropy("wardgate"))
    assert drawn.tolist() == KNOWN_DRAWS


@settings(max_examples=30, deadline=None)
@given(below=st.integers(1, 2**62), seed=st.text(max_size=8))
def test_uniform_integers_stay_below(below: int, seed: str) -> None:
    drawn = uniform_integers(below, size=20, entropy=UnsafeEntropy(seed))
    assert drawn.min() >= 0
    assert drawn.max() < below


def test_uniform_integers_are_uniform() -> None:
    for below in (1, 3, 10):
        drawn = uniform_integers(below, size=30_000, entropy=UnsafeEntropy("uniform"))
        assert stats.chisquare(np.bincount(drawn, minlength=below)).pvalue > 1e-4 or below == 1
    with pytest.raises(Invalid):
        uniform_integers(0, size=1, entropy=UnsafeEntropy("uniform"))


def test_coins_have_the_stated_probability() -> None:
    for gamma in (0.0, 0.1, 1.0, 5.0):
        share = bernoulli_exp(np.full(DRAWS, gamma), entropy=UnsafeEntropy("coin")).mean()
        assert share == pytest.approx(math.exp(-gamma), abs=5 * math.sqrt(math.exp(-gamma) / DRAWS) + 1e-12)
    assert bernoulli_exp(np.zeros(10), entropy=UnsafeEntropy("sure")).all()
    assert not bernoulli_exp(np.full(DRAWS, 800.0), entropy=UnsafeEntropy("never")).any()


def test_a_release_has_the_promised_noise_and_is_unbiased() -> None:
    values = np.arange(DRAWS, dtype=float).reshape(-1, 100) / 7
    noisy = gaussian_release(values, l2=2.0, noise_multiplier=4.0, entropy=UnsafeEntropy("release"))
    assert noisy.shape == values.shape
    error = (noisy - values).ravel()
    # The noise covers the rounding of 10^5 entries, so it is slightly above l2 x multiplier.
    assert stats.kstest(error / 8.0, "norm").pvalue > 1e-4
    assert stats.kstest(error / 4.0, "norm").pvalue < 1e-9


def test_a_release_lies_on_a_public_lattice(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    real = noise.discrete_gaussian

    def seen(*, sigma: float, size: int, entropy: UnsafeEntropy) -> np.ndarray:
        steps.append(sigma)
        return real(sigma=sigma, size=size, entropy=entropy)

    monkeypatch.setattr(noise, "discrete_gaussian", seen)
    for l2, multiplier in ((1.0, 0.3), (1e-6, 4.0), (1e6, 40.0)):
        noisy = gaussian_release(np.full(50, l2 / 3), l2=l2, noise_multiplier=multiplier, entropy=UnsafeEntropy("x"))
        step = math.ldexp(1, math.frexp(l2 * multiplier)[1] - noise.LATTICE_BITS)
        assert np.all(noisy / step == np.rint(noisy / step))
        assert steps[-1] >= multiplier * (l2 / step + math.sqrt(50)) >= noise.MIN_LATTICE_SIGMA


@pytest.mark.parametrize(
    ("values", "l2", "multiplier"),
    [([math.nan], 1, 1), ([math.inf], 1, 1), ([1e18], 1, 1), ([1.0], 0, 1), ([1.0], 1, -1), ([1.0], math.inf, 1)],
)
def test_an_unusable_release_is_refused(values: list[float], l2: float, multiplier: float) -> None:
    with pytest.raises(Invalid) as error:
        gaussian_release(values, l2=l2, noise_multiplier=multiplier, entropy=UnsafeEntropy("bad"))
    assert "1e+18" not in str(error.value)

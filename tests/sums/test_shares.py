"""Noise in shares: the promise holds, with colluders, and halved noise is caught."""

import math

import numpy as np
import pytest
from scipy import stats

from wardgate.entropy import UnsafeEntropy
from wardgate.records.errors import Invalid, Unsupported
from wardgate.sums.shares import noise, promised_sigma, ring_sensitivity, share_sigma

ENTRIES = 20_000
SIGMA = 2.0**20


def summed(*, sites: int, tolerated: int, honest: int, factor: float = 1.0) -> np.ndarray:
    share = share_sigma(sigma=SIGMA, sites=sites, tolerated=tolerated) * factor
    return sum(
        noise(sigma=share, entries=ENTRIES, entropy=UnsafeEntropy(f"{sites} {site}")).view(np.int64)
        for site in range(honest)
    )


def variance_below(drawn: np.ndarray, sigma: float) -> float:
    """The p-value of the claim that `drawn` has at least the variance sigma^2."""
    return float(stats.chi2.cdf((drawn.astype(float) ** 2).sum() / sigma**2, len(drawn)))


@pytest.mark.parametrize(("sites", "tolerated"), [(3, 0), (3, 1), (10, 3), (50, 25)])
def test_the_honest_shares_alone_have_the_promised_noise(sites: int, tolerated: int) -> None:
    drawn = summed(sites=sites, tolerated=tolerated, honest=sites - tolerated)
    assert variance_below(drawn, SIGMA) > 1e-4
    assert stats.kstest(drawn / SIGMA, "norm").pvalue > 1e-4


def test_halved_shares_are_caught() -> None:
    assert variance_below(summed(sites=10, tolerated=3, honest=7, factor=0.5), SIGMA) < 1e-9
    assert variance_below(summed(sites=10, tolerated=3, honest=7, factor=0.97), SIGMA) < 1e-4


def test_shares_that_ignore_colluders_are_caught() -> None:
    assert variance_below(summed(sites=10, tolerated=0, honest=7), SIGMA) < 1e-9


def test_everybody_together_has_at_least_the_promise() -> None:
    assert variance_below(summed(sites=10, tolerated=3, honest=10), SIGMA) > 0.999


def test_sensitivity_holds_for_neighbours_after_rounding() -> None:
    rng = np.random.default_rng(2)
    entries, exponent, l2 = 400, 3, 1.0
    reach = ring_sensitivity(l2=l2, exponent=exponent, entries=entries, largest=100.0)
    worst = 0.0
    for _ in range(200):
        base = rng.uniform(-50, 50, entries)
        person = rng.normal(size=entries)
        person *= l2 / np.linalg.norm(person)
        moved = np.rint(np.ldexp(base + person, exponent)) - np.rint(np.ldexp(base, exponent))
        worst = max(worst, float(np.linalg.norm(moved)))
    assert math.ldexp(l2, exponent) < worst <= reach


def test_the_promise_covers_the_smoothing() -> None:
    assert promised_sigma(noise_multiplier=4.0, sensitivity=1000.0) == math.sqrt(4000.0**2 + 4)


def test_shares_too_small_for_the_proof_are_refused() -> None:
    assert share_sigma(sigma=2.0**11, sites=4, tolerated=0) == 2.0**10
    with pytest.raises(Unsupported, match="2\\^10"):
        share_sigma(sigma=2.0**11, sites=5, tolerated=0)


@pytest.mark.parametrize("tolerated", [-1, 3, 4])
def test_impossible_tolerances_are_refused(tolerated: int) -> None:
    with pytest.raises(Invalid):
        share_sigma(sigma=SIGMA, sites=3, tolerated=tolerated)

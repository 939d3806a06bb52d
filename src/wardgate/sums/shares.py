"""Noise in shares: every site adds a part, so nobody knows enough of it to take it off again."""

import math

from wardgate.entropy import Entropy
from wardgate.privacy.noise import MIN_LATTICE_SIGMA, SMOOTHING_VARIANCE, discrete_gaussian
from wardgate.records.errors import Invalid, Unsupported
from wardgate.sums.ring import Bits, Ring, to_ring

SUMMATION_SLACK = 2.0**-44
"""Error of a site's float64 sums, in relation to persons x bound: 512 roundings in a row, or numpy's and BLAS's
blocked sums over any number of persons. The sensitivity covers it for both neighbours."""


def ring_sensitivity(*, l2: float, exponent: int, entries: int, largest: float) -> float:
    """Return how far one person moves a site's rounded vector in L2, in ring units.

    `l2` in ring units, plus one unit for each entry (two roundings of half a unit), plus what the float64 sums
    themselves may be off, for both neighbours.

    Args:
        l2: Bound on one person's vector.
        exponent: The common scale is 2^exponent.
        entries: Length of the vector.
        largest: persons x bound, the largest an entry of the sum can be.
    """
    slack = 2 * SUMMATION_SLACK * math.ldexp(largest, exponent)
    return math.ldexp(l2, exponent) + math.sqrt(entries) * (1 + slack)


def promised_sigma(*, noise_multiplier: float, sensitivity: float) -> float:
    """Return the parameter of the noise in the total: multiplier x sensitivity, and 2 ring units for smoothing.

    The additional variance of 4 makes the discrete Gaussian a post-processing of the continuous one, to a factor
    within 1e-30 of 1; see privacy/accountant.py.
    """
    return math.sqrt((noise_multiplier * sensitivity) ** 2 + SMOOTHING_VARIANCE)


def share_sigma(*, sigma: float, sites: int, tolerated: int) -> float:
    """Return the parameter of one site's share, sigma / sqrt(sites - tolerated).

    Colluders know their own shares. With at most `tolerated` of them, the shares of the rest still have at least
    the promised variance; with none, the total has sites / (sites - tolerated) times of it.

    A sum of n discrete Gaussians of variance v is not quite one of variance n v: their ratio lies within
    exp(+-10 sum_k exp(-2 pi^2 v k / (k + 1))), k = 1 to n - 1. Shares of at least 2^10 ring units put that
    below 10^(-4,000,000), so nothing is added for it.

    Raises:
        Invalid: `tolerated` is not from 0 to sites - 1.
        Unsupported: the share would be below 2^10 ring units, where this correction is not proven negligible.

    Reference: Kairouz, Liu, Steinke (2021), The Distributed Discrete Gaussian Mechanism for Federated Learning
        with Secure Aggregation, arXiv:2102.06387.
    """
    if not 0 <= tolerated < sites:
        raise Invalid(f"expected 0 to {sites - 1} tolerated colluders among {sites} sites, found {tolerated}")
    share = sigma / math.sqrt(sites - tolerated)
    if share < MIN_LATTICE_SIGMA:
        raise Unsupported(
            f"a noise share would have a standard deviation of {share:.3g} ring units, expected at least 2^10;"
            " lower persons x bound, or raise the noise"
        )
    return share


def noise(*, sigma: float, entries: int, entropy: Entropy, bits: Bits = 64) -> Ring:
    """Draw one vector of discrete Gaussian noise as ring elements, shape (entries,)."""
    return to_ring(discrete_gaussian(sigma=sigma, size=entries, entropy=entropy), bits=bits)

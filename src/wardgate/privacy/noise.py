"""Discrete Gaussian noise from the handed-in entropy, exact up to a stated bias."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wardgate.entropy import Entropy
from wardgate.records.errors import Invalid

MAX_SIGMA = 2.0**41
"""The sampler works in float64 and int64; up to here no intermediate value loses more than the stated bias."""

MIN_LATTICE_SIGMA = 2.0**10
"""Least standard deviation, in lattice units, at which the accountant may treat the noise as Gaussian."""

SMOOTHING_VARIANCE = 4.0
"""Extra variance, in squared lattice units, that makes the discrete Gaussian a post-processed Gaussian."""

LATTICE_BITS = 20
"""`gaussian_release` picks a lattice on which its noise has a standard deviation of about 2^20."""


def discrete_gaussian(*, sigma: float, size: int, entropy: Entropy) -> NDArray[np.int64]:
    """Draw integers x with probability proportional to exp(-x^2 / (2 sigma^2)).

    Discrete Laplace proposals and rejection. Uniform integers and signs are exact; each Bernoulli(exp(-g))
    compares 64 uniform bits with a float64 probability, whose error is at most 2^-51. A draw uses about seven
    of them, so its distribution is within 2^-48 of the exact one in total variation, and `size` draws add at
    most size x (1 + exp(epsilon)) x 2^-48 to the delta of a claim (1e-9 for 10^5 draws at epsilon 1).
    Rejection takes a varying time, so do not let an observer time single draws.

    Args:
        sigma: The parameter of the distribution; its standard deviation for sigma above 1. In (0, 2^41].
        size: Number of independent draws.
        entropy: Where the random bytes come from.

    Returns:
        Shape (size,), int64.

    Raises:
        Invalid: `sigma` is not in (0, 2^41] or `size` is negative.

    Reference: Canonne, Kamath, Steinke (2020), The Discrete Gaussian for Differential Privacy,
        arXiv:2004.00010, algorithms 2 and 3.
    """
    if not 0 < sigma <= MAX_SIGMA:
        raise Invalid(f"expected 0 < sigma <= 2^41, found {sigma}")
    if size < 0:
        raise Invalid(f"expected a size of at least 0, found {size}")
    scale = math.floor(sigma) + 1
    centre = sigma * (sigma / scale)
    drawn = np.empty(size, dtype=np.int64)
    have = 0
    while have < size:
        proposals = _discrete_laplace(scale, int((size - have) * 1.5) + 8, entropy)
        distance = (np.abs(proposals) - centre) / sigma
        kept = proposals[bernoulli_exp(0.5 * distance * distance, entropy=entropy)]
        taken = min(len(kept), size - have)
        drawn[have : have + taken] = kept[:taken]
        have += taken
    return drawn


def gaussian_release(values: ArrayLike, *, l2: float, noise_multiplier: float, entropy: Entropy) -> NDArray[np.float64]:
    """Round `values` to a fine lattice and add discrete Gaussian noise: one hospital's own noisy measurement.

    The lattice step is a power of two (public, from `l2` and `noise_multiplier` alone), so that the noise has a
    standard deviation of at least 2^19 steps. Rounding can move two neighbouring inputs apart by one step per
    entry; the noise covers `l2` plus that. The release costs GaussianEvent(noise_multiplier, count=1).

    Args:
        values: Any shape; exact sums over persons, each entry below 2^30 standard deviations of the noise.
        l2: How far one person added or removed can move `values` in L2.
        noise_multiplier: Standard deviation of the noise over `l2`.
        entropy: Where the random bytes come from.

    Returns:
        Noisy values, same shape.

    Raises:
        Invalid: a value is not finite or too large for the lattice, or a parameter is not positive and finite.
    """
    exact = np.asarray(values, dtype=np.float64)
    for name, number in (("l2", l2), ("noise_multiplier", noise_multiplier)):
        if not (math.isfinite(number) and number > 0):
            raise Invalid(f"expected a finite {name} above 0, found {number}")
    if not np.all(np.isfinite(exact)):
        raise Invalid("a value is NaN or infinite; clip and impute before measuring")
    exponent = LATTICE_BITS - math.frexp(noise_multiplier * l2)[1]
    on_lattice = np.rint(np.ldexp(exact, exponent))
    if np.any(np.abs(on_lattice) > 2.0**50):
        raise Invalid(
            "a value exceeds 2^30 standard deviations of the noise; state a larger l2 or measure less at once"
        )
    reach = math.ldexp(l2, exponent) + math.sqrt(exact.size)
    sigma = math.sqrt((noise_multiplier * reach) ** 2 + SMOOTHING_VARIANCE)
    noise = discrete_gaussian(sigma=sigma, size=exact.size, entropy=entropy).reshape(exact.shape)
    return np.asarray(np.ldexp(on_lattice + noise, -exponent), dtype=np.float64)


def bernoulli_exp(gamma: NDArray[np.float64], *, entropy: Entropy) -> NDArray[np.bool_]:
    """Draw True with probability exp(-gamma), elementwise; gamma of at least 0.

    64 uniform bits against floor(exp(-gamma) 2^64): off by at most the rounding of exp (2^-52) plus 2^-64.
    """
    probability = np.exp(-gamma)
    sure = probability >= 1.0
    threshold = np.ldexp(np.where(sure, 0.0, probability), 64).astype(np.uint64)
    drawn: NDArray[np.bool_] = (_words(gamma.size, entropy).reshape(gamma.shape) < threshold) | sure
    return drawn


def uniform_integers(below: int, *, size: int, entropy: Entropy) -> NDArray[np.int64]:
    """Draw exactly uniform integers from 0 to `below` - 1, by rejection; 1 <= below <= 2^62."""
    if not 1 <= below <= 2**62:
        raise Invalid(f"expected a bound from 1 to 2^62, found {below}")
    drawn = np.empty(size, dtype=np.int64)
    whole = np.uint64((2**64 // below) * below - 1)
    have = 0
    while have < size:
        words = _words(size - have, entropy)
        kept = words[words <= whole]
        drawn[have : have + len(kept)] = (kept % np.uint64(below)).astype(np.int64)
        have += len(kept)
    return drawn


def _discrete_laplace(scale: int, size: int, entropy: Entropy) -> NDArray[np.int64]:
    """Draw about `size` integers with probability proportional to exp(-|x| / scale); some are rejected."""
    low = uniform_integers(scale, size=size * 8 // 5 + 8, entropy=entropy)
    low = low[bernoulli_exp(low / scale, entropy=entropy)]
    magnitude = low + scale * _geometric(len(low), entropy)
    negative = np.unpackbits(np.frombuffer(entropy.bytes((len(low) + 7) // 8), dtype=np.uint8), count=len(low)) == 1
    kept = ~(negative & (magnitude == 0))
    signed: NDArray[np.int64] = np.where(negative, -magnitude, magnitude)[kept]
    return signed


def _geometric(size: int, entropy: Entropy) -> NDArray[np.int64]:
    """Count successes of Bernoulli(exp(-1)) before the first failure."""
    counts = np.zeros(size, dtype=np.int64)
    running = np.arange(size)
    while len(running):
        running = running[bernoulli_exp(np.ones(len(running)), entropy=entropy)]
        counts[running] += 1
    return counts


def _words(size: int, entropy: Entropy) -> NDArray[np.uint64]:
    return np.frombuffer(entropy.bytes(8 * size), dtype="<u8").astype(np.uint64)

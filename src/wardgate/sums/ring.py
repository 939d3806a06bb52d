"""Numbers as integers modulo 2^64, so that sums of masked vectors are exact."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wardgate.records.errors import Invalid

Bound: TypeAlias = float | Sequence[float] | NDArray[np.float64]
"""Largest size of one person's entry: one number, or one for each entry."""

SUM_BITS = 62
"""A sum of signals stays within 2^62, which leaves half of the signed range for rounding and noise."""

MAX_PERSONS = 2**40
MAX_BOUND_BITS = 400
"""Bounds lie within 2^-400 and 2^400, so that no scale overflows a double."""

ROUNDING_SLACK = 2.0**-30
"""How far, in relation, a float64 sum over persons may pass persons x bound by rounding alone."""


def exponents(*, persons: int, bound: Bound, entries: int) -> NDArray[np.int64]:
    """Return for each entry the k of its scale 2^k, k = floor(62 - log2(persons x bound)).

    Args:
        persons: Public upper bound on the persons in the whole sum.
        bound: How large one person can make an entry.
        entries: Length of the vector.

    Raises:
        Invalid: a number that is not positive and finite or could overflow the ring, or a wrong length.
    """
    if not 1 <= persons <= MAX_PERSONS:
        raise Invalid(f"expected 1 to 2^40 persons in the sum, found {persons}; a larger sum could overflow the ring")
    if entries < 1:
        raise Invalid(f"expected at least one entry, found {entries}")
    bounds = np.asarray(bound, dtype=np.float64)
    if bounds.ndim > 1 or (bounds.ndim == 1 and len(bounds) != entries):
        raise Invalid(f"expected one bound or {entries}, found shape {bounds.shape}")
    if not np.all(np.isfinite(bounds)) or np.any(bounds < 2.0**-MAX_BOUND_BITS) or np.any(bounds > 2.0**MAX_BOUND_BITS):
        raise Invalid("expected bounds from 2^-400 to 2^400; a bound is the largest entry one person can have")
    fraction, exponent = np.frexp(np.broadcast_to(bounds * persons, (entries,)))
    return np.asarray(SUM_BITS - exponent + (fraction == 0.5), dtype=np.int64)


def encode(vector: ArrayLike, *, exponents: NDArray[np.int64], bound: Bound, persons_here: int) -> NDArray[np.uint64]:
    """Round a site's vector to the ring, to nearest and once.

    Args:
        vector: The site's sums over its persons, shape (d,).
        exponents: From `exponents`, shape (d,).
        bound: As there.
        persons_here: Persons in this site's sums.

    Returns:
        Shape (d,), two's complement in uint64.

    Raises:
        Invalid: wrong shape, NaN, infinity, or an entry above persons_here x bound. Values are not quoted.
    """
    values = np.asarray(vector, dtype=np.float64)
    if values.shape != exponents.shape:
        raise Invalid(f"expected a vector of shape {exponents.shape}, found {values.shape}")
    if not np.all(np.isfinite(values)):
        raise Invalid("the vector holds NaN or infinity; treat missing values before summing")
    if persons_here < 0:
        raise Invalid("expected a number of persons of at least 0")
    limit = persons_here * np.asarray(bound, dtype=np.float64) * (1 + ROUNDING_SLACK)
    beyond = np.flatnonzero(np.abs(values) > limit)
    if len(beyond):
        raise Invalid(
            f"entry {int(beyond[0])} and {len(beyond) - 1} others exceed the site's persons x bound; clip each person"
        )
    return np.rint(np.ldexp(values, exponents)).astype(np.int64).view(np.uint64)


def decode(total: NDArray[np.uint64], *, exponents: NDArray[np.int64]) -> NDArray[np.float64]:
    """Read a sum back: the nearest double of each integer over its scale."""
    return np.asarray(np.ldexp(total.view(np.int64).astype(np.float64), -exponents), dtype=np.float64)

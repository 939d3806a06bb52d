"""Numbers as integers modulo 2^64 or 2^32, so that sums of masked vectors are exact."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wardgate.records.errors import Invalid

Bound: TypeAlias = float | Sequence[float] | NDArray[np.float64]
"""Largest size of one person's entry: one number, or one for each entry."""

Ring: TypeAlias = NDArray[np.uint64] | NDArray[np.uint32]
"""Ring elements, two's complement."""

Bits: TypeAlias = Literal[32, 64]

Word: TypeAlias = Literal["<u4", "<u8"]

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


def encode(
    vector: ArrayLike, *, exponents: NDArray[np.int64], bound: Bound, persons_here: int, bits: Bits = 64
) -> Ring:
    """Round a site's vector to the ring, to nearest and once.

    Args:
        vector: The site's sums over its persons, shape (d,).
        exponents: From `exponents`, shape (d,).
        bound: As there.
        persons_here: Persons in this site's sums.
        bits: Of the ring.

    Returns:
        Shape (d,), two's complement in uint64, or in uint32.

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
    if np.any(np.abs(values) > limit):
        beyond = np.flatnonzero(np.abs(values) > limit)
        raise Invalid(
            f"entry {int(beyond[0])} and {len(beyond) - 1} others exceed the site's persons x bound; clip each person"
        )
    scaled = np.ldexp(values, exponents)
    return to_ring(np.rint(scaled, out=scaled).astype(np.int64), bits=bits)


def to_ring(integers: NDArray[np.int64], *, bits: Bits) -> Ring:
    """Read integers as ring elements; those of a ring of 2^32 keep their lower half."""
    return integers.view(np.uint64) if bits == 64 else integers.astype(np.uint32)


def decode(total: Ring, *, exponents: NDArray[np.int64]) -> NDArray[np.float64]:
    """Read a sum back: the nearest double of each integer over its scale."""
    signed = total.view(np.int64 if total.itemsize == 8 else np.int32)
    return np.asarray(np.ldexp(signed.astype(np.float64), -exponents), dtype=np.float64)

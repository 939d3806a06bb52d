"""Points that a rule is asked to find the middle of, checked, and in an order that does not depend on who sent them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]

FURTHEST = 1e100
"""Values are cut here, in units of what is usual among the points, so that no square leaves the range of a double."""

COLUMNS = 65_536
"""Coordinates that a rule on single coordinates sorts at once, so that large networks do not double in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Points with weights, and how many of them may lie.

    Attributes:
        values: Shape (g, d), finite; rows lie in the order of their digests, so that a rule's result is the same to
            the last bit in whatever order the points came.
        weights: Shape (g,), positive, of sum 1.
        corrupt: How many points may be anything; fewer than half.
        scale: Median over points of the largest absolute value; `values` are divided by it.
    """

    values: Vector
    weights: Vector
    corrupt: int
    scale: float

    @property
    def mean(self) -> Vector:
        """Weighted mean, shape (d,), still divided by `scale`."""
        return np.asarray(self.weights @ self.values, dtype=np.float64)

    def blocks(self) -> Iterator[slice]:
        """Yield runs of coordinates that together are all of them."""
        for first in range(0, self.values.shape[1], COLUMNS):
            yield slice(first, first + COLUMNS)

    def distances(self) -> Vector:
        """Return squared Euclidean distances, shape (g, g), exact zeros on the diagonal."""
        count = len(self.values)
        found = np.zeros((count, count))
        for one in range(count):
            for other in range(one):
                gap = self.values[one] - self.values[other]
                found[one, other] = found[other, one] = float(gap @ gap)
        return found


def points(values: ArrayLike, *, weights: ArrayLike | None, corrupt: int) -> Points:
    """Check points and lay them in order.

    Args:
        values: Shape (g, d).
        weights: Shape (g,); all alike by default.
        corrupt: How many may be anything.

    Raises:
        Invalid: no points, a value that is not finite, a weight that is not positive, or so many that may lie that
            nothing can be told.
    """
    rows = np.array(values, dtype=np.float64, ndmin=2)
    if rows.ndim != 2 or not rows.shape[0]:
        raise Invalid(f"expected points of shape (g, d) with g of at least 1, found {rows.shape}")
    share = np.ones(len(rows)) if weights is None else np.array(weights, dtype=np.float64)
    if share.shape != (len(rows),) or not bool(np.all(np.isfinite(share) & (share > 0))):
        raise Invalid(f"expected {len(rows)} positive weights, found shape {share.shape} or one that is not positive")
    if not bool(np.all(np.isfinite(rows))):
        raise Invalid("a point is not finite; leave it out before asking for the middle")
    if corrupt < 0 or 2 * corrupt >= len(rows):
        raise Invalid(
            f"of {len(rows)} points at most {(len(rows) - 1) // 2} may be wrong, found {corrupt}; beyond half, the"
            " wrong ones are the majority"
        )
    order = sorted(range(len(rows)), key=lambda row: (hashlib.sha256(rows[row].tobytes()).digest(), share[row]))
    largest = np.max(np.abs(rows), axis=1, initial=0.0)
    scale = float(np.median(largest)) or float(np.max(largest)) or 1.0
    with np.errstate(over="ignore"):
        values = np.clip(rows[order] / scale, -FURTHEST, FURTHEST)
    share = share[order] / float(np.max(share))
    return Points(values=values, weights=share / share.sum(), corrupt=corrupt, scale=scale)

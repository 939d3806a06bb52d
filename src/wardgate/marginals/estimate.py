"""From noisy counts to tables that could have been counted: the noise level is public, so all of this is free."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]


def simplex(values: Table, total: float) -> Table:
    """Return the nearest array (least squares) without negative entries whose sum is `total`.

    Reference: Duchi et al. 2008, projection onto the l1 ball, doi:10.1145/1390156.1390191.
    """
    flat = values.ravel()
    if total <= 0:
        return np.zeros_like(values)
    ordered = np.sort(flat)[::-1]
    excess = np.cumsum(ordered) - total
    ranks = np.arange(1, len(flat) + 1)
    last = int(np.nonzero(ordered - excess / ranks > 0)[0][-1])
    found: Table = np.maximum(values - excess[last] / (last + 1), 0.0)
    return found


def weighted(estimates: Sequence[Table], variances: Sequence[float]) -> tuple[Table, float]:
    """Return the mean of independent estimates, each weighted by one over its variance, and its variance."""
    precision = np.array([1.0 / variance for variance in variances])
    total = float(precision.sum())
    mean = sum(weight * estimate for weight, estimate in zip(precision, estimates, strict=True))
    return np.asarray(mean, dtype=np.float64) / total, 1.0 / total


def shrunk(effect: Table, *, variance: float, freedom: int) -> Table:
    """Pull a noisy effect towards zero by the share of it that noise alone would explain (positive part).

    Args:
        effect: Differences from what independence would give.
        variance: Noise variance of one entry.
        freedom: How many entries are free.

    Reference: James and Stein 1961.
    """
    size = float((effect**2).sum())
    if size <= 0:
        return np.zeros_like(effect)
    return effect * max(0.0, 1.0 - freedom * variance / size)


def fitted(table: Table, margins: Sequence[tuple[int, Table]], *, sweeps: int = 30) -> Table:
    """Scale a table without negative entries to one-way margins along the named axes (iterative proportional fitting).

    A margin may also span the last axis: shape (k, last) for axis != last.
    """
    found = table.copy()
    last = table.ndim - 1
    for _ in range(sweeps):
        for axis, margin in margins:
            summed = tuple(other for other in range(table.ndim) if other not in (axis, last))
            now = found.sum(axis=summed, keepdims=True)
            goal = np.expand_dims(margin, summed)
            found = found * np.divide(goal, now, out=np.zeros_like(now), where=now > 0)
    return found

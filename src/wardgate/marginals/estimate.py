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


SPREADS = np.geomspace(0.01, 3.0, 25)
"""Prior standard deviations that are weighed against each other, in units of the scale of an effect."""


def likelihood(effect: Table, *, variance: float, scale: Table) -> Table:
    """Return the log likelihood of a noisy effect under each of `SPREADS`, shape (len(SPREADS),)."""
    total = variance + np.multiply.outer(SPREADS**2, scale.ravel() ** 2)
    return np.asarray(-0.5 * (np.log(total) + effect.ravel() ** 2 / total).sum(axis=1))


def shrunk(effect: Table, *, variance: float, scale: Table, others: Table | None = None) -> Table:
    """Pull noisy effects towards zero, the more the smaller their scale: a posterior mean.

    Every entry is normal around zero before noise, with a standard deviation of one unknown spread times its scale;
    the spread is averaged over by its likelihood.

    Args:
        effect: Differences from what independence would give.
        variance: Noise variance of one entry.
        scale: How large one unit of effect would be in each entry, e.g. persons in the cell.
        others: Log likelihood of the spreads from effects of the same kind, shape (len(SPREADS),).

    Reference: Efron and Morris 1973, doi:10.1080/01621459.1973.10481350.
    """
    variance = max(variance, 1e-9)
    evidence = likelihood(effect, variance=variance, scale=scale) + (0.0 if others is None else others)
    weight = np.exp(evidence - evidence.max())
    prior = np.multiply.outer(SPREADS**2, scale**2)
    return np.asarray(effect * np.tensordot(weight / weight.sum(), prior / (prior + variance), axes=1))


LENGTHS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""How far neighbouring cells of a number may resemble each other, in cells; 0 lets each cell be itself."""


def smoothed(counts: Table, *, variance: float) -> Table:
    """Return noisy counts of ordered cells, as smooth as they themselves suggest: a posterior mean.

    Before noise the counts are a Gaussian process around their mean, of unknown length and height; both are
    averaged over by their likelihood. Spikes that stand out of the noise stay; the rest is lent by neighbours.

    Reference: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, chapters 2 and 5.
    """
    variance = max(variance, 1e-9)
    middle = float(counts.mean())
    place = np.arange(len(counts))
    apart = (place[:, None] - place[None, :]) ** 2
    heights = np.geomspace(0.05, 20.0, 20) ** 2 * (middle**2 + variance / len(counts))
    evidence, means = [], []
    for length in LENGTHS:
        kernel = np.exp(-apart / (2 * length**2)) if length > 0 else np.eye(len(counts))
        values, vectors = np.linalg.eigh(kernel)
        seen = vectors.T @ (counts - middle)
        prior = np.multiply.outer(heights, np.maximum(values, 0.0))
        evidence.append(-0.5 * (np.log(prior + variance) + seen**2 / (prior + variance)).sum(axis=1))
        means.append((prior / (prior + variance) * seen) @ vectors.T)
    said = np.concatenate(evidence)
    weight = np.exp(said - said.max())
    return middle + np.asarray(weight / weight.sum() @ np.concatenate(means))


def fitted(table: Table, margins: Sequence[tuple[tuple[int, ...], Table]], *, sweeps: int = 30) -> Table:
    """Scale a table without negative entries until it has these margins (iterative proportional fitting).

    Args:
        margins: Which axes a margin keeps, in order, and the margin; the last one is met exactly.
    """
    found = table
    for _ in range(sweeps):
        for axes, margin in margins:
            others = tuple(axis for axis in range(table.ndim) if axis not in axes)
            now = found.sum(axis=others)
            factor = np.divide(margin, now, out=np.zeros_like(now), where=now > 0)
            found = found * np.expand_dims(factor, others)
    return found

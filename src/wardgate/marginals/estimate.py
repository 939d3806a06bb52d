"""From noisy counts to tables that could have been counted: the noise level is public, so all of this is free."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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


LENGTHS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""How far neighbouring cells of a number may resemble each other, in cells; 0 lets each cell be itself."""


def alike(cells: int, length: float, *, ordered: int) -> Table:
    """Return how far the effects in any two cells resemble each other before they are seen, shape (cells, cells).

    Args:
        ordered: So many cells at the start are neighbours in this order; the others resemble none.
    """
    kernel = np.eye(cells)
    if length > 0:
        place = np.arange(ordered)
        kernel[:ordered, :ordered] = np.exp(-((place[:, None] - place[None, :]) ** 2) / (2 * length**2))
    return kernel


@lru_cache(maxsize=64)
def _waves(cells: int, length: float) -> tuple[Table, Table]:
    """Return eigenvalues and eigenvectors of `alike` for ordered cells; no data is in them, so they are remembered."""
    values, vectors = np.linalg.eigh(alike(cells, length, ordered=cells))
    values.flags.writeable = vectors.flags.writeable = False
    return values, vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """What a noisy effect says of its own spread and smoothness.

    Attributes:
        evidence: Log likelihood of each of `LENGTHS` (one row alone where cells have no order) and `SPREADS`.
        means: Posterior mean of the effect under each, shape (lengths, spreads, cells).
    """

    evidence: Table
    means: Table

    @property
    def spreads(self) -> Table:
        """Log likelihood of each of `SPREADS`, the length averaged over."""
        return np.asarray(np.logaddexp.reduce(self.evidence, axis=0) - np.log(len(self.evidence)))

    def mean(self, *, others: Table | None = None) -> Table:
        """Return the posterior mean of the effect, shape (cells,).

        Args:
            others: Log likelihood of the spreads from effects of the same kind, shape (len(SPREADS),).
        """
        said = self.evidence + (0.0 if others is None else others)
        weight = np.exp(said - said.max())
        return np.asarray(np.tensordot(weight / weight.sum(), self.means, axes=2))


def likelihood(effect: Table, *, variance: Table, scale: Table, ordered: int = 0) -> Likelihood:
    """Weigh how large, and along a number how smooth, an effect may be: it is normal around zero before noise.

    Args:
        effect: Differences from what independence would give, shape (cells,).
        variance: Noise variance of each cell.
        scale: How large one unit of effect would be in each cell, e.g. persons in it.
        ordered: So many cells at the start follow each other along a number.

    Reference: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, chapters 2 and 5.
    """
    noise = np.sqrt(np.maximum(variance, 1e-9))
    unit = scale / noise
    evidence, means = [], []
    for length in LENGTHS if ordered > 2 else LENGTHS[:1]:
        values, vectors = np.linalg.eigh(alike(len(effect), length, ordered=ordered) * np.outer(unit, unit))
        seen = vectors.T @ (effect / noise)
        prior = np.multiply.outer(SPREADS**2, np.maximum(values, 0.0))
        evidence.append(-0.5 * (np.log1p(prior) + seen**2 / (prior + 1)).sum(axis=1))
        means.append((prior / (prior + 1) * seen) @ vectors.T * noise)
    return Likelihood(evidence=np.stack(evidence), means=np.stack(means))


def shrunk(effect: Table, *, variance: float, scale: Table) -> Table:
    """Pull noisy effects towards zero, the more the smaller their scale: a posterior mean, in the effect's shape.

    Every entry is normal around zero before noise, with a standard deviation of one unknown spread times its scale;
    the spread is averaged over by its likelihood.

    Reference: Efron and Morris 1973, doi:10.1080/01621459.1973.10481350.
    """
    variance = max(variance, 1e-9)
    prior = np.multiply.outer(SPREADS**2, scale**2)
    axes = tuple(range(1, prior.ndim))
    evidence = -0.5 * (np.log(prior + variance) + effect**2 / (prior + variance)).sum(axis=axes)
    weight = np.exp(evidence - evidence.max())
    return np.asarray(effect * np.tensordot(weight / weight.sum(), prior / (prior + variance), axes=1))


def smoothed(counts: Table, *, variance: float) -> Table:
    """Return noisy counts of ordered cells, as smooth or as sparse as they themselves suggest: posterior means."""
    return posterior(counts, variance=variance)[0]


def posterior(counts: Table, *, variance: float) -> tuple[Table, Table]:
    """Return what noisy counts of ordered cells say of the true ones: means, and the variance that is left.

    Before noise the counts are a Gaussian process around their mean, of unknown length and height, or most of them
    are near nothing and few are not; all are averaged over by their likelihood. Spikes that stand out of the noise
    stay; the rest is lent by neighbours, or taken for empty.

    Reference: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, chapters 2 and 5.
    """
    variance = max(variance, 1e-9)
    middle = float(counts.mean())
    heights = np.geomspace(0.05, 20.0, 20) ** 2 * (middle**2 + variance / len(counts))
    evidence, means, spreads = [], [], []
    for length in LENGTHS:
        values, vectors = _waves(len(counts), length)
        seen = vectors.T @ (counts - middle)
        prior = np.multiply.outer(heights, np.maximum(values, 0.0))
        evidence.append(-0.5 * (np.log(prior + variance) + seen**2 / (prior + variance)).sum(axis=1))
        means.append(middle + (prior / (prior + variance) * seen) @ vectors.T)
        spreads.append((prior / (prior + variance) * variance) @ (vectors**2).T)
    few, mean, spread = sparse(counts, variance=variance)
    # The sizes stand for as many models as a length has heights.
    said = np.concatenate([*evidence, [few + np.log(len(heights))]])
    found = np.concatenate([*means, mean[None]])
    weight = np.exp(said - said.max())
    weight /= weight.sum()
    whole = weight @ found
    return whole, weight @ (np.concatenate([*spreads, spread[None]]) + (found - whole) ** 2)


def standing_out(counts: Table, *, variance: Table, worth: float = 0.3) -> slice:
    """Return the run of ordered cells that stands out of the noise best; beyond it there is nothing to be seen.

    Without this, noise would put persons where nobody is, far out, and a model that takes a number as a line would
    lean on them.

    Args:
        counts, variance: Estimates and how uncertain each is, shape (cells,).
        worth: What a cell's squared count must be in units of the noise, on the mean of a run, for it to be kept.
    """
    gain = np.sign(counts) * counts**2 / np.maximum(variance, 1e-9) - worth
    sums = np.concatenate([[0.0], np.cumsum(gain)])
    lowest = np.minimum.accumulate(sums)[:-1]
    stop = int(np.argmax(sums[1:] - lowest)) + 1
    return slice(int(np.argmin(sums[:stop])), stop)


def sparse(counts: Table, *, variance: float, sweeps: int = 30) -> tuple[float, Table, Table]:
    """Return the log likelihood of counts of which most may be near nothing, their posterior means and variances.

    Every count is normal around zero before noise, of one of a few standard deviations; how often each occurs is
    learnt from all counts.

    Reference: Stephens 2017, False discovery rates: a new deal, doi:10.1093/biostatistics/kxw041.
    """
    variance = max(variance, 1e-9)
    sizes = np.concatenate([[0.0], variance * 4.0 ** np.arange(-1, 40)])
    sizes = sizes[: 2 + int(np.searchsorted(sizes, float(np.max(counts**2))))]
    logs = -0.5 * (np.log(2 * np.pi * (sizes + variance)) + counts[:, None] ** 2 / (sizes + variance))
    share = np.full(len(sizes), 1.0 / len(sizes))
    for _ in range(sweeps):
        said = logs + np.log(share)
        member = np.exp(said - said.max(axis=1, keepdims=True))
        member /= member.sum(axis=1, keepdims=True)
        share = (member.sum(axis=0) + 1.0 / len(sizes)) / (len(counts) + 1.0)
    whole = np.logaddexp.reduce(logs + np.log(share), axis=1).sum()
    # Shares were learnt from the counts themselves: one parameter each, as the Bayesian criterion charges it.
    used = float((share * len(counts) > 1.0).sum())
    kept = sizes / (sizes + variance)
    mean = counts * (member @ kept)
    spread = variance * (member @ kept) + counts**2 * (member @ kept**2) - mean**2
    likely = float(whole + 0.5 * len(counts) * np.log(2 * np.pi) - 0.5 * used * np.log(len(counts)))
    return likely, mean, np.maximum(spread, 0.0)


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

"""Values of one column as bins, and back: what the network of timelines reads and draws.

Bins follow the quantiles of training persons, narrower towards the tails; values that many share have a bin of their
own. A bin holds at least a floor of persons, and nothing beyond the value that as many persons reach is kept, so that
no edge is one person's extreme.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

GRAINS = (100.0, 50.0, 10.0, 5.0, 1.0, 0.5, 0.25, 0.1, 0.05, 1 / 60, 0.01, 0.001)
"""Steps on which a column may be written, the coarsest first; the sixtieth is the minute of an hour."""

ON_GRAIN = 0.99
"""Share of values that must lie on a step before it is taken for the column's."""

LEAST_DISTINCT = 20
"""Fewer values than this tell no step; those of a coarse column are bins of their own anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """The bins of one column. Code 0 is missing, code k the bin k - 1.

    Attributes:
        low, high: Ends of each bin, shape (bins,); equal where the bin is one value.
        edges: Where values that are no bin of their own are cut, shape (intervals - 1,).
        spans: Bin of each interval, shape (intervals,).
        atoms: Values that are a bin of their own, rising, shape (atoms,).
        atom_bins: Their bins, shape (atoms,).
        place: Middle rank of each bin among training values, from -1 to 1, shape (bins,).
        grain: Step on which values are written; 0 where there is none.
    """

    low: Vector
    high: Vector
    edges: Vector
    spans: Indices
    atoms: Vector
    atom_bins: Indices
    place: Vector
    grain: float

    @property
    def count(self) -> int:
        """How many bins there are; none for a column that nobody, or too few persons, have."""
        return len(self.low)

    def encode(self, values: Vector) -> Indices:
        """Return the code of each value; NaN is 0. Values beyond the ends belong to the outermost bins."""
        codes = np.zeros(len(values), dtype=np.int64)
        seen = ~np.isnan(values)
        if not self.count:
            return codes
        found = values[seen]
        if len(self.spans):
            bins = self.spans[np.searchsorted(self.edges, found, side="right")]
        else:
            bins = self.atom_bins[_nearest(self.atoms, found)]
        if len(self.atoms):
            near = _nearest(self.atoms, found)
            bins = np.where(self.atoms[near] == found, self.atom_bins[near], bins)
        codes[seen] = bins + 1
        return codes

    def decode(self, codes: Indices, *, rng: np.random.Generator) -> Vector:
        """Draw a value of each code, evenly inside its bin and on the column's step; code 0 is NaN."""
        values = np.full(len(codes), np.nan)
        seen = codes > 0
        if not seen.any():
            return values
        low, high = self.low[codes[seen] - 1], self.high[codes[seen] - 1]
        if self.grain:
            steps_low, steps_high = np.ceil(low / self.grain - 1e-6), np.floor(high / self.grain + 1e-6)
            drawn = steps_low + np.floor(rng.random(len(low)) * (np.maximum(steps_high - steps_low, 0) + 1))
            found = np.where(steps_low > steps_high, low, np.round(drawn * self.grain, 9))
        else:
            found = low + rng.random(len(low)) * (high - low)
        values[seen] = np.where(low == high, low, found)
        return values


def categories(codes: Indices, persons: Indices, count: int, *, floor: int) -> Bins:
    """Return the bins of a category whose values are the numbers 0 to count - 1.

    A value that fewer than `floor` persons have gets none: it is to be treated as missing, and is never drawn.
    """
    kept = np.array([len(np.unique(persons[codes == value])) >= floor for value in range(count)], dtype=np.bool_)
    values = np.flatnonzero(kept).astype(np.float64)
    share = np.array([np.mean(codes == value) for value in values]) if len(codes) else np.zeros(len(values))
    return _of_atoms(values, share, grain=1.0)


def numbers(values: Vector, persons: Indices, *, bins: int, floor: int, grain: float | None = None) -> Bins:
    """Return the bins of a number.

    Args:
        values: Values without NaN, shape (n,).
        persons: Whose they are, shape (n,).
        bins: Bins at about equal shares; the tails have more.
        floor: Persons in a bin at least.
        grain: Step on which values are written; absent, it is looked for.
    """
    if len(np.unique(persons)) < floor:
        return _of_atoms(np.zeros(0), np.zeros(0), grain=0.0)
    step = grain_of(values) if grain is None else grain
    kept = np.clip(values, *_ends(values, persons, floor))
    distinct, where, counts = np.unique(kept, return_inverse=True, return_counts=True)
    crowded = counts >= (1 if len(distinct) <= bins else len(kept) / bins)
    for place in np.flatnonzero(crowded):
        crowded[place] = len(np.unique(persons[where == place])) >= floor
    alone = crowded[where]
    atoms = distinct[crowded]
    rest, whose = kept[~alone], persons[~alone]
    if len(np.unique(whose)) < floor:
        if len(atoms):
            near = np.bincount(_nearest(atoms, kept), minlength=len(atoms))
            return _of_atoms(atoms, near / len(kept), grain=step)
        rest, whose, atoms = kept, persons, np.zeros(0)
    edges = _edges(rest, whose, bins=bins, floor=floor)
    spans = np.searchsorted(edges, rest, side="right")
    low = np.array([rest[spans == span].min() for span in range(len(edges) + 1)])
    high = np.array([rest[spans == span].max() for span in range(len(edges) + 1)])
    if not step:
        low[1:], high[:-1] = edges, edges
    shares = np.concatenate([np.bincount(spans, minlength=len(low)) / len(kept), counts[crowded] / len(kept)])
    lows, highs = np.concatenate([low, atoms]), np.concatenate([high, atoms])
    order = np.argsort((lows + highs) / 2, kind="stable")
    bin_of = np.empty(len(order), dtype=np.int64)
    bin_of[order] = np.arange(len(order))
    return Bins(
        low=lows[order],
        high=highs[order],
        edges=edges,
        spans=bin_of[: len(low)],
        atoms=atoms,
        atom_bins=bin_of[len(low) :],
        place=_places(shares[order]),
        grain=step,
    )


def grain_of(values: Vector) -> float:
    """Return the coarsest step on which nearly all values lie, or 0."""
    if len(np.unique(values)) < LEAST_DISTINCT:
        return 0.0
    for step in GRAINS:
        parts = values / step
        if np.mean(np.abs(parts - np.round(parts)) < 1e-3) >= ON_GRAIN:
            return step
    return 0.0


def _ends(values: Vector, persons: Indices, floor: int) -> tuple[float, float]:
    """Return the values that at least `floor` persons reach, below and above."""
    _, whose = np.unique(persons, return_inverse=True)
    least, most = np.full(whose.max() + 1, np.inf), np.full(whose.max() + 1, -np.inf)
    np.minimum.at(least, whose, values)
    np.maximum.at(most, whose, values)
    low, high = np.sort(least)[floor - 1], np.sort(most)[-floor]
    return (float(low), float(high)) if low <= high else (float(high), float(low))


def _edges(values: Vector, persons: Indices, *, bins: int, floor: int) -> Vector:
    """Return rising cuts between bins of at least `floor` persons each."""
    levels = sorted({*np.linspace(0, 1, bins + 1)[1:-1], *_tail_levels(bins, len(values))})
    cuts = np.unique(np.quantile(values, levels, method="higher"))
    cuts = cuts[cuts > values.min()]
    kept: list[float] = []
    order = np.argsort(values, kind="stable")
    ordered, whose = values[order], persons[order]
    start = 0
    for cut in cuts:
        stop = int(np.searchsorted(ordered, cut, side="left"))
        enough = len(np.unique(whose[start:stop])) >= floor
        if enough and len(np.unique(whose[stop:])) >= floor:
            kept.append(float(cut))
            start = stop
    return np.array(kept)


def _tail_levels(bins: int, n: int) -> Iterator[float]:
    share = 0.5 / bins
    while share * n >= 40:
        yield share
        yield 1 - share
        share /= 2


def _of_atoms(values: Vector, shares: Vector, *, grain: float) -> Bins:
    return Bins(
        low=values,
        high=values,
        edges=np.zeros(0),
        spans=np.zeros(0, dtype=np.int64),
        atoms=values,
        atom_bins=np.arange(len(values)),
        place=_places(shares),
        grain=grain,
    )


def _places(shares: Vector) -> Vector:
    total = max(float(shares.sum()), 1e-300)
    return np.asarray(2 * (np.cumsum(shares) - shares / 2) / total - 1)


def _nearest(ruler: Vector, values: Vector) -> Indices:
    """Return the place of the nearest entry of a rising ruler."""
    right = np.clip(np.searchsorted(ruler, values), 0, len(ruler) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(values - ruler[left]) <= np.abs(ruler[right] - values), left, right).astype(np.int64)

"""Intervals over persons at the price of one pass: random blocks of persons are drawn again, not single ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from wardgate.records.measured import Measured

Codes = NDArray[np.int64]
Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

BLOCKS = 100
DRAWS = 40
"""Resamples behind an interval; only their spread is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Persons in random blocks of equal size (single persons where there are few), and the blocks drawn again.

    Counts of persons add up over blocks, so a table is counted once a block and all resamples are one product. The
    spread over resampled random blocks is that over resampled persons.

    Attributes:
        of: The block of each person, shape (n,).
        weights: How often each resample holds each block, shape (DRAWS, blocks).
        sizes: Persons of each block.
    """

    of: Codes
    weights: Matrix
    sizes: Vector

    @property
    def order(self) -> Codes:
        """Persons, block by block."""
        return np.argsort(self.of, kind="stable")

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return len(self.sizes)

    def shares(self, counts: NDArray[np.floating[Any]]) -> Matrix:
        """Return counts by block, shape (blocks, ...), as shares of the persons of each resample, (DRAWS, ...)."""
        flat = self.weights.astype(counts.dtype) @ counts.reshape(self.count, -1)
        return np.asarray(flat / (self.weights @ self.sizes)[:, None]).reshape(DRAWS, *counts.shape[1:])

    def counts(self, codes: Codes, width: int) -> Matrix:
        """Count codes by block, shape (blocks, width)."""
        found = np.bincount(self.of * width + codes, minlength=self.count * width)
        return found.reshape(self.count, width).astype(np.float64)


def blocks(persons: int, *, rng: np.random.Generator) -> Blocks:
    """Put persons into random blocks and draw the resamples."""
    number = min(BLOCKS, persons)
    of = rng.permutation(persons) % number
    weights = rng.multinomial(number, np.full(number, 1 / number), size=DRAWS)
    sizes = np.bincount(of, minlength=number)
    return Blocks(of=of, weights=weights.astype(np.float64), sizes=sizes.astype(np.float64))


def spread(drawn: Vector) -> float:
    """Return the standard deviation over resamples."""
    return float(np.std(drawn, ddof=1))


def reach(level: float, *, of: int = 1) -> float:
    """Return how many standard deviations an end lies away, corrected for `of` looks."""
    return float(norm.ppf(1 - (1 - level) / 2 / max(1, of)))


def chance_distance(real: Vector, synthetic: Vector) -> float:
    """Return the total variation that two samples of one population have by chance, given how many there are.

    Args:
        real, synthetic: Counts in the same cells, shape (c,).

    Exact but for drawing with replacement: within a cell of t records the real ones are binomial, and their mean
    absolute deviation is De Moivre's closed form.

    Reference: Diaconis and Zabell 1991, doi:10.1214/ss/1177011699.
    """
    n, m = float(real.sum()), float(synthetic.sum())
    if not n or not m:
        return 1.0
    share = n / (n + m)
    totals, often = np.unique(real + synthetic, return_counts=True)
    above = np.floor(totals * share) + 1
    deviation = 2 * above * (1 - share) * binom.pmf(above, totals, share)
    deviation *= np.sqrt(np.maximum(0.0, 1 - (totals - 1) / max(1.0, n + m - 1)))
    return float(min(1.0, 0.5 * (1 / n + 1 / m) * np.sum(often * deviation)))


def beyond_chance(distance: float, chance: float) -> float:
    """Return a distance on the scale where chance is 0 and no overlap is 1; less than chance counts as chance."""
    return max(0.0, distance - chance) / (1 - chance) if chance < 1 else 0.0


def interval(
    name: str, value: float, deviation: float, *, level: float, n: tuple[int, ...], note: str = "", most: float = 1.0
) -> Measured:
    """Return an error between 0 and `most` with its normal interval."""
    away = reach(level) * deviation
    low, high = max(0.0, value - away), min(most, value + away)
    return Measured(name=name, value=value, low=min(low, value), high=max(high, value), level=level, n=n, note=note)


def worst(
    name: str,
    values: Sequence[float],
    deviations: Sequence[float],
    *,
    level: float,
    n: tuple[int, ...],
    note: str = "",
) -> Measured:
    """Return the largest of several errors.

    The high end is the largest of all high ends, each at the plain level: whichever error is truly the largest lies
    below its own. The low end is corrected for having looked at all of them.
    """
    value = max(values)
    plain, corrected = reach(level), reach(level, of=len(values))
    high = max(one + plain * spread for one, spread in zip(values, deviations, strict=True))
    low = max(one - corrected * spread for one, spread in zip(values, deviations, strict=True))
    return Measured(
        name=name,
        value=value,
        low=min(value, max(0.0, low)),
        high=max(value, min(1.0, high)),
        level=level,
        n=n,
        note=note,
    )


def products(left: NDArray[np.float32], right: NDArray[np.float32], by: Blocks) -> NDArray[np.float32]:
    """Return left' x right of the persons of each block, shape (blocks, a, b).

    Args:
        left, right: Indicators of the persons, shape (n, a) and (n, b), in the order of `by.order`.
    """
    ends = np.concatenate(([0], np.cumsum(by.sizes))).astype(np.int64)
    return np.stack([left[start:stop].T @ right[start:stop] for start, stop in pairwise(ends)])


def root(value: float) -> float:
    """Return the square root; what lies below 0 by chance is 0."""
    return math.sqrt(max(0.0, value))

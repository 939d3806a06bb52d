"""Does what belongs to one person stay together? Correlations within persons, from row to row and from hour to hour.

Generators that draw rows one by one get every column and every pair of columns right and lose the person: the
patient whose creatinine is high today had a high one yesterday.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.disclosure import coarse
from wardgate.measures.realism.resampling import blocks, interval, spread
from wardgate.measures.realism.timelines import Timelines
from wardgate.records.dictionary import Dictionary
from wardgate.records.measured import Measured

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Points = NDArray[np.float32]
Indices = NDArray[np.int64]

MOST_COLUMNS = 64
"""Columns compared at most: those that most rows have."""

KNOTS = 20_000
"""Values of a real column that its ranks are read from."""

LEAST_ROWS = 3
"""Values of a person below which deviations from the person's mean say nothing of their order."""

LARGEST_DEVIATION = 0.025
"""Statistics that real persons do not fix better than this (a standard deviation) are left out: by chance alone the
largest of many such would exceed any limit. The real persons alone decide it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """What persons add up to, by block; the last axes are columns.

    Attributes:
        alone: Persons, rows, squared rows, sums, squared sums over rows, squares: shape (blocks, 6, c).
        later: Products of neighbouring deviations, and the squares of either: shape (blocks, 3, c).
        pairs: Products of deviations of two columns, and squares of the first where both are known:
            shape (blocks, 2, c, c).
    """

    alone: Matrix
    later: Matrix
    pairs: Matrix


def within_person(
    real: Timelines, synthetic: Timelines, dictionary: Dictionary, *, level: float, rng: np.random.Generator
) -> Measured | None:
    """Largest difference between synthetic and real persons in how their rows belong together.

    Over numbers and flags, each as its rank among the real values: the share of variance that lies between persons
    (intraclass correlation, one-way, unbalanced), the correlation of neighbouring rows within a person, and that of
    two columns within a person, the time among them. Within a person, values count by how far they lie from the
    person's mean in the person's own spread, so that few restless patients do not decide. Real timelines score near
    0; rows that are drawn one by one score what real persons have of these correlations, often 0.5 and more. n is
    (synthetic persons, real persons).

    Returns:
        Nothing where no such correlation can be told with a standard deviation of 0.025.

    Reference: Shrout and Fleiss 1979, doi:10.1037/0033-2909.86.2.420, for the intraclass correlation.
    """
    names = _columns(real, dictionary)
    if not names:
        return None
    ranked = [_Ranks.of(real.table[name]) for name in names]
    by = blocks(real.persons, rng=rng)
    sums = _summed(real, _points(real, names, ranked), by.of, by.count)
    everybody = np.zeros(synthetic.persons, dtype=np.int64)
    expected = _statistics(*_total(_summed(synthetic, _points(synthetic, names, ranked), everybody, 1)))
    plain = _statistics(*_total(sums))
    drawn = np.stack([_statistics(*_total(sums, weight)) for weight in by.weights])
    known = np.isfinite(plain) & np.isfinite(drawn).all(axis=0)
    known &= np.where(known, np.std(np.where(known, drawn, 0.0), axis=0, ddof=1), np.inf) <= LARGEST_DEVIATION
    known &= _supported(sums)
    if not known.any():
        return None
    apart = np.abs(plain - np.nan_to_num(expected))[known]
    largest = np.max(np.abs(drawn - np.nan_to_num(expected))[:, known], axis=1)
    value = min(2.0, max(0.0, 2 * float(apart.max()) - float(largest.mean())))
    which = _name(np.flatnonzero(known)[int(np.argmax(apart))], [*names])
    note = f"Largest of {int(known.sum())} correlations: {which}."
    n = (synthetic.persons, coarse(real.persons))
    return interval("timelines.within_person", value, spread(largest), level=level, n=n, note=note, most=2.0)


def _columns(real: Timelines, dictionary: Dictionary) -> list[str]:
    names = [feature.name for feature in dictionary.columns if feature.type != "category"]
    named = [dictionary.time or "", *names]
    filled = [name for name in named if real.table[name].null_count() < real.table.height]
    return sorted(filled, key=lambda name: real.table[name].null_count())[:MOST_COLUMNS]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranks:
    """A real column as a ruler: the share of real values below, the middle of equals, from -0.5 to 0.5."""

    knots: Vector

    @classmethod
    def of(cls, column: pl.Series) -> "_Ranks":
        values = np.sort(column.drop_nulls().cast(pl.Float64).to_numpy())
        return cls(knots=values[:: max(1, len(values) // KNOTS)])

    def place(self, column: pl.Series) -> Points:
        values = column.cast(pl.Float64).to_numpy()
        left, right = (np.searchsorted(self.knots, values, side=side) for side in ("left", "right"))
        return np.where(np.isnan(values), np.nan, (left + right) / (2 * len(self.knots)) - 0.5).astype(np.float32)


def _points(lines: Timelines, names: list[str], ranked: list[_Ranks]) -> Points:
    return np.column_stack([ranks.place(lines.table[name]) for name, ranks in zip(names, ranked, strict=True)])


def _summed(lines: Timelines, points: Points, block_of: Indices, count: int) -> _Sums:
    """Add up what `_statistics` needs, by block of persons."""
    columns = points.shape[1]
    alone, later = np.zeros((count, 6, columns)), np.zeros((count, 3, columns))
    deviations = np.empty_like(points)
    for place in range(columns):
        alone[:, :, place], later[:, :, place], deviations[:, place] = _column(
            lines, points[:, place].astype(np.float64), block_of, count
        )
    pairs = np.zeros((count, 2, columns, columns))
    row_block = block_of[lines.whose]
    ordered = np.argsort(row_block, kind="stable")
    ends = np.searchsorted(row_block[ordered], np.arange(count + 1))
    for block in range(count):
        part = deviations[ordered[ends[block] : ends[block + 1]]]
        seen = ~np.isnan(part)
        part = np.where(seen, part, np.float32(0))
        pairs[block, 0] = part.T @ part
        pairs[block, 1] = (part * part).T @ seen.astype(np.float32)
    return _Sums(alone=alone, later=later, pairs=pairs)


def _column(lines: Timelines, values: Vector, block_of: Indices, count: int) -> tuple[Matrix, Matrix, Vector]:
    """Return one column's sums by block, and its deviations: from the person's mean, in the person's own spread."""
    seen = np.flatnonzero(~np.isnan(values))
    whose, found = lines.whose[seen], values[seen]
    rows = np.bincount(whose, minlength=lines.persons).astype(np.float64)
    total = np.bincount(whose, weights=found, minlength=lines.persons)
    squares = np.bincount(whose, weights=found**2, minlength=lines.persons)
    safe = np.maximum(rows, 1)
    parts = (rows > 0, rows, rows**2, total, total**2 / safe, squares)
    alone = np.stack([np.bincount(block_of, weights=part, minlength=count) for part in parts], axis=1)
    variance = np.maximum(squares - total**2 / safe, 0) / np.maximum(rows - 1, 1)
    moving = (rows >= LEAST_ROWS) & (variance > 1e-12)
    deviation = np.where(
        moving[whose], (found - (total / safe)[whose]) / np.sqrt(np.maximum(variance, 1e-12))[whose], np.nan
    )
    neighbours = np.flatnonzero((whose[1:] == whose[:-1]) & ~np.isnan(deviation[1:]))
    before, after = deviation[neighbours], deviation[neighbours + 1]
    block = block_of[whose[neighbours]]
    later = np.stack(
        [np.bincount(block, weights=part, minlength=count) for part in (before * after, before**2, after**2)], axis=1
    )
    spaced = np.full(len(values), np.nan)
    spaced[seen] = deviation
    return np.asarray(alone, dtype=np.float64), np.asarray(later, dtype=np.float64), spaced


def _total(sums: _Sums, weight: Vector | None = None) -> tuple[Matrix, Matrix, Matrix]:
    one = np.ones(len(sums.alone)) if weight is None else weight
    return _weighed(one, sums.alone), _weighed(one, sums.later), _weighed(one, sums.pairs)


def _weighed(weight: Vector, parts: Matrix) -> Matrix:
    return np.asarray((weight @ parts.reshape(len(parts), -1)).reshape(parts.shape[1:]))


def _statistics(alone: Matrix, later: Matrix, pairs: Matrix) -> Vector:
    """Return intraclass correlations, those of neighbouring rows, and those of pairs; NaN where there is none."""
    persons, rows, rows_squared, total, between, squares = alone
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = (rows - rows_squared / rows) / (persons - 1)
        among = (between - total**2 / rows) / (persons - 1)
        inside = np.maximum(squares - between, 0) / (rows - persons)
        same = (among - inside) / (among + (usual - 1) * inside)
        neighbours = later[0] / np.sqrt(later[1] * later[2])
        together = pairs[0] / np.sqrt(pairs[1] * pairs[1].T)
    upper = np.triu_indices(len(together), k=1)
    return np.concatenate((same, neighbours, together[upper]))


def _supported(sums: _Sums) -> NDArray[np.bool_]:
    """Whether at least half of the blocks say something about each statistic."""
    half = len(sums.alone) / 2
    rows = np.sum(sums.alone[:, 1] > sums.alone[:, 0], axis=0) >= half
    later = np.sum(sums.later[:, 1] > 0, axis=0) >= half
    upper = np.triu_indices(sums.pairs.shape[-1], k=1)
    both = np.sum((sums.pairs[:, 1] > 0) & (np.swapaxes(sums.pairs[:, 1], 1, 2) > 0), axis=0) >= half
    return np.concatenate((rows, later, both[upper]))


def _name(place: int, names: list[str]) -> str:
    if place < len(names):
        return f"how much of {names[place]} belongs to the person"
    if place < 2 * len(names):
        return f"{names[place - len(names)]} from row to row"
    first, second = np.triu_indices(len(names), k=1)
    place -= 2 * len(names)
    return f"{names[first[place]]} with {names[second[place]]}"

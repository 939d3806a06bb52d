"""Is what was not measured missing as it is in real persons?

Not every person gets every test, and who gets it depends on how ill the person is. A corpus in which all values are
filled in, or are missing at random, teaches a model another hospital.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.encoding import LABEL
from wardgate.measures.realism.coding import Codes, Matrix, equal_shares, indicators
from wardgate.measures.realism.resampling import blocks, products, root, spread, worst
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

Flags = NDArray[np.bool_]
Shares = NDArray[np.float64]

LEAST = 11
"""Real persons who lack a value, below whom it is not told that anybody does."""

PARTS, LEVELS = 3, 4
"""Parts of a number and categories of a column on which missingness may depend."""


def missingness_error(
    features: Sequence[Feature], real: Matrix, synthetic: Matrix, *, level: float, rng: np.random.Generator
) -> Measured:
    """The worst of four errors, each a root mean square beyond chance, in shares of records to change.

    Of the share missing in a column; and of how missingness goes together with that of another column, with the
    outcome, and with the values of the other columns, whatever the shares missing are. A fresh sample scores near 0,
    a corpus whose values are all there the root mean square share missing in real persons. Columns in which the
    corpus misses nothing and fewer than `LEAST` real persons do are left out.

    Args:
        real, synthetic: From `coding.values`, shapes (n, d) and (m, d); values out of range are missing there.

    n is (synthetic rows, real persons).
    """
    columns = np.flatnonzero((np.isnan(real).sum(axis=0) >= LEAST) | np.isnan(synthetic).any(axis=0))
    name, sizes = "realism.missingness_error", (len(synthetic), len(real))
    if not len(columns):
        note = "Hardly any value is missing in real persons, and none in the corpus."
        return Measured(name=name, value=0, low=0, high=0, level=level, n=sizes, note=note)
    coding = equal_shares(features, real, parts=PARTS, most_levels=LEVELS)
    starts = np.concatenate(([0], np.cumsum(coding.widths)))
    missing = starts[columns + 1] - 1
    by = blocks(len(real), rng=rng)
    hot = indicators(coding(real)[by.order], coding.widths)
    counted = products(_beside(hot, missing), hot, by)
    drawn = by.shares(counted)
    other = indicators(coding(synthetic), coding.widths)
    found = counted.sum(axis=0, dtype=np.float64) / len(real)
    wanted = (_beside(other, missing).T @ other).astype(np.float64) / len(synthetic)
    pooled = (len(real) * found[-1] + len(synthetic) * wanted[-1]) / (len(real) + len(synthetic))
    chance = pooled * (1 - pooled)
    noise = 1 / len(real) + 1 / len(synthetic)

    apart = drawn[:, -1, missing] - wanted[-1, missing]
    values = [root(float(np.mean((found - wanted)[-1, missing] ** 2 - chance[missing] * noise)))]
    deviations = [spread(np.sqrt(np.mean(apart**2, axis=1)))]
    bound = _dependence(found, missing) - _dependence(wanted, missing)
    bound_drawn = _dependence(drawn, missing) - _dependence(wanted, missing)
    for part in _parts(features, columns, starts, missing):
        scale = part.scale / part.pairs
        expected = (chance[missing][:, None] * chance)[part.cells] * noise
        values.append(root(scale * float(np.sum(bound[part.cells] ** 2 - expected))))
        deviations.append(spread(np.sqrt(scale * np.sum(bound_drawn[:, part.cells] ** 2, axis=1))))
    note = "Values out of their plausible range count as missing."
    return worst(name, values, deviations, level=level, n=sizes, note=note)


def _beside(hot: NDArray[np.float32], missing: Codes) -> NDArray[np.float32]:
    """Return the indicators of missing values, and a column of ones that counts everybody."""
    return np.column_stack((hot[:, missing], np.ones(len(hot), dtype=np.float32)))


def _dependence(shares: Shares, missing: Codes) -> Shares:
    """Return share missing and in a code, minus what it would be by chance, shape (..., j, codes)."""
    every = shares[..., -1, :]
    return np.asarray(shares[..., :-1, :] - every[..., missing, None] * every[..., None, :])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One kind of dependence.

    Attributes:
        cells: Which differences it is made of, shape (j, codes).
        scale: From squared differences to the square of a share of records: 4 where one cell of a two by two table
            stands for all four, 2 where both rows but all columns are told.
        pairs: Pairs of columns.
    """

    cells: Flags
    scale: float
    pairs: int


def _parts(features: Sequence[Feature], columns: Codes, starts: Codes, missing: Codes) -> Iterator[_Part]:
    """Yield the kinds of dependence that there are."""
    column = np.repeat(np.arange(len(features)), np.diff(starts))
    is_missing = np.isin(np.arange(len(column)), starts[1:] - 1)
    outcome = np.array([feature.name == LABEL for feature in features])
    other = column[None, :] != columns[:, None]
    together = other & np.isin(np.arange(len(column)), missing)
    if together.any():
        yield _Part(cells=together, scale=4, pairs=int(together.sum()))
    event = outcome[column] & (np.arange(len(column)) == starts[column] + 1)
    with_outcome = other & event
    if with_outcome.any():
        yield _Part(cells=with_outcome, scale=4, pairs=int(with_outcome.sum()))
    with_values = other & ~is_missing & ~outcome[column]
    if with_values.any():
        pairs = sum(len(np.unique(column[row])) for row in with_values)
        yield _Part(cells=with_values, scale=2, pairs=pairs)

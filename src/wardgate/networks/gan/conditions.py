"""What a row is asked to be before it is drawn: a label, and for half of the rows one value of one nominal column.

Training by sampling (Xu et al. 2019, arXiv:1907.00503): rare values are asked for more often than they occur, and
real rows that meet them are set beside the rows drawn. What is asked for is copied into the row, never learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.networks.gan.layout import Layout, Rows

Matrix = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What n rows are asked to be.

    Attributes:
        label: 0 or 1, shape (n,).
        column: Position of a nominal column that is asked for, or -1, shape (n,).
        value: Its cell, shape (n,).
    """

    label: Indices
    column: Indices
    value: Indices


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequencies:
    """How often each value is asked for.

    Attributes:
        label: P(label), shape (2,).
        tables: For every nominal column by its position, P(cell | label), shape (2, cells).
    """

    label: NDArray[np.float64]
    tables: dict[int, NDArray[np.float64]]

    def draw(self, rows: int, rng: np.random.Generator) -> Asked:
        """Draw what is asked of rows: the label, and for about every second row one column."""
        label = (rng.random(rows) < self.label[1]).astype(np.int64)
        column = np.full(rows, -1, dtype=np.int64)
        value = np.zeros(rows, dtype=np.int64)
        positions = np.array(sorted(self.tables), dtype=np.int64)
        if len(positions):
            asks = rng.random(rows) < 0.5
            column[asks] = positions[rng.integers(len(positions), size=int(asks.sum()))]
        point = rng.random(rows)
        for at, table in self.tables.items():
            here = np.flatnonzero(column == at)
            steps = np.cumsum(table[label[here]], axis=1)
            value[here] = np.minimum((steps <= point[here, None] * steps[:, -1:]).sum(axis=1), table.shape[1] - 1)
        return Asked(label=label, column=column, value=value)


def only_label(label: NDArray[np.int64]) -> Asked:
    """Ask for labels and nothing else."""
    return Asked(
        label=label, column=np.full(len(label), -1, dtype=np.int64), value=np.zeros(len(label), dtype=np.int64)
    )


def nominal(layout: Layout) -> tuple[int, ...]:
    """Return the positions of the columns that can be asked for beside the label."""
    return tuple(at for at, column in enumerate(layout.domain.columns[:-1]) if column.kind == "nominal")


def own(layout: Layout, rows: Rows, rng: np.random.Generator) -> Asked:
    """Return for each person its own label and, for about every second, its own value of a column drawn at random."""
    n = len(rows.codes)
    positions = np.array(nominal(layout), dtype=np.int64)
    column = np.full(n, -1, dtype=np.int64)
    if len(positions):
        column = np.where(rng.random(n) < 0.5, positions[rng.integers(len(positions), size=n)], -1)
    value = np.where(column >= 0, rows.codes[np.arange(n), column], 0).astype(np.int64)
    return Asked(label=rows.codes[:, -1].astype(np.int64), column=column, value=value)


def mask(starts: Sequence[int], sizes: Sequence[int], asked: Asked) -> tuple[Matrix, Matrix]:
    """Return what is asked for as indicators, and which blocks that fills; both of shape (n, indicators).

    Args:
        starts, sizes: First indicator and number of indicators of each column, the label last.
    """
    n, indicators = len(asked.label), starts[-1] + sizes[-1]
    wanted = np.zeros((n, indicators), dtype=np.float32)
    filled = np.zeros((n, indicators), dtype=np.float32)
    wanted[np.arange(n), starts[-1] + asked.label] = 1.0
    filled[:, starts[-1] :] = 1.0
    for at in np.unique(asked.column[asked.column >= 0]):
        here = np.flatnonzero(asked.column == at)
        wanted[here, starts[at] + asked.value[here]] = 1.0
        filled[here, starts[at] : starts[at] + sizes[at]] = 1.0
    return wanted, filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Real rows by what they meet.

    Attributes:
        frequencies: What is asked for, flattened by the logarithm.
        orders: For every column (-1: none) and label, the rows of that label sorted by value.
        starts: Where each value begins in that order, one past the last included.
    """

    frequencies: Frequencies
    orders: dict[tuple[int, int], Indices]
    starts: dict[tuple[int, int], Indices]

    def draw(self, rows: int, rng: np.random.Generator) -> tuple[Asked, Indices]:
        """Draw what is asked for, and a real row that meets each."""
        asked = self.frequencies.draw(rows, rng)
        found = np.empty(rows, dtype=np.int64)
        point = rng.random(rows)
        for (at, label), order in self.orders.items():
            here = np.flatnonzero((asked.column == at) & (asked.label == label))
            starts = self.starts[at, label]
            low, high = starts[asked.value[here]], starts[asked.value[here] + 1]
            found[here] = order[np.minimum(low + np.floor(point[here] * (high - low)).astype(np.int64), high - 1)]
        return asked, found

    def weights(self, codes: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return how often each real row is drawn, shape (n,), sum 1."""
        found = np.zeros(len(codes))
        columns = self.frequencies.tables
        for (at, label), order in self.orders.items():
            share = self.frequencies.label[label] * (0.5 if columns else 1.0)
            if at < 0:
                found[order] += share / len(order)
                continue
            table, counts = columns[at][label], np.diff(self.starts[at, label])
            each = np.divide(table, counts, out=np.zeros_like(table), where=counts > 0)
            found[order] += share / len(columns) * each[codes[order, at]]
        return found


def matched(layout: Layout, rows: Rows) -> Matched:
    """Sort real rows by label and value, and flatten their frequencies by the logarithm."""
    tables: dict[int, NDArray[np.float64]] = {}
    orders: dict[tuple[int, int], Indices] = {}
    starts: dict[tuple[int, int], Indices] = {}
    for side in (0, 1):
        here = np.flatnonzero(rows.codes[:, -1] == side)
        orders[-1, side], starts[-1, side] = here, np.array([0, len(here)])
    for at in nominal(layout):
        table = np.zeros((2, layout.sizes[at]))
        for side in (0, 1):
            here = orders[-1, side]
            values = rows.codes[here, at]
            orders[at, side] = here[np.argsort(values, kind="stable")]
            counts = np.bincount(values, minlength=layout.sizes[at])
            starts[at, side] = np.concatenate([[0], np.cumsum(counts)])
            table[side] = np.log1p(counts)
        tables[at] = table / table.sum(axis=1, keepdims=True)
    flattened = np.log1p([len(orders[-1, 0]), len(orders[-1, 1])])
    return Matched(
        frequencies=Frequencies(label=flattened / flattened.sum(), tables=tables), orders=orders, starts=starts
    )

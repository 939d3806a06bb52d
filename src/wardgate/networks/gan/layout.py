"""How a table becomes what a network sees, and back. Arrays only; nothing here loads torch.

Every column is one block of indicators: one for each category, or for each mode of a number, and one for "missing"
where the dictionary allows that. A number of a layout fitted to persons also has its place inside its mode, in
[-1, 1] (mode-specific normalisation; Xu et al. 2019, arXiv:1907.00503, with modes of about equal weight instead of a
Gaussian mixture). The label is the last block, always two indicators. A row of the matrix is

    [indicators of all columns | places of the numbers | ranks of the numbers]

The ranks follow from indicators and places, and tell a critic how far apart two modes are.

    public_layout(dictionary.features, edges)   edges from public ranges or noisy histograms: looks at nobody
    fitted_layout(dictionary.features, table)   modes and rare categories from persons: no privacy
    layout.encode(table) -> Rows;  layout.matrix(rows) -> (n, width) float32;  layout.decode(rows, rng=...) -> table
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.domain import CELLS, Codes, Column, Domain, domain_of, encode
from wardgate.measures.encoding import LABEL
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Matrix = NDArray[np.float32]

GRAINS = (1.0, 0.5, 0.1, 0.05, 0.01)
"""Steps in which numbers are commonly written down, coarsest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Persons, real or drawn, as cells and places inside them.

    Attributes:
        codes: Cell of every column, the label last, shape (n, columns).
        places: Place inside the mode in [-1, 1] for every number of the layout, shape (n, numbers); 0 where missing.
    """

    codes: Codes
    places: Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The blocks of a table.

    Attributes:
        domain: The columns with their cells; the edges of a number are the limits of its modes.
        kept: For every column, which cells may be drawn; rare ones may not.
        grains: For every column, the step in which its numbers are written; 0 where there is none.
        spans: For every number, the lowest and highest value that each of its modes stands for.
        placed: Whether the place of a number inside its mode is part of a row; else it is drawn evenly.
    """

    domain: Domain
    kept: tuple[tuple[bool, ...], ...]
    grains: tuple[float, ...]
    spans: tuple[tuple[tuple[float, float], ...], ...]
    placed: bool

    @property
    def sizes(self) -> tuple[int, ...]:
        """Indicators of each column."""
        return tuple(column.size for column in self.domain.columns)

    @property
    def starts(self) -> tuple[int, ...]:
        """First indicator of each column."""
        return tuple(int(start) for start in np.concatenate([[0], np.cumsum(self.sizes)[:-1]]))

    @property
    def indicators(self) -> int:
        """Indicators of all columns."""
        return sum(self.sizes)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Positions of the columns that are numbers."""
        return tuple(at for at, column in enumerate(self.domain.columns) if column.kind != "nominal")

    @property
    def places(self) -> int:
        """Places in a row: one for each number, or none."""
        return len(self.numbers) if self.placed else 0

    @property
    def width(self) -> int:
        """Entries of a row of the matrix."""
        return self.indicators + self.places + len(self.numbers)

    @property
    def middles(self) -> tuple[tuple[float, ...], ...]:
        """For each number, the rank in [-1, 1] of the middle of each of its cells; 0 for missing."""
        found = []
        for at in self.numbers:
            column = self.domain.columns[at]
            ranks = (np.arange(column.present) + 0.5) / column.present * 2 - 1
            found.append((*(float(rank) for rank in ranks), *([0.0] * column.missing)))
        return tuple(found)

    def encode(self, table: pl.DataFrame) -> Rows:
        """Return a table as cells and places.

        Raises:
            Invalid: the table does not fit the dictionary, see `marginals.domain.encode`.
        """
        codes = encode(self.domain, table)
        places = np.zeros((table.height, self.places), dtype=np.float32)
        for number, at in enumerate(self.numbers if self.placed else ()):
            column = self.domain.columns[at]
            values = table[column.name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            cell = np.minimum(codes[:, at], column.present - 1)
            low, wide = self._span(number, cell, integer=column.kind == "integer")
            half = 0.5 if column.kind == "integer" else 0.0
            inside = (values - low + half) / np.where(wide > 0, wide, 1.0) * 2 - 1
            gone = (wide <= 0) | (codes[:, at] >= column.present)
            places[:, number] = np.where(gone, 0.0, np.clip(inside, -1.0, 1.0))
        return Rows(codes=codes, places=places)

    def matrix(self, rows: Rows) -> Matrix:
        """Return rows as a network sees them, shape (n, width)."""
        n = len(rows.codes)
        found = np.zeros((n, self.width), dtype=np.float32)
        for at, start in enumerate(self.starts):
            found[np.arange(n), start + rows.codes[:, at]] = 1.0
        found[:, self.indicators : self.indicators + self.places] = rows.places
        for number, (at, middles) in enumerate(zip(self.numbers, self.middles, strict=True)):
            cell = rows.codes[:, at]
            present = self.domain.columns[at].present
            rank = np.asarray(middles)[cell]
            if self.placed:
                rank = rank + np.where(cell < present, rows.places[:, number] / present, 0.0)
            found[:, self.indicators + self.places + number] = rank
        return found

    def common(self, rows: Rows, *, rng: np.random.Generator) -> Rows:
        """Return rows in which every rare cell is replaced by one of the others, drawn as often as they occur."""
        codes = rows.codes.copy()
        for at, kept in enumerate(self.kept):
            known = np.asarray(kept)
            rare = ~known[codes[:, at]]
            if rare.any():
                weights = np.bincount(codes[~rare, at], minlength=len(known)) / float((~rare).sum())
                codes[rare, at] = rng.choice(len(known), size=int(rare.sum()), p=weights)
        return Rows(codes=codes, places=rows.places)

    def decode(self, rows: Rows, *, rng: np.random.Generator) -> pl.DataFrame:
        """Return the table of rows in the form of `measures.encoding`, with the label."""
        n, series, number = len(rows.codes), [], 0
        for at, column in enumerate(self.domain.columns[:-1]):
            gone = rows.codes[:, at] >= column.present
            cell = np.where(gone, 0, rows.codes[:, at])
            if column.kind == "nominal":
                drawn = pl.Series(column.name, list(column.values)).gather(cell)
            else:
                share = (rows.places[:, number].astype(np.float64) + 1) / 2 if self.placed else rng.random(n)
                drawn = pl.Series(column.name, self._number(at, number, cell, np.clip(share, 0.0, 1.0)))
                number += 1
            series.append(drawn.to_frame().select(pl.when(pl.Series(~gone)).then(pl.col(column.name)))[column.name])
        return pl.DataFrame([*series, pl.Series(LABEL, rows.codes[:, -1], dtype=pl.Int8)])

    def _span(
        self, number: int, cell: NDArray[Any], *, integer: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lowest value of each row's mode and how wide the mode is; an integer counts both its ends."""
        span = np.asarray(self.spans[number])[cell]
        return span[:, 0], span[:, 1] - span[:, 0] + float(integer)

    def _number(self, at: int, number: int, cell: NDArray[Any], share: NDArray[np.float64]) -> NDArray[np.float64]:
        column = self.domain.columns[at]
        low, wide = self._span(number, cell, integer=column.kind == "integer")
        if column.kind == "integer":
            drawn = np.minimum(low + np.floor(share * wide), low + wide - 1)
        else:
            drawn = low + share * wide
            if self.grains[at]:
                drawn = np.round(np.rint(drawn / self.grains[at]) * self.grains[at], 6)
        return np.asarray(np.clip(drawn, *(self.domain.declared[at].range or (-np.inf, np.inf))))


def public_layout(features: Sequence[Feature], edges: Mapping[str, Sequence[float]] | None = None) -> Layout:
    """Return a layout that looks at nobody.

    Args:
        edges: For some numbers, the limits of their modes, rising; from noisy counts or from nowhere but the range.
            Other numbers are cut in eight modes of equal width.

    Raises:
        Invalid: edges are not strictly rising or go to a column that is no number.
    """
    domain = domain_of(features, cells=8)
    columns = list(domain.columns)
    names = [column.name for column in columns]
    for name, limits in (edges or {}).items():
        if name not in names or columns[names.index(name)].kind == "nominal":
            raise Invalid(f"'{name}' is no number of the dictionary, so it has no modes")
        if len(limits) < 2 or not bool(np.all(np.diff(np.asarray(limits, dtype=np.float64)) > 0)):
            raise Invalid(f"modes of '{name}' need at least two limits that rise")
        columns[names.index(name)] = replace(columns[names.index(name)], edges=tuple(float(limit) for limit in limits))
    return Layout(
        domain=replace(domain, columns=tuple(columns)),
        kept=tuple((True,) * column.size for column in columns),
        grains=(0.0,) * len(columns),
        spans=tuple(_whole_spans(column) for column in columns if column.kind != "nominal"),
        placed=False,
    )


def _whole_spans(column: Column) -> tuple[tuple[float, float], ...]:
    """Return spans that fill the cells of a number."""
    last = 1.0 if column.kind == "integer" else 0.0
    return tuple((low, high - last) for low, high in pairwise(column.edges))


def fitted_layout(
    features: Sequence[Feature], table: pl.DataFrame, *, modes: int, persons_per_mode: int, min_persons: int
) -> Layout:
    """Return a layout whose modes hold about equally many of these persons. It tells of them: it stays in the ward.

    The outermost limits are means of `persons_per_mode` values, inner ones lie between two values, so no limit is the
    value of one person, unless many share it.

    Args:
        modes: At most so many for each number; a value that many persons share has a mode of its own.
        persons_per_mode: A mode holds at least so many persons.
        min_persons: A category, or being missing, with fewer persons is never drawn.

    Raises:
        Invalid: the table does not fit the dictionary.
    """
    if min(modes, persons_per_mode, min_persons) < 1:
        raise Invalid("expected at least one mode, and at least one person in each mode and category")
    domain = domain_of(features, cells=CELLS)
    encode(domain, table)  # checks every column before a quantile is taken
    columns: list[Column] = []
    grains, spans = [], []
    for feature, column in zip(features, domain.columns[:-1], strict=True):
        if column.kind == "nominal":
            columns.append(column)
            grains.append(0.0)
            continue
        numbers = table[feature.name].cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
        numbers = np.clip(numbers, *(feature.range or (-np.inf, np.inf)))
        if column.kind == "integer":
            numbers = np.rint(numbers)
        fitted, inside = _modes(column, numbers, modes, persons_per_mode)
        columns.append(fitted)
        spans.append(inside)
        grains.append(_grain(numbers) if column.kind == "number" else 0.0)
    whole = replace(domain, columns=(*columns, domain.columns[-1]))
    codes = encode(whole, table)
    kept = []
    for at, column in enumerate(whole.columns):
        counts = np.bincount(codes[:, at], minlength=column.size)
        enough = counts >= max(1, min(min_persons, int(counts.max())))
        kept.append(tuple(bool(one) for one in enough))
    return Layout(domain=whole, kept=tuple(kept), grains=(*grains, 0.0), spans=tuple(spans), placed=True)


def _modes(
    column: Column, numbers: NDArray[np.float64], modes: int, floor: int
) -> tuple[Column, tuple[tuple[float, float], ...]]:
    """Return a number with modes of about equal weight, and what each stands for."""
    if not len(numbers):
        whole = replace(column, edges=(column.edges[0], column.edges[-1]))
        return whole, _whole_spans(whole)
    values, counts = np.unique(numbers, return_counts=True)
    starts = _starts(counts, goal=max(floor, len(numbers) / modes), floor=floor)
    groups = list(pairwise((*starts, len(values))))
    ordered = np.sort(numbers)
    low, high = float(ordered[:floor].mean()), float(ordered[-floor:].mean())
    if column.kind == "integer":
        firsts = [float(values[start]) for start, _ in groups]
        firsts[0] = float(np.rint(low)) if len(firsts) == 1 else min(float(np.rint(low)), firsts[1] - 1)
        edges = (*firsts, max(float(np.rint(high)), firsts[-1]) + 1)
        return replace(column, edges=edges), tuple((first, after - 1) for first, after in pairwise(edges))
    inner = [float(values[start - 1] + values[start]) / 2 for start, _ in groups[1:]]
    limits = [low, *inner, high]
    spans = tuple(
        (float(values[start]),) * 2 if stop - start == 1 else (below, above)
        for (start, stop), (below, above) in zip(groups, pairwise(limits), strict=True)
    )
    if len(limits) == 2 and not low < high:
        limits = [low, float(np.nextafter(low, np.inf))]
    return replace(column, edges=tuple(limits)), spans


def _starts(counts: NDArray[np.int64], *, goal: float, floor: int) -> list[int]:
    """Return where modes begin among ordered values; a value that fills a mode has one of its own."""
    starts, held = [0], 0
    for at, count in enumerate(counts):
        full = held >= goal or count >= goal or held + count / 2 > goal
        if held >= floor and full:
            starts.append(at)
            held = 0
        held += int(count)
    if len(starts) > 1 and held < floor:
        starts.pop()
    return starts


def _grain(numbers: NDArray[np.float64]) -> float:
    """Return the coarsest common step that nearly all values are multiples of; 0 where there is none."""
    for grain in GRAINS:
        steps = numbers / grain
        if len(numbers) and float(np.mean(np.abs(steps - np.rint(steps)) < 1e-6)) > 0.995:
            return grain
    return 0.0

"""The cells that a person can fall into, column by column. Public: it follows from the study alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.encoding import LABEL, labels
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

CELLS = 64
"""Cells of the fine grid over the public range of a number."""

MAX_CELLS = 256

Codes = NDArray[np.int32]
"""Cell numbers, shape (n, columns); the label is the last column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column and its cells; where a value may be missing, the last cell says so.

    Attributes:
        kind: `number` and `integer` have `edges`; `nominal` (categories, booleans, the label) has `values`.
        edges: Cell k holds edges[k] <= value < edges[k + 1]; the last cell holds its upper edge too.
            For integers every edge is the first integer of its cell, and the last edge is one past the end.
        values: What a cell stands for, in the order of the study.
    """

    name: str
    kind: Literal["number", "integer", "nominal"]
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] | tuple[float, ...] = ()
    missing: bool

    @property
    def present(self) -> int:
        """Cells that hold a value."""
        return len(self.values) if self.kind == "nominal" else len(self.edges) - 1

    @property
    def size(self) -> int:
        """All cells."""
        return self.present + int(self.missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """All columns, the label last where there is one, and the features as the study declares them."""

    columns: tuple[Column, ...]
    declared: tuple[Feature, ...]

    @property
    def features(self) -> int:
        """How many columns there are beside the label; also the index of the label where there is one."""
        return len(self.columns) - int(self.labelled)

    @property
    def labelled(self) -> bool:
        """Whether the last column is the label."""
        return self.columns[-1].name == LABEL

    def index(self, name: str) -> int:
        """Return the position of a column.

        Raises:
            Invalid: there is no such column.
        """
        for position, column in enumerate(self.columns):
            if column.name == name:
                return position
        raise Invalid(f"there is no column '{name}'; expected one of the study's features or '{LABEL}'")


def domain_of(features: Sequence[Feature], *, cells: int = CELLS, label: bool = True) -> Domain:
    """Return the domain of a study's features and, unless it has none, the label.

    Raises:
        Invalid: `cells` is out of bounds, or a feature has more categories than a marginal can carry.
    """
    if not 2 <= cells <= MAX_CELLS:
        raise Invalid(f"expected 2 to {MAX_CELLS} cells for a number, found {cells}")
    columns = [_column(feature, cells) for feature in features]
    if label:
        columns.append(Column(name=LABEL, kind="nominal", values=(0.0, 1.0), missing=False))
    return Domain(columns=tuple(columns), declared=tuple(features))


def _column(feature: Feature, cells: int) -> Column:
    missing = feature.missing == "allowed"
    if feature.type == "boolean":
        return Column(name=feature.name, kind="nominal", values=(0.0, 1.0), missing=missing)
    if feature.type == "category":
        values = feature.values or ()
        if len(values) > MAX_CELLS:
            raise Invalid(
                f"feature '{feature.name}' has {len(values)} categories; a marginal carries at most {MAX_CELLS}: "
                "group them in the study"
            )
        return Column(name=feature.name, kind="nominal", values=values, missing=missing)
    if feature.range is None:
        raise Invalid(f"feature '{feature.name}' has no range; its cells cannot be laid")
    low, high = feature.range
    if feature.type == "number":
        edges = tuple(float(edge) for edge in np.linspace(low, high, cells + 1))
        return Column(name=feature.name, kind="number", edges=edges, missing=missing)
    first, last = int(np.ceil(low)), int(np.floor(high))
    if first > last:
        raise Invalid(f"feature '{feature.name}' is an integer and its range holds none")
    count = min(cells, last - first + 1)
    starts = first + (np.arange(count + 1) * (last - first + 1)) // count
    return Column(name=feature.name, kind="integer", edges=tuple(float(start) for start in starts), missing=missing)


def encode(domain: Domain, table: pl.DataFrame) -> Codes:
    """Return the cell of every value. Numbers outside their range count at its end; NaN counts as missing.

    Raises:
        Invalid: a column is absent, has a category that the study does not name, or lacks values
            where the study refuses missing ones; or the label is not 0 or 1 everywhere.
    """
    codes = np.empty((table.height, len(domain.columns)), dtype=np.int32, order="F")
    for position, column in enumerate(domain.columns):
        if column.name == LABEL:
            codes[:, position] = labels(table)
            continue
        if column.name not in table.columns:
            raise Invalid(f"column '{column.name}' is missing; the study asks for it")
        found = _cells(column, table[column.name])
        if not column.missing and bool((found < 0).any()):
            raise Invalid(f"column '{column.name}' lacks values; the study refuses persons without it")
        codes[:, position] = np.where(found < 0, column.present, found)
    return codes


def _cells(column: Column, series: pl.Series) -> Codes:
    """Return cell numbers, -1 where the value is missing."""
    if column.kind == "nominal" and column.values and isinstance(column.values[0], str):
        try:
            text = series.cast(pl.String).cast(pl.Enum(list(column.values)))
        except pl.exceptions.PolarsError:
            text = None
        if text is None:
            raise Invalid(f"column '{column.name}' holds a category that the study does not name")
        return text.to_physical().cast(pl.Int32).fill_null(-1).to_numpy()
    numbers = _numbers(series)
    gone = np.isnan(numbers)
    if column.kind == "nominal":
        if not bool(np.isin(numbers[~gone], (0.0, 1.0)).all()):
            raise Invalid(f"column '{column.name}' is a boolean; expected 0, 1 or missing")
        return np.where(gone, -1, numbers).astype(np.int32)
    if column.kind == "integer":
        numbers = np.rint(numbers)
    edges = np.asarray(column.edges)
    cells = np.searchsorted(edges, np.where(gone, edges[0], numbers), side="right") - 1
    return np.where(gone, -1, np.clip(cells, 0, column.present - 1)).astype(np.int32)


def _numbers(series: pl.Series) -> NDArray[np.float64]:
    """Return a column as numbers, missing as NaN; a message never quotes what could not be read."""
    try:
        return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    except pl.exceptions.PolarsError:
        pass
    raise Invalid(
        f"column '{series.name}' holds {series.dtype.base_type()}, and the dictionary says it holds numbers; free text "
        "has no place in a table for synthesis, and groups of it belong into the dictionary as a category"
    )


def decode(column: Column, cells: Codes, *, rng: np.random.Generator, low: float, high: float) -> pl.Series:
    """Return one value for every cell number: the category, or a point drawn evenly inside the cell.

    Args:
        low, high: Draw numbers only between these (both included); a cell that they miss falls back to itself.
    """
    gone = cells >= column.present
    safe = np.where(gone, 0, cells)
    if column.kind == "nominal":
        values = pl.Series(column.name, list(column.values))
        drawn = values.gather(safe)
    else:
        edges = np.asarray(column.edges)
        start, stop = edges[safe], edges[safe + 1]
        if column.kind == "integer":
            stop = stop - 1
            inner_start, inner_stop = np.maximum(start, np.ceil(low)), np.minimum(stop, np.floor(high))
        else:
            inner_start, inner_stop = np.maximum(start, low), np.minimum(stop, high)
        outside = inner_start > inner_stop
        start, stop = np.where(outside, start, inner_start), np.where(outside, stop, inner_stop)
        point = rng.random(len(safe))
        if column.kind == "integer":
            drawn = pl.Series(column.name, np.minimum(start + np.floor(point * (stop - start + 1)), stop))
        else:
            drawn = pl.Series(column.name, start + point * (stop - start))
    return drawn.to_frame().select(pl.when(pl.Series(~gone)).then(pl.col(column.name)))[column.name]

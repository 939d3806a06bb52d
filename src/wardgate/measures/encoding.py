"""From a table of study features to numbers in [-1, 1]; the same at every hospital and at the hub.

The table form used everywhere: a polars frame with one column per feature (Float64 for `number`, `integer`
and `boolean` as 0/1, String for `category`; missing is null) and, where known, a column `label` (0/1, Int8).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.records.dictionary import LABEL as LABEL
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the design: a scaled number, an indicator of one category, or of missingness."""

    name: str
    feature: str
    category: str | None = None
    missing: bool = False


def design_columns(features: Sequence[Feature]) -> tuple[Column, ...]:
    """Return the columns of the design, the intercept first.

    Numbers are scaled to [-1, 1] by their range; categories get an indicator for each value but the first;
    a feature that may be missing gets a missing indicator.
    """
    columns = [Column(name="intercept", feature="")]
    for feature in features:
        if feature.type == "category":
            columns += [
                Column(name=f"{feature.name}={value}", feature=feature.name, category=value)
                for value in (feature.values or ())[1:]
            ]
        else:
            columns.append(Column(name=feature.name, feature=feature.name))
        if feature.missing == "allowed":
            columns.append(Column(name=f"{feature.name}=missing", feature=feature.name, missing=True))
    return tuple(columns)


def scaled(feature: Feature, values: pl.Series) -> Matrix:
    """Map a numeric feature to [-1, 1] by its range, clipped; missing becomes NaN. Booleans stay 0/1."""
    array: Matrix = _cast(values, pl.Float64()).to_numpy().astype(np.float64)
    if feature.type == "boolean":
        return np.asarray(np.clip(array, 0.0, 1.0))
    if feature.range is None:
        raise Invalid(f"feature '{feature.name}' has no range; it cannot be scaled")
    low, high = feature.range
    return np.asarray(np.clip((array - low) * (2.0 / (high - low)) - 1.0, -1.0, 1.0))


def design_matrix(features: Sequence[Feature], table: pl.DataFrame) -> Matrix:
    """Encode a table.

    Args:
        features: The study's features.
        table: Columns as the module describes, n rows.

    Returns:
        Shape (n, p), every entry in [-1, 1]; the first column is 1. Missing numbers count as the middle
        of their range (0) beside their missing indicator.

    Raises:
        Invalid: a feature has no column, or a column holds something else than the study says.
    """
    n = table.height
    parts: list[Matrix] = [np.ones(n)]
    for feature in features:
        if feature.name not in table.columns:
            raise Invalid(f"column '{feature.name}' is missing; the study asks for it")
        series = table[feature.name]
        null = series.is_null().to_numpy()
        if feature.type == "category":
            known = feature.values or ()
            text = _cast(series, pl.String())
            if not bool(text.drop_nulls().is_in(list(known)).all()):
                raise Invalid(f"column '{feature.name}' holds a category that the study does not name")
            parts += [(text == value).fill_null(False).to_numpy().astype(np.float64) for value in known[1:]]
        else:
            numbers = scaled(feature, series)
            parts.append(np.where(np.isfinite(numbers), numbers, 0.0))
            null = null | ~np.isfinite(numbers)
        if feature.missing == "allowed":
            parts.append(null.astype(np.float64))
    return np.column_stack(parts)


def labels(table: pl.DataFrame) -> NDArray[np.int8]:
    """Return the label of each row, 0 or 1.

    Raises:
        Invalid: the label is absent, null, or something other than 0 and 1.
    """
    if LABEL not in table.columns:
        raise Invalid("the table has no label")
    series = _cast(table[LABEL], pl.Float64())
    if series.null_count() or not bool(series.is_in([0.0, 1.0]).all()):
        raise Invalid("the label must be 0 or 1 in every row")
    return series.cast(pl.Int8).to_numpy()


def _cast(series: pl.Series, kind: pl.DataType) -> pl.Series:
    """Return the column as numbers or text; a message never quotes what could not be read."""
    found = series.dtype
    if not found.is_nested():
        try:
            return series.cast(kind)
        except pl.exceptions.PolarsError:
            pass
    raise Invalid(f"column '{series.name}' holds {found.base_type()}, which cannot be read as {kind}")

"""Where distances between records are taken: as they are, and by the ranks of each column.

Unlike the model's design, every category has its own axis (two different categories are always 1 apart), numbers
have the spread of the data rather than the public range, and missing is a place of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Real and synthetic records as points of one space.

    Attributes:
        real: Shape (n, d).
        synthetic: Shape (m, d).
    """

    name: str
    real: Points
    synthetic: Points


def spaces(features: Sequence[Feature], real: pl.DataFrame, synthetic: pl.DataFrame) -> tuple[Space, Space]:
    """Place real and synthetic records in two spaces.

    `scaled`: numbers as asinh of their standardised value, which never joins two different values. `ranked`:
    numbers by their rank among the real and among the synthetic records apart, so that a corpus made of real
    records with every value shifted or stretched lies on top of them.

    Args:
        features: All columns, the outcome among them.
        real: Members, non-members and reference persons together. Everything that is estimated here (middle,
            spread, ranks) treats them alike, so the encoding tells nothing about who is a member.
        synthetic: The candidate.

    Raises:
        Invalid: a column is missing, or a category is unknown to the study.
    """
    scaled_real, scaled_new = _Parts(), _Parts()
    ranked_real, ranked_new = _Parts(), _Parts()
    for feature in features:
        if feature.type in ("number", "integer"):
            old, new = numbers(feature, real), numbers(feature, synthetic)
            middle, spread = _middle(old)
            scaled_real.add(_present(np.arcsinh((old - middle) / spread), old))
            scaled_new.add(_present(np.arcsinh((new - middle) / spread), new))
            ranked_real.add(_present(_ranks(old), old))
            ranked_new.add(_present(_ranks(new), new))
        else:
            for parts, other, table in ((scaled_real, ranked_real, real), (scaled_new, ranked_new, synthetic)):
                axes = _axes(feature, table)
                parts.add(axes)
                other.add(axes)
    return (
        Space(name="scaled", real=scaled_real.points(), synthetic=scaled_new.points()),
        Space(name="ranked", real=ranked_real.points(), synthetic=ranked_new.points()),
    )


def plain(features: Sequence[Feature], table: pl.DataFrame) -> tuple[Points, NDArray[np.bool_]]:
    """Return one coordinate a column for attacks by trees and by cells, and which of them are categories.

    Args:
        features: All columns, the outcome among them.
        table: n rows.

    Returns:
        Shape (n, d), numbers as they are, categories as codes, NaN where missing; and shape (d,).

    Raises:
        Invalid: a column is missing, or a category is unknown to the study.
    """
    columns = []
    for feature in features:
        if feature.type == "category":
            place, known = codes(feature, table), len(feature.values or ())
            columns.append(np.where(place == known, np.nan, place))
        else:
            columns.append(numbers(feature, table))
    found = np.ascontiguousarray(np.column_stack(columns), dtype=np.float32)
    return found, np.array([feature.type == "category" for feature in features])


def numbers(feature: Feature, table: pl.DataFrame) -> NDArray[np.float64]:
    """Return a numeric column, shape (n,); missing and non-finite values are NaN."""
    if feature.name not in table.columns:
        raise Invalid(f"column '{feature.name}' is missing; the study asks for it")
    values = table[feature.name].cast(pl.Float64).to_numpy().astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def codes(feature: Feature, table: pl.DataFrame) -> NDArray[np.int64]:
    """Return a category or boolean as 0, 1, ...; missing is the last code.

    Raises:
        Invalid: a value is not one of the study's.
    """
    if feature.name not in table.columns:
        raise Invalid(f"column '{feature.name}' is missing; the study asks for it")
    if feature.type == "boolean":
        values = numbers(feature, table)
        if not np.all(np.isnan(values) | (values == 0) | (values == 1)):
            raise Invalid(f"column '{feature.name}' holds something other than 0 and 1")
        return np.where(np.isnan(values), 2, values).astype(np.int64)
    known = feature.values or ()
    text = table[feature.name].cast(pl.String)
    if not bool(text.drop_nulls().is_in(list(known)).all()):
        raise Invalid(f"column '{feature.name}' holds a category that the study does not name")
    place = text.replace_strict(list(known), list(range(len(known))), default=len(known), return_dtype=pl.Int64)
    return place.to_numpy()


class _Parts:
    def __init__(self) -> None:
        self._columns: list[NDArray[np.float64]] = []

    def add(self, columns: NDArray[np.float64]) -> None:
        self._columns.append(columns)

    def points(self) -> Points:
        return np.ascontiguousarray(np.column_stack(self._columns), dtype=np.float32)


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    present = values[~np.isnan(values)]
    if not len(present):
        return 0.0, 1.0
    low, middle, high = np.quantile(present, (0.25, 0.5, 0.75))
    spread = (high - low) / 1.349 or float(np.std(present)) or 1.0
    return float(middle), float(spread)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mid-ranks mapped to mean 0 and spread 1."""
    result = np.zeros(len(values))
    present = ~np.isnan(values)
    if present.any():
        count = int(present.sum())
        result[present] = ((rankdata(values[present]) - 0.5) / count - 0.5) * np.sqrt(12.0)
    return result


def _present(placed: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    missing = np.isnan(values)
    return np.column_stack((np.where(missing, 0.0, placed), missing.astype(np.float64)))


def _axes(feature: Feature, table: pl.DataFrame) -> NDArray[np.float64]:
    """One axis a category and one for missing, each of length 1/sqrt(2)."""
    place = codes(feature, table)
    width = 3 if feature.type == "boolean" else len(feature.values or ()) + 1
    axes = np.zeros((len(place), width))
    axes[np.arange(len(place)), place] = np.sqrt(0.5)
    return axes

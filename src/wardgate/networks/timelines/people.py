"""Persons of timelines as rows of a table: conditions on their columns, and codes as values."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.sampling import Where
from wardgate.networks.timelines.coding import Coding
from wardgate.records.dictionary import LABEL
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Flags = NDArray[np.bool_]


def allowed_codes(coding: Coding, where: Where) -> tuple[Flags, ...]:
    """Return which codes of each static column conditions, and what may not be missing, leave.

    Raises:
        Invalid: a condition names a column that changes or is unknown, or a value that the column cannot have.
    """
    names = [one.name for one in coding.columns]
    for name in where:
        if name not in names:
            changes = name in {one.name for one in coding.features}
            said = "changes from row to row" if changes else "is no column"
            raise Invalid(f"a condition on '{name}', which {said}; expected one of {', '.join(names)}")
    found = []
    for feature, bins, lacking in zip(coding.columns, coding.statics, coding.lacking, strict=True):
        codes = np.ones(bins.count + 1, dtype=np.bool_)
        codes[0] = lacking
        if feature.name in where:
            codes &= _meeting(feature, bins.low, bins.high, where[feature.name])
        if not codes.any():
            raise Invalid(f"nobody meets the condition on '{feature.name}'")
        found.append(codes)
    return tuple(found)


def _meeting(feature: Feature, low: NDArray[np.float64], high: NDArray[np.float64], value: object) -> Flags:
    """Return which codes can hold a value that meets a condition."""
    if value is None:
        return np.concatenate(([True], np.zeros(len(low), dtype=np.bool_)))
    if feature.type == "category":
        if not isinstance(value, str) or value not in (feature.values or ()):
            raise Invalid(f"a condition on '{feature.name}' asks for a value that the dictionary does not name")
        place = (feature.values or ()).index(value)
        return np.concatenate(([False], low == place))
    least, most = value if isinstance(value, tuple) else (value, value)
    if not isinstance(least, int | float) or not isinstance(most, int | float) or not least <= most:
        raise Invalid(f"a condition on '{feature.name}' needs a number or (low, high) with low <= high")
    return np.concatenate(([False], (high >= least) & (low <= most)))


def meets(people: pl.DataFrame, where: Where) -> Flags:
    """Return which persons meet all conditions, shape (persons,)."""
    met = np.ones(people.height, dtype=np.bool_)
    for name, value in where.items():
        column = people[name]
        if value is None:
            met &= column.is_null().to_numpy()
        elif isinstance(value, tuple):
            met &= column.is_between(value[0], value[1]).fill_null(False).to_numpy()
        else:
            met &= (column == value).fill_null(False).to_numpy()
    return met


def people_of(
    columns: tuple[Feature, ...], values: NDArray[np.float64], where: Where, rng: np.random.Generator
) -> pl.DataFrame:
    """Return drawn persons in the form of `measures.encoding`; numbers are moved inside the limits of a condition."""
    found = []
    for at, feature in enumerate(columns):
        column = values[:, at]
        seen = ~np.isnan(column)
        if feature.type == "category":
            known = feature.values or ()
            texts = [known[int(value)] if here else None for value, here in zip(column, seen, strict=True)]
            found.append(pl.Series(feature.name, texts, dtype=pl.String))
            continue
        asked = where.get(feature.name)
        if isinstance(asked, int | float | tuple):
            low, high = asked if isinstance(asked, tuple) else (asked, asked)
            out = seen & ((column < low) | (column > high))
            column = np.where(out, low + rng.random(len(column)) * (high - low), column)
            column = np.where(seen & (feature.type == "integer"), np.clip(np.round(column), np.ceil(low), high), column)
        series = pl.Series(feature.name, column).fill_nan(None)
        found.append(series.cast(pl.Int8) if feature.name == LABEL else series)
    return pl.DataFrame(found)

"""Every column as a few codes, and values from codes; no value that few persons have is ever kept as such.

Numbers become bins of about equally many persons, made of pieces (networks.tables.pieces).
Nothing here is noisy: cuts and shares are those of the persons, so what is built on it stays in the ward.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.encoding import LABEL
from wardgate.networks.tables.pieces import Codes, Pieces, Vector, drawn_from, pieces_of, within
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

HEAVY = 0.05
"""Share of persons from which a bin of a number may behave unlike its neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column and its codes, missing the last where it has a code.

    Attributes:
        weight: Training persons of each code, shape (codes,).
        values: What each code of a category or boolean stands for; several where rare ones are merged.
        pieces: Of a number.
        missing: Whether the last code says so.
    """

    feature: Feature
    weight: Vector
    values: tuple[tuple[str | float, ...], ...] = ()
    pieces: Pieces | None = None
    missing: bool

    @property
    def codes(self) -> int:
        """How many codes there are; one where the column is constant."""
        return len(self.weight)

    @property
    def present(self) -> int:
        """How many of them stand for a value."""
        return self.codes - int(self.missing)


def columns_of(
    features: Sequence[Feature], table: pl.DataFrame, *, bins: int, min_persons: int, most_levels: int
) -> tuple[Column, ...]:
    """Lay the codes of all columns by the training persons.

    Args:
        bins: Bins of a number at most.
        min_persons: Least persons of a bin, a piece or a category. Categories below are merged into one code and
            drawn evenly from all that the dictionary names; whatever is still below has no code and is not drawn.
        most_levels: Categories at most that have a code of their own.

    Raises:
        Invalid: a column is absent, has an unknown category, or lacks values that the dictionary refuses to lack.
    """
    return tuple(
        _numeric(feature, _numbers(feature, table), bins=bins, floor=min_persons)
        if feature.type in ("number", "integer")
        else _nominal(feature, _places(feature, table), floor=min_persons, most_levels=most_levels)
        for feature in features
    )


def encode(columns: Sequence[Column], table: pl.DataFrame) -> Codes:
    """Return the codes of a table, shape (n, columns); -1 where a value has none.

    Raises:
        Invalid: as `columns_of`.
    """
    found = np.empty((table.height, len(columns)), dtype=np.int32, order="F")
    for place, column in enumerate(columns):
        absent = column.present if column.missing else -1
        if column.pieces is None:
            code = _codes_of_places(column)[_places(column.feature, table)]
            found[:, place] = np.where(code == -2, absent, code)
        else:
            numbers = _numbers(column.feature, table)
            gone = np.isnan(numbers)
            pieces = column.pieces
            if not len(pieces.low):
                found[:, place] = np.where(gone, absent, -1)
                continue
            at = pieces.holding(pieces.scaled(np.where(gone, pieces.low[0], numbers)))
            found[:, place] = np.where(gone, absent, pieces.code[at])
    return found


def decode(column: Column, codes: Codes, *, rng: np.random.Generator) -> pl.Series:
    """Return one value for every code, in the table form of `measures.encoding`."""
    gone = (codes >= column.present) & column.missing
    safe = np.where(gone, 0, codes)
    kind = _dtype(column.feature)
    if column.present == 0:
        return pl.Series(column.feature.name, [None] * len(codes), dtype=kind)
    if column.pieces is None:
        sizes = np.array([len(values) for values in column.values])
        starts = np.cumsum(sizes) - sizes
        at = starts[safe] + np.floor(rng.random(len(safe)) * sizes[safe]).astype(np.int64)
        every = pl.Series([value for values in column.values for value in values])
        drawn = every.gather(pl.Series(at, dtype=pl.Int64)).cast(kind)
    else:
        drawn = pl.Series(drawn_from(column.pieces, safe, rng)).cast(kind)
    drawn = drawn.rename(column.feature.name)
    return drawn.set(pl.Series(gone), None) if gone.any() else drawn


def restricted(column: Column, low: float, high: float) -> tuple[Column, Vector]:
    """Return the column of a number cut to [low, high], and how much of each code is left, shape (codes,)."""
    if column.pieces is None:
        raise Invalid(f"'{column.feature.name}' is no number; a condition on it cannot be a range")
    cut = within(column.pieces, low, high)
    left, whole = (np.bincount(one.code, one.weight, column.codes) for one in (cut, column.pieces))
    return replace(column, pieces=cut), left / np.where(whole > 0, whole, 1.0)


def basis(column: Column, waves: int) -> Vector:
    """Return each code as a few numbers, shape (codes, k): what a network reads and what it answers in.

    Codes of categories are told apart one by one. Bins of a number are described by `waves` cosines of their rank,
    so that neighbours are alike, and by an indicator where a bin is heavy; missing has an indicator.
    """
    if column.pieces is None or column.present <= waves + 1:
        return np.eye(column.codes)
    weight = column.weight[: column.present]
    rank = (np.cumsum(weight) - weight / 2) / weight.sum()
    parts = [np.sqrt(2) * np.cos(np.pi * wave * rank) for wave in range(1, waves + 1)]
    heavy = np.flatnonzero(weight >= max(HEAVY * column.weight.sum(), 2 * weight.sum() / len(weight)))
    parts += [(np.arange(column.present) == code).astype(np.float64) for code in heavy]
    found = np.column_stack(parts)
    if column.missing:
        found = np.pad(found, ((0, 1), (0, 1)))
        found[-1, -1] = 1.0
    return found


def _dtype(feature: Feature) -> type[pl.DataType]:
    return pl.String if feature.type == "category" else pl.Int8 if feature.name == LABEL else pl.Float64


def named(feature: Feature) -> tuple[str | float, ...]:
    """Return the values of a category or boolean, in the order of the dictionary."""
    return (0.0, 1.0) if feature.type == "boolean" else feature.values or ()


def _places(feature: Feature, table: pl.DataFrame) -> NDArray[np.int64]:
    """Return the place of every value among those known; the number of those known where it is missing."""
    known = named(feature)
    series = _present(feature, table)
    if feature.type == "boolean":
        numbers = series.cast(pl.Float64).fill_nan(None)
        if not bool(numbers.drop_nulls().is_in([0.0, 1.0]).all()):
            raise Invalid(f"column '{feature.name}' is a boolean; expected 0, 1 or missing")
        places = numbers.cast(pl.Int64)
    else:
        texts = series.cast(pl.String)
        place = {value: position for position, value in enumerate(known)}
        if not bool(texts.drop_nulls().is_in(list(place)).all()):
            raise Invalid(f"column '{feature.name}' holds a category that the dictionary does not name")
        places = texts.replace_strict(place, default=None, return_dtype=pl.Int64)
    _refuse_missing(feature, places.null_count())
    return places.fill_null(len(known)).to_numpy()


def _numbers(feature: Feature, table: pl.DataFrame) -> Vector:
    """Return the numbers of a column within its range, NaN where missing."""
    if feature.range is None:
        raise Invalid(f"feature '{feature.name}' has no range; expected one")
    series = _present(feature, table)
    if not series.dtype.is_numeric() and series.dtype != pl.Null:
        raise Invalid(f"column '{feature.name}' holds {series.dtype}; expected numbers")
    numbers = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    _refuse_missing(feature, int(np.isnan(numbers).sum()))
    numbers = np.clip(numbers, *feature.range)
    return np.asarray(np.rint(numbers) if feature.type == "integer" else numbers, dtype=np.float64)


def _present(feature: Feature, table: pl.DataFrame) -> pl.Series:
    if feature.name not in table.columns:
        raise Invalid(f"column '{feature.name}' is missing; the dictionary names it")
    return table[feature.name]


def _refuse_missing(feature: Feature, count: int) -> None:
    if count and feature.missing == "refused":
        raise Invalid(f"column '{feature.name}' lacks values; the dictionary refuses persons without it")


def _nominal(feature: Feature, places: NDArray[np.int64], *, floor: int, most_levels: int) -> Column:
    known = named(feature)
    held = np.bincount(places, minlength=len(known) + 1).astype(np.float64)
    order = np.argsort(-held[:-1], kind="stable")[:most_levels]
    own = sorted(int(place) for place in order if held[place] >= floor)
    rest = sorted(set(range(len(known))) - set(own))
    groups = [[place] for place in own]
    if held[rest].sum() >= floor:
        groups.append(rest)
    missing = bool(held[-1] >= floor)
    weight = [held[group].sum() for group in groups] + [held[-1]] * int(missing)
    values = tuple(tuple(known[place] for place in group) for group in groups)
    return Column(feature=feature, weight=np.array(weight), values=values, missing=missing)


def _codes_of_places(column: Column) -> Codes:
    """Return the code of every place, -1 where it has none, and -2 for missing."""
    known = named(column.feature)
    place: dict[str | float, int] = {value: position for position, value in enumerate(known)}
    found = np.full(len(known) + 1, -1, dtype=np.int32)
    for code, values in enumerate(column.values):
        found[[place[value] for value in values]] = code
    found[-1] = -2
    return found


def _numeric(feature: Feature, numbers: Vector, *, bins: int, floor: int) -> Column:
    present = numbers[~np.isnan(numbers)]
    gone = len(numbers) - len(present)
    pieces = pieces_of(present, feature, bins=bins, floor=floor)
    weight = np.bincount(pieces.code, weights=pieces.weight).astype(np.float64) if len(pieces.code) else np.empty(0)
    missing = gone >= floor
    return Column(
        feature=feature, weight=np.append(weight, gone) if missing else weight, pieces=pieces, missing=missing
    )

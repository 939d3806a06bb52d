"""Every column as a few codes, and values from codes; no value that few persons have is ever kept as such.

Numbers become bins of about equally many persons. Inside a bin lie pieces: a single value where at least
`min_persons` share it and it is common or stands out (pressures that end in 0), else an interval that at least as many
fall into and from which values are drawn evenly.
Nothing here is noisy: cuts and shares are those of the persons, so what is built on it stays in the ward.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.levels import even_groups
from wardgate.measures.encoding import LABEL
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Codes = NDArray[np.int32]
"""Code of every value, shape (n, columns) or (n,); -1 where it is not known."""

Vector = NDArray[np.float64]

SHARE = 0.01
"""Share of persons from which a value of a number is a piece of its own, and that an interval holds about."""

APART = 3.0
"""Standard errors by which a value must be commoner than its neighbours to be a piece of its own with fewer persons."""

DECIMALS = 4
"""Decimal places up to which a column counts as rounded."""

HEAVY = 0.05
"""Share of persons from which a bin of a number may behave unlike its neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What the bins of a number are made of, sorted by `low`; in units of the last decimal where it is rounded.

    Attributes:
        low, high: Both ends belong to a piece; equal for a single value, shape (p,).
        weight: Persons in each, shape (p,).
        code: The bin of each, shape (p,).
        alone: Which are a value shared by many, shape (p,).
        decimals: Places that values are rounded to; None where they are not.
    """

    low: Vector
    high: Vector
    weight: Vector
    code: Codes
    alone: NDArray[np.bool_]
    decimals: int | None

    def scaled(self, numbers: Vector) -> Vector:
        """Return numbers in the units of the pieces."""
        return numbers if self.decimals is None else np.rint(numbers * 10.0**self.decimals)

    def holding(self, axis: Vector) -> NDArray[np.int64]:
        """Return the piece that holds each number; outside all of them the nearest interval, if there is any."""
        at = np.maximum(np.searchsorted(self.low, axis, side="right") - 1, 0)
        outside = (axis < self.low[at]) | (axis > self.high[at])
        if outside.any():
            wide = np.flatnonzero(~self.alone) if not self.alone.all() else np.arange(len(self.low))
            far = axis[outside, None]
            gap = np.maximum(self.low[wide] - far, far - self.high[wide])
            at[outside] = wide[np.argmin(gap, axis=1)]
        return at


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
        drawn = pl.Series(_from_pieces(column.pieces, safe, rng)).cast(kind)
    drawn = drawn.rename(column.feature.name)
    return drawn.set(pl.Series(gone), None) if gone.any() else drawn


def restricted(column: Column, low: float, high: float) -> tuple[Column, Vector]:
    """Return the column of a number cut to [low, high], and how much of each code is left, shape (codes,)."""
    pieces = column.pieces
    if pieces is None:
        raise Invalid(f"'{column.feature.name}' is no number; a condition on it cannot be a range")
    if pieces.decimals is not None:
        unit = 10.0**pieces.decimals
        low, high = math.ceil(low * unit - 1e-6), math.floor(high * unit + 1e-6)
    start, stop = np.maximum(pieces.low, low), np.minimum(pieces.high, high)
    share = np.clip(_length(pieces, start, stop) / _length(pieces, pieces.low, pieces.high), 0.0, 1.0)
    share = np.where(start > stop, 0.0, share)
    if low == high and not share.any():
        share = ((pieces.low <= low) & (low <= pieces.high)).astype(np.float64)
    kept = share > 0
    cut = Pieces(
        low=start[kept],
        high=stop[kept],
        weight=(pieces.weight * share)[kept],
        code=pieces.code[kept],
        alone=pieces.alone[kept],
        decimals=pieces.decimals,
    )
    left = np.bincount(cut.code, weights=cut.weight, minlength=column.codes)
    whole = np.bincount(pieces.code, weights=pieces.weight, minlength=column.codes)
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
    decimals = 0 if feature.type == "integer" else _decimals(present, floor)
    unit = 1.0 if decimals is None else 10.0**decimals
    axis = present * unit if decimals is None else np.rint(present * unit)
    limits = (feature.range or (0.0, 1.0))[0] * unit, (feature.range or (0.0, 1.0))[1] * unit
    value, held = np.unique(axis, return_counts=True)
    alone = _alone(held, floor, rounded=decimals is not None)
    shared, rest = value[alone], np.repeat(value[~alone], held[~alone])
    rounded = decimals is not None
    least = max(2 * floor, round(SHARE * len(axis)))
    cells = _cells(rest, limits, least=least, floor=floor, rounded=rounded) if len(rest) >= floor else []
    centres = [*shared, *((low + high) / 2 for low, high, _ in cells)]
    persons = np.array([*held[alone], *(weight for *_, weight in cells)], dtype=np.float64)
    order = np.argsort(centres, kind="stable")
    code = np.empty(len(order), dtype=np.int32)
    code[order] = even_groups(persons[order], bins, floor=float(floor)) if len(order) else ()
    found = [
        (float(one), float(one), float(many), int(at), True)
        for one, many, at in zip(shared, held[alone], code[: len(shared)], strict=True)
    ]
    for (low, high, weight), at in zip(cells, code[len(shared) :], strict=True):
        parts = _around(low, high, shared[(shared >= low) & (shared <= high)], rounded)
        lengths = [stop - start + rounded for start, stop in parts]
        found += [
            (start, stop, weight * length / sum(lengths), int(at), False)
            for (start, stop), length in zip(parts, lengths, strict=True)
        ]
    found.sort()
    lows, highs, weights, codes, single = (
        (np.array(part) for part in zip(*found, strict=True)) if found else (np.empty(0) for _ in range(5))
    )
    pieces = Pieces(
        low=lows,
        high=highs,
        weight=weights,
        code=codes.astype(np.int32),
        alone=single.astype(np.bool_),
        decimals=decimals,
    )
    missing = gone >= floor
    own: Vector = np.bincount(pieces.code, weights=pieces.weight) if found else np.empty(0)
    return Column(feature=feature, weight=np.append(own, gone) if missing else own, pieces=pieces, missing=missing)


def _decimals(present: Vector, floor: int) -> int | None:
    """Return the places that all but fewer than `floor` persons are rounded to, or None."""
    for places in range(DECIMALS + 1):
        scaled = present * 10.0**places
        if int((np.abs(scaled - np.rint(scaled)) > 1e-6 * np.maximum(1.0, np.abs(scaled))).sum()) < floor:
            return places
    return None


def _alone(held: NDArray[np.int64], floor: int, *, rounded: bool) -> NDArray[np.bool_]:
    """Return which sorted values are pieces of their own."""
    enough = held >= floor
    if not rounded or len(held) < 2:
        return enough
    around = np.convolve(np.pad(held, 2, mode="reflect" if len(held) > 2 else "edge"), (1, 1, 0, 1, 1), "valid") / 4
    stands_out = held - around > APART * np.sqrt(np.maximum(around, 1.0))
    return np.asarray(enough & ((held >= SHARE * held.sum()) | stands_out))


def _cells(
    rest: Vector, limits: tuple[float, float], *, least: int, floor: int, rounded: bool
) -> list[tuple[float, float, float]]:
    """Cut sorted values into intervals of about `least` and no fewer than `floor` persons; (low, high, persons).

    The outer ends are no person's value: an outer interval is as wide as keeps its mean.
    """
    count = max(1, len(rest) // least)
    first = np.searchsorted(rest, rest, side="left")  # equal values lie in one interval
    cell = np.minimum(first * count // len(rest), count - 1)
    starts = [0]
    for at in np.flatnonzero(np.diff(cell)) + 1:
        if at - starts[-1] >= floor and len(rest) - at >= floor:
            starts.append(int(at))
    starts.append(len(rest))
    inner = [(rest[at - 1] + rest[at]) / 2 for at in starts[1:-1]]
    if rounded:
        inner = [math.floor(edge) for edge in inner]
    means = [float(rest[start:stop].mean()) for start, stop in pairwise(starts)]
    if inner:
        outer = 2 * means[0] - inner[0], 2 * means[-1] - inner[-1]
    else:
        reach = math.sqrt(3) * float(rest.std())
        outer = means[0] - reach, means[0] + reach
    lowest, highest = max(limits[0], outer[0]), min(limits[1], outer[1])
    if rounded:
        lowest, highest = math.ceil(lowest), math.floor(highest)
    lows = [min([lowest, *inner[:1]]), *(edge + 1 if rounded else np.nextafter(edge, np.inf) for edge in inner)]
    highs = [*inner, max(highest, lows[-1])]
    sizes = np.diff(starts)
    return [(float(low), float(high), float(size)) for low, high, size in zip(lows, highs, sizes, strict=True)]


def _around(low: float, high: float, taken: Vector, rounded: bool) -> list[tuple[float, float]]:
    """Return what is left of [low, high] beside single values; all of it where nothing is."""
    parts, start = [], low
    for value in taken:
        stop = value - 1 if rounded else np.nextafter(value, -np.inf)
        if start <= stop:
            parts.append((float(start), float(stop)))
        start = value + 1 if rounded else np.nextafter(value, np.inf)
    if start <= high:
        parts.append((float(start), float(high)))
    return parts or [(low, high)]


def _length(pieces: Pieces, low: Vector, high: Vector) -> Vector:
    """Return how many values fit, or how long an interval is; a single value counts as 1."""
    length = high - low + (pieces.decimals is not None)
    return np.where(pieces.high == pieces.low, 1.0, length)


def _from_pieces(pieces: Pieces, codes: Codes, rng: np.random.Generator) -> Vector:
    order = np.argsort(pieces.code, kind="stable")
    ends = np.cumsum(pieces.weight[order])
    size = int(pieces.code.max()) + 1
    last = np.searchsorted(pieces.code[order], np.arange(size), side="right") - 1
    first = np.searchsorted(pieces.code[order], np.arange(size), side="left")
    before = np.where(first > 0, ends[first - 1], 0.0)
    point = before[codes] + rng.random(len(codes)) * (ends[last] - before)[codes]
    at = order[np.clip(np.searchsorted(ends, point, side="right"), first[codes], last[codes])]
    low, high = pieces.low[at], pieces.high[at]
    if pieces.decimals is None:
        return low + rng.random(len(codes)) * (high - low)
    units = np.minimum(low + np.floor(rng.random(len(codes)) * (high - low + 1)), high)
    return np.asarray(np.round(units / 10.0**pieces.decimals, pieces.decimals))

"""Timelines as whole numbers for a network, and back: static columns, gaps, and what was measured at each row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.lines import Lines, gaps
from wardgate.networks.timelines.bins import Bins, categories, grain_of, numbers
from wardgate.records.dictionary import LABEL, OUTCOME
from wardgate.records.errors import Invalid, Refused
from wardgate.records.feature import Feature

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]
Codes = NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How the values of one hospital's timelines become codes; it stays in the ward.

    Attributes:
        columns: Columns of a person: the outcome first where there is one, then the static features.
        statics: Their bins.
        lacking: Whether persons without the column are drawn: at least as many as the floor lack it, or all do.
        features: Columns that change from row to row.
        values: Their bins.
        start: Bins of the hours before a person's first row.
        gap: Bins of the hours between two rows.
        most_rows: Rows of a person at most; at least as many persons as the floor have so many.
        span: Hours that no drawn row lies beyond.
        full: Whether every training row holds at least one value.
    """

    columns: tuple[Feature, ...]
    statics: tuple[Bins, ...]
    lacking: tuple[bool, ...]
    features: tuple[Feature, ...]
    values: tuple[Bins, ...]
    start: Bins
    gap: Bins
    most_rows: int
    span: float
    full: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """Timelines as codes; 0 is missing, not measured, or no row.

    Attributes:
        statics: Shape (persons, columns).
        values: Shape (persons, rows, features).
        steps: Bin of the start in the first row, of the gap before it in the others, shape (persons, rows).
        hours: Shape (persons, rows).
        rows: Rows of each person, shape (persons,).
        ends: Whether the last row is the person's last, and not the last that is kept, shape (persons,).
    """

    statics: Indices
    values: Codes
    steps: Indices
    hours: NDArray[np.float32]
    rows: Indices
    ends: NDArray[np.bool_]


def coding_of(lines: Lines, *, bins: int, floor: int, most_rows: int) -> Coding:
    """Look at training persons and return how to code them.

    Args:
        bins: Bins of a number, at about equal shares.
        floor: Persons behind each bin and category, and behind the longest timeline.
        most_rows: Rows of a person at most, whatever the data say.

    Raises:
        Refused: fewer than `floor` persons have one of two outcomes.
    """
    labelled = LABEL in lines.people.columns
    columns = ((OUTCOME,) if labelled else ()) + lines.statics
    everybody = np.arange(lines.persons)
    if labelled:
        counts = np.bincount(lines.people[LABEL].to_numpy(), minlength=2)
        if 0 < counts.min() < floor:
            raise Refused(f"fewer than {floor} persons have one of the two outcomes; nothing can be learnt of so few")
    kept = min(most_rows, int(np.sort(lines.rows)[-min(floor, lines.persons)]))
    place = np.arange(len(lines.time)) - np.repeat(lines.first, lines.rows)
    within = place < kept
    apart, whose = gaps(lines)
    clock = grain_of(lines.time)
    ends = np.sort(lines.time[lines.first + np.minimum(lines.rows, kept) - 1])
    known = [static_values(lines, feature) for feature in columns]
    statics = tuple(
        _bins(feature, values, everybody, bins=bins, floor=floor)
        for feature, values in zip(columns, known, strict=True)
    )
    values = tuple(
        _bins(feature, lines.values[within, at], lines.whose[within], bins=bins, floor=floor)
        for at, feature in enumerate(lines.features)
    )
    return Coding(
        columns=columns,
        statics=statics,
        lacking=tuple(
            not one.count or (feature.missing == "allowed" and int(np.isnan(values).sum()) >= floor)
            for feature, values, one in zip(columns, known, statics, strict=True)
        ),
        features=lines.features,
        values=values,
        start=numbers(lines.time[lines.first], everybody, bins=bins, floor=floor, grain=clock),
        gap=numbers(apart, whose, bins=bins, floor=floor, grain=clock),
        most_rows=kept,
        span=float(ends[-min(floor, lines.persons)]),
        full=any(one.count for one in values) and not bool(np.isnan(lines.values).all(axis=1).any()),
    )


def static_values(lines: Lines, feature: Feature) -> Vector:
    """Return a column of persons as numbers; a category as its place, missing as NaN."""
    column = lines.people[feature.name]
    if feature.type == "category":
        places = {value: float(place) for place, value in enumerate(feature.values or ())}
        column = column.replace_strict(places, default=None, return_dtype=pl.Float64)
    return np.asarray(column.cast(pl.Float64).fill_null(float("nan")).to_numpy(), dtype=np.float64)


def _bins(feature: Feature, values: Vector, persons: Indices, *, bins: int, floor: int) -> Bins:
    seen = ~np.isnan(values)
    if feature.type in ("category", "boolean"):
        count = len(feature.values or ()) if feature.type == "category" else 2
        return categories(values[seen].astype(np.int64), persons[seen], count, floor=floor)
    low, high = feature.range or (-np.inf, np.inf)
    grain = 1.0 if feature.type == "integer" else None
    return numbers(np.clip(values[seen], low, high), persons[seen], bins=bins, floor=floor, grain=grain)


def coded(lines: Lines, coding: Coding) -> Coded:
    """Return timelines as codes.

    Raises:
        Invalid: the columns are not those of the coding.
    """
    if lines.features != coding.features or lines.statics != tuple(c for c in coding.columns if c.name != LABEL):
        raise Invalid("these timelines have other columns than those that the coding was made of")
    rows = np.minimum(lines.rows, coding.most_rows)
    place = np.arange(len(lines.time)) - np.repeat(lines.first, lines.rows)
    within = place < coding.most_rows
    whose, place = lines.whose[within], place[within]
    shape = (lines.persons, int(rows.max()))
    values = np.zeros((*shape, len(coding.features)), dtype=np.int16)
    for at, (feature, bins) in enumerate(zip(coding.features, coding.values, strict=True)):
        values[whose, place, at] = _encoded(feature, bins, lines.values[within, at])
    time = lines.time[within]
    before = np.concatenate(([0.0], time[:-1]))
    steps, hours = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
    first = place == 0
    steps[whose[first], 0] = coding.start.encode(time[first])
    steps[whose[~first], place[~first]] = coding.gap.encode((time - before)[~first])
    hours[whose, place] = time
    statics = [
        _encoded(feature, bins, static_values(lines, feature))
        for feature, bins in zip(coding.columns, coding.statics, strict=True)
    ]
    return Coded(
        statics=np.column_stack(statics) if statics else np.zeros((lines.persons, 0), dtype=np.int64),
        values=values,
        steps=steps,
        hours=hours,
        rows=rows,
        ends=lines.rows <= coding.most_rows,
    )


def _encoded(feature: Feature, bins: Bins, values: Vector) -> Indices:
    if feature.type in ("category", "boolean"):
        values = np.where(np.isin(values, bins.atoms), values, np.nan)
    return bins.encode(values)


def places(bins: Sequence[Bins]) -> NDArray[np.float32]:
    """Return the middle rank of every bin of several columns, padded with 0, shape (columns, most bins)."""
    width = max((one.count for one in bins), default=0)
    table = np.zeros((len(bins), max(width, 1)), dtype=np.float32)
    for at, one in enumerate(bins):
        table[at, : one.count] = one.place
    return table

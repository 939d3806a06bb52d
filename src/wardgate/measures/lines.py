"""Timelines as arrays and back: what every generator of timelines needs before and after its model.

The table form: one row a person and time, with the dictionary's `person` and `time` (hours since the person's index),
its features (null: not measured at that time) and `label`. Static features and the label say the same on every row of
a person.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.attacks.persons import typed
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Rows of persons, ordered by person and time; no two rows of a person at one time.

    Attributes:
        statics: Features that stay the same within a person, in the dictionary's order.
        features: Features that may change from row to row, in the dictionary's order.
        people: One row a person: the statics and, where there is one, `label`; in the form of `measures.encoding`.
        rows: Rows of each person, at least 1, shape (persons,).
        time: Hours since the person's index, from 0 up, shape (rows,).
        values: Of every changing feature, NaN where it was not measured; a category as its place among the
            feature's values; shape (rows, features).
    """

    statics: tuple[Feature, ...]
    features: tuple[Feature, ...]
    people: pl.DataFrame
    rows: Indices
    time: Vector
    values: Matrix

    @property
    def persons(self) -> int:
        """How many persons there are."""
        return len(self.rows)

    @property
    def whose(self) -> Indices:
        """Number of each row's person, shape (rows,)."""
        return np.repeat(np.arange(self.persons), self.rows)

    @property
    def first(self) -> Indices:
        """Each person's first row, shape (persons,)."""
        return np.concatenate(([0], np.cumsum(self.rows)[:-1])).astype(np.int64)


def shape_of(dictionary: Dictionary, *, still: Collection[str] | None = None) -> tuple[list[Feature], list[Feature]]:
    """Return the static and the changing features of timelines.

    Args:
        still: What stays the same within a person, where the dictionary does not say (`attacks.persons.constants`
            finds it by looking, which a private generator may not).

    Raises:
        Invalid: the dictionary describes no timelines, or nobody says what is static, or nothing may change.
    """
    if dictionary.person is None or dictionary.time is None:
        raise Invalid(
            "timelines need a dictionary with 'person' and 'time'; for one row a person use a table generator"
        )
    known = dictionary.static if dictionary.static is not None else still
    if known is None:
        raise Invalid("the dictionary does not say which columns are 'static'; name them, () if there are none")
    static = [feature for feature in dictionary.features if feature.name in known]
    changing = [feature for feature in dictionary.features if feature.name not in known]
    if not changing:
        raise Invalid("every column is static; timelines need at least one that is measured again and again")
    return static, changing


def read(table: pl.DataFrame, dictionary: Dictionary, *, still: Collection[str] | None = None) -> Lines:
    """Check timelines against their dictionary and return them as arrays.

    Rows may come in any order. Several rows of one person at one time become one: of each column the first value that
    is not missing counts. A row in which nothing was measured stays a row.

    Args:
        still: As in `shape_of`.

    Raises:
        Invalid: a column is absent or of another type, a person, time or label is missing, a time is negative or not
            finite, a static column or the label changes within a person, a category is unknown, a value is missing
            that may not be, or there is no row.
    """
    static, changing = shape_of(dictionary, still=still)
    person, time = dictionary.person or "", dictionary.time or ""
    found = typed(table, dictionary, "timelines")
    if not found.height:
        raise Invalid("the table has no rows; timelines need at least one person")
    if bool((found[time] < 0).any()):
        raise Invalid(f"column '{time}' holds negative hours; count from an index at or before each person's first row")
    _known(found, dictionary)
    found = found.sort(person, time, maintain_order=True)
    repeated = found.select(person, time).is_duplicated().any()
    if repeated:
        parts = [pl.col(name).drop_nulls().first() for name in found.columns if name not in (person, time)]
        found = found.group_by(person, time, maintain_order=True).agg(parts)
    names = [feature.name for feature in static] + ([LABEL] if dictionary.label is not None else [])
    people = _people(found, person, names)
    _complete(people, static)
    if dictionary.label is not None:
        people = people.with_columns(_label(people[LABEL]))
    whose = found[person].rle_id().to_numpy()
    return Lines(
        statics=tuple(static),
        features=tuple(changing),
        people=people,
        rows=np.bincount(whose).astype(np.int64),
        time=found[time].to_numpy(),
        values=np.column_stack([_numbers(feature, found[feature.name]) for feature in changing]),
    )


def _known(table: pl.DataFrame, dictionary: Dictionary) -> None:
    for feature in dictionary.features:
        column = table[feature.name].drop_nulls()
        if feature.type == "category" and not bool(column.is_in(list(feature.values or ())).all()):
            raise Invalid(f"column '{feature.name}' holds a category that the dictionary does not name")
        if feature.type == "boolean" and not bool(column.is_in([0.0, 1.0]).all()):
            raise Invalid(f"column '{feature.name}' is a boolean; expected 0, 1 or missing")


def _people(table: pl.DataFrame, person: str, names: list[str]) -> pl.DataFrame:
    """Return one row a person; what is missing on some rows is taken from the others."""
    groups = table.group_by(person, maintain_order=True)
    several = groups.agg(pl.col(name).drop_nulls().n_unique() > 1 for name in names)
    changing = [name for name in names if bool(several[name].any())]
    if changing:
        raise Invalid(
            f"column '{changing[0]}' is static and changes within a person; correct the rows or the dictionary"
        )
    return groups.agg(pl.col(name).drop_nulls().first() for name in names).select(names)


def _complete(people: pl.DataFrame, static: list[Feature]) -> None:
    for feature in static:
        if feature.missing == "refused" and people[feature.name].null_count():
            raise Invalid(f"column '{feature.name}' lacks values; the dictionary refuses persons without it")


def _label(column: pl.Series) -> pl.Series:
    if column.null_count() or not bool(column.is_in([0.0, 1.0]).all()):
        raise Invalid("the label must be 0 or 1 for every person")
    return column.cast(pl.Int8)


def _numbers(feature: Feature, column: pl.Series) -> Vector:
    if feature.type == "category":
        places = {value: float(place) for place, value in enumerate(feature.values or ())}
        column = column.replace_strict(places, default=None, return_dtype=pl.Float64)
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def written(lines: Lines, dictionary: Dictionary) -> pl.DataFrame:
    """Return arrays as a table, persons numbered from 0, columns in the dictionary's order.

    Numbers are kept within their public range, integers rounded, yes or no made 0 or 1.
    """
    whose = lines.whose
    columns = {dictionary.person or "": pl.Series(whose), dictionary.time or "": pl.Series(lines.time)}
    place = {feature.name: number for number, feature in enumerate(lines.features)}
    for feature in dictionary.features:
        if feature.name in place:
            columns[feature.name] = _column(feature, lines.values[:, place[feature.name]])
        else:
            columns[feature.name] = lines.people[feature.name].gather(whose)
    if dictionary.label is not None:
        columns[LABEL] = lines.people[LABEL].gather(whose).cast(pl.Int8)
    return pl.DataFrame(columns)


def _column(feature: Feature, values: Vector) -> pl.Series:
    """Return numbers as a column of the table."""
    seen = ~np.isnan(values)
    safe = np.where(seen, values, 0.0)
    if feature.type == "category":
        known = feature.values or ()
        found = pl.Series(list(known), dtype=pl.String).gather(np.clip(np.rint(safe), 0, len(known) - 1).astype(int))
    else:
        low, high = feature.range or (0.0, 1.0)
        if feature.type != "number":
            safe, low, high = np.rint(safe), np.ceil(low), np.floor(high)
        found = pl.Series(np.clip(safe, low, high))
    return pl.DataFrame({"found": found, "seen": seen}).select(pl.when("seen").then("found").alias("found"))["found"]


def gaps(lines: Lines) -> tuple[Vector, Indices]:
    """Return the hours between neighbouring rows of a person, and whose they are, shape (rows - persons,) each."""
    whose = lines.whose
    later = np.flatnonzero(whose[1:] == whose[:-1]) + 1
    return lines.time[later] - lines.time[later - 1], whose[later]


def steps(lines: Lines, feature: int) -> tuple[Indices, Indices]:
    """Return the rows of neighbouring measurements of one changing feature within persons: earlier, later.

    Rows without a measurement are passed over.
    """
    seen = np.flatnonzero(~np.isnan(lines.values[:, feature]))
    whose = lines.whose[seen]
    same = np.flatnonzero(whose[1:] == whose[:-1])
    return seen[same], seen[same + 1]

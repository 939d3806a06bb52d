"""Timelines as one row a person: what stays the same, and around what the rest moves. The marginal family fits it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.timelines.scale import REACH, Scale, numbers
from wardgate.measures.encoding import LABEL
from wardgate.measures.lines import Lines
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Vector = NDArray[np.float64]

SHARES = 16
"""Steps between never and always of a flag."""

VISITS, FIRST, SPAN = "rows", "rows.first", "span"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a person's row holds. Public.

    Attributes:
        statics: As the dictionary has them.
        features: The changing ones.
        most_rows: Rows of one person that count.
        window_hours: Hours from the index that count.
    """

    statics: tuple[Feature, ...]
    features: tuple[Feature, ...]
    most_rows: int
    window_hours: float

    def __post_init__(self) -> None:
        if not 2 <= self.most_rows <= 10_000 or not 0 < self.window_hours <= 1e6:
            raise Invalid("expected a cap of 2 to 10,000 rows a person and a window above 0 and up to 1,000,000 hours")
        names = [feature.name for feature in self.columns]
        if len(set(names)) != len(names):
            raise Invalid("a derived column (NAME.level, NAME.share, NAME.mode, rows, span) has the name of another")

    @property
    def columns(self) -> tuple[Feature, ...]:
        """The features of a person's row."""
        hours = (0.0, self.window_hours)
        return (
            *self.statics,
            Feature(name=VISITS, type="integer", unit="1", range=(1, self.most_rows), missing="refused"),
            Feature(name=FIRST, type="number", unit="h", range=hours, missing="refused"),
            Feature(name=SPAN, type="number", unit="h", range=hours),
            *(Feature.model_validate(middle(feature)) for feature in self.features),
        )


def middle(feature: Feature) -> dict[str, object]:
    """Return what the column is like around which a feature moves within a person; missing means never measured."""
    if feature.type == "category":
        return {"name": f"{feature.name}.mode", "type": "category", "values": feature.values}
    if feature.type == "boolean":
        return {"name": f"{feature.name}.share", "type": "integer", "unit": "1", "range": (0, SHARES)}
    return {"name": f"{feature.name}.level", "type": "number", "unit": "1", "range": (-REACH, REACH)}


def bounded(lines: Lines, shape: Shape) -> Lines:
    """Keep the rows within the window, at most `most_rows` of a person, the earliest first; everybody keeps one."""
    place = np.arange(len(lines.time)) - np.repeat(lines.first, lines.rows)
    kept = (place == 0) | ((place < shape.most_rows) & (lines.time <= shape.window_hours))
    return Lines(
        statics=lines.statics,
        features=lines.features,
        people=lines.people,
        rows=np.bincount(lines.whose[kept]).astype(np.int64),
        time=np.minimum(lines.time[kept], shape.window_hours),
        values=lines.values[kept],
    )


def people(lines: Lines, shape: Shape, scales: Sequence[Scale]) -> pl.DataFrame:
    """Return one row a person in the columns of `shape`, and the label; each follows from the person's rows alone.

    Args:
        lines: `bounded`.
    """
    whose, first = lines.whose, lines.first
    last = first + lines.rows - 1
    span = np.where(lines.rows > 1, lines.time[last] - lines.time[first], np.nan)
    found = [
        pl.Series(VISITS, lines.rows.astype(np.float64)),
        pl.Series(FIRST, lines.time[first]),
        pl.Series(SPAN, span, nan_to_null=True),
    ]
    scale_of = dict(zip(numbers(lines.features), scales, strict=True))
    for place, feature in enumerate(lines.features):
        values = lines.values[:, place]
        name = str(middle(feature)["name"])
        if feature.type == "category":
            found.append(_mode(name, feature, values, whose, lines.persons))
            continue
        mean = means(scale_of[place].score(values) if place in scale_of else values, whose, lines.persons)
        if feature.type == "boolean":
            inner = np.clip(np.rint(mean * SHARES), 1, SHARES - 1)
            mean = np.where((mean <= 0) | (mean >= 1), np.rint(mean) * SHARES, inner)
        found.append(pl.Series(name, mean, nan_to_null=True))
    return lines.people.drop(LABEL).with_columns(found).with_columns(lines.people[LABEL])


def means(values: Vector, whose: NDArray[np.int64], persons: int) -> Vector:
    """Return each person's mean of what was measured, NaN where nothing was, shape (persons,)."""
    seen = np.flatnonzero(~np.isnan(values))
    count = np.bincount(whose[seen], minlength=persons)
    total = np.bincount(whose[seen], weights=values[seen], minlength=persons)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _mode(name: str, feature: Feature, values: Vector, whose: NDArray[np.int64], persons: int) -> pl.Series:
    """Return each person's most frequent category, the first of equals."""
    known = list(feature.values or ())
    counts = occupancy(values, len(known), whose, persons)
    best = pl.Series(name, known, dtype=pl.String).gather(counts.argmax(axis=1))
    frame = pl.DataFrame({name: best, "seen": counts.sum(axis=1) > 0})
    return frame.select(pl.when("seen").then(name).alias(name))[name]


def occupancy(values: Vector, size: int, whose: NDArray[np.int64], persons: int) -> NDArray[np.float64]:
    """Return how often each person was in each category, shape (persons, size)."""
    seen = np.flatnonzero(~np.isnan(values))
    place = whose[seen] * size + values[seen].astype(np.int64)
    return np.bincount(place, minlength=persons * size).reshape(persons, size).astype(np.float64)

"""What checks ask of a source: sums made by its engine, over everybody or over a share of the persons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import ibis
import polars as pl

from wardgate.hospital.ward.source.events import EventSource, Expression, Pick

_PRIME, _FACTOR, PARTS = 1_000_003, 7_919, 1_024
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a study asks of a source, and which persons of it are looked at.

    Attributes:
        picks: What is asked.
        asked: The events of the picks, as the source gives them.
        parts: Of 1,024 parts into which a fixed rule divides the persons by their numbers, so many.
    """

    source: EventSource
    picks: tuple[Pick, ...]
    asked: Expression
    parts: int = PARTS

    @classmethod
    def of(cls, source: EventSource, picks: Sequence[Pick]) -> "Sample":
        """Return a look at everybody."""
        return cls(source=source, picks=tuple(picks), asked=source.engine.once(source.picked(picks)))

    def only(self, parts: int) -> "Sample":
        """Return a look at fewer persons."""
        return replace(self, parts=parts)

    def events(self) -> Expression:
        """Return the events of the picks that have a time."""
        return self._some(self.asked.filter(self.asked.time.notnull()))

    def persons(self) -> Expression:
        """Return the persons."""
        return self._some(self.source.engine.once(self.source.persons()))

    def visits(self) -> Expression:
        """Return one row a visit: subject_id, visit, start, end. A start or end with a date alone is the whole day."""
        every = self.source.engine.once(self.source.every())
        rows = self._some(every.filter((every.table == "visit") & every.time.notnull()))
        rows = rows.select("subject_id", "visit", start=opened(rows.time), end=rows.end)
        by = rows.filter(rows.visit.notnull()).group_by(["subject_id", "visit"])
        return by.aggregate(start=rows.start.min(), end=rows.end.max())

    def run(self, expression: Expression) -> pl.DataFrame:
        """Run an expression and return its rows.

        Raises:
            Invalid: the source cannot be read to its end.
        """
        schema = {name: _polars(kind) for name, kind in expression.schema().items()}
        parts = [batch.select(list(schema)).cast(schema) for batch in self.source.engine.batches(expression)]
        return pl.concat([pl.DataFrame(schema=schema), *parts])

    def _some(self, table: Expression) -> Expression:
        if self.parts >= PARTS:
            return table
        spread = ((table.subject_id.abs() % _PRIME) * _FACTOR) % PARTS
        return table.filter(spread < self.parts)


def _polars(kind: Expression) -> pl.DataType:
    """The type of a column of sums: engines differ in how wide they make them."""
    if kind.is_integer() or kind.is_boolean():
        return pl.Int64()
    return pl.Float64() if kind.is_numeric() else pl.String()


def seconds(time: Expression) -> Expression:
    """Return whole seconds since 1970; engines differ in what they make of an epoch."""
    return time.epoch_seconds().cast("float64").floor().cast("int64")


def dated(time: Expression) -> Expression:
    """Whether a time is a date alone: the last second of its day."""
    return (seconds(time) + 1) % DAY_SECONDS == 0


def opened(time: Expression) -> Expression:
    """Return a time, or where it is a date alone the start of that day."""
    return ibis.ifelse(dated(time), time.truncate("D"), time)


def month(time: Expression) -> Expression:
    """Return the number of a month, counted from the year 0."""
    return (time.year().cast("int64") * 12 + time.month().cast("int64") - 1).cast("int64")


def month_named(number: int) -> str:
    """Return a month in words.

    >>> month_named(2019 * 12 + 5)
    '2019-06'
    """
    return f"{number // 12}-{number % 12 + 1:02d}"


def fitting(total: int, *, most: int) -> int:
    """Return how many parts of the persons to look at, so that of `total` events about `most` are read.

    >>> fitting(1_000, most=2_000), fitting(200_000_000, most=20_000_000)
    (1024, 102)
    """
    return PARTS if total <= most else max(1, PARTS * most // total)

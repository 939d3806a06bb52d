"""A source that is three tables and knows codes by their text alone: what any engine can run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import ibis
import polars as pl

from wardgate.hospital.ward.source.duckdb_engine import DuckEngine
from wardgate.hospital.ward.source.events import EVERY, PERIODS, PERSONS, PICKED, Engine, Expression, Noticed, Pick

DEATH_CODE = "death"
KINDS = {
    "int64": pl.Int64(),
    "timestamp(6)": pl.Datetime("us"),
    "string": pl.String(),
    "float64": pl.Float64(),
}
TABLES: Mapping[str, Mapping[str, str]] = {"events": EVERY, "persons": PERSONS, "periods": PERIODS}


@dataclass(frozen=True, kw_only=True)
class Records:
    """What happened to some persons."""

    events: list[dict[str, Any]] = field(default_factory=list)
    persons: list[dict[str, Any]] = field(default_factory=list)
    periods: list[dict[str, Any]] = field(default_factory=list)

    def frames(self) -> dict[str, pl.DataFrame]:
        """The three tables."""
        return {
            name: pl.DataFrame(
                getattr(self, name), schema={column: KINDS[kind] for column, kind in schema.items()}, orient="row"
            )
            for name, schema in TABLES.items()
        }


@dataclass(frozen=True, kw_only=True)
class PlainSource:
    """An `EventSource` over tables `events`, `persons` and `periods` of an engine."""

    engine: Engine
    unchanged: Callable[[], None] = lambda: None
    name: str = "a test"
    kind: str = "meds"

    def picked(self, picks: Sequence[Pick]) -> Expression:
        """Each pick's events, one after the other."""
        parts = [self._one(place, pick) for place, pick in enumerate(picks)]
        return ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0]

    def _one(self, place: int, pick: Pick) -> Expression:
        events = ibis.table(dict(EVERY), name="events")
        codes = [f"{one.vocabulary}/{one.code}" for one in pick.concepts] or [DEATH_CODE]
        events = events.filter(events.code.isin(codes))
        if pick.table is not None:
            events = events.filter(events.table == pick.table)
        columns = {name: events[name] for name in PICKED if name not in ("pick", "value")}
        picked = events.select(pick=ibis.literal(place, type="int16"), value=events.numeric_value, **columns)
        return picked.select(*PICKED)

    def persons(self) -> Expression:
        """The table of persons."""
        return ibis.table(dict(PERSONS), name="persons")

    def periods(self) -> Expression:
        """The table of observed times."""
        return ibis.table(dict(PERIODS), name="periods")

    def every(self) -> Expression:
        """The table of events."""
        return ibis.table(dict(EVERY), name="events")

    def codes(self, picks: Sequence[Pick]) -> Mapping[str, int]:
        """As many codes as concepts."""
        return {pick.name: max(1, len(pick.concepts)) for pick in picks}

    def noticed(self) -> tuple[Noticed, ...]:
        """Nothing."""
        return ()

    def check_unchanged(self) -> None:
        """As the test says."""
        self.unchanged()


def duck_source(records: Records, **more: Any) -> PlainSource:
    """The records in a DuckDB."""
    connection = duckdb.connect(config={"threads": 1})
    for name, frame in records.frames().items():
        connection.register("given", frame.to_arrow())
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
        connection.unregister("given")
    return PlainSource(engine=DuckEngine(name="a test", connection=connection), **more)


def event(subject: int, code: str, time: datetime | None, **more: Any) -> dict[str, Any]:
    """One event; `time` is None for what never changes."""
    return dict.fromkeys(EVERY) | {"subject_id": subject, "code": code, "time": time} | more

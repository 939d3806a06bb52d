"""Events of an export, held in DuckDB's memory while they are read, and which resource gave each."""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import duckdb
import numpy as np
import pyarrow as pa

from wardgate.hospital.ward.source.duckdb_engine import problem
from wardgate.hospital.ward.source.events import EVERY
from wardgate.records.errors import Invalid

EVENTS, CODES = "events", "codes"
_HELD = "held"
_BATCH_ROWS = 50_000
_NEVER = -(2**63)
_ARROW = {
    "int64": pa.int64(),
    "timestamp(6)": pa.timestamp("us"),
    "string": pa.string(),
    "float64": pa.float64(),
}
_DUCKDB = {"int64": "BIGINT", "timestamp(6)": "TIMESTAMP", "string": "VARCHAR", "float64": "DOUBLE"}
_SCHEMA = pa.schema([*((name, _ARROW[kind]) for name, kind in EVERY.items()), ("resource", pa.int64())])

Event = tuple[
    int,
    int | None,
    int | None,
    str | None,
    str | None,
    float | None,
    str | None,
    str | None,
    str | None,
    int | None,
    str | None,
]
"""One event, its columns in the order of EVERY; times in microseconds."""


@lru_cache(maxsize=65_536)
def number_of(resource_type: str, identity: str) -> int:
    """Return the 63-bit number of a resource: the first bits of BLAKE2b over its type and id.

    It depends on nothing else in the export, so a later export gives the same person the same number, and the person
    stays in the same split.
    """
    return _digest(resource_type, identity)[0]


def _digest(resource_type: str, identity: str) -> tuple[int, int]:
    raw = hashlib.blake2b(f"{resource_type}/{identity}".encode(), digest_size=16).digest()
    first, second = struct.unpack("<qq", raw)
    return first & 0x7FFF_FFFF_FFFF_FFFF, second


def _empty() -> array[int]:
    return array("q")


@dataclass(slots=True, kw_only=True)
class Resources:
    """The resources of one type: their ids as digests, and when each was last updated. 24 bytes each."""

    resource_type: str
    first: array[int] = field(default_factory=_empty)
    second: array[int] = field(default_factory=_empty)
    updated: array[int] = field(default_factory=_empty)

    def add(self, identity: str, updated: int | None) -> int:
        """Take a resource and return its number."""
        first, second = _digest(self.resource_type, identity)
        self.first.append(first)
        self.second.append(second)
        self.updated.append(_NEVER if updated is None else updated)
        return first

    def superseded(self) -> tuple[int, ...]:
        """Return the places of resources whose id comes again: the newest `lastUpdated` stays, of equals the last read.

        Raises:
            Invalid: two ids have one number. It happens once in a million exports of four million ids.
        """
        if not self.first:
            return ()
        first = np.frombuffer(self.first, dtype=np.int64)
        order = np.argsort(first, kind="stable")
        again = np.flatnonzero(first[order][1:] == first[order][:-1])
        if not len(again):
            return ()
        newest: dict[int, int] = {}
        old = []
        for place in np.unique(np.concatenate([order[again], order[again + 1]])).tolist():
            other = newest.get(self.first[place])
            if other is None:
                newest[self.first[place]] = place
                continue
            if self.second[place] != self.second[other]:
                raise Invalid(f"two ids of {self.resource_type} have the same number; give one of them another id")
            kept = place if self.updated[place] >= self.updated[other] else other
            newest[self.first[place]] = kept
            old.append(other if kept == place else place)
        return tuple(old)


@dataclass(slots=True, kw_only=True)
class Held:
    """Events in a table of the connection.

    Attributes:
        memory_limit_mb: For messages.
    """

    name: str
    connection: duckdb.DuckDBPyConnection
    memory_limit_mb: int
    _rows: list[tuple[object, ...]] = field(default_factory=list)

    def create(self) -> None:
        """Make the empty table."""
        columns = ", ".join(f'"{name}" {_DUCKDB[kind]}' for name, kind in EVERY.items())
        self.run(f"CREATE TABLE {_HELD} ({columns}, resource BIGINT)")

    def add(self, events: Iterable[Event], resource: int) -> None:
        """Take the events of one resource."""
        rows = self._rows
        for event in events:
            rows.append((*event, resource))
        if len(rows) >= _BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Move what waits into the table."""
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
            self._rows.clear()
            self.connection.register("batch", pa.Table.from_arrays(arrays, schema=_SCHEMA))
            self.run(f"INSERT INTO {_HELD} SELECT * FROM batch")  # noqa: S608
            self.connection.unregister("batch")

    def drop(self, resources: Sequence[int]) -> None:
        """Take out the events of resources."""
        if resources:
            self.connection.register("gone", pa.table({"resource": pa.array(resources, pa.int64())}))
            self.run(f"DELETE FROM {_HELD} WHERE resource IN (SELECT resource FROM gone)")  # noqa: S608
            self.connection.unregister("gone")

    def finish(self) -> None:
        """Make the views that a source of events needs."""
        columns = ", ".join(f'"{name}"' for name in EVERY)
        self.run(f"CREATE VIEW {EVENTS} AS SELECT {columns} FROM {_HELD}")  # noqa: S608
        self.run(
            f"CREATE TABLE {CODES} AS SELECT DISTINCT code, NULL::BIGINT AS concept_id, NULL::VARCHAR AS parent "  # noqa: S608
            f"FROM {_HELD} WHERE code IS NOT NULL"
        )

    def visits_unknown(self) -> int:
        """Return how many events name an encounter that is not in the export."""
        self.run(
            f"SELECT count(*) FROM {_HELD} WHERE visit IS NOT NULL AND visit NOT IN "  # noqa: S608
            f"(SELECT visit FROM {_HELD} WHERE \"table\" = 'visit')"
        )
        row = self.connection.fetchone()
        return 0 if row is None else int(row[0])

    def run(self, sql: str) -> None:
        """Run a statement.

        Raises:
            Invalid: the events do not fit the memory limit.
        """
        found: Exception | None = None
        try:
            self.connection.execute(sql)
        except duckdb.Error as error:
            found = self.too_large() if str(error).startswith("Out of Memory") else problem(self.name, error)
        if found is not None:
            raise found

    def too_large(self) -> Invalid:
        """Return what to say where memory is not enough."""
        return Invalid(
            f"{self.name}: the events of this export do not fit the memory limit of {self.memory_limit_mb} MB; raise "
            "it, export fewer persons or a shorter time, or convert the export to MEDS on a larger machine"
        )

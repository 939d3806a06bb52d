"""A hospital's OMOP CDM opened as a source of events: a folder of files, a DuckDB file, or PostgreSQL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from zoneinfo import available_timezones

import duckdb
import polars as pl

from wardgate.hospital.ward.source.duckdb_engine import DuckEngine, closed_connection, opened_database
from wardgate.hospital.ward.source.events import Engine, Expression, Noticed, Pick
from wardgate.hospital.ward.source.omop import expressions
from wardgate.hospital.ward.source.omop.counted import counted
from wardgate.hospital.ward.source.omop.database import duckdb_relations, postgres_tables
from wardgate.hospital.ward.source.omop.duckdb_tables import Relation, typed, unreadable
from wardgate.hospital.ward.source.omop.export import code_rows
from wardgate.hospital.ward.source.omop.files import found, relation
from wardgate.hospital.ward.source.omop.known_codes import code_counts
from wardgate.hospital.ward.source.omop.occurrences import Cdm, all_occurrences, keyed
from wardgate.hospital.ward.source.omop.tables import CLINICAL
from wardgate.hospital.ward.source.over_events import as_view
from wardgate.hospital.ward.source.postgres import listed, opened_postgres
from wardgate.hospital.ward.source.stamps import Stamps
from wardgate.records.errors import Invalid
from wardgate.records.source_file import Postgres, SourceFile

VERSIONS = ("5.3", "5.4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Omop:
    """An `EventSource` over the tables of a CDM."""

    name: str
    engine: Engine
    cdm: Cdm
    told: tuple[Noticed, ...]
    cells: Callable[[], Iterator[Noticed]]
    stamps: Stamps
    kind: str = field(default="omop", init=False)
    _kept: dict[str, tuple[Noticed, ...]] = field(default_factory=dict, init=False, repr=False)

    def picked(self, picks: Sequence[Pick]) -> Expression:
        """Return the events that the picks ask for, with the columns of PICKED.

        Raises:
            Invalid: a pick asks for descendants, and there is no `concept_ancestor`.
            Unsupported: a pick asks for concepts in the table of deaths.
        """
        return expressions.picked(self.cdm, picks)

    def persons(self) -> Expression:
        """Return the persons, with the columns of PERSONS."""
        return expressions.persons(self.cdm)

    def periods(self) -> Expression:
        """Return the observed times, with the columns of PERIODS."""
        return expressions.periods(self.cdm)

    def every(self) -> Expression:
        """Return all events, with the columns of EVERY."""
        return expressions.every(self.cdm)

    def code_table(self) -> Expression:
        """Return the codes of all events and their ancestors, with the columns of `events.CODES`."""
        return code_rows(self.cdm)

    def codes(self, picks: Sequence[Pick]) -> Mapping[str, int]:
        """Return how many codes each pick stands for: of the vocabulary, else of the events themselves."""
        return code_counts(self.cdm, self.engine, picks)

    def noticed(self) -> tuple[Noticed, ...]:
        """Return what is amiss in the tables; they are counted once, when this is first asked.

        Raises:
            Invalid: the source cannot be read to its end.
        """
        if "all" not in self._kept:
            self._kept["all"] = (*self.told, *self.cells(), *counted(self.cdm, self.engine))
        return self._kept["all"]

    def check_unchanged(self) -> None:
        """Say whether the files are still what they were; a database was read at one moment.

        Raises:
            Invalid: a file changed while it was read.
        """
        self.stamps.check()


@contextmanager
def opened_omop(
    folder: Path, settings: SourceFile, *, memory_limit_mb: int = 2_000, threads: int = 2
) -> Iterator[Omop]:
    """Open a CDM of version 5.3 or 5.4.

    Args:
        folder: Where `source.yaml` lies.
        settings: What it says; `place` is a folder of tables or a DuckDB file.
        memory_limit_mb: What DuckDB may use; nothing is spilled to disk.
        threads: What DuckDB may use.

    Raises:
        Invalid: there is no table `person`, or a table, file or database cannot be read.
    """
    if settings.timezone is not None and settings.timezone not in available_timezones():
        raise Invalid("'timezone' in source.yaml is no IANA name of a zone, as Europe/Vienna")
    place = folder / settings.place
    if settings.postgres is not None:
        with _of_postgres(settings.postgres, settings) as source:
            yield source
    elif place.is_dir():
        with _of_folder(place, settings, memory_limit_mb=memory_limit_mb, threads=threads) as source:
            yield source
    else:
        with _of_duckdb(place, settings, memory_limit_mb=memory_limit_mb, threads=threads) as source:
            yield source


@contextmanager
def _of_folder(place: Path, settings: SourceFile, *, memory_limit_mb: int, threads: int) -> Iterator[Omop]:
    files = found(place)
    paths = [path for one in files for path in one.paths]
    stamps = Stamps.of(lambda: [path for one in found(place) for path in one.paths])
    relations = [relation(one) for one in files]
    with closed_connection(paths, memory_limit_mb=memory_limit_mb, threads=threads, ordered=False) as connection:
        yield _over_duckdb(connection, relations, place.resolve().name, settings, stamps)


@contextmanager
def _of_duckdb(place: Path, settings: SourceFile, *, memory_limit_mb: int, threads: int) -> Iterator[Omop]:
    path = place.resolve()
    stamps = Stamps.of(lambda: (path, path.with_name(path.name + ".wal")))
    with opened_database(place, memory_limit_mb=memory_limit_mb, threads=threads) as connection:
        relations = duckdb_relations(connection, place.name)
        yield _over_duckdb(connection, relations, place.name, settings, stamps)


def _over_duckdb(
    connection: duckdb.DuckDBPyConnection,
    relations: Sequence[Relation],
    place: str,
    settings: SourceFile,
    stamps: Stamps,
) -> Omop:
    made = [typed(connection, one, timezone=settings.timezone) for one in relations]
    full = [one for one in made if one is not None]
    tables = {one.relation.table: one.expression for one in full}
    engine = DuckEngine(name=f"the OMOP tables in {place}", connection=connection)
    absent = {one.relation.table: one.absent for one in full}
    source = _source(
        engine,
        tables,
        place,
        settings,
        there={one.table for one in relations},
        absent=absent,
        cells=lambda: unreadable(connection, full),
        stamps=stamps,
    )
    cdm = replace(source.cdm, seen=as_view(connection, all_occurrences(source.cdm), "wardgate:occurrences"))
    return replace(source, cdm=replace(cdm, keys=as_view(connection, keyed(cdm), "wardgate:keyed")))


@contextmanager
def _of_postgres(postgres: Postgres, settings: SourceFile) -> Iterator[Omop]:
    schemas = [part.strip() for part in postgres.tables.split(",")]
    with opened_postgres(postgres, timezone=settings.timezone) as engine:
        name = f"the database {postgres.database}, schema {postgres.tables}"
        there = postgres_tables(listed(engine, schemas), name, timezone=settings.timezone)
        full = {table: one for table, one in there.tables.items() if _first(engine, one.limit(1)) is not None}
        place = f"the database {postgres.database}"
        absent = {table: columns for table, columns in there.absent.items() if table in full}
        yield _source(
            engine,
            full,
            place,
            settings,
            there=set(there.tables),
            absent=absent,
            cells=lambda: iter(()),
            stamps=Stamps.of(tuple),
        )


def _source(
    engine: Engine,
    tables: Mapping[str, Expression],
    place: str,
    settings: SourceFile,
    *,
    there: set[str],
    absent: Mapping[str, tuple[str, ...]],
    cells: Callable[[], Iterator[Noticed]],
    stamps: Stamps,
) -> Omop:
    if "person" not in tables:
        state = "has no rows" if "person" in there else "is absent"
        raise Invalid(f"{place}: the OMOP table person {state}; without persons there is no cohort")
    version = _version(engine, tables, place)
    cdm = Cdm(tables=tables, units=settings.units, unit_names=settings.unit_names)
    return Omop(
        name=f"OMOP CDM{f' {version}' if version else ''} in {place}",
        engine=engine,
        cdm=cdm,
        told=tuple(_told(tables, there, absent, version)),
        cells=cells,
        stamps=stamps,
    )


def _told(
    tables: Mapping[str, Expression], there: set[str], absent: Mapping[str, tuple[str, ...]], version: str | None
) -> Iterator[Noticed]:
    """What is absent; each table or column counts as one."""
    if version is None:
        yield Noticed(
            what="cdm_source: no version of the CDM; 5.3 or 5.4 is taken for granted", count=1, of=1, harm="odd"
        )
    for name in (*(one.table for one in CLINICAL), "death", "observation_period"):
        if name not in there:
            harm: Literal["lost", "odd"] = "odd" if name == "visit_detail" else "lost"  # few hospitals keep it
            yield Noticed(what=f"{name}: the table is absent; nothing of it is found", count=1, of=1, harm=harm)
    for name, loss in (
        ("concept", "codes of a vocabulary are not found, concept ids are"),
        ("concept_ancestor", "what lies below a concept is not found"),
    ):
        if name not in tables:
            yield Noticed(what=f"{name}: the table is absent or empty; {loss}", count=1, of=1)
    for name, columns in absent.items():
        if columns:
            words = f"{name}: columns are absent ({', '.join(columns)}) and count as empty"
            yield Noticed(what=words, count=len(columns), of=len(columns), harm="odd")


def _version(engine: Engine, tables: Mapping[str, Expression], place: str) -> str | None:
    """The version that `cdm_source` names; None where it names none."""
    row = _first(engine, tables["cdm_source"].limit(1)) if "cdm_source" in tables else None
    told = "" if row is None else str(row[0] or "").strip().lower().removeprefix("v")
    if not told:
        return None
    for version in VERSIONS:
        if told == version or told.startswith(f"{version}."):
            return version
    raise Invalid(f"{place} is an OMOP CDM of a version that is not read; expected {' or '.join(VERSIONS)}")


def _first(engine: Engine, expression: Expression) -> tuple[object, ...] | None:
    frames: list[pl.DataFrame] = list(engine.batches(expression))
    return next((frame.row(0) for frame in frames if frame.height), None)

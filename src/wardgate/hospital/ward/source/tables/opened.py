"""A hospital's own tables, opened as a source of events: streamed, hardened, and counted once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import available_timezones

import duckdb
import ibis

from wardgate.hospital.ward.source.code_maps import apply_code_maps, read_code_maps
from wardgate.hospital.ward.source.duckdb_engine import DuckEngine, closed_connection, problem
from wardgate.hospital.ward.source.events import EVERY, Expression
from wardgate.hospital.ward.source.files import Listed, listed
from wardgate.hospital.ward.source.over_events import CODES, OverEvents, as_view
from wardgate.hospital.ward.source.stamps import Stamps
from wardgate.hospital.ward.source.tables.counted import counted, unmapped
from wardgate.hospital.ward.source.tables.views import EVENTS, Telling, base_views, events_of, tellings, wanted
from wardgate.hospital.ward.source.texts import text_in
from wardgate.records.code_map import CodeMap
from wardgate.records.errors import Invalid
from wardgate.records.event_mapping import EventMapping, parse
from wardgate.records.source_file import SourceFile

_CODES = "own_codes"

_EVENT_BYTES, _HELD_SHARE = 200, 0.4
"""What an event takes in memory, in round figures, and the share of the limit that all may take to be held."""


@contextmanager
def opened_tables(
    folder: Path, settings: SourceFile, *, memory_limit_mb: int = 2_000, threads: int = 2
) -> Iterator[OverEvents]:
    """Open a hospital's own tables by their mapping to events.

    The tables are read once to count what is amiss, then streamed again for whatever is asked; of them, only the keys
    of parent tables are held in memory. Where all events fit two fifths of the memory limit, they are held instead and
    the files are read once more alone. Nothing is written to disk.

    Args:
        folder: Where `source.yaml`, the mapping and the code maps lie; `settings.place` is relative to it.
        settings: Of kind `tables`.
        memory_limit_mb: What DuckDB may use.
        threads: What DuckDB may use.

    Raises:
        Invalid: the mapping, a code map or a file cannot be used; the message quotes no cell.
    """
    mapping = read_event_mapping(folder, settings.mapping or "")
    maps = read_code_maps(folder, settings.codes)
    if settings.timezone is not None and settings.timezone not in available_timezones():
        raise Invalid(f"source.yaml: no time zone is called '{settings.timezone}'; use an IANA name, Europe/Vienna say")
    place = folder / settings.place
    files = {
        name: listed(
            place, table.files, wanted=wanted(mapping, name), encoding=table.encoding, delimiter=table.delimiter
        )
        for name, table in mapping.tables.items()
    }
    paths = sorted({path for one in files.values() for path in one.paths})
    stamps = Stamps.of(lambda: paths)
    with closed_connection(paths, memory_limit_mb=memory_limit_mb, threads=threads, ordered=False) as connection:
        told = _views(connection, mapping, files, settings.timezone)

        def rows(sql: str) -> Sequence[tuple[object, ...]]:
            return _rows(connection, sql, ", ".join(path.name for path in paths))

        amiss, cells = counted(mapping, told, rows, timezone=settings.timezone)
        rows(events_of(told, held=cells * _EVENT_BYTES <= memory_limit_mb * 1_000_000 * _HELD_SHARE))
        noticed = (*amiss, *unmapped(mapping, rows, maps))
        name = f"{len(mapping.tables)} tables in {place.resolve().name}"
        source = OverEvents(
            name=name,
            kind="tables",
            engine=DuckEngine(name=name, connection=connection),
            events=as_view(connection, _events(maps, settings), "mapped"),
            code_rows=ibis.table(dict(CODES), name=_CODES),
            found=lambda: noticed,
            unchanged=stamps.check,
        )
        source.check_unchanged()
        yield source


def read_event_mapping(folder: Path, file: str) -> EventMapping:
    """Read the mapping that `source.yaml` names.

    Raises:
        Invalid: missing, not UTF-8, or wrong; one line of message for each finding.
    """
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise Invalid(f"the mapping {file} is missing in {folder.name}; correct 'mapping' in source.yaml")
    return parse(text_in(path), name=path.name)


def _views(
    connection: duckdb.DuckDBPyConnection, mapping: EventMapping, files: Mapping[str, Listed], timezone: str | None
) -> tuple[Telling, ...]:
    for name, sql in base_views(mapping, files, timezone=timezone):
        _execute(connection, sql, ", ".join(path.name for path in files[name].paths))
    told = []
    for telling, sql in tellings(mapping, timezone=timezone):
        _execute(connection, sql, telling.path)
        told.append(telling)
    columns = ", ".join(f"{name} {'BIGINT' if kind == 'int64' else 'VARCHAR'}" for name, kind in CODES.items())
    _execute(connection, f"CREATE TABLE {_CODES} ({columns})", _CODES)
    return tuple(told)


def _execute(connection: duckdb.DuckDBPyConnection, sql: str, name: str) -> None:
    _rows(connection, sql, name)


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, name: str) -> Sequence[tuple[object, ...]]:
    found: Exception | None = None
    try:
        return connection.execute(sql).fetchall()
    except (duckdb.Error, OSError) as error:
        found = problem(name, error)
    raise found


def _events(maps: CodeMap, settings: SourceFile) -> Expression:
    """All events with standard codes, and with the units that `source.yaml` names."""
    events = apply_code_maps(ibis.table(dict(EVERY), name=EVENTS), maps)
    if settings.unit_names:
        known = {spelling.strip(): unit for spelling, unit in settings.unit_names.items()}
        events = events.mutate(unit=events.unit.strip().cases(*known.items(), else_=events.unit))
    if settings.units:
        given = ibis.coalesce(
            events.code.cases(*settings.units.items()), events.source_code.cases(*settings.units.items())
        )
        bare = events.unit.isnull() & events.numeric_value.notnull()
        events = events.mutate(unit=ibis.ifelse(bare, given, events.unit))
    return events

"""A MEDS 0.4 dataset as a source of events, streamed from its Parquet files by DuckDB."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import duckdb
import ibis
import pyarrow as pa

from wardgate.hospital.ward.source.code_maps import apply_code_maps, read_code_maps
from wardgate.hospital.ward.source.duckdb_engine import DuckEngine, closed_connection, problem, quoted, text
from wardgate.hospital.ward.source.events import EVERY, Noticed
from wardgate.hospital.ward.source.meds.layout import (
    CODES_FILE,
    DATASET_FILE,
    EXACT,
    Layout,
    data_files,
    layout_of,
)
from wardgate.hospital.ward.source.over_events import CODES, OverEvents, as_view
from wardgate.hospital.ward.source.stamps import Stamps
from wardgate.records.concepts import TableName
from wardgate.records.errors import Invalid
from wardgate.records.source_file import SourceFile

_SQL = {"int64": "BIGINT", "timestamp(6)": "TIMESTAMP", "string": "VARCHAR", "float64": "DOUBLE"}

"""Size, time of change and inode of every file."""


@contextmanager
def opened_meds(
    folder: Path, settings: SourceFile, *, memory_limit_mb: int = 2_000, threads: int = 2
) -> Iterator[OverEvents]:
    """Open a MEDS 0.4 dataset.

    Its `code` is taken as both the standard and the recorded code where no column `source_code` tells them apart.
    Numbers that stand in 32 bits alone are read as the shortest decimal that has those bits. What lies above a code
    is worked out from `parent_codes`, whether they name all ancestors or only the nearest.

    Args:
        folder: Where `source.yaml` lies; `settings.place` is relative to it.
        memory_limit_mb: What DuckDB may use; nothing is spilled to disk.

    Raises:
        Invalid: no MEDS 0.4, or its files or the code maps cannot be read.
    """
    root = folder / settings.place
    if not root.is_dir():
        raise Invalid(f"{root.name} is no folder, expected a MEDS dataset; correct 'place' in source.yaml")
    maps = read_code_maps(folder, settings.codes)
    stamps = Stamps.of(lambda: (*data_files(root), root / CODES_FILE, root / DATASET_FILE))
    layout = layout_of(root)
    if layout.zoned and settings.timezone is None:
        raise Invalid(
            f"the times of {root.name} carry a zone; set 'timezone' in source.yaml to the zone of the hospital's clocks"
        )
    name = f"MEDS 0.4 in {root.name}"
    with closed_connection(layout.read, memory_limit_mb=memory_limit_mb, threads=threads, ordered=False) as connection:
        engine = DuckEngine(name=name, connection=connection)
        if layout.zoned and not _known_zone(connection, settings.timezone or ""):
            raise Invalid(f"timezone '{settings.timezone}' is unknown, expected an IANA name, e.g. Europe/Vienna")
        found: Exception | None = None
        noticed: tuple[Noticed, ...] = ()
        events = ibis.table(dict(EVERY), name="events")
        try:
            _create(connection, layout, settings)
            if maps.lines:
                events = as_view(connection, apply_code_maps(events, maps), "mapped")
            noticed = (*layout.noticed, *_nulls(connection, layout), *_absent(layout, settings))
        except (duckdb.Error, OSError) as error:
            found = problem(name, error)
        if found is not None:
            raise found

        yield OverEvents(
            name=name,
            kind="meds",
            engine=engine,
            events=events,
            code_rows=ibis.table(dict(CODES), name="codes"),
            found=lambda: noticed,
            unchanged=stamps.check,
        )


def _known_zone(connection: duckdb.DuckDBPyConnection, zone: str) -> bool:
    try:
        connection.execute("SELECT timezone(?, TIMESTAMPTZ '2020-01-01 00:00:00+00')", [zone]).fetchall()
    except duckdb.Error:
        return False
    return True


def _create(connection: duckdb.DuckDBPyConnection, layout: Layout, settings: SourceFile) -> None:
    """Create the view of all events and the table of codes."""
    _pairs(connection, "unit_names", settings.unit_names)
    _pairs(connection, "code_units", settings.units)
    columns = ", ".join(
        f"CAST({sql} AS {_SQL[EVERY[name]]}) AS {quoted(name)}" for name, sql in _columns(layout, settings).items()
    )
    joins = (
        "LEFT JOIN unit_names ON trim(e.unit) = unit_names.name"
        if "unit" in layout.columns and settings.unit_names
        else ""
    )
    if settings.units:
        joins += " LEFT JOIN code_units ON e.code = code_units.name"
    kept = "e.subject_id IS NOT NULL AND e.code IS NOT NULL"
    connection.execute(f"CREATE VIEW events AS SELECT {columns} FROM {_data(layout)} AS e {joins} WHERE {kept}")  # noqa: S608
    _codes(connection, layout)


def _columns(layout: Layout, settings: SourceFile) -> dict[str, str]:
    """Return each column of EVERY as SQL over a row `e` of the data."""
    has = layout.columns
    found = {name: f"e.{quoted(name)}" if name in has else "NULL" for name in EVERY}
    for name in ("time", "end"):
        if name in has and has[name].tz is not None:
            found[name] = f"timezone({text(settings.timezone or '')}, e.{quoted(name)})"
    if "source_code" not in has:
        found["source_code"] = "e.code"
    known = ", ".join(text(one) for one in get_args(TableName))
    if "table" in has:
        found["table"] = f'CASE WHEN e."table" IN ({known}) THEN e."table" END'
    found["numeric_value"] = _number(has)
    unit = "nullif(trim(e.unit), '')" if "unit" in has else "NULL"
    if "unit" in has and settings.unit_names:
        unit = f"coalesce(unit_names.unit, {unit})"
    if settings.units:
        unit = f"coalesce({unit}, CASE WHEN {found['numeric_value']} IS NOT NULL THEN code_units.unit END)"
    found["unit"] = unit
    return found


def _number(has: Mapping[str, pa.DataType]) -> str:
    """The number as SQL; what is no number (NaN, as some writers put for a missing one) is none."""
    exact = f"e.{EXACT}" if EXACT in has else "NULL"
    if "numeric_value" not in has:
        return exact
    narrow = pa.types.is_float32(has["numeric_value"]) and EXACT not in has
    short = "CAST(CAST(e.numeric_value AS VARCHAR) AS DOUBLE)" if narrow else "CAST(e.numeric_value AS DOUBLE)"
    value = f"coalesce({exact}, {short})"
    return f"CASE WHEN NOT isnan({value}) THEN {value} END"


def _codes(connection: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    """Create the table of codes with all ancestors; a circle of parents ends where it began."""
    has = layout.code_columns
    number = "max(CAST(concept_id AS BIGINT))" if "concept_id" in has else "CAST(NULL AS BIGINT)"
    parents = "unnest(parent_codes)" if "parent_codes" in has else "CAST(NULL AS VARCHAR)"
    file = f"read_parquet([{text(str(layout.codes))}])"
    connection.execute(f"""
        CREATE TABLE codes AS
        WITH RECURSIVE
        own AS (SELECT code, {number} AS concept_id FROM {file} WHERE code IS NOT NULL GROUP BY code),
        direct AS (
            SELECT DISTINCT code, parent FROM (SELECT code, {parents} AS parent FROM {file} WHERE code IS NOT NULL)
            WHERE parent IS NOT NULL AND parent <> code
        ),
        above(code, parent) AS (
            SELECT code, parent FROM direct
            UNION
            SELECT above.code, direct.parent FROM above JOIN direct ON above.parent = direct.code
        )
        SELECT own.code AS code, own.concept_id AS concept_id, above.parent AS parent
        FROM own LEFT JOIN above ON own.code = above.code AND above.parent <> above.code
    """)  # noqa: S608


def _pairs(connection: duckdb.DuckDBPyConnection, table: str, pairs: Mapping[str, str]) -> None:
    connection.execute(f"CREATE TABLE {table} (name VARCHAR, unit VARCHAR)")
    if pairs:
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", [list(pair) for pair in pairs.items()])  # noqa: S608


def _data(layout: Layout) -> str:
    files = ", ".join(text(str(path)) for path in layout.files)
    return f"read_parquet([{files}], union_by_name = true, hive_partitioning = false)"


def _nulls(connection: duckdb.DuckDBPyConnection, layout: Layout) -> Iterator[Noticed]:
    """Count the rows that are left out. Where the footers say that there are none, nothing is read."""
    if not layout.nulls:
        return
    columns = "count(*) FILTER (subject_id IS NULL), count(*) FILTER (subject_id IS NOT NULL AND code IS NULL)"
    row = connection.execute(f"SELECT {columns} FROM {_data(layout)}").fetchone()  # noqa: S608
    for what, count in zip(("rows without a subject", "rows without a code"), row or (), strict=False):
        if count:
            yield Noticed(what=f"{what}, left out", count=int(count), of=layout.rows)


def _absent(layout: Layout, settings: SourceFile) -> Iterator[Noticed]:
    """Say what the data cannot tell because a column is not there."""
    if "end" not in layout.columns:
        what = "events without an end, as there is no column 'end': no visit is known to last"
        yield Noticed(what=what, count=layout.rows, of=layout.rows, harm="odd")
    if "unit" not in layout.columns and not settings.units and ("numeric_value" in layout.columns):
        what = "events without a unit, as there is no column 'unit' and source.yaml names no 'units'"
        yield Noticed(what=what, count=layout.rows, of=layout.rows, harm="odd")

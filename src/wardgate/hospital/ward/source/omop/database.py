"""OMOP tables inside a database: which schema holds them, and whether their columns are what the CDM asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import ibis

from wardgate.hospital.ward.source.duckdb_engine import CATALOG, problem, quoted
from wardgate.hospital.ward.source.events import Expression
from wardgate.hospital.ward.source.omop.duckdb_tables import Relation
from wardgate.hospital.ward.source.omop.tables import COLUMNS, NEEDED, NEWER, UNREAD, VOCABULARY
from wardgate.hospital.ward.source.postgres import Listed
from wardgate.records.errors import Invalid

_FITTING: Mapping[str, tuple[str, ...]] = {
    "int64": ("int16", "int32", "int64"),
    "float64": ("int16", "int32", "int64", "decimal", "float32", "float64"),
    "date": ("date", "timestamp(6)", "timestamp('UTC', 6)"),
    "timestamp(6)": ("date", "timestamp(6)", "timestamp('UTC', 6)"),
    "string": ("string", "int16", "int32", "int64"),
}
_TYPES = {
    "int2": "int16",
    "int4": "int32",
    "int8": "int64",
    "numeric": "decimal",
    "float4": "float32",
    "float8": "float64",
    "date": "date",
    "timestamp": "timestamp(6)",
    "timestamptz": "timestamp('UTC', 6)",
    "text": "string",
    "varchar": "string",
    "bpchar": "string",
}


def duckdb_relations(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[Relation, ...]:
    """Find the tables of the CDM in an attached DuckDB file: in the schema of `person`; a vocabulary may lie elsewhere.

    Raises:
        Invalid: the file cannot be read, or holds no table `person`, or several.
    """
    rows: Sequence[tuple[str, str]] = ()
    failed: Exception | None = None
    try:
        rows = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = ? ORDER BY ALL",
            [CATALOG],
        ).fetchall()
    except duckdb.Error as error:
        failed = problem(name, error)
    if failed is not None:
        raise failed
    homes = sorted({schema for schema, table in rows if table.lower() == "person"})
    if len(homes) != 1:
        found = f"in the schemas {', '.join(homes)}" if homes else "nowhere"
        raise Invalid(f"{name} has an OMOP table person {found}, expected it once; give a file that holds one CDM")
    made = []
    for table in COLUMNS:
        places = [(schema, own) for schema, own in rows if own.lower() == table]
        here = [place for place in places if place[0] == homes[0]]
        chosen = here or (places if table in VOCABULARY and len(places) == 1 else [])
        if chosen:
            schema, own = chosen[0]
            scan = f"{quoted(CATALOG)}.{quoted(schema)}.{quoted(own)}"
            made.append(Relation(table=table, name=f"{own} of {name}", scans=(scan,)))
    return tuple(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Tables of a PostgreSQL database as expressions with the columns of the CDM, and what columns they lack."""

    tables: Mapping[str, Expression]
    absent: Mapping[str, tuple[str, ...]]


def postgres_tables(listed: Sequence[Listed], name: str, *, timezone: str | None) -> Found:
    """Turn the tables of a PostgreSQL schema into expressions with the columns of the CDM.

    Raises:
        Invalid: there is no table `person`, a table may not be read, or a column is absent or of another type.
    """
    by_name: dict[str, Listed] = {}
    for one in listed:
        by_name.setdefault(one.table.lower(), one)
    if "person" not in by_name:
        raise Invalid(
            f"{name} holds no OMOP table person that this user can see; name its schema in 'postgres.tables', or let "
            "the user use it (GRANT USAGE ON SCHEMA)"
        )
    tables, absent = {}, {}
    for table, wanted in COLUMNS.items():
        if table not in by_name:
            continue
        one = by_name[table]
        if not one.readable:
            raise Invalid(f"{name}: this user may not read {table}; GRANT SELECT ON {one.schema}.{one.table} to it")
        own = {column.lower(): (column, kind) for column, kind in one.columns}
        lacking = [column for column in NEEDED[table] if column not in own]
        if lacking:
            raise Invalid(f"{name}: {table} lacks {', '.join(lacking)}, expected the columns of the OMOP CDM")
        known = {column: own[column] for column in wanted if column in own}
        for column, (_, kind) in known.items():
            _check(f"{name}: {table}.{column}", kind, wanted[column], timezone)
        schema = {actual: _TYPES[kind] for actual, kind in known.values()} | UNREAD
        base = ibis.table(schema, one.table, database=one.schema)
        tables[table] = base.select(
            **{
                column: _cast(base[known[column][0]], known[column][1], kind) if column in known else ibis.null(kind)
                for column, kind in wanted.items()
            }
        )
        absent[table] = tuple(column for column in wanted if column not in own and column not in NEWER)
    return Found(tables=tables, absent=absent)


def _check(where: str, actual: str, wanted: str, timezone: str | None) -> None:
    if _TYPES.get(actual) not in _FITTING[wanted]:
        raise Invalid(f"{where} is {actual}, expected {wanted}; give the column the type that the CDM asks for")
    if actual == "timestamptz" and timezone is None:
        raise Invalid(
            f"{where} holds times of a zone; say in source.yaml which zone the hospital's clocks have "
            "('timezone: Europe/Vienna'), so that they can become local times"
        )


def _cast(column: Expression, actual: str, wanted: str) -> Expression:
    """The session's zone is the hospital's, so that times of a zone become local ones."""
    if actual == "date" and wanted == "timestamp(6)":
        return column.cast(wanted) + ibis.interval(seconds=86_399)
    if wanted == "float64" and actual in ("numeric", "float4", "float8"):
        number = column.cast("float64")
        return ibis.ifelse(number.isnan() | number.isinf(), ibis.null("float64"), number)
    return column.cast(wanted)

"""OMOP tables inside DuckDB, typed strictly: a cell that is not what the CDM asks for is empty, and counted.

Every table becomes a view with the columns of the CDM. Texts are read as their type alone: numbers without a fraction
where ids are, dates as YYYY-MM-DD or YYYYMMDD, times with `T` or a space. A time with an offset becomes a local time of
the hospital's zone; where the zone is not known, it is empty, and counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import ibis

from wardgate.hospital.ward.source.duckdb_engine import problem, quoted, text
from wardgate.hospital.ward.source.events import Expression, Noticed
from wardgate.hospital.ward.source.omop.tables import COLUMNS, NEEDED, NEWER
from wardgate.records.errors import Invalid

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_ZONED = "TIMESTAMP WITH TIME ZONE"
_OFFSET = r"[0-9:.] *([Zz]|UTC|[+-][0-9]{2}(:?[0-9]{2})?)$"
_SAMPLE = 1_000
_NUMBERS = (*_WHOLE, "UBIGINT", "HUGEINT", "DECIMAL", "DOUBLE", "FLOAT", "VARCHAR")
_TIMES = ("DATE", "TIMESTAMP", "VARCHAR")
_FITTING = {"int64": _NUMBERS, "float64": _NUMBERS, "date": _TIMES, "timestamp(6)": _TIMES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """One table as it lies there.

    Attributes:
        table: As the CDM calls it.
        name: For messages: the file, or the table's own name.
        scans: What SQL selects from; several are one table.
    """

    table: str
    name: str
    scans: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A view with the columns of the CDM.

    Attributes:
        expression: The view, for expressions.
        strict: By column that may hold what is not its type: SQL that is true where a cell is given, and where it was
            given and not understood.
        scans: What the view selects from.
        absent: Columns that the table does not have.
    """

    relation: Relation
    expression: Expression
    strict: Mapping[str, tuple[str, str]]
    absent: tuple[str, ...]


def typed(connection: duckdb.DuckDBPyConnection, relation: Relation, *, timezone: str | None) -> Typed | None:
    """Make the view of a table, named as the CDM names the table; None where it has no rows.

    Raises:
        Invalid: the table cannot be read, lacks a column that it needs, or a whole column is not what it should be.
    """
    found: Exception | None = None
    made: Typed | None = None
    try:
        made = _view(connection, relation, timezone)
    except duckdb.Error as error:
        found = problem(relation.name, error)
    if found is not None:
        raise found
    return made


def unreadable(connection: duckdb.DuckDBPyConnection, tables: Sequence[Typed]) -> Iterator[Noticed]:
    """Yield, by column, how many cells were not understood.

    Raises:
        Invalid: a table cannot be read to its end.
    """
    for one in tables:
        if not one.strict:
            continue
        sums = ", ".join(f"count_if({bad})" for _, bad in one.strict.values())
        found: Exception | None = None
        row: Sequence[int] = ()
        try:
            row = connection.cursor().sql(f"SELECT count(*), {sums} FROM {_union(one.relation)}").fetchall()[0]  # noqa: S608
        except duckdb.Error as error:
            found = problem(one.relation.name, error)
        if found is not None:
            raise found
        for column, count in zip(one.strict, row[1:], strict=True):
            if count:
                expected = _EXPECTED[COLUMNS[one.relation.table][column]]
                words = f"{one.relation.table}: cells of {column} that are no {expected}"
                yield Noticed(what=words, count=count, of=row[0], where=(one.relation.name,))


_EXPECTED = {"int64": "whole number", "float64": "number", "date": "date", "timestamp(6)": "date with time"}


def _view(connection: duckdb.DuckDBPyConnection, relation: Relation, timezone: str | None) -> Typed | None:
    source = _union(relation)
    described = connection.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608
    columns: dict[str, tuple[str, str]] = {}
    for name, kind, *_ in described:
        if name.lower() in columns:
            raise Invalid(f"{relation.name} has the column {name.lower()} twice; give every column its own name")
        columns[name.lower()] = (quoted(name), str(kind))
    wanted = COLUMNS[relation.table]
    lacking = [name for name in NEEDED[relation.table] if name not in columns]
    if lacking:
        raise Invalid(
            f"{relation.name} lacks {', '.join(lacking)}, without which the OMOP table {relation.table} cannot be "
            "read; export it with all columns of the CDM, and a line of column names"
        )
    selected: list[str] = []
    strict: dict[str, tuple[str, str]] = {}
    for name, kind in wanted.items():
        if name not in columns:
            selected.append(f"CAST(NULL AS {_SQL[kind]}) AS {quoted(name)}")
            continue
        own, actual = columns[name]
        if actual == _ZONED and timezone is None:
            raise Invalid(
                f"{relation.name}: {name} holds times of a zone; say in source.yaml which zone the hospital's clocks "
                "have ('timezone: Europe/Vienna'), so that they can become local times"
            )
        if kind != "string" and not actual.startswith(_FITTING[kind]):
            raise Invalid(
                f"{relation.name}: {name} is {actual}, expected a {_EXPECTED[kind]}; export it as the CDM asks"
            )
        value, may_fail = _read(own, actual, kind, timezone)
        selected.append(f"{value} AS {quoted(name)}")
        if may_fail:
            given = f"trim({own}) <> ''" if actual == "VARCHAR" else f"{own} IS NOT NULL"
            strict[name] = (given, f"({given}) AND ({value}) IS NULL")
    connection.execute(f"CREATE VIEW {quoted(relation.table)} AS SELECT {', '.join(selected)} FROM {source}")  # noqa: S608
    if not connection.sql(f"SELECT 1 FROM {source} LIMIT 1").fetchall():  # noqa: S608
        return None
    _whole_columns(connection, relation, strict)
    return Typed(
        relation=relation,
        expression=ibis.table(dict(wanted), relation.table),
        strict=strict,
        absent=tuple(name for name in wanted if name not in columns and name not in NEWER),
    )


def _whole_columns(
    connection: duckdb.DuckDBPyConnection, relation: Relation, strict: Mapping[str, tuple[str, str]]
) -> None:
    """Refuse a needed column in which nothing is understood: the first rows are looked at, then all of them."""
    needed = [name for name in strict if name in NEEDED[relation.table]]
    for limit in (f" LIMIT {_SAMPLE}", ""):
        if not needed:
            return
        counts = ", ".join(f"count_if({strict[name][0]}), count_if({strict[name][1]})" for name in needed)
        sample = f"(SELECT * FROM {_union(relation)}{limit})"  # noqa: S608
        row = connection.sql(f"SELECT {counts} FROM {sample}").fetchall()[0]  # noqa: S608
        needed = [name for at, name in enumerate(needed) if row[2 * at] and row[2 * at] == row[2 * at + 1]]
    if needed:
        expected = _EXPECTED[COLUMNS[relation.table][needed[0]]]
        raise Invalid(
            f"{relation.name}: no cell of {needed[0]} is a {expected}; export it as the CDM asks (dates as YYYY-MM-DD, "
            "ids as whole numbers)"
        )


def _union(relation: Relation) -> str:
    if len(relation.scans) == 1:
        return relation.scans[0]
    return "(" + " UNION ALL BY NAME ".join(f"SELECT * FROM {scan}" for scan in relation.scans) + ")"  # noqa: S608


_SQL = {"int64": "BIGINT", "float64": "DOUBLE", "date": "DATE", "timestamp(6)": "TIMESTAMP", "string": "VARCHAR"}


def _read(own: str, actual: str, kind: str, timezone: str | None) -> tuple[str, bool]:
    """SQL that reads a column as its type, and whether it may fail for a cell."""
    if kind == "string":
        return (own if actual == "VARCHAR" else f"CAST({own} AS VARCHAR)"), False
    if actual == "VARCHAR":
        return _from_text(f"trim({own})", kind, timezone), True
    if kind == "int64":
        if actual in _WHOLE:
            return (own if actual == "BIGINT" else f"CAST({own} AS BIGINT)"), False
        number = f"CAST({own} AS DOUBLE)"  # pandas keeps ids with gaps as floating numbers, and gaps as NaN
        return f"CASE WHEN {number} = floor({number}) THEN TRY_CAST({own} AS BIGINT) END", True
    if kind == "float64":
        number = own if actual == "DOUBLE" else f"TRY_CAST({own} AS DOUBLE)"
        if actual in _WHOLE:
            return f"CAST({own} AS DOUBLE)", False
        return f"CASE WHEN isfinite({number}) THEN {number} END", False
    if actual == _ZONED:
        local = f"timezone({text(timezone or 'UTC')}, {own})"
        return (local if kind != "date" else f"CAST({local} AS DATE)"), False
    if kind == "date":
        return (own if actual == "DATE" else f"TRY_CAST({own} AS DATE)"), not actual.startswith(("DATE", "TIMESTAMP"))
    if actual == "DATE":
        return f"CAST({own} AS TIMESTAMP) + INTERVAL 86399 SECOND", False
    plain = actual == "TIMESTAMP"
    return (own if plain else f"TRY_CAST({own} AS TIMESTAMP)"), not actual.startswith("TIMESTAMP")


def _from_text(cell: str, kind: str, timezone: str | None) -> str:
    if kind == "int64":
        return f"CASE WHEN regexp_full_match({cell}, '[+-]?[0-9]+([.]0*)?') THEN TRY_CAST({cell} AS BIGINT) END"
    if kind == "float64":
        number = f"TRY_CAST({cell} AS DOUBLE)"
        return f"CASE WHEN isfinite({number}) THEN {number} END"
    plain = f"regexp_full_match({cell}, '[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}')"
    packed = f"regexp_full_match({cell}, '[0-9]{{8}}')"
    date = f"WHEN {plain} THEN TRY_CAST({cell} AS DATE) WHEN {packed} THEN CAST(try_strptime({cell}, '%Y%m%d') AS DATE)"
    timed = f"regexp_matches({cell}, '^[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}[ T][0-9]{{1,2}}:')"
    offset = f"regexp_matches({cell}, {text(_OFFSET)})"
    local = "NULL" if timezone is None else f"timezone({text(timezone)}, TRY_CAST({cell} AS TIMESTAMPTZ))"
    time = f"CASE WHEN {offset} THEN {local} ELSE TRY_CAST({cell} AS TIMESTAMP) END"
    if kind == "date":
        return f"CASE {date} WHEN {timed} THEN CAST({time} AS DATE) END"
    return f"CASE WHEN {timed} THEN {time} ELSE CASE {date} END + INTERVAL 86399 SECOND END"

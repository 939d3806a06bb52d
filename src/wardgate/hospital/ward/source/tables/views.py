"""A mapping and the files it names -> DuckDB views: the tables as text, what their rows tell, and all events.

For each table `t<i>` is its text and `k<i>` the same with person, visit and clock. For each thing that rows tell a view
`c<n>` holds one row for each cell that may become an event, whether or not it can be read; the events are chosen from
those, so what is lost is counted where it is lost.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wardgate.hospital.ward.source.duckdb_engine import quoted, text
from wardgate.hospital.ward.source.events import BIRTH, DEATH, EVERY, OBSERVED, SEX
from wardgate.hospital.ward.source.files import Listed
from wardgate.hospital.ward.source.tables import cells
from wardgate.hospital.ward.source.tables.cells import PERSON, VISIT, ZERO, Moment
from wardgate.records.event_mapping import EventMapping, Table, Told, Wide

EVENTS = "own_events"
"""All events, with the columns of EVERY; codes are still the hospital's own."""

_TYPES = {"int64": "BIGINT", "timestamp(6)": "TIMESTAMP", "string": "VARCHAR", "float64": "DOUBLE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One view of cells that may become events.

    Attributes:
        view: Its name. Columns: `person`, `visit`; `given`, `read` and `time`; `given_end`, `read_end` and `end`;
            `zoned`; `code`, `value`, `text`, `coded`, `unit`.
        table: The mapping's table.
        path: Where the mapping says so, e.g. `tables.labs.events[0]`.
        kind: `event`, `birth`, `death`, `sex` or `observed`.
        numbers: Whether `value` should hold numbers.
        ends: Whether an end is told.
    """

    view: str
    table: str
    path: str
    kind: str
    numbers: bool = False
    ends: bool = False
    record: str | None = None


def wanted(mapping: EventMapping, name: str) -> tuple[str, ...]:
    """Return the columns of one table that are read; no other is."""
    table = mapping.tables[name]
    columns = [one for one in (table.key, table.person, table.visit) if one is not None]
    columns += [table.parent.column] if table.parent is not None else []
    columns += table.clock.columns if table.clock is not None else ()
    if table.birth is not None:
        columns += [one for one in (table.birth.age,) if one is not None]
        columns += [
            column for time in (table.birth.time, table.birth.at) if time is not None for column in time.columns
        ]
    for death in table.death:
        columns += [*death.time.columns, *death.when, *death.unless]
    columns += [table.sex.column, *table.sex.when, *table.sex.unless] if table.sex is not None else []
    if table.observed is not None:
        columns += [*table.observed.start.columns, *table.observed.end.columns]
    for told in table.events:
        columns += [*told.time.columns, *(told.end.columns if told.end is not None else ())]
        named = (told.code_column, told.value, told.text, told.coded, told.unit_column)
        columns += [one for one in named if one is not None]
        columns += [*told.columns, *told.when, *told.unless]
    return tuple(dict.fromkeys(columns))


def base_views(
    mapping: EventMapping, files: Mapping[str, Listed], *, timezone: str | None
) -> Iterator[tuple[str, str]]:
    """Yield, in order, the table that each statement reads, and the statement that makes its view."""
    at = {name: index for index, name in enumerate(mapping.tables)}
    parents = {table.parent.table for table in mapping.tables.values() if table.parent is not None}
    for name in sorted(mapping.tables, key=lambda one: (one not in parents, at[one])):
        index, table = at[name], mapping.tables[name]
        columns = ", ".join(f"CAST({quoted(one)} AS VARCHAR) AS {quoted(one)}" for one in wanted(mapping, name))
        yield name, f"CREATE VIEW t{index} AS SELECT {columns} FROM {files[name].scan}"  # noqa: S608
        yield name, f"CREATE VIEW k{index} AS {_keyed(mapping, name, at, timezone)}"
        if name in parents:
            key = cells.cell(table.key or "")
            columns = ", ".join(f"{quoted(one)} AS {short}" for one, short in _SHARED.items())
            yield (
                name,
                f"CREATE TABLE p{index} AS SELECT {key} AS key, {columns} FROM k{index} WHERE {key} IS NOT NULL",  # noqa: S608
            )


_SHARED = {PERSON: "person", VISIT: "visit", ZERO: "zero"}


def _keyed(mapping: EventMapping, name: str, at: Mapping[str, int], timezone: str | None) -> str:
    """The table's text with person, visit and clock, each its own or the parent's."""
    table = mapping.tables[name]
    join = ""
    shared = dict.fromkeys(_SHARED.values(), "NULL")
    if table.parent is not None:
        parent = at[table.parent.table]
        join = f" LEFT JOIN p{parent} AS parent ON {cells.cell(table.parent.column)} = parent.key"
        shared = {short: f"parent.{short}" for short in _SHARED.values()}
    person = cells.identifier(cells.cell(table.person)) if table.person is not None else shared["person"]
    visit = cells.identifier(cells.cell(table.visit)) if table.visit is not None else shared["visit"]
    clock, start, zoned = shared["zero"], "true", "false"
    if table.clock is not None:
        moment = cells.zero(table.clock, person=person, timezone=timezone)
        clock, zoned, start = moment.value, moment.zoned, f"({moment.given}) AND NOT ({moment.read})"
    else:
        start = "false"
    return (
        f"SELECT own.*, CAST({person} AS BIGINT) AS {quoted(PERSON)}, CAST({visit} AS BIGINT) AS {quoted(VISIT)}, "  # noqa: S608
        f"CAST({clock} AS TIMESTAMP) AS {quoted(ZERO)}, {zoned} AS {quoted(ZONED)}, {start} AS {quoted(UNSTARTED)} "
        f"FROM t{at[name]} AS own{join}"
    )


ZONED, UNSTARTED = "wardgate:zoned", "wardgate:unstarted"
"""Whether the clock's start has an offset from UTC, and whether it is there and cannot be read."""


def tellings(mapping: EventMapping, *, timezone: str | None) -> Iterator[tuple[Telling, str]]:
    """Yield each telling with the statement that makes its view."""
    count = 0
    for index, (name, table) in enumerate(mapping.tables.items()):
        for told, sql in _table_tellings(mapping, name, table, timezone):
            view = f"c{count}"
            count += 1
            yield (
                Telling(
                    view=view,
                    table=name,
                    path=f"tables.{name}.{told.path}",
                    kind=told.kind,
                    numbers=told.numbers,
                    ends=told.ends,
                    record=told.record,
                ),
                f"CREATE VIEW {view} AS {sql.replace(_HERE, f'k{index}')}",
            )


_HERE = "wardgate_here"


def _table_tellings(
    mapping: EventMapping, name: str, table: Table, timezone: str | None
) -> Iterator[tuple[Telling, str]]:
    missing = (*mapping.missing, *table.missing)
    if table.birth is not None:
        born = cells.birth(table.birth, missing=missing, timezone=timezone)
        where = cells.chosen(table.birth.when, table.birth.unless)
        yield _plain(name, "birth", "birth"), _select(born, code=text(BIRTH), where=where)
    for index, death in enumerate(table.death):
        died = cells.moment(death.time, timezone=timezone)
        where = cells.chosen(death.when, death.unless)
        yield _plain(name, f"death[{index}]", "death"), _select(died, code=text(DEATH), where=where)
    if table.sex is not None:
        here = cells.coded(table.sex.column, missing)
        where = f"{cells.chosen(table.sex.when, table.sex.unless)} AND {here} IS NOT NULL"
        code = cells.one_of(here, {one: f"{SEX}/{code}" for one, code in table.sex.codes.items()})
        never = Moment(given="true", read="true", zoned="false", value="NULL")
        yield _plain(name, "sex", "sex"), _select(never, code=code, value=here, where=where)
    if table.observed is not None:
        start = cells.moment(table.observed.start, timezone=timezone, day_begins=True)
        end = cells.moment(table.observed.end, timezone=timezone)
        telling = Telling(view="", table=name, path="observed", kind="observed", ends=True)
        yield telling, _select(start, end=end, code=text(OBSERVED))
    for index, told in enumerate(table.events):
        telling = Telling(
            view="",
            table=name,
            path=f"events[{index}]",
            kind="event",
            numbers=told.value is not None or bool(told.columns),
            ends=told.end is not None,
            record=told.table,
        )
        first = all(told.code_column != before.code_column for before in table.events[:index])
        yield telling, _told(told, mapping.vocabulary, missing, timezone, blanks=first)


def _plain(table: str, path: str, kind: str) -> Telling:
    return Telling(view="", table=table, path=path, kind=kind)


def _told(told: Told, vocabulary: str, missing: Sequence[str], timezone: str | None, *, blanks: bool) -> str:
    """What a row tells as events: one, one for each code in a cell, or one for each filled column.

    Args:
        blanks: Keep rows whose code is empty, to be counted. One telling of a column of codes does.
    """
    start = cells.moment(told.time, timezone=timezone)
    end = cells.moment(told.end, timezone=timezone) if told.end is not None else None
    where = cells.chosen(told.when, told.unless)
    missing = (*missing, *told.missing)
    if told.columns:
        listed = ", ".join(_struct(column, wide, vocabulary, missing) for column, wide in told.columns.items())
        unnested = f"(SELECT *, unnest([{listed}]) AS one FROM {_HERE} WHERE {where})"  # noqa: S608
        return _select(
            start,
            end=end,
            code="one.code",
            value="one.value",
            unit="one.unit",
            source=unnested,
            where="one.value IS NOT NULL",
            of_visit=told.of_visit,
        )
    parts = {
        "value": cells.kept(told.value, missing) if told.value is not None else "NULL",
        "words": cells.kept(told.text, missing) if told.text is not None else "NULL",
        "coded": "NULL",
    }
    if told.coded is not None:
        coded = told.coded_vocabulary or vocabulary
        parts["coded"] = f"{text(coded + '/')} || ({cells.coded(told.coded, missing)})"
    if told.value is not None or told.coded is not None:
        where += f" AND COALESCE({', '.join(parts.values())}) IS NOT NULL"
    if told.code_column is None:
        code = text(_full(told.code or "", vocabulary))
        return _select(start, end=end, code=code, unit=_unit(told, ""), where=where, of_visit=told.of_visit, **parts)
    raw = cells.kept(told.code_column, missing)
    if told.split is not None:
        raw = f"unnest(COALESCE(string_split({raw}, {text(told.split)}), ['']))"
    source = f"(SELECT *, {raw} AS one FROM {_HERE} WHERE {where})"  # noqa: S608
    one = cells.cell("one")
    code = f"{text((told.vocabulary or vocabulary) + '/')} || {one}"
    matched = f"COALESCE(regexp_matches({one}, {text(told.matches)}), true)" if told.matches is not None else "true"
    matched += "" if blanks else f" AND {one} IS NOT NULL"
    unit = _unit(told, one)
    return _select(start, end=end, code=code, unit=unit, source=source, where=matched, of_visit=told.of_visit, **parts)


def _struct(column: str, wide: Wide, vocabulary: str, missing: Sequence[str]) -> str:
    value = cells.kept(column, (*missing, *wide.missing))
    unit = text(wide.unit) if wide.unit is not None else "CAST(NULL AS VARCHAR)"
    code = _full(wide.code if wide.code is not None else column, vocabulary)
    return f"{{'code': {text(code)}, 'value': {value}, 'unit': {unit}}}"


def _unit(told: Told, code: str) -> str:
    if told.unit_column is not None:
        return cells.cell(told.unit_column)
    if told.units:
        return cells.one_of(code, told.units)
    return text(told.unit) if told.unit is not None else "NULL"


def _full(code: str, vocabulary: str) -> str:
    return code if "/" in code else f"{vocabulary}/{code}"


def _select(
    start: Moment,
    *,
    code: str,
    end: Moment | None = None,
    value: str = "NULL",
    words: str = "NULL",
    coded: str = "NULL",
    unit: str = "NULL",
    source: str = _HERE,
    where: str = "true",
    of_visit: bool = True,
) -> str:
    zoned = start.zoned if end is None else f"({start.zoned}) OR ({end.zoned})"
    columns = {
        "person": quoted(PERSON),
        "visit": quoted(VISIT) if of_visit else "NULL",
        "given": start.given,
        "read": start.read,
        "time": f"CAST({start.value} AS TIMESTAMP)",
        "given_end": end.given if end is not None else "false",
        "read_end": end.read if end is not None else "false",
        "end": f"CAST({end.value if end is not None else 'NULL'} AS TIMESTAMP)",
        "zoned": zoned,
        "code": f"CAST({code} AS VARCHAR)",
        "value": f"CAST({value} AS VARCHAR)",
        "text": f"CAST({words} AS VARCHAR)",
        "coded": f"CAST({coded} AS VARCHAR)",
        "unit": f"CAST({unit} AS VARCHAR)",
    }
    listed = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in columns.items())
    return f"SELECT {listed} FROM {source} AS here WHERE {where}"  # noqa: S608


def events_of(told: Iterable[Telling], *, held: bool) -> str:
    """Return the statement that makes `EVENTS`: a table in memory where they are held, else a view of the files."""
    parts = list(_parts(list(told)))
    return f"CREATE {'TABLE' if held else 'VIEW'} {EVENTS} AS {' UNION ALL '.join(parts)}"


def _parts(told: Sequence[Telling]) -> Iterator[str]:
    for one in told:
        if one.kind == "event":
            yield _event(one)
        elif one.kind == "observed":
            values = {"subject_id": "person", "time": "time", "end": quoted("end"), "code": "code"}
            whole = f"person IS NOT NULL AND time IS NOT NULL AND {quoted('end')} >= time"
            yield f"SELECT DISTINCT {_row(values)} FROM {one.view} WHERE {whole}"  # noqa: S608
    for kind in ("birth", "death"):
        views = [one.view for one in told if one.kind == kind]
        if views:
            values = {"subject_id": "person", "time": "min(time)", "code": "min(code)"}
            yield (
                f"SELECT {_row(values)} FROM ({_together(views)}) "  # noqa: S608
                "WHERE person IS NOT NULL AND time IS NOT NULL GROUP BY person"
            )
    sexes = [one.view for one in told if one.kind == "sex"]
    if sexes:
        values = {"subject_id": "person", "code": "min(code)", "source_code": "min(code)"}
        yield (
            f"SELECT {_row(values)} FROM ({_together(sexes)}) "  # noqa: S608
            "WHERE person IS NOT NULL AND code IS NOT NULL GROUP BY person HAVING min(code) = max(code)"
        )


def _together(views: Sequence[str]) -> str:
    return " UNION ALL ".join(f"SELECT person, time, code FROM {view}" for view in views)  # noqa: S608


def _event(one: Telling) -> str:
    number = cells.number("value")
    values = {
        "subject_id": "person",
        "time": "time",
        "end": quoted("end"),
        "code": "code",
        "source_code": "code",
        "numeric_value": number,
        "text_value": f"COALESCE(text, CASE WHEN {number} IS NULL THEN value END)",
        "value_code": "coded",
        "unit": "unit",
        "visit": "visit",
        "table": text(one.record) if one.record is not None else "NULL",
    }
    whole = "person IS NOT NULL AND time IS NOT NULL AND code IS NOT NULL"
    return f"SELECT {_row(values)} FROM {one.view} WHERE {whole}"  # noqa: S608


def _row(values: Mapping[str, str]) -> str:
    return ", ".join(
        f"CAST({values.get(name, 'NULL')} AS {_TYPES[kind]}) AS {quoted(name)}" for name, kind in EVERY.items()
    )

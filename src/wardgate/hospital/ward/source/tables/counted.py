"""What of a hospital's tables could not become events: counted once, when the source is opened.

Nothing is dropped without a count. Where so much is unreadable that the mapping must be wrong, the source is refused.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from wardgate.hospital.ward.source.duckdb_engine import quoted
from wardgate.hospital.ward.source.events import SEX, Noticed
from wardgate.hospital.ward.source.tables.cells import PERSON, number
from wardgate.hospital.ward.source.tables.views import EVENTS, UNSTARTED, ZONED, Telling
from wardgate.records.bands import shown
from wardgate.records.code_map import CodeMap
from wardgate.records.errors import Invalid
from wardgate.records.event_mapping import EventMapping

MOSTLY, FEW = 0.20, 3
"""From this share on, and at least so many, unreadable cells are an error of the mapping, not of patients."""

_SHOWN = 20

Rows = Callable[[str], Sequence[tuple[object, ...]]]
"""Runs one query and returns its few rows."""


def counted(
    mapping: EventMapping, told: Sequence[Telling], rows: Rows, *, timezone: str | None
) -> tuple[tuple[Noticed, ...], int]:
    """Count what was lost or is odd in the tables, before codes are mapped.

    Returns:
        What was noticed, and how many cells may become events.

    Raises:
        Invalid: a table without rows or persons; a key that stands twice; times with an offset and no time zone for
            them; more than a fifth of the times, ages or sexes of one place of the mapping unreadable.
    """
    noticed = [one for index, name in enumerate(mapping.tables) for one in _table(mapping, name, index, rows, timezone)]
    many = 0
    for one in told:
        cells, found = _telling(one, rows, timezone)
        many += cells
        noticed += found
    return tuple(one for one in noticed if one.count), many


def _table(mapping: EventMapping, name: str, index: int, rows: Rows, timezone: str | None) -> Iterator[Noticed]:
    table = mapping.tables[name]
    whole, without, zoned, unstarted = _ints(
        rows(
            f"SELECT count(*), count(*) FILTER ({quoted(PERSON)} IS NULL), count(*) FILTER ({quoted(ZONED)}), "  # noqa: S608
            f"count(*) FILTER ({quoted(UNSTARTED)}) FROM k{index}"
        )
    )
    if not whole:
        yield Noticed(what=f"table {name}: no rows", count=1, of=1, where=table.files)
        return
    if without == whole:
        place = "'parent' finds no row of it" if table.person is None else "'person' names nobody"
        raise Invalid(f"tables.{name}: no row is of a known person ({place}); correct the mapping")
    if zoned and timezone is None:
        raise Invalid(_no_zone(f"tables.{name}.clock"))
    _refuse_mostly(f"tables.{name}.clock", "starts of the clock", unstarted, whole)
    yield Noticed(what=f"table {name}: rows without a known person", count=without, of=whole, where=table.files)
    yield Noticed(what=f"table {name}: clocks whose start cannot be read", count=unstarted, of=whole, where=table.files)
    if any(one.parent is not None and one.parent.table == name for one in mapping.tables.values()):
        keys, different = _ints(rows(f"SELECT count(*), count(DISTINCT key) FROM p{index}"))  # noqa: S608
        if keys != different:
            raise Invalid(
                f"tables.{name}.key: {shown(keys - different)} rows repeat a key, expected every row its own; name "
                "another column, or export the table again"
            )
        yield Noticed(what=f"table {name}: rows without a key", count=whole - keys, of=whole, where=table.files)


def _telling(one: Telling, rows: Rows, timezone: str | None) -> tuple[int, list[Noticed]]:
    known = "person IS NOT NULL"
    whole, nothing, unread, clockless, zoned, ended, unread_end, codeless, wordy, backwards = _ints(
        rows(
            f"SELECT count(*), count(*) FILTER (NOT given), count(*) FILTER (given AND NOT read), "  # noqa: S608
            f"count(*) FILTER (given AND read AND time IS NULL), count(*) FILTER (zoned), "
            f"count(*) FILTER (given_end), count(*) FILTER (given_end AND NOT read_end), "
            f"count(*) FILTER (code IS NULL), "
            f"count(*) FILTER (value IS NOT NULL AND {number('value')} IS NULL), "
            f"count(*) FILTER ({quoted('end')} < time) FROM {one.view} WHERE {known}"
        )
    )
    if zoned and timezone is None:
        raise Invalid(_no_zone(one.path))
    if one.kind == "sex":
        _refuse_mostly(one.path, "texts for the sex", codeless, whole)
        what = "texts for the sex that the mapping does not name"
        return whole, [Noticed(what=what, count=codeless, of=whole, where=(one.path,)), *_two_sexes(one, rows)]
    what = "ages or dates of birth" if one.kind == "birth" else "times"
    _refuse_mostly(one.path, what, unread, whole - nothing)
    _refuse_mostly(one.path, "ends", unread_end, ended)
    mixed = zoned < whole - nothing
    absent: Literal["lost", "odd"] = "odd" if one.kind == "birth" else "lost"
    found: tuple[tuple[str, int, int, Literal["lost", "odd"]], ...] = (
        (f"{what} that cannot be read", unread, whole, "lost"),
        ("no time given" if one.kind != "birth" else "no age or date of birth given", nothing, whole, absent),
        ("the clock has no start", clockless, whole, "lost"),
        ("ends that cannot be read", unread_end, ended, "lost"),
        ("no end given", whole - ended if one.kind == "observed" else 0, whole, "lost"),
        ("the end lies before the start", backwards, whole, "lost" if one.kind == "observed" else "odd"),
        ("times with an offset from UTC beside times without one", zoned if mixed else 0, whole, "odd"),
        ("no code given", codeless, whole, "odd"),
        ("values that are no number, kept as text", wordy if one.numbers else 0, whole, "odd"),
    )
    return whole, [
        Noticed(what=f"{one.kind}: {words}", count=count, of=of, where=(one.path,), harm=harm)
        for words, count, of, harm in found
    ]


def _two_sexes(one: Telling, rows: Rows) -> Iterator[Noticed]:
    people, several = _ints(
        rows(
            f"SELECT count(*), count(*) FILTER (least < most) FROM (SELECT min(code) AS least, max(code) AS most "  # noqa: S608
            f"FROM {one.view} WHERE person IS NOT NULL AND code IS NOT NULL GROUP BY person)"
        )
    )
    yield Noticed(
        what=f"persons with several codes of {SEX}; none is taken", count=several, of=people, where=(one.path,)
    )


def unmapped(mapping: EventMapping, rows: Rows, maps: CodeMap) -> Iterator[Noticed]:
    """Count events without a standard code. Own are the mapping's vocabulary and those that the code maps speak of."""
    own = {mapping.vocabulary, *(line.vocabulary for line in maps.lines)}
    applied = maps.applied
    narrower = {line.own for line in maps.lines if not line.applies}
    found = rows(
        f"SELECT code, count(*) FROM {EVENTS} WHERE contains(code, '/') GROUP BY code ORDER BY count(*) DESC, code"  # noqa: S608
    )
    counts = {str(code): int(str(count)) for code, count in found if str(code).partition("/")[0] in own}
    whole = sum(counts.values())
    left = {code: count for code, count in counts.items() if code not in applied}
    if not left:
        return
    yield Noticed(
        what="events whose own code has no standard code in the code maps",
        count=sum(left.values()),
        of=whole,
        where=tuple(f"{code} ({count})" for code, count in list(left.items())[:_SHOWN]),
        harm="odd",
    )
    only = {code: count for code, count in left.items() if code in narrower}
    if not only:
        return
    yield Noticed(
        what="events whose only standard code is narrower than what was recorded; it is not applied",
        count=sum(only.values()),
        of=whole,
        where=tuple(f"{code} ({count})" for code, count in list(only.items())[:_SHOWN]),
        harm="odd",
    )


def _refuse_mostly(path: str, what: str, unread: int, given: int) -> None:
    if unread >= FEW and unread > MOSTLY * given:
        raise Invalid(
            f"{path}: more than {MOSTLY:.0%} of the {what} cannot be read; correct the column, its format or its unit "
            "in the mapping"
        )


def _no_zone(path: str) -> str:
    return (
        f"{path}: found times with an offset from UTC, and source.yaml names no time zone; set 'timezone' there (an "
        "IANA name such as Europe/Vienna), so that they become local times"
    )


def _ints(found: Sequence[tuple[object, ...]]) -> tuple[int, ...]:
    return tuple(int(str(one)) for one in found[0])

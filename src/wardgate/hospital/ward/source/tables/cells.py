"""What the mapping says of one row, as DuckDB SQL over a table of text. Nothing here sees a row.

Every cell is text. What cannot be read becomes null and is counted elsewhere; no expression here can fail on a value.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wardgate.hospital.ward.source.duckdb_engine import quoted, text
from wardgate.records.event_mapping import SECONDS, Birth, Clock, Columns, Time, seconds_of

PERSON, VISIT, ZERO = "wardgate:person", "wardgate:visit", "wardgate:zero"
"""Columns that every table is given: the person and the visit as numbers, and the start of the clock."""

_FARTHEST_SECONDS = 200 * 366 * 86_400
_OLDEST_YEARS = 130
_DATE = r"[1-9]\d{3}-\d{2}-\d{2}"
_CLOCK = rf"{_DATE}[ T]\d{{2}}:\d{{2}}(:\d{{2}}([.]\d+)?)?"
_ZONED = rf"{_CLOCK} ?(Z|[+-]\d{{2}}:?(\d{{2}})?)"
_TIME_DIRECTIVES = ("%H", "%I", "%M", "%S", "%f", "%c", "%X", "%-H", "%-I", "%-M", "%-S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A time of a row.

    Attributes:
        given: Whether the row has anything there.
        read: Whether it could be read, whatever its clock.
        zoned: Whether it has an offset from UTC.
        value: The local time, or null.
    """

    given: str
    read: str
    zoned: str
    value: str


def cell(column: str) -> str:
    """A cell as codes and keys are compared: no spaces around it, whole numbers without `.0`, empty is null."""
    there = f"trim({quoted(column)})"
    whole = rf"regexp_replace({there}, '^([+-]?[0-9]+)\.0+$', '\1')"
    return f"CASE WHEN contains({there}, '.') THEN {whole} ELSE NULLIF({there}, '') END"


def plain(given: str) -> str:
    """A text of the mapping in the form that `cell` gives."""
    head, dot, tail = given.strip().partition(".")
    return head if dot and tail and not tail.strip("0") and head.lstrip("+-").isdigit() else given.strip()


def kept(column: str, missing: Iterable[str]) -> str:
    """A cell as it stands, without spaces around it; null where it is empty or a text for missing."""
    texts = sorted({plain(one) for one in missing} - {""})
    there = f"NULLIF(trim({quoted(column)}), '')"
    return (
        f"CASE WHEN COALESCE({cell(column)} IN ({listed(texts)}), false) THEN NULL ELSE {there} END" if texts else there
    )


def coded(column: str, missing: Iterable[str]) -> str:
    """A cell as codes are compared, or null where it is a text for missing."""
    texts = sorted({plain(one) for one in missing} - {""})
    return f"CASE WHEN {cell(column)} NOT IN ({listed(texts)}) THEN {cell(column)} END" if texts else cell(column)


def listed(texts: Iterable[str]) -> str:
    """Texts as an SQL list."""
    return ", ".join(text(one) for one in texts)


def number(value: str) -> str:
    """A finite number, or null."""
    cast = f"TRY_CAST({value} AS DOUBLE)"
    return f"CASE WHEN isfinite({cast}) THEN {cast} END"


def identifier(value: str) -> str:
    """A text as a whole number: itself where it is one in plain form, else 60 bits of its MD5, kept inside the ward."""
    whole = f"regexp_full_match({value}, '0|-?[1-9][0-9]{{0,17}}')"
    return f"CASE WHEN {whole} THEN TRY_CAST({value} AS BIGINT) ELSE ('0x' || substr(md5({value}), 1, 15))::BIGINT END"


def chosen(when: Columns, unless: Columns) -> str:
    """Whether a row is meant."""
    parts = [f"COALESCE({cell(column)} IN ({listed(map(plain, texts))}), false)" for column, texts in when.items()]
    parts += [
        f"NOT COALESCE({cell(column)} IN ({listed(map(plain, texts))}), false)" for column, texts in unless.items()
    ]
    return " AND ".join(parts) or "true"


def moment(time: Time, *, timezone: str | None, day_begins: bool = False) -> Moment:
    """When something was.

    Args:
        timezone: Whose local times those with an offset become; without it they are null.
        day_begins: A date alone is the beginning of its day, not its last second.
    """
    if time.column is not None:
        found = _absolute(time.column, time.format, timezone=timezone, day_begins=day_begins)
        if time.plus is None:
            return found
        return Moment(
            given=found.given, read=found.read, zoned=found.zoned, value=_later(found.value, str(seconds_of(time.plus)))
        )
    seconds = _seconds(time) if time.offset is not None else "0.0"
    more = f"{seconds} + {seconds_of(time.plus)}" if time.plus is not None else seconds
    return Moment(
        given="true" if time.offset is None else f"{cell(time.offset)} IS NOT NULL",
        read=f"({seconds}) IS NOT NULL",
        zoned="false",
        value=_later(quoted(ZERO), more),
    )


def zero(clock: Clock, *, person: str, timezone: str | None) -> Moment:
    """The start of a row's clock.

    Args:
        person: The person of a row, among whose episodes those of one day are laid apart.
    """
    if clock.column is not None:
        start = _absolute(clock.column, clock.format, timezone=timezone, day_begins=False)
    else:
        start = _public_day(clock, person)
    if clock.less is None:
        return start
    back = _seconds(clock.less)
    return Moment(
        given=f"{start.given} AND {cell(clock.less.offset or '')} IS NOT NULL",
        read=f"{start.read} AND ({back}) IS NOT NULL",
        zoned=start.zoned,
        value=_later(start.value, f"-({back})"),
    )


def birth(told: Birth, *, missing: Iterable[str], timezone: str | None) -> Moment:
    """When a person was born."""
    if told.time is not None:
        return moment(told.time, timezone=timezone, day_begins=True)
    at = moment(told.at or Time(plus="0 min"), timezone=timezone)
    age = coded(told.age or "", missing)
    cases = " ".join(f"WHEN {age} = {text(plain(one))} THEN {years}" for one, years in told.texts.items())
    years = f"CASE {cases} ELSE {number(age)} END" if cases else number(age)
    whole = f"CASE WHEN ({years}) BETWEEN 0 AND {_OLDEST_YEARS} THEN CAST(floor({years}) AS INTEGER) END"
    return Moment(
        given=f"{age} IS NOT NULL",
        read=f"({whole}) IS NOT NULL",
        zoned=at.zoned,
        value=f"{at.value} - to_years({whole})",
    )


def one_of(value: str, targets: Mapping[str, str]) -> str:
    """What a cell stands for, or null."""
    cases = " ".join(f"WHEN {text(plain(one))} THEN {text(target)}" for one, target in targets.items())
    return f"CASE {value} {cases} END"


def _absolute(column: str, form: str | None, *, timezone: str | None, day_begins: bool) -> Moment:
    there = cell(column)
    end_of_day = "" if day_begins else " + INTERVAL '86399 seconds'"
    if form is not None:
        dated = not any(part in form for part in _TIME_DIRECTIVES)
        value = f"TRY_CAST(try_strptime({there}, {text(form)}) AS TIMESTAMP){end_of_day if dated else ''}"
        return Moment(given=f"{there} IS NOT NULL", read=f"({value}) IS NOT NULL", zoned="false", value=value)
    zoned = f"COALESCE(regexp_full_match({there}, {text(_ZONED)}), false)"
    local = (
        f"WHEN {zoned} THEN timezone({text(timezone)}, TRY_CAST({there} AS TIMESTAMPTZ))"
        if timezone is not None
        else ""
    )
    value = (
        f"CASE WHEN regexp_full_match({there}, {text(_DATE)}) THEN TRY_CAST({there} AS TIMESTAMP){end_of_day} "
        f"WHEN regexp_full_match({there}, {text(_CLOCK)}) THEN TRY_CAST({there} AS TIMESTAMP) {local} END"
    )
    return Moment(given=f"{there} IS NOT NULL", read=f"({value}) IS NOT NULL", zoned=zoned, value=value)


def _public_day(clock: Clock, person: str) -> Moment:
    """A day that stands for one that the data do not tell."""
    if clock.date is not None:
        day, given = f"TRY_CAST({text(clock.date)} AS TIMESTAMP)", "true"
    else:
        year = cell(clock.year or "")
        day = f"CASE WHEN regexp_full_match({year}, '[0-9]{{4}}') THEN TRY_CAST({year} || '-01-01' AS TIMESTAMP) END"
        given = f"{year} IS NOT NULL"
    value = day
    if clock.time_of_day is not None:
        value = _later(value, _hours_minutes(clock.time_of_day))
    if clock.episodes is not None:
        order = ", ".join(_order([*clock.episodes.order, clock.episodes.column]))
        rank = f"dense_rank() OVER (PARTITION BY {person}, {day} ORDER BY {order})"
        value = f"{value} + to_days(CAST(({rank} - 1) * {clock.episodes.days} AS INTEGER))"
    return Moment(given=given, read=f"({day}) IS NOT NULL", zoned="false", value=value)


def _order(columns: Sequence[str]) -> list[str]:
    """Empty cells first, then numbers by size, then text."""
    parts = []
    for column in columns:
        here = cell(column)
        parts += [f"{here} IS NOT NULL", f"TRY_CAST({here} AS DOUBLE) NULLS LAST", f"{here} NULLS FIRST"]
    return parts


def _seconds(time: Time) -> str:
    """An offset in seconds, or null where it is no number, or more than two hundred years."""
    if time.unit == "h:m":
        return _hours_minutes(time.offset or "")
    value = f"{number(cell(time.offset or ''))} * {SECONDS[time.unit or 's']}"
    return f"CASE WHEN abs({value}) <= {_FARTHEST_SECONDS} THEN {value} END"


def _hours_minutes(column: str) -> str:
    """`07:30` or `07:30:15` in seconds, or null."""
    here = cell(column)
    parts = [
        f"COALESCE(TRY_CAST(NULLIF(split_part({here}, ':', {place}), '') AS DOUBLE), 0) * {seconds}"
        for place, seconds in ((1, 3600), (2, 60), (3, 1))
    ]
    fits = f"regexp_full_match({here}, '[0-9]{{1,6}}:[0-5][0-9](:[0-5][0-9])?')"
    return f"CASE WHEN {fits} THEN {' + '.join(parts)} END"


def _later(start: str, seconds: str) -> str:
    return f"{start} + to_microseconds(CAST(round(({seconds}) * 1000000) AS BIGINT))"

"""How the rows of a hospital's own tables become events. Local: it never leaves the hospital.

One YAML file names the tables, says who a row is about and where its clock starts, and lists what each row tells.
"""

import datetime
import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from wardgate.records.concepts import TableName
from wardgate.records.record import Name, Number, Record
from wardgate.records.yaml_file import Findings, Path, check_schema, read, validate

SCHEMA = "wardgate/events/1"

SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds in each unit of time."""

_SPAN = re.compile(r"^(?P<number>-?\d+(?:\.\d+)?) (?P<unit>ms|s|min|h|d)$")


def _vocabulary(text: str) -> str:
    if not text or "/" in text:
        raise ValueError("expected a vocabulary's name, without a slash")
    return text


def _day(text: str) -> str:
    try:
        fits = datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("expected a day such as 2000-01-01")
    return text


Vocabulary = Annotated[str, AfterValidator(_vocabulary)]
"""A vocabulary's name; it may hold no slash, which parts it from the code."""

Day = Annotated[str, AfterValidator(_day)]
"""A date as text."""

Columns = dict[str, tuple[str, ...]]
"""Column to texts: the row's cell must be one of them, in every column named."""


class Time(Record):
    """When something was: a time in a column, or so long after the clock's start.

    Attributes:
        column: A column with times: ISO 8601, or as `format` says. A date alone is the last second of its day.
        format: As in `strptime`, e.g. `%d.%m.%Y %H:%M`; without a zone, for zones are written in ISO.
        offset: A column with the time since the start of the clock ...
        unit: ... in this unit; `h:m` reads `07:30` and `07:30:15`.
        plus: Added to it, e.g. `1 h` where a row tells of the hour that begins. Alone: so long after the clock's start.
    """

    column: str | None = None
    format: str | None = None
    offset: str | None = None
    unit: Literal["ms", "s", "min", "h", "d", "h:m"] | None = None
    plus: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.column is not None and self.offset is not None:
            raise ValueError("expected one of 'column' and 'offset'")
        if self.column is None and self.offset is None and self.plus is None:
            raise ValueError("expected 'column', 'offset' or 'plus' ('plus: 0 min' is the clock's start)")
        if (self.offset is None) != (self.unit is None):
            raise ValueError("an offset needs its unit, and a unit its offset")
        if self.format is not None and self.column is None:
            raise ValueError("'format' belongs to 'column'")
        if self.format is not None and ("%z" in self.format or "%Z" in self.format or "%" not in self.format):
            raise ValueError("expected a format such as '%d.%m.%Y %H:%M', without a zone")
        return self

    @field_validator("plus")
    @classmethod
    def _span(cls, text: str | None) -> str | None:
        if text is not None:
            seconds_of(text)
        return text

    @property
    def relative(self) -> bool:
        """Whether it counts from the start of a clock."""
        return self.column is None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return tuple(column for column in (self.column, self.offset) if column is not None)


class Episodes(Record):
    """Episodes of a person between which the data give no dates; they are laid apart, in a declared order.

    Attributes:
        column: Which episode a row is of.
        order: Columns in whose order a person's episodes come: numbers by size, then text; what is empty comes first.
        days: How far apart two that would start on the same day are laid.
    """

    column: str
    order: tuple[str, ...] = ()
    days: int = Field(ge=1, le=3_660)


class Clock(Record):
    """Where a row's clock starts.

    Attributes:
        column, format: A column with the time itself, as in `Time`.
        date: For data without dates: one public day for everybody, e.g. `2000-01-01`.
        year: For data with years alone: a column with the year, whose first day stands in.
        time_of_day: With `date` or `year`: a column with the time of that day, `13:45` or `13:45:10`.
        less: A column with an offset, and its unit, to go back from there.
        episodes: With `date` or `year`: how the episodes of one person are kept apart.
    """

    column: str | None = None
    format: str | None = None
    date: Day | None = None
    year: str | None = None
    time_of_day: str | None = None
    less: Time | None = None
    episodes: Episodes | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(part is not None for part in (self.column, self.date, self.year)) != 1:
            raise ValueError("a clock needs one of 'column', 'date' and 'year'")
        if self.format is not None and self.column is None:
            raise ValueError("'format' belongs to 'column'")
        if self.column is not None and (self.time_of_day is not None or self.episodes is not None):
            raise ValueError("'time_of_day' and 'episodes' belong to 'date' or 'year'")
        if self.less is not None and (self.less.offset is None or self.less.plus is not None):
            raise ValueError("'less' needs 'offset' and 'unit', and nothing else")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        parts = [self.column, self.year, self.time_of_day]
        if self.episodes is not None:
            parts += [self.episodes.column, *self.episodes.order]
        return (*(part for part in parts if part is not None), *(() if self.less is None else self.less.columns))


class Parent(Record):
    """The table that knows the person, the visit or the start of the clock.

    Attributes:
        table: Its name in this mapping; it has a `key`.
        column: The column here that holds that key.
    """

    table: Name
    column: str


class Birth(Record):
    """When a person was born: a date, or an age at some time. Of several in one person the earliest holds.

    Attributes:
        time: A date of birth; a date alone is the beginning of that day.
        age: A column with the age in completed years ...
        at: ... at this time; the clock's start unless said otherwise.
        texts: Texts that stand for an age, e.g. `"> 89": 90`.
        when, unless: Only rows with these texts, or without.
    """

    time: Time | None = None
    age: str | None = None
    at: Time | None = None
    texts: dict[str, Number] = Field(default_factory=dict)
    when: Columns = Field(default_factory=dict)
    unless: Columns = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.time is None) == (self.age is None):
            raise ValueError("expected one of 'time' and 'age'")
        if self.age is None and (self.at is not None or self.texts):
            raise ValueError("'at' and 'texts' belong to 'age'")
        return self


class Death(Record):
    """Rows that tell of a death. Of several for one person the earliest holds."""

    time: Time
    when: Columns = Field(default_factory=dict)
    unless: Columns = Field(default_factory=dict)


class Sex(Record):
    """A column with the sex, and its texts for codes of the vocabulary Gender, e.g. `Male: M`.

    Attributes:
        when, unless: Only rows with these texts, or without.
    """

    column: str
    codes: dict[str, Literal["M", "F", "U", "O"]] = Field(min_length=1)
    when: Columns = Field(default_factory=dict)
    unless: Columns = Field(default_factory=dict)


class Observed(Record):
    """When a person was observed, so that what is not recorded did not happen."""

    start: Time
    end: Time


class Wide(Record):
    """One column of a wide table.

    Attributes:
        code: What the column holds; its own name, in the mapping's vocabulary, unless said otherwise.
        unit: UCUM unit of its numbers.
        missing: Texts that mean missing in it, beside the others.
    """

    code: str | None = None
    unit: str | None = None
    missing: tuple[str, ...] = ()


class Told(Record):
    """What each row of a table tells: one event, or one for each of `columns` that is not empty.

    Attributes:
        code: The code of every such event: `VOCABULARY/CODE`, or a code in the mapping's own vocabulary.
        code_column: A column with the code ...
        vocabulary: ... of this vocabulary; the mapping's own unless said otherwise.
        split: What parts several codes in one cell, each an event of its own.
        matches: Only codes in which this regular expression is found.
        columns: For wide tables: the columns that hold values, each with its code.
        time, end: When.
        value: A column with numbers. What is no number is kept as text and counted.
        text: A column with text.
        coded: A column with a coded value, of `coded_vocabulary` or the mapping's own.
        unit, unit_column, units: UCUM unit of the numbers: of all, by column, or by the code in the cell.
        missing: Texts that mean missing in codes and values, beside those of the table and the mapping.
        when, unless: Only rows with these texts, or without.
        of_visit: Whether the event names the row's visit. Not where it may lie outside, as a score of the first day
            does that is known when the day is over.
        table: What kind of record it is, as OMOP divides them.
    """

    code: str | None = None
    code_column: str | None = None
    vocabulary: Vocabulary | None = None
    split: str | None = Field(default=None, min_length=1)
    matches: str | None = None
    columns: dict[str, Wide] = Field(default_factory=dict)
    time: Time
    end: Time | None = None
    value: str | None = None
    text: str | None = None
    coded: str | None = None
    coded_vocabulary: Vocabulary | None = None
    unit: str | None = None
    unit_column: str | None = None
    units: dict[str, str] = Field(default_factory=dict)
    missing: tuple[str, ...] = ()
    when: Columns = Field(default_factory=dict)
    unless: Columns = Field(default_factory=dict)
    of_visit: bool = True
    table: TableName | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum((self.code is not None, self.code_column is not None, bool(self.columns))) != 1:
            raise ValueError("expected one of 'code', 'code_column' and 'columns'")
        if self.code_column is None and (self.vocabulary or self.split or self.matches or self.units):
            raise ValueError("'vocabulary', 'split', 'matches' and 'units' belong to 'code_column'")
        if self.columns and (self.value or self.text or self.coded or self.unit or self.unit_column):
            raise ValueError("with 'columns', values and units stand there")
        if sum((self.unit is not None, self.unit_column is not None, bool(self.units))) > 1:
            raise ValueError("expected one of 'unit', 'unit_column' and 'units'")
        if self.value is None and (self.unit or self.unit_column or self.units):
            raise ValueError("a unit belongs to 'value'")
        if self.coded is None and self.coded_vocabulary is not None:
            raise ValueError("'coded_vocabulary' belongs to 'coded'")
        return self

    @field_validator("matches")
    @classmethod
    def _pattern(cls, text: str | None) -> str | None:
        try:
            re.compile(text or "")
        except re.error:
            text = None
        if text is None:
            raise ValueError("expected a regular expression")
        return text


class Table(Record):
    """One table of the hospital.

    Attributes:
        files: CSV, CSV.gz or Parquet files in the source's place, all with the same columns.
        encoding, delimiter: Of CSV.
        missing: Texts that mean missing in every value, code, age and sex of this table; not in times and keys.
        key: A column by which other tables find a row; every row has its own.
        parent: The table that knows what this one leaves out of person, visit and clock.
        person: A column with the person's identifier; it stays inside the hospital.
        visit: A column with the visit's.
        clock: Where the clock of offsets starts.
    """

    files: tuple[str, ...] = Field(min_length=1)
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    missing: tuple[str, ...] = ()
    key: str | None = None
    parent: Parent | None = None
    person: str | None = None
    visit: str | None = None
    clock: Clock | None = None
    birth: Birth | None = None
    death: tuple[Death, ...] = ()
    sex: Sex | None = None
    observed: Observed | None = None
    events: tuple[Told, ...] = ()

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.person is None and self.parent is None:
            raise ValueError("a table needs 'person', or a 'parent' that knows it")
        for file in self.files:
            if file.startswith(("/", "\\")) or ".." in file.replace("\\", "/").split("/") or ":" in file:
                raise ValueError("'files' are named relative to the source's place, inside it")
            if any(character in file for character in "*?[]{}"):
                raise ValueError("'files' are named one by one, without patterns")
        return self


class EventMapping(Record):
    """How a hospital's tables become events.

    Attributes:
        vocabulary: The hospital's own: what a code without another belongs to.
        missing: Texts that mean missing in every value, code, age and sex. Empty text always does.
        tables: By a name of your choice, for messages and `parent`.
    """

    schema_: Literal["wardgate/events/1"] = Field(alias="schema")
    vocabulary: Vocabulary = "LOCAL"
    missing: tuple[str, ...] = ()
    tables: dict[Name, Table] = Field(min_length=1)

    def clock_of(self, name: str) -> Clock | None:
        """The clock of a table: its own, else its parent's."""
        table = self.tables[name]
        if table.clock is not None or table.parent is None:
            return table.clock
        return self.tables[table.parent.table].clock


def seconds_of(span: str) -> float:
    """Read a span of time.

    Raises:
        ValueError: not a number and a unit.

    >>> seconds_of("1 h"), seconds_of("-90 min"), seconds_of("0.5 d")
    (3600.0, -5400.0, 43200.0)
    """
    found = _SPAN.match(span)
    if found is None:
        raise ValueError("expected a span such as '1 h' or '-30 min' (ms, s, min, h or d)")
    return float(found["number"]) * SECONDS[found["unit"]]


def parse(text: str, *, name: str) -> EventMapping:
    """Read a mapping of tables to events.

    Raises:
        Findings: everything that is wrong in it, each with its line.
    """
    parsed = read(text, name=name, what="a mapping of tables to events")
    check_schema(parsed, (SCHEMA,))
    mapping = validate(parsed, EventMapping)
    findings = [parsed.finding(path, found=found, expected=expected) for path, found, expected in _gaps(mapping)]
    if findings:
        raise Findings(findings)
    return mapping


Gap = tuple[Path, str, str]


def _gaps(mapping: EventMapping) -> Iterator[Gap]:
    """Yield what does not hang together: field path, what was found, what was expected."""
    for name, table in mapping.tables.items():
        if table.parent is not None:
            yield from _parent_gaps(mapping, name, table.parent)
            if table.parent.table not in mapping.tables:
                continue
        if not (table.birth or table.death or table.sex or table.observed or table.events or table.key):
            yield ("tables", name), "nothing that its rows tell", "events, birth, death, sex, observed, or a key"
        if mapping.clock_of(name) is None:
            for path, time in _times(table):
                if time.relative:
                    found = "a time relative to a clock that nobody starts"
                    yield ("tables", name, *path), found, "'clock' here or in the parent table, or 'column'"
    tables = mapping.tables.values()
    if not any(table.events or table.birth or table.death or table.observed for table in tables):
        yield ("tables",), "tables without a single event", "at least one event"


def _parent_gaps(mapping: EventMapping, name: str, parent: Parent) -> Iterator[Gap]:
    here = ("tables", name, "parent", "table")
    known = mapping.tables.get(parent.table)
    if known is None or parent.table == name:
        yield here, f"'{parent.table}'", f"another table of this mapping: {', '.join(mapping.tables)}"
    elif known.key is None:
        yield here, f"'{parent.table}', which has no 'key'", "a parent table with a 'key'"
    elif known.person is None:
        yield here, f"'{parent.table}', which names no person itself", "a parent table with 'person'"


def _times(table: Table) -> Iterator[tuple[Path, Time]]:
    if table.birth is not None:
        yield ("birth",), table.birth.time or table.birth.at or Time(plus="0 min")
    for index, death in enumerate(table.death):
        yield ("death", index, "time"), death.time
    if table.observed is not None:
        yield ("observed", "start"), table.observed.start
        yield ("observed", "end"), table.observed.end
    for index, told in enumerate(table.events):
        yield ("events", index, "time"), told.time
        if told.end is not None:
            yield ("events", index, "end"), told.end

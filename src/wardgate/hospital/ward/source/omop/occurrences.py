"""The rows of a CDM under common names: occurrences, persons' sex, and deaths. Nothing here sees a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import ibis

from wardgate.hospital.ward.source.events import Expression
from wardgate.hospital.ward.source.omop.tables import CLINICAL, Clinical
from wardgate.hospital.ward.source.omop.vocabulary import joined, known, nothing, valued

TIME = "timestamp(6)"
OCCURRENCE: Mapping[str, str] = {
    "subject_id": "int64",
    "time": TIME,
    "end": TIME,
    "concept_id": "int64",
    "source_concept_id": "int64",
    "source_value": "string",
    "value": "float64",
    "value_concept_id": "int64",
    "unit": "string",
    "visit": "int64",
    "text": "string",
    "table": "string",
}
"""Columns of an event before its codes are written out."""

SEX = "sex"
"""What stands as the table of sex, which no study names."""


def late(date: Expression) -> Expression:
    """Return the last second of a date."""
    return date.cast(TIME) + ibis.interval(seconds=86_399)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cdm:
    """The tables of one CDM, and how its units are spelled.

    Attributes:
        tables: By name, with the columns of `tables.COLUMNS`; those that are absent or empty are left out, `person`
            never.
        units: UCUM unit of numbers that come without one, by VOCABULARY/CODE.
        unit_names: The source's own spellings to UCUM.
        late: The last second of a date; warehouses write it otherwise.
        seen, keys: What `all_occurrences` and `keyed` give, as views of an engine: what a question uses twice is then
            streamed twice and never kept.
    """

    tables: Mapping[str, Expression]
    units: Mapping[str, str] = field(default_factory=dict)
    unit_names: Mapping[str, str] = field(default_factory=dict)
    late: Callable[[Expression], Expression] = late
    seen: Expression | None = None
    keys: Expression | None = None

    @property
    def clinical(self) -> tuple[Clinical, ...]:
        """The tables of events that are there."""
        return tuple(one for one in CLINICAL if one.table in self.tables)


def all_occurrences(cdm: Cdm) -> Expression:
    """Return the rows of all clinical tables that have a person of `person` and a time, with columns OCCURRENCE."""
    if cdm.seen is not None:
        return cdm.seen
    return joined([occurrences(cdm, one) for one in cdm.clinical] or [nothing(OCCURRENCE)])


def keyed(cdm: Cdm) -> Expression:
    """Return all occurrences with what may decide about them: concepts, and texts that the vocabulary does not know."""
    if cdm.keys is not None:
        return cdm.keys
    rows = all_occurrences(cdm)
    here = known(cdm.tables).select(known_id="concept_id").distinct()
    rows = rows.left_join(here, rows.source_concept_id == here.known_id)
    source = rows.source_concept_id.fill_null(0)
    unmapped = (source == 0) | rows.known_id.isnull()
    return rows.select(
        *OCCURRENCE,
        k_concept=rows.concept_id.fill_null(0),
        k_source=source,
        k_text=ibis.ifelse(unmapped, rows.source_value.fill_null(""), ""),
        k_value=rows.value_concept_id.fill_null(0),
    )


def occurrences(cdm: Cdm, one: Clinical) -> Expression:
    """Return the rows of a clinical table that have a person of `person` and a time, under common names."""
    table = cdm.tables[one.table]
    rows = table.select(
        subject_id=table.person_id,
        time=ibis.coalesce(table[one.start[1]], cdm.late(table[one.start[0]])),
        end=ibis.coalesce(table[one.end[1]], cdm.late(table[one.end[0]])) if one.end else ibis.null(TIME),
        concept_id=table[one.concept],
        source_concept_id=table[one.source_concept],
        source_value=table[one.source_value].strip().nullif(""),
        value=table.value_as_number if one.number else ibis.null("float64"),
        value_concept_id=table.value_as_concept_id if one.coded else ibis.null("int64"),
        unit_concept_id=table.unit_concept_id if one.number else ibis.null("int64"),
        unit=table.unit_source_value.strip().nullif("") if one.number else ibis.null("string"),
        visit=table[one.visit],
        text=table[one.text].strip().nullif("") if one.text else ibis.null("string"),
        table=ibis.literal(one.name),
    )
    rows = _with_unit(cdm, rows) if one.number else rows
    rows = _typed(rows)
    return rows.filter(rows.time.notnull() & rows.subject_id.isin(cdm.tables["person"].person_id))


def deaths(cdm: Cdm) -> Expression:
    """Return the earliest death of each person: `subject_id`, `time`."""
    if "death" not in cdm.tables:
        return nothing({"subject_id": "int64", "time": TIME})
    table = cdm.tables["death"]
    rows = table.select(subject_id="person_id", time=ibis.coalesce(table.death_datetime, cdm.late(table.death_date)))
    rows = rows.filter(rows.time.notnull() & rows.subject_id.isin(cdm.tables["person"].person_id))
    return rows.group_by("subject_id").aggregate(time=rows.time.min())


def sexes(cdm: Cdm) -> Expression:
    """Return the sex of persons, as occurrences without a time."""
    person = cdm.tables["person"]
    rows = person.filter(person.person_id.notnull() & (person.gender_concept_id > 0))
    rows = rows.select(subject_id="person_id", concept_id="gender_concept_id").distinct()
    empty = {
        **dict.fromkeys(("time", "end"), TIME),
        **dict.fromkeys(("source_concept_id", "value_concept_id", "visit"), "int64"),
        **dict.fromkeys(("source_value", "unit", "text"), "string"),
        "value": "float64",
    }
    rows = rows.mutate(**{name: ibis.null(kind) for name, kind in empty.items()}, table=ibis.literal(SEX))
    return _typed(rows)


def birth(person: Expression) -> Expression:
    """Return the date of birth from its parts; a day that its month does not have is its last."""
    year, month, day = person.year_of_birth, person.month_of_birth, person.day_of_birth
    known_month = month.between(1, 12).fill_null(False)
    month = ibis.ifelse(known_month, month, 7)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    longest = ibis.cases((month.isin([4, 6, 9, 11]), 30), (month == 2, ibis.ifelse(leap, 29, 28)), else_=31)
    day = ibis.cases(
        (~known_month, 1),
        (day.between(1, 31).fill_null(False), ibis.least(day, longest.cast("int64"))),
        else_=15,
    )
    possible = year.between(1800, 2500)
    date = ibis.date(ibis.ifelse(possible, year, 2000), month, day)
    return ibis.ifelse(possible, date.cast(TIME), ibis.null(TIME))


def of_person(cdm: Cdm, table: Expression) -> Expression:
    """Return whether rows are of somebody in `person`."""
    return table.person_id.isin(cdm.tables["person"].person_id)


def _with_unit(cdm: Cdm, rows: Expression) -> Expression:
    """Units in UCUM: of the unit's concept, else the source's spelling, else what `source.yaml` says of the code."""
    own = rows.unit
    if cdm.unit_names:
        own = ibis.cases(*[(own == name, unit) for name, unit in cdm.unit_names.items()], else_=own)
    unit = own
    if "concept" in cdm.tables:
        concepts = known(cdm.tables)
        concepts = concepts.filter(concepts.vocabulary == "UCUM")
        ucum = concepts.group_by(unit_at="concept_id").aggregate(ucum=concepts.concept_code.min())
        rows = rows.mutate(unit=own).left_join(ucum, rows.unit_concept_id == ucum.unit_at)
        unit = ibis.coalesce(rows.ucum, rows.unit)
    if cdm.units:
        cases = [(rows.concept_id.isin(valued(cdm.tables, key).concept_id), unit) for key, unit in cdm.units.items()]
        missing = unit.isnull() & rows.value.notnull()
        unit = ibis.ifelse(missing, ibis.cases(*cases, else_=ibis.null("string")), unit)
    return rows.mutate(unit=unit)


def _typed(rows: Expression) -> Expression:
    return rows.select(**{name: rows[name].cast(kind) for name, kind in OCCURRENCE.items()})

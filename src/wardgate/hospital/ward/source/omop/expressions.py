"""OMOP tables -> events, as Ibis expressions alone: they compile for DuckDB, PostgreSQL and warehouses alike.

A concept set becomes a list of concept ids inside the query and is joined to the narrow columns of each table, so that
an engine reads little. Where what was recorded, or a coded value, decides too, the list is one of the distinct
combinations that occur.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import ibis

from wardgate.hospital.ward.source.events import (
    BIRTH,
    DEATH,
    EVERY,
    OBSERVED,
    PERIODS,
    PERSONS,
    PICKED,
    Expression,
    Pick,
)
from wardgate.hospital.ward.source.omop.tables import CLINICAL, Clinical
from wardgate.hospital.ward.source.omop.vocabulary import (
    Asked,
    code,
    joined,
    known,
    nothing,
    resolved,
    spelled,
    valued,
)
from wardgate.records.concepts import DEATH as DEATH_SET
from wardgate.records.concepts import Concept
from wardgate.records.errors import Invalid, Unsupported

_TIME = "timestamp(6)"
OCCURRENCE = (
    "subject_id",
    "time",
    "end",
    "concept_id",
    "source_concept_id",
    "source_value",
    "value",
    "value_concept_id",
    "unit_concept_id",
    "unit",
    "visit",
    "text",
    "table",
)
"""Columns of an event before its codes are written out."""

_SEX = "sex"
"""What stands as the table of sex, which no study names."""


def late(date: Expression) -> Expression:
    """Return the last second of a date."""
    return date.cast(_TIME) + ibis.interval(seconds=86_399)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cdm:
    """The tables of one CDM, and how its units are spelled.

    Attributes:
        tables: By name, with the columns of `tables.COLUMNS`; those that are absent or empty are left out, `person`
            never.
        units: UCUM unit of numbers that come without one, by VOCABULARY/CODE.
        unit_names: The source's own spellings to UCUM.
        late: The last second of a date; warehouses write it otherwise.
    """

    tables: Mapping[str, Expression]
    units: Mapping[str, str] = field(default_factory=dict)
    unit_names: Mapping[str, str] = field(default_factory=dict)
    late: Callable[[Expression], Expression] = late

    @property
    def clinical(self) -> tuple[Clinical, ...]:
        """The tables of events that are there."""
        return tuple(one for one in CLINICAL if one.table in self.tables)


def picked(cdm: Cdm, picks: Sequence[Pick]) -> Expression:
    """Return the events that picks ask for, with the columns of PICKED.

    Raises:
        Invalid: a pick asks for descendants, and there is no `concept_ancestor`.
        Unsupported: a pick asks for concepts in the table of deaths.
    """
    check(cdm, picks)
    found = chosen(cdm, picks)
    parts = [] if found is None else [_typed(_with_unit(cdm, found), PICKED)]
    empty = {"end": _TIME, "value": "float64", "unit": "string", "visit": "int64"}
    dead = deaths(cdm).mutate(**{name: ibis.null(kind) for name, kind in empty.items()})
    parts += [
        _typed(dead.mutate(pick=ibis.literal(at, "int16")), PICKED)
        for at, pick in enumerate(picks)
        if pick.name == DEATH_SET
    ]
    return joined(parts) if parts else nothing(PICKED)


def check(cdm: Cdm, picks: Sequence[Pick]) -> None:
    """Refuse what cannot be asked of this CDM.

    Raises:
        Invalid: a pick asks for descendants, and there is no `concept_ancestor`.
        Unsupported: a pick asks for concepts in the table of deaths.
    """
    for pick in picks:
        if pick.table == "death" and pick.name != DEATH_SET:
            raise Unsupported(
                f"concept set '{pick.name}' is asked for in the table of deaths: the cause of death is not read; ask "
                f"for '{DEATH_SET}'"
            )
        lower = [code(concept) for concept in pick.concepts if concept.descendants and not concept.source]
        if lower and "concept_ancestor" not in cdm.tables:
            raise Invalid(
                f"concept set '{pick.name}' asks for what lies below {lower[0]}, and the table concept_ancestor is "
                "absent or empty here; load the vocabulary into the database, or list the concepts in the study"
            )


def chosen(cdm: Cdm, picks: Sequence[Pick]) -> Expression | None:
    """Return the occurrences that picks ask for, each with its `pick`; None where nothing can be."""
    asked = {at: pick for at, pick in enumerate(picks) if pick.name != DEATH_SET}
    plain = {at: pick for at, pick in asked.items() if not _narrow(pick)}
    narrow = {at: pick for at, pick in asked.items() if _narrow(pick)}
    wanted = _wanted(cdm, plain) if plain else None
    parts = []
    for one in (None, *cdm.clinical):
        here = [at for at, pick in plain.items() if _in_table(pick, one)]
        if wanted is not None and here:
            found = wanted if len(here) == len(plain) else wanted.filter(wanted.pick.isin(here))
            rows = sexes(cdm) if one is None else occurrences(cdm, one)
            found = found.rename(asked="concept_id")
            parts.append(rows.inner_join(found, rows.concept_id == found.asked).select("pick", *OCCURRENCE))
    if narrow:
        parts += _by_combination(cdm, narrow)
    return joined(parts) if parts else None


def persons(cdm: Cdm) -> Expression:
    """Return the persons, with the columns of PERSONS.

    Birth is `birth_datetime`, else the date of its parts; without a month it is 1 July, without a day the 15th.
    """
    person = cdm.tables["person"]
    person = person.filter(person.person_id.notnull())
    births = person.select(subject_id="person_id", birth=ibis.coalesce(person.birth_datetime, _birth(person)))
    births = births.group_by("subject_id").aggregate(birth=births.birth.min())
    ends = deaths(cdm).select(dead="subject_id", death="time")
    found = births.left_join(ends, births.subject_id == ends.dead)
    return _typed(found, PERSONS)


def periods(cdm: Cdm) -> Expression:
    """Return the observed times, with the columns of PERIODS: whole days.

    Without observation periods: from a person's first event to the last, and to the end of visits.
    """
    if "observation_period" in cdm.tables:
        table = cdm.tables["observation_period"]
        start, end = table.observation_period_start_date, table.observation_period_end_date
        told = table.filter(start.notnull() & end.notnull() & _of_person(cdm, table))
        return _typed(told.select(subject_id="person_id", start=start.cast(_TIME), end=cdm.late(end)), PERIODS)
    parts = []
    for one in cdm.clinical:
        rows = occurrences(cdm, one)
        lasts = ibis.ifelse(rows.end > rows.time, rows.end, rows.time) if one.name == "visit" else rows.time
        parts.append(rows.group_by("subject_id").aggregate(start=rows.time.min(), end=lasts.max()))
    if not parts:
        return nothing(PERIODS)
    seen = joined(parts)
    return _typed(seen.group_by("subject_id").aggregate(start=seen.start.min(), end=seen.end.max()), PERIODS)


def every(cdm: Cdm) -> Expression:
    """Return all events, with the columns of EVERY."""
    events = joined([occurrences(cdm, one) for one in cdm.clinical] + [sexes(cdm)])
    return joined([written(cdm, events), *facts(cdm)])


def facts(cdm: Cdm) -> list[Expression]:
    """Return birth, death and observed times of persons, with the columns of EVERY."""
    births = persons(cdm).select("subject_id", time="birth")
    parts = [
        _fact(births.filter(births.time.notnull()), BIRTH),
        _fact(deaths(cdm), DEATH, table="death"),
    ]
    if "observation_period" in cdm.tables:
        parts.append(_fact(periods(cdm).rename(time="start"), OBSERVED))
    return parts


def written(cdm: Cdm, rows: Expression, *, said: Mapping[str, str] | None = None) -> Expression:
    """Return occurrences with the columns of EVERY: codes are written out by the vocabulary.

    Args:
        said: For codes as recorded that the vocabulary does not know: the vocabulary of those that begin like these.
    """
    keys = known(cdm.tables)
    keys = keys.group_by("concept_id").aggregate(key=keys.key.min())
    for column in ("concept_id", "source_concept_id", "value_concept_id"):
        named = keys.select(**{f"{column}_at": "concept_id", f"{column}_key": "key"})
        rows = rows.left_join(named, rows[column] == named[f"{column}_at"])
    standard, source, value = (
        spelled(rows[column].nullif(0), rows[f"{column}_key"])
        for column in ("concept_id", "source_concept_id", "value_concept_id")
    )
    named = [(rows.source_value.startswith(start), of + "/" + rows.source_value) for start, of in (said or {}).items()]
    guessed = ibis.cases(*named, else_=ibis.null("string")) if named else ibis.null("string")
    guessed = ibis.ifelse(rows.source_concept_id_key.isnull(), guessed, ibis.null("string"))
    recorded = ibis.coalesce(guessed, source, "SOURCE/" + rows.source_value)
    rows = rows.mutate(code=ibis.coalesce(standard, recorded, "SOURCE/"), source_code=recorded, value_code=value)
    table = ibis.ifelse(rows.table == _SEX, ibis.null("string"), rows.table)
    return _typed(_with_unit(cdm, rows).mutate(numeric_value="value", text_value="text", table=table), EVERY)


def occurrences(cdm: Cdm, one: Clinical) -> Expression:
    """Return the rows of a clinical table that have a person of `person` and a time, under common names."""
    table = cdm.tables[one.table]
    rows = table.select(
        subject_id=table.person_id,
        time=ibis.coalesce(table[one.start[1]], cdm.late(table[one.start[0]])),
        end=ibis.coalesce(table[one.end[1]], cdm.late(table[one.end[0]])) if one.end else ibis.null(_TIME),
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
    rows = rows.select(*OCCURRENCE)
    return rows.filter(rows.time.notnull() & rows.subject_id.isin(cdm.tables["person"].person_id))


def deaths(cdm: Cdm) -> Expression:
    """Return the earliest death of each person: `subject_id`, `time`."""
    if "death" not in cdm.tables:
        return nothing({"subject_id": "int64", "time": _TIME})
    table = cdm.tables["death"]
    rows = table.select(subject_id="person_id", time=ibis.coalesce(table.death_datetime, cdm.late(table.death_date)))
    rows = rows.filter(rows.time.notnull() & rows.subject_id.isin(cdm.tables["person"].person_id))
    return rows.group_by("subject_id").aggregate(time=rows.time.min())


def _of_person(cdm: Cdm, table: Expression) -> Expression:
    return table.person_id.isin(cdm.tables["person"].person_id)


def sexes(cdm: Cdm) -> Expression:
    """The sex of persons, as occurrences without a time."""
    person = cdm.tables["person"]
    rows = person.filter(person.person_id.notnull() & (person.gender_concept_id > 0))
    rows = rows.select(subject_id="person_id", concept_id="gender_concept_id").distinct()
    empty = {
        **dict.fromkeys(("time", "end"), _TIME),
        **dict.fromkeys(("source_concept_id", "value_concept_id", "unit_concept_id", "visit"), "int64"),
        **dict.fromkeys(("source_value", "unit", "text"), "string"),
        "value": "float64",
    }
    rows = rows.mutate(**{name: ibis.null(kind) for name, kind in empty.items()}, table=ibis.literal(_SEX))
    return rows.select(*OCCURRENCE)


def _birth(person: Expression) -> Expression:
    """The date of birth from its parts; a day that its month does not have is its last."""
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
    return ibis.ifelse(possible, date.cast(_TIME), ibis.null(_TIME))


def _in_table(pick: Pick, one: Clinical | None) -> bool:
    return pick.table is None or (one is not None and pick.table == one.name)


def _narrow(pick: Pick) -> bool:
    """Whether more than the standard concept decides."""
    return any(concept.source or concept.value is not None for concept in pick.concepts)


def _wanted(cdm: Cdm, plain: Mapping[int, Pick]) -> Expression:
    """The concept ids that picks stand for: `pick`, `concept_id`, no row twice; what is excluded is out."""
    ins = [Asked(group=at, concept=one) for at, pick in plain.items() for one in pick.concepts if not one.exclude]
    outs = [Asked(group=at, concept=one) for at, pick in plain.items() for one in pick.concepts if one.exclude]
    found = resolved(cdm.tables, ins)
    if outs:
        found = found.anti_join(resolved(cdm.tables, outs), ["group", "concept_id"])
    return found.select(pick="group", concept_id="concept_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Covering:
    """Entries of a concept set that are alike in all but the code, and the concept ids that they stand for."""

    exclude: bool
    source: bool
    concepts: tuple[Concept, ...]
    ids: Expression
    values: Expression | None

    def met(self, table: Expression) -> Expression:
        """Whether one of the entries covers a combination."""
        met = table.k_source.isin(self.ids) if self.source else table.k_concept.isin(self.ids)
        if self.source:
            met = met | _said(table.k_text, self.concepts)
        return met if self.values is None else met & table.k_value.isin(self.values)


def _entries(cdm: Cdm, pick: Pick) -> tuple[_Covering, ...]:
    groups: dict[tuple[bool, bool, str | None], list[Concept]] = {}
    for concept in pick.concepts:
        groups.setdefault((concept.exclude, concept.source, concept.value), []).append(concept)
    return tuple(
        _Covering(
            exclude=exclude,
            source=source,
            concepts=tuple(concepts),
            ids=resolved(cdm.tables, [Asked(group=0, concept=one) for one in concepts], recorded=source).concept_id,
            values=None if value is None else valued(cdm.tables, value).concept_id,
        )
        for (exclude, source, value), concepts in groups.items()
    )


def asked_once(cdm: Cdm, picks: Sequence[Pick]) -> list[Expression]:
    """Return, by table, the events other than visits that any pick asks for, each once."""
    asked = {at: pick for at, pick in enumerate(picks) if pick.name != DEATH_SET and pick.table != "visit"}
    return _by_combination(cdm, asked, once=True)


def visits(cdm: Cdm) -> list[Expression]:
    """Return all visits."""
    return [occurrences(cdm, one) for one in cdm.clinical if one.name == "visit"]


def _by_combination(cdm: Cdm, picks: Mapping[int, Pick], *, once: bool = False) -> list[Expression]:
    """Events, by table, for which the code as recorded, or the coded value, decides too.

    The distinct combinations of what decides are judged, few as they are, and joined back. Where the vocabulary does
    not know what was recorded, its text is compared with the codes.

    Args:
        once: Without `pick` and without visits: each event once, whatever asks for it.
    """
    tables = [one for one in cdm.clinical if any(_in_table(pick, one) for pick in picks.values())]
    concepts = [concept for pick in picks.values() for concept in pick.concepts]
    rows = [_keyed(cdm, occurrences(cdm, one), concepts) for one in tables if not (once and one.name == "visit")]
    if not rows:
        return []
    keys = ["table", *(name for name in rows[0].columns if name.startswith("k_"))]
    occurring = joined([one.select(*keys).distinct() for one in rows]).distinct()
    parts = []
    for at, pick in picks.items():
        inside, outside = ibis.literal(False), ibis.literal(False)
        for entry in _entries(cdm, pick):
            met = entry.met(occurring)
            inside, outside = (inside, outside | met) if entry.exclude else (inside | met, outside)
        here = ibis.literal(True) if pick.table is None else occurring.table == pick.table
        parts.append(occurring.filter(here & inside & ~outside).mutate(pick=ibis.literal(at, "int16")))
    found = joined(parts)
    found = found.select(*keys).distinct() if once else found
    found = found.rename({f"of_{name}": name for name in keys})
    columns = OCCURRENCE if once else ("pick", *OCCURRENCE)
    return [one.inner_join(found, [one[name] == found[f"of_{name}"] for name in keys]).select(*columns) for one in rows]


def _keyed(cdm: Cdm, rows: Expression, concepts: Sequence[Concept]) -> Expression:
    """Occurrences with what may decide about them, and 0 or no text where it does not."""
    keys = {"k_concept": rows.concept_id.fill_null(0), "k_source": ibis.literal(0, "int64"), "k_text": ibis.literal("")}
    recorded = [one for one in concepts if one.source]
    if recorded:
        here = known(cdm.tables).select(known_id="concept_id").distinct()
        rows = rows.left_join(here, rows.source_concept_id == here.known_id)
        source = rows.source_concept_id.fill_null(0)
        text = rows.source_value.fill_null("")
        unmapped = (source == 0) | rows.known_id.isnull()
        keys |= {"k_source": source, "k_text": ibis.ifelse(unmapped & _said(text, recorded), text, "")}
    coded = any(one.value is not None for one in concepts)
    keys["k_value"] = rows.value_concept_id.fill_null(0) if coded else ibis.literal(0, "int64")
    return rows.mutate(**keys)


def _said(text: Expression, concepts: Sequence[Concept]) -> Expression:
    """Whether a text as recorded is one of the codes, or begins like one."""
    whole = [str(one.code) for one in concepts if one.code is not None and not one.descendants]
    starts = [str(one.code) for one in concepts if one.code is not None and one.descendants]
    met = text.isin(whole) if whole else ibis.literal(False)
    for start in starts:
        met = met | text.startswith(start)
    return met


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


def _fact(rows: Expression, name: str, *, table: str | None = None) -> Expression:
    """Events of a code of MEDS."""
    given = {column: rows[column] for column in ("subject_id", "time", "end") if column in rows.columns}
    given |= {"code": ibis.literal(name), "table": ibis.literal(table, "string")}
    return rows.select(**{name: given.get(name, ibis.null(kind)).cast(kind) for name, kind in EVERY.items()})


def _typed(table: Expression, schema: Mapping[str, str]) -> Expression:
    return table.select(**{name: table[name].cast(kind) for name, kind in schema.items()})

"""OMOP tables -> events, as Ibis expressions alone: they compile for DuckDB, PostgreSQL and warehouses alike."""

from collections.abc import Mapping, Sequence

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
from wardgate.hospital.ward.source.omop.occurrences import (
    SEX,
    TIME,
    Cdm,
    all_occurrences,
    birth,
    deaths,
    of_person,
    sexes,
)
from wardgate.hospital.ward.source.omop.picking import check, chosen
from wardgate.hospital.ward.source.omop.vocabulary import joined, known, nothing, spelled
from wardgate.records.concepts import DEATH as DEATH_SET


def picked(cdm: Cdm, picks: Sequence[Pick]) -> Expression:
    """Return the events that picks ask for, with the columns of PICKED.

    Raises:
        Invalid: a pick asks for descendants, and there is no `concept_ancestor`.
        Unsupported: a pick asks for concepts in the table of deaths.
    """
    check(cdm, picks)
    found = chosen(cdm, picks)
    parts = [] if found is None else [_typed(found, PICKED)]
    empty = {"end": TIME, "value": "float64", "unit": "string", "visit": "int64"}
    dead = deaths(cdm).mutate(**{name: ibis.null(kind) for name, kind in empty.items()})
    parts += [
        _typed(dead.mutate(pick=ibis.literal(at, "int16")), PICKED)
        for at, pick in enumerate(picks)
        if pick.name == DEATH_SET
    ]
    return joined(parts) if parts else nothing(PICKED)


def persons(cdm: Cdm) -> Expression:
    """Return the persons, with the columns of PERSONS.

    Birth is `birth_datetime`, else the date of its parts; without a month it is 1 July, without a day the 15th.
    """
    person = cdm.tables["person"]
    person = person.filter(person.person_id.notnull())
    births = person.select(subject_id="person_id", birth=ibis.coalesce(person.birth_datetime, birth(person)))
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
        told = table.filter(start.notnull() & end.notnull() & of_person(cdm, table))
        return _typed(told.select(subject_id="person_id", start=start.cast(TIME), end=cdm.late(end)), PERIODS)
    rows = all_occurrences(cdm)
    last = ibis.ifelse((rows.table == "visit") & (rows.end > rows.time), rows.end, rows.time)
    return _typed(rows.group_by("subject_id").aggregate(start=rows.time.min(), end=last.max()), PERIODS)


def every(cdm: Cdm) -> Expression:
    """Return all events, with the columns of EVERY."""
    events = joined([all_occurrences(cdm), sexes(cdm)])
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
    table = ibis.ifelse(rows.table == SEX, ibis.null("string"), rows.table)
    return _typed(rows.mutate(numeric_value="value", text_value="text", table=table), EVERY)


def _fact(rows: Expression, name: str, *, table: str | None = None) -> Expression:
    """Events of a code of MEDS."""
    given = {column: rows[column] for column in ("subject_id", "time", "end") if column in rows.columns}
    given |= {"code": ibis.literal(name), "table": ibis.literal(table, "string")}
    return rows.select(**{name: given.get(name, ibis.null(kind)).cast(kind) for name, kind in EVERY.items()})


def _typed(table: Expression, schema: Mapping[str, str]) -> Expression:
    return table.select(**{name: table[name].cast(kind) for name, kind in schema.items()})

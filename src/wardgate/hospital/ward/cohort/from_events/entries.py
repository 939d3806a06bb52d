"""Entries: each event of the entry's concept sets, with its index date, and what is asked of it, step by step.

Two events of one person at the same time are one entry, which lasts as long as the longer of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import ibis

from wardgate.hospital.ward.cohort.from_events.asked import KEY, Asked, beside
from wardgate.hospital.ward.cohort.from_events.picks import entry_picks
from wardgate.hospital.ward.cohort.from_events.rules import counted, holds
from wardgate.hospital.ward.cohort.from_events.survey import Survey
from wardgate.hospital.ward.source.events import Expression
from wardgate.records.entry import Entry
from wardgate.records.errors import Invalid
from wardgate.records.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """All entries with what they fulfil.

    Attributes:
        table: One row an entry: `subject_id`, `start`, `end` (null where unknown), `index`, `death`, `age`,
            `observed_until` (null where no observed time contains the index date), and one Boolean for each step.
        steps: The steps in the order of the flow: the column, and its name in words.
    """

    table: Expression
    steps: Mapping[str, str]


def entry_of(study: Study) -> Entry:
    """Return what enters the cohort.

    Raises:
        Invalid: the study is not one of events.
    """
    if study.cohort.events is None:
        raise Invalid("the study asks for a table with a mapping, not for events; add 'cohort.events' to the study")
    return study.cohort.events


def judged(asked: Asked, study: Study, units: Survey) -> Judged:
    """Return all entries and what they fulfil; nothing of it but `shortest_hours` and `follow_up_days` sees the future.

    Args:
        units: What `survey` found, for rules on values.
    """
    entry = entry_of(study)
    table = _observed(_of_persons(_entries(asked, study, entry), asked), asked, entry)
    if entry.rules:
        table = counted(table, asked, study, units)
    asked_for = _steps(table, study, entry)
    flags = {f"step{place}": flag.fill_null(False) for place, (_, flag) in enumerate(asked_for)}
    kept = ("subject_id", "start", "end", "index", "death", "age", "observed_until")
    steps = {name: words for name, (words, _) in zip(flags, asked_for, strict=True)}
    return Judged(table=table.select(*kept, **flags), steps=steps)


def chosen(judged: Judged, study: Study) -> Expression:
    """Return the entries that fulfil every step; of a person the first such alone where the study says so."""
    table = judged.table
    for name in judged.steps:
        table = table.filter(table[name])
    if study.cohort.entries == "first-eligible":
        rank = ibis.row_number().over(ibis.window(group_by=table.subject_id, order_by=table.start))
        table = table.mutate(rank=rank).filter(lambda t: t["rank"] == 0)
    return table


def _entries(asked: Asked, study: Study, entry: Entry) -> Expression:
    """One row an entry, with the time of the person's entry before it and its place among the person's entries."""
    events = asked.events(entry_picks(study))
    events = events.filter(events.time.notnull() & events.subject_id.notnull()).rename(start="time")
    events = events.mutate(end=ibis.ifelse(events.end >= events.start, events.end, ibis.null("timestamp(6)")))
    one = events.group_by(KEY).aggregate(end=events.end.max(), visit=events.visit.min())
    in_order = ibis.window(group_by=one.subject_id, order_by=one.start)
    base = one.start if entry.index == "start" else ibis.coalesce(one.end, one.start)
    later = ibis.interval(seconds=round(entry.index_hours * 3600))
    return one.mutate(index=base + later, before=one.start.lag().over(in_order), place=ibis.row_number().over(in_order))


def _of_persons(entries: Expression, asked: Asked) -> Expression:
    """Entries with the person's death, and completed years at the index date."""
    table = beside(entries, asked.persons().select("subject_id", "birth", "death"), key=["subject_id"])
    today, born = (100 * table[name].month() + table[name].day() for name in ("index", "birth"))
    years = table["index"].year().cast("int64") - table.birth.year().cast("int64")
    return table.mutate(age=years - ibis.ifelse(today < born, 1, 0))


def _observed(entries: Expression, asked: Asked, entry: Entry) -> Expression:
    """Entries with the end of the observed time around the index date, and whether enough lies before and after."""
    periods = asked.periods().rename(first="start", last="end")
    joined = entries.select(*KEY, "index").inner_join(periods, "subject_id")
    contains = (joined["first"] <= joined.start) & (joined["last"] >= joined.start)
    before = joined["first"] <= joined.start - ibis.interval(days=entry.prior_observation_days)
    after = joined["last"] >= joined.start + ibis.interval(days=entry.follow_up_days)
    now = (joined["first"] <= joined["index"]) & (joined["last"] >= joined["index"])
    summed = joined.group_by(KEY).aggregate(
        observed_before=(contains & before).any(),
        observed_after=(contains & after).any(),
        observed_until=joined["last"].max(where=now),
    )
    return beside(entries, summed)


def _steps(table: Expression, study: Study, entry: Entry) -> list[tuple[str, Expression]]:
    """The steps in words, each with what it asks; in the order of `records.entry.Entry`."""
    steps: list[tuple[str, Expression]] = []
    if entry.first or study.cohort.entries == "first":
        steps.append(("first entry event of each person", table.place == 0))
    if entry.lasting:
        lasts = table.end.isnull() | (table.end > table["index"])
        alive = table.death.isnull() | (table.death > table["index"])
        steps.append(("alive and still there at the index date", lasts & alive))
    if entry.age_years is not None:
        low, high = entry.age_years
        steps.append((f"{low} to {high} years old", table.age.between(low, high)))
    if entry.prior_observation_days:
        steps.append((f"observed for {entry.prior_observation_days} days before", table.observed_before))
    if entry.follow_up_days:
        steps.append((f"observed for {entry.follow_up_days} days after", table.observed_after))
    if entry.washout_days:
        clear = table.before.isnull() | (table.before < table.start - ibis.interval(days=entry.washout_days))
        steps.append((f"no other entry event in {entry.washout_days} days before", clear))
    if entry.shortest_hours is not None:
        shortest = ibis.interval(seconds=round(entry.shortest_hours * 3600))
        steps.append((f"lasting {entry.shortest_hours:g} hours or longer", table.end >= table.start + shortest))
    for rule, flag in zip(entry.rules, holds(table, entry.rules), strict=True) if entry.rules else ():
        steps.append((rule.name or "", flag))
    return steps

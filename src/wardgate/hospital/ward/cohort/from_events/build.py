"""Study + source of events -> cohort: who is in, when the model is asked, what is known then, and what came after."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from wardgate.hospital.ward.cohort.checks.features import judge_features
from wardgate.hospital.ward.cohort.checks.records import check_records
from wardgate.hospital.ward.cohort.cohort import Cohort, Step
from wardgate.hospital.ward.cohort.findings import Counts, Quality
from wardgate.hospital.ward.cohort.from_events.asked import KEY, Asked
from wardgate.hospital.ward.cohort.from_events.entries import entry_of
from wardgate.hospital.ward.cohort.from_events.features import UnitRead, units_read
from wardgate.hospital.ward.cohort.from_events.found import EntryStep, FeatureFound, UnitFound
from wardgate.hospital.ward.cohort.from_events.judged import judge_end, judge_entries
from wardgate.hospital.ward.cohort.from_events.outcome import outcome_of
from wardgate.hospital.ward.cohort.from_events.part import Part, part
from wardgate.hospital.ward.cohort.from_events.picks import by_number, picks_of, picks_of_feature
from wardgate.hospital.ward.cohort.from_events.slots import Slots, slots_of
from wardgate.hospital.ward.cohort.from_events.survey import Survey, survey
from wardgate.hospital.ward.cohort.from_events.wide import added
from wardgate.hospital.ward.source.events import EventSource
from wardgate.hospital.ward.source.opening import opened
from wardgate.records.errors import Unsupported
from wardgate.records.study import Study

MOST_CELLS = 5_000_000
"""Persons times slots in one slice: what the engine then sums up side by side takes about a gigabyte."""

FEWEST_SLOTS = 25
"""What a person counts at least, for entries take room as well: at most 200,000 persons a slice."""


def load_events(folder: Path, study: Study, *, memory_limit_mb: int = 2_000) -> Cohort:
    """Read one hospital's records and build its cohort.

    Args:
        folder: Holds the records, and `source.yaml` unless they speak for themselves.
        memory_limit_mb: What the engine may use; nothing is spilled to disk.

    Raises:
        Invalid: the records cannot be read, or changed while they were read.
        Unsupported: the study keeps all entries of a person, and what follows needs one row a person.
    """
    if study.cohort.entries == "all":
        raise Unsupported(
            "the study keeps all entries of a person; a cohort of all entries can be checked, but splits, corpora and "
            "federated answers need one row a person: write 'entries: first-eligible' or 'entries: first'"
        )
    with opened(folder, memory_limit_mb=memory_limit_mb) as source:
        return build(source, study)


def build(source: EventSource, study: Study, *, slices: int | None = None) -> Cohort:
    """Build the cohort of one hospital.

    The same study gives the same cohort, row for row, from every source that holds the same events, whatever engine
    runs it, in whatever order the events lie, and in however many slices.

    Args:
        source: Opened records.
        slices: In how many ranges of persons to read, one after the other; absent, as many as memory asks for.

    Raises:
        Invalid: the study is not one of events, or the source cannot be read or changed while it was read.
    """
    entry_of(study), outcome_of(study)
    everybody = Asked(source=source)
    persons = everybody.run(source.persons().select("subject_id"))["subject_id"].drop_nulls().unique().sort()
    slots, units = slots_of(study), survey(everybody, study)
    read = units_read(slots, units)
    parts = [
        part(asked, study, slots=slots, units=units, read=read) for asked in _slices(source, persons, slots, slices)
    ]
    rows = pl.concat([one.rows for one in parts]).sort(KEY)
    flow = tuple(_flow(persons.len(), [one.flow for one in parts]))
    found = tuple(_found(parts, source, study, slots, units, read))
    counts = Counts(
        rows=flow[1].entries,
        without_person=0,
        eligible=int(found[0].entries),
        whole=flow[-2].persons,
        persons=flow[-1].persons,
        events=int(rows.filter(pl.col("label") == 1)["subject_id"].n_unique()),
    )
    findings = (
        *judge_entries(study, flow),
        *judge_features(study, found),
        *judge_end(study, counts),
        *check_records(source, study, picks_of(study)),
    )
    source.check_unchanged()
    table = _named(rows, study)
    return Cohort(
        table=table.select("person", *(feature.name for feature in study.features), "label"),
        groups=table["group"],
        flow=tuple(Step(step=step.step, persons=step.persons) for step in flow),
        quality=tuple(_quality(parts, study, found)),
        findings=findings,
        timing=table.select("person", "days", "state"),
        entry_flow=flow,
        found=found,
    )


def _slices(source: EventSource, persons: pl.Series, slots: Slots, slices: int | None) -> Iterator[Asked]:
    """Ranges of persons of equal number; the outermost are open, for events of persons whom no table names."""
    if slices is None:
        slices = math.ceil(persons.len() * max(FEWEST_SLOTS, len(slots.every)) / MOST_CELLS)
    ends = [round(persons.len() * place / max(1, slices)) for place in range(1, slices)]
    cuts = sorted({int(persons[end]) for end in ends if 0 < end < persons.len()})
    if not cuts:
        yield Asked(source=source)
        return
    lows = [-(2**63) + 1, *cuts]
    highs = [*(cut - 1 for cut in cuts), 2**63 - 1]
    for low, high in zip(lows, highs, strict=True):
        yield Asked(source=source, low=low, high=high)


def _flow(persons: int, flows: Sequence[Sequence[EntryStep]]) -> Iterator[EntryStep]:
    """Add up the flows of slices: no person is in two."""
    entries = sum(flow[0].entries for flow in flows)
    yield EntryStep(step="persons in the source", entries=entries, persons=persons)
    for steps in zip(*flows, strict=True):
        yield EntryStep(
            step=steps[0].step, entries=sum(one.entries for one in steps), persons=sum(one.persons for one in steps)
        )


def _named(rows: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Rows with the person's name; where a person may have several entries, each has its number."""
    person = pl.col("subject_id").cast(pl.String)
    if study.cohort.entries == "all":
        place = pl.col("start").rank("ordinal").over("subject_id").cast(pl.String)
        return rows.with_columns(person=person + "-" + place, group=person).sort("person")
    return rows.with_columns(person=person, group=person).sort("person")


def _found(
    parts: Sequence[Part], source: EventSource, study: Study, slots: Slots, units: Survey, read: Sequence[UnitRead]
) -> Iterator[FeatureFound]:
    codes = source.codes(picks_of(study))
    events = added([one.units for one in parts])
    quality = pl.concat([one.quality for one in parts]).group_by("feature").agg(pl.all().sum())
    counts = {row["feature"]: row for row in quality.iter_rows(named=True)}
    for feature in study.features:
        own = counts[feature.name]
        place = slots.of.get(feature.name)
        seen = events.filter(pl.col("slot") == place) if place is not None else events.clear()
        sums = {name: int(seen[name].sum()) for name in ("events", "numbers", "outside")}
        numeric = by_number(feature)
        yield FeatureFound(
            feature=feature.name,
            codes=sum(codes.get(pick.name, 0) for pick in picks_of_feature(study, feature)),
            entries=own["entries"],
            with_value=own["with_value"],
            with_events=own["with_events"],
            values=sums["events"],
            without_number=sums["events"] - sums["numbers"] if numeric else 0,
            out_of_range=sums["outside"] if numeric else 0,
            units=tuple(_units(seen, units, slots, read)) if numeric else (),
        )


def _units(seen: pl.DataFrame, units: Survey, slots: Slots, read: Sequence[UnitRead]) -> Iterator[UnitFound]:
    for row in seen.sort("events", "unit", descending=[True, False]).iter_rows(named=True):
        if not 0 <= row["unit"] < len(read):
            continue
        one = read[row["unit"]]
        used = next(used for used in units[slots.every[one.slot].picks[0]] if used.unit == one.unit)
        yield UnitFound(
            unit=one.unit,
            values=row["events"],
            converted=one.changes if one.known else None,
            quantiles=used.quantiles,
        )


def _quality(parts: Sequence[Part], study: Study, found: Sequence[FeatureFound]) -> Iterator[Quality]:
    """The same in the form of a table with a mapping: counts of entries, and the most frequent unit."""
    counts = pl.concat([one.quality for one in parts]).group_by("feature").agg(pl.col("out", "unusable").sum())
    lost = {row["feature"]: row for row in counts.iter_rows(named=True)}
    for one in found:
        yield Quality(
            feature=one.feature,
            total=one.entries,
            present=one.with_value,
            out_of_range=lost[one.feature]["out"],
            unreadable=lost[one.feature]["unusable"],
            unit_found=one.units[0].unit if one.units else None,
            converted=any(unit.converted for unit in one.units),
            convertible=not one.units or any(unit.converted is not None for unit in one.units),
        )

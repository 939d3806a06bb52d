"""One slice of persons: entries, outcome and features of some of a source's persons, who need nothing of the others."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from wardgate.hospital.ward.cohort.from_events.asked import KEY, Asked
from wardgate.hospital.ward.cohort.from_events.entries import chosen, judged
from wardgate.hospital.ward.cohort.from_events.features import UnitRead, gathered
from wardgate.hospital.ward.cohort.from_events.found import EntryStep
from wardgate.hospital.ward.cohort.from_events.outcome import followed, labelled
from wardgate.hospital.ward.cohort.from_events.slots import Slots
from wardgate.hospital.ward.cohort.from_events.survey import Survey
from wardgate.hospital.ward.cohort.from_events.wide import NOTHING, OUT, UNUSABLE, events_by_unit, wide
from wardgate.records.errors import Invalid
from wardgate.records.study import Requirement, Study

ENTRY_EVENT, FIRST_ELIGIBLE = "an entry event", "first entry that fulfils all of this"
WHOLE, KNOWN = "everything known that may not be missing", "outcome known"
TRUTH = {"true": 1.0, "1": 1.0, "false": 0.0, "0": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one slice gives. Counts and rows of slices add up.

    Attributes:
        rows: The cohort's entries, sorted by person and start: `subject_id`, `start`, the features, `label`, `state`
            and `days`.
        flow: Entries and persons after each step, from the entry events on.
        quality: One row a feature: `entries`, `with_value`, `with_events`, `out`, `unusable`.
        units: Events by slot and unit, in the windows of eligible entries.
    """

    rows: pl.DataFrame
    flow: tuple[EntryStep, ...]
    quality: pl.DataFrame
    units: pl.DataFrame


def part(asked: Asked, study: Study, *, slots: Slots, units: Survey, read: tuple[UnitRead, ...]) -> Part:
    """Read one slice.

    Raises:
        Invalid: the source cannot be read to its end, or a requirement names no feature.
    """
    entries = judged(asked, study, units)
    rows = asked.run(followed(entries.table, asked, study)).sort(KEY)
    flow = [_step(ENTRY_EVENT, rows)]
    for column, words in entries.steps.items():
        rows = rows.filter(pl.col(column))
        flow.append(_step(words, rows))
    if study.cohort.entries == "first-eligible":
        rows = rows.unique("subject_id", keep="first", maintain_order=True)
        flow.append(_step(FIRST_ELIGIBLE, rows))
    rows = labelled(rows, study)
    found = asked.run(gathered(chosen(entries, study), asked, slots, read)) if slots.every else NOTHING
    features = wide(rows, found, study, slots)
    table = pl.concat([rows.select(*KEY, "label", "state", "days"), features.table], how="horizontal")
    eligible = pl.Series([True]).new_from_index(0, table.height)
    for requirement in study.cohort.requires:
        eligible = eligible & table.select(_met(requirement, study).alias("met"))["met"]
        flow.append(_step(requirement.meaning or f"{requirement.field} as required", table.filter(eligible)))
    quality = _quality(table.filter(eligible), features.events.filter(eligible), features.why.filter(eligible), study)
    table = table.filter(eligible)
    by_unit = events_by_unit(found, table)
    refused = [feature.name for feature in study.features if feature.missing == "refused"]
    if refused:
        table = table.drop_nulls(refused)
        flow.append(_step(WHOLE, table))
    table = table.drop_nulls("label")
    flow.append(_step(KNOWN, table))
    return Part(rows=table, flow=tuple(flow), quality=quality, units=by_unit)


def _step(words: str, rows: pl.DataFrame) -> EntryStep:
    return EntryStep(step=words, entries=rows.height, persons=rows["subject_id"].n_unique())


def _met(requirement: Requirement, study: Study) -> pl.Expr:
    """Whether a feature is as a requirement asks; a missing one is not."""
    feature = next((one for one in study.features if one.name == requirement.field), None)
    if feature is None:
        raise Invalid(
            f"cohort.requires names '{requirement.field}', which is no feature; in a study of events it asks for "
            "features, and 'rules' of the entry ask for everything else"
        )
    column = pl.col(feature.name)
    if requirement.range is not None:
        if feature.type == "category":
            raise Invalid(f"cohort.requires asks for a range of '{feature.name}', which is a category; give 'values'")
        return column.is_between(*requirement.range).fill_null(False)
    values = requirement.values or ()
    if feature.type == "category":
        return column.is_in(list(values)).fill_null(False)
    if feature.type == "boolean":
        return column.is_in([TRUTH[value] for value in values if value in TRUTH]).fill_null(False)
    raise Invalid(f"cohort.requires asks for values of '{feature.name}', which is a number; give a 'range'")


def _quality(table: pl.DataFrame, events: pl.DataFrame, why: pl.DataFrame, study: Study) -> pl.DataFrame:
    rows = list(_counts(table, events, why, study))
    return pl.DataFrame(
        rows, schema=["feature", "entries", "with_value", "with_events", "out", "unusable"], orient="row"
    )


def _counts(
    table: pl.DataFrame, events: pl.DataFrame, why: pl.DataFrame, study: Study
) -> Iterator[tuple[str, int, int, int, int, int]]:
    for feature in study.features:
        name = feature.name
        present = table.height - table[name].null_count()
        out, unusable = (int((why[name] == reason).sum()) for reason in (OUT, UNUSABLE))
        yield name, table.height, present, int(events[name].sum()), out, unusable

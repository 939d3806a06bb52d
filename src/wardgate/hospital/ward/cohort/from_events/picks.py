"""What a study asks of a source: each of its concept sets, with the table it is limited to, once."""

from collections.abc import Iterator, Sequence

from wardgate.hospital.ward.source.events import Pick
from wardgate.records.concepts import DEATH, TableName
from wardgate.records.entry import Criterion, Rule
from wardgate.records.feature import Feature
from wardgate.records.study import Study

BY_NUMBER = ("last", "first", "mean", "min", "max", "slope")
"""Aggregations that read the number of an event."""


def picks_of(study: Study) -> tuple[Pick, ...]:
    """Return everything that a study of events asks a source for, in the order in which it is used first."""
    found = [*entry_picks(study), *(pick_of(study, one.concepts, one.table) for one in criteria(study))]
    found += [*outcome_picks(study), *competing_picks(study)]
    for feature in study.features:
        found += picks_of_feature(study, feature)
    return distinct(found)


def pick_of(study: Study, name: str, table: TableName | None) -> Pick:
    """Return the pick of one use of a concept set; `death` needs no concepts."""
    concepts = () if name == DEATH else (study.concept_sets or {})[name].concepts
    return Pick(name=name, concepts=concepts, table=table)


def entry_picks(study: Study) -> tuple[Pick, ...]:
    """Return what enters the cohort."""
    entry = study.cohort.events
    return () if entry is None else distinct([pick_of(study, name, entry.table) for name in entry.concepts])


def outcome_picks(study: Study) -> tuple[Pick, ...]:
    """Return what the outcome is."""
    outcome = study.label.events
    return () if outcome is None else distinct([pick_of(study, name, outcome.table) for name in outcome.concepts])


def competing_picks(study: Study) -> tuple[Pick, ...]:
    """Return what makes the outcome impossible; wherever it was recorded."""
    outcome = study.label.events
    return () if outcome is None else distinct([pick_of(study, name, None) for name in outcome.competing])


def picks_of_feature(study: Study, feature: Feature) -> tuple[Pick, ...]:
    """Return what a feature needs: one pick, one for each category, or none for what is built in."""
    return tuple(pick_of(study, name, feature.table) for name in feature.sets)


def criteria(study: Study) -> tuple[Criterion, ...]:
    """Return all criteria of the entry's rules, however deep in groups, in reading order."""
    entry = study.cohort.events
    return () if entry is None else tuple(one for rule in entry.rules for one in criteria_of(rule))


def criteria_of(rule: Rule) -> Iterator[Criterion]:
    """Yield the criteria of one rule in reading order."""
    if isinstance(rule, Criterion):
        yield rule
    else:
        for part in rule.rules:
            yield from criteria_of(part)


def by_number(feature: Feature) -> bool:
    """Whether a feature reads the numbers of its events."""
    return feature.type in ("number", "integer") and feature.built_in is None and feature.aggregation in BY_NUMBER


def distinct(picks: Sequence[Pick]) -> tuple[Pick, ...]:
    """Return the picks, each once, in order."""
    return tuple(dict.fromkeys(picks))

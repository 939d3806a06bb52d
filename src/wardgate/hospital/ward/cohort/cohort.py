"""A cohort: who is in a study at one hospital, what is known of them, and whether the site can take part."""

from dataclasses import dataclass

import polars as pl

from wardgate.hospital.ward.cohort.findings import MAY_STAY_OPEN, Quality
from wardgate.hospital.ward.cohort.found import EntryStep, FeatureFound
from wardgate.records.results import Requirement
from wardgate.records.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the cohort flow, with the raw count of persons left after it."""

    step: str
    persons: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The persons of one study at one hospital. Raw counts and rows: never leaves the ward.

    Attributes:
        table: One row a person, sorted by `person` (String), then the features as measures/encoding.py
            describes, then `label` (Int8, 0 or 1).
        groups: Link group of each row, else the person: what splits keep together.
        flow: Steps from the source to the cohort.
        quality: One entry a feature, over the eligible persons.
        findings: Requirements in four states; their reasons hold no count below 11.
        timing: Of a cohort from events, what happened when: `person`, `days` (Float64, after the index date) and
            `state` (Int8: 0 none, 1 outcome, 2 competing, 3 censored); the rows of `table`, in its order.
        entry_flow: Of a cohort from events, the flow in entries and persons.
        found: Of a cohort from events, what was found of each feature.
    """

    table: pl.DataFrame
    groups: pl.Series
    flow: tuple[Step, ...]
    quality: tuple[Quality, ...]
    findings: tuple[Requirement, ...]
    timing: pl.DataFrame | None = None
    entry_flow: tuple[EntryStep, ...] = ()
    found: tuple[FeatureFound, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Satisfies:
    """Whether a site can take part; where not, why."""

    can: bool
    reasons: tuple[str, ...]


def satisfies(cohort: Cohort, study: Study) -> Satisfies:
    """Say whether a site can take part in a study.

    A failed or an unevaluated requirement keeps it out; exceptions do not, nor checks for which it has too few records.
    """
    reasons = [
        f"{finding.name}: {finding.reason}"
        for finding in cohort.findings
        if finding.state == "fail" or (finding.state == "not evaluated" and finding.name not in MAY_STAY_OPEN)
    ]
    known = set(cohort.table.columns)
    reasons += [f"{feature.name}: not in the cohort" for feature in study.features if feature.name not in known]
    return Satisfies(can=not reasons, reasons=tuple(reasons))

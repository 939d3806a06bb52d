"""A cohort's check as everybody may see it: raw counts in, a record without any count of 1 to 10 persons out."""

import re
from collections.abc import Mapping, Sequence

from wardgate.hospital.ward.cohort.cohort import Cohort, satisfies
from wardgate.hospital.ward.cohort.findings import Quality
from wardgate.hospital.ward.cohort.found import FeatureFound
from wardgate.hospital.ward.cohort.shown import shown_flow
from wardgate.records.bands import band
from wardgate.records.canonical import sha256
from wardgate.records.data_check import OTHER_UNITS, DataCheck, FeatureCheck, Prevalence, UnitSeen
from wardgate.records.feature import Feature
from wardgate.records.results import Requirement
from wardgate.records.study import Study

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
"""Roundings of prevalence; the finest that moves with eleven persons and not with fewer is taken."""

_SHARE_IN_WORDS = re.compile(r"\b(?:under |over )?\d+(?:\.\d+)? ?%")


def data_check(cohort: Cohort, study: Study, *, site: str, source: str) -> DataCheck:
    """Return what the hospital and the consortium see of a cohort's data, by the study's own rule for small cells.

    Where the study's policy asks for noise in every figure, flow, shares and prevalence stay inside; the verdicts and
    the band of persons are said.

    Args:
        source: What the data were read from, in words, e.g. `OMOP CDM 5.4 in DuckDB`; no path, no name of a person.
    """
    minimum = study.gate.small_cells.min_count
    told = not (study.gate.dp.required or study.gate.profile == "public-open")
    verdict = satisfies(cohort, study)
    features, unsafe = _features(cohort, study, minimum=minimum)
    return DataCheck(
        study_id=study.id,
        study_version=study.version,
        study_sha256=sha256(study.to_bytes()),
        site=site,
        source=source[:200],
        label=study.label.name,
        persons_band=band(cohort.table.height),
        satisfies=verdict.can,
        reasons=tuple(_reason(reason, reason.partition(": ")[0], unsafe, told=told) for reason in verdict.reasons),
        flow=shown_flow(cohort, minimum=minimum) if told else (),
        features=features if told else (),
        requirements=tuple(_shown(finding, unsafe, told=told) for finding in cohort.findings),
        prevalence=_prevalence(cohort, minimum=minimum) if told else None,
    )


def _features(cohort: Cohort, study: Study, *, minimum: int) -> tuple[tuple[FeatureCheck, ...], set[str]]:
    """Return the checks of all features, and the names of those with a count that may not be told."""
    known = {one.feature: one for one in cohort.found}
    quality = {one.feature: one for one in cohort.quality}
    checks, unsafe = [], set()
    for feature in study.features:
        of_events, of_table = known.get(feature.name), quality.get(feature.name)
        if of_events is not None:
            cells = entry_cells(of_events)
            checks.append(check_of_events(feature, of_events, minimum=minimum))
        elif of_table is not None:
            cells = person_cells(of_table)
            checks.append(check_of_table(feature, of_table, minimum=minimum))
        else:
            continue
        if not _safe(cells, minimum):
            unsafe.add(feature.name)
    return tuple(checks), unsafe


def person_cells(one: Quality) -> tuple[int, ...]:
    """Return into whom a feature divides the eligible persons: usable, out of range, not understood, nothing."""
    return (one.present, one.out_of_range, one.unreadable, one.total - one.given)


def entry_cells(one: FeatureFound) -> tuple[int, ...]:
    """Return into what a feature divides the eligible entries: usable value, events without one, no event."""
    return (one.with_value, one.with_events - one.with_value, one.entries - one.with_events)


def check_of_table(feature: Feature, one: Quality, *, minimum: int) -> FeatureCheck:
    """Return the check of a feature of a plain table, where every person has one value at most."""
    safe = _safe(person_cells(one), minimum)
    units: tuple[UnitSeen, ...] = ()
    if one.unit_found is not None and one.given >= minimum:
        units = (UnitSeen(unit=one.unit_found, share=1.0, converted=one.converted if one.convertible else None),)
    return FeatureCheck(
        feature=feature.name,
        unit=feature.unit,
        coverage=_share(one.present, one.total, minimum),
        out_of_range=round(one.out_of_range / one.given, 2) if safe and one.given and units else None,
        units=units,
    )


def check_of_events(feature: Feature, one: FeatureFound, *, minimum: int) -> FeatureCheck:
    """Return the check of a feature of events.

    Shares of values are told only where no cell of entries is small: where every entry has one value, shares of values
    and of entries together would give such a cell away.
    """
    values = (one.without_number, one.out_of_range, one.values - one.without_number - one.out_of_range)
    safe = one.values >= minimum and _safe((*entry_cells(one), *values), minimum)
    counts: dict[str | None, int] = {}
    converted: dict[str | None, bool | None] = {}
    for unit in one.units:
        name = unit.unit if unit.unit is None or unit.values >= minimum else OTHER_UNITS
        counts[name] = counts.get(name, 0) + unit.values
        converted[name] = unit.converted if name not in converted else (converted[name] and unit.converted)
    shares = _partition(counts, one.values, minimum) if safe else {}
    return FeatureCheck(
        feature=feature.name,
        unit=feature.unit,
        coverage=_share(one.with_value, one.entries, minimum),
        out_of_range=round(one.out_of_range / one.values, 2) if safe and feature.unit is not None else None,
        without_unit=shares.get(None, 0.0 if shares and None not in counts else None) if counts else None,
        units=tuple(
            UnitSeen(unit=name, share=shares.get(name), converted=converted[name])
            for name in sorted(counts, key=lambda name: (name == OTHER_UNITS, -counts[name], name or ""))
        )
        if one.values >= minimum
        else (),
    )


def _partition(counts: Mapping[str | None, int], whole: int, minimum: int) -> dict[str | None, float]:
    """Return shares of a whole, or none at all where a part or the rest is small."""
    parts = (*counts.values(), whole - sum(counts.values()))
    if not _safe(parts, minimum):
        return {}
    return {name: round(count / whole, 2) for name, count in counts.items()}


def _safe(cells: Sequence[int], minimum: int) -> bool:
    return all(count == 0 or count >= minimum for count in cells)


def _share(part: int, whole: int, minimum: int) -> float | None:
    return round(part / whole, 2) if whole >= minimum and _safe((part, whole - part), minimum) else None


def _shown(finding: Requirement, unsafe: set[str], *, told: bool) -> Requirement:
    return finding.model_copy(update={"reason": _reason(finding.reason, finding.name, unsafe, told=told)})


def _reason(reason: str, name: str, unsafe: set[str], *, told: bool) -> str:
    """Return a reason; shares go out of it where with others they would give a small count of its feature away."""
    return reason if told and name.removeprefix("feature ") not in unsafe else _SHARE_IN_WORDS.sub("some", reason)


def _prevalence(cohort: Cohort, *, minimum: int) -> Prevalence | None:
    label = cohort.table["label"] if "label" in cohort.table.columns else None
    if label is None or not len(label):
        return None
    events, persons = int(label.sum() or 0), len(label)
    if min(events, persons - events) < minimum:
        return None
    step = next((step for step in STEPS if step * persons >= minimum), STEPS[-1])
    return Prevalence(share=round(round(events / persons / step) * step, 4), step=step)

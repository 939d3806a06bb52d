"""What was found of a study's features in a hospital's events -> one requirement a feature."""

from collections.abc import Sequence

from wardgate.hospital.ward.cohort.checks.words import State, listed, say, surely_above, unit_shown
from wardgate.hospital.ward.cohort.findings import FEW, MOSTLY, share
from wardgate.hospital.ward.cohort.found import FeatureFound, UnitFound
from wardgate.hospital.ward.cohort.units import candidates, loinc_of
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.results import Requirement
from wardgate.records.study import Study

TOLERATED = 0.01
"""Up to this share, values outside the range or without a number are what any hospital's records have."""

ERROR = 1e-5
"""Chance of an exception for one feature whose true share is within what is tolerated."""


def judge_features(study: Study, found: Sequence[FeatureFound]) -> tuple[Requirement, ...]:
    """Judge what was found of each feature over the eligible entries.

    Args:
        found: One a feature, in the study's order.

    Returns:
        One requirement a feature, `feature NAME`; no reason holds a count below 11.

    Raises:
        Invalid: other features than the study's.
    """
    names = [feature.name for feature in study.features]
    if names != [one.feature for one in found]:
        raise Invalid("expected what was found of each feature of the study, in its order")
    return tuple(
        say(f"feature {feature.name}", *_judged(study, feature, one))
        for feature, one in zip(study.features, found, strict=True)
    )


def _judged(study: Study, feature: Feature, one: FeatureFound) -> tuple[State, str]:
    if not one.entries:
        return "not evaluated", "no entry is eligible"
    refused = feature.missing == "refused"
    nothing: State = "fail" if refused else "pass with exceptions"
    becomes = "and the study refuses missing values" if refused else _absent(feature)
    if feature.built_in is None and not one.codes:
        return nothing, (
            f"no code of the source belongs to {_sets(feature)}, {becomes}; check the mapping of the hospital's codes "
            "to standard ones ('codes' in source.yaml), or add the codes to the concept set"
        )
    if not one.with_events and feature.built_in is None:
        return nothing, f"nothing of {_sets(feature)} is recorded in the window of any eligible entry, {becomes}"
    if feature.type in ("number", "integer") and feature.aggregation != "count" and feature.built_in is None:
        wrong = _wrong_numbers(study, feature, one)
        if wrong is not None:
            return wrong
    if not one.with_value:
        return nothing, f"no eligible entry has a usable value, {becomes}"
    return _limits(feature, one)


def _absent(feature: Feature) -> str:
    return "so everybody counts as without" if feature.type == "boolean" else "so every value counts as missing"


def _sets(feature: Feature) -> str:
    named = [f"'{name}'" for name in dict.fromkeys(feature.sets)]
    return f"the concept set{'s' if len(named) > 1 else ''} {listed(named)}"


def _wrong_numbers(study: Study, feature: Feature, one: FeatureFound) -> tuple[State, str] | None:
    """What makes the numbers wrong: units that nobody can read, another unit than is said, or texts."""
    wanted = feature.value_unit or feature.unit
    unknown = [unit for unit in one.units if unit.converted is None]
    lost = sum(unit.values for unit in unknown)
    numbers = sum(unit.values for unit in one.units)
    if lost >= FEW and lost > MOSTLY * numbers:
        bare = sum(unit.values for unit in unknown if unit.unit is None)
        if bare == lost:
            return "fail", (
                f"{share(lost, numbers)} of the values carry no unit, expected '{wanted}' or one that converts to it; "
                "say in 'units' of source.yaml which unit the hospital's codes are in"
            )
        named = listed(dict.fromkeys(unit_shown(unit.unit, unit.values) for unit in unknown))
        return "fail", (
            f"{share(lost, numbers)} of the values are in {named}, which does not convert to '{wanted}'; say in "
            "'unit_names' of source.yaml what the spelling means, or give the feature the LOINC code of its analyte"
        )
    outside = one.out_of_range
    if outside >= FEW and outside > MOSTLY * max(numbers - lost, 1):
        low, high = feature.value_range or feature.range or (0.0, 0.0)
        return "fail", (
            f"{share(outside, numbers - lost)} of the values lie outside [{low:g}, {high:g}] {wanted}, probably "
            f"another unit than recorded{_would_fit(study, feature, one.units)}; correct the unit at the source, or in "
            "'units' or 'unit_names' of source.yaml"
        )
    if one.without_number >= FEW and one.without_number > MOSTLY * one.values:
        return "fail", (
            f"{share(one.without_number, one.values)} of the values are no number; export the numeric result, or leave "
            "texts out of the concept set"
        )
    return None


def _would_fit(study: Study, feature: Feature, units: Sequence[UnitFound]) -> str:
    """The unit in which nearly all values of the commonest unit would be plausible."""
    common = next((unit for unit in units if unit.converted is not None and unit.quantiles is not None), None)
    if common is None or common.quantiles is None:
        return ""
    low, high = feature.value_range or feature.range or (0.0, 0.0)
    codes = loinc_of((study.concept_sets or {}).get(feature.concepts or ""))
    for unit, linear in candidates(feature, loinc=codes):
        ends = [quantile * linear.factor + linear.offset for quantile in (common.quantiles[0], common.quantiles[4])]
        if unit != common.unit and low <= min(ends) and max(ends) <= high:
            return f"; values read as {unit} would fit"
    return ""


def _limits(feature: Feature, one: FeatureFound) -> tuple[State, str]:
    """What limits a usable feature, and what is worth saying of one that passes."""
    numbers = sum(unit.values for unit in one.units)
    lost = sum(unit.values for unit in one.units if unit.converted is None)
    strange = (
        (lost, numbers, "of the values are in units that do not convert"),
        (one.out_of_range, numbers - lost, "of the values lie outside the plausible range"),
        (one.without_number, one.values, "of the values are no number"),
    )
    limits = [
        f"{share(part, whole)} {what}"
        for part, whole, what in strange
        if part >= FEW and surely_above(part, whole, TOLERATED, error=ERROR)
    ]
    missing = one.entries - one.with_value
    if feature.missing == "refused" and missing > 0.5 * one.entries:
        limits.append(f"{share(missing, one.entries)} of the eligible entries have no value and are left out")
        return "pass with exceptions", "; ".join(limits)
    if limits:
        return "pass with exceptions", f"{'; '.join(limits)}; these count as missing"
    said = []
    changed = [unit_shown(unit.unit, unit.values) for unit in one.units if unit.converted]
    if changed:
        said.append(f"converted from {listed(dict.fromkeys(changed))}")
    if any(part for part, _, _ in strange):
        said.append("single values that are not usable count as missing")
    return "pass", "; ".join(said) or "as the study asks"

"""What was counted -> requirements in four states. The reasons hold no count below 11 and may leave."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from wardgate.hospital.ward.cohort.units import Linear, candidates
from wardgate.records.bands import band
from wardgate.records.feature import Feature
from wardgate.records.results import Requirement
from wardgate.records.study import Study

MOSTLY = 0.20
"""From this share on, values outside the range or without meaning are an error of the mapping, not of patients."""

FEW = 3
"""Fewer strange values than this prove nothing about a mapping: in a hospital of two, one is half."""

ENOUGH = 50
"""From so many persons on, an outcome that never changes, or is mostly unknown, is an error of the mapping."""


MAY_STAY_OPEN = frozenset({"clock", "persons twice", "units", "values", "calendar", "levels"})
"""Requirements that look for errors in large numbers of records: a hospital with too few may still take part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """One feature at one hospital, over the eligible persons. Raw counts: never leaves the ward.

    Attributes:
        total: Eligible persons.
        present: Values inside the plausible range, or codes that the mapping names.
        out_of_range: Numbers outside; treated as missing.
        unreadable: Texts that are no finite number, or codes that the mapping does not name; treated as missing.
        unit_found: UCUM unit of the source.
        converted: Whether values were converted to the study's unit.
        convertible: False where the table of units has no way to the study's unit.
    """

    feature: str
    total: int
    present: int
    out_of_range: int
    unreadable: int
    unit_found: str | None
    converted: bool
    convertible: bool

    @property
    def given(self) -> int:
        """Values that are there at all."""
        return self.present + self.out_of_range + self.unreadable

    @property
    def mostly_out_of_range(self) -> bool:
        """Whether so much lies outside the range that the unit is probably another."""
        return self.out_of_range >= FEW and self.out_of_range > MOSTLY * self.given


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Persons at the turns of the flow."""

    rows: int
    without_person: int
    eligible: int
    whole: int
    persons: int
    events: int


def wrong_unit(feature: Feature) -> list[tuple[str, Linear]]:
    """Return the units that numbers outside the range may really be in."""
    return candidates(feature) if feature.type in ("number", "integer") else []


def judge(
    study: Study, counts: Counts, quality: Sequence[Quality], hints: Mapping[str, str], *, flow: Sequence[int]
) -> Iterator[Requirement]:
    """Judge what was counted.

    Args:
        quality: One a feature, in the study's order.
        hints: Per feature with most values out of range: which unit would fit, in words.
        flow: Persons after each step.
    """
    yield _persons(counts)
    for index, requirement in enumerate(study.cohort.requires):
        meaning = requirement.meaning or requirement.field
        before, after = flow[index], flow[index + 1]
        if not before:
            yield _say(f"requirement {requirement.field}", "not evaluated", "nobody was left to judge")
        elif not after:
            reason = f"nobody fulfils '{meaning}'; check how the mapping codes '{requirement.field}'"
            yield _say(f"requirement {requirement.field}", "fail", reason)
        else:
            yield _say(f"requirement {requirement.field}", "pass", meaning)
    for feature, one in zip(study.features, quality, strict=True):
        state, reason = _feature(feature, one, hints.get(feature.name, ""))
        yield _say(f"feature {feature.name}", state, reason)
    yield cohort_size(counts)
    yield _label(counts, study)


State = Literal["pass", "pass with exceptions", "fail", "not evaluated"]


def _say(name: str, state: State, reason: str) -> Requirement:
    return Requirement(name=name, state=state, reason=reason)


def share(part: int, whole: int) -> str:
    """Return a share in words that give no count below 11 away.

    >>> share(0, 5000), share(4, 5000), share(600, 5000), share(4990, 5000)
    ('fewer than 11', 'fewer than 11', '12 %', 'nearly all')
    """
    if part < 11:
        return "fewer than 11"
    if whole - part < 11:
        return "nearly all"
    percent = round(100 * part / whole)
    return f"{percent} %" if 0 < percent < 100 else ("under 1 %" if percent == 0 else "over 99 %")


def _persons(counts: Counts) -> Requirement:
    if not counts.rows:
        return _say("persons", "fail", "the files hold a header and no rows; export the data again")
    if counts.without_person == counts.rows:
        return _say("persons", "fail", "no row names a person; correct 'person.column' in the mapping")
    if counts.without_person:
        part = share(counts.without_person, counts.rows)
        return _say("persons", "pass with exceptions", f"{part} of the rows name no person and were left out")
    return _say("persons", "pass", "every row names a person")


def _feature(feature: Feature, one: Quality, hint: str) -> tuple[State, str]:
    if not one.total:
        return "not evaluated", "nobody is eligible"
    if not one.convertible:
        return "fail", (
            f"found unit '{one.unit_found}', expected '{feature.unit}' or a unit that the table converts to it; "
            "correct 'unit' in the mapping, or convert the values at the source"
        )
    if not one.given:
        if feature.missing == "refused":
            return "fail", "no eligible person has a value, and the study refuses missing values"
        return "pass with exceptions", "not recorded here; every value counts as missing"
    if one.mostly_out_of_range:
        low, high = feature.range or (0.0, 0.0)
        return "fail", (
            f"{share(one.out_of_range, one.given)} of the values lie outside [{low:g}, {high:g}] {feature.unit}, "
            f"probably another unit than '{one.unit_found}'{hint}; correct 'unit' in the mapping"
        )
    if one.unreadable >= FEW and one.unreadable > MOSTLY * one.given:
        expected = "numbers" if feature.type in ("number", "integer") else "codes that the mapping names"
        return "fail", (
            f"{share(one.unreadable, one.given)} of the values are not {expected}; complete 'recode', 'numbers' or "
            "'missing' in the mapping"
        )
    if not one.present and feature.missing == "refused":
        return "fail", "no eligible person has a usable value, and the study refuses missing values"
    strange = [
        f"{share(count, one.given)} {what}"
        for count, what in ((one.out_of_range, "outside the plausible range"), (one.unreadable, "not understood"))
        if count
    ]
    if strange:
        return "pass with exceptions", f"{' and '.join(strange)}; they count as missing"
    return "pass", f"converted from {one.unit_found}" if one.converted else "as the study asks"


def cohort_size(counts: Counts) -> Requirement:
    if not counts.persons:
        return _say("cohort", "fail", "the cohort is empty; see the cohort flow for the step that left nobody")
    if counts.persons < 3:
        reason = "fewer than 3 persons: nothing can be fitted or measured here; they count in summed answers only"
        return _say("cohort", "pass with exceptions", reason)
    if counts.persons < 11:
        return _say("cohort", "pass with exceptions", "fewer than 11 persons: they count in summed answers only")
    return _say("cohort", "pass", f"{band(counts.persons)} persons")


def _label(counts: Counts, study: Study) -> Requirement:
    name = f"label {study.label.name}"
    unknown = counts.whole - counts.persons
    if not counts.whole:
        return _say(name, "not evaluated", "nobody is left to have an outcome")
    if not counts.persons or (counts.whole >= ENOUGH and unknown > 0.5 * counts.whole):
        part = share(unknown, counts.whole) if counts.persons else "all"
        reason = f"the outcome is unknown for {part}; check 'positive' and 'negative' of the label in the mapping"
        return _say(name, "fail", reason)
    if counts.events in (0, counts.persons):
        which = "has" if counts.events else "lacks"
        if counts.persons >= ENOUGH:
            reason = f"everybody {which} the outcome; check 'positive' and 'negative' of the label in the mapping"
            return _say(name, "fail", reason)
        return _say(name, "pass with exceptions", "one class only: no model or figure of its own; counts in sums")
    if unknown:
        reason = f"the outcome is unknown for {share(unknown, counts.whole)}; they were left out"
        return _say(name, "pass with exceptions", reason)
    return _say(name, "pass", "both classes")

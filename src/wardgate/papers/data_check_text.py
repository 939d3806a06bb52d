"""A data check on one screen of a terminal."""

from collections.abc import Iterator

from wardgate.papers.words import listed
from wardgate.records.data_check import DataCheck, FeatureCheck

STATES = ("fail", "not evaluated", "pass with exceptions", "pass")
"""Worst first: what stops a hospital stands on top."""


def check_text(record: DataCheck) -> str:
    """Return the record as plain text, worst requirement first. Pure."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: DataCheck) -> Iterator[str]:
    yield f"{record.site}: {record.source}"
    yield f"  study {record.study_id} version {record.study_version}, sha256 {record.study_sha256[:16]}..."
    yield "Cohort flow"
    yield from (f"  {step.persons:>24}  {step.step}" for step in record.flow)
    if record.features:
        yield f"Features {'':<27}known  outside  units found"
        yield from (_feature(one) for one in record.features)
    if record.prevalence is not None:
        yield f"Outcome '{record.label}': about {float(record.prevalence.share):.1%} of {record.persons_band} persons"
    yield "Requirements"
    ranked = sorted(record.requirements, key=lambda one: STATES.index(one.state))
    yield from (f"  {one.state:<20}  {one.name}: {one.reason}" for one in ranked)
    yield "The data satisfy the study." if record.satisfies else "The data do not satisfy the study:"
    yield from (f"  {reason}" for reason in record.reasons)


def _feature(one: FeatureCheck) -> str:
    units = tuple(
        f"{unit.unit or 'no unit'}{_of(unit.share)}{'' if unit.converted is None else ' converted' * unit.converted}"
        for unit in one.units
    )
    return f"  {one.feature:<32}{_share(one.coverage):>7}{_share(one.out_of_range):>9}  {listed(units)}".rstrip()


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _of(share: float | None) -> str:
    return "" if share is None else f" {share:.0%}"

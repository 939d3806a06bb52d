"""What one hospital's data deliver for a study: the same record for the hospital's eyes and for the consortium's.

No count of 1 to 10 persons stands in it, nor can one be worked out from it by subtraction.
"""

from typing import Literal

from pydantic import Field

from wardgate.records.record import Digest, Name, Number, Record
from wardgate.records.results import FlowStep, Requirement

SCHEMA = "wardgate/data-check/1"

OTHER_UNITS = "other units"
"""Stands for all units that are too rare to be named: what is typed rarely may be anything."""


class UnitSeen(Record):
    """Values of one feature in one unit.

    Attributes:
        unit: As recorded, or `other units`; absent where values came without one.
        share: Of the values, rounded to 0.01; absent where that would tell of fewer than eleven.
        converted: Whether they were converted to the study's unit; absent where no way is known, so that the values
            count as missing.
    """

    unit: str | None = None
    share: Number | None = None
    converted: bool | None = None


class FeatureCheck(Record):
    """One feature. Shares are rounded to 0.01, and absent where they would tell of fewer than eleven.

    Attributes:
        unit: The study's.
        coverage: Share of eligible entries with a usable value.
        out_of_range: Share of the values outside the plausible range; they count as missing.
        without_unit: Share of the values that came without a unit.
        units: Units found, most frequent first.
    """

    feature: Name
    unit: str | None = None
    coverage: Number | None = None
    out_of_range: Number | None = None
    without_unit: Number | None = None
    units: tuple[UnitSeen, ...] = ()


class Prevalence(Record):
    """Share of persons with the outcome, rounded to a step of at least eleven persons."""

    share: Number
    step: Number


class DataCheck(Record):
    """One hospital's data, checked against one study.

    Attributes:
        study_sha256: Of the study's canonical bytes.
        source: What the data were read from, in words.
        persons_band: Persons in the cohort.
        satisfies: Whether the hospital can take part; `reasons`, why not.
        flow: Cohort flow; `persons` is a count of at least 11, `<11`, or words.
        features: In the study's order; empty where the study's policy asks for noise in every figure.
        prevalence: Absent where fewer than eleven have, or have not, the outcome.
    """

    schema_: Literal["wardgate/data-check/1"] = Field(default="wardgate/data-check/1", alias="schema")
    study_id: Name
    study_version: int
    study_sha256: Digest
    site: Name
    source: str = Field(max_length=200)
    label: Name
    persons_band: str
    satisfies: bool
    reasons: tuple[str, ...] = ()
    flow: tuple[FlowStep, ...] = ()
    features: tuple[FeatureCheck, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    prevalence: Prevalence | None = None

"""How the numbers of a concept set are read: from each unit that the source uses into the study's, on its decimal step.

A unit without a known conversion gives no number: what is not understood is missing, and counted.
"""

from dataclasses import dataclass

from wardgate.hospital.ward.cohort.from_events.decimals import Steps, steps_of
from wardgate.hospital.ward.cohort.units import Linear, analyte, conversion, loinc_of
from wardgate.hospital.ward.source.events import Pick
from wardgate.records.concepts import ConceptSet
from wardgate.records.entry import Criterion
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

NO_UNIT = ""
"""A number without a unit is read as a bare number: right for scores, unknown for everything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How single values become numbers of the study.

    Attributes:
        target: The feature whose unit and range are meant; conversions go by it.
        loinc: LOINC codes of the concept set; they tell the analyte where the feature's own do not.
        steps: Its range on the decimal step.
    """

    target: Feature
    loinc: tuple[str, ...]
    steps: Steps

    @property
    def analyte(self) -> str | None:
        """What is measured, where the table of units knows it; mass becomes molar only by it."""
        return analyte(self.target, loinc=self.loinc)

    def conversion(self, unit: str | None) -> Linear | None:
        """Return how values in this unit are converted, None where that is not known."""
        return conversion(unit or NO_UNIT, self.target, loinc=self.loinc)


def reading_of_feature(feature: Feature, pick: Pick) -> Reading:
    """Return how the numbers of a feature's events are read; those of a slope have a unit and a range of their own."""
    unit, bounds = feature.unit, feature.range
    if feature.aggregation == "slope":
        unit, bounds = feature.value_unit, feature.value_range
    if bounds is None:
        raise Invalid(f"feature '{feature.name}' has no range; its values cannot be judged")
    target = feature.model_copy(
        update={"unit": unit, "range": bounds},
    )
    return Reading(target=target, loinc=_loinc(pick), steps=steps_of(bounds, whole=feature.type == "integer"))


def reading_of_criterion(criterion: Criterion, pick: Pick) -> Reading:
    """Return how the numbers that a rule asks for are read; the analyte goes by the concept set's name and code."""
    low, high = criterion.value or (0.0, 0.0)
    target = Feature(
        name=criterion.concepts,
        type="number",
        unit=criterion.unit,
        range=(low, high) if low < high else (low, low + 1.0),
    )
    return Reading(target=target, loinc=_loinc(pick), steps=steps_of((low, high)))


def _loinc(pick: Pick) -> tuple[str, ...]:
    """The LOINC codes of a concept set, which say the analyte."""
    return loinc_of(ConceptSet(concepts=pick.concepts)) if pick.concepts else ()

"""A cohort's flow and quality as others may see them: no count of 1 to 10 persons, given or by difference."""

from collections.abc import Iterator

from wardgate.hospital.ward.cohort.cohort import Cohort
from wardgate.hospital.ward.cohort.findings import Quality
from wardgate.records.bands import shown
from wardgate.records.results import FeatureQuality, FlowStep


def shown_flow(cohort: Cohort, *, minimum: int) -> tuple[FlowStep, ...]:
    """Return the flow; a step that leaves out 1 to `minimum` - 1 persons is told against the last count shown."""
    return tuple(_flow(cohort, minimum))


def _flow(cohort: Cohort, minimum: int) -> Iterator[FlowStep]:
    last: int | None = None
    for step in cohort.flow:
        if step.persons < minimum:
            text = shown(step.persons, minimum=minimum)
        elif last is not None and 0 < last - step.persons < minimum:
            text = f"{last} less fewer than {minimum}"
        else:
            text, last = str(step.persons), step.persons
        yield FlowStep(step=step.step, persons=text)


def shown_quality(cohort: Cohort, *, minimum: int) -> tuple[FeatureQuality, ...]:
    """Return shares rounded to 0.01; absent where 1 to `minimum` - 1 persons stand on either side.

    The share out of range is absent too where as few persons have nothing, or nothing readable: the two shares and
    the number of persons would together give them.
    """
    return tuple(
        FeatureQuality(
            feature=one.feature,
            present=_share(one.present, one.total, minimum),
            out_of_range=_share(one.out_of_range, one.total, minimum) if _apart(one, minimum) else None,
            unit_found=one.unit_found,
            converted=one.converted,
        )
        for one in cohort.quality
    )


def _apart(one: Quality, minimum: int) -> bool:
    cells = (one.present, one.out_of_range, one.unreadable, one.total - one.given)
    return all(count == 0 or count >= minimum for count in cells)


def _share(part: int, whole: int, minimum: int) -> float | None:
    rest = whole - part
    safe = whole >= minimum and (part == 0 or part >= minimum) and (rest == 0 or rest >= minimum)
    return round(part / whole, 2) if safe else None

"""What was found of a study's features in a hospital's events. Raw counts: never leaves the ward."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFound:
    """Values of one feature in one unit.

    Attributes:
        unit: As recorded; None where there was none and `source.yaml` names none either.
        values: How many values in the windows of eligible entries.
        converted: Whether they were converted; None where no conversion is known, so that they count as missing.
        quantiles: Of all values of the source as recorded, in the windows or not: 5, 25, 50, 75 and 95 %, to three
            significant digits.
    """

    unit: str | None
    values: int
    converted: bool | None
    quantiles: tuple[float, float, float, float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFound:
    """One feature over the eligible entries.

    Attributes:
        codes: Codes of the source that its concept sets stand for.
        entries: Eligible entries.
        with_value: Of them, those that have a value of the feature in the end.
        with_events: Of them, those with any event of its concept sets in the window.
        values: Events in the windows.
        without_number: Of the values, those that should hold a number and hold none.
        out_of_range: Of the values, those outside the plausible range after conversion; left out.
        units: By unit, most frequent first.
    """

    feature: str
    codes: int
    entries: int
    with_value: int
    with_events: int
    values: int = 0
    without_number: int = 0
    out_of_range: int = 0
    units: tuple[UnitFound, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryStep:
    """One step of the cohort flow: entries and persons left after it."""

    step: str
    entries: int
    persons: int

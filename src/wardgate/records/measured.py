"""A measured value. Never a bare number: an interval and a sample size come with it."""

from pydantic import Field

from wardgate.records.record import AnyNumber, Record


class Measured(Record):
    """One measured value with its interval.

    Attributes:
        name: What was measured, e.g. `membership.auc`.
        value: The estimate. NaN says that it could not be computed; no rule passes on NaN.
        low: Lower end of the interval.
        high: Upper end of the interval.
        level: Confidence level of the interval, in (0, 1).
        n: Sample sizes behind it, in the measure's documented order.
        note: One sentence for people, where a number alone would mislead.
    """

    name: str
    value: AnyNumber
    low: AnyNumber
    high: AnyNumber
    level: AnyNumber = 0.95
    n: tuple[int, ...] = Field(default=())
    note: str = ""

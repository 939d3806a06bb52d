"""Values on a decimal step: whole numbers of steps, so that sums are exact and every engine finds the same.

A double's last bits depend on the order of additions; whole numbers do not. The step is the study's: about a
thousand-millionth of the plausible range's larger end, nine significant digits.
"""

import math
from dataclasses import dataclass
from decimal import Decimal

import ibis

from wardgate.hospital.ward.cohort.from_events.asked import double
from wardgate.hospital.ward.source.events import Expression

DIGITS = 9
LARGEST, SMALLEST = 1e100, 1e-100
"""What is larger is no number that anybody measured, and what is smaller is zero. So nothing overflows, which engines
would treat differently; infinity and NaN are beyond the largest number in every engine."""

FARTHEST = 2.0**52
"""More steps than any plausible range has, and few enough for a whole number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The step of a plausible range, as `value * up / down` steps; one of the two is 1.

    Attributes:
        low, high: The range in whole steps, both ends included.
    """

    up: float
    down: float
    low: int
    high: int

    def value(self, steps: float) -> float:
        """Return the number that so many steps are."""
        return steps * self.down / self.up


def steps_of(bounds: tuple[float, float], *, whole: bool = False) -> Steps:
    """Return the step of a plausible range.

    Args:
        bounds: [low, high] in the study's unit.
        whole: For integers: what rounds to inside is inside.
    """
    largest = max(abs(bounds[0]), abs(bounds[1])) or 1.0
    digits = DIGITS - 1 - Decimal(repr(float(largest))).adjusted()
    up, down = (float(10**digits), 1.0) if digits >= 0 else (1.0, float(10**-digits))
    if whole:
        low, high = _steps(bounds[0] - 0.5, up, down) + 1, _steps(bounds[1] + 0.5, up, down) - 1
    else:
        low, high = _steps(bounds[0], up, down), _steps(bounds[1], up, down)
    return Steps(up=up, down=down, low=low, high=high)


def _steps(value: float, up: float, down: float) -> int:
    return math.floor(value * up / down + 0.5)


def in_steps(
    value: Expression, *, factor: Expression, offset: Expression, up: Expression, down: Expression
) -> Expression:
    """Return a number in whole steps: converted, scaled, half a step rounded up. Beyond any range, the farthest step.

    The operations and their order are those of every engine; multiplied out by hand they would differ in the last bit.
    """
    scaled = (value * factor + offset) * up / down + double(0.5)
    return ibis.least(ibis.greatest(scaled, double(-FARTHEST)), double(FARTHEST)).floor()


def measured(value: Expression) -> Expression:
    """Return a value where it is a number at all, else null."""
    size = value.abs()
    number = size.between(double(SMALLEST), double(LARGEST))
    return ibis.cases((number, value), (size < double(SMALLEST), double(0.0)), else_=ibis.null("float64"))

"""Intervals for shares, AUROCs and differences of AUROCs. Persons are the unit, never synthetic rows."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm, rankdata

from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]


def two_sided(bound_level: float, attempt: int) -> float:
    """Return the level of a two-sided interval whose ends are one-sided bounds, widened over attempts (Bonferroni).

    >>> two_sided(0.95, 1), round(two_sided(0.95, 2), 3)
    (0.9, 0.95)
    """
    if not 0.5 < bound_level < 1 or attempt < 1:
        raise Invalid(f"expected a bound level in (0.5, 1) and an attempt from 1 on, found {bound_level}, {attempt}")
    return round(1 - 2 * (1 - bound_level) / attempt, 12)


def clopper_pearson(successes: int, trials: int, *, level: float) -> tuple[float, float]:
    """Return the exact interval of a binomial share; never narrower than its level.

    Raises:
        Invalid: no trials, or successes outside 0 to trials.

    Reference: Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise Invalid(f"expected successes within 0 to trials and at least one trial, found {successes} of {trials}")
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, successes, trials - successes + 1)) if successes else 0.0
    high = float(beta.ppf(1 - tail, successes + 1, trials - successes)) if successes < trials else 1.0
    return low, high


def normal(value: float, deviation: float, *, level: float) -> tuple[float, float]:
    """Return value -/+ z x deviation."""
    reach = float(norm.ppf(0.5 + level / 2)) * deviation
    return value - reach, value + reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Placements:
    """DeLong's structural components of one score: how each event stands among non-events, and the other way."""

    events: Vector
    non_events: Vector

    @property
    def auroc(self) -> float:
        return float(np.mean(self.events))


def placements(event: NDArray[np.bool_], score: Vector) -> Placements:
    """Return DeLong's components, ties counted one half.

    Args:
        event: Shape (n,).
        score: Shape (n,), higher meaning more likely an event.

    Raises:
        Invalid: one class only; there is no AUROC.

    Reference: DeLong et al. 1988, doi:10.2307/2531595; mid-ranks as in Sun and Xu 2014, doi:10.1109/LSP.2014.2337313.
    """
    m, n = int(np.sum(event)), int(np.sum(~event))
    if not m or not n:
        raise Invalid("an AUROC needs both classes; found one")
    every = rankdata(score)
    return Placements(
        events=(every[event] - rankdata(score[event])) / n,
        non_events=1 - (every[~event] - rankdata(score[~event])) / m,
    )


def _variance(values: Vector) -> float:
    return float(np.var(values, ddof=1) / len(values)) if len(values) > 1 else math.inf


def delong(event: NDArray[np.bool_], score: Vector, *, level: float) -> tuple[float, float, float]:
    """Return an AUROC with its interval: (value, low, high), the ends within [0, 1]."""
    parts = placements(event, score)
    deviation = math.sqrt(_variance(parts.events) + _variance(parts.non_events))
    low, high = normal(parts.auroc, deviation, level=level)
    return parts.auroc, max(0.0, low), min(1.0, high)


def delong_difference(
    event: NDArray[np.bool_], first: Vector, second: Vector, *, level: float
) -> tuple[float, float, float]:
    """Return AUROC(first) - AUROC(second) on the same persons with its paired interval: (value, low, high)."""
    one, two = placements(event, first), placements(event, second)
    variance = _variance(one.events - two.events) + _variance(one.non_events - two.non_events)
    value = one.auroc - two.auroc
    return value, *normal(value, math.sqrt(variance), level=level)


def bootstrap_deviation(
    statistic: Callable[[Vector], float], persons: int, *, draws: int, rng: np.random.Generator
) -> float:
    """Return the standard deviation of a statistic over resampled persons.

    Args:
        statistic: From weights of the persons, shape (persons,), adding up to `persons`, to a number.
        draws: Resamples.
    """
    shares = np.full(persons, 1.0 / persons)
    values = [statistic(rng.multinomial(persons, shares).astype(np.float64)) for _ in range(draws)]
    return float(np.std(values, ddof=1))

"""Does a predicted risk come true: observed over expected, slope, curve, and a one-parameter recalibration."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import beta as beta_distribution
from scipy.stats import norm

from wardgate.records.measured import Measured

Vector = NDArray[np.float64]


def observed_over_expected(events: float, expected: float, *, persons: int, level: float = 0.95) -> Measured:
    """O/E with a log-normal interval (delta method on the observed count). A calibrated model scores 1."""
    if events <= 0 or expected <= 0:
        return Measured(name="oe", value=np.nan, low=np.nan, high=np.nan, level=level, n=(persons,))
    value = events / expected
    reach = float(norm.ppf(0.5 + level / 2)) * np.sqrt(max(1 - events / max(persons, 1), 0.0) / events)
    return Measured(
        name="oe",
        value=value,
        low=float(value * np.exp(-reach)),
        high=float(value * np.exp(reach)),
        level=level,
        n=(persons,),
    )


def slope_of_counts(logits: Vector, events: Vector, non_events: Vector, *, level: float = 0.95) -> Measured:
    """Calibration slope: coefficient of logit(p) in a logistic regression of the outcome on it.

    Args:
        logits: Mean logit of each bin, shape (b,).
        events, non_events: Counts, shape (b,).

    Returns:
        NaN where the slope is not identified (one class, or all persons in one bin). A calibrated model scores 1,
        an overfitted one less.

    Reference: Cox 1958; Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7.
    """
    total = np.maximum(events + non_events, 0.0)
    persons = round(float(total.sum()))
    unknown = Measured(name="slope", value=np.nan, low=np.nan, high=np.nan, level=level, n=(persons,))
    if min(events.sum(), non_events.sum()) <= 0 or np.count_nonzero(total) < 3:
        return unknown
    x = np.column_stack([np.ones_like(logits), logits])
    coefficients = np.array([0.0, 1.0])
    hessian = np.eye(2)
    for _ in range(50):
        p = expit(x @ coefficients)
        gradient = x.T @ (events - total * p)
        hessian = x.T @ (x * (total * p * (1 - p))[:, None])
        if np.linalg.cond(hessian) > 1e12:
            return unknown
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 2.0 / float(np.max(np.abs(step)) + 1e-12))
        coefficients = coefficients + step
        if float(np.max(np.abs(step))) < 1e-9:
            break
    reach = float(norm.ppf(0.5 + level / 2)) * float(np.sqrt(np.linalg.inv(hessian)[1, 1]))
    value = float(coefficients[1])
    return Measured(name="slope", value=value, low=value - reach, high=value + reach, level=level, n=(persons,))


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One group of a calibration curve."""

    predicted: float
    observed: float
    low: float
    high: float
    share: float


def curve_of_counts(
    logits: Vector, events: Vector, non_events: Vector, *, groups: int = 10, minimum: int = 11
) -> tuple[CurvePoint, ...]:
    """Calibration curve: neighbouring bins merged to about equal groups, none below `minimum` persons.

    Intervals are Clopper-Pearson at 95 %. Returns nothing where there are too few persons for two groups.
    """
    total = np.maximum(events + non_events, 0.0)
    size = max(float(total.sum()) / groups, float(minimum))
    points: list[CurvePoint] = []
    start = 0
    edges: list[tuple[int, int]] = []
    for stop in range(1, len(total) + 1):
        if total[start:stop].sum() >= size:
            edges.append((start, stop))
            start = stop
    if edges and start < len(total):
        edges[-1] = (edges[-1][0], len(total))
    if len(edges) < 2:
        return ()
    for first, last in edges:
        n = float(total[first:last].sum())
        k = float(np.clip(events[first:last].sum(), 0.0, n))
        points.append(
            CurvePoint(
                predicted=float(np.sum(total[first:last] * expit(logits[first:last])) / n),
                observed=k / n,
                low=float(beta_distribution.ppf(0.025, k, n - k + 1)) if k > 0 else 0.0,
                high=float(beta_distribution.ppf(0.975, k + 1, n - k)) if k < n else 1.0,
                share=n / float(total.sum()),
            )
        )
    return tuple(points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A recalibrated intercept.

    Attributes:
        value: What is added to every logit.
        deviation: Standard error of the unshrunk estimate; its floor is 1 / sqrt(n p (1 - p)).
        records: Local records used.
    """

    value: float
    deviation: float
    records: int


def recalibrate(y: NDArray[np.int8], logits: Vector, *, prior_deviation: float) -> Shift:
    """Estimate one intercept shift from a few local records, shrunk towards 0.

    The estimate is the posterior mode under a normal prior with mean 0 and `prior_deviation`: few records move
    little, many move all the way. With no records the shift is 0.

    Args:
        y: Labels, shape (n,).
        logits: The joint model's logits, shape (n,).
        prior_deviation: How much calibration-in-the-large differs between hospitals (standard deviation).

    Reference: Steyerberg et al. 2004, doi:10.1002/sim.1844 (shrinkage in local updating).
    """
    if len(y) == 0:
        return Shift(value=0.0, deviation=float("inf"), records=0)
    shift = 0.0
    information = 0.0
    for _ in range(50):
        p = expit(logits + shift)
        information = float(np.sum(p * (1 - p)))
        step = (float(np.sum(y - p)) - shift / prior_deviation**2) / (information + 1 / prior_deviation**2)
        shift += float(np.clip(step, -2.0, 2.0))
        if abs(step) < 1e-10:
            break
    return Shift(value=shift, deviation=float(1 / np.sqrt(max(information, 1e-12))), records=len(y))


def in_the_large(y: NDArray[np.int8], logits: Vector) -> Measured:
    """Calibration-in-the-large: the intercept shift that would make the mean prediction right. Calibrated: 0."""
    if len(np.unique(y)) < 2:
        return Measured(name="calibration-in-the-large", value=np.nan, low=np.nan, high=np.nan, n=(len(y),))
    shift = recalibrate(y, logits, prior_deviation=1e6)
    reach = 1.959964 * shift.deviation
    return Measured(
        name="calibration-in-the-large",
        value=shift.value,
        low=shift.value - reach,
        high=shift.value + reach,
        n=(len(y),),
    )

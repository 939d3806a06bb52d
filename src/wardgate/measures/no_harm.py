"""Is a changed training set better for patients? Net benefit and calibration of two models on the same persons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from wardgate.measures.calibration import observed_over_expected
from wardgate.measures.discrimination import auroc
from wardgate.measures.logistic import linear, probability
from wardgate.records.errors import Invalid
from wardgate.records.measured import Measured

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Labels = NDArray[np.int8]

LEAST = 11
"""Events and non-events below which nothing can be told."""

DRAWS = 400
"""Resamples of persons behind an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One model on persons that it was not trained on."""

    auroc: Measured
    oe: Measured
    slope: float
    brier: float
    net_benefit: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether the change may be used.

    Attributes:
        accepted: Only where the Brier score improves for certain, and net benefit and calibration improve too.
        reasons: One sentence a criterion, those that passed too.
        thresholds: At which risk a person would be treated.
        net_benefit: Gain (after less before), the mean over thresholds; absent where too few could be judged.
        at: Gain in net benefit at each threshold.
        brier: Gain (before less after), above 0 being better.
        miscalibration: Gain (before less after) in log-loss per person that a refit of intercept and slope would save.
        before, after: Figures of each model.
        events, non_events: Persons judged on.
    """

    accepted: bool
    reasons: tuple[str, ...]
    thresholds: tuple[float, ...]
    net_benefit: Measured | None = None
    at: tuple[Measured, ...] = ()
    brier: Measured | None = None
    miscalibration: Measured | None = None
    before: Scored | None = None
    after: Scored | None = None
    events: int
    non_events: int


def benefits(y: Labels, logits: Vector, thresholds: Sequence[float]) -> Matrix:
    """Return what treating at each threshold does for each person, shape (n, thresholds); their mean is net benefit.

    A treated event counts 1, a treated non-event costs the odds of the threshold.

    Reference: Vickers and Elkin 2006, doi:10.1177/0272989X06295361.
    """
    limits = np.asarray(thresholds, dtype=np.float64)
    treated = probability(logits)[:, None] >= limits
    return np.asarray(treated * np.where(y[:, None] == 1, 1.0, -(limits / (1 - limits))))


def refit(y: Labels, logits: Vector, weights: Vector, *, start: Vector | None = None, rounds: int = 25) -> Vector:
    """Return intercept and slope of the outcome on the logits, shape (2,).

    The slope is drawn towards 1 by as much as one person could, so that it is finite where the logits separate.
    """
    x = np.column_stack([np.ones_like(logits), logits])
    prior = np.array([0.0, 0.25])
    found = np.array([0.0, 1.0]) if start is None else start.copy()
    for _ in range(rounds):
        p = expit(x @ found)
        gradient = x.T @ (weights * (y - p)) - prior * (found - np.array([0.0, 1.0]))
        hessian = x.T @ (x * (weights * p * (1 - p))[:, None]) + np.diag(prior + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 2.0 / (float(np.max(np.abs(step))) + 1e-12))
        found = found + step
        if float(np.max(np.abs(step))) < 1e-7:
            break
    return np.asarray(found)


def _losses(y: Labels, eta: Vector) -> Vector:
    return np.asarray(np.logaddexp(0.0, eta) - y * eta)


def _miscalibration(y: Labels, logits: Vector, weights: Vector, start: Vector | None = None) -> tuple[float, Vector]:
    """Return the log-loss per person that a refit saves, and the refit."""
    found = refit(y, logits, weights, start=start)
    saved = _losses(y, logits) - _losses(y, found[0] + found[1] * logits)
    return float(weights @ saved / weights.sum()), found


def judge(
    y: Labels,
    before: Vector,
    after: Vector,
    *,
    thresholds: Sequence[float],
    rng: np.random.Generator,
    level: float = 0.9,
    draws: int = DRAWS,
) -> Decision:
    """Decide whether the second model is better than the first.

    Accepted where the gain in Brier score is above 0 with the low end of its interval, the gain in net benefit (mean
    over thresholds) is above 0, and a refit of intercept and slope would save no more than before. The Brier score has
    to be certain because it averages what decisions cost over all thresholds and so tells most; net benefit at a few
    thresholds moves with the few persons whose predictions cross them. Intervals are paired: persons are resampled
    with both predictions. Two models of equal Brier score are accepted in at most (1 - level) / 2 of cases.

    Args:
        y: Outcomes of persons whom neither model was trained on, shape (n,).
        before, after: Their logits under each model, shape (n,).
        thresholds: Risks at which somebody would be treated, each in (0, 1).

    Raises:
        Invalid: shapes that differ, numbers that are not finite, no threshold or one outside (0, 1).
    """
    limits = tuple(float(one) for one in thresholds)
    if not limits or not all(0 < one < 1 for one in limits):
        raise Invalid("expected at least one threshold, each between 0 and 1")
    if not y.shape == before.shape == after.shape or y.ndim != 1:
        raise Invalid(f"expected one outcome and two logits a person, found {y.shape}, {before.shape}, {after.shape}")
    if not (np.isfinite(before).all() and np.isfinite(after).all() and np.isin(y, (0, 1)).all()):
        raise Invalid("a logit is NaN or infinite, or an outcome is neither 0 nor 1")
    if not 0 < level < 1 or draws < 50:
        raise Invalid(f"expected a level in (0, 1) and at least 50 draws, found {level} and {draws}")
    events, non_events = int(y.sum()), int(len(y) - y.sum())
    if min(events, non_events) < LEAST:
        few = f"Fewer than {LEAST} persons with or without the outcome: too few to tell, so it is not used."
        return Decision(accepted=False, reasons=(few,), thresholds=limits, events=events, non_events=non_events)
    gained = benefits(y, after, limits) - benefits(y, before, limits)
    squared = (probability(before) - y) ** 2 - (probability(after) - y) ** 2
    resampled = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size=draws).astype(np.float64)
    shares = resampled / len(y)
    n = (events, non_events)

    def measured(name: str, value: float, drawn: Vector) -> Measured:
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return Measured(
            name=name, value=value, low=min(float(low), value), high=max(float(high), value), level=level, n=n
        )

    at = tuple(
        measured(f"net-benefit at {limit:g}, gain", float(column.mean()), shares @ column)
        for limit, column in zip(limits, gained.T, strict=True)
    )
    mean = gained.mean(axis=1)
    benefit = measured("net-benefit, gain", float(mean.mean()), shares @ mean)
    brier = measured("brier, gain", float(squared.mean()), shares @ squared)
    ones = np.ones(len(y))
    (old, old_fit), (new, new_fit) = (_miscalibration(y, logits, ones) for logits in (before, after))
    drawn = np.array(
        [
            _miscalibration(y, before, weights, old_fit)[0] - _miscalibration(y, after, weights, new_fit)[0]
            for weights in resampled[: max(50, draws // 4)]
        ]
    )
    miscalibration = measured("miscalibration, gain", old - new, drawn)
    passed = (benefit.value > 0, brier.low > 0, miscalibration.value >= 0)
    return Decision(
        accepted=all(passed),
        reasons=(
            _sentence("Net benefit", "improves", "does not improve", benefit, passed[0]),
            _sentence("Brier score", "improves for certain", "does not improve for certain", brier, passed[1]),
            _sentence("Calibration", "does not get worse", "gets worse", miscalibration, passed[2]),
        ),
        thresholds=limits,
        net_benefit=benefit,
        at=at,
        brier=brier,
        miscalibration=miscalibration,
        before=_scored(y, before, float(old_fit[1]), limits, level),
        after=_scored(y, after, float(new_fit[1]), limits, level),
        events=events,
        non_events=non_events,
    )


def _scored(y: Labels, logits: Vector, slope: float, thresholds: Sequence[float], level: float) -> Scored:
    p = probability(logits)
    return Scored(
        auroc=auroc(y, logits, level=level),
        oe=observed_over_expected(float(y.sum()), float(p.sum()), persons=len(y), level=level),
        slope=slope,
        brier=float(np.mean((p - y) ** 2)),
        net_benefit=tuple(float(value) for value in benefits(y, logits, thresholds).mean(axis=0)),
    )


def _sentence(what: str, yes: str, no: str, found: Measured, passed: bool) -> str:
    return f"{what} {yes if passed else no}: gain {found.value:.2g} ({found.low:.2g} to {found.high:.2g})."


def predicted(x: Matrix, beta: Vector) -> Vector:
    """Return logits kept within 20, so that a model that is sure of itself still has a finite loss."""
    return np.asarray(np.clip(linear(x, beta), -20.0, 20.0))

"""A model recalibrated on persons of all hospitals: intercept alone, or intercept and slope (Platt scaling)."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.platt import HESSIAN_WEIGHT, MOST_LOGIT, Platt
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.model_scores import Scoring
from wardgate.measures.logistic import Statistics, objective
from wardgate.models.boosting import BoostingModel
from wardgate.models.linear import LinearModel
from wardgate.models.recalibrated import RecalibratedModel
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import NotEvaluable
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

Vector = NDArray[np.float64]

NOISY_LOGIT = 5.0
"""With noise, logits are cut off sooner: a narrower row carries more signal for the same noise."""

NOISY_ROUNDS = 3
RUNAWAY = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibration:
    """What makes predictions right on average: new logit = intercept + slope x logit.

    Attributes:
        intercept, slope: 0 and 1 leave a model as it is; a slope below 1 says that it was overfitted.
        deviation: Standard errors of both (0 for what was not fitted), without the noise's own part, shape (2,).
        gaussian: What it cost; empty for exact sums.
    """

    intercept: float
    slope: float
    deviation: Vector
    gaussian: tuple[GaussianEvent, ...]
    rounds: int
    bytes_moved: int


def recalibration(
    *,
    study: Study,
    sites: tuple[str, ...],
    model: Scoring,
    intercept_only: bool = False,
    split: SplitName = "tuning",
    epsilon: float | None = None,
    rounds: int = 40,
    tolerance: float = 1e-10,
) -> Generator[Ask, Told, Recalibration]:
    """Fit a logistic regression of the outcome on the model's logit, from sums of two-parameter Newton steps.

    On other persons than those the model was trained on, its slope is the calibration slope; with `intercept_only`
    the intercept is the calibration-in-the-large. Never on the locked test, which nothing is fitted on.

    Args:
        epsilon: What three noisy rounds cost together at the study's delta; they shrink towards leaving the model as
            it is, the more the larger the noise. None for exact sums until convergence.

    Raises:
        NotEvaluable: no finite recalibration: one class, scores that separate it, or all scores alike.
    """
    largest = MOST_LOGIT if epsilon is None else NOISY_LOGIT
    same = np.array([0.0, largest])
    free = np.array([True, not intercept_only])
    if epsilon is not None:
        return (
            yield from _noisy(
                study=study, sites=sites, data=model.to_bytes(), same=same, free=free, split=split, epsilon=epsilon
            )
        )
    data, beta, moved = model.to_bytes(), same, 0
    before: tuple[Vector, float] | None = None
    for asked in range(1, rounds + 1):
        told = yield _ask(study, sites, data, beta, split=split, largest=largest)
        moved += told.bytes_moved
        sums = _statistics(told.sum())
        value = objective(sums, beta, ridge=0.0)
        if before is not None and value < before[1] - 1e-9 * abs(before[1]) - 1e-9:
            beta = 0.5 * (beta + before[0])
            continue
        step = _step(sums.hessian, sums.gradient, free)
        before, beta = (beta, value), beta + step
        if abs(beta[0]) > RUNAWAY or abs(beta[1] / largest) > RUNAWAY:
            break
        if float(np.max(np.abs(step) / [1.0, largest])) < tolerance:
            return Recalibration(
                intercept=float(beta[0]),
                slope=float(beta[1] / largest),
                deviation=_deviation(sums.hessian, free, largest),
                gaussian=(),
                rounds=asked,
                bytes_moved=moved,
            )
    raise NotEvaluable("no finite recalibration was found: one class only, or scores that separate the classes")


def recalibrated(model: LinearModel | BoostingModel, found: Recalibration) -> RecalibratedModel:
    """Return the model with what the recalibration found."""
    return RecalibratedModel.from_plain(
        {
            "schema": "wardgate/model/recalibrated/1",
            "model": model.plain(),
            "intercept": found.intercept,
            "slope": found.slope,
            "noise": "; ".join(
                f"{event.what}: noise multiplier {event.noise_multiplier:.4g}, {event.count} times"
                for event in found.gaussian
            ),
        }
    )


def _noisy(
    *,
    study: Study,
    sites: tuple[str, ...],
    data: bytes,
    same: Vector,
    free: NDArray[np.bool_],
    split: SplitName,
    epsilon: float,
) -> Generator[Ask, Told, Recalibration]:
    multiplier = noise_multiplier_for(epsilon=epsilon, delta=study.budget.delta, count=NOISY_ROUNDS)
    beta, moved, largest = same, 0, float(same[1])
    hessian = np.eye(2)
    for _ in range(NOISY_ROUNDS):
        told = yield _ask(study, sites, data, beta, split=split, largest=largest, noise_multiplier=multiplier)
        moved += told.bytes_moved
        sums = _statistics(told.sum(), weight=HESSIAN_WEIGHT)
        floor = told.noise / HESSIAN_WEIGHT * np.sqrt(2.0)
        values, vectors = np.linalg.eigh(sums.hessian)
        hessian = (vectors * np.maximum(values, floor)) @ vectors.T + np.diag([told.noise, told.noise / largest**2])
        gradient = sums.gradient - np.array([told.noise, told.noise / largest**2]) * (beta - same)
        step = _step(hessian, gradient, free)
        beta = beta + step * min(1.0, 2.0 / max(float(np.max(np.abs(step) / [1.0, largest])), 1e-12))
    return Recalibration(
        intercept=float(beta[0]),
        slope=float(beta[1] / largest),
        deviation=_deviation(hessian, free, largest),
        gaussian=(GaussianEvent(noise_multiplier=multiplier, count=NOISY_ROUNDS, what="recalibration"),),
        rounds=NOISY_ROUNDS,
        bytes_moved=moved,
    )


def _ask(
    study: Study,
    sites: tuple[str, ...],
    data: bytes,
    beta: Vector,
    *,
    split: SplitName,
    largest: float,
    noise_multiplier: float | None = None,
) -> Ask:
    return sum_ask(
        Platt(model=data, beta=beta, largest=largest, noisy=noise_multiplier is not None),
        what="recalibration: one Newton step",
        study=study,
        sites=sites,
        split=split,
        noise_multiplier=noise_multiplier,
    )


def _statistics(total: Vector, weight: float = 1.0) -> Statistics:
    a, b, c = total[2:5] / weight
    loss = float(total[5]) if len(total) > 5 else float("nan")
    return Statistics(gradient=total[:2], hessian=np.array([[a, b], [b, c]]), log_likelihood=loss)


def _step(hessian: Vector, gradient: Vector, free: NDArray[np.bool_]) -> Vector:
    """Return a Newton step in what is free.

    Raises:
        NotEvaluable: nothing holds the step.
    """
    step = np.zeros(2)
    part = hessian[np.ix_(free, free)]
    scale = np.sqrt(np.maximum(np.diag(part), 1e-300))
    if not np.all(np.diag(part) > 1e-9) or np.linalg.cond(part / np.outer(scale, scale)) > 1e13:
        raise NotEvaluable("all scores are alike, or there are no persons: no recalibration can be told from another")
    step[free] = np.linalg.solve(part, gradient[free])
    return step


def _deviation(hessian: Vector, free: NDArray[np.bool_], largest: float) -> Vector:
    found = np.zeros(2)
    found[free] = np.sqrt(np.diag(np.linalg.inv(hessian[np.ix_(free, free)])))
    return np.asarray(found / np.array([1.0, largest]))

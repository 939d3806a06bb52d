"""Cox regression over hospitals by exact sums on shared time bins: equal to the fit on the pooled table."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.cox import Cox
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.glm import freedom_of, read_statistics
from wardgate.measures.glm import Ascent, ascent
from wardgate.measures.outcomes import predictors
from wardgate.measures.survival import Form, Leaving, baseline_hazard, baseline_penalty, joined, partial_likelihood
from wardgate.measures.terms import Term, design_of
from wardgate.models.linear import Predictor
from wardgate.models.survival import CoxModel
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCox:
    """A fitted Cox model and what it cost.

    Attributes:
        model: What predicts.
        covariance: Inverse of the penalised Hessian, shape (p, p), of the coefficients alone; None for a noisy fit.
        log_likelihood: Partial (`breslow`) or of the discrete hazards, without penalty; None for a noisy fit.
        freedom: Effective degrees of freedom; None for a noisy fit.
        gaussian: What the sums cost; empty where they were exact.
        sites: Whose persons the model was fitted on: those that stayed to the end.
        rounds, bytes_moved: Sums asked for, and bytes both ways.
    """

    model: CoxModel
    covariance: Vector | None
    log_likelihood: float | None
    freedom: float | None
    gaussian: tuple[GaussianEvent, ...]
    sites: tuple[str, ...]
    rounds: int
    bytes_moved: int


def cox(
    *,
    study: Study,
    sites: tuple[str, ...],
    time: str,
    form: Form = "breslow",
    bins: int | Sequence[float] = 10,
    terms: Sequence[Term] | None = None,
    ridge: float = 1.0,
    smoothing: float = 10.0,
    baseline_ridge: float = 0.1,
    largest_rate: float = 10.0,
    tolerance: float = 1e-9,
    rounds: int = 60,
) -> Generator[Ask, Told, FittedCox]:
    """Fit by exact sums; the event is the study's label.

    Args:
        time: A numeric feature; persons without it must not be in the study.
        form: `breslow`, or a discrete-time hazard with link `cloglog` or `logistic`.
        bins: Number of equal bins over the time's range, or their edges. Neighbours are joined until observation ended
            in each for at least the study's smallest count of persons; the model holds the edges that were used.
        terms: Predictors; every feature but the time by default.
        baseline_ridge: Discrete time: draws the levels of neighbouring bins together.
        noise: Is refused; see Raises.

    Raises:
        Invalid: parameters that do not fit the study; nobody with the event; separable data; no convergence.
    """
    chosen = predictors(study.features, time) if terms is None else tuple(terms)
    design = design_of(study.features, chosen)
    edges = edges_of(study, time, bins)
    counting = Cox(form="counts", time=time, terms=chosen, edges=edges, beta=np.zeros(0))
    told = yield sum_ask(counting, what="Cox regression: persons by time bin", study=study, sites=sites)
    rounds_asked, moved, present = 1, told.bytes_moved, told.sites or sites
    edges = joined(edges, np.rint(told.sum()), least=study.gate.small_cells.min_count)
    count, p = len(edges) - 1, design.columns - 1
    inner = design.penalty(ridge, smoothing)[1:, 1:]
    if form == "breslow":
        start, penalty, names = np.zeros(p), inner, design.names[1:]
    else:
        start = np.concatenate([np.full(count, -2.0), np.zeros(p)])
        penalty = baseline_penalty(count, p, baseline_ridge=baseline_ridge, ridge=inner)
        names = tuple(f"time bin {number}" for number in range(1, count + 1)) + design.names[1:]
    asked = Cox(form=form, time=time, terms=chosen, edges=edges, beta=start, largest_rate=largest_rate)
    beta, road = start, ascent(start=start, penalty=penalty, names=names, tolerance=tolerance, rounds=rounds)
    next(road)
    left: Leaving | None = None
    while True:
        told = yield sum_ask(
            replace(asked, beta=beta), what=f"Cox regression ({form}): one step", study=study, sites=present
        )
        rounds_asked, moved = rounds_asked + 1, moved + told.bytes_moved
        if told.sites and told.sites != present:
            # A hospital dropped out: climb again from here with those that stayed.
            present = told.sites
            road = ascent(start=beta, penalty=penalty, names=names, tolerance=tolerance, rounds=rounds)
            next(road)
        if form == "breslow":
            left = read_leaving(told.sum(), bins=count, columns=p)
            sums = partial_likelihood(left, beta)
        else:
            sums = read_statistics(told.sum(), len(beta))
        try:
            beta = road.send(sums)
        except StopIteration as done:
            found: Ascent = done.value
            break
    inverse = np.linalg.inv(found.sums.hessian + penalty)
    if left is not None:
        baseline, coefficients, covariance = baseline_hazard(left), found.beta, inverse
    else:
        baseline, coefficients, covariance = found.beta[:count], found.beta[count:], inverse[count:, count:]
    model = cox_model(asked, study, coefficients=coefficients, baseline=baseline)
    return FittedCox(
        model=model,
        covariance=np.asarray(covariance),
        log_likelihood=found.sums.log_likelihood,
        freedom=freedom_of(found.sums, penalty),
        gaussian=(),
        sites=present,
        rounds=rounds_asked,
        bytes_moved=moved,
    )


def cox_model(asked: Cox, study: Study, *, coefficients: Vector, baseline: Vector, noise: str = "") -> CoxModel:
    """Return the model that users hold."""
    if asked.form == "counts":
        raise RuntimeError("counting fits no model")
    used = {term.feature for term in asked.terms}
    return CoxModel(
        form=asked.form,
        time=asked.time,
        features=tuple(feature for feature in study.features if feature.name in used),
        predictors=tuple(Predictor(feature=term.feature, segments=term.segments) for term in asked.terms),
        edges=tuple(float(edge) for edge in asked.edges),
        coefficients=tuple(float(value) for value in coefficients),
        baseline=tuple(float(value) for value in baseline),
        noise=noise,
    )


def read_leaving(total: Vector, *, bins: int, columns: int) -> Leaving:
    """Read the sums by leaving bin out of an exact sum."""
    triangle = columns * (columns + 1) // 2
    blocks = total[bins + columns :].reshape(bins, 1 + columns + triangle)
    second = np.zeros((bins, columns, columns))
    rows, others = np.triu_indices(columns)
    second[:, rows, others] = blocks[:, 1 + columns :]
    second[:, others, rows] = blocks[:, 1 + columns :]
    return Leaving(
        events=np.rint(total[:bins]),
        rows=total[bins : bins + columns],
        risk=blocks[:, 0],
        first=blocks[:, 1 : 1 + columns],
        second=second,
    )


def edges_of(study: Study, time: str, bins: int | Sequence[float]) -> Vector:
    """Return the edges of the time bins.

    Raises:
        Invalid: the time is no number, or not 2 to 100 bins.
    """
    feature = next((feature for feature in study.features if feature.name == time), None)
    if feature is None or feature.range is None:
        raise Invalid(f"the time '{time}' must be a feature of the study that is a number")
    if isinstance(bins, int):
        if not 2 <= bins <= 100:
            raise Invalid(f"expected 2 to 100 time bins, found {bins}")
        return np.linspace(feature.range[0], feature.range[1], bins + 1)
    return np.asarray(bins, dtype=np.float64)

"""Generalised linear models over hospitals by exact sums: equal to Newton on the pooled table."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.glm import Glm
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.measures.encoding import LABEL
from wardgate.measures.glm import Ascent, Family, ascent, solvable
from wardgate.measures.logistic import Statistics
from wardgate.measures.outcomes import outcome_bound, predictors
from wardgate.measures.terms import Term, design_of
from wardgate.models.linear import LinearModel, Predictor
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.study import Study

Vector = NDArray[np.float64]

SMOOTHING_MENU = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Penalties on a curve's bends from which `glm` chooses where none is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fitted regression and what it cost.

    Attributes:
        model: What predicts; the hospitals' own intercepts, where there are any, are not in it.
        covariance: Inverse of the penalised Hessian, shape (p, p); for least squares to be multiplied by the residual
            variance, for Firth's penalty of the likelihood's own Hessian. None for a noisy fit.
        log_likelihood: At the coefficients, without ridge (with Firth's penalty if asked for); None for a noisy fit.
        freedom: Effective degrees of freedom; None for a noisy fit.
        score: AIC (least squares: GCV) of each smoothing in the menu, where one was chosen.
        gaussian: What the sums cost; empty where they were exact.
        sites: Whose persons the model was fitted on: those that stayed to the end.
        rounds, bytes_moved: Sums asked for, and bytes both ways.
    """

    model: LinearModel
    covariance: Vector | None
    log_likelihood: float | None
    freedom: float | None
    score: dict[float, float]
    gaussian: tuple[GaussianEvent, ...]
    sites: tuple[str, ...]
    rounds: int
    bytes_moved: int


def glm(
    *,
    study: Study,
    sites: tuple[str, ...],
    family: Family = "logistic",
    outcome: str = LABEL,
    terms: Sequence[Term] | None = None,
    ridge: float = 1.0,
    smoothing: float | Sequence[float] = SMOOTHING_MENU,
    firth: bool = False,
    site_ridge: float | None = None,
    largest_mean: float | None = None,
    tolerance: float = 1e-9,
    rounds: int = 60,
) -> Generator[Ask, Told, Fitted]:
    """Fit by exact sums.

    Args:
        outcome: `label`, or a feature: a number for `linear`, a count for `poisson`, a boolean for `logistic`.
        terms: Predictors; every feature but the outcome by default, numbers as straight lines.
        ridge: Penalty on every coefficient but the intercept, columns in [-1, 1]; 0 for none.
        smoothing: Penalty on bends of smooth terms, or a menu from which AIC (least squares: GCV) chooses.
        firth: Firth's penalised likelihood, beside the ridge; with ridge 0 it is Firth's own, and finite for separable
            data. Two sums a round.
        site_ridge: Give each hospital an intercept of its own, shrunk by this ridge towards the common one. It is
            maximised out at the hospital and stays there; the model holds the common intercept.
        largest_mean: `poisson`: beyond this mean the likelihood goes on as a line, which bounds one person. Four times
            the outcome's upper bound by default.

    Raises:
        Invalid: parameters that do not fit the study; one class only, separable data, columns that cannot be told
            apart; no convergence. The message says what to do.
        Unsupported: Firth's penalty with site intercepts, or for another family than logistic.
    """
    if firth and (family != "logistic" or site_ridge is not None):
        raise Unsupported("Firth's penalty is built for logistic regression without site intercepts")
    asked = replace(
        first_question(study=study, family=family, outcome=outcome, terms=terms, largest_mean=largest_mean),
        site_ridge=site_ridge,
    )
    design = asked.design(study)
    menu = tuple(sorted({float(one) for one in _listed(smoothing)}, reverse=True)) if design.smooth else (0.0,)
    if not menu:
        raise Invalid("the menu of smoothing parameters is empty; give at least one number")
    if family == "linear" and site_ridge is not None and len(menu) > 1:
        raise Unsupported("choosing the smoothing needs the number of persons, which site intercepts hide; give one")
    asker = _Asker(study=study, sites=sites, asked=asked, firth=firth)
    climb = _Climb(ridge=ridge, tolerance=tolerance, rounds=rounds, start=np.zeros(design.columns))
    while True:
        asked_of = asker.sites
        found, penalty, scores = yield from _best(menu, climb, asker)
        if asker.sites == asked_of:
            return _fitted(asked, study, found, penalty, asker, scores if len(menu) > 1 else {})
        # A hospital dropped out on the way: choose again among those that stayed, from where the fit stands.
        climb.start = found.beta


def first_question(
    *, study: Study, family: Family, outcome: str, terms: Sequence[Term] | None, largest_mean: float | None
) -> Glm:
    """Return the first question of a fit, at coefficients 0."""
    chosen = predictors(study.features, outcome) if terms is None else tuple(terms)
    bound = outcome_bound(family, outcome, study.features)
    return Glm(
        family=family,
        outcome=outcome,
        terms=chosen,
        beta=np.zeros(design_of(study.features, chosen).columns),
        largest_mean=4.0 * bound if largest_mean is None else largest_mean,
    )


def criterion(family: Family, sums: Statistics, penalty: Vector) -> float:
    """Return what chooses the smoothing, smaller being better: AIC, or GCV for least squares.

    For least squares the Hessian's first entry counts the persons.

    Reference: Wood (2017), Generalized Additive Models: An Introduction with R, 2nd edition, chapter 6.
    """
    freedom = freedom_of(sums, penalty)
    if family == "linear":
        persons = float(sums.hessian[0, 0])
        return -2.0 * sums.log_likelihood * persons / max(persons - freedom, 1e-9) ** 2
    return 2.0 * freedom - 2.0 * sums.log_likelihood


def freedom_of(sums: Statistics, penalty: Vector) -> float:
    """Return the effective degrees of freedom: trace of (H + penalty)^-1 H."""
    return float(np.trace(np.linalg.solve(sums.hessian + penalty, sums.hessian)))


def model_of(asked: Glm, study: Study, beta: Vector, *, noise: str = "") -> LinearModel:
    """Return the model that users hold."""
    used = {term.feature for term in asked.terms} | {asked.outcome}
    return LinearModel(
        family=cast(Literal["logistic", "linear", "poisson"], asked.family),
        outcome=asked.outcome,
        features=tuple(feature for feature in study.features if feature.name in used),
        predictors=tuple(Predictor(feature=term.feature, segments=term.segments) for term in asked.terms),
        coefficients=tuple(float(value) for value in beta),
        largest_mean=asked.largest_mean,
        noise=noise,
    )


def read_statistics(total: Vector, columns: int) -> Statistics:
    """Read gradient, upper triangle and log-likelihood out of an exact sum."""
    triangle = columns * (columns + 1) // 2
    hessian = np.zeros((columns, columns))
    hessian[np.triu_indices(columns)] = total[columns : columns + triangle]
    hessian = hessian + np.triu(hessian, 1).T
    return Statistics(gradient=total[:columns], hessian=hessian, log_likelihood=float(total[-1]))


def moved(sums: Statistics, beta: Vector) -> Statistics:
    """Return least-squares sums at `beta` from those at 0: the one sum of moments answers every question."""
    gain = sums.log_likelihood + float(sums.gradient @ beta) - 0.5 * float(beta @ sums.hessian @ beta)
    return Statistics(gradient=sums.gradient - sums.hessian @ beta, hessian=sums.hessian, log_likelihood=gain)


@dataclass(slots=True, kw_only=True)
class _Asker:
    """Asks for sums at a coefficient vector, and counts. Least squares asks once."""

    study: Study
    sites: tuple[str, ...]
    asked: Glm
    firth: bool
    rounds: int = 0
    bytes_moved: int = 0
    _moments: Statistics | None = None

    def at(self, beta: Vector, penalty: Vector) -> Generator[Ask, Told, Statistics]:
        if self._moments is not None:
            return moved(self._moments, beta)
        linear = self.asked.family == "linear"
        total = yield from self._total(replace(self.asked, beta=np.zeros_like(beta) if linear else beta))
        sums = read_statistics(total, len(beta))
        if linear:
            self._moments = sums
            return moved(sums, beta)
        if not self.firth:
            return sums
        matrix = solvable(sums.hessian + penalty, names=self.asked.design(self.study).names)
        more = yield from self._total(
            replace(self.asked, beta=beta, wants="firth", inverse=np.asarray(np.linalg.inv(matrix)))
        )
        return Statistics(
            gradient=sums.gradient + more,
            hessian=sums.hessian,
            log_likelihood=sums.log_likelihood + 0.5 * float(np.linalg.slogdet(matrix)[1]),
        )

    def _total(self, asked: Glm) -> Generator[Ask, Told, Vector]:
        told = yield sum_ask(asked, what=f"{asked.family} regression: one step", study=self.study, sites=self.sites)
        self.rounds, self.bytes_moved = self.rounds + 1, self.bytes_moved + told.bytes_moved
        self.sites = told.sites or self.sites
        return told.sum()


@dataclass(slots=True, kw_only=True)
class _Climb:
    """How every fit of a menu is made, and where the next one starts."""

    ridge: float
    tolerance: float
    rounds: int
    start: Vector


def _best(
    menu: tuple[float, ...], climb: _Climb, asker: _Asker
) -> Generator[Ask, Told, tuple[Ascent, Vector, dict[float, float]]]:
    """Fit with every smoothing, the strongest first, and keep the one that the criterion likes best."""
    design = asker.asked.design(asker.study)
    scores: dict[float, float] = {}
    best: tuple[Ascent, Vector] | None = None
    for smoothing in menu:
        penalty = design.penalty(climb.ridge, smoothing)
        found = yield from _climbed(climb, asker, penalty, design.names)
        scores[smoothing] = criterion(asker.asked.family, found.sums, penalty)
        if best is None or scores[smoothing] <= min(scores.values()):
            best = (found, penalty)
        climb.start = found.beta
    if best is None:
        raise RuntimeError("a menu that is not empty gives a fit")
    return best[0], best[1], scores


def _climbed(climb: _Climb, asker: _Asker, penalty: Vector, names: tuple[str, ...]) -> Generator[Ask, Told, Ascent]:
    """Climb to the top. Where a hospital drops out, the climb begins again, from where it stands, with the others."""
    beta, road = climb.start, None
    while True:
        if road is None:
            road = ascent(
                start=beta,
                penalty=penalty,
                names=names,
                tolerance=climb.tolerance,
                rounds=climb.rounds,
                memory=10 if asker.firth else 0,
            )
            next(road)
        asked_of = asker.sites
        sums = yield from asker.at(beta, penalty)
        if asker.sites != asked_of:
            road = None
            continue
        try:
            beta = road.send(sums)
        except StopIteration as done:
            found: Ascent = done.value
            return found


def _listed(smoothing: float | Sequence[float]) -> Sequence[float]:
    return (smoothing,) if isinstance(smoothing, float | int) else smoothing


def _fitted(
    asked: Glm, study: Study, found: Ascent, penalty: Vector, asker: _Asker, scores: dict[float, float]
) -> Fitted:
    return Fitted(
        model=model_of(asked, study, found.beta),
        covariance=np.asarray(np.linalg.inv(found.sums.hessian + penalty)),
        log_likelihood=found.sums.log_likelihood,
        freedom=freedom_of(found.sums, penalty),
        score=scores,
        gaussian=(),
        sites=asker.sites,
        rounds=asker.rounds,
        bytes_moved=asker.bytes_moved,
    )

"""Generalised linear models by noisy sums that together cost one epsilon.

One question for the Hessian at 0 and a first gradient, then gradients alone, seen through a public lens that makes all
columns weigh alike, then two small questions that set the scale of the linear predictor. In between, everything is
post-processing: gradients are averaged by their noise, and coefficients shrunk by what noise could have made.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.glm import Glm, View
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.glm import Fitted, first_question, model_of
from wardgate.measures.encoding import LABEL
from wardgate.measures.glm import Family
from wardgate.measures.outcomes import outcome_bound
from wardgate.measures.shrinkage import floored, relative_curvature, shrunk, whitening
from wardgate.measures.terms import Term
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.study import Study

Vector = NDArray[np.float64]

FIRST, GRADIENTS, SCALE = 0.28, (0.30, 0.34), 0.08
"""Shares of the privacy cost (1 / multiplier^2). These and the numbers below were chosen once, on IST and Diabetes-130,
and are the same for every study; neighbouring values change little."""

FIRST_HESSIAN_SHARE = 0.9
RESIDUAL = 0.6
"""A gradient longer than this part of the row's length, times the largest |y|, is shortened."""

LENS_FLOOR = 0.05
"""Added to the moments' eigenvalues before their inverse root, so that rare columns are not blown up."""

LENS_SLACK = 1.8
"""Rows seen through the lens are cut at this multiple of their expected length: late, since long rows inform most."""

SCALE_PRIOR = 8.0
"""Weight with which the scale of the linear predictor stays as it was found."""


def noisy_glm(
    *,
    study: Study,
    sites: tuple[str, ...],
    epsilon: float,
    delta: float,
    family: Family = "logistic",
    outcome: str = LABEL,
    terms: Sequence[Term] | None = None,
    largest_mean: float | None = None,
    clip: float | None = None,
) -> Generator[Ask, Told, Fitted]:
    """Fit by sums whose noise together costs `epsilon` at `delta`, one person added or removed.

    Args:
        clip: L2 norm of a person's centred row; by default that of a person whose features are spread evenly over
            their ranges, which is public.

    Raises:
        Invalid: parameters that do not fit the study.
        NotEvaluable: noise drowns the number of persons; there are too few for this epsilon.
    """
    asked = first_question(
        study=study,
        family=family,
        outcome=outcome,
        terms=terms,
        largest_mean=1.0 if largest_mean is None else largest_mean,
    )
    bound = outcome_bound(family, outcome, study.features)
    if largest_mean is None:
        asked = replace(asked, largest_mean=bound)
    design = asked.design(study)
    centring = design.centring()
    row = min(design.typical_norm if clip is None else clip, design.norm)
    if not row > 0:
        raise Invalid(f"expected a clip above 0, found {clip}")
    fit = _Fit(
        study=study,
        sites=sites,
        asked=asked,
        once=noise_multiplier_for(epsilon=epsilon, delta=delta),
        bound=bound,
        dispersion=1.0 / 3.0 if family == "linear" else 1.0,
    )
    start = View(lens=centring, row=row, residual=_residual(family, bound), hessian_share=FIRST_HESSIAN_SHARE)
    first = yield from fit.ask(np.zeros(design.columns), start, FIRST)
    least = first.hessian_noise * np.sqrt(design.columns)
    if first.hessian is None or not float(first.hessian[0, 0]) > least:
        raise NotEvaluable("noise drowns the number of persons: too few for this epsilon; raise it, or use exact sums")
    hessian = floored(first.hessian, least)
    moments = hessian / hessian[0, 0]
    eye = np.eye(design.columns)
    beta = shrunk(hessian, first.gradient, first.noise**2 * eye, dispersion=fit.dispersion)
    white = whitening(moments, floor=LENS_FLOOR)
    back = np.linalg.inv(white)
    length = LENS_SLACK * float(np.sqrt(np.trace(white @ moments @ white)))
    weight, targets = 0.0, np.zeros(design.columns)
    for share in GRADIENTS:
        view = View(lens=centring @ white, row=length, residual=_residual(family, bound), hessian_share=0.0)
        heard = yield from fit.ask(back @ beta, view, share)
        bend = relative_curvature(family, moments, beta, largest_mean=asked.largest_mean)
        precision = 1.0 / heard.noise**2
        # Curvature changes little from one gradient to the next; the latest serves for all of them.
        fit.heard.append((back @ heard.gradient, beta, precision))
        weight = sum(one[2] for one in fit.heard)
        targets = (
            sum((one[2] * (one[0] + bend * (hessian @ one[1])) for one in fit.heard), np.zeros_like(beta)) / weight
        )
        beta = shrunk(bend * hessian, targets, back @ back.T / weight, dispersion=fit.dispersion)
    found = yield from _scaled(fit, centring @ beta)
    return Fitted(
        model=model_of(asked, study, found, noise=f"Gaussian, epsilon {epsilon:g} at delta {delta:g}"),
        covariance=None,
        log_likelihood=None,
        freedom=None,
        score={},
        gaussian=tuple(fit.events),
        sites=fit.sites,
        rounds=len(fit.events),
        bytes_moved=fit.bytes_moved,
    )


def _residual(family: Family, bound: float) -> float:
    return RESIDUAL * bound


def _scaled(fit: "_Fit", beta: Vector) -> Generator[Ask, Told, Vector]:
    """Set intercept and scale of the linear predictor: a regression on two columns, which needs little noise."""
    reach = 1.0 if fit.asked.family == "linear" else 3.0
    lens = np.column_stack([np.eye(len(beta))[0], beta / reach])
    centre = np.array([0.0, reach])
    prior = np.diag([0.0, SCALE_PRIOR])
    at = centre
    for _ in range(2):
        view = View(lens=lens, row=float(np.sqrt(2.0)), residual=fit.bound, hessian_share=0.5)
        heard = yield from fit.ask(at, view, SCALE / 2.0)
        if heard.hessian is None:
            raise RuntimeError("this question asks for a Hessian")
        hessian = floored(heard.hessian, 2.0 * heard.hessian_noise) + prior
        at = at + np.linalg.solve(hessian, heard.gradient - prior @ (at - centre))
    scale = float(np.clip(at[1] / reach, 0.6, 1.6))
    found = beta * scale
    found[0] += float(np.clip(at[0], -2.0, 2.0))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """One noisy answer: gradient and its noise, and the Hessian and its noise where it was asked for."""

    gradient: Vector
    noise: float
    hessian: Vector | None
    hessian_noise: float


@dataclass(slots=True, kw_only=True)
class _Fit:
    """Asks, and keeps what it cost. `once` is the multiplier of one release that takes the whole epsilon."""

    study: Study
    sites: tuple[str, ...]
    asked: Glm
    once: float
    bound: float
    dispersion: float
    events: list[GaussianEvent] = field(default_factory=list)
    heard: list[tuple[Vector, Vector, float]] = field(default_factory=list)
    bytes_moved: int = 0

    def ask(self, beta: Vector, view: View, share: float) -> Generator[Ask, Told, _Heard]:
        asked = replace(self.asked, beta=beta, view=view)
        multiplier = self.once / float(np.sqrt(share)) * (1.0 + 1e-12)
        told = yield sum_ask(
            asked,
            what=f"{asked.family} regression with noise",
            study=self.study,
            sites=self.sites,
            noise_multiplier=multiplier,
        )
        self.events.append(GaussianEvent(noise_multiplier=multiplier, count=1, what="glm"))
        self.bytes_moved += told.bytes_moved
        self.sites = told.sites or self.sites
        total, q = told.sum(), len(beta)
        if not view.hessian_share:
            return _Heard(gradient=total, noise=told.noise, hessian=None, hessian_noise=0.0)
        weight = asked.hessian_weight(self.bound)
        rows, columns = np.triu_indices(q)
        hessian = np.zeros((q, q))
        hessian[rows, columns] = total[q:] / weight / np.where(rows == columns, 1.0, np.sqrt(2.0))
        hessian = hessian + np.triu(hessian, 1).T
        return _Heard(gradient=total[:q], noise=told.noise, hessian=hessian, hessian_noise=told.noise / weight)

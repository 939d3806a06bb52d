"""The road of a noisy fit, whatever the regression: five questions that together cost one epsilon.

One question for the Hessian at the start and a first gradient, then gradients alone, seen through a public lens that
makes all columns weigh alike, then two small questions that set level and scale of the linear predictor. In between,
everything is post-processing: gradients are averaged by their noise, and coefficients shrunk by what noise could have
made.
"""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.cox import Cox
from wardgate.computations.glm import Glm, View
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.measures.glm import Family
from wardgate.measures.shrinkage import floored, relative_curvature, shrunk, whitening
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import NotEvaluable
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

SCALE_DEVIATION = 0.12
"""Prior standard deviation of the factor that sets the scale of the linear predictor."""

REACH = 2.0
"""Standard deviations of the linear predictor that fill the row when its scale is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One noisy answer: gradient and its noise, and the Hessian and its noise where it was asked for."""

    gradient: Vector
    noise: float
    hessian: Vector | None
    hessian_noise: float


@dataclass(slots=True, kw_only=True)
class NoisyFit:
    """Asks, and keeps what it cost.

    Attributes:
        asked: The question, to be filled with coefficients and a view.
        family: Of its rows.
        once: Noise multiplier of one release that takes the whole epsilon.
        bound: The largest |y|.
        first_residual: RESIDUAL of the first question.
        dispersion: Variance of the score over its curvature.
        largest_mean: As in the question.
    """

    study: Study
    sites: tuple[str, ...]
    asked: Glm | Cox
    family: Family
    once: float
    bound: float
    first_residual: float
    dispersion: float
    largest_mean: float
    events: list[GaussianEvent] = field(default_factory=list)
    bytes_moved: int = 0

    def ask(self, beta: Vector, view: View, share: float) -> Generator[Ask, Told, Heard]:
        """Ask for one noisy sum that takes `share` of the cost."""
        asked = replace(self.asked, beta=beta, view=view)
        multiplier = self.once / float(np.sqrt(share)) * (1.0 + 1e-12)
        told = yield sum_ask(
            asked,
            what=f"{asked.name} regression with noise",
            study=self.study,
            sites=self.sites,
            noise_multiplier=multiplier,
        )
        self.events.append(GaussianEvent(noise_multiplier=multiplier, count=1, what=asked.name))
        self.bytes_moved += told.bytes_moved
        self.sites = told.sites or self.sites
        total, q = told.sum(), len(beta)
        if not view.hessian_share:
            return Heard(gradient=total, noise=told.noise, hessian=None, hessian_noise=0.0)
        weight = asked.hessian_weight(self.bound)
        rows, columns = np.triu_indices(q)
        hessian = np.zeros((q, q))
        hessian[rows, columns] = total[q:] / weight / np.where(rows == columns, 1.0, np.sqrt(2.0))
        hessian = hessian + np.triu(hessian, 1).T
        return Heard(gradient=total[:q], noise=told.noise, hessian=hessian, hessian_noise=told.noise / weight)


def climb(
    fit: NoisyFit, *, start: Vector, ones: Vector, centring: Vector, row: float, level_variance: float
) -> Generator[Ask, Told, Vector]:
    """Return the coefficients, shape (p,).

    Args:
        start: Where the first question asks; not 0 in the columns of `ones` alone, and there the same everywhere.
        ones: 1 in the columns that add up to 1 in every row (the intercept, or the levels of time bins), else 0.
        centring: Public map of the columns, shape (p, p).
        row: L2 norm to which a person's centred row is cut in the first question.
        level_variance: Prior variance of the columns of `ones`, around the start.

    Raises:
        NotEvaluable: noise drowns the number of persons.
    """
    view = View(lens=centring, row=row, residual=fit.first_residual, hessian_share=FIRST_HESSIAN_SHARE)
    first = yield from fit.ask(start, view, FIRST)
    least = first.hessian_noise * np.sqrt(len(start))
    if first.hessian is None or not float(ones @ first.hessian @ ones) > least * float(ones.sum()):
        raise NotEvaluable("noise drowns the number of persons: too few for this epsilon; raise it, or use exact sums")
    hessian = floored(first.hessian, least)
    moments = hessian / float(ones @ hessian @ ones)
    base = float(ones @ start) / float(ones.sum())
    shrink = partial(shrunk, dispersion=fit.dispersion, flat=ones > 0, flat_variance=level_variance)
    beta = start + shrink(hessian, first.gradient, first.noise**2 * np.eye(len(start)))
    white = whitening(moments, floor=LENS_FLOOR)
    back = np.linalg.inv(white)
    length = LENS_SLACK * float(np.sqrt(np.trace(white @ moments @ white)))
    seen: list[tuple[Vector, Vector, float]] = []
    for share in GRADIENTS:
        view = View(lens=centring @ white, row=length, residual=RESIDUAL * fit.bound, hessian_share=0.0)
        heard = yield from fit.ask(back @ beta, view, share)
        bend = relative_curvature(fit.family, moments, beta, ones=ones, base=base, largest_mean=fit.largest_mean)
        seen.append((back @ heard.gradient, beta - start, 1.0 / heard.noise**2))
        weight = sum(one[2] for one in seen)
        # Curvature changes little from one gradient to the next; the latest serves for all of them.
        target = np.sum([one[2] * (one[0] + bend * (hessian @ one[1])) for one in seen], axis=0) / weight
        beta = start + shrink(bend * hessian, target, back @ back.T / weight)
    middle = float(ones @ moments @ beta)
    spread = float(np.sqrt(max(float(beta @ moments @ beta) - middle**2, 0.0)))
    return (yield from _scaled(fit, centring @ beta, ones=ones, middle=middle, reach=max(REACH * spread, 0.1)))


def _scaled(fit: NoisyFit, beta: Vector, *, ones: Vector, middle: float, reach: float) -> Generator[Ask, Told, Vector]:
    """Set level and scale of the linear predictor: a regression on two columns, which needs little noise."""
    lens = np.column_stack([ones, (beta - middle * ones) / reach])
    centre = np.array([middle, reach])
    prior = np.diag([0.0, 1.0 / (SCALE_DEVIATION * reach) ** 2])
    at = centre
    for _ in range(2):
        view = View(lens=lens, row=float(np.sqrt(2.0)), residual=fit.bound, hessian_share=0.5)
        heard = yield from fit.ask(at, view, SCALE / 2.0)
        if heard.hessian is None:
            raise RuntimeError("this question asks for a Hessian")
        hessian = floored(heard.hessian, 2.0 * heard.hessian_noise) + prior
        at = at + np.linalg.solve(hessian, heard.gradient - prior @ (at - centre))
    scale = float(np.clip(at[1] / reach, 0.6, 1.6))
    level = float(np.clip(at[0], middle - 2.0, middle + 2.0))
    return np.asarray(scale * beta + (level - scale * middle) * ones)

"""From noisy gradients to coefficients: what noise could have made is shrunk away, and no more.

A gradient g at b with curvature H says, where the truth is t, that g + H b is H t plus sampling error (variance
dispersion x H) plus noise of a known covariance. With a normal prior on t the best guess is the posterior mean; the
prior's variances are fitted to the same noisy numbers, so strong predictors are hardly shrunk and weak ones are.
"""

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.glm import Family, curve

Matrix = NDArray[np.float64]

FLAT = 1e4
"""Prior variance of the intercept: as good as none."""

POOLING = 0.5
"""Weight of the coefficients' common variance beside each one's own."""

PRIOR = 0.5
"""Standard deviation from which the fit of the prior starts, columns in [-1, 1]."""


def floored(matrix: Matrix, least: float) -> Matrix:
    """Return a symmetric matrix with no eigenvalue below `least`: what noise can do to one is not believed."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, least)) @ vectors.T)


def posterior(
    hessian: Matrix, target: Matrix, noise: Matrix, variances: Matrix, *, dispersion: float
) -> tuple[Matrix, Matrix]:
    """Return mean and covariance of the coefficients.

    Args:
        target: g + H b, shape (p,).
        noise: Covariance of the noise in `target`, shape (p, p).
        variances: Of the prior, shape (p,), around 0.
    """
    weight = hessian @ np.linalg.inv(dispersion * hessian + noise)
    covariance = np.linalg.inv(weight @ hessian + np.diag(1.0 / variances))
    return np.asarray(covariance @ (weight @ target)), np.asarray(covariance)


def shrunk(
    hessian: Matrix,
    target: Matrix,
    noise: Matrix,
    *,
    dispersion: float,
    flat: NDArray[np.bool_],
    flat_variance: float = FLAT,
    rounds: int = 30,
) -> Matrix:
    """Return the posterior mean under a prior whose variances are fitted by EM, shape (p,).

    Args:
        flat: Columns whose prior variance is `flat_variance` and stays so, such as the intercept.

    Reference: MacKay (1992), Bayesian interpolation, doi:10.1162/neco.1992.4.3.415; Tipping (2001), Sparse Bayesian
        learning and the relevance vector machine (each coefficient a variance of its own, here drawn together).
    """
    variances = np.where(flat, flat_variance, PRIOR**2)
    for _ in range(rounds):
        mean, covariance = posterior(hessian, target, noise, variances, dispersion=dispersion)
        seen = mean**2 + np.diag(covariance)
        own = np.clip((seen + POOLING * seen[~flat].mean()) / (1.0 + POOLING), 1e-3, 4.0)
        variances = np.where(flat, flat_variance, own)
    return posterior(hessian, target, noise, variances, dispersion=dispersion)[0]


def relative_curvature(
    family: Family, moments: Matrix, beta: Matrix, *, ones: Matrix, base: float, largest_mean: float
) -> float:
    """Return the mean curvature at `beta` over that where every row's predictor is `base`.

    The linear predictor is taken as normally distributed, which noisy moments can tell.

    Args:
        moments: Mean of x x', shape (p, p).
        ones: x @ ones is 1 for every row.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    mean = float(ones @ moments @ beta)
    spread = np.sqrt(max(float(beta @ moments @ beta) - mean**2, 0.0))
    places = np.append(mean + spread * nodes, base)
    bend = curve(family, np.zeros_like(places), places, largest_mean=largest_mean).curvature
    there = float(weights @ bend[:-1] / weights.sum())
    return max(there, 1e-3) / max(float(bend[-1]), 1e-3)


def whitening(moments: Matrix, *, floor: float) -> Matrix:
    """Return the symmetric square root of (moments + floor)^-1: seen through it, columns weigh about the same."""
    values, vectors = np.linalg.eigh(moments)
    return np.asarray((vectors / np.sqrt(np.maximum(values, 0.0) + floor)) @ vectors.T)

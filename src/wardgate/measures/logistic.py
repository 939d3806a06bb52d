"""Ridge logistic regression as sums over persons. One set of formulas for ward, hub and comparator."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Matrix = NDArray[np.float64]


def linear(x: Matrix, beta: Matrix) -> Matrix:
    """Return the linear predictor, shape (n,)."""
    return np.asarray(x @ beta)


def probability(eta: Matrix) -> Matrix:
    """Return 1 / (1 + exp(-eta)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * eta)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Sums over persons at one coefficient vector.

    Attributes:
        gradient: Sum of (y - p) x, shape (p,).
        hessian: Sum of p (1 - p) x x', shape (p, p).
        log_likelihood: Sum of y eta - log(1 + exp(eta)).
    """

    gradient: Matrix
    hessian: Matrix
    log_likelihood: float


def statistics(x: Matrix, y: NDArray[np.int8], beta: Matrix) -> Statistics:
    """Return the sums that one Newton step needs.

    Args:
        x: Design, shape (n, p), entries in [-1, 1].
        y: Labels, shape (n,), 0 or 1.
        beta: Coefficients, shape (p,).

    Guarantee: one person adds at most 1 to an entry of the gradient and at most 1/4 to one of the Hessian.
    """
    eta = linear(x, beta)
    p = probability(eta)
    weight = p * (1.0 - p)
    return Statistics(
        gradient=np.asarray(x.T @ (y - p)),
        hessian=np.asarray(x.T @ (x * weight[:, None])),
        log_likelihood=float(np.sum(y * eta - np.logaddexp(0.0, eta))),
    )


def penalty(columns: int, ridge: float) -> Matrix:
    """Return the ridge weights, shape (p,): none on the intercept, which is the first column."""
    weights = np.full(columns, ridge)
    weights[0] = 0.0
    return weights


def newton_step(sums: Statistics, beta: Matrix, *, ridge: float) -> Matrix:
    """Return the next coefficients of penalised Newton.

    Raises:
        Invalid: the penalised Hessian is singular; a larger ridge is needed.
    """
    weights = penalty(len(beta), ridge)
    hessian = sums.hessian + np.diag(weights)
    try:
        step = np.linalg.solve(hessian, sums.gradient - weights * beta)
    except np.linalg.LinAlgError:
        raise Invalid("the Hessian is singular: a column is constant or repeated; set a ridge above 0") from None
    if not np.all(np.isfinite(step)):
        raise Invalid("the Newton step is not finite: a column is constant or repeated; set a ridge above 0")
    return np.asarray(beta + step)


def objective(sums: Statistics, beta: Matrix, *, ridge: float) -> float:
    """Return the penalised log-likelihood."""
    return sums.log_likelihood - 0.5 * float(np.sum(penalty(len(beta), ridge) * beta**2))


def fit(x: Matrix, y: NDArray[np.int8], *, ridge: float, tolerance: float = 1e-10, rounds: int = 50) -> Matrix:
    """Fit by Newton with step halving.

    Returns:
        Coefficients, shape (p,).

    Raises:
        Invalid: one class only, a singular Hessian, or no convergence within `rounds`.
    """
    if len(np.unique(y)) < 2:
        raise Invalid("the label has one class only; nothing can be fitted")
    beta = np.zeros(x.shape[1])
    sums = statistics(x, y, beta)
    for _ in range(rounds):
        proposal = newton_step(sums, beta, ridge=ridge)
        after = statistics(x, y, proposal)
        for _ in range(30):
            if objective(after, proposal, ridge=ridge) >= objective(sums, beta, ridge=ridge) - 1e-9:
                break
            proposal = 0.5 * (proposal + beta)
            after = statistics(x, y, proposal)
        change = float(np.max(np.abs(proposal - beta)))
        beta, sums = proposal, after
        if change < tolerance:
            return beta
    raise Invalid(f"no convergence within {rounds} rounds; set a larger ridge")

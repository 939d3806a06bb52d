"""Logistic regression over hospitals by exact sums: equal to pooled Newton."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.newton import Newton, newton_shape
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.measures.logistic import Statistics, newton_step, objective, penalty
from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted model.

    Attributes:
        beta: Coefficients, shape (p,).
        covariance: Inverse of the penalised Hessian, shape (p, p); None for a noisy fit.
        rounds: Sums that were asked for.
        bytes_moved: Both directions.
    """

    beta: Vector
    covariance: Vector | None
    rounds: int
    bytes_moved: int


def newton(
    *, sites: tuple[str, ...], start: Vector, ridge: float, tolerance: float = 1e-9, rounds: int = 40
) -> Generator[Ask, Told, Fit]:
    """Fit by exact sums.

    The step is halved where the penalised log-likelihood falls, so separable data end at the ridge optimum.

    Raises:
        Invalid: a singular Hessian, or no convergence within `rounds`.
    """
    beta, asked, moved = start, 0, 0
    before: tuple[Vector, Statistics] | None = None
    while asked < rounds:
        told = yield _ask(sites, beta)
        asked, moved = asked + 1, moved + told.bytes_moved
        sums = _statistics(told.sum(), len(start))
        if before is not None and objective(sums, beta, ridge=ridge) < objective(before[1], before[0], ridge=ridge) - (
            1e-6 * abs(before[1].log_likelihood) + 1e-9
        ):
            beta = 0.5 * (beta + before[0])
            continue
        proposal = newton_step(sums, beta, ridge=ridge)
        if float(np.max(np.abs(proposal - beta))) < tolerance:
            inverse = np.asarray(np.linalg.inv(sums.hessian + np.diag(penalty(len(beta), ridge))), dtype=np.float64)
            return Fit(beta=proposal, covariance=inverse, rounds=asked, bytes_moved=moved)
        before, beta = (beta, sums), proposal
    raise Invalid(f"the federated fit did not converge within {rounds} rounds; set a larger ridge in the study")


def _ask(sites: tuple[str, ...], beta: Vector) -> Ask:
    asked = Newton(beta=beta)
    return Ask(
        what="fit: one Newton step",
        computation=asked.name,
        sites=sites,
        parameters=asked.parameters(),
        split="train",
        shape=newton_shape(columns=len(beta), l1_of_beta=float(np.abs(beta).sum())),
        arrays=asked.arrays(),
    )


def _statistics(total: Vector, columns: int) -> Statistics:
    triangle = columns * (columns + 1) // 2
    hessian = np.zeros((columns, columns))
    hessian[np.triu_indices(columns)] = total[columns : columns + triangle]
    hessian = hessian + np.triu(hessian, 1).T
    return Statistics(gradient=total[:columns], hessian=hessian, log_likelihood=float(total[-1]))

"""Generalised linear models as sums over persons: one set of formulas for ward, hub and pooled comparator.

A person adds `slope x` to the gradient, `curvature x x'` to the Hessian and `gain` to the log-likelihood, all functions
of the outcome and the linear predictor alone. Every family here is concave in the linear predictor, so Newton with
step halving ends at the one optimum.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.logistic import Statistics, probability
from wardgate.records.errors import Invalid

Matrix = NDArray[np.float64]

Family = Literal["logistic", "linear", "poisson", "cloglog"]
"""`cloglog` is the hazard of a discrete time step, P = 1 - exp(-exp(eta)); the others have their usual links."""

FAMILIES: tuple[Family, ...] = ("logistic", "linear", "poisson", "cloglog")

LARGEST_COEFFICIENT = 30.0
"""Columns lie in [-1, 1]; a coefficient beyond this is running away, not an effect."""

SINGULAR = 1e-11
"""Least eigenvalue of the penalised Hessian scaled to a unit diagonal; below, columns cannot be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Each person's log-likelihood at one linear predictor: itself, its slope and its curvature (>= 0), shape (n,)."""

    gain: Matrix
    slope: Matrix
    curvature: Matrix


def capped_exp(eta: Matrix, largest: float) -> tuple[Matrix, Matrix, Matrix]:
    """Return exp(eta) continued by its tangent beyond `largest`, with its first and second derivative.

    The slope never exceeds `largest`, which bounds what one person can add; below it nothing changes.
    """
    edge = float(np.log(largest))
    inside = np.exp(np.minimum(eta, edge))
    beyond = np.maximum(eta - edge, 0.0)
    return inside + largest * beyond, inside, np.where(beyond > 0, 0.0, inside)


def curve(family: Family, y: Matrix, eta: Matrix, *, largest_mean: float) -> Curve:
    """Return gain, slope and curvature of each person.

    Args:
        y: 0/1 for `logistic` and `cloglog`, a number in [-1, 1] for `linear`, a count for `poisson`.
        eta: Linear predictor, shape (n,).
        largest_mean: `poisson` and `cloglog`: beyond this mean (hazard rate) the likelihood goes on as a line.

    Guarantee: |slope| and |curvature| stay within `slope_bound` and `curvature_bound`.
    """
    if family == "logistic":
        p = probability(eta)
        return Curve(gain=y * eta - np.logaddexp(0.0, eta), slope=y - p, curvature=p * (1.0 - p))
    if family == "linear":
        return Curve(gain=-0.5 * (y - eta) ** 2, slope=y - eta, curvature=np.ones_like(eta))
    value, first, second = capped_exp(eta, largest_mean)
    if family == "poisson":
        return Curve(gain=y * eta - value, slope=y - first, curvature=second)
    rate = np.exp(np.minimum(eta, 30.0))
    events = -np.expm1(-rate)
    slope = np.where(rate > 1e-8, rate * np.exp(-rate) / np.maximum(events, 1e-300), 1.0 - 0.5 * rate)
    bend = np.where(rate > 1e-4, slope * (slope + rate - 1.0), 0.5 * rate)
    gain = np.where(rate > 1e-8, np.log(np.maximum(events, 1e-300)), eta)
    return Curve(
        gain=np.where(y > 0, gain, -value),
        slope=np.where(y > 0, slope, -first),
        curvature=np.where(y > 0, np.maximum(bend, 0.0), second),
    )


def slope_bound(family: Family, *, outcome: float, reach: float, largest_mean: float) -> float:
    """Return the largest |slope| of one person: `outcome` bounds |y|, `reach` bounds |eta|."""
    if family == "logistic":
        return float(probability(np.array(reach)))
    if family == "linear":
        return outcome + reach
    return max(outcome, min(largest_mean, float(np.exp(min(reach, 700.0)))))


def curvature_bound(family: Family, *, reach: float, largest_mean: float) -> float:
    """Return the largest curvature of one person; `reach` bounds |eta|."""
    if family == "logistic":
        return 0.25
    if family == "linear":
        return 1.0
    largest = min(largest_mean, float(np.exp(min(reach, 700.0))))
    return largest if family == "poisson" else max(1.0, largest)


def gain_bound(family: Family, *, outcome: float, reach: float, largest_mean: float) -> float:
    """Return the largest |gain| of one person."""
    if family == "logistic":
        return float(np.logaddexp(0.0, reach) + reach)
    if family == "linear":
        return 0.5 * (outcome + reach) ** 2
    value = float(capped_exp(np.array(reach), largest_mean)[0])
    return outcome * reach + value if family == "poisson" else max(value, reach + 1.0)


def statistics(family: Family, x: Matrix, y: Matrix, beta: Matrix, *, largest_mean: float) -> Statistics:
    """Return the sums that one Newton step needs, at coefficients `beta`, shape (p,)."""
    found = curve(family, y, x @ beta, largest_mean=largest_mean)
    return Statistics(
        gradient=np.asarray(x.T @ found.slope),
        hessian=np.asarray(x.T @ (x * found.curvature[:, None])),
        log_likelihood=float(np.sum(found.gain)),
    )


def site_intercept(family: Family, y: Matrix, eta: Matrix, *, largest_mean: float, site_ridge: float) -> float:
    """Return the one number that a site adds to the linear predictor of its own persons.

    It maximises the site's log-likelihood less site_ridge/2 times its square, so it is finite for a site with one
    class and 0 for a site with nobody. It stays at the site.

    Raises:
        Invalid: `site_ridge` is not above 0.
    """
    if not site_ridge > 0:
        raise Invalid(
            f"expected a site_ridge above 0, found {site_ridge}: a site with one class has no finite intercept"
        )
    if not len(y):
        return 0.0
    shift, step, before = 0.0, 0.0, -np.inf
    for _ in range(200):
        found = curve(family, y, eta + shift, largest_mean=largest_mean)
        value = float(np.sum(found.gain)) - 0.5 * site_ridge * shift**2
        score = float(np.sum(found.slope)) - site_ridge * shift
        if value < before - 1e-9 * (1.0 + abs(before)):
            step *= 0.5
            shift -= step
            continue
        before = value
        step = score / (float(np.sum(found.curvature)) + site_ridge)
        if abs(step) < 1e-12 * (1.0 + abs(shift)):
            break
        shift += step
    return shift


def profiled(
    family: Family, x: Matrix, y: Matrix, beta: Matrix, *, largest_mean: float, site_ridge: float
) -> Statistics:
    """Return one site's sums with its own intercept maximised out.

    The gradient at the maximum, the Schur complement of the intercept, and the profiled log-likelihood. Sums of these
    over sites are gradient, Hessian and objective of the pooled model with one dummy a site and the same penalty on
    the dummies, so Newton ends at the same coefficients, and no entry belongs to one site.
    """
    eta = x @ beta
    shift = site_intercept(family, y, eta, largest_mean=largest_mean, site_ridge=site_ridge)
    found = curve(family, y, eta + shift, largest_mean=largest_mean)
    weighted = x * found.curvature[:, None]
    edge = weighted.sum(axis=0)
    return Statistics(
        gradient=np.asarray(x.T @ found.slope),
        hessian=np.asarray(x.T @ weighted - np.outer(edge, edge) / (float(np.sum(found.curvature)) + site_ridge)),
        log_likelihood=float(np.sum(found.gain)) - 0.5 * site_ridge * shift**2,
    )


def firth_score(x: Matrix, beta: Matrix, inverse: Matrix) -> Matrix:
    """Return sum over persons of h (1/2 - p) x, what Firth's penalty adds to the logistic gradient.

    h = p (1 - p) x' inverse x is a person's hat value; a hat value never exceeds 1 where the person is in the Hessian
    behind `inverse`, and is cut there, so a person adds at most 1/2 to an entry.

    Reference: Firth (1993), Bias reduction of maximum likelihood estimates, doi:10.1093/biomet/80.1.27.
    """
    p = probability(x @ beta)
    hat = p * (1.0 - p) * np.einsum("ij,jk,ik->i", x, inverse, x)
    return np.asarray(x.T @ (np.clip(hat, 0.0, 1.0) * (0.5 - p)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ascent:
    """Where Newton ended.

    Attributes:
        beta: Coefficients, shape (p,).
        sums: The sums at `beta`, up to the last step, which was below the tolerance.
        rounds: Sums that were asked for.
    """

    beta: Matrix
    sums: Statistics
    rounds: int


def ascent(
    *,
    start: Matrix,
    penalty: Matrix,
    names: tuple[str, ...],
    tolerance: float = 1e-9,
    rounds: int = 60,
    memory: int = 0,
) -> Generator[Matrix, Statistics, Ascent]:
    """Maximise log-likelihood - beta' penalty beta / 2: yields where sums are wanted, is sent them.

    The step is halved where the objective falls.

    Args:
        penalty: Positive semidefinite, shape (p, p).
        names: Of the columns, for messages.
        memory: Earlier steps to learn from where the Hessian is not that of the whole objective (Firth); 0 for Newton.

    Raises:
        Invalid: columns that cannot be told apart, coefficients that run away, or no convergence within `rounds`.
    """
    beta = start
    best: tuple[Matrix, float] | None = None
    places: list[Matrix] = []
    steps: list[Matrix] = []
    for asked in range(1, rounds + 1):
        sums = yield beta
        value = sums.log_likelihood - 0.5 * float(beta @ penalty @ beta)
        if best is not None and not value >= best[1] - 1e-9 * (1.0 + abs(best[1])):
            beta = places[-1] + steps[-1] if len(places) > 1 else 0.5 * (beta + best[0])
            places, steps = [], []
            continue
        best = (beta, value)
        step = np.linalg.solve(solvable(sums.hessian + penalty, names=names), sums.gradient - penalty @ beta)
        proposal = np.asarray(beta + step)
        if float(np.max(np.abs(step))) < tolerance:
            return Ascent(beta=proposal, sums=sums, rounds=asked)
        largest = int(np.argmax(np.abs(proposal)))
        if abs(proposal[largest]) > LARGEST_COEFFICIENT:
            raise Invalid(
                f"the coefficient of '{names[largest]}' grows without end: the outcome never varies, or this column "
                "(with others) tells it perfectly; set a ridge above 0 (or use Firth's penalty), or leave it out"
            )
        if memory and float(np.max(np.abs(step))) < 0.2:
            places, steps = [*places[-memory:], beta], [*steps[-memory:], np.asarray(step)]
            proposal = _accelerated(places, steps)
        beta = proposal
    raise Invalid(f"no convergence within {rounds} rounds; set a larger ridge, or allow more rounds")


def _accelerated(places: list[Matrix], steps: list[Matrix]) -> Matrix:
    """Return the next place from the last ones: Anderson acceleration of place + step.

    Reference: Walker, Ni (2011), Anderson acceleration for fixed-point iterations, doi:10.1137/10078356X.
    """
    if len(places) == 1:
        return places[0] + steps[0]
    moves, changes = np.diff(places, axis=0).T, np.diff(steps, axis=0).T
    weights = np.linalg.lstsq(changes, steps[-1], rcond=1e-10)[0]
    return np.asarray(places[-1] + steps[-1] - (moves + changes) @ weights)


def solvable(matrix: Matrix, *, names: tuple[str, ...]) -> Matrix:
    """Return a penalised Hessian that can be solved.

    Raises:
        Invalid: it is singular; the message names the columns that cannot be told apart.
    """
    if not np.all(np.isfinite(matrix)):
        raise Invalid("the Hessian is not finite; set a larger ridge")
    scale = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    empty = [names[i] for i in np.flatnonzero(scale <= 1e-7 * scale.max())]
    if empty:
        raise Invalid(f"column '{empty[0]}' is zero for every person; leave it out, or set a ridge above 0")
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    if values[0] < SINGULAR:
        mixed = [names[i] for i in np.flatnonzero(np.abs(vectors[:, 0]) > 0.1)][:6]
        listed = ", ".join(f"'{name}'" for name in mixed)
        raise Invalid(
            f"the Hessian is singular: {listed} cannot be told apart (a column is constant or repeated); "
            "leave one out, or set a ridge above 0"
        )
    return matrix


def fit(
    family: Family,
    x: Matrix,
    y: Matrix,
    *,
    penalty: Matrix,
    names: tuple[str, ...],
    largest_mean: float = np.inf,
    tolerance: float = 1e-9,
) -> Ascent:
    """Fit on one table: a site's own model, or the pooled comparator."""
    road = ascent(start=np.zeros(x.shape[1]), penalty=penalty, names=names, tolerance=tolerance)
    beta = next(road)
    while True:
        try:
            beta = road.send(statistics(family, x, y, beta, largest_mean=largest_mean))
        except StopIteration as done:
            found: Ascent = done.value
            return found

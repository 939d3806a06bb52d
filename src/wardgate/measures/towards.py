"""Logistic regression drawn towards coefficients that others found: how a site's own persons update a joint model.

The fit maximises the log-likelihood of the site's persons less half the squared distance from a centre, in a metric
that says how surely the centre is known. Read the other way round it is the posterior mode under a normal prior; with
the information of other data as the metric it is a power prior: `strength` rows of those data beside the site's own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.logistic import linear, probability, statistics
from wardgate.records.errors import Invalid

Matrix = NDArray[np.float64]
Labels = NDArray[np.int8]

STRENGTHS = (30.0, 100.0, 300.0, 1000.0, 3000.0, math.inf)
"""Rows that the centre counts for. With infinity nothing moves but intercept and scale."""

LARGEST_LOSS = 10.0
"""What one person adds to a sum of losses, at most: that of an event foretold with a risk of 1 in 22,000."""

ROUNDS, TOLERANCE = 100, 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What may differ between hospitals whatever the strength of the pull: standard deviations of normal priors.

    Attributes:
        intercept: Of the linear predictor of the middle person.
        scale: Of a common factor of all slopes, around 1: a model may order persons well and be too sure of it.
    """

    intercept: float = 0.7
    scale: float = 0.3

    def __post_init__(self) -> None:
        if not (0 < self.intercept < math.inf and 0 < self.scale < math.inf):
            raise Invalid(f"expected finite deviations above 0, found {self.intercept} and {self.scale}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """A model that others taught, and how surely.

    Attributes:
        beta: Coefficients, the intercept first, shape (p,).
        middle: The middle person of the rows that it was fitted on, shape (p,), the first entry being 1.
        information: What one row tells of the slopes, the intercept being free, shape (p - 1, p - 1).
    """

    beta: Matrix
    middle: Matrix
    information: Matrix


def centre_of(x: Matrix, y: Labels, beta: Matrix, *, floor: float = 1e-3) -> Centre:
    """Return a fitted model as a centre, the metric being the information of the rows that it was fitted on.

    Synthetic rows and patients serve alike; only the shape of the metric is used, never their number.

    Args:
        x: Design, the first column being 1, shape (n, p).
        y: Labels, shape (n,).
        beta: Coefficients fitted on these rows.
        floor: Least information about a column, so that one that hardly varied among the rows is not free.

    Raises:
        Invalid: no rows, or shapes that differ.
    """
    if not len(x) or x.shape != (len(y), len(beta)):
        raise Invalid(f"expected rows for {len(beta)} coefficients, found a design of shape {x.shape}")
    hessian = statistics(x, y, beta).hessian / len(x)
    middle = hessian[0] / max(float(hessian[0, 0]), 1e-300)
    inner = hessian[1:, 1:] - float(hessian[0, 0]) * np.outer(middle[1:], middle[1:])
    return Centre(
        beta=np.asarray(beta, dtype=np.float64), middle=middle, information=inner + floor * np.eye(len(beta) - 1)
    )


def precision(centre: Centre, *, strength: float, room: Room | None = None) -> Matrix:
    """Return the metric of a pull that counts for `strength` rows, with room for intercept and scale, shape (p, p).

    Raises:
        Invalid: a strength that is not finite and above 0.
    """
    if not 0 < strength < math.inf:
        raise Invalid(f"expected a finite strength above 0, found {strength}")
    room = room or Room()
    slopes = strength * centre.information
    along = slopes @ centre.beta[1:]
    # Sherman and Morrison: the inverse of (inverse of slopes + scale^2 x outer product of the centre's slopes).
    free = 1.0 / room.scale**2 + float(centre.beta[1:] @ along)
    found = np.outer(centre.middle, centre.middle) / room.intercept**2
    found[1:, 1:] += slopes - np.outer(along, along) / free
    return np.asarray(found)


def fit_towards(
    x: Matrix,
    y: Labels,
    *,
    centre: Matrix,
    precision: Matrix,
    weights: Matrix | None = None,
    offset: Matrix | None = None,
) -> Matrix:
    """Fit by Newton with step halving.

    Args:
        x: Design, shape (n, p); n may be 0 where the precision has full rank.
        y: Labels, shape (n,).
        centre: Where the coefficients are drawn to, shape (p,).
        precision: Metric of the pull, symmetric and not negative, shape (p, p); zeros for none.
        weights: What a row counts for, shape (n,); 1 by default.
        offset: A known part of each linear predictor, shape (n,); 0 by default.

    Returns:
        Coefficients, shape (p,).

    Raises:
        Invalid: shapes that differ, numbers that are not finite, a negative weight, a singular Hessian, or no
            convergence.
    """
    n, p = x.shape
    weights = np.ones(n) if weights is None else weights
    offset = np.zeros(n) if offset is None else offset
    if y.shape != (n,) or weights.shape != (n,) or offset.shape != (n,):
        raise Invalid(f"expected one label, weight and offset for each of {n} rows")
    if centre.shape != (p,) or precision.shape != (p, p):
        raise Invalid(f"expected a centre and a precision for {p} columns, found {centre.shape} and {precision.shape}")
    if not all(bool(np.isfinite(part).all()) for part in (x, weights, offset, centre, precision)):
        raise Invalid("a row, weight, offset or coefficient is NaN or infinite")
    if n and float(weights.min()) < 0:
        raise Invalid("a weight is negative; leave the row out instead")
    beta = np.array(centre, dtype=np.float64)
    height = _height(x, y, beta, centre, precision, weights, offset)
    for _ in range(ROUNDS):
        chance = probability(linear(x, beta) + offset)
        gradient = x.T @ (weights * (y - chance)) - precision @ (beta - centre)
        hessian = x.T @ (x * (weights * chance * (1 - chance))[:, None]) + precision
        step = _solved(hessian, gradient)
        for _ in range(40):
            after = _height(x, y, beta + step, centre, precision, weights, offset)
            if after >= height - 1e-10 * (1 + abs(height)):
                break
            step = 0.5 * step
        beta, height = beta + step, after
        if float(np.max(np.abs(step))) < TOLERANCE:
            return beta
    raise Invalid(f"no convergence within {ROUNDS} rounds; set a larger precision")


def _solved(hessian: Matrix, gradient: Matrix) -> Matrix:
    try:
        step = np.linalg.solve(hessian, gradient)
    except np.linalg.LinAlgError:
        step = np.full(len(gradient), np.nan)
    if not np.isfinite(step).all():
        raise Invalid("the Hessian is singular: a column is constant or repeated; set a precision above 0")
    return np.asarray(step)


def _height(
    x: Matrix, y: Labels, beta: Matrix, centre: Matrix, precision: Matrix, weights: Matrix, offset: Matrix
) -> float:
    eta = linear(x, beta) + offset
    away = beta - centre
    return float(np.sum(weights * (y * eta - np.logaddexp(0.0, eta))) - 0.5 * away @ precision @ away)


def pulled(x: Matrix, y: Labels, centre: Centre, *, strength: float, room: Room | None = None) -> Matrix:
    """Return the centre updated by a site's persons, shape (p,).

    With infinite strength intercept and scale alone move, each shrunk by its own prior. With nobody at all the centre
    comes back.

    Raises:
        Invalid: a strength that is not above 0, or rows that do not fit the centre.
    """
    room = room or Room()
    if strength != math.inf:
        metric = precision(centre, strength=strength, room=room)
        return fit_towards(x, y, centre=centre.beta, precision=metric)
    known = linear(x, centre.beta)
    risk = known - float(centre.middle @ centre.beta)
    shift, scale = fit_towards(
        np.column_stack([np.ones(len(x)), risk]),
        y,
        centre=np.zeros(2),
        precision=np.diag([room.intercept**-2, room.scale**-2]),
        offset=known,
    )
    moved = (1.0 + scale) * centre.beta
    moved[0] += shift - scale * float(centre.middle @ centre.beta)
    return np.asarray(moved)


def held_out_losses(
    x: Matrix,
    y: Labels,
    centre: Centre,
    fold: NDArray[np.int64],
    *,
    strengths: Sequence[float] = STRENGTHS,
    room: Room | None = None,
) -> Matrix:
    """Return the log-loss of each person under the update by the other folds, shape (n, strengths).

    Their sum over persons is what a strength costs; summed over hospitals it chooses one for all of them, with less
    noise than a small hospital's own choice. One person adds at most `LARGEST_LOSS` to each.

    Args:
        fold: The fold of each person, shape (n,).
    """
    found = np.empty((len(y), len(strengths)))
    for part in np.unique(fold):
        out = fold == part
        for place, strength in enumerate(strengths):
            beta = pulled(x[~out], y[~out], centre, strength=strength, room=room)
            eta = linear(x[out], beta)
            found[out, place] = np.minimum(np.logaddexp(0.0, eta) - y[out] * eta, LARGEST_LOSS)
    return found


def best_strength(sums: Sequence[float] | Matrix, strengths: Sequence[float] = STRENGTHS) -> float:
    """Return the strength with the least summed loss; ties go to the larger one.

    Raises:
        Invalid: another number of sums than strengths, or a sum that is not finite.
    """
    losses = np.asarray(sums, dtype=np.float64)
    if losses.shape != (len(strengths),) or not len(strengths) or not np.isfinite(losses).all():
        raise Invalid(f"expected one finite sum for each of {len(strengths)} strengths, found shape {losses.shape}")
    best = float(losses.min())
    return max(strength for strength, loss in zip(strengths, losses, strict=True) if loss <= best + 1e-12 * abs(best))

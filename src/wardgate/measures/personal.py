"""A model for each hospital between the common one and its own, as far as its persons and all hospitals speak for it.

Coefficients of a hospital are drawn from a normal distribution around those of the other hospitals. How wide it is may
differ from hospital to hospital: a menu holds widths from "the same everywhere" to "a model of its own", and hospitals
together say what share of them each width fits (empirical Bayes; the shares are the mixing distribution). A hospital
weighs the menu by the shares and by the evidence of its own persons, and takes the mean of the posterior modes.

The centre is what the *other* hospitals found: each hospital takes its own persons out of the pooled fit by itself,
with one Newton step and the pooled Hessian, so that no person speaks twice and nothing about one hospital leaves it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from wardgate.measures.logistic import penalty, statistics
from wardgate.measures.shrinkage import floored
from wardgate.measures.towards import fit_towards
from wardgate.records.errors import Invalid

Matrix = NDArray[np.float64]
Labels = NDArray[np.int8]

OWN_INTERCEPT = 5.0
"""Prior standard deviation of the intercept of a model of a hospital's own."""

LEAST_EIGENVALUE = 1e-3
"""Of what the other hospitals know together: below it nothing is believed to be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """How far a hospital's coefficients may lie from those of the others.

    Attributes:
        kind: The same model; drawn around it; or a model of the hospital's own, around 0 with the study's ridge.
        intercept: Standard deviation of the log-odds of the middle person.
        scale: Standard deviation of a common factor of all slopes.
        strength: Persons at even odds that the centre of the slopes counts for; infinite leaves their ratios.
    """

    kind: Literal["same", "around", "own"] = "around"
    intercept: float = 0.0
    scale: float = 0.0
    strength: float = math.inf


MENU: tuple[Width, ...] = (
    Width(kind="same"),
    *(
        Width(intercept=intercept, scale=scale, strength=strength)
        for intercept in (0.1, 0.3, 1.0)
        for scale, strength in (
            (0.0, math.inf),
            (0.2, math.inf),
            (0.2, 3000.0),
            (0.2, 1000.0),
            (0.2, 300.0),
            (0.5, 100.0),
            (0.5, 30.0),
            (0.5, 10.0),
        )
    ),
    Width(kind="own"),
)

START: Matrix = np.array(
    [0.5 if w.kind == "same" else 0.05 if w.kind == "own" else 0.45 / (len(MENU) - 2) for w in MENU]
)
"""Shares of the menu before anybody was asked: what one more hospital of the kind would say."""
START.setflags(write=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A logistic model of all hospitals, and how surely they know it.

    Attributes:
        beta: Coefficients, the intercept first, shape (p,).
        hessian: Summed curvature of their training persons at `beta`, without the ridge, shape (p, p).
        ridge: Of the fit; none on the intercept.
    """

    beta: Matrix
    hessian: Matrix
    ridge: float

    def __post_init__(self) -> None:
        p = len(self.beta)
        if self.beta.ndim != 1 or p < 2 or self.hessian.shape != (p, p):
            raise Invalid(f"expected at least 2 coefficients and their Hessian, found {p} and {self.hessian.shape}")
        if not (np.isfinite(self.beta).all() and np.isfinite(self.hessian).all() and 0 < self.ridge < math.inf):
            raise Invalid("coefficients and Hessian must be finite, and the ridge above 0")
        if not np.allclose(self.hessian, self.hessian.T, rtol=0, atol=1e-6 * (1 + float(np.abs(self.hessian).max()))):
            raise Invalid("a Hessian is symmetric, and this one is not")


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What a hospital knows before it looks at its own persons.

    Attributes:
        joint: The model of all.
        beta: That of the others, shape (p,).
        covariance: How uncertain it is, shape (p, p).
    """

    joint: Joint
    beta: Matrix
    covariance: Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """What each width of the menu makes of a hospital's persons.

    Attributes:
        betas: Posterior modes, shape (widths, p).
        evidence: Log of the marginal likelihood, up to one constant, shape (widths,).
    """

    betas: Matrix
    evidence: Matrix

    def weights(self, shares: Matrix) -> Matrix:
        """Return the posterior of the menu for this hospital, shape (widths,); not negative, adding up to 1."""
        logs = np.log(np.maximum(shares, 1e-12)) + self.evidence
        return np.asarray(np.exp(logs - logsumexp(logs)))

    def shrunk(self, shares: Matrix) -> Matrix:
        """Return the hospital's coefficients: the modes, each by its weight, shape (p,)."""
        return np.asarray(self.weights(shares) @ self.betas)


def others_of(joint: Joint, x: Matrix, y: Labels, *, inside: bool = True) -> Others:
    """Return what the other hospitals found: one Newton step from the common model without this hospital's persons.

    Args:
        x, y: This hospital's training persons, shapes (n, p) and (n,).
        inside: Whether they are among the persons that the common model was fitted on.

    Raises:
        Invalid: rows that do not fit the model.
    """
    if x.shape != (len(y), len(joint.beta)):
        raise Invalid(f"expected rows of {len(joint.beta)} columns, found a design of shape {x.shape}")
    ridge = np.diag(penalty(len(joint.beta), joint.ridge))
    hessian: Matrix = joint.hessian
    step: Matrix = np.zeros(len(joint.beta))
    if inside:
        mine = statistics(x, y, joint.beta)
        hessian = hessian - mine.hessian
        step = np.asarray(-np.linalg.solve(floored(hessian + ridge, LEAST_EIGENVALUE), mine.gradient))
    known = floored(hessian + ridge, LEAST_EIGENVALUE)
    return Others(joint=joint, beta=joint.beta + step, covariance=np.asarray(np.linalg.inv(known)))


def spread_of(width: Width, joint: Joint) -> Matrix:
    """Return by how much hospitals differ under a width of the kind `around`: a covariance, shape (p, p).

    The intercept is that of the middle person, so slopes may move without moving the level; slopes vary in the metric
    of what one pooled person tells of them, so that a rare column is not held more firmly than it is known; and none
    further from the others than the study's ridge lets a model of a hospital's own lie from 0.
    """
    beta, p = joint.beta, len(joint.beta)
    rows = 4.0 * float(joint.hessian[0, 0])
    middle = joint.hessian[0] / max(float(joint.hessian[0, 0]), 1e-300)
    found = np.zeros((p, p))
    found[0, 0] = width.intercept**2
    along = beta.copy()
    along[0] = -float(middle[1:] @ beta[1:])
    found += width.scale**2 * np.outer(along, along)
    if width.strength < math.inf:
        inner = joint.hessian[1:, 1:] - float(joint.hessian[0, 0]) * np.outer(middle[1:], middle[1:])
        told = width.strength * floored(inner / max(rows, 1.0), LEAST_EIGENVALUE)
        slopes = np.linalg.inv(told + joint.ridge * np.eye(p - 1))
        turn = np.vstack([-middle[1:], np.eye(p - 1)])
        found += turn @ slopes @ turn.T
    return np.asarray(found)


def updated(x: Matrix, y: Labels, others: Others, *, menu: Sequence[Width] = MENU) -> Updated:
    """Return posterior mode and evidence (Laplace) of each width for a hospital's training persons.

    With nobody at all each mode is its centre and the evidence says nothing.

    Raises:
        Invalid: rows that do not fit the model.
    """
    betas, evidence = np.empty((len(menu), len(others.beta))), np.empty(len(menu))
    for place, width in enumerate(menu):
        centre, precision = _prior(width, others)
        betas[place] = fit_towards(x, y, centre=centre, precision=precision)
        evidence[place] = _evidence(x, y, betas[place], centre, precision)
    return Updated(betas=betas, evidence=evidence)


def _prior(width: Width, others: Others) -> tuple[Matrix, Matrix]:
    """Return centre and precision of a hospital's coefficients under a width."""
    joint, p = others.joint, len(others.beta)
    if width.kind == "own":
        flat = penalty(p, joint.ridge)
        flat[0] = OWN_INTERCEPT**-2
        return np.zeros(p), np.diag(flat)
    covariance = others.covariance + (spread_of(width, joint) if width.kind == "around" else 0.0)
    precision = np.linalg.inv(covariance)
    return others.beta, np.asarray(0.5 * (precision + precision.T))


def next_shares(total: Matrix, *, start: Matrix = START) -> Matrix:
    """Return the shares after a round of EM: summed posteriors of the hospitals, and `start` as one hospital more.

    Args:
        total: Sum over hospitals of `Updated.weights`, shape (widths,).

    Raises:
        Invalid: another length, or a sum that is not finite.
    """
    if total.shape != start.shape or not np.isfinite(total).all():
        raise Invalid(f"expected {len(start)} finite sums, found shape {total.shape}")
    found = np.maximum(total, 0.0) + start
    return np.asarray(found / found.sum())


def variance_of(shares: Matrix, *, menu: Sequence[Width] = MENU) -> float:
    """Return the mean variance of slopes between hospitals, in units of what one row tells: 1 / strength by share.

    Hospitals with a model of their own count with the widest pull of the menu.
    """
    widest = max(1.0 / width.strength for width in menu)
    each = [widest if width.kind == "own" else 1.0 / width.strength for width in menu]
    return float(np.dot(shares, each))


def _evidence(x: Matrix, y: Labels, beta: Matrix, centre: Matrix, precision: Matrix) -> float:
    sums, away = statistics(x, y, beta), beta - centre
    before, after = (float(np.linalg.slogdet(one)[1]) for one in (precision, precision + sums.hessian))
    return sums.log_likelihood - 0.5 * float(away @ precision @ away) + 0.5 * (before - after)

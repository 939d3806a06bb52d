"""Which of its models a hospital should use: the shrunk one, unless its own held-out persons speak against it.

The shrunk model, the common one and the hospital's own are compared on persons that none of them was fitted on: in turn
each fold is left out of all three (also out of the common model, see `measures.personal`), and tuning persons are in no
fit at all. Locked persons are never looked at.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.logistic import fit, linear
from wardgate.measures.personal import Joint, others_of, updated

Matrix = NDArray[np.float64]
Labels = NDArray[np.int8]
Chosen = Literal["shrunk", "global", "local"]

FOLDS = 5

LEAST = 2
"""Events and non-events below which a fold has no model of its own, and no comparison is made."""

SURE = 1.0
"""Standard errors by which held-out persons must speak against the shrunk model before it is given up."""

LARGEST_LOGIT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """A hospital's models.

    Attributes:
        shrunk: The one to use, shape (p,).
        local: Fitted on its own training persons alone, shape (p,).
        took: Which model `shrunk` is, after the comparison on held-out persons.
        weights: Posterior of the menu for this hospital, shape (widths,).
        against: Standard errors by which the better of the other two beat the shrunk one; negative where it did not.
    """

    shrunk: Matrix
    local: Matrix
    took: Chosen
    weights: Matrix
    against: float


def personal(
    x: Matrix,
    y: Labels,
    *,
    joint: Joint,
    shares: Matrix,
    rng: np.random.Generator,
    inside: bool = True,
    tuning: tuple[Matrix, Labels] | None = None,
    guarded: bool = True,
) -> Personal:
    """Return a hospital's models from its training persons.

    Args:
        x, y: Training persons, shapes (n, p) and (n,).
        shares: Of the menu, over all hospitals.
        rng: Deals the folds.
        inside: Whether these persons are among those of the common model.
        tuning: Further persons of this hospital, in no fit, for the comparison alone.
        guarded: Off only to show what the comparison is worth.

    Raises:
        Invalid: rows that do not fit the model.
    """
    others = others_of(joint, x, y, inside=inside)
    found = updated(x, y, others)
    weights, local = found.weights(shares), own(x, y, ridge=joint.ridge)
    shrunk, against = np.asarray(weights @ found.betas), -math.inf
    took: Chosen = "shrunk"
    if guarded and min(int(y.sum()), int(len(y) - y.sum())) >= LEAST * FOLDS:
        held = _held_out(x, y, joint=joint, shares=shares, rng=rng, inside=inside)
        if tuning is not None and len(tuning[1]):
            more = [losses(*tuning, beta) for beta in (shrunk, joint.beta, local)]
            held = np.vstack([held, np.column_stack(more)])
        better = 1 + int(np.argmin(held[:, 1:].mean(axis=0)))
        worse = held[:, 0] - held[:, better]
        against = float(worse.mean() / max(float(worse.std(ddof=1)) / math.sqrt(len(worse)), 1e-12))
        if against > SURE:
            took, shrunk = ("global", joint.beta) if better == 1 else ("local", local)
    return Personal(shrunk=shrunk, local=local, took=took, weights=weights, against=against)


def own(x: Matrix, y: Labels, *, ridge: float) -> Matrix:
    """Return the model of these persons alone, shape (p,); a smoothed rate where they have one class only."""
    events, persons = float(y.sum()), len(y)
    if 0 < events < persons:
        return fit(x, y, ridge=ridge)
    found = np.zeros(x.shape[1])
    found[0] = math.log((events + 0.5) / (persons - events + 0.5))
    return found


def losses(x: Matrix, y: Labels, beta: Matrix) -> Matrix:
    """Return the log-loss of each person, shape (n,)."""
    eta = np.clip(linear(x, beta), -LARGEST_LOGIT, LARGEST_LOGIT)
    return np.asarray(np.logaddexp(0.0, eta) - y * eta)


def _held_out(x: Matrix, y: Labels, *, joint: Joint, shares: Matrix, rng: np.random.Generator, inside: bool) -> Matrix:
    """Return the losses of each person under the shrunk, common and own model of the other folds, shape (n, 3)."""
    fold = np.empty(len(y), dtype=np.int64)
    for label in (0, 1):
        place = rng.permutation(np.flatnonzero(y == label))
        fold[place] = np.arange(len(place)) % FOLDS
    others, found = others_of(joint, x, y, inside=inside), np.empty((len(y), 3))
    for part in range(FOLDS):
        out = fold == part
        here = updated(x[~out], y[~out], others)
        common = here.betas[0] if inside else joint.beta
        for model, beta in enumerate((here.shrunk(shares), common, own(x[~out], y[~out], ridge=joint.ridge))):
            found[out, model] = losses(x[out], y[out], beta)
    return found

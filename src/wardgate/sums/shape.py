"""The public shape of each summed computation: entries, and what one person can add at most.

Hub and ward work out the same shape from the same public parameters; nothing here depends on data.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a vector may hold.

    Attributes:
        bound: Largest absolute contribution of one person to each entry, shape (d,).
        l2: Largest L2 norm of one person's contribution.
    """

    bound: Vector
    l2: float

    @property
    def entries(self) -> int:
        """Length of the vector."""
        return len(self.bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """One site's addend of a secure sum, before noise and masks.

    Attributes:
        vector: Shape (d,).
        shape: The public bound per person.
        persons: Persons behind it.
    """

    vector: Vector
    shape: Shape
    persons: int

    def checked(self) -> "Bounded":
        """Return itself if no entry exceeds persons x bound.

        Raises:
            Invalid: an entry is not finite or out of bound; the answer would break the promise of the sum.
        """
        limit = self.persons * self.shape.bound * (1 + 1e-9) + 1e-9
        if self.vector.shape != self.shape.bound.shape:
            raise Invalid(f"expected {self.shape.entries} entries, found {self.vector.shape}")
        if not np.all(np.isfinite(self.vector)) or np.any(np.abs(self.vector) > limit):
            raise Invalid("an answer leaves its stated bound per person")
        return self


def newton_shape(*, columns: int, l1_of_beta: float, clip: float | None) -> Shape:
    """Shape of one Newton step: gradient, upper triangle of the Hessian, log-likelihood.

    Args:
        columns: p, intercept included.
        l1_of_beta: Sum of |beta|; entries of x lie in [-1, 1], so it bounds |eta| and the log-likelihood.
        clip: L2 norm to which a person's x is clipped; with it the log-likelihood is left out (noisy fits do not
            use it) and the Hessian block is scaled by `hessian_weight`.

    A person adds at most |x| to the gradient and |x| |x| / 4 to the Hessian.
    """
    triangle = columns * (columns + 1) // 2
    if clip is None:
        loss = float(np.logaddexp(0.0, l1_of_beta) + l1_of_beta)
        bound = np.concatenate([np.ones(columns), np.full(triangle, 0.25), [loss]])
        return Shape(bound=bound, l2=float(np.linalg.norm(bound)))
    weight = hessian_weight(clip)
    bound = np.concatenate([np.full(columns, min(1.0, clip)), np.full(triangle, 0.25 * weight * min(1.0, clip**2))])
    return Shape(bound=bound, l2=float(np.hypot(clip, 0.25 * weight * clip**2)))


def hessian_weight(clip: float) -> float:
    """Scale of the Hessian block that gives it half of the gradient's sensitivity."""
    return 0.5 * clip / (0.25 * clip**2)


def score_bins_shape(*, bins: int, subgroups: int, subgroup_bins: int) -> Shape:
    """Shape of one model's score bins: events, non-events and the sum of predictions, overall and per subgroup.

    A person falls into one bin overall and into at most one group of each subgroup feature; `subgroups` counts groups,
    so the L2 bound takes a person to be in all of them.
    """
    entries = 2 * bins + 1 + subgroups * (2 * subgroup_bins + 1)
    return Shape(bound=np.ones(entries), l2=float(np.sqrt(2.0 * (1 + subgroups))))


def counts_shape(*, entries: int, l2: float) -> Shape:
    """Shape of a vector of counts, each person adding 0 or 1 to an entry."""
    return Shape(bound=np.ones(entries), l2=l2)

"""One Newton step of ridge logistic regression, as a sum over persons."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.logistic import statistics
from wardgate.sums.shape import Bounded, hessian_weight, newton_shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Newton:
    """Public parameters of the step.

    Attributes:
        beta: Coefficients at which the sums are taken, shape (p,).
        clip: L2 norm to which each person's row is clipped, or None for an exact sum.
    """

    beta: NDArray[np.float64]
    clip: float | None

    def __call__(self, x: NDArray[np.float64], y: NDArray[np.int8]) -> Bounded:
        """Return gradient, upper triangle of the Hessian, and (exact only) the log-likelihood.

        Args:
            x: Design, shape (n, p), entries in [-1, 1].
            y: Labels, shape (n,).
        """
        shape = newton_shape(columns=len(self.beta), l1_of_beta=float(np.abs(self.beta).sum()), clip=self.clip)
        if self.clip is not None:
            norms = np.linalg.norm(x, axis=1, keepdims=True)
            x = x * np.minimum(1.0, self.clip / np.maximum(norms, 1e-12))
        sums = statistics(x, y, self.beta)
        triangle = sums.hessian[np.triu_indices(len(self.beta))]
        if self.clip is None:
            vector = np.concatenate([sums.gradient, triangle, [sums.log_likelihood]])
        else:
            vector = np.concatenate([sums.gradient, hessian_weight(self.clip) * triangle])
        return Bounded(vector=vector, shape=shape, persons=len(y)).checked()

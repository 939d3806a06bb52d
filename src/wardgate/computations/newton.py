"""One Newton step of logistic regression over the study's whole design."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.measures.encoding import design_columns
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Newton:
    """Gradient, upper triangle of the Hessian and, in exact sums, the log-likelihood at `beta`.

    Attributes:
        beta: Coefficients at which the sums are taken, shape (p,).
        clip: L2 norm to which each person's row is clipped, or None for an exact sum. With it the log-likelihood is
            left out (noisy fits do not use it) and the Hessian block is scaled by `hessian_weight`.
    """

    name: ClassVar[str] = "newton"
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    beta: Vector
    clip: float | None = None

    def parameters(self) -> dict[str, Any]:
        return {} if self.clip is None else {"clip": text_of(self.clip)}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return (("beta", self.beta),)

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        if "beta" not in arrays:
            raise Invalid("a Newton step needs the coefficients 'beta' beside the question")
        clip = parameters.get("clip")
        found = None if clip is None else number_of(clip)
        if found is not None and not 0 < found < float("inf"):
            raise Invalid("'clip' must be a finite number above 0")
        return cls(beta=arrays["beta"], clip=found)

    def shape(self, study: Study) -> Shape:
        columns = len(design_columns(study.features))
        if self.beta.shape != (columns,):
            raise Invalid(f"'beta' must hold {columns} coefficients, found shape {self.beta.shape}")
        return newton_shape(columns=columns, l1_of_beta=float(np.abs(self.beta).sum()), clip=self.clip)


def newton_shape(*, columns: int, l1_of_beta: float, clip: float | None) -> Shape:
    """Shape of one Newton step.

    A person adds at most |x| to the gradient and |x| |x| / 4 to the Hessian.

    Args:
        columns: p, intercept included.
        l1_of_beta: Sum of |beta|; entries of x lie in [-1, 1], so it bounds |eta| and the log-likelihood.
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

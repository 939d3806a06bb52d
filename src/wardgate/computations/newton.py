"""One Newton step of logistic regression over the study's whole design."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.measures.encoding import design_columns
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Newton:
    """Gradient, upper triangle of the Hessian, and log-likelihood at `beta`.

    Attributes:
        beta: Coefficients at which the sums are taken, shape (p,).
    """

    name: ClassVar[str] = "newton"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    beta: Vector

    def parameters(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return (("beta", self.beta),)

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        if parameters or "beta" not in arrays:
            raise Invalid("a Newton step needs the coefficients 'beta' beside the question, and nothing else")
        return cls(beta=arrays["beta"])

    def shape(self, study: Study) -> Shape:
        columns = len(design_columns(study.features))
        if self.beta.shape != (columns,):
            raise Invalid(f"'beta' must hold {columns} coefficients, found shape {self.beta.shape}")
        return newton_shape(columns=columns, l1_of_beta=float(np.abs(self.beta).sum()))


def newton_shape(*, columns: int, l1_of_beta: float) -> Shape:
    """Shape of one Newton step over rows with entries in [-1, 1].

    A person adds at most |x| to the gradient and |x| |x| / 4 to the Hessian.

    Args:
        columns: p, intercept included.
        l1_of_beta: Sum of |beta|; it bounds |eta| and the log-likelihood.
    """
    triangle = columns * (columns + 1) // 2
    loss = float(np.logaddexp(0.0, l1_of_beta) + l1_of_beta)
    bound = np.concatenate([np.ones(columns), np.full(triangle, 0.25), [loss]])
    return Shape(bound=bound, l2=float(np.linalg.norm(bound)))

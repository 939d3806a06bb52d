"""Logistic recalibration of any fitted model: sums for an intercept and a slope on its logit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.carried import carried, unloaded
from wardgate.computations.computation import Vector
from wardgate.computations.newton import newton_shape
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

WIDEST = float(np.sqrt(2.0))
"""No row (1, logit / largest) is longer, so noisy sums shorten nobody."""

HESSIAN_WEIGHT = 0.5 * WIDEST / (0.25 * WIDEST**2)
"""Scale of the Hessian in a noisy sum: it gives it half of the gradient's sensitivity."""

MOST_LOGIT = 20.0
"""Scores nearer to 0 or 1 than 2e-9 count as that near."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platt:
    """Gradient, Hessian and, in exact sums, log-likelihood of the outcome on (1, logit / largest).

    Attributes:
        model: The fitted model, as its `to_bytes` gives it.
        beta: Intercept and scaled slope at which the sums are taken, shape (2,).
        largest: Logits beyond it count as this.
        noisy: The Hessian is scaled for a noisy sum and the log-likelihood is left out.
    """

    name: ClassVar[str] = "platt"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train", "tuning", "holdout")

    model: bytes
    beta: Vector
    largest: float
    noisy: bool = False

    def parameters(self) -> dict[str, Any]:
        return {"largest": text_of(self.largest), "noisy": self.noisy}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return (("model", carried(self.model)), ("beta", self.beta))

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        noisy = parameters.get("noisy")
        if type(noisy) is not bool or not {"model", "beta"} <= set(arrays):
            raise Invalid("a recalibration needs 'noisy' (true or false), and beside the question 'model' and 'beta'")
        largest = number_of(parameters.get("largest", ""))
        if not 1 <= largest <= MOST_LOGIT:
            raise Invalid(f"expected 'largest' to be a logit from 1 to {MOST_LOGIT:g}")
        return cls(model=unloaded(arrays["model"]), beta=arrays["beta"], largest=largest, noisy=noisy)

    def shape(self, study: Study) -> Shape:
        """As a Newton step over two columns in [-1, 1]."""
        del study
        if self.beta.shape != (2,):
            raise Invalid(f"a recalibration has an intercept and a slope, found shape {self.beta.shape}")
        if not self.noisy:
            return newton_shape(columns=2, l1_of_beta=float(np.abs(self.beta).sum()))
        bound = np.concatenate([np.ones(2), np.full(3, 0.25 * HESSIAN_WEIGHT)])
        return Shape(bound=bound, l2=float(np.hypot(WIDEST, 0.25 * HESSIAN_WEIGHT * WIDEST**2)))

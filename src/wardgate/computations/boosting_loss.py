"""How well the model predicts tuning persons after each of its last trees: when to stop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.boosting import Grown, is_whole
from wardgate.computations.computation import Vector
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostingLoss:
    """Persons, and the logistic loss after `first`, `first` + 1, ... trees.

    Attributes:
        grown: Bins and trees.
        first: Fewest trees that are judged.
    """

    name: ClassVar[str] = "boosting_loss"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("tuning",)

    grown: Grown
    first: int

    def parameters(self) -> dict[str, Any]:
        return {**self.grown.parameters(), "first": self.first}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return self.grown.arrays()

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        grown, first = Grown.read(parameters, arrays), parameters.get("first")
        if not isinstance(first, int) or not is_whole(first, low=0):
            raise Invalid("the loss needs 'first', the fewest trees that are judged")
        return cls(grown=grown, first=first)

    def shape(self, study: Study) -> Shape:
        """The absolute score after some trees is at most the sum of their largest absolute leaves."""
        model = self.grown.model(self.grown.bins(study))
        if self.first > len(model):
            raise Invalid(f"expected 'first' to be at most {len(model)}, the number of trees")
        bound = np.concatenate([[1.0], np.logaddexp(0.0, model.reach()[self.first :])])
        return Shape(bound=bound, l2=float(np.linalg.norm(bound)))

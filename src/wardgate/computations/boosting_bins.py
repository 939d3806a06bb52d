"""How persons, or their weight in the next tree, lie over fine public bins: where coarser bins may be placed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.boosting import Grown
from wardgate.computations.computation import Vector
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostingBins:
    """Events, and then a histogram of four times the Hessian: its total, and each feature's bins but the first.

    Before the first tree at starting score 0 everybody's Hessian is 1/4, so these are counts of persons.

    Attributes:
        grown: Fine bins, and the model at which the Hessian is taken.
    """

    name: ClassVar[str] = "boosting_bins"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    grown: Grown

    def parameters(self) -> dict[str, Any]:
        return self.grown.parameters()

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return self.grown.arrays()

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        return cls(grown=Grown.read(parameters, arrays))

    def shape(self, study: Study) -> Shape:
        """A person adds at most 1 to the events, to the total and to one bin of each feature."""
        width, features = self.grown.widths(study)
        return Shape(bound=np.ones(1 + width), l2=float(np.sqrt(2.0 + features)))

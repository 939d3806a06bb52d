"""Gradients and Hessians in the leaves of a batch of trees whose splits look at no person."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.boosting import Grown
from wardgate.computations.computation import Vector
from wardgate.measures.histograms import Bins
from wardgate.measures.trees import Splits
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

MOST_WEIGHT = 4.0
"""With it the Hessian part of a person reaches 1, as the gradient does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostingLeaves:
    """For each tree of the batch, leaf by leaf: first all gradients, then all Hessians times `weight`.

    Attributes:
        grown: Bins, and the model at which both are taken.
        batch: Splits of the new trees, tree by tree places and cuts, shape (trees x 2 x (2^depth - 1),).
        weight: Scale of the Hessians, in (0, 4]; it decides how much of the noise they bear.
    """

    name: ClassVar[str] = "boosting_leaves"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    grown: Grown
    batch: Vector
    weight: float

    def parameters(self) -> dict[str, Any]:
        return {**self.grown.parameters(), "weight": text_of(self.weight)}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return (*self.grown.arrays(), ("batch", self.batch))

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        grown = Grown.read(parameters, arrays)
        batch, row = arrays.get("batch"), 2 * (2**grown.depth - 1)
        if batch is None or batch.ndim != 1 or not len(batch) or len(batch) % row:
            raise Invalid(f"expected the splits 'batch' beside the question, {row} numbers for each tree")
        if np.any(batch != np.floor(batch)) or np.any(np.abs(batch) >= 2.0**53):
            raise Invalid("a split of the batch is no integer")
        weight = number_of(parameters.get("weight", ""))
        if not 0 < weight <= MOST_WEIGHT:
            raise Invalid(f"expected a 'weight' of the Hessians above 0 and at most {MOST_WEIGHT:g}")
        return cls(grown=grown, batch=batch, weight=weight)

    @classmethod
    def of(cls, grown: Grown, splits: Splits, *, weight: float) -> Self:
        """Return the question for a batch."""
        batch = np.stack([splits.place, splits.cut], axis=1).astype(np.float64).ravel()
        return cls(grown=grown, batch=batch, weight=weight)

    def new(self, bins: Bins) -> Splits:
        """Return the splits of the batch.

        Raises:
            Invalid: they do not fit the bins.
        """
        rows = self.batch.astype(np.int64).reshape(-1, 2, 2**self.grown.depth - 1)
        return Splits(place=rows[:, 0], cut=rows[:, 1]).checked(bins)

    def shape(self, study: Study) -> Shape:
        """A person is in one leaf of every tree, with at most `leaf_l2` there."""
        self.grown.widths(study)
        trees = len(self.batch) // (2 * (2**self.grown.depth - 1))
        entries = trees * 2**self.grown.depth
        bound = np.repeat([1.0, 0.25 * self.weight], entries)
        return Shape(bound=bound, l2=float(np.sqrt(trees)) * leaf_l2(self.weight))


def leaf_l2(weight: float) -> float:
    """Return the largest norm of (g, weight x h) over all persons.

    With q = |g| a person has h = q (1 - q), so the square is q^2 + weight^2 q^2 (1 - q)^2 over q in [0, 1]. Its
    derivative over 2q is 1 + weight^2 (1 - q) (1 - 2q): inner extremes are at q = (3 +- sqrt(1 - 8 / weight^2)) / 4,
    of which the smaller is the maximum, and there is none for weight^2 < 8. The ends give 0 and 1.
    """
    if weight**2 <= 8:
        return 1.0
    q = (3.0 - np.sqrt(1.0 - 8.0 / weight**2)) / 4.0
    return float(max(1.0, np.sqrt(q**2 + (weight * q * (1.0 - q)) ** 2)))

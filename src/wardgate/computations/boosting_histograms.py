"""Gradients and Hessians of the persons in some nodes of a growing tree, by bin."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.boosting import NOTHING, Grown, is_whole
from wardgate.computations.computation import Vector
from wardgate.measures.histograms import Bins
from wardgate.measures.trees import Splits
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostingHistograms:
    """For each node: its total, and each feature's bins but the first; first of gradients, then Hessians, persons.

    Attributes:
        grown: Bins, and the trees that are whole.
        growing: Splits of the tree that grows, above the asked level: places, then cuts, shape (2 x (2^level - 1),).
        level: Of the asked nodes, 0 for the root.
        nodes: Which, counted from the left within the level, rising.
        counts: Whether persons are summed too.
    """

    name: ClassVar[str] = "boosting_histograms"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    grown: Grown
    growing: Vector
    level: int
    nodes: tuple[int, ...]
    counts: bool = False

    def parameters(self) -> dict[str, Any]:
        own = {"level": self.level, "nodes": list(self.nodes), "counts": self.counts}
        return {**self.grown.parameters(), **own}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        growing = (("growing", self.growing),) if len(self.growing) else ()
        return (*self.grown.arrays(), *growing)

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        grown = Grown.read(parameters, arrays)
        level, nodes, counts = (parameters.get(name) for name in ("level", "nodes", "counts"))
        if not isinstance(level, int) or not is_whole(level, low=0) or level >= grown.depth:
            raise Invalid(f"expected a 'level' from 0 to {grown.depth - 1}")
        if not isinstance(nodes, list | tuple) or not nodes or not all(is_whole(node, low=0) for node in nodes):
            raise Invalid("histograms need 'nodes', at least one")
        if list(nodes) != sorted(set(nodes)) or nodes[-1] >= 2**level:
            raise Invalid(f"expected rising 'nodes' below {2**level} on level {level}")
        if not isinstance(counts, bool):
            raise Invalid("histograms need 'counts', true or false")
        growing = arrays.get("growing", NOTHING)
        if growing.shape != (2 * (2**level - 1),) or np.any(growing != np.floor(growing)):
            raise Invalid("the splits 'growing' beside the question are not those above the asked level")
        return cls(grown=grown, growing=growing, level=level, nodes=tuple(nodes), counts=counts)

    def above(self, bins: Bins) -> Splits:
        """Return the splits above the asked level as one tree.

        Raises:
            Invalid: they do not fit the bins.
        """
        if np.any(np.abs(self.growing) >= 2.0**53):
            raise Invalid("a split of the growing tree is too large for an integer")
        place, cut = self.growing.astype(np.int64).reshape(2, 1, -1)
        return Splits(place=place, cut=cut).checked(bins)

    def shape(self, study: Study) -> Shape:
        """A person is in one node, and there in the total and one bin of each feature."""
        width, features = self.grown.widths(study)
        each = np.array([1.0, 0.25, 1.0] if self.counts else [1.0, 0.25])
        l2 = float(np.linalg.norm(each) * np.sqrt(1.0 + features))
        return Shape(bound=np.repeat(each, len(self.nodes) * width), l2=l2)

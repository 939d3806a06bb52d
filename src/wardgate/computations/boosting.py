"""What all sums of gradient boosting share: the public bins and the public model so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.measures.histograms import Bins
from wardgate.measures.trees import MOST_DEPTH, Trees
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

NOTHING = np.zeros(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """Bins and trees as they travel, not yet held against the study.

    Attributes:
        edges_of: Number of inner edges of each feature of the study; -1 where the model leaves the feature out.
        edges: All of them in a row.
        depth: Of every tree.
        trees: As `Trees.flat` gives them; the starting score alone before the first tree.
    """

    edges_of: tuple[int, ...]
    edges: Vector
    depth: int
    trees: Vector

    @classmethod
    def of(cls, study: Study, bins: Bins, trees: Trees) -> Self:
        """Return what travels of a model."""
        counts, edges = bins.flat(study.features)
        return cls(edges_of=counts, edges=edges, depth=trees.splits.depth, trees=trees.flat())

    def parameters(self) -> dict[str, Any]:
        return {"edges_of": list(self.edges_of), "depth": self.depth}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        edges = (("edges", self.edges),) if len(self.edges) else ()
        return (*edges, ("trees", self.trees))

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        counts = parameters.get("edges_of")
        if not isinstance(counts, list | tuple) or not all(is_whole(count, low=-1) for count in counts):
            raise Invalid("boosting needs 'edges_of', the number of edges of each feature, -1 where it is left out")
        depth = parameters.get("depth")
        if not isinstance(depth, int) or not is_whole(depth, low=1) or depth > MOST_DEPTH:
            raise Invalid(f"boosting needs a 'depth' from 1 to {MOST_DEPTH}")
        if "trees" not in arrays:
            raise Invalid("boosting needs the vector 'trees' beside the question, at first the starting score alone")
        return cls(edges_of=tuple(counts), edges=arrays.get("edges", NOTHING), depth=depth, trees=arrays["trees"])

    def bins(self, study: Study) -> Bins:
        """Return the bins.

        Raises:
            Invalid: they do not fit the study.
        """
        return Bins.from_flat(study.features, self.edges_of, self.edges)

    def model(self, bins: Bins) -> Trees:
        """Return the trees.

        Raises:
            Invalid: they are malformed, or do not fit the bins.
        """
        return Trees.from_flat(self.trees, depth=self.depth, bins=bins)

    def widths(self, study: Study) -> tuple[int, int]:
        """Return the numbers of one node and statistic, and the features that have bins.

        Raises:
            Invalid: not one count for each feature of the study.
        """
        if len(self.edges_of) != len(study.features):
            raise Invalid(f"expected a number of edges for each of {len(study.features)} features")
        width, used = 1, 0
        for feature, count in zip(study.features, self.edges_of, strict=True):
            if count >= 0:
                inner = len(feature.values or ()) - 1 if feature.type == "category" else count
                width, used = width + inner + (feature.missing == "allowed"), used + 1
        return width, used


def is_whole(value: object, *, low: int) -> bool:
    """Whether a parameter is an integer of at least `low`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= low

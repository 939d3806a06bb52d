"""Where this hospital's persons stand in a growing ensemble, kept between two questions and never believed unseen.

A question brings all trees. What was worked out for the last question is used again for as many trees as are bit by
bit the same; anything else is worked out afresh, so the hub cannot make a ward answer for trees that it did not send.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.boosting import Grown
from wardgate.hospital.ward.cohort.part import Part
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.histograms import Bins, Codes
from wardgate.measures.logistic import probability
from wardgate.measures.trees import Splits, Trees, added, descended, left_table
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

Vector = NDArray[np.float64]


@dataclass(slots=True, kw_only=True)
class Standing:
    """Persons of one split under one model.

    Attributes:
        codes: Each person's bins, shape (n, f).
        trees: The model as it travelled.
        score: Its scores, shape (n,).
        gradient, hessian: Of the logistic loss at `score`, shape (n,).
        above: Splits of the tree that grows, as far as persons were sent down it.
        node: Each person's node below them, counted in the order of a heap, shape (n,).
    """

    edges_of: tuple[int, ...]
    edges: Vector
    depth: int
    bins: Bins
    codes: Codes
    y: NDArray[np.int8]
    trees: Vector
    score: Vector
    gradient: Vector = field(init=False)
    hessian: Vector = field(init=False)
    above: Splits | None = None
    node: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        self._derive()

    def _derive(self) -> None:
        chance = probability(self.score)
        self.gradient = self.y - chance
        self.hessian = chance * (1.0 - chance)
        self.above = self.node = None

    def fits(self, grown: Grown) -> bool:
        """Whether the question's bins are those of `codes`, and its first trees those of `score`."""
        return (
            self.edges_of == grown.edges_of
            and self.depth == grown.depth
            and np.array_equal(self.edges, grown.edges)
            and len(grown.trees) >= len(self.trees)
            and np.array_equal(self.trees, grown.trees[: len(self.trees)])
        )

    def grow(self, grown: Grown) -> None:
        """Add the trees that the question has beyond those already added."""
        if len(grown.trees) == len(self.trees):
            return
        rest = np.concatenate([grown.trees[:1], grown.trees[len(self.trees) :]])
        new = Trees.from_flat(rest, depth=grown.depth, bins=self.bins)
        self.score = added(new, self.codes, self.bins, self.score)
        self.trees = grown.trees.copy()
        self._derive()

    def slots(self, above: Splits, *, level: int, nodes: tuple[int, ...]) -> NDArray[np.int64]:
        """Return which of the asked nodes each person is in, shape (n,), -1 for none."""
        known = 0
        if self.above is not None and self.node is not None and self.above.depth <= level:
            seen = self.above.place.shape[1]
            if np.array_equal(self.above.place, above.place[:, :seen]) and np.array_equal(
                self.above.cut, above.cut[:, :seen]
            ):
                known = self.above.depth
        start = self.node if known else None
        lookup = left_table(above, self.bins)[0]
        self.node = descended(above.place[0], lookup, self.codes, levels=level - known, node=start)
        self.above = above
        lookup_slot = np.full(2**level, -1, dtype=np.int64)
        lookup_slot[list(nodes)] = np.arange(len(nodes))
        return np.asarray(lookup_slot[self.node - (2**level - 1)])


def standing(bench: Bench, split: SplitName, grown: Grown) -> Standing:
    """Return where the persons of a split stand under the question's model."""
    found = kept(bench.kept, bench.study, bench.part(split), grown, key=f"boosting/{split}")
    found.grow(grown)
    return found


def kept(memory: dict[str, Any], study: Study, part: Part, grown: Grown, *, key: str) -> Standing:
    """Return what is remembered and still true, or a fresh start."""
    found = memory.get(key)
    if isinstance(found, Standing) and found.fits(grown):
        return found
    bins = grown.bins(study)
    start = Trees.from_flat(grown.trees[:1], depth=grown.depth, bins=bins)
    codes = bins.codes(part.table)
    fresh = Standing(
        edges_of=grown.edges_of,
        edges=grown.edges.copy(),
        depth=grown.depth,
        bins=bins,
        codes=codes,
        y=part.y,
        trees=grown.trees[:1].copy(),
        score=np.full(len(codes), start.base),
    )
    memory[key] = fresh
    return fresh

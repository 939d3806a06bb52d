"""Trees over binned features, as flat arrays: how they travel, and where a person ends.

A tree of depth d is laid out whole: 2^d - 1 splits in the order of a heap (children of k at 2k + 1 and 2k + 2) and 2^d
leaves from left to right. Where growth stopped early a node has no split: everybody goes left, and the leaf at the
very left below it holds the value. So all trees of a model have one shape and no pointers.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.histograms import Bins, Codes
from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]
Whole = NDArray[np.int64]

MOST_DEPTH = 8
MOST_TREES = 5_000
MOST_SCORE = 50.0
"""Largest sum of absolute leaf values of one tree that is read; beyond it a probability says nothing."""

NO_SPLIT = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Splits of several trees of one depth.

    Attributes:
        place: Twice the feature's position, plus one where missing values go left; -1 for no split. Shape (t, nodes).
        cut: Of an ordered feature the last bin that goes left; of a category the bins that go left, one bit each.
    """

    place: Whole
    cut: Whole

    def __len__(self) -> int:
        return len(self.place)

    @property
    def depth(self) -> int:
        """Levels of splits."""
        return int(self.place.shape[1] + 1).bit_length() - 1

    def upto(self, count: int) -> Self:
        """Return the first `count` trees."""
        return type(self)(place=self.place[:count], cut=self.cut[:count])

    def same(self, other: "Splits") -> bool:
        """Whether both hold the same trees."""
        return np.array_equal(self.place, other.place) and np.array_equal(self.cut, other.cut)

    def checked(self, bins: Bins) -> Self:
        """Return itself if every split fits the bins.

        Raises:
            Invalid: a shape, a feature or a cut that no such tree can have.
        """
        nodes = self.place.shape[1] if self.place.ndim == 2 else -1
        if self.cut.shape != self.place.shape or nodes + 1 not in [2**depth for depth in range(MOST_DEPTH + 1)]:
            raise Invalid(f"expected trees of depth 0 to {MOST_DEPTH}, found splits of shape {self.place.shape}")
        if len(self.place) > MOST_TREES:
            raise Invalid(f"expected at most {MOST_TREES} trees, found {len(self.place)}")
        split = self.place >= 0
        feature = np.where(split, self.place >> 1, 0)
        if np.any(self.place < NO_SPLIT) or np.any(feature >= len(bins.sizes)):
            raise Invalid("a tree splits on a feature that has no bins")
        most = np.where(bins.ordered, bins.sizes - bins.optional, np.left_shift(1, np.minimum(bins.sizes, 62)))
        if np.any(split & ((self.cut < 0) | (self.cut >= most[feature]))):
            raise Invalid("a tree is cut at a bin that its feature does not have")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """A model: the sum of a starting score and one leaf of every tree, on the logit scale.

    Attributes:
        base: The starting score.
        value: Leaf values, learning rate included, shape (t, leaves).
    """

    base: float
    splits: Splits
    value: Vector

    def __len__(self) -> int:
        return len(self.value)

    def upto(self, count: int) -> Self:
        """Return the model of the first `count` trees."""
        return type(self)(base=self.base, splits=self.splits.upto(count), value=self.value[:count])

    def only(self, place: int) -> Self:
        """Return one tree."""
        one = slice(place, place + 1)
        splits = Splits(place=self.splits.place[one], cut=self.splits.cut[one])
        return type(self)(base=self.base, splits=splits, value=self.value[one])

    @classmethod
    def none(cls, *, base: float, depth: int) -> Self:
        """Return a model without trees."""
        shape = (0, 2**depth - 1)
        return cls(
            base=base,
            splits=Splits(place=np.zeros(shape, dtype=np.int64), cut=np.zeros(shape, dtype=np.int64)),
            value=np.zeros((0, 2**depth)),
        )

    def more(self, splits: Splits, value: Vector) -> Self:
        """Return the model with further trees."""
        return type(self)(
            base=self.base,
            splits=Splits(
                place=np.concatenate([self.splits.place, splits.place]),
                cut=np.concatenate([self.splits.cut, splits.cut]),
            ),
            value=np.concatenate([self.value, value]),
        )

    def flat(self) -> Vector:
        """Return one vector: the base, then tree by tree place, cut and value. Integers are exact below 2^53."""
        rows = np.concatenate([self.splits.place.astype(float), self.splits.cut.astype(float), self.value], axis=1)
        return np.concatenate([[self.base], rows.ravel()])

    @classmethod
    def from_flat(cls, flat: Vector, *, depth: int, bins: Bins) -> Self:
        """Read what `flat` wrote.

        Raises:
            Invalid: another length, a number that is not finite, or a tree that does not fit the bins.
        """
        if not 1 <= depth <= MOST_DEPTH:
            raise Invalid(f"expected a depth of 1 to {MOST_DEPTH}, found {depth}")
        splits, leaves = 2**depth - 1, 2**depth
        row = 2 * splits + leaves
        if flat.ndim != 1 or len(flat) % row != 1 or not np.all(np.isfinite(flat)):
            raise Invalid(f"expected one finite starting score and {row} finite numbers for each tree")
        rows = flat[1:].reshape(-1, row)
        whole = rows[:, : 2 * splits]
        if np.any(whole != np.floor(whole)) or np.any(np.abs(whole) >= 2.0**53):
            raise Invalid("a split of a tree is no integer")
        place, cut = whole[:, :splits].astype(np.int64), whole[:, splits:].astype(np.int64)
        value = rows[:, 2 * splits :].copy()
        if abs(float(flat[0])) > MOST_SCORE or np.any(np.abs(value) > MOST_SCORE):
            raise Invalid(f"a leaf value or the starting score exceeds {MOST_SCORE:g} logits")
        return cls(base=float(flat[0]), splits=Splits(place=place, cut=cut).checked(bins), value=value)

    def scores(self, codes: Codes, bins: Bins) -> Vector:
        """Return each person's score, shape (n,): the trees added one by one, so that every order of asking agrees."""
        return added(self, codes, bins, np.full(len(codes), self.base))

    def reach(self) -> Vector:
        """Return a bound of the absolute score after 0, 1, ... trees, shape (t + 1,)."""
        most = np.max(np.abs(self.value), axis=1, initial=0.0)
        return abs(self.base) + np.concatenate([[0.0], np.cumsum(most)])


def added(trees: Trees, codes: Codes, bins: Bins, score: Vector) -> Vector:
    """Return the scores with all trees added in their order."""
    found = score.copy()
    lookup = left_table(trees.splits, bins)
    for tree in range(len(trees)):
        leaf = descended(trees.splits.place[tree], lookup[tree], codes, levels=trees.splits.depth)
        found += trees.value[tree, leaf - (2**trees.splits.depth - 1)]
    return found


def leaves_of(splits: Splits, codes: Codes, bins: Bins) -> NDArray[np.int64]:
    """Return the leaf of each person in each tree, counted from the left, shape (n, t)."""
    lookup, first = left_table(splits, bins), 2**splits.depth - 1
    found = np.empty((len(codes), len(splits)), dtype=np.int64)
    for tree in range(len(splits)):
        found[:, tree] = descended(splits.place[tree], lookup[tree], codes, levels=splits.depth) - first
    return found


def left_table(splits: Splits, bins: Bins) -> NDArray[np.bool_]:
    """Return whether a bin goes left at each split, shape (t, nodes, largest number of bins)."""
    return goes_left(splits.place, splits.cut, bins)


def goes_left(place: Whole, cut: Whole, bins: Bins) -> NDArray[np.bool_]:
    """Return whether each bin goes left, shape (*place.shape, largest number of bins)."""
    feature = np.where(place >= 0, place >> 1, 0)
    bin_ = np.arange(int(bins.sizes.max()))
    missing = bins.optional[feature][..., None] & (bin_ == (bins.sizes[feature] - 1)[..., None])
    by_order = np.where(missing, (place & 1).astype(bool)[..., None], bin_ <= cut[..., None])
    by_level = (np.right_shift(cut[..., None], np.minimum(bin_, 62)) & 1).astype(bool)
    found = np.where(bins.ordered[feature][..., None], by_order, by_level)
    return np.asarray(found | (place < 0)[..., None])


def descended(
    place: Whole, lookup: NDArray[np.bool_], codes: Codes, *, levels: int, node: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return each person's node after `levels` further splits of one tree.

    Args:
        place: Splits of the tree, shape (nodes,).
        lookup: Its rows of `left_table`, shape (nodes, bins).
        node: Where persons stand, shape (n,); the root if left out.
    """
    found = np.zeros(len(codes), dtype=np.int64) if node is None else node
    persons = np.arange(len(codes))
    feature = np.where(place >= 0, place >> 1, 0)
    for _ in range(levels):
        left = lookup[found, codes[persons, feature[found]]]
        found = 2 * found + 2 - left
    return found

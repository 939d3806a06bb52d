"""Where a tree splits, from summed histograms alone: the same at the hub as on one pooled table.

Everything is second order, for the binary logistic loss: with score s and p = 1 / (1 + exp(-s)) a person brings the
gradient g = y - p, in [-1, 1], and the Hessian h = p (1 - p), in [0, 1/4]. A leaf of sums G and H has the value
w = G / (H + ridge), held within its bounds, and the objective G w - (H + ridge) w^2 / 2.

Sums of different order differ in their last digits. So that no such digit moves a split, the first candidate in a
fixed order (feature, cut, missing values right before left) whose gain reaches the best but `TOLERANCE` is taken, and
categories are ordered by a ratio rounded to as much.

References: Chen, Guestrin (2016), XGBoost, arXiv:1603.02754, for the objective; Fisher (1958), doi:10.2307/2281952,
    for the order of categories; monotone bounds follow the middle of the two children's values, as in LightGBM's
    and scikit-learn's basic method.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.histograms import Bins
from wardgate.measures.trees import MOST_DEPTH, MOST_TREES, NO_SPLIT
from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]

TOLERANCE = 1e-9
LEVEL_SMOOTHING = 2.5
"""Hessian added to a category's own when categories are ordered: that of ten persons at even chances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How an ensemble grows.

    Attributes:
        trees, depth: Number of trees, and levels of splits in each.
        learning_rate: Share of its Newton value that a leaf keeps.
        ridge: L2 penalty on leaf values.
        min_hessian: Least Hessian in a leaf.
        min_persons: Least persons in a leaf. A person's Hessian is at most 1/4, so a Hessian of min_persons / 4
            guarantees them without a further sum; with `counts` persons are summed and counted instead.
        min_gain: Least gain of a split.
        monotone: +1 (rising) or -1 (falling) by name of an ordered feature.
    """

    trees: int = 100
    depth: int = 3
    learning_rate: float = 0.1
    ridge: float = 1.0
    min_hessian: float = 1e-3
    min_persons: int = 20
    counts: bool = False
    min_gain: float = 1e-6
    monotone: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for name, value, most in (("trees", self.trees, MOST_TREES), ("depth", self.depth, MOST_DEPTH)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise Invalid(f"expected '{name}' to be an integer from 1 to {most}, found {value}")
        if not 0 < self.learning_rate <= 1:
            raise Invalid(f"expected a learning rate above 0 and at most 1, found {self.learning_rate}")
        for name, number in (("ridge", self.ridge), ("min_hessian", self.min_hessian), ("min_gain", self.min_gain)):
            if not 0 <= number < float("inf"):
                raise Invalid(f"expected a finite '{name}' of at least 0, found {number}")
        if self.ridge + self.min_hessian <= 0:
            raise Invalid("expected a ridge or a least Hessian above 0; otherwise a leaf may divide by nothing")
        if self.min_persons < 1:
            raise Invalid(f"expected at least 1 person in a leaf, found {self.min_persons}")
        if any(sign not in (-1, 0, 1) for sign in self.monotone.values()):
            raise Invalid("a monotone constraint is +1 (rising), -1 (falling) or 0 (none)")

    def signs(self, bins: Bins) -> NDArray[np.int64]:
        """Return the constraint of each binned feature, shape (f,).

        Raises:
            Invalid: a constraint names an unknown or left-out feature, or a category, which has no order.
        """
        found = np.zeros(len(bins.features), dtype=np.int64)
        for name, sign in self.monotone.items():
            place = bins.place_of(name)
            if sign and not bins.ordered[place]:
                raise Invalid(f"'{name}' is a category; it has no order that a monotone constraint could follow")
            found[place] = sign
        return found

    @property
    def least_hessian(self) -> float:
        """Hessian that a leaf needs."""
        return self.min_hessian if self.counts else max(self.min_hessian, self.min_persons / 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best split of each node; -1 in `place` where none helps.

    Attributes:
        place, cut: As in `trees.Splits`, shape (m,).
        left: Gradient, Hessian and, where counted, persons of the left child, shape (k, m).
        gain: Shape (m,).
        sign: Monotone constraint of the chosen feature, shape (m,).
    """

    place: NDArray[np.int64]
    cut: NDArray[np.int64]
    left: Vector
    gain: Vector
    sign: NDArray[np.int64]


def leaf_value(gradient: Vector, hessian: Vector, *, ridge: float, low: Vector | float, high: Vector | float) -> Vector:
    """Return the Newton values of leaves within their bounds; an empty leaf without ridge has the value 0."""
    weight = np.maximum(hessian, 0.0) + ridge
    raw = np.divide(gradient, weight, out=np.zeros(np.broadcast(gradient, weight).shape), where=weight > 0)
    return np.asarray(np.clip(raw, low, high))


def _objective(gradient: Vector, hessian: Vector, value: Vector, ridge: float) -> Vector:
    return np.asarray(gradient * value - 0.5 * (np.maximum(hessian, 0.0) + ridge) * value**2)


def best_splits(bins: Bins, sums: Vector, *, growth: Growth, low: Vector, high: Vector) -> Found:
    """Return the best split of each of m nodes.

    Args:
        sums: Gradient, Hessian and, with `growth.counts`, persons of each node and bin, shape (k, m, total bins).
        low, high: Bounds of each node's values, shape (m,).
    """
    signs = growth.signs(bins)
    total = totals(bins, sums)
    order = _level_order(bins, sums)
    laid, missing, last = _laid_out(bins, sums, order)
    passed = np.cumsum(laid, axis=3)
    left = np.stack([passed, passed + missing[:, :, :, None]], axis=4)  # (k, m, f, cuts, missing right or left)
    right = total[:, :, None, None, None] - left
    lo, hi = low[:, None, None, None], high[:, None, None, None]
    values = [leaf_value(side[0], side[1], ridge=growth.ridge, low=lo, high=hi) for side in (left, right)]
    whole = leaf_value(total[0], total[1], ridge=growth.ridge, low=low, high=high)
    before = _objective(total[0], total[1], whole, growth.ridge)
    gain = sum(
        (_objective(side[0], side[1], value, growth.ridge) for side, value in zip((left, right), values, strict=True)),
        start=-before[:, None, None, None],
    )
    allowed = _candidates(bins, last, gain.shape)
    enough = growth.least_hessian * (1 - TOLERANCE)
    allowed &= (left[1] >= enough) & (right[1] >= enough)
    if growth.counts:
        allowed &= (left[2] >= growth.min_persons - 0.5) & (right[2] >= growth.min_persons - 0.5)
    sign = signs[None, :, None, None]
    allowed &= (sign == 0) | (sign * (values[1] - values[0]) >= 0)
    return _chosen(bins, np.where(allowed, gain, -np.inf), left, total, order, signs, growth)


def totals(bins: Bins, sums: Vector) -> Vector:
    """Return each node's totals, shape (k, m): those of any feature, since its bins add up to them."""
    return np.asarray(sums[:, :, : int(bins.sizes[0])].sum(axis=2))


def _level_order(bins: Bins, sums: Vector) -> dict[int, NDArray[np.int64]]:
    """Return for each category its bins (missing among them) in the order of gradient over Hessian, (m, bins)."""
    found = {}
    for place in np.flatnonzero(~bins.ordered):
        part = slice(int(bins.starts[place]), int(bins.starts[place] + bins.sizes[place]))
        ratio = sums[0, :, part] / (np.maximum(sums[1, :, part], 0.0) + LEVEL_SMOOTHING)
        found[int(place)] = np.argsort(np.rint(ratio / TOLERANCE), axis=1, kind="stable")
    return found


def _laid_out(
    bins: Bins, sums: Vector, order: Mapping[int, NDArray[np.int64]]
) -> tuple[Vector, Vector, NDArray[np.int64]]:
    """Return bins side by side, (k, m, f, most bins), the missing bin of ordered features, (k, m, f), and how many."""
    optional = bins.optional & bins.ordered
    lengths = bins.sizes - optional
    laid = np.zeros((*sums.shape[:2], len(bins.features), int(lengths.max())))
    missing = np.zeros((*sums.shape[:2], len(bins.features)))
    for place, (start, length) in enumerate(zip(bins.starts, lengths, strict=True)):
        part = sums[:, :, start : start + length]
        if place in order:
            part = np.take_along_axis(part, order[place][None], axis=2)
        laid[:, :, place, :length] = part
        if optional[place]:
            missing[:, :, place] = sums[:, :, start + length]
    return laid, missing, lengths


def _candidates(bins: Bins, lengths: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which cuts exist: before the last bin, or after it where missing values alone go right."""
    cut = np.arange(shape[2])[None, :]
    optional = (bins.optional & bins.ordered)[:, None]
    inner = cut < lengths[:, None] - 1
    rest = optional & (cut == lengths[:, None] - 1)
    found = np.stack([inner | rest, inner & optional], axis=2)
    return np.broadcast_to(found, shape).copy()


def _chosen(
    bins: Bins,
    gain: Vector,
    left: Vector,
    total: Vector,
    order: Mapping[int, NDArray[np.int64]],
    signs: NDArray[np.int64],
    growth: Growth,
) -> Found:
    nodes, _, cuts, _ = gain.shape
    rows = gain.reshape(nodes, -1)
    best = rows.max(axis=1)
    some = best > growth.min_gain
    slack = TOLERANCE * (1.0 + np.where(some, best, 0.0))
    first = np.argmax(rows >= np.where(some, best - slack, np.inf)[:, None], axis=1)
    feature, cut, direction = first // (2 * cuts), first // 2 % cuts, first % 2
    node = np.arange(nodes)
    sums = left.reshape(left.shape[0], nodes, -1)[:, node, first]
    place = 2 * feature + _missing_left(bins, gain, left, total, feature, cut, direction)
    taken = np.where(bins.ordered[feature], cut, 0)
    for one in np.flatnonzero(some & ~bins.ordered[feature]):
        levels = order[int(feature[one])][one, : cut[one] + 1]
        taken[one] = int(np.bitwise_or.reduce(np.left_shift(np.int64(1), levels)))
        place[one] = 2 * feature[one]
    return Found(
        place=np.where(some, place, NO_SPLIT),
        cut=np.where(some, taken, 0),
        left=sums,
        gain=np.where(some, rows[node, first], 0.0),
        sign=np.where(some, signs[feature], 0),
    )


def _missing_left(
    bins: Bins,
    gain: Vector,
    left: Vector,
    total: Vector,
    feature: NDArray[np.int64],
    cut: NDArray[np.int64],
    direction: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return where missing values go: as learned, or to the heavier side where nobody in the node misses the value."""
    node = np.arange(len(feature))
    without = left[1, node, feature, cut, 0]
    nobody = np.abs(left[1, node, feature, cut, 1] - without) <= TOLERANCE * (1.0 + total[1])
    heavier = without >= 0.5 * total[1] - TOLERANCE * (1.0 + total[1])
    found = np.where(nobody, heavier, direction == 1) & bins.optional[feature] & bins.ordered[feature]
    return np.asarray(found, dtype=np.int64)

"""Histogram gradient boosting over hospitals: the trees of pooled training on the same bins, from exact sums."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.boosting import Grown
from wardgate.computations.boosting_histograms import BoostingHistograms
from wardgate.computations.boosting_loss import BoostingLoss
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.boosting_bins import DEFAULT_BINS, Tally, placed_bins
from wardgate.measures.boosting import TOLERANCE, Growth, best_splits, leaf_value, totals
from wardgate.measures.histograms import Bins, unpacked
from wardgate.measures.trees import NO_SPLIT, Splits, Trees
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.study import Study

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Boosted:
    """A fitted ensemble.

    Attributes:
        bins, trees: The model.
        gains: Summed gain of each feature of `bins`, shape (f,).
        losses: Mean tuning loss after 0, 1, ... trees; empty without early stopping.
        sums, numbers: Sums that were asked for, and how many numbers they held together.
        bytes_moved: Both directions.
        sites: Those that were there to the end.
    """

    bins: Bins
    trees: Trees
    gains: Vector
    losses: Vector
    sites: tuple[str, ...]
    sums: int
    numbers: int
    bytes_moved: int


def boosting(
    *,
    study: Study,
    sites: tuple[str, ...],
    growth: Growth,
    most_bins: int = DEFAULT_BINS,
    numbers_most: int | None = None,
    patience: int | None = None,
) -> Generator[Ask, Told, Boosted]:
    """Fit by exact sums: one for the bins, and at most `growth.depth` for each tree.

    Sites sum the histograms of one child of each split; the other is its parent less that. A tree from which a site
    drops out is grown again by those that stay; without drop-outs the trees are those of pooled training.

    Args:
        most_bins: Bins of a feature, the missing one not counted.
        numbers_most: Numbers that one sum may hold; larger levels are asked in several sums.
        patience: Given, every so many trees one sum asks for the loss on tuning persons, and growth stops when the
            best is that long ago. The model is then cut back to the best.

    Raises:
        Invalid: a monotone constraint on an unknown, left-out or categorical feature, or bins that cannot fit.
        NotEvaluable: nobody, one class only, or nobody to tune on.
    """
    if patience is not None and patience < 1:
        raise Invalid(f"expected a patience of at least one tree, found {patience}")
    tally = Tally(sites=tuple(sorted(sites)))
    placed = yield from placed_bins(study=study, tally=tally, most=most_bins, numbers_most=numbers_most)
    bins = placed.bins
    growth.signs(bins)
    trees = Trees.none(base=placed.log_odds, depth=growth.depth)
    gains, losses = np.zeros(len(bins.features)), np.zeros(0)
    kept: list[Vector] = []
    grows = True
    while grows and len(trees) < growth.trees:
        tree = yield from _tree(
            study=study, bins=bins, trees=trees, growth=growth, tally=tally, numbers_most=numbers_most
        )
        if tree is None:
            continue
        splits, value, gained = tree
        grows = bool(np.any(splits.place != NO_SPLIT))
        if grows:
            trees = trees.more(splits, value)
            kept.append(gained)
        ends = not grows or len(trees) == growth.trees
        if patience is not None and len(losses) <= len(trees) and (ends or len(trees) % patience == 0):
            losses = yield from _judged(study=study, bins=bins, trees=trees, tally=tally, losses=losses)
            grows = grows and int(np.argmin(losses)) > len(losses) - 1 - patience
    if len(losses):
        trees = trees.upto(int(np.argmin(losses)))
    for gained in kept[: len(trees)]:
        gains += gained
    return Boosted(
        bins=bins,
        trees=trees,
        gains=gains,
        losses=losses,
        sites=tally.sites,
        sums=tally.sums,
        numbers=tally.numbers,
        bytes_moved=tally.bytes_moved,
    )


def _judged(*, study: Study, bins: Bins, trees: Trees, tally: Tally, losses: Vector) -> Generator[Ask, Told, Vector]:
    """Return the mean tuning loss after 0, 1, ... trees, all of the same sites."""
    while True:
        sites = tally.sites
        asked = BoostingLoss(grown=Grown.of(study, bins, trees), first=len(losses))
        ask = sum_ask(asked, what="boosting: when to stop", study=study, sites=sites, split="tuning")
        total = tally.add((yield ask))
        if tally.sites == sites:
            break
        losses = losses[:0]
    if total[0] < 0.5:
        raise NotEvaluable("the sites have no tuning persons; fit without early stopping")
    return np.concatenate([losses, total[1:] / total[0]])


def _tree(
    *, study: Study, bins: Bins, trees: Trees, growth: Growth, tally: Tally, numbers_most: int | None
) -> Generator[Ask, Told, tuple[Splits, Vector, Vector] | None]:
    """Grow one tree, level by level; returns its splits, leaf values and the gain of each feature.

    A child is its parent less its sibling, so all sums of a tree must be of the same sites: where one drops out, None.
    """
    sites = tally.sites
    place = np.full((1, 2**growth.depth - 1), NO_SPLIT, dtype=np.int64)
    cut = np.zeros_like(place)
    value, gains = np.zeros((1, 2**growth.depth)), np.zeros(len(bins.features))
    grown = Grown.of(study, bins, trees)
    above: dict[int, Vector] = {}
    wanted: tuple[int, ...] = (0,)
    open_nodes, low, high = [0], {0: -np.inf}, {0: np.inf}
    for level in range(growth.depth):
        first = 2**level - 1
        growing = np.concatenate([place[0, :first], cut[0, :first]]).astype(np.float64)
        sums: dict[int, Vector] = {}
        for nodes in _portions(wanted, bins, growth, numbers_most):
            asked = BoostingHistograms(grown=grown, growing=growing, level=level, nodes=nodes, counts=growth.counts)
            what = f"boosting: tree {len(trees) + 1}, level {level + 1}"
            total = tally.add((yield sum_ask(asked, what=what, study=study, sites=sites)))
            if tally.sites != sites:
                return None
            told = unpacked(bins, total, len(nodes))
            sums |= {node: told[:, slot] for slot, node in enumerate(nodes)}
        sums |= {node: above[node >> 1] - sums[node ^ 1] for node in open_nodes if node not in sums}
        stacked = np.stack([sums[node] for node in open_nodes], axis=1)
        lows, highs = (np.array([side[node] for node in open_nodes]) for side in (low, high))
        found = best_splits(bins, stacked, growth=growth, low=lows, high=highs)
        whole = totals(bins, stacked)
        below: list[tuple[int, Vector, float, float]] = []
        for slot, node in enumerate(open_nodes):
            if found.place[slot] == NO_SPLIT:
                _close(value, growth, level, node, whole[:, slot], lows[slot], highs[slot])
                continue
            place[0, first + node], cut[0, first + node] = found.place[slot], found.cut[slot]
            gains[found.place[slot] >> 1] += found.gain[slot]
            pair = _children(found.left[:, slot], whole[:, slot], growth, lows[slot], highs[slot], found.sign[slot])
            below += [(2 * node + side, *child) for side, child in enumerate(pair)]
        above = sums
        low, high = {node: lo for node, _, lo, _ in below}, {node: hi for node, _, _, hi in below}
        last = level + 1 == growth.depth
        open_nodes = [node for node, total, _, _ in below if not last and _may_split(total, growth)]
        for node, total, lo, hi in below:
            if node not in open_nodes:
                _close(value, growth, level + 1, node, total, lo, hi)
        if not open_nodes:
            break
        weight = {node: float(total[1]) for node, total, _, _ in below}
        wanted = tuple(node for node in open_nodes if node ^ 1 not in open_nodes or _asked_of_two(node, weight))
    return Splits(place=place, cut=cut), growth.learning_rate * value, gains


def _asked_of_two(node: int, weight: dict[int, float]) -> bool:
    """Whether of two open children this one is summed: the lighter, at a draw the left."""
    other = node ^ 1
    return weight[node] < weight[other] or (weight[node] == weight[other] and node < other)


def _portions(nodes: tuple[int, ...], bins: Bins, growth: Growth, numbers_most: int | None) -> list[tuple[int, ...]]:
    each = bins.width * (3 if growth.counts else 2)
    step = len(nodes) if numbers_most is None else max(1, numbers_most // each)
    return [nodes[start : start + step] for start in range(0, len(nodes), step)]


def _children(
    left: Vector, whole: Vector, growth: Growth, low: float, high: float, sign: int
) -> tuple[tuple[Vector, float, float], tuple[Vector, float, float]]:
    """Return sums and bounds of both children; below a constrained split none may pass the middle of the two values."""
    right = whole - left
    if sign == 0:
        return (left, low, high), (right, low, high)
    values = [leaf_value(side[0], side[1], ridge=growth.ridge, low=low, high=high) for side in (left, right)]
    middle = float(values[0] + values[1]) / 2
    if sign > 0:
        return (left, low, middle), (right, middle, high)
    return (left, middle, high), (right, low, middle)


def _may_split(total: Vector, growth: Growth) -> bool:
    """Whether a node holds enough for two leaves."""
    enough = total[1] >= 2 * growth.least_hessian * (1 - TOLERANCE)
    return bool(enough and (not growth.counts or total[2] >= 2 * growth.min_persons - 0.5))


def _close(value: Vector, growth: Growth, level: int, node: int, total: Vector, low: float, high: float) -> None:
    """Give a leaf its value, at the very left of the leaves below it."""
    found = leaf_value(total[0], total[1], ridge=growth.ridge, low=low, high=high)
    value[0, node << (growth.depth - level)] = float(found)

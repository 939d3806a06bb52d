"""Trees whose splits look at no person: only their leaves cost privacy.

Features are drawn without a look at data, cuts among public bins. With bins of about equal mass, placed by a noisy
histogram, random cuts divide persons about evenly.

Reference: Maddock, Cormode, Wang, Maple, Jha (2022), Federated Boosted Decision Trees with Differential Privacy,
    arXiv:2210.02910: random splits, Newton leaves, bins that adapt to the Hessian, batches of trees.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.histograms import MOST_BINS, Bins, merged
from wardgate.measures.trees import MOST_DEPTH, MOST_TREES, NO_SPLIT, Splits
from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]

LARGEST_STEP = 2.0
"""A leaf moves a score by at most this, before the learning rate."""

STANDS_OUT = 2.0
"""A bin whose mass is below this many standard deviations of its noise counts as empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomGrowth:
    """How an ensemble of random trees grows. All of it is public and none of it looks at data.

    Attributes:
        trees: In the whole ensemble. The noise in a leaf grows with the root of this number, whatever `rounds` is.
        rounds: Sums in which their leaves are asked for, at most one a tree.
        depth: Levels of splits in each tree.
        features: That one tree may use. With 1 the ensemble is additive over features, which noise harms least.
        learning_rate: Share of its Newton value that a leaf keeps.
        ridge: L2 penalty on leaf values; at least the noise of a leaf's gradient is taken.
        bins, fine: Bins of a feature, and the finer public ones on which they are placed.
        placements: Times at which bins are placed, spread over the rounds, each by one noisy sum.
        bins_share: Share of the privacy that the placements cost together.
    """

    trees: int = 100
    rounds: int = 10
    depth: int = 3
    features: int = 1
    learning_rate: float = 0.2
    ridge: float = 1.0
    bins: int = 16
    fine: int = 64
    placements: int = 2
    bins_share: float = 0.05

    def __post_init__(self) -> None:
        limits = {
            "trees": (1, MOST_TREES),
            "rounds": (1, self.trees),
            "depth": (1, MOST_DEPTH),
            "features": (1, MOST_BINS),
            "bins": (2, MOST_BINS),
            "fine": (self.bins, MOST_BINS),
            "placements": (1, self.rounds),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise Invalid(f"expected '{name}' to be an integer from {low} to {high}, found {value}")
        if not 0 < self.learning_rate <= 1:
            raise Invalid(f"expected a learning rate above 0 and at most 1, found {self.learning_rate}")
        if not 0 <= self.ridge < float("inf"):
            raise Invalid(f"expected a finite ridge of at least 0, found {self.ridge}")
        if not 0 < self.bins_share < 1:
            raise Invalid(f"expected a share of the privacy for bins between 0 and 1, found {self.bins_share}")

    def batches(self) -> list[int]:
        """Return how many trees each round has."""
        return [len(part) for part in np.array_split(np.arange(self.trees), self.rounds)]

    def places_bins(self, number: int) -> bool:
        """Whether a round, counted from 0, begins with a new placement of bins."""
        return number in {round_ * self.rounds // self.placements for round_ in range(self.placements)}


def random_splits(bins: Bins, *, trees: int, depth: int, features: int, first: int, rng: np.random.Generator) -> Splits:
    """Draw the splits of a batch.

    Every tree looks at `features` features: one of them by turns, so that all have their share, the others at random.
    At each node one of them is drawn among those that can still be divided there, and then a cut among those left.

    Args:
        features: How many a tree may use, at least 1.
        first: Number of the batch's first tree; decides whose turn it is.
        rng: Public randomness; nothing depends on it but which trees are drawn.

    Raises:
        Invalid: no trees, a depth out of range, or no features.
    """
    if trees < 1 or not 1 <= depth <= MOST_DEPTH or features < 1:
        raise Invalid("expected at least one tree, one feature in each, and a depth of 1 to 8")
    place = np.full((trees, 2**depth - 1), NO_SPLIT, dtype=np.int64)
    cut = np.zeros_like(place)
    count = len(bins.features)
    for tree in range(trees):
        turn = _turn(first + tree, count)
        others = rng.permutation(np.delete(np.arange(count), turn))[: features - 1]
        menu = np.concatenate([[turn], others]).astype(np.int64)
        _draw(bins, menu, place[tree], cut[tree], rng)
    return Splits(place=place, cut=cut)


def _turn(number: int, count: int) -> int:
    """Return whose turn it is: every round over all features in an order of its own, the same for everybody."""
    rounds, within = divmod(number, count)
    return int(np.random.default_rng([rounds, count]).permutation(count)[within])


def _draw(
    bins: Bins, menu: NDArray[np.int64], place: NDArray[np.int64], cut: NDArray[np.int64], rng: np.random.Generator
) -> None:
    """Fill one tree. Of each feature a set of bins reaches a node; a split divides one of these sets."""
    reach: dict[int, dict[int, NDArray[np.int64]]] = {0: {int(f): np.arange(int(bins.sizes[f])) for f in menu}}
    for node in range(len(place)):
        here = reach.get(node)
        if here is None:
            continue
        able = [feature for feature, left in here.items() if len(left) >= 2]
        if not able:
            continue
        feature = able[int(rng.integers(len(able)))]
        mine = here[feature]
        if bins.ordered[feature]:
            missing = int(bins.sizes[feature]) - 1 if bins.optional[feature] else -1
            values = mine[mine != missing]
            # With a missing bin one more cut divides it alone from the rest.
            cuts = len(values) - 1 + (missing in mine)
            last = int(rng.integers(cuts))
            alone = last == len(values) - 1
            goes_left = bool(rng.integers(2)) and not alone and missing in mine
            left = np.concatenate([values[: last + 1], [missing] if goes_left else []]).astype(np.int64)
            place[node], cut[node] = 2 * feature + goes_left, values[last]
        else:
            size = int(rng.integers(1, len(mine)))
            left = np.sort(rng.permutation(mine)[:size])
            place[node], cut[node] = 2 * feature, int(np.bitwise_or.reduce(np.left_shift(np.int64(1), left)))
        reach[2 * node + 1] = {**here, feature: left}
        reach[2 * node + 2] = {**here, feature: np.setdiff1d(mine, left)}


def standing_out(fine: Bins, mass: Vector, *, noise: float, most: int) -> Bins:
    """Return coarser bins of about equal noisy mass.

    A feature in which fewer than two bins stand out keeps bins of equal width: the noise says nothing of it.

    Args:
        mass: Noisy mass of each fine bin, shape (total,).
        noise: Its standard deviation.
        most: Ordered bins of a feature.
    """
    seen = np.where(mass > STANDS_OUT * noise, mass, 0.0)
    for place, edges in enumerate(fine.edges):
        start = int(fine.starts[place])
        if np.count_nonzero(seen[start : start + len(edges) + 1]) < 2:
            seen[start : start + int(fine.sizes[place])] = 1.0
    return merged(fine, seen, most=most, least=0.0)


def refined(splits: Splits, coarse: Bins, fine: Bins) -> Splits:
    """Return the same splits over finer bins, of which the coarse ones are unions."""
    place, cut = splits.place.copy(), splits.cut.copy()
    for feature, (name, edges) in enumerate(zip((f.name for f in coarse.features), coarse.edges, strict=True)):
        mine = (splits.place >> 1 == feature) & (splits.place >= 0)
        target = fine.place_of(name)
        place[mine] = 2 * target + (splits.place[mine] & 1)
        if coarse.ordered[feature]:
            # After the coarse last bin, only missing values are left: that is after the fine last bin too.
            ends = np.append(np.searchsorted(fine.edges[target], edges), len(fine.edges[target]))
            cut[mine] = ends[splits.cut[mine]]
    return Splits(place=place, cut=cut)


def newton_leaves(gradient: Vector, hessian: Vector, *, noise: float, ridge: float) -> Vector:
    """Return leaf values of a batch of trees from noisy sums.

    Every tree of the batch is fitted to the same scores, so a shift that all persons share would be taken as often as
    there are trees: each tree is centred, and the shift, averaged over all trees, is taken once, with the first. The
    ridge is at least the gradient's noise: what noise can fake is shrunk away.

    Args:
        gradient, hessian: Noisy sums, shape (trees, leaves).
        noise: Standard deviation of the noise in a gradient.

    Returns:
        Shape (trees, leaves), the shift apart within +-LARGEST_STEP, the shift too.
    """
    whole = np.maximum(hessian.sum(axis=1, keepdims=True), 1.0)
    drift = gradient.sum(axis=1, keepdims=True)
    centred = gradient - hessian * drift / whole
    value = centred / (np.maximum(hessian, 0.0) + max(ridge, noise, 1e-9))
    value = np.clip(value, -LARGEST_STEP, LARGEST_STEP)
    shift = float(np.clip(drift.mean() / (whole.mean() + max(ridge, noise)), -LARGEST_STEP, LARGEST_STEP))
    value[0] += shift
    return np.asarray(value)

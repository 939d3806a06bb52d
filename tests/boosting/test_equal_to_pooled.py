"""The trees of many hospitals are the trees of one table, found by a learner that looks at persons one by one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from wardgate.hub.pooling.boosting import Boosted, boosting
from wardgate.measures.boosting import LEVEL_SMOOTHING, TOLERANCE, Growth
from wardgate.measures.histograms import Bins
from wardgate.records.study import Study

Make = Callable[..., pl.DataFrame]
MakeWards = Callable[..., Any]
Array = np.ndarray[Any, Any]
Shipped = Callable[[str], tuple[Study, Mapping[str, pl.DataFrame]]]

SITES = ("s0", "s1", "s2")


@dataclass
class Node:
    """A node of the slow learner."""

    value: float = 0.0
    feature: int = -1
    left_bins: frozenset[int] = frozenset()
    children: "tuple[Node, Node] | None" = None


@dataclass
class Slow:
    """Boosting without histograms: every candidate is tried on the persons themselves."""

    bins: Bins
    codes: Array
    y: Array
    growth: Growth
    trees: list[Node] = field(default_factory=list)

    def fit(self) -> Array:
        score = np.full(len(self.y), np.log(self.y.sum() / (len(self.y) - self.y.sum())))
        for _ in range(self.growth.trees):
            chance = 1 / (1 + np.exp(-score))
            tree = self.grow(self.y - chance, chance * (1 - chance), np.arange(len(self.y)), 0, -np.inf, np.inf)
            self.trees.append(tree)
            score = score + np.array([self.growth.learning_rate * leaf_of(tree, row).value for row in self.codes])
        return score

    def value(self, g: Array, h: Array, low: float, high: float) -> float:
        return float(min(max(g.sum() / (h.sum() + self.growth.ridge), low), high))

    def worth(self, g: Array, h: Array, low: float, high: float) -> float:
        w = self.value(g, h, low, high)
        return float(g.sum() * w - 0.5 * (h.sum() + self.growth.ridge) * w * w)

    def grow(self, g: Array, h: Array, who: Array, depth: int, low: float, high: float) -> Node:
        node = Node(value=self.value(g[who], h[who], low, high))
        if depth == self.growth.depth:
            return node
        tried = list(self.candidates(g, h, who, low, high))
        best = max((gain for gain, *_ in tried), default=0.0)
        if best <= self.growth.min_gain:
            return node
        _, feature, left_bins = next(t for t in tried if t[0] >= best - TOLERANCE * (1 + best))
        missing = int(self.bins.sizes[feature]) - 1
        if (
            self.bins.ordered[feature]
            and self.bins.optional[feature]
            and not (self.codes[who, feature] == missing).any()
        ):
            known = left_bins - {missing}
            heavier = h[who][np.isin(self.codes[who, feature], list(known))].sum() >= 0.5 * h[who].sum()
            left_bins = known | {missing} if heavier else known
        goes = np.isin(self.codes[who, feature], list(left_bins))
        sign = self.growth.monotone.get(self.bins.features[feature].name, 0)
        bounds = [(low, high), (low, high)]
        if sign:
            middle = sum(self.value(g[part], h[part], low, high) for part in (who[goes], who[~goes])) / 2
            bounds = [(low, middle), (middle, high)][::sign]
        node.feature, node.left_bins = feature, left_bins
        node.children = (
            self.grow(g, h, who[goes], depth + 1, *bounds[0]),
            self.grow(g, h, who[~goes], depth + 1, *bounds[1]),
        )
        return node

    def candidates(self, g: Array, h: Array, who: Array, low: float, high: float) -> Any:
        before = self.worth(g[who], h[who], low, high)
        for feature, kind in enumerate(self.bins.features):
            sign = self.growth.monotone.get(kind.name, 0)
            for left_bins in self.cuts(g, h, who, feature):
                goes = np.isin(self.codes[who, feature], list(left_bins))
                left, right = who[goes], who[~goes]
                if min(len(left), len(right)) == 0 or not self.enough(h, left) or not self.enough(h, right):
                    continue
                values = [self.value(g[part], h[part], low, high) for part in (left, right)]
                if sign * (values[1] - values[0]) < 0:
                    continue
                gain = self.worth(g[left], h[left], low, high) + self.worth(g[right], h[right], low, high) - before
                yield gain, feature, left_bins

    def enough(self, h: Array, who: Array) -> bool:
        if self.growth.counts and len(who) < self.growth.min_persons:
            return False
        return bool(h[who].sum() >= self.growth.least_hessian * (1 - TOLERANCE))

    def cuts(self, g: Array, h: Array, who: Array, feature: int) -> Any:
        size, optional = int(self.bins.sizes[feature]), bool(self.bins.optional[feature])
        if not self.bins.ordered[feature]:
            mine = self.codes[who, feature]
            ratio = [g[who][mine == b].sum() / (h[who][mine == b].sum() + LEVEL_SMOOTHING) for b in range(size)]
            order = sorted(range(size), key=lambda b: (round(ratio[b] / TOLERANCE), b))
            yield from (frozenset(order[: cut + 1]) for cut in range(size - 1))
            return
        values = size - optional
        for cut in range(values):
            if cut < values - 1 or optional:
                yield frozenset(range(cut + 1))
            if cut < values - 1 and optional:
                yield frozenset([*range(cut + 1), size - 1])


def leaf_of(node: Node, row: Array) -> Node:
    while node.children is not None:
        node = node.children[int(row[node.feature] not in node.left_bins)]
    return node


def as_nested(node: Node) -> Any:
    if node.children is None:
        return None
    return node.feature, node.left_bins, *(as_nested(child) for child in node.children)


def flat_as_nested(fit: Boosted, tree: int, node: int = 0) -> Any:
    """The tree as the slow learner would write it, read from its flat form by hand."""
    splits = fit.trees.splits
    if node >= splits.place.shape[1] or splits.place[tree, node] < 0:
        return None
    feature, cut = int(splits.place[tree, node]) >> 1, int(splits.cut[tree, node])
    if fit.bins.ordered[feature]:
        left = set(range(cut + 1))
        if splits.place[tree, node] & 1:
            left.add(int(fit.bins.sizes[feature]) - 1)
    else:
        left = {code for code in range(int(fit.bins.sizes[feature])) if cut >> code & 1}
    return feature, frozenset(left), *(flat_as_nested(fit, tree, 2 * node + side) for side in (1, 2))


@pytest.mark.parametrize(
    "growth",
    [
        Growth(trees=6, depth=3, min_persons=10),
        Growth(trees=4, depth=4, min_persons=15, counts=True, ridge=0.0, learning_rate=0.5),
        Growth(trees=5, depth=3, min_persons=10, monotone={"age": 1, "marker": -1}),
    ],
)
def test_the_trees_of_three_hospitals_are_those_of_a_learner_over_persons(
    study: Study, make_persons: Make, make_wards: MakeWards, growth: Growth
) -> None:
    whole = make_persons(420)
    wards = make_wards(study, [whole[:60], whole[60:300], whole[300:]])
    fit: Boosted = wards.drive(boosting(study=study, sites=SITES, growth=growth, most_bins=8))
    codes = fit.bins.codes(whole)
    slow = Slow(bins=fit.bins, codes=codes, y=whole["label"].to_numpy().astype(float), growth=growth)
    score = slow.fit()
    assert len(fit.trees) == growth.trees
    for tree, node in enumerate(slow.trees):
        assert flat_as_nested(fit, tree) == as_nested(node)
    assert fit.trees.scores(codes, fit.bins) == pytest.approx(score, abs=1e-9)
    assert fit.gains.sum() > 0


def test_how_persons_lie_in_hospitals_changes_no_tree(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    whole, growth = make_persons(900, seed=5), Growth(trees=12, depth=4, min_persons=8)
    ways = [[whole[:300], whole[300:600], whole[600:]], [whole[:1], whole[1:2], whole[2:]], [whole]]
    ways.append([whole.filter(pl.col("ward") == w) for w in "abcde"] + [whole.filter(pl.col("ward").is_null())])
    fits = [
        wards.drive(boosting(study=study, sites=SITES, growth=growth)) for wards in (make_wards(study, w) for w in ways)
    ]
    unrounded = make_wards(study, ways[0], ring=False).drive(boosting(study=study, sites=SITES, growth=growth))
    for other in [*fits[1:], unrounded]:
        assert other.trees.splits.same(fits[0].trees.splits)
        assert np.max(np.abs(other.trees.value - fits[0].trees.value)) < 1e-9


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "trees"), [("heart", 100), pytest.param("ist", 100, marks=pytest.mark.slow), ("ist", 20)]
)
def test_on_real_hospitals_the_trees_are_those_of_pooled_training(
    name: str, trees: int, shipped: Shipped, make_wards: MakeWards
) -> None:
    _same_as_pooled(name, trees, shipped, make_wards)


@pytest.mark.data
@pytest.mark.slow
def test_on_diabetes_the_trees_are_those_of_pooled_training(shipped: Shipped, make_wards: MakeWards) -> None:
    _same_as_pooled("diabetes", 100, shipped, make_wards)


def _same_as_pooled(name: str, trees: int, shipped: Shipped, make_wards: MakeWards) -> None:
    study, tables = shipped(name)
    growth = Growth(trees=trees)
    federated: Boosted = make_wards(study, tables.values()).drive(
        boosting(study=study, sites=study.sites, growth=growth)
    )
    pooled: Boosted = make_wards(study, [pl.concat(tables.values())], ring=False).drive(
        boosting(study=study, sites=("all",), growth=growth)
    )
    assert len(federated.trees) == trees
    assert federated.trees.splits.same(pooled.trees.splits)
    assert np.max(np.abs(federated.trees.value - pooled.trees.value)) < 1e-9


def test_on_numbers_alone_the_ensemble_is_that_of_scikit_learn(make_wards: MakeWards, study: Study) -> None:
    """Leaves grown to a depth without a limit of leaves are depth-wise growth; bins are given as whole numbers."""
    rng = np.random.default_rng(8)
    age, marker = rng.integers(18, 101, 3000).astype(float), rng.integers(0, 41, 3000) * 5.0
    chance = 1 / (1 + np.exp(-(0.05 * (age - 60) + np.sin(marker / 20))))
    table = pl.DataFrame(
        {
            "age": age,
            "marker": marker,
            "ward": ["a"] * 3000,
            "frail": [0.0] * 3000,
            "sex": ["male"] * 3000,
            "label": (rng.random(3000) < chance).astype(np.int8),
        }
    )
    growth = Growth(trees=30, depth=3, min_persons=20, counts=True, ridge=1.0, learning_rate=0.1)
    wards = make_wards(study, [table[:1000], table[1000:1100], table[1100:]])
    fit: Boosted = wards.drive(boosting(study=study, sites=SITES, growth=growth, most_bins=100))
    x = fit.bins.codes(table)
    peer = HistGradientBoostingClassifier(
        max_iter=30, max_depth=3, max_leaf_nodes=None, l2_regularization=1.0, early_stopping=False
    )
    peer.fit(x, table["label"].to_numpy())
    ours, theirs = fit.trees.scores(x, fit.bins), peer.decision_function(x)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9999
    assert np.median(np.abs(ours - theirs)) < 1e-3, "single precision in scikit-learn may move a split"


@pytest.mark.data
def test_heart_is_predicted_no_worse_than_by_scikit_learn(shipped: Shipped, make_wards: MakeWards) -> None:
    study, tables = shipped("heart")
    rng = np.random.default_rng(0)
    train, test = {}, []
    for site, table in tables.items():
        chosen = pl.Series(rng.random(table.height) < 0.7)
        train[site] = table.filter(chosen)
        test.append(table.filter(~chosen))
    fit: Boosted = make_wards(study, train.values()).drive(boosting(study=study, sites=study.sites, growth=Growth()))
    tests, pooled = pl.concat(test), pl.concat(train.values())
    peer = HistGradientBoostingClassifier(categorical_features=[f.type == "category" for f in study.features])
    peer.fit(_numbers(study, pooled), pooled["label"].to_numpy())
    theirs = roc_auc_score(tests["label"], peer.predict_proba(_numbers(study, tests))[:, 1])
    assert roc_auc_score(tests["label"], fit.trees.scores(fit.bins.codes(tests), fit.bins)) >= theirs - 0.003


def _numbers(study: Study, table: pl.DataFrame) -> Array:
    columns = []
    for feature in study.features:
        series = table[feature.name]
        if feature.type == "category":
            levels = {value: place for place, value in enumerate(feature.values or ())}
            series = series.replace_strict(levels, default=None, return_dtype=pl.Float64)
        columns.append(series.cast(pl.Float64).to_numpy())
    return np.column_stack(columns)

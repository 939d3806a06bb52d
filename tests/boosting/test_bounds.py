"""What one person can add to each sum, searched by force, and what a question may look like."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardgate.computations.boosting import Grown
from wardgate.computations.boosting_bins import BoostingBins
from wardgate.computations.boosting_histograms import BoostingHistograms
from wardgate.computations.boosting_leaves import BoostingLeaves, leaf_l2
from wardgate.computations.boosting_loss import BoostingLoss
from wardgate.computations.menu import MENU
from wardgate.hospital.ward.learning.menu import ANSWERS
from wardgate.measures.histograms import every_feature, fine_edges
from wardgate.measures.random_trees import random_splits
from wardgate.measures.trees import Trees
from wardgate.records.canonical import canonical
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

Make = Callable[..., pl.DataFrame]
MakeWards = Callable[..., Any]


def questions(study: Study, *, trees: int = 3, seed: int = 0, spread: float = 0.5) -> list[Any]:
    """One question of every kind, over an ensemble of random trees with large leaves."""
    bins = every_feature(study.features, fine_edges(study.features, most=8))
    rng = np.random.default_rng(seed)
    splits = random_splits(bins, trees=trees, depth=2, features=3, first=0, rng=rng)
    grown = Grown.of(study, bins, Trees(base=0.3, splits=splits, value=rng.normal(0, spread, (trees, 4))))
    first = random_splits(bins, trees=1, depth=1, features=1, first=0, rng=rng)
    growing = np.array([first.place[0, 0], first.cut[0, 0]], dtype=float)
    batch = random_splits(bins, trees=5, depth=2, features=2, first=0, rng=rng)
    return [
        BoostingBins(grown=grown),
        BoostingHistograms(grown=grown, growing=growing, level=1, nodes=(0, 1), counts=True),
        BoostingHistograms(grown=grown, growing=growing, level=1, nodes=(1,)),
        BoostingLoss(grown=grown, first=1),
        BoostingLeaves.of(grown, batch, weight=2.8),
        BoostingLeaves.of(grown, batch, weight=4.0),
    ]


def answered(asked: Any, study: Study, make_wards: MakeWards, table: pl.DataFrame) -> Any:
    split = asked.splits[0]
    ward = make_wards(study, [table], [table]).wards[0]
    return ANSWERS[asked.name].answer(asked, bench=ward, split=split)


def test_no_person_passes_the_bound_or_the_norm_of_a_question(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    table = make_persons(60)
    for seed in range(4):
        for asked in questions(study, seed=seed, spread=1.0):
            shape = asked.shape(study)
            alone = [answered(asked, study, make_wards, table[place : place + 1]).vector for place in range(60)]
            assert np.max(np.abs(alone) / shape.bound) <= 1 + 1e-9
            norms = np.linalg.norm(alone, axis=1)
            assert np.max(norms) <= shape.l2 * (1 + 1e-9)
            whole = answered(asked, study, make_wards, table).vector
            assert whole == pytest.approx(np.sum(alone, axis=0), abs=1e-9)


@pytest.mark.parametrize("weight", [0.5, 1.0, 2.0, 2.8, 2.9, 3.2, 4.0])
def test_the_norm_of_a_leaf_is_the_largest_that_force_finds(weight: float) -> None:
    q = np.linspace(0, 1, 2_000_001)
    found = float(np.max(np.sqrt(q**2 + (weight * q * (1 - q)) ** 2)))
    assert leaf_l2(weight) == pytest.approx(found, abs=1e-9) and leaf_l2(weight) >= found - 1e-15


def test_the_norm_of_a_batch_is_reached_so_it_is_no_looser_than_it_must_be(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    bins = every_feature(study.features, fine_edges(study.features, most=8))
    batch = random_splits(bins, trees=7, depth=2, features=2, first=0, rng=np.random.default_rng(0))
    grown = Grown.of(study, bins, Trees.none(base=-49.0, depth=2))
    asked = BoostingLeaves.of(grown, batch, weight=2.8)
    event = make_persons(200).filter(pl.col("label") == 1)[:1]
    norm = float(np.linalg.norm(answered(asked, study, make_wards, event).vector))
    assert norm == pytest.approx(asked.shape(study).l2, rel=1e-6)
    assert asked.shape(study).l2 == pytest.approx(np.sqrt(7))


@given(st.floats(0.01, 4.0), st.floats(0, 1))
def test_no_chance_passes_the_norm_of_a_leaf(weight: float, q: float) -> None:
    assert np.hypot(q, weight * q * (1 - q)) <= leaf_l2(weight) * (1 + 1e-12)


def test_a_question_comes_back_from_what_travels(study: Study) -> None:
    for asked in questions(study):
        assert MENU[asked.name] is type(asked)
        canonical(asked.parameters())
        again = type(asked).read(asked.parameters(), dict(asked.arrays()))
        assert again.parameters() == asked.parameters()
        for (name, array), (other, copied) in zip(asked.arrays(), again.arrays(), strict=True):
            assert name == other and np.array_equal(array, copied)
        assert np.array_equal(again.shape(study).bound, asked.shape(study).bound)


def test_training_questions_touch_training_persons_alone() -> None:
    for kind in (BoostingBins, BoostingHistograms, BoostingLeaves):
        assert kind.splits == ("train",)
    assert BoostingLoss.splits == ("tuning",)


def broken(asked: Any) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """One thing wrong at a time: parameters and arrays that no driver would send."""
    parameters, arrays = asked.parameters(), dict(asked.arrays())
    found: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def with_(what: str, **changed: Any) -> None:
        found.append((what, {**parameters, **changed}, arrays))

    def beside(what: str, **changed: Any) -> None:
        found.append((what, parameters, {k: v for k, v in {**arrays, **changed}.items() if v is not None}))

    with_("no edges", edges_of=None)
    with_("edges in words", edges_of=["a"])
    with_("edges below -1", edges_of=[-2, 1, 0, 1, 0])
    with_("fewer features", edges_of=[7])
    with_("depth 0", depth=0)
    with_("depth 9", depth=9)
    with_("depth true", depth=True)
    with_("depth as text", depth="3")
    beside("no trees", trees=None)
    beside("half a tree", trees=arrays["trees"][:-1])
    beside("no edges beside", edges=None)
    beside("unordered edges", edges=arrays["edges"][::-1].copy())
    if "level" in parameters:
        with_("level too deep", level=2)
        with_("level below 0", level=-1)
        with_("no nodes", nodes=[])
        with_("a node twice", nodes=[1, 1])
        with_("falling nodes", nodes=[1, 0])
        with_("a node beyond the level", nodes=[2])
        with_("a node in words", nodes=["0"])
        with_("counts in words", counts="yes")
        beside("nothing above", growing=None)
        beside("half a split", growing=arrays["growing"] + 0.5)
        beside("an unknown feature", growing=np.array([99.0, 0.0]))
        beside("too large", growing=np.array([1e300, 0.0]))
    if "first" in parameters:
        with_("more than all trees", first=9)
        with_("below 0", first=-1)
        with_("as text", first="0")
    if "weight" in parameters:
        with_("no weight", weight=None)
        with_("weight 0", weight="0")
        with_("weight above 4", weight="4.5")
        with_("weight NaN", weight="nan")
        beside("no batch", batch=None)
        beside("an empty batch", batch=np.zeros(0))
        beside("half a tree in the batch", batch=arrays["batch"][:-1])
        beside("half a split", batch=arrays["batch"] + 0.5)
        beside("an unknown feature in the batch", batch=arrays["batch"] + 1000)
    return found


def test_a_question_that_says_nothing_sensible_is_refused_by_the_ward(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    table = make_persons(20)
    for asked in questions(study):
        for what, parameters, arrays in broken(asked):
            with pytest.raises(Invalid):
                read = type(asked).read(parameters, arrays)
                read.shape(study)
                answered(read, study, make_wards, table)
                pytest.fail(f"{asked.name}: {what}")

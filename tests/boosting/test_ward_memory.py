"""What a ward remembers between two questions is never believed against the question itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from wardgate.computations.boosting import Grown
from wardgate.computations.boosting_histograms import BoostingHistograms
from wardgate.hospital.ward.learning import boosting_histograms
from wardgate.hub.pooling.boosting import Boosted, boosting
from wardgate.measures.boosting import Growth
from wardgate.measures.histograms import every_feature, fine_edges
from wardgate.measures.random_trees import random_splits
from wardgate.measures.trees import Trees
from wardgate.records.study import Study

Make = Callable[..., pl.DataFrame]
MakeWards = Callable[..., Any]


def asked_at(study: Study, *, most: int, trees: int, seed: int, level: int) -> BoostingHistograms:
    bins = every_feature(study.features, fine_edges(study.features, most=most))
    rng = np.random.default_rng(seed)
    splits = random_splits(bins, trees=max(trees, 1), depth=3, features=3, first=0, rng=rng)
    model = Trees(base=0.1 * seed, splits=splits, value=rng.normal(0, 0.3, (len(splits), 8))).upto(trees)
    above = random_splits(bins, trees=1, depth=3, features=3, first=0, rng=rng)
    first = 2**level - 1
    growing = np.concatenate([above.place[0, :first], above.cut[0, :first]]).astype(float)
    return BoostingHistograms(
        grown=Grown.of(study, bins, model), growing=growing, level=level, nodes=tuple(range(2**level))
    )


def test_every_order_of_questions_gets_the_answers_of_a_ward_without_memory(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    table = make_persons(300)
    ward = make_wards(study, [table]).wards[0]
    rng = np.random.default_rng(0)
    for _ in range(60):
        asked = asked_at(
            study,
            most=int(rng.choice([4, 8])),
            trees=int(rng.integers(0, 5)),
            seed=int(rng.integers(0, 2)),
            level=int(rng.integers(0, 3)),
        )
        fresh = make_wards(study, [table]).wards[0]
        remembered = boosting_histograms.answer(asked, bench=ward, split="train").vector
        assert np.array_equal(remembered, boosting_histograms.answer(asked, bench=fresh, split="train").vector)


def test_a_hub_that_changes_a_leaf_behind_the_wards_back_gets_the_answer_for_the_changed_leaf(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    ward = make_wards(study, [make_persons(200)]).wards[0]
    honest = asked_at(study, most=8, trees=4, seed=1, level=1)
    before = boosting_histograms.answer(honest, bench=ward, split="train").vector
    trees = honest.grown.trees.copy()
    trees[1 + 7 + 7 : 1 + 7 + 7 + 8] += 1.0  # the leaves of the first tree, long since added
    grown = Grown(edges_of=honest.grown.edges_of, edges=honest.grown.edges, depth=3, trees=trees)
    changed = BoostingHistograms(grown=grown, growing=honest.growing, level=1, nodes=honest.nodes)
    after = boosting_histograms.answer(changed, bench=ward, split="train").vector
    fresh = make_wards(study, [make_persons(200)]).wards[0]
    assert np.array_equal(after, boosting_histograms.answer(changed, bench=fresh, split="train").vector)
    assert not np.allclose(after, before)


def test_a_ward_that_forgets_everything_between_questions_fits_the_same_trees(
    study: Study, make_persons: Make, make_wards: MakeWards, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, growth = make_persons(400), Growth(trees=5, depth=3, min_persons=5)
    tables = [table[:100], table[100:]]
    remembered: Boosted = make_wards(study, tables).drive(boosting(study=study, sites=("s0", "s1"), growth=growth))
    wards = make_wards(study, tables)
    honest = type(wards).answer

    def forgetful(self: Any, ward: Any, ask: Any) -> Any:
        ward.kept.clear()
        return honest(self, ward, ask)

    monkeypatch.setattr(type(wards), "answer", forgetful)
    forgotten: Boosted = wards.drive(boosting(study=study, sites=("s0", "s1"), growth=growth))
    assert np.array_equal(forgotten.trees.flat(), remembered.trees.flat())

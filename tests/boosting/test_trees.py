"""How trees travel, and that nothing but a tree is read as one."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from wardgate.measures.histograms import Bins, every_feature, fine_edges
from wardgate.measures.random_trees import RandomGrowth, newton_leaves, random_splits, refined, standing_out
from wardgate.measures.trees import Splits, Trees, added, leaves_of
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

Make = Callable[..., pl.DataFrame]


@pytest.fixture(scope="module")
def bins(study: Study) -> Bins:
    return every_feature(study.features, fine_edges(study.features, most=8))


@pytest.fixture(scope="module")
def trees(bins: Bins) -> Trees:
    rng = np.random.default_rng(4)
    splits = random_splits(bins, trees=6, depth=3, features=3, first=0, rng=rng)
    return Trees(base=-0.5, splits=splits, value=rng.normal(0, 0.2, (6, 8)))


def by_hand(trees: Trees, bins: Bins, row: np.ndarray[tuple[int], np.dtype[np.int32]]) -> float:
    score = trees.base
    for tree in range(len(trees)):
        node = 0
        while node < trees.splits.place.shape[1]:
            place, cut = int(trees.splits.place[tree, node]), int(trees.splits.cut[tree, node])
            left = True
            if place >= 0:
                feature, code = place // 2, int(row[place // 2])
                kind = bins.features[feature]
                if kind.type == "category":
                    left = bool(cut >> code & 1)
                elif kind.missing == "allowed" and code == bins.sizes[feature] - 1:
                    left = place % 2 == 1
                else:
                    left = code <= cut
            node = 2 * node + (1 if left else 2)
        score += trees.value[tree, node - trees.splits.place.shape[1]]
    return score


def test_every_person_ends_where_a_walk_by_hand_ends(bins: Bins, trees: Trees, make_persons: Make) -> None:
    codes = bins.codes(make_persons(300))
    expected = [by_hand(trees, bins, row) for row in codes]
    assert trees.scores(codes, bins) == pytest.approx(expected, abs=1e-12)
    step = added(trees.only(5), codes, bins, trees.upto(5).scores(codes, bins))
    assert np.array_equal(step, trees.scores(codes, bins)), "added one by one, to the last bit"
    assert np.all(np.abs(trees.scores(codes, bins)) <= trees.reach()[-1] + 1e-12)


def test_trees_travel_as_numbers_and_come_back_bit_by_bit(bins: Bins, trees: Trees) -> None:
    again = Trees.from_flat(trees.flat(), depth=3, bins=bins)
    assert again.splits.same(trees.splits) and np.array_equal(again.value, trees.value) and again.base == trees.base


def test_what_is_no_ensemble_is_not_read(bins: Bins, trees: Trees) -> None:
    flat = trees.flat()
    row = 2 * 7 + 8

    def with_(place: int, number: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        changed = flat.copy()
        changed[place] = number
        return changed

    museum = {
        "another length": flat[:-1],
        "nothing": flat[:0],
        "a table": flat[: row + 1].reshape(1, -1),
        "NaN in a leaf": with_(-1, np.nan),
        "infinite base": with_(0, np.inf),
        "a leaf beyond reason": with_(-1, 51.0),
        "half a feature": with_(1, 0.5),
        "an unknown feature": with_(1, 2.0 * len(bins.features)),
        "less than no split": with_(1, -2.0),
        "a bin beyond the last": with_(1 + 7, 2.0**40),
        "a negative bin": with_(1 + 7, -1.0),
        "beyond exact integers": with_(1 + 7, 2.0**60),
    }
    for name, broken in museum.items():
        with pytest.raises(Invalid):
            Trees.from_flat(broken, depth=3, bins=bins)
            pytest.fail(name)
    for depth in (0, 9, 2):
        with pytest.raises(Invalid):
            Trees.from_flat(flat, depth=depth, bins=bins)


def test_an_ordered_feature_cannot_be_cut_after_its_missing_bin(bins: Bins) -> None:
    marker = bins.place_of("marker")
    last = int(bins.sizes[marker]) - 2
    place = np.array([[2 * marker]])
    Splits(place=place, cut=np.array([[last]])).checked(bins)
    with pytest.raises(Invalid, match="cut at a bin"):
        Splits(place=place, cut=np.array([[last + 1]])).checked(bins)


def test_random_trees_divide_persons_at_every_split_that_they_draw(bins: Bins, make_persons: Make) -> None:
    codes = bins.codes(make_persons(4000))
    splits = random_splits(bins, trees=40, depth=3, features=2, first=0, rng=np.random.default_rng(1))
    splits.checked(bins)
    leaves = leaves_of(splits, codes, bins)
    assert np.mean([len(np.unique(leaves[:, tree])) for tree in range(40)]) > 4
    assert all(len(np.unique(splits.place[tree][splits.place[tree] >= 0] >> 1)) <= 2 for tree in range(40))


def test_every_feature_has_its_turn(bins: Bins) -> None:
    splits = random_splits(bins, trees=10, depth=2, features=1, first=5, rng=np.random.default_rng(1))
    used = (splits.place[:, 0] >> 1).tolist()
    assert sorted(used[:5]) == sorted(used[5:]) == [0, 1, 2, 3, 4]


def test_random_trees_are_a_function_of_public_numbers_alone(bins: Bins) -> None:
    drawn = [
        random_splits(bins, trees=5, depth=3, features=2, first=0, rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert drawn[0].same(drawn[1]) and not drawn[0].same(drawn[2])


def test_splits_over_coarse_bins_mean_the_same_over_fine_ones(bins: Bins, study: Study, make_persons: Make) -> None:
    fine = every_feature(study.features, fine_edges(study.features, most=64))
    rng = np.random.default_rng(2)
    coarse = standing_out(fine, rng.integers(0, 100, fine.total).astype(float), noise=1.0, most=6)
    splits = random_splits(coarse, trees=30, depth=3, features=3, first=0, rng=rng)
    table = make_persons(500)
    expected = leaves_of(splits, coarse.codes(table), coarse)
    assert np.array_equal(leaves_of(refined(splits, coarse, fine).checked(fine), fine.codes(table), fine), expected)


def test_bins_drowned_by_noise_keep_equal_widths(study: Study) -> None:
    fine = every_feature(study.features, fine_edges(study.features, most=64))
    coarse = standing_out(fine, np.random.default_rng(0).normal(0, 1.0, fine.total) * 0.5, noise=10.0, most=4)
    assert [feature.name for feature in coarse.features] == [feature.name for feature in fine.features]
    marker = coarse.edges[coarse.place_of("marker")]
    assert np.allclose(np.diff(marker), np.diff(marker)[0], atol=4.0) and len(marker) == 3


def test_a_shift_that_all_trees_see_is_taken_once() -> None:
    hessian = np.full((5, 4), 100.0)
    value = newton_leaves(np.full((5, 4), 10.0), hessian, noise=0.0, ridge=0.0)
    assert value.sum(axis=0) == pytest.approx(np.full(4, 0.1))
    tilted = np.tile([[-30.0, -10.0, 10.0, 30.0]], (5, 1))
    assert newton_leaves(tilted, hessian, noise=0.0, ridge=0.0) == pytest.approx(tilted / 100)


def test_noise_shrinks_leaves_and_cannot_make_them_explode() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        value = newton_leaves(rng.normal(0, 50, (10, 8)), rng.normal(0, 50, (10, 8)), noise=50.0, ridge=1.0)
        assert np.all(np.isfinite(value)) and np.all(np.abs(value) <= 4.0)
    quiet = newton_leaves(np.array([[-5.0, 5.0]]), np.array([[50.0, 50.0]]), noise=0.0, ridge=1.0)
    loud = newton_leaves(np.array([[-5.0, 5.0]]), np.array([[50.0, 50.0]]), noise=100.0, ridge=1.0)
    assert np.all(np.abs(loud) < np.abs(quiet))


@pytest.mark.parametrize(
    "wrong",
    [
        {"trees": 0},
        {"rounds": 101},
        {"depth": 9},
        {"depth": 0},
        {"features": 0},
        {"learning_rate": 0.0},
        {"learning_rate": 1.5},
        {"learning_rate": float("nan")},
        {"ridge": -1.0},
        {"ridge": float("inf")},
        {"bins": 1},
        {"fine": 8},
        {"placements": 0},
        {"bins_share": 0.0},
        {"bins_share": 1.0},
        {"trees": True},
    ],
)
def test_settings_of_random_growth_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Invalid, match="expected"):
        RandomGrowth(**wrong)  # type: ignore[arg-type]

"""What growth promises: constraints, least leaves, missing values, stopping, hospitals that leave; and refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from wardgate.hub.pooling.ask import Told
from wardgate.hub.pooling.boosting import Boosted, boosting
from wardgate.measures.boosting import Growth
from wardgate.measures.trees import leaves_of
from wardgate.models.boosting import BoostingModel
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.study import Study

Make = Callable[..., pl.DataFrame]
MakeWards = Callable[..., Any]

SITES = ("s0", "s1", "s2")


def thirds(table: pl.DataFrame) -> list[pl.DataFrame]:
    step = table.height // 3
    return [table[:step], table[step : 2 * step], table[2 * step :]]


def fitted(study: Study, wards: Any, **how: Any) -> Boosted:
    growth = Growth(**{"trees": 20, "min_persons": 10, **how.pop("growth", {})})
    fit: Boosted = wards.drive(boosting(study=study, sites=SITES, growth=growth, **how))
    return fit


def partial(fit: Boosted, table: pl.DataFrame, name: str, values: list[float]) -> np.ndarray[Any, Any]:
    """Scores of every person at each of `values` of one feature, shape (values, persons)."""
    tables = [table.with_columns(pl.lit(value).alias(name)) for value in values]
    return np.array([fit.trees.scores(fit.bins.codes(one), fit.bins) for one in tables])


def test_a_monotone_constraint_holds_for_every_person(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    table = make_persons(900)
    ages = [float(age) for age in range(18, 101, 2)]
    free = fitted(study, make_wards(study, thirds(table)), growth={"depth": 4})
    assert np.min(np.diff(partial(free, table, "age", ages), axis=0)) < -1e-6, "without it the score falls somewhere"
    bound = fitted(study, make_wards(study, thirds(table)), growth={"depth": 4, "monotone": {"age": 1}})
    assert np.min(np.diff(partial(bound, table, "age", ages), axis=0)) >= -1e-12
    falling = fitted(study, make_wards(study, thirds(table)), growth={"depth": 4, "monotone": {"age": -1}})
    assert np.max(np.diff(partial(falling, table, "age", ages), axis=0)) <= 1e-12


@pytest.mark.parametrize("counts", [True, False])
def test_no_leaf_holds_fewer_persons_than_promised(
    study: Study, make_persons: Make, make_wards: MakeWards, counts: bool
) -> None:
    table = make_persons(600)
    fit = fitted(study, make_wards(study, thirds(table)), growth={"depth": 5, "min_persons": 25, "counts": counts})
    leaves = leaves_of(fit.trees.splits, fit.bins.codes(table), fit.bins)
    for tree in range(len(fit.trees)):
        assert np.unique(leaves[:, tree], return_counts=True)[1].min() >= 25


def test_without_the_promise_leaves_are_smaller(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    table = make_persons(600)
    fit = fitted(study, make_wards(study, thirds(table)), growth={"depth": 5, "min_persons": 1})
    leaves = leaves_of(fit.trees.splits, fit.bins.codes(table), fit.bins)
    assert min(np.unique(leaves[:, t], return_counts=True)[1].min() for t in range(len(fit.trees))) < 25


def test_missing_values_go_where_the_outcome_sends_them(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    table = make_persons(1500)
    fit = fitted(study, make_wards(study, thirds(table)), growth={"trees": 40})
    known = partial(fit, table, "marker", [90.0])[0]
    missing = fit.trees.scores(fit.bins.codes(table.with_columns(pl.lit(None, pl.Float64).alias("marker"))), fit.bins)
    assert np.mean(missing - known) > 0.5, "a missing marker raises the risk in these data"


def test_a_larger_level_is_asked_in_portions_with_the_same_trees(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    tables = thirds(make_persons(900))
    whole, portions = make_wards(study, tables), make_wards(study, tables)
    first = fitted(study, whole, growth={"depth": 4})
    most = 3 * first.bins.width
    second = fitted(study, portions, growth={"depth": 4}, numbers_most=most)
    assert whole.asked[0].shape.entries <= most, "so the bins are the same"
    assert second.trees.splits.same(first.trees.splits)
    assert second.sums > first.sums
    assert max(ask.shape.entries for ask in portions.asked) <= most < max(ask.shape.entries for ask in whole.asked)


def test_bins_are_made_coarser_until_a_sum_holds_them(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    wards = make_wards(study, thirds(make_persons(300)))
    fitted(study, wards, numbers_most=60)
    assert max(ask.shape.entries for ask in wards.asked) <= 60
    with pytest.raises(Invalid, match="a sum may hold 5"):
        fitted(study, make_wards(study, thirds(make_persons(300))), numbers_most=5)


def test_early_stopping_keeps_the_best_tuning_loss(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    train, tuning = make_persons(240), make_persons(240, seed=9)
    wards = make_wards(study, thirds(train), thirds(tuning))
    growth = {"trees": 200, "learning_rate": 0.5, "min_persons": 1}
    fit = fitted(study, wards, growth=growth, patience=10)
    assert len(fit.trees) < 100 and len(fit.trees) == int(np.argmin(fit.losses))
    score = fit.trees.scores(fit.bins.codes(tuning), fit.bins)
    y = tuning["label"].to_numpy()
    assert fit.losses[len(fit.trees)] == pytest.approx(np.mean(np.logaddexp(0, score) - y * score), abs=1e-9)
    assert {ask.split for ask in wards.asked} == {"train", "tuning"}
    assert sum(ask.split == "tuning" for ask in wards.asked) * 10 <= len(fit.losses) + 9


def test_trees_grown_since_the_last_look_are_judged_too_when_growth_ends(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    train, tuning = make_persons(150), make_persons(2000, seed=9)
    growth = {"trees": 200, "learning_rate": 0.3, "min_persons": 40, "min_gain": 1.0}
    wards = make_wards(study, thirds(train), thirds(tuning))
    fit = fitted(study, wards, growth=growth, patience=150)
    assert 0 < len(fit.trees) < 150 and len(fit.losses) > len(fit.trees)
    assert wards.asked[-1].split == "tuning" and sum(ask.split == "tuning" for ask in wards.asked) == 1


@pytest.mark.parametrize("leaves_at", [0, 1, 2, 5, 8])
def test_a_hospital_that_leaves_makes_a_tree_grow_again_and_never_wrong(
    study: Study, make_persons: Make, make_wards: MakeWards, leaves_at: int
) -> None:
    table, extra = make_persons(900), make_persons(300, seed=4)
    wards = make_wards(study, [*thirds(table), extra], leaves_at=leaves_at)
    growth = Growth(trees=4, depth=3, min_persons=10)
    fit: Boosted = wards.drive(boosting(study=study, sites=(*SITES, "s3"), growth=growth))
    assert fit.sites == SITES and len(fit.trees) == 4
    stayed: Boosted = make_wards(study, thirds(table)).drive(boosting(study=study, sites=SITES, growth=growth))
    if leaves_at == 0:
        assert fit.trees.splits.same(stayed.trees.splits)
    last = fit.trees.splits.place[-1]
    assert np.any(last >= 0) and np.all(np.abs(fit.trees.value) < 1.0)


def test_a_hospital_without_persons_adds_nothing(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    table = make_persons(600)
    with_ = fitted(study, make_wards(study, [table[:300], table[300:], table[:0]]))
    without = fitted(study, make_wards(study, [table[:300], table[300:]]))
    assert with_.trees.splits.same(without.trees.splits)


def test_nothing_to_learn_has_a_name(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    table = make_persons(300)
    for label in (0, 1):
        one = thirds(table.with_columns(pl.lit(label, pl.Int8).alias("label")))
        with pytest.raises(NotEvaluable, match="one class only"):
            fitted(study, make_wards(study, one))
    with pytest.raises(NotEvaluable, match="no training persons"):
        fitted(study, make_wards(study, [table[:0]] * 3))
    same = pl.concat(
        [table[:1]] * 50 + [table[:1].with_columns((1 - pl.col("label")).cast(pl.Int8).alias("label"))] * 50
    )
    with pytest.raises(Invalid, match="every feature is constant"):
        fitted(study, make_wards(study, thirds(same)))
    with pytest.raises(NotEvaluable, match="no tuning persons"):
        fitted(study, make_wards(study, thirds(table), [table[:0]] * 3), patience=5)


def test_growth_ends_where_no_split_helps(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    fit = fitted(study, make_wards(study, thirds(make_persons(90))), growth={"min_persons": 80})
    assert len(fit.trees) == 0
    model = BoostingModel.of(fit.bins, fit.trees)
    chance = model.predict_proba(make_persons(4))[:, 1]
    assert np.ptp(chance) == 0 and chance[0] == pytest.approx(make_persons(90)["label"].mean())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trees": 0}, "'trees'"),
        ({"trees": 2.5}, "'trees'"),
        ({"depth": 0}, "'depth'"),
        ({"depth": 9}, "'depth'"),
        ({"depth": True}, "'depth'"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"learning_rate": 1.1}, "learning rate"),
        ({"learning_rate": float("nan")}, "learning rate"),
        ({"ridge": -0.1}, "'ridge'"),
        ({"ridge": float("inf")}, "'ridge'"),
        ({"ridge": 0.0, "min_hessian": 0.0}, "divide by nothing"),
        ({"min_persons": 0}, "at least 1 person"),
        ({"min_gain": -1.0}, "'min_gain'"),
        ({"monotone": {"age": 2}}, "monotone"),
    ],
)
def test_settings_of_growth_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        Growth(**wrong)


@pytest.mark.parametrize(("name", "message"), [("shoe_size", "'shoe_size'"), ("ward", "category"), ("sex", "category")])
def test_a_monotone_constraint_needs_an_ordered_feature(
    study: Study, make_persons: Make, make_wards: MakeWards, name: str, message: str
) -> None:
    with pytest.raises(Invalid, match=message):
        fitted(study, make_wards(study, thirds(make_persons(300))), growth={"monotone": {name: 1}})


def test_a_sum_that_did_not_open_is_no_answer(study: Study) -> None:
    driver = boosting(study=study, sites=SITES, growth=Growth())
    next(driver)
    with pytest.raises(RuntimeError):
        driver.send(Told())
    with pytest.raises(Invalid, match="patience"):
        next(boosting(study=study, sites=SITES, growth=Growth(), patience=0))

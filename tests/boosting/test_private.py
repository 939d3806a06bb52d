"""Boosting with noise: what it costs, that the noise is there, and that less of it is caught."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score

from wardgate.hub.pooling.boosting_private import PrivatelyBoosted, events_of, private_boosting
from wardgate.measures.random_trees import RandomGrowth
from wardgate.models.boosting import BoostingModel
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.study import Study

Make = Callable[..., pl.DataFrame]
MakeWards = Callable[..., Any]

SITES = ("s0", "s1", "s2")
DELTA = 1e-6


def thirds(table: pl.DataFrame) -> list[pl.DataFrame]:
    step = table.height // 3
    return [table[:step], table[step : 2 * step], table[2 * step :]]


def fitted(study: Study, wards: Any, *, epsilon: float = 1.0, seed: int = 0, **growth: Any) -> PrivatelyBoosted:
    driver = private_boosting(
        study=study, sites=SITES, growth=RandomGrowth(**growth), epsilon=epsilon, delta=DELTA, public_seed=seed
    )
    found: PrivatelyBoosted = wards.drive(driver)
    return found


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0])
@pytest.mark.parametrize("growth", [RandomGrowth(), RandomGrowth(trees=7, rounds=3, placements=1, bins_share=0.5)])
def test_all_noisy_sums_together_cost_no_more_than_epsilon(epsilon: float, growth: RandomGrowth) -> None:
    events = events_of(growth=growth, epsilon=epsilon, delta=DELTA)
    cost = epsilon_of(gaussian=events, delta=DELTA)
    assert epsilon - 0.001 <= cost <= epsilon
    assert sum(event.count for event in events) == growth.rounds + growth.placements


def test_every_sum_is_asked_with_the_noise_that_the_events_name(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    wards = make_wards(study, thirds(make_persons(3000)))
    fit = fitted(study, wards, trees=30, rounds=7, placements=3)
    asked = sorted((ask.computation, ask.noise_multiplier) for ask in wards.asked)
    named = [("boosting_bins", fit.events[0].noise_multiplier)] * 3
    named += [("boosting_leaves", fit.events[1].noise_multiplier)] * 7
    assert asked == named and fit.sums == 10 and len(fit.trees) == 30
    assert all(ask.split == "train" for ask in wards.asked)


def noise_is_there(wards: Any) -> float:
    """The p-value of noise at least as small as this, were it as large as every question says."""
    scaled = np.concatenate([(noisy - exact) / deviation for exact, noisy, deviation in wards.totals])
    return float(chi2.cdf(np.sum(scaled**2), len(scaled)))


def test_the_noise_is_as_large_as_claimed_and_a_mutant_with_half_of_it_is_caught(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    tables = thirds(make_persons(3000))
    honest, mutant = make_wards(study, tables), make_wards(study, tables, noise_share=0.5)
    fitted(study, honest, trees=20, rounds=2)
    fitted(study, mutant, trees=20, rounds=2)
    assert 1e-9 < noise_is_there(honest) < 1 - 1e-9
    assert noise_is_there(mutant) < 1e-12


def test_the_splits_look_at_no_person_but_through_noisy_bins(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    """The same public seed and the same told numbers draw the same trees, whoever the persons are."""
    told: list[Any] = []
    wards = make_wards(study, thirds(make_persons(3000)))
    honest = type(wards).told

    class Recorded(type(wards)):  # type: ignore[misc]
        def told(self, ask: Any) -> Any:
            told.append(honest(self, ask))
            return told[-1]

    recorded = Recorded(study=study, wards=wards.wards)
    first = fitted(study, recorded)
    replay = private_boosting(study=study, sites=SITES, growth=RandomGrowth(), epsilon=1.0, delta=DELTA, public_seed=0)
    next(replay)
    with pytest.raises(StopIteration) as end:
        for one in told:
            replay.send(one)
    assert np.array_equal(end.value.value.trees.flat(), first.trees.flat())


def test_with_enough_persons_the_noisy_model_is_useful(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    train, test = make_persons(12_000), make_persons(4000, seed=2)
    fit = fitted(study, make_wards(study, thirds(train)))
    chance = BoostingModel.of(fit.bins, fit.trees, noise="epsilon 1").predict_proba(test)[:, 1]
    assert roc_auc_score(test["label"], chance) > 0.74
    assert chance.mean() == pytest.approx(test["label"].mean(), abs=0.05)


def test_too_few_persons_for_the_noise_have_a_name(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    with pytest.raises(NotEvaluable, match="do not stand out"):
        fitted(study, make_wards(study, thirds(make_persons(30))), epsilon=0.1)
    with pytest.raises(NotEvaluable, match="do not stand out"):
        fitted(study, make_wards(study, [make_persons(10)[:0]] * 3), epsilon=0.1)
    one = make_persons(9000).with_columns(pl.lit(0, pl.Int8).alias("label"))
    with pytest.raises(NotEvaluable, match="one class"):
        fitted(study, make_wards(study, thirds(one)), epsilon=100.0, seed=3)


def test_a_constant_or_missing_feature_harms_nothing(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    table = make_persons(6000).with_columns(
        pl.lit(50.0).alias("age"), pl.lit(None, dtype=pl.Float64).alias("marker"), pl.lit("male").alias("sex")
    )
    fit = fitted(study, make_wards(study, thirds(table)), epsilon=4.0)
    score = fit.trees.scores(fit.bins.codes(table), fit.bins)
    assert np.all(np.isfinite(score)) and roc_auc_score(table["label"], score) > 0.55


def test_a_hospital_that_leaves_is_asked_no_more(study: Study, make_persons: Make, make_wards: MakeWards) -> None:
    wards = make_wards(study, thirds(make_persons(6000)), leaves_at=3)
    fit = fitted(study, wards, trees=20, rounds=4)
    assert len(fit.trees) == 20 and wards.asked[-1].sites == ("s0", "s1")


def test_privacy_out_of_range_is_refused(study: Study) -> None:
    for epsilon, delta in ((0.0, 1e-6), (float("inf"), 1e-6), (1.0, 0.0), (1.0, 1.0)):
        with pytest.raises(Invalid):
            next(
                private_boosting(
                    study=study, sites=SITES, growth=RandomGrowth(), epsilon=epsilon, delta=delta, public_seed=1
                )
            )

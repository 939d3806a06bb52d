"""Models and their worth from sums, against the same from rows."""

import numpy as np
import pytest
from made_players import SLOPES, held, rows, taught

from wardgate.measures.contribution.models import coalition_models, sampling_spread
from wardgate.measures.contribution.statistics import Taught, holdout_of, redrawn_taught, shared_products
from wardgate.measures.contribution.utilities import Worth, meanings
from wardgate.measures.discrimination import auroc
from wardgate.measures.logistic import fit
from wardgate.records.errors import Invalid


def model_of(one: Taught, ridge: float = 1.0) -> np.ndarray:
    return coalition_models(
        one.products.sum(axis=0)[None], one.events.sum(axis=0)[None], prevalence=one.prevalence, ridge=ridge
    )[0]


def test_the_model_is_the_linear_discriminant_of_the_rows() -> None:
    x, y = rows(900, 1)
    one, ridge = taught([(x, y)]), 2.0
    z, n = x[:, 1:], len(y)
    means = [z[y == side].mean(axis=0) for side in (0, 1)]
    scatter = sum((z[y == side] - means[side]).T @ (z[y == side] - means[side]) for side in (0, 1))
    share = y.mean() * (1 - y.mean())
    slopes = np.linalg.solve(share * scatter + ridge * np.eye(4), n * share * (means[1] - means[0]))
    np.testing.assert_allclose(model_of(one, ridge)[1:], slopes, rtol=1e-6)


def test_the_model_ranks_as_a_refitted_logistic_regression_does() -> None:
    x, y = rows(4000, 2)
    z, w = rows(4000, 3)
    ours, refitted = model_of(taught([(x, y)])), fit(x, y, ridge=1.0)
    assert abs(auroc(w, z @ ours).value - auroc(w, z @ refitted).value) < 0.003
    assert np.abs(ours - SLOPES).max() < 0.4


def test_nobody_predicts_the_prevalence_and_one_class_teaches_no_slope() -> None:
    one = taught([rows(500, 4)])
    nobody = coalition_models(np.zeros((1, 5, 5)), np.zeros((1, 5)), prevalence=0.3, ridge=1.0)[0]
    np.testing.assert_allclose(nobody, [np.log(0.3 / 0.7), 0, 0, 0, 0], atol=1e-12)
    x, y = rows(500, 5)
    alone = taught([(x[y == 1], y[y == 1])])
    model = coalition_models(alone.products, alone.events, prevalence=one.prevalence, ridge=1.0)[0]
    assert np.all(model[1:] == 0) and np.isfinite(model[0])


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan")])
def test_a_model_without_ridge_is_refused(ridge: float) -> None:
    one = taught([rows(50, 6)])
    with pytest.raises(Invalid, match="ridge above 0"):
        coalition_models(one.products, one.events, prevalence=0.5, ridge=ridge)


def test_the_spread_is_that_of_chance_choices_of_persons() -> None:
    x, y = rows(2000, 7)
    one, rng = taught([(x, y)]), np.random.default_rng(8)
    drawn = []
    for _ in range(400):
        chosen = rng.random(len(y)) < 0.2
        drawn.append(model_of(taught([(x[chosen], y[chosen])])))
    seen = np.cov(np.array(drawn).T)
    said = sampling_spread(0.2 * one.products, 0.16 * one.products, prevalence=one.prevalence, ridge=1.0)[0]
    ratio = np.sqrt(np.diag(seen) / np.diag(said))[1:]
    assert np.all((ratio > 0.8) & (ratio < 1.7))  # of the discriminant a little more, where slopes are steep


def test_worth_from_sums_is_worth_from_rows() -> None:
    groups = [rows(6000, 9), rows(6000, 10)]
    x, y = np.concatenate([groups[0][0], groups[1][0]]), np.concatenate([groups[0][1], groups[1][1]])
    worth, model = Worth(test=held(groups), thresholds=(0.3, 0.6)), model_of(taught([rows(3000, 11)]))
    found = dict(zip(worth.names, worth(model[None])[0], strict=True))
    score = x @ model
    assert abs(found["auroc"] - auroc(y, score).value) < 0.01
    for threshold in (0.3, 0.6):
        treated = score > np.log(threshold / (1 - threshold))
        benefit = np.mean(treated & (y == 1)) - np.mean(treated & (y == 0)) * threshold / (1 - threshold)
        assert abs(found[f"net_benefit@{threshold}"] - benefit) < 0.015
    each = [auroc(group[1], group[0] @ model).value for group in groups]
    assert abs(found["worst_site"] - min(each)) < 0.02


def test_nobody_has_half_an_auroc_and_treats_all_or_none() -> None:
    test = held([rows(800, 12), rows(800, 13)])
    worth = Worth(test=test, thresholds=(0.1, 0.9))
    prevalence = test.prevalence
    nobody = np.array([[np.log(prevalence / (1 - prevalence)), 0, 0, 0, 0]])
    found = worth(nobody)[0]
    assert found[0] == 0.5 and found[3] == 0.5
    np.testing.assert_allclose(found[1], prevalence - (1 - prevalence) / 9, atol=1e-9)
    assert found[2] == pytest.approx(0.0, abs=1e-9)


def test_a_group_of_few_is_never_the_worst() -> None:
    few = rows(14, 14)
    assert "worst_site" not in Worth(test=held([rows(500, 15), few]), thresholds=()).names


def test_every_worth_has_a_meaning() -> None:
    names = Worth(test=held([rows(300, 16), rows(300, 17)]), thresholds=(0.25,)).names
    assert set(meanings(names)) == set(names) and "25%" in meanings(names)["net_benefit@0.25"]


@pytest.mark.parametrize("thresholds", [(0.0,), (1.0,), (0.5, 0.5)])
def test_thresholds_outside_their_range_are_refused(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(Invalid, match="thresholds"):
        Worth(test=held([rows(300, 18), rows(300, 19)]), thresholds=thresholds)


def test_a_holdout_of_one_class_is_refused() -> None:
    with pytest.raises(Invalid, match="fewer than two persons"):
        holdout_of(np.stack([np.stack([np.ones(3) * 40, np.zeros(3)])]), np.zeros((1, 3, 3)))


def test_shared_products_add_up_to_the_whole_and_keep_class_means() -> None:
    players = [rows(300, 20, place) for place in range(4)]
    whole = taught(players)
    sums = np.stack([np.stack([x[y == side].sum(axis=0) for side in (0, 1)]) for x, y in players])
    found = shared_products(sums, whole.products.sum(axis=0))
    np.testing.assert_allclose(found.sum(axis=0), whole.products.sum(axis=0), atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 0], 300, atol=1e-6)
    assert np.abs(found[0] - whole.products[0]).max() < 40


def test_redrawn_outcomes_scatter_as_those_of_other_persons_do() -> None:
    one, rng = taught([rows(1500, 21)]), np.random.default_rng(22)
    redrawn = np.array([model_of(redrawn_taught(one, rng)) for _ in range(200)])
    others = np.array([model_of(taught([rows(1500, 23, place)])) for place in range(120)])
    ratio = redrawn.std(axis=0) / others.std(axis=0)
    assert np.all((ratio > 0.7) & (ratio < 1.5))

"""A site's own persons update a joint model, as far as they can tell."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize

from wardgate.measures.logistic import fit, linear, penalty, probability
from wardgate.measures.towards import (
    LARGEST_LOSS,
    STRENGTHS,
    Centre,
    Room,
    best_strength,
    centre_of,
    fit_towards,
    held_out_losses,
    precision,
    pulled,
)
from wardgate.records.errors import Invalid

BETA = np.array([-1.0, 1.2, -0.8, 0.5, 0.0])
WIDE = Room(intercept=1e3, scale=1e-3)


def rows(n: int, *, seed: int, beta: np.ndarray = BETA) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.uniform(-1, 1, (n, len(beta) - 1))])
    return x, (rng.random(n) < probability(x @ beta)).astype(np.int8)


@pytest.fixture(scope="module")
def centre() -> Centre:
    x, y = rows(20_000, seed=1)
    return centre_of(x, y, fit(x, y, ridge=1.0))


def test_with_a_centre_at_zero_it_is_ridge_regression():
    x, y = rows(400, seed=2)
    found = fit_towards(x, y, centre=np.zeros(5), precision=np.diag(penalty(5, 2.0)))
    assert np.allclose(found, fit(x, y, ridge=2.0), atol=1e-7)


def test_it_maximises_the_penalised_likelihood_with_weights_and_offsets():
    rng = np.random.default_rng(3)
    x, y = rows(120, seed=3)
    weights, offset, centre = rng.uniform(0, 3, 120), rng.normal(size=120), rng.normal(size=5)
    root = rng.normal(size=(5, 5))
    metric = root @ root.T

    def loss(beta: np.ndarray) -> float:
        eta = x @ beta + offset
        return float(
            np.sum(weights * (np.logaddexp(0, eta) - y * eta)) + 0.5 * (beta - centre) @ metric @ (beta - centre)
        )

    slow = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-8})
    found = fit_towards(x, y, centre=centre, precision=metric, weights=weights, offset=offset)
    assert np.allclose(found, slow.x, atol=1e-4)


def test_a_row_of_weight_two_is_two_rows():
    x, y = rows(200, seed=4)
    twice = fit_towards(np.vstack([x, x]), np.tile(y, 2), centre=np.zeros(5), precision=np.eye(5))
    assert np.allclose(twice, fit_towards(x, y, centre=np.zeros(5), precision=np.eye(5), weights=np.full(200, 2.0)))


def test_nobody_leaves_the_centre_where_it_is(centre):
    none = np.empty((0, 5)), np.empty(0, dtype=np.int8)
    for strength in STRENGTHS:
        assert np.allclose(pulled(*none, centre, strength=strength), centre.beta)


def test_separable_persons_of_one_class_still_give_a_finite_update(centre):
    x, _ = rows(12, seed=5)
    for strength in STRENGTHS:
        found = pulled(x, np.ones(12, dtype=np.int8), centre, strength=strength)
        assert np.isfinite(found).all()
        assert abs(found[0] - centre.beta[0]) < 3


def test_more_strength_means_less_movement_of_the_slopes_ratio(centre):
    x, y = rows(150, seed=6, beta=np.array([0.5, -1.0, 1.0, 0.0, 1.0]))
    moved = [np.linalg.norm(pulled(x, y, centre, strength=s, room=WIDE)[1:] - centre.beta[1:]) for s in STRENGTHS]
    assert all(more > less for more, less in pairwise(moved))
    assert moved[-1] < 1e-3


def test_infinite_strength_is_the_limit_of_great_strength(centre):
    x, y = rows(300, seed=7, beta=BETA * 0.6 + np.array([0.8, 0, 0, 0, 0]))
    assert np.allclose(pulled(x, y, centre, strength=1e9), pulled(x, y, centre, strength=math.inf), atol=1e-4)


def test_a_model_that_is_too_sure_is_scaled_down_by_local_persons(centre):
    sure = Centre(beta=1.8 * centre.beta, middle=centre.middle, information=centre.information)
    x, y = rows(2_000, seed=8)
    found = pulled(x, y, sure, strength=math.inf)
    assert np.allclose(found[1:] / sure.beta[1:], (found[1:] / sure.beta[1:])[0])
    assert 0.5 < found[1] / sure.beta[1] < 0.68


def test_the_metric_is_that_of_a_power_prior_where_room_is_wide_open(centre):
    """As many rows as the strength says, their intercept and scale free."""
    found = precision(centre, strength=500.0, room=Room(intercept=1e6, scale=1e-6))
    assert np.allclose(found[1:, 1:], 500.0 * centre.information, rtol=1e-4, atol=1e-6)
    assert np.allclose(found[0], 0.0, atol=1e-9)


def test_room_for_scale_frees_the_direction_of_the_slopes_alone(centre):
    inverse = np.linalg.inv(precision(centre, strength=500.0, room=Room(intercept=0.5, scale=0.3)))
    slopes = centre.beta[1:]
    expected = np.linalg.inv(centre.information) / 500.0 + 0.09 * np.outer(slopes, slopes)
    assert np.allclose(inverse[1:, 1:], expected)


def test_an_update_beats_both_the_centre_and_the_site_alone():
    """Mean over many sites whose truth differs a little from the joint one; far outside chance."""
    rng = np.random.default_rng(9)
    x, y = rows(20_000, seed=10)
    centre = centre_of(x, y, fit(x, y, ridge=1.0))
    gains = []
    for site in range(60):
        truth = BETA + np.concatenate([[rng.normal(0, 0.7)], rng.normal(0, 0.2, 4)])
        own, test = rows(150, seed=1_000 + site, beta=truth), rows(2_000, seed=5_000 + site, beta=truth)
        if len(np.unique(own[1])) < 2:
            continue
        models = (centre.beta, fit(*own, ridge=1.0), pulled(*own, centre, strength=300.0))
        eta = [linear(test[0], beta) for beta in models]
        joint, alone, update = (float(np.mean(np.logaddexp(0, e) - test[1] * e)) for e in eta)
        gains.append((joint - update, alone - update))
    mean, error = np.mean(gains, axis=0), np.std(gains, axis=0) / math.sqrt(len(gains))
    assert (mean > 2 * error).all()


def test_the_strength_is_chosen_by_losses_on_persons_held_out(centre):
    other = np.array([1.0, -1.2, 0.8, -0.5, 1.0])
    for beta, low, high in ((BETA, 1000.0, math.inf), (other, 30.0, 100.0)):
        x, y = rows(3_000, seed=11, beta=beta)
        found = held_out_losses(x, y, centre, np.arange(3_000) % 5)
        assert found.shape == (3_000, len(STRENGTHS))
        assert low <= best_strength(found.sum(axis=0)) <= high


def test_one_person_adds_a_bounded_loss(centre):
    sure = Centre(beta=100 * centre.beta, middle=centre.middle, information=centre.information)
    x, y = rows(60, seed=14)
    found = held_out_losses(x, y, sure, np.arange(60) % 2, strengths=(1e6,), room=WIDE)
    assert found.max() == LARGEST_LOSS


def test_ties_go_to_the_larger_strength():
    assert best_strength([1.0] * len(STRENGTHS)) == math.inf


@pytest.mark.parametrize("sums", [[1.0], [math.nan] * len(STRENGTHS), []])
def test_sums_that_are_none_choose_nothing(sums):
    with pytest.raises(Invalid, match="one finite sum for each"):
        best_strength(sums)


@pytest.mark.parametrize("strength", [0.0, -1.0, math.nan, math.inf])
def test_a_metric_needs_a_finite_strength(centre, strength):
    with pytest.raises(Invalid, match="finite strength"):
        precision(centre, strength=strength)


@pytest.mark.parametrize("room", [{"intercept": 0.0}, {"scale": math.nan}, {"scale": -1.0}, {"intercept": math.inf}])
def test_room_is_a_positive_deviation(room):
    with pytest.raises(Invalid, match="deviations above 0"):
        Room(**room)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.full(50, -1.0)}, "negative"),
        ({"weights": np.full(50, math.nan)}, "NaN"),
        ({"offset": np.full(50, math.inf)}, "NaN or infinite"),
        ({"offset": np.zeros(49)}, "one label, weight and offset"),
        ({"centre": np.zeros(4)}, "centre and a precision for 5"),
        ({"precision": np.zeros((4, 4))}, "centre and a precision for 5"),
    ],
)
def test_input_that_does_not_fit_is_refused(change, message):
    x, y = rows(50, seed=12)
    with pytest.raises(Invalid, match=message):
        fit_towards(x, y, **{"centre": np.zeros(5), "precision": np.eye(5), **change})


def test_a_repeated_column_without_a_pull_says_what_to_do():
    x, y = rows(50, seed=13)
    doubled = np.column_stack([x, x[:, 1]])
    with pytest.raises(Invalid, match="precision above 0"):
        fit_towards(doubled, y, centre=np.zeros(6), precision=np.zeros((6, 6)))


def test_a_centre_needs_rows():
    with pytest.raises(Invalid, match="expected rows"):
        centre_of(np.empty((0, 5)), np.empty(0, dtype=np.int8), BETA)

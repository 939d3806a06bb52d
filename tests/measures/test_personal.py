"""Models between the common one and a hospital's own: who shrinks where, and on whose evidence."""

import math
from typing import Any

import numpy as np
import pytest

from wardgate.measures.logistic import fit, linear, probability, statistics
from wardgate.measures.no_worse import personal
from wardgate.measures.personal import (
    MENU,
    START,
    Joint,
    Others,
    Width,
    next_shares,
    others_of,
    spread_of,
    updated,
    variance_of,
)
from wardgate.measures.towards import Centre, Room, precision
from wardgate.records.errors import Invalid

BASE = np.array([-0.6, 0.9, -0.7, 0.5, 0.0])
Persons = tuple[Any, Any]


def persons(count: int, beta: Any, *seed: int) -> Persons:
    """Persons whose risk follows a logistic model."""
    rng = np.random.default_rng(list(seed))
    x = np.column_stack([np.ones(count), rng.uniform(-1, 1, (count, len(beta) - 1))])
    return x, (rng.random(count) < probability(linear(x, beta))).astype(np.int8)


def joint_of(sites: list[Persons], ridge: float = 1.0) -> Joint:
    """The pooled fit."""
    x, y = np.vstack([x for x, _ in sites]), np.concatenate([y for _, y in sites])
    beta = fit(x, y, ridge=ridge)
    return Joint(beta=beta, hessian=statistics(x, y, beta).hessian, ridge=ridge)


def shares_of(sites: list[Persons], joint: Joint, rounds: int = 8) -> Any:
    """Shares of the menu after rounds over hospitals, in the open."""
    menus, shares = [updated(*site, others_of(joint, *site)) for site in sites], np.array(START)
    for _ in range(rounds):
        shares = next_shares(np.sum([menu.weights(shares) for menu in menus], axis=0))
    return shares


def mean_loss(beta: Any, x: Any, y: Any) -> float:
    """Log-loss per person."""
    return -statistics(x, y, beta).log_likelihood / len(y)


# ---- the parts


def test_a_hospital_takes_itself_out_of_the_pooled_fit_almost_as_a_refit_would() -> None:
    sites = [persons(400, BASE, 1, place) for place in range(5)] + [persons(250, BASE + 0.4, 2)]
    joint, refitted = joint_of(sites), joint_of(sites[:-1]).beta
    found = others_of(joint, *sites[-1]).beta
    assert np.max(np.abs(found - refitted)) < 0.1 * np.max(np.abs(joint.beta - refitted))
    assert np.array_equal(others_of(joint, *sites[-1], inside=False).beta, joint.beta)


def test_the_width_of_no_difference_gives_the_pooled_fit_again() -> None:
    sites = [persons(300, BASE, 3, place) for place in range(6)]
    joint = joint_of(sites)
    found = updated(*sites[2], others_of(joint, *sites[2]))
    assert MENU[0].kind == "same"
    assert np.max(np.abs(found.betas[0] - joint.beta)) < 0.01


def test_the_width_of_its_own_gives_the_local_fit() -> None:
    sites = [persons(300, BASE, 4, place) for place in range(4)]
    found = updated(*sites[0], others_of(joint_of(sites), *sites[0]))
    assert MENU[-1].kind == "own"
    assert np.max(np.abs(found.betas[-1] - fit(*sites[0], ridge=1.0))) < 0.01


@pytest.mark.parametrize(("intercept", "scale", "strength"), [(0.3, 0.2, 300.0), (1.0, 0.5, 30.0)])
def test_widths_are_the_pulls_of_local_updating(intercept: float, scale: float, strength: float) -> None:
    """`measures.towards` writes the same prior as a precision; a second derivation, by Sherman and Morrison."""
    joint = joint_of([persons(900, BASE, 5)])
    h00 = float(joint.hessian[0, 0])
    middle = joint.hessian[0] / h00
    inner = (joint.hessian[1:, 1:] - h00 * np.outer(middle[1:], middle[1:])) / (4 * h00)
    own = joint.ridge / strength * np.eye(len(inner))
    centre = Centre(beta=joint.beta, middle=middle, information=inner + own)
    pull = precision(centre, strength=strength, room=Room(intercept=intercept, scale=scale))
    found = spread_of(Width(intercept=intercept, scale=scale, strength=strength), joint)
    assert np.allclose(found @ pull, np.eye(len(BASE)), atol=1e-8)


def test_nobody_moves_nothing_and_says_nothing() -> None:
    joint = joint_of([persons(500, BASE, 6)])
    nobody = (np.zeros((0, 5)), np.zeros(0, dtype=np.int8))
    found = updated(*nobody, others_of(joint, *nobody, inside=False))
    assert np.allclose(found.betas[:-1], joint.beta)
    assert np.allclose(found.evidence, 0.0)
    assert np.allclose(found.weights(START), START)


def test_the_evidence_is_the_marginal_likelihood() -> None:
    """By brute force: the mean likelihood over draws from the prior, in a model of two coefficients."""
    here = persons(40, BASE[:2], 7)
    joint = joint_of([persons(400, BASE[:2], 8)])
    others = Others(joint=joint, beta=joint.beta, covariance=0.02 * np.eye(2))
    menu = (MENU[0], Width(intercept=1.0, scale=0.5, strength=30.0))
    found = updated(*here, others, menu=menu).evidence
    rng = np.random.default_rng(9)
    exact = []
    for width in menu:
        spread = others.covariance + (spread_of(width, joint) if width.kind == "around" else 0.0)
        draws = rng.multivariate_normal(others.beta, spread, size=20_000)
        logs = np.array([statistics(*here, draw).log_likelihood for draw in draws])
        exact.append(math.log(np.mean(np.exp(logs - logs.max()))) + logs.max())
    assert np.diff(found) == pytest.approx(np.diff(exact), abs=0.1)


@pytest.mark.parametrize(
    ("beta", "hessian", "ridge"),
    [
        (np.zeros(1), np.eye(1), 1.0),
        (np.zeros(3), np.eye(2), 1.0),
        (np.array([0.0, np.nan]), np.eye(2), 1.0),
        (np.zeros(2), np.array([[1.0, 2.0], [0.0, 1.0]]), 1.0),
        (np.zeros(2), np.eye(2), 0.0),
        (np.zeros(2), np.full((2, 2), np.inf), 1.0),
    ],
)
def test_numbers_that_make_no_common_model_are_refused(beta: Any, hessian: Any, ridge: float) -> None:
    with pytest.raises(Invalid):
        Joint(beta=beta, hessian=hessian, ridge=ridge)


def test_shares_stay_shares_whatever_the_sum_says() -> None:
    assert START.sum() == pytest.approx(1.0)
    noisy = np.random.default_rng(10).normal(0, 30, len(MENU))
    found = next_shares(noisy)
    assert found.sum() == pytest.approx(1.0) and bool(np.all(found > 0))
    for wrong in (np.zeros(3), np.full(len(MENU), np.nan)):
        with pytest.raises(Invalid):
            next_shares(wrong)


def test_a_hospital_adds_one_hospital_to_the_sum_whoever_it_is() -> None:
    for seed, shift in enumerate((0.0, 0.5, -5.0)):
        sites = [persons(200, BASE, 11, place) for place in range(3)] + [persons(2_000, BASE + shift, 12, seed)]
        joint = joint_of(sites)
        weights = updated(*sites[-1], others_of(joint, *sites[-1])).weights(START)
        assert weights.sum() == pytest.approx(1.0) and bool(np.all(weights >= 0))


# ---- who shrinks where


def test_hospitals_that_are_alike_stay_with_the_common_model() -> None:
    sites = [persons(150 + 100 * place, BASE, 13, place) for place in range(8)]
    joint = joint_of(sites)
    shares = shares_of(sites, joint)
    assert shares[0] > 0.6
    assert variance_of(shares) < 0.003
    for site in sites:
        found = updated(*site, others_of(joint, *site)).shrunk(shares)
        own = fit(*site, ridge=1.0)
        assert np.linalg.norm(found - joint.beta) < 0.3 * np.linalg.norm(own - joint.beta)


def test_one_hospital_that_is_wholly_different_goes_its_own_way_and_the_others_stay() -> None:
    sites = [persons(400, BASE, 14, place) for place in range(9)] + [persons(1_000, -3 * BASE, 15)]
    joint = joint_of(sites)
    shares = shares_of(sites, joint)
    strange = updated(*sites[-1], others_of(joint, *sites[-1])).shrunk(shares)
    test = persons(20_000, -3 * BASE, 16)
    own = fit(*sites[-1], ridge=1.0)
    assert mean_loss(strange, *test) < mean_loss(own, *test) + 0.002 < mean_loss(joint.beta, *test) - 0.3
    other = updated(*sites[0], others_of(joint, *sites[0])).shrunk(shares)
    test = persons(20_000, BASE, 17)
    assert mean_loss(other, *test) < min(mean_loss(joint.beta, *test), mean_loss(fit(*sites[0], ridge=1.0), *test))


def test_a_small_hospital_stays_where_the_others_are() -> None:
    sites = [persons(500, BASE, 18, place) for place in range(8)] + [persons(30, BASE, 19)]
    joint = joint_of(sites)
    found = updated(*sites[-1], others_of(joint, *sites[-1])).shrunk(shares_of(sites, joint))
    assert np.linalg.norm(found - joint.beta) < 0.15 * np.linalg.norm(fit(*sites[-1], ridge=1.0) - joint.beta)


def test_hospitals_that_differ_somewhat_do_better_between_than_at_either_end() -> None:
    rng = np.random.default_rng([20, 1])
    betas = [BASE + np.r_[rng.normal(0, 0.3), rng.normal(0, 0.25, 4)] for _ in range(12)]
    sites = [persons(200, beta, 21, place, 1) for place, beta in enumerate(betas)]
    joint = joint_of(sites)
    shares = shares_of(sites, joint)
    lost = np.zeros(3)
    for place, beta in enumerate(betas):
        test = persons(10_000, beta, 22, place, 1)
        shrunk = updated(*sites[place], others_of(joint, *sites[place])).shrunk(shares)
        lost += [mean_loss(one, *test) for one in (shrunk, joint.beta, fit(*sites[place], ridge=1.0))]
    assert lost[0] < lost[2] < lost[1]
    assert 0.001 < variance_of(shares) < 0.05


def test_a_centre_that_holds_a_hospitals_own_persons_would_count_them_twice() -> None:
    """The broken twin: without taking itself out, a large hospital hides how much it differs."""
    sites = [persons(300, BASE, 23, place) for place in range(3)] + [persons(3_000, BASE + 0.8, 24)]
    joint = joint_of(sites)
    good, twin = (updated(*sites[-1], others_of(joint, *sites[-1], inside=inside)) for inside in (True, False))
    gap = [float(one.evidence.max() - one.evidence[0]) for one in (good, twin)]
    assert gap[0] > 2 * gap[1]


# ---- the comparison on held-out persons


def test_held_out_persons_give_up_a_shrunk_model_that_is_worse() -> None:
    """Shares that are wrong for everybody force each hospital into a model of its own, which 60 persons cannot fit."""
    sites = [persons(800, BASE, 25, place) for place in range(5)] + [persons(60, BASE, 26, 0)]
    joint, own = joint_of(sites, ridge=0.01), np.zeros(len(MENU))
    own[-1] = 1.0
    given = {"joint": joint, "shares": own, "tuning": persons(200, BASE, 27)}
    bare = personal(*sites[-1], rng=np.random.default_rng(28), guarded=False, **given)
    kept = personal(*sites[-1], rng=np.random.default_rng(28), **given)
    assert bare.took == "shrunk" and kept.took == "global"
    assert np.array_equal(kept.shrunk, joint.beta)
    assert kept.against > 1


def test_too_few_events_compare_nothing_and_one_class_has_a_rate_of_its_own() -> None:
    sites = [persons(800, BASE, 29, place) for place in range(5)]
    joint, shares = joint_of(sites), np.array(START)
    x = persons(50, BASE, 30)[0]
    found = personal(x, np.zeros(50, dtype=np.int8), joint=joint, shares=shares, rng=np.random.default_rng(0))
    assert found.took == "shrunk" and found.against == -math.inf
    assert found.local[0] == pytest.approx(math.log(0.5 / 50.5)) and not found.local[1:].any()


def test_the_same_persons_and_folds_give_the_same_models() -> None:
    sites = [persons(200, BASE, 31, place) for place in range(4)]
    joint = joint_of(sites)
    twice = [personal(*sites[0], joint=joint, shares=START, rng=np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(twice[0].shrunk, twice[1].shrunk)

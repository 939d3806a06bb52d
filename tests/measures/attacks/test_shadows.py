"""Refits tell a person who was inside from one who was not, where one corpus alone says little."""

import numpy as np

from wardgate.measures.attacks import membership
from wardgate.measures.attacks.shadows import halves, likelihood_ratio


def test_everybody_is_inside_half_of_the_refits() -> None:
    found = halves(501, 4, np.random.default_rng(0))
    assert (found.sum(axis=0) == 2).all()
    assert halves(10, 0, np.random.default_rng(0)).shape == (0, 10)


def _world(effect: float, rng: np.random.Generator, *, refits: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Each target has a level of its own, far more varied than what being inside adds."""
    level = 5 * rng.normal(size=400)
    member = np.arange(400) < 200
    inside = halves(400, refits, rng)
    shadows = level + effect * inside + rng.normal(size=(refits, 400))
    observed = level + effect * member + rng.normal(size=400)
    return likelihood_ratio(observed, shadows, inside), observed


def _success(score: np.ndarray) -> float:
    drawn = membership.battery(np.arange(400) < 200, [], permutations=199, rng=np.random.default_rng(0))
    return float(membership.successes({"a": score}, drawn, rows=slice(0, 1))[0, 0])


def test_refits_see_what_the_corpus_alone_does_not() -> None:
    ratio, observed = _world(1.5, np.random.default_rng(1))
    assert _success(ratio) > 5.5
    assert _success(observed) < 4


def test_a_generator_that_forgets_gives_no_ratio() -> None:
    found = [_success(_world(0.0, np.random.default_rng(seed))[0]) for seed in range(6)]
    assert np.abs(found).max() < 5
    assert abs(np.mean(found)) < 2.1


def test_two_refits_are_enough_to_say_something_and_none_says_nothing() -> None:
    ratio, _ = _world(3.0, np.random.default_rng(2), refits=2)
    assert _success(ratio) > 5
    nothing = likelihood_ratio(np.ones(4), np.ones((0, 4)), np.ones((0, 4), dtype=bool))
    assert (nothing == 0).all()
    assert (likelihood_ratio(np.ones(4), np.ones((2, 4)), np.array([[1], [0]], dtype=bool).repeat(4, 1)) == 0).all()

"""Private choices keep their cost, and a greedy choice is caught."""

import math

import numpy as np
import pytest

from wardgate.entropy import UnsafeEntropy
from wardgate.privacy.choice import exponential_choice
from wardgate.records.errors import Invalid

RUNS = 10_000


def chosen(scores: list[float], *, epsilon: float, seed: str) -> np.ndarray:
    entropy = UnsafeEntropy(seed)
    found = [exponential_choice(scores, epsilon=epsilon, sensitivity=1.0, entropy=entropy) for _ in range(RUNS)]
    return np.bincount(found, minlength=len(scores)) / RUNS


def test_frequencies_are_those_of_permute_and_flip() -> None:
    # Two candidates a gap g apart: the worse wins with probability exp(-g epsilon / 2) / 2.
    share = chosen([3.0, 1.0], epsilon=1.0, seed="two")
    assert share[1] == pytest.approx(math.exp(-1.0) / 2, abs=0.018)


def test_neighbours_stay_within_epsilon_and_a_greedy_choice_does_not() -> None:
    epsilon = 1.0
    first, second = [1.0, 0.0, 0.5], [0.0, 1.0, 0.5]
    one = chosen(first, epsilon=epsilon, seed="one")
    other = chosen(second, epsilon=epsilon, seed="other")
    assert np.all(np.abs(np.log(one / other)) <= epsilon + 0.12)
    greedy = chosen(first, epsilon=100.0, seed="greedy")
    assert greedy[1] < 0.001 < one[1]


def test_one_candidate_is_always_chosen_and_ties_are_even() -> None:
    assert exponential_choice([4.0], epsilon=0.1, sensitivity=1.0, entropy=UnsafeEntropy("x")) == 0
    assert chosen([2.0, 2.0], epsilon=5.0, seed="tie")[0] == pytest.approx(0.5, abs=0.02)


def test_it_is_as_good_as_the_exponential_mechanism() -> None:
    scores, epsilon = [0.0, 1.0, 2.0, 4.0], 1.0
    weight = np.exp(np.array(scores) * epsilon / 2)
    assert chosen(scores, epsilon=epsilon, seed="use") @ scores >= weight @ scores / weight.sum() - 0.05


@pytest.mark.parametrize(
    ("scores", "epsilon", "sensitivity"),
    [
        ([], 1, 1),
        ([[1.0]], 1, 1),
        ([math.nan, 1.0], 1, 1),
        ([-math.inf, 1.0], 1, 1),
        ([1.0], 0, 1),
        ([1.0], math.nan, 1),
        ([1.0], 1, 0),
        ([1.0], 1, math.inf),
    ],
)
def test_an_unusable_choice_is_refused(scores: list[float], epsilon: float, sensitivity: float) -> None:
    with pytest.raises(Invalid):
        exponential_choice(scores, epsilon=epsilon, sensitivity=sensitivity, entropy=UnsafeEntropy("bad"))

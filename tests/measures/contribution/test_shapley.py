"""Shapley values against the definition, and sampled ones against exact ones."""

from itertools import permutations as orders

import numpy as np
import pytest

from wardgate.measures.contribution.shapley import EXACT_UP_TO, every_coalition, permutations
from wardgate.records.errors import Invalid


def game(members: np.ndarray, seed: int = 0) -> np.ndarray:
    """A game with interactions: concave in weighted members, and a bonus for two of them together."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.2, 1.0, members.shape[1])
    return np.column_stack([np.sqrt(members @ weights) + 0.3 * members[:, 0] * members[:, 1], members @ weights])


def test_exact_values_are_the_mean_over_all_orders() -> None:
    players = 5
    plan = every_coalition(players)
    found = plan.shares(game(plan.members))
    expected = np.zeros((players, 2))
    for order in orders(range(players)):
        here = np.zeros((players + 1, players), dtype=bool)
        for place, player in enumerate(order):
            here[place + 1 :, player] = True
        expected[list(order)] += np.diff(game(here), axis=0)
    np.testing.assert_allclose(found, expected / 120, atol=1e-12)


def test_exact_shares_add_up_and_an_additive_game_pays_each_its_own() -> None:
    plan = every_coalition(9)
    values = game(plan.members)
    found = plan.shares(values)
    np.testing.assert_allclose(found.sum(axis=0), values[-1] - values[0], atol=1e-10)
    np.testing.assert_allclose(found[:, 1], np.random.default_rng(0).uniform(0.2, 1.0, 9), atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_sampled_values_lie_within_their_standard_errors_of_the_exact_ones(seed: int) -> None:
    exact = every_coalition(8)
    truth = exact.shares(game(exact.members))
    plan = permutations(8, pairs=150, rng=np.random.default_rng(seed))
    values = game(plan.members)
    errors = plan.errors(values)
    assert np.all(np.abs(plan.shares(values) - truth) <= 6 * errors + 1e-12)
    assert errors[:, 1].max() < 1e-12  # an additive game has nothing to sample
    np.testing.assert_allclose(plan.shares(values).sum(axis=0), truth.sum(axis=0), atol=1e-10)


def test_the_standard_error_is_the_spread_over_samples() -> None:
    found, said = [], []
    for seed in range(60):
        plan = permutations(6, pairs=20, rng=np.random.default_rng(seed))
        values = game(plan.members)
        found.append(plan.shares(values)[:, 0])
        said.append(plan.errors(values)[:, 0])
    ratio = np.std(found, axis=0) / np.mean(said, axis=0)
    assert np.all((ratio > 0.6) & (ratio < 1.6))


def test_a_permutation_and_its_reverse_scatter_less_than_two_of_their_own() -> None:
    def spread(reverse: bool) -> float:
        found = []
        for seed in range(80):
            rng = np.random.default_rng(seed)
            plan = permutations(8, pairs=10, rng=rng)
            members = plan.members
            if not reverse:
                members = np.concatenate(
                    [permutations(8, pairs=2, rng=rng).members[:9] for _ in range(20)]
                )  # the first of each pair: 20 orders of their own
            values = game(members)[:, 0].reshape(20, 9)
            added = np.diff(members.reshape(20, 9, 8).astype(float), axis=1)
            found.append(np.einsum("mak,ma->k", added, np.diff(values, axis=1)) / 20)
        return float(np.std(found, axis=0).mean())

    assert spread(reverse=True) < 0.9 * spread(reverse=False)


@pytest.mark.parametrize("players", [0, EXACT_UP_TO + 1])
def test_too_many_coalitions_are_refused(players: int) -> None:
    with pytest.raises(Invalid, match="sample permutations"):
        every_coalition(players)


def test_one_pair_has_no_standard_error() -> None:
    with pytest.raises(Invalid, match="two pairs"):
        permutations(5, pairs=1, rng=np.random.default_rng(0))

"""Whose share is it: hospitals that split, copy, bring nothing, or tell somebody else's sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_players import Rows, held, rows, taught

from wardgate.measures.contribution.alike import too_alike
from wardgate.measures.contribution.distinct import weights
from wardgate.measures.contribution.persons import shares_by_persons
from wardgate.measures.contribution.shares import Shares, shares
from wardgate.measures.contribution.statistics import Taught
from wardgate.measures.contribution.utilities import Worth
from wardgate.records.errors import Invalid

TEST = held([rows(1200, 50, place) for place in range(3)])
WORTH = Worth(test=TEST, thresholds=(0.4,))
PLAYERS = [rows(120 + 60 * place, 51, place) for place in range(5)]


def table(players: list[Rows], **changes: int) -> Shares:
    return of_sums(taught(players), **changes)


def of_sums(one: Taught, **changes: int) -> Shares:
    return shares(one, TEST, thresholds=(0.4,), ridge=1.0, rng=np.random.default_rng(0), **{"redraws": 30, **changes})


HONEST = table(PLAYERS)


def test_both_kinds_of_shares_add_up_to_the_gain() -> None:
    gain = HONEST.everybody - HONEST.nobody
    np.testing.assert_allclose(HONEST.by_players.sum(axis=0), gain, atol=1e-10)
    np.testing.assert_allclose(HONEST.by_persons.sum(axis=0), gain, atol=2e-3)
    assert HONEST.utilities == ("auroc", "net_benefit@0.4", "worst_site")


def test_one_seed_gives_one_table_and_another_seed_nearly_the_same() -> None:
    again = table(PLAYERS)
    np.testing.assert_array_equal(HONEST.by_players_error, again.by_players_error)
    other = shares(taught(PLAYERS), TEST, thresholds=(0.4,), ridge=1.0, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(HONEST.by_persons, other.by_persons)
    np.testing.assert_allclose(HONEST.by_persons_error, other.by_persons_error, rtol=0.8)


def test_standard_errors_are_the_spread_over_other_persons() -> None:
    found = []
    for seed in range(40):
        players = [rows(120 + 60 * place, 60, seed, place) for place in range(5)]
        test = held([rows(1200, 61, seed, place) for place in range(3)])
        found.append(shares_by_persons(taught(players), Worth(test=test, thresholds=(0.4,)), ridge=1.0)[:, 0])
    ratio = np.std(found, axis=0) / HONEST.by_persons_error[:, 0]
    assert np.all((ratio > 0.5) & (ratio < 2.0))


def split(players: list[Rows], place: int) -> list[Rows]:
    x, y = players[place]
    half = np.random.default_rng(3).random(len(y)) < 0.4
    return [*players[:place], *players[place + 1 :], (x[half], y[half]), (x[~half], y[~half])]


@pytest.mark.parametrize("place", [0, 4])
def test_a_hospital_under_two_names_raises_its_shapley_value(place: int) -> None:
    divided = table(split(PLAYERS, place))
    raised = divided.by_players[-2:, 0].sum() - HONEST.by_players[place, 0]
    assert raised > 2 * HONEST.by_players_error[place, 0]


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_hospital_under_two_names_keeps_its_share_by_persons(place: int) -> None:
    divided = shares_by_persons(taught(split(PLAYERS, place)), WORTH, ridge=1.0)
    np.testing.assert_allclose(divided[-2:].sum(axis=0), HONEST.by_persons[place], atol=1e-6)


def distinct(players: list[Rows], *, within: float = 0.05) -> Taught:
    weighted = []
    for x, y in players:
        words = np.column_stack([x[:, 4], y]).astype(np.int64)
        weighted.append(weights(x[:, 1:4], words, within=within)[:, None])
    return Taught(
        products=np.stack([(x * w).T @ x for (x, _), w in zip(players, weighted, strict=True)]),
        events=np.stack([(x * w).T @ y.astype(float) for (x, y), w in zip(players, weighted, strict=True)]),
    )


def copied(players: list[Rows], place: int, *, change: float, times: int = 3) -> list[Rows]:
    """A hospital's rows again and again, each number changed a little."""
    x, y = players[place]
    rng, more = np.random.default_rng(4), []
    for _ in range(times - 1):
        other = x.copy()
        other[:, 1:4] = np.clip(other[:, 1:4] + rng.uniform(-change, change, (len(y), 3)), -1, 1)
        more.append(other)
    return [
        *players[:place],
        (np.concatenate([x, *more]), np.concatenate([y] * times)),
        *players[place + 1 :],
    ]


@pytest.mark.parametrize("change", [0.0, 0.03])
def test_copied_rows_raise_a_share_by_persons_where_every_row_counts(change: float) -> None:
    raised = shares_by_persons(taught(copied(PLAYERS, 2, change=change)), WORTH, ridge=1.0) - HONEST.by_persons
    assert raised[2, 0] > 1.5 * HONEST.by_persons_error[2, 0]


@pytest.mark.parametrize("change", [0.0, 0.03])
def test_copied_rows_raise_no_share_where_copies_count_once(change: float) -> None:
    before = shares_by_persons(distinct(PLAYERS), WORTH, ridge=1.0)
    after = shares_by_persons(distinct(copied(PLAYERS, 2, change=change)), WORTH, ridge=1.0)
    assert np.all(after[2] - before[2] <= 0.25 * HONEST.by_persons_error[2])
    assert np.abs(before - HONEST.by_persons).max() < HONEST.by_persons_error.max()


def test_who_brings_nothing_is_paid_by_the_head_and_has_no_share() -> None:
    empty = (np.zeros((0, 5)), np.zeros(0, dtype=np.int8))
    found = table([*PLAYERS, empty])
    assert np.all(found.by_persons[-1] == 0) and np.abs(found.by_players[-1]).max() < 1e-12
    noise = [*PLAYERS, rows(300, 70, noise_labels=True)]
    lazy = table(noise)
    heads = taught(noise).persons / taught(noise).persons.sum()
    assert heads[-1] * (lazy.everybody - lazy.nobody)[0] > 1.5 * lazy.by_persons_error[-1, 0]  # paid by the head
    assert lazy.by_persons[-1, 0] < lazy.by_persons_error[-1, 0]


def test_sums_told_after_another_hospital_earn_a_share_and_are_named() -> None:
    honest = taught(PLAYERS)
    for source, events in (
        (honest.products[1], honest.events[1]),
        (honest.products.mean(axis=0), honest.events.mean(axis=0)),
    ):
        copy = Taught(
            products=np.concatenate([honest.products, source[None]]),
            events=np.concatenate([honest.events, events[None]]),
        )
        assert of_sums(copy).by_persons[-1, 0] > 0  # nothing in the share itself says so
        assert any(one.player == 5 or one.other == 5 for one in too_alike(copy))


@pytest.mark.parametrize("seed", range(8))
def test_honest_hospitals_of_one_kind_are_not_named(seed: int) -> None:
    assert too_alike(taught([rows(400, 80, seed, place) for place in range(8)])) == ()


def test_more_than_sixteen_players_are_sampled_with_an_error() -> None:
    found = table([rows(100, 90, place) for place in range(18)], pairs=30, redraws=20)
    assert found.coalitions == 2 * 30 * 19
    assert np.all(found.sampling_error[:, 0] > 0)
    assert np.all(found.by_players_error >= found.sampling_error)
    np.testing.assert_allclose(found.by_players.sum(axis=0), found.everybody - found.nobody, atol=1e-10)


def test_leaving_a_player_out_is_what_everybody_loses() -> None:
    alone = table(PLAYERS[:4])
    np.testing.assert_allclose(HONEST.left_out[4], HONEST.everybody - alone.everybody, atol=1e-3)


@pytest.mark.parametrize(("players", "redraws"), [(1, 40), (5, 5)])
def test_a_table_of_one_or_without_redraws_is_refused(players: int, redraws: int) -> None:
    with pytest.raises(Invalid, match="two players"):
        table(PLAYERS[:players], redraws=redraws)


# ---- copies


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), persons=st.integers(1, 30))
def test_with_cells_one_person_moves_a_sum_by_one_bound(seed: int, persons: int) -> None:
    rng = np.random.default_rng(seed)
    numbers, words = rng.uniform(-1, 1, (persons + 1, 1)), rng.integers(0, 2, (persons + 1, 1))
    values = rng.normal(size=(persons + 1, 4))
    values /= np.linalg.norm(values, axis=1, keepdims=True)

    def total(rows: slice) -> np.ndarray:
        return weights(numbers[rows], words[rows], within=0.25, how="cells") @ values[rows]

    assert np.linalg.norm(total(slice(None)) - total(slice(1, None))) <= 1 + 1e-12


def test_records_that_differ_in_a_word_or_the_outcome_are_no_copies() -> None:
    numbers, words = np.zeros((4, 2)), np.array([[0, 0], [0, 0], [1, 0], [0, 1]])
    np.testing.assert_allclose(weights(numbers, words, within=0.05), [0.5, 0.5, 1, 1])


@pytest.mark.parametrize("within", [0.0, 0.6, float("nan")])
def test_boxes_of_no_or_too_much_width_are_refused(within: float) -> None:
    with pytest.raises(Invalid, match="copies"):
        weights(np.zeros((3, 1)), np.zeros((3, 1), dtype=np.int64), within=within)


def test_nobody_has_no_weights() -> None:
    assert len(weights(np.zeros((0, 2)), np.zeros((0, 1), dtype=np.int64), within=0.1)) == 0

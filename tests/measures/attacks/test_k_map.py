"""Rare combinations: the population behind them, and reproductions beyond what chance shows."""

import numpy as np
import polars as pl
import pytest

from wardgate.measures.attacks.k_map import LEAST_AT_RISK, at_risk, combinations, excess_risk, fitted, k_map, others
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured


def drawn(rng: np.random.Generator, *, shape: float, people: int) -> tuple[np.ndarray, np.ndarray]:
    """Two hospitals of one population: combinations with gamma rates, persons drawn by them."""
    rates = rng.gamma(shape, size=20_000)
    rates /= rates.sum()
    return rng.choice(len(rates), size=people, p=rates), rng.choice(len(rates), size=people, p=rates)


@pytest.mark.parametrize("shape", [0.05, 0.5, 2.0])
def test_the_estimate_for_lone_persons_agrees_with_a_second_hospital_of_the_same_population(shape: float) -> None:
    rng = np.random.default_rng(int(100 * shape))
    here, there = drawn(rng, shape=shape, people=10_000)
    further = others(here, persons=len(here), frame=len(here))
    estimate = fitted(further).population(further.astype(float))
    elsewhere = np.bincount(there, minlength=20_000)[here]
    for count in (0, 1, 2):
        chosen = further == count
        if chosen.sum() > 300:
            assert estimate[chosen][0] - 1 == pytest.approx(elsewhere[chosen].mean(), rel=0.25, abs=0.05)


def test_persons_who_are_all_alone_or_all_alike_have_an_estimate_too() -> None:
    assert fitted(np.zeros(500, dtype=np.int64)).population(np.zeros(1))[0] == pytest.approx(1.0, abs=0.02)
    assert fitted(np.full(500, 499)).population(np.full(1, 499.0))[0] > 400


def test_other_persons_are_counted_in_the_whole_frame() -> None:
    key = np.array([0, 0, 1, 1, 1, 7, 7])
    assert others(key, persons=3, frame=5).tolist() == [1, 1, 2]


def test_combinations_are_equal_where_all_columns_are() -> None:
    features = (
        Feature(name="age", type="integer", unit="a", range=(0, 100)),
        Feature(name="ward", type="category", values=("a", "b")),
    )
    one = pl.DataFrame({"age": [41.0, 44.0, 46.0, None], "ward": ["a", "a", "a", "b"]})
    other = pl.DataFrame({"age": [42.0, None], "ward": ["b", "b"]})
    key = combinations(features, (one, other))
    assert key[0] == key[1] and key[0] != key[2] and key[3] == key[5]
    assert len({*key.tolist()}) == 4


def test_where_hardly_any_combination_is_rare_the_next_rarest_are_looked_at() -> None:
    population = np.linspace(1.0, 500.0, 4000)
    member = np.arange(4000) % 2 == 0
    groups = at_risk(population, member, least=11)
    assert len(groups) == 1
    assert int(np.sum(groups[0] & ~member)) >= LEAST_AT_RISK
    assert len(at_risk(np.ones(4000), member, least=11)) == 3


def judged(key: np.ndarray, member: np.ndarray, frame: int) -> Measured:
    found = excess_risk(key, member, frame=frame, least=11)
    sides = (int(member.sum()), int((~member).sum()))
    return k_map(found, persons=sides, level=0.9, rng=np.random.default_rng(0), note="")


def test_combinations_of_one_training_person_are_refused_and_those_of_chance_are_not() -> None:
    rng = np.random.default_rng(4)
    here, there = drawn(rng, shape=0.5, people=4000)
    member = np.arange(4000) < 3000
    copied = judged(np.concatenate((here, here[:3000])), member, 4000)
    chance = judged(np.concatenate((here, there[:3000])), member, 4000)
    assert copied.high < 11
    assert chance.low > 11


def test_without_the_control_every_realistic_corpus_would_be_refused() -> None:
    """Chance reproduces rare combinations too: counted without strangers, other patients look like a leak."""
    rng = np.random.default_rng(5)
    here, there = drawn(rng, shape=0.5, people=4000)
    further = others(here, persons=4000, frame=4000)
    population = fitted(further).population(further.astype(float))
    rare = population < 11
    naive = float(np.mean(np.isin(here[rare], there) / population[rare]))
    assert 1 / naive < 11
    assert judged(np.concatenate((here, there)), np.arange(4000) < 3000, 4000).low > 11


def test_traits_that_everybody_shares_name_nobody() -> None:
    key = np.zeros(3000, dtype=np.int64)
    assert judged(key, np.arange(2000) < 1000, 2000).low > 11

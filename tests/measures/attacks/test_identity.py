"""Identity disclosure: every term of the closed form by hand."""

import numpy as np
import pytest

from wardgate.measures.attacks.identity import identity, risks

# Six persons, then six rows. Traits as keys; one sensitive category and one sensitive number.
KEY = np.array([0, 0, 1, 2, 3, 4, 0, 0, 1, 2, 2, 5])
POPULATION = np.array([2, 2, 4, 1, 1, 1])
CATEGORY = (np.array([1.0, 0, 0, 0, 0, 0]), np.array([1.0, 1.0, 0, 0, 0, 0]), 0.0)
NUMBER = (np.array([5.0, 5, 30, 40, 50, 60]), np.array([90.0, 90, 30.4, 40.4, 44, 60]), 0.5)


def found(*targets: tuple[np.ndarray, np.ndarray, float], seed: int = 0) -> np.ndarray:
    return risks(KEY, POPULATION, targets, rng=np.random.default_rng(seed))


def test_a_match_counts_when_the_rare_value_is_right_and_is_shared_by_the_population() -> None:
    risk = found(CATEGORY)
    assert risk[0] == pytest.approx(1 / 2)  # rare category, both matching rows say so, two persons have these traits
    assert risk[1] == 0.0  # the matching rows are wrong
    assert np.all(risk[2:] == 0.0)  # right, but what most have: nothing new; or no match


def test_a_number_is_learned_within_reach() -> None:
    risk = np.mean([found(NUMBER, seed=seed) for seed in range(200)], axis=0)
    assert risk[0] == risk[1] == 0.0
    assert risk[2] == pytest.approx(1 / 4)
    assert risk[3] == pytest.approx(1 / 2, abs=0.15)  # one of two matching rows teaches it
    assert risk[4] == risk[5] == 0.0  # nobody matches them


def test_a_missing_value_teaches_nothing() -> None:
    gone = np.full(6, np.nan)
    assert np.all(found((gone, NUMBER[1], 0.5)) == 0.0)
    assert np.all(found((NUMBER[0], gone, 0.5)) == 0.0)
    assert np.all(found() == 0.0)


def test_a_twentieth_of_many_columns_must_be_learned() -> None:
    useless = (np.arange(6.0), np.full(6, -1.0), 0.1)
    assert found(CATEGORY, *[useless] * 19)[0] == pytest.approx(1 / 2)
    assert found(CATEGORY, *[useless] * 25)[0] == 0.0


def test_a_copying_generator_discloses_and_another_patients_corpus_does_not() -> None:
    rng = np.random.default_rng(1)
    key, member = np.arange(1000), np.arange(1000) < 500
    secret, ones = rng.normal(size=1000), np.ones(1000, dtype=np.int64)
    copied = risks(np.append(key, key[:500]), ones, [(secret, secret[:500], 0.05)], rng=rng)
    invented = risks(np.append(key, key[:500]), ones, [(secret, rng.normal(size=500), 0.05)], rng=rng)
    for risk, least, most in ((copied, 0.99, 1.0), (invented, -0.1, 0.1)):
        contrast = identity(risk, ones, member)
        assert contrast is not None
        assert least <= contrast.value <= most

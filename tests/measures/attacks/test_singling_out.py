"""Conditions that point at one person: unique values, combinations, and a control that must be as large."""

import numpy as np
import pytest

from wardgate.measures.attacks.singling_out import cut, multivariate, univariate
from wardgate.records.errors import Invalid

Column = tuple[np.ndarray, np.ndarray]


def columns(persons: np.ndarray, rows: np.ndarray) -> list[Column]:
    return [(persons[:, place], rows[:, place]) for place in range(persons.shape[1])]


def halves(count: int) -> np.ndarray:
    return np.arange(count) < count // 2


def combined(persons: np.ndarray, rows: np.ndarray) -> list[float]:
    member = halves(len(persons))
    rng = np.random.default_rng(0)
    return [one.value for one in multivariate(columns(persons, rows), member, orders=4, rng=rng)]


def test_a_value_counts_when_one_row_and_one_person_of_the_side_have_it() -> None:
    persons = np.array([1.0, 2.0, 2.0, 5.0, 9.0, 1.0, 7.0, np.nan, 5.0, 5.0])
    rows = np.array([1.0, 2.0, 5.0, 9.0, 9.0, np.nan])
    (found,) = univariate([(persons, rows)], halves(10))
    # Members: 1 and 5 point at one person, 2 at two, 9 is held by two rows. Strangers: 1 alone, since 5 is held twice.
    assert found.value == pytest.approx(2 / 5 - 1 / 5)


def test_copied_persons_are_singled_out_and_other_patients_are_not() -> None:
    rng = np.random.default_rng(1)
    persons, safe = rng.normal(size=(2000, 8)), rng.normal(size=(1000, 8))
    copied = np.concatenate((persons[:300], safe[300:]))
    assert min(combined(persons, copied)) > 0.2
    assert max(map(abs, combined(persons, safe))) < 0.08


def test_independent_columns_that_reuse_lone_values_are_seen_in_one_column_only() -> None:
    rng = np.random.default_rng(2)
    persons = rng.normal(size=(2000, 8))
    shuffled = np.column_stack([rng.permutation(persons[:1000, place]) for place in range(8)])
    found = [one.value for one in univariate(columns(persons, shuffled), halves(2000))]
    assert min(found) == 1.0
    assert max(map(abs, combined(persons, shuffled))) < 0.08


def test_a_coarse_table_offers_no_condition() -> None:
    rng = np.random.default_rng(3)
    persons, rows = rng.integers(2, size=(400, 3)).astype(float), rng.integers(2, size=(400, 3)).astype(float)
    assert combined(persons, rows) == [0.0] * 4


def test_numbers_are_cut_by_the_corpus_and_missing_is_a_value() -> None:
    rows = np.append(np.arange(100.0), np.nan)
    persons = np.array([-5.0, 55.0, 1000.0, np.nan])
    mine, theirs = cut(persons, rows)
    assert len(np.unique(theirs)) == 11
    assert mine[0] == theirs[0] and mine[2] == theirs[99] and mine[3] == theirs[100]
    mine, theirs = cut(np.array([1.0, 3.0]), np.array([1.0, 2.0, 2.0]))
    assert mine[0] == theirs[0] and mine[1] not in theirs


def test_columns_that_are_never_filled_are_no_condition() -> None:
    empty = np.full(40, np.nan)
    found = [*univariate([(empty, empty)], halves(40))]
    assert [one.value for one in found] == [0.0]
    assert combined(np.column_stack((empty, empty)), np.column_stack((empty, empty))) == [0.0] * 4


def test_sides_of_different_size_are_refused() -> None:
    values = np.arange(10.0)
    with pytest.raises(Invalid):
        list(univariate([(values, values)], np.arange(10) < 3))

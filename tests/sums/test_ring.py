"""Rounding to the ring: exact, bounded, and closed to everything that could overflow."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardgate.records.errors import Invalid
from wardgate.sums import ring


@given(persons=st.integers(1, 2**40), bound=st.floats(2.0**-400, 2.0**400))
def test_the_scale_is_the_finest_that_cannot_overflow(persons: int, bound: float) -> None:
    exponent = int(ring.exponents(persons=persons, bound=bound, entries=1)[0])
    largest = Fraction(persons * bound)
    assert largest * Fraction(2) ** exponent <= 2**62
    assert largest * Fraction(2) ** (exponent + 1) > 2**62


def test_powers_of_two_use_the_whole_range() -> None:
    assert ring.exponents(persons=1024, bound=1.0, entries=2).tolist() == [52, 52]
    assert ring.exponents(persons=1025, bound=(1.0, 0.5), entries=2).tolist() == [51, 52]


@given(st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=20))
def test_one_vector_reads_back_to_the_last_bit_of_the_ring(values: list[float]) -> None:
    exponents = ring.exponents(persons=10, bound=3.0, entries=len(values))
    encoded = ring.encode(values, exponents=exponents, bound=3.0, persons_here=1)
    for value, integer, exponent in zip(values, encoded.view(np.int64).tolist(), exponents.tolist(), strict=True):
        assert integer == round(Fraction(value) * 2**exponent)
    assert np.abs(ring.decode(encoded, exponents=exponents) - values).max() <= math.ldexp(0.5, -int(exponents[0]))


@pytest.mark.parametrize(
    "bad",
    [
        {"persons": 0},
        {"persons": -3},
        {"persons": 2**40 + 1},
        {"bound": 0.0},
        {"bound": -1.0},
        {"bound": math.nan},
        {"bound": math.inf},
        {"bound": 1e300},
        {"bound": 1e-300},
        {"bound": (1.0, 1.0)},
        {"bound": (1.0, 1.0, math.nan)},
        {"entries": 0},
    ],
)
def test_a_scale_that_could_overflow_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        ring.exponents(**{"persons": 10, "bound": 1.0, "entries": 3, **bad})


@pytest.mark.parametrize(
    "vector",
    [
        [math.nan, 0, 0],
        [0, math.inf, 0],
        [0, 0, -math.inf],
        [5.001, 0, 0],
        [0, -777.25, 0],
        [1.0, 2.0],
        [[1.0, 2.0, 3.0]],
        [1.0, 2.0, 3.0, 4.0],
    ],
)
def test_a_vector_that_breaks_the_plan_is_refused_and_not_quoted(vector: list[float]) -> None:
    exponents = ring.exponents(persons=100, bound=1.0, entries=3)
    with pytest.raises(Invalid) as error:
        ring.encode(vector, exponents=exponents, bound=1.0, persons_here=5)
    assert "777" not in str(error.value)
    assert "5.001" not in str(error.value)


def test_a_site_without_persons_can_only_send_zeros() -> None:
    exponents = ring.exponents(persons=100, bound=1.0, entries=2)
    assert ring.encode([0, 0], exponents=exponents, bound=1.0, persons_here=0).tolist() == [0, 0]
    with pytest.raises(Invalid):
        ring.encode([0, 1e-9], exponents=exponents, bound=1.0, persons_here=0)
    with pytest.raises(Invalid):
        ring.encode([0, 0], exponents=exponents, bound=1.0, persons_here=-1)


def test_rounding_of_a_float_sum_is_no_breach() -> None:
    exponents = ring.exponents(persons=100, bound=0.1, entries=1)
    assert len(ring.encode([sum([0.1] * 50)], exponents=exponents, bound=0.1, persons_here=50)) == 1

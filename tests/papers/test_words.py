"""Figures in words."""

import doctest
import math

import pytest

from wardgate.papers import words
from wardgate.papers.svg import even_axis, ratio_axis, tag


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(words).failed == 0


@pytest.mark.parametrize(
    ("epsilon", "advantage", "power", "even", "rare"),
    [
        (0.1, 0.05, 0.011, 0.525, 0.011),
        (0.5, 0.24, 0.016, 0.62, 0.016),
        (1, 0.46, 0.027, 0.73, 0.027),
        (3, 0.91, 0.20, 0.95, 0.17),
        (8, 0.999, 1.0, 0.999, 0.97),
    ],
)
def test_the_belief_table_is_the_published_one(epsilon, advantage, power, even, rare):
    assert words.advantage(epsilon) == pytest.approx(advantage, abs=0.005)
    assert words.power(epsilon, 0.01) == pytest.approx(power, abs=0.005)
    assert words.belief(epsilon, 0.5) == pytest.approx(even, abs=0.006)
    assert words.belief(epsilon, 0.01) == pytest.approx(rare, abs=0.006)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_not_a_figure_is_never_a_number(value):
    assert not any(
        sign.isdigit() for sign in words.figure(value) + words.share(value) + words.with_interval(value, 0, 1)
    )


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [0.31, 0.99], [-1e-12, 1e-12], [], [math.nan], [2, 3]])
def test_an_axis_has_a_few_rising_ticks_that_hold_its_values(values):
    axis = even_axis(values, floor=0.0, ceiling=1.0)
    places = [value for value, _ in axis.ticks]
    assert 2 <= len(places) <= 9 and places == sorted(places)
    assert len({text for _, text in axis.ticks}) == len(places)
    inside = [min(max(v, 0.0), 1.0) for v in values if math.isfinite(v)]
    assert all(axis.low - 1e-9 <= v <= axis.high + 1e-9 for v in inside)


def test_a_ratio_axis_is_even_about_one():
    place = ratio_axis([0.4, 3.1]).onto(0, 100)
    assert place(1) == 50 and place(2) - 50 == pytest.approx(50 - place(0.5))


def test_svg_text_and_attributes_are_escaped():
    assert tag("text", "<b>", class_='"x') == '<text class="&#34;x">&lt;b&gt;</text>'

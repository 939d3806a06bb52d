"""Quantiles against numpy on the pooled rows, and where the zoom stops."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardgate.hub.pooling.quantiles import quantiles
from wardgate.measures.grain import grain
from wardgate.measures.quantiles import Window, even_steps, next_steps, window_of
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.errors import Invalid, NotEvaluable, Refused
from wardgate.records.feature import Feature
from wardgate.records.study import Study

SITES = ("a", "b", "c")
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def truth(pool: Any, feature: str, level: float) -> float:
    return float(np.quantile(pool.whole[feature].drop_nulls().to_numpy(), level, method="inverted_cdf"))


def test_every_bracket_holds_the_pooled_quantile(pool: Any, study: Study) -> None:
    found = pool.drive(
        quantiles(study=study, sites=SITES, features=("age", "glucose"), levels=LEVELS, persons_at_least=3_000)
    )
    assert len(found.found) == 10
    for one in found.found:
        exact = truth(pool, one.feature, one.level)
        assert one.low <= exact < one.high
        assert abs(one.value - exact) <= (one.high - one.low) / 2
    assert all(one.resolved and one.value == truth(pool, "age", one.level) for one in found.of("age"))
    assert max(one.high - one.low for one in found.of("glucose")) < 0.6, "narrow, though few persons stand behind each"


def test_the_stated_resolution_is_reached_where_persons_suffice(make_study: Any, make_pool: Any) -> None:
    study = make_study(Feature(name="x", type="number", unit="1", range=(0, 100), missing="refused"))
    values = np.random.default_rng(2).normal(50, 2, 60_000)
    table = pl.DataFrame({"x": values, "label": np.zeros(len(values), dtype=np.int8)})
    pool = make_pool(study, [table[:20_000], table[20_000:]])
    (one,) = pool.drive(
        quantiles(study=study, sites=SITES, features=("x",), levels=(0.5,), persons_at_least=60_000)
    ).found
    assert one.resolved
    assert one.high - one.low == pytest.approx(0.1)
    assert one.low <= truth(pool, "x", 0.5) < one.high


def test_no_exact_zoom_cuts_finer_than_the_smallest_count_on_average(pool: Any, study: Study) -> None:
    pool.drive(quantiles(study=study, sites=SITES, features=("glucose",), levels=(0.01, 0.5), persons_at_least=3_000))
    values = pool.whole["glucose"].drop_nulls().to_numpy()
    for ask in pool.asks:
        steps = np.array(ask.parameters["cuts"]["glucose"])
        assert (len(steps) + 2) * 11 <= 3_000
        assert np.all(np.diff(steps) >= 1)
    last = np.array(pool.asks[-1].parameters["cuts"]["glucose"]) * 10.0 ** grain(study.feature("glucose"))
    inside = np.histogram(values, last)[0]
    assert np.mean(inside) >= 11, "cells that were opened hold the smallest count on average"


def test_noisy_brackets_hold_the_quantile_and_cost_what_they_say(
    study: Study, make_persons: Any, make_pool: Any
) -> None:
    whole = make_persons(8_000, seed=3)
    held = narrow = 0
    for seed in range(20):
        pool = make_pool(study, [whole], seed=seed)
        found = pool.drive(
            quantiles(study=study, sites=SITES, features=("age", "glucose"), persons_at_least=8_000, epsilon=1.0)
        )
        assert epsilon_of(gaussian=found.gaussian, delta=study.budget.delta) <= 1.0
        held += sum(one.low <= truth(pool, one.feature, one.level) < one.high for one in found.found)
        narrow += sum(one.high - one.low < 3 for one in found.found)
    assert held >= 0.95 * 120
    assert narrow >= 0.9 * 120


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_one_exact_histogram_brackets_between_two_neighbouring_cuts(values: list[int], level: float) -> None:
    steps = tuple(range(5, 50, 7))
    counted = np.histogram(values, [-np.inf, *steps, np.inf])[0].astype(float)
    found = window_of(counted, steps, level, outer=(0, 51), noise=0.0)
    exact = np.quantile(values, level, method="inverted_cdf")
    edges = (0, *steps, 51)
    assert found.low <= exact < found.high
    assert edges.index(found.high) == edges.index(found.low) + 1


def test_cuts_are_even_and_inside() -> None:
    assert even_steps(0, 10, 5) == (2, 4, 6, 8)
    assert even_steps(0, 2, 9) == (1,)
    assert even_steps(3, 4, 9) == ()
    windows = (Window(low=0, high=4, persons=50.0), Window(low=8, high=10, persons=50.0))
    assert next_steps(windows, (2, 2), outer=(0, 20)) == (2, 4, 8, 9, 10)


def test_bad_questions_are_named(study: Study, pool: Any, make_pool: Any, make_persons: Any) -> None:
    for features, levels, words in (
        (("height",), (0.5,), "no number"),
        (("sex",), (0.5,), "no number"),
        ((), (0.5,), "at least one"),
        (("age",), (0.0,), "levels between"),
        (("age",), (1.0,), "levels between"),
        (("age",), (), "levels between"),
    ):
        with pytest.raises(Invalid, match=words):
            next(quantiles(study=study, sites=SITES, features=features, levels=levels, persons_at_least=3_000))
    with pytest.raises(Refused, match="one cell for every 11 persons"):
        next(quantiles(study=study, sites=SITES, features=("age",), persons_at_least=20))
    with pytest.raises(Invalid, match="level between"):
        window_of(np.ones(3), (1, 2), 1.5, outer=(0, 3), noise=0.0)
    with pytest.raises(Invalid, match="counts between"):
        window_of(np.ones(3), (), 0.5, outer=(0, 3), noise=0.0)
    few = make_pool(study, [make_persons(6, seed=1)])
    with pytest.raises(NotEvaluable, match="fewer than 11 persons have a value of 'age'"):
        few.drive(quantiles(study=study, sites=SITES, features=("age",), persons_at_least=3_000))

"""More of the few, and how a model is told of it."""

import math
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_persons import FEATURES, persons
from wardgate.measures.encoding import LABEL, design_matrix, labels
from wardgate.measures.logistic import fit, linear, penalty, probability
from wardgate.measures.rebalancing import (
    Wanted,
    additions,
    applicable,
    check,
    design_of,
    meets,
    members,
    offsets,
    weights,
)
from wardgate.measures.towards import fit_towards
from wardgate.records.errors import Invalid

DEAD_SMOKERS = {"smoker": 1, "label": 1}


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return persons(8_000, seed=1)


def with_copies(table: pl.DataFrame, wanted: list[Wanted], rng: np.random.Generator) -> pl.DataFrame:
    """Add rows by drawing real ones of the group again: the best generator there is."""
    counts = additions(wanted, members(wanted, table))
    parts = [table]
    for one, count in zip(wanted, counts, strict=True):
        pool = table.filter(pl.Series(meets(one.where, table)))
        parts.append(pool[rng.integers(pool.height, size=count)])
    return pl.concat(parts)


def test_twice_as_many_are_twice_as_many(table):
    wanted = [Wanted(where=DEAD_SMOKERS, factor=2)]
    held = int(meets(DEAD_SMOKERS, table).sum())
    assert additions(wanted, members(wanted, table)) == (held,)


def test_a_share_is_a_share_of_all_rows_with_those_added(table):
    wanted = [Wanted(where={"stage": "IV"}, share=0.25), Wanted(where={"sex": "F", "smoker": 1}, share=0.3)]
    bigger = with_copies(table, wanted, np.random.default_rng(2))
    found = members(wanted, bigger).mean(axis=0)
    assert np.allclose(found, [0.25, 0.3], atol=0.02)


def test_overlapping_factors_are_met_together(table):
    wanted = [Wanted(where={"smoker": 1}, factor=2), Wanted(where={"stage": "IV"}, factor=3)]
    before = members(wanted, table).sum(axis=0)
    after = members(wanted, with_copies(table, wanted, np.random.default_rng(3))).sum(axis=0)
    assert np.allclose(after / before, [2, 3], atol=0.12)


@pytest.mark.parametrize(
    ("where", "expression"),
    [
        ({"sex": "F"}, pl.col("sex") == "F"),
        ({"age": (60, 70)}, pl.col("age").is_between(60, 70)),
        ({"age": 65}, pl.col("age") == 65),
        ({"stage": None}, pl.col("stage").is_null()),
        ({"glucose": None}, pl.col("glucose").is_null()),
        ({"cough": 1, "sex": "M"}, (pl.col("cough") == 1) & (pl.col("sex") == "M")),
        ({"label": 1}, pl.col("label") == 1),
    ],
)
def test_conditions_mean_what_the_generators_mean(table, where, expression):
    assert np.array_equal(meets(where, table), table.select(expression.fill_null(False)).to_series().to_numpy())


@pytest.mark.parametrize("number", [0, -1, 1, math.nan, math.inf, 0.5])
def test_a_factor_is_above_one(number):
    with pytest.raises(Invalid, match="above 1"):
        Wanted(where={"sex": "F"}, factor=number)


@pytest.mark.parametrize("number", [0, 1, -0.1, 1.5, math.nan])
def test_a_share_lies_between_zero_and_one(number):
    with pytest.raises(Invalid, match="between 0 and 1"):
        Wanted(where={"sex": "F"}, share=number)


def test_a_request_has_a_factor_or_a_share_and_conditions():
    with pytest.raises(Invalid, match="not both"):
        Wanted(where={"sex": "F"}, factor=2, share=0.5)
    with pytest.raises(Invalid, match="not both"):
        Wanted(where={"sex": "F"})
    with pytest.raises(Invalid, match="no condition"):
        Wanted(where={}, factor=2)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"weight": 1}, "'weight', which is no column; expected one of age"),
        ({"sex": "X"}, "expects one of F, M"),
        ({"sex": 1}, "expects one of F, M"),
        ({"sex": None}, "refuses persons without it"),
        ({"smoker": 2}, "expects 0 or 1"),
        ({"smoker": (0, 1)}, "expects 0 or 1"),
        ({"age": "old"}, "expects a number"),
        ({"age": (70, 60)}, "low <= high"),
        ({"age": math.nan}, "expects a number"),
    ],
)
def test_conditions_that_the_dictionary_does_not_know_are_named(where, message):
    with pytest.raises(Invalid, match=message):
        check([Wanted(where=where, factor=2)], FEATURES, labelled=True)


def test_the_outcome_is_a_column_only_where_there_is_one():
    wanted = [Wanted(where={"label": 1}, factor=2)]
    check(wanted, FEATURES, labelled=True)
    with pytest.raises(Invalid, match="no column"):
        check(wanted, FEATURES, labelled=False)


def test_shares_leave_room_for_others():
    wanted = [Wanted(where={"sex": "F"}, share=0.6), Wanted(where={"smoker": 1}, share=0.5)]
    with pytest.raises(Invalid, match=r"add up to 1\.1"):
        check(wanted, FEATURES, labelled=True)


def test_requests_are_at_least_one_and_differ():
    with pytest.raises(Invalid, match="at least one request"):
        check([], FEATURES, labelled=True)
    with pytest.raises(Invalid, match="same conditions"):
        check(
            [Wanted(where={"sex": "F", "smoker": 1}, factor=2), Wanted(where={"smoker": 1, "sex": "F"}, share=0.3)],
            FEATURES,
            labelled=True,
        )


def test_nobody_cannot_be_multiplied(table):
    wanted = [Wanted(where={"age": (18, 18), "stage": "IV", "smoker": 0, "label": 1}, factor=2)]
    with pytest.raises(Invalid, match="nobody to multiply"):
        additions(wanted, members(wanted, table))


def test_a_share_that_is_there_already_is_not_asked_for(table):
    wanted = [Wanted(where={"sex": "F"}, share=0.3)]
    with pytest.raises(Invalid, match="already holds"):
        additions(wanted, members(wanted, table))


def test_a_group_may_end_above_its_target_where_another_request_brings_it_there(table):
    wanted = [Wanted(where={"smoker": 1}, factor=6), Wanted(where={"smoker": 1, "sex": "F"}, factor=1.1)]
    counts = additions(wanted, members(wanted, table))
    assert counts[1] == 0
    after = members(wanted, with_copies(table, wanted, np.random.default_rng(9))).sum(axis=0)
    assert (after / members(wanted, table).sum(axis=0))[1] == pytest.approx(6, abs=0.3)


def test_requests_with_nothing_to_do_are_left_out_where_that_is_asked(table):
    wanted = [
        Wanted(where={"sex": "F"}, share=0.3),
        Wanted(where={"age": (18, 18), "stage": "IV", "smoker": 0, "label": 1}, factor=2),
        Wanted(where={"stage": "IV"}, factor=2),
    ]
    assert applicable(wanted, members(wanted, table)) == (wanted[2],)


def test_a_flood_of_rows_is_refused(table):
    wanted = [Wanted(where={"sex": "F"}, factor=50)]
    with pytest.raises(Invalid, match="more than 10 rows for each"):
        additions(wanted, members(wanted, table))


def test_weights_give_back_the_natural_shares(table):
    wanted = [Wanted(where=DEAD_SMOKERS, factor=3), Wanted(where={"stage": "IV"}, factor=4)]
    bigger = with_copies(table, wanted, np.random.default_rng(4))
    weight = weights(design_of(wanted, table, bigger), bigger)
    for where in ({"label": 1}, {"smoker": 1}, DEAD_SMOKERS, {"stage": "IV"}):
        back = float(weight @ meets(where, bigger) / weight.sum())
        assert back == pytest.approx(float(meets(where, table).mean()), abs=0.01)


@pytest.mark.parametrize("where", [{"label": 1}, DEAD_SMOKERS, {"label": 1, "stage": "IV"}])
def test_a_model_of_many_added_deaths_foretells_natural_risks_once_told_of_the_design(table, where):
    """Without the offset the broken twin foretells far too many."""
    wanted = [Wanted(where=where, factor=5)]
    bigger = with_copies(table, wanted, np.random.default_rng(5))
    design = design_of(wanted, table, bigger)
    x, y = design_matrix(FEATURES, bigger), labels(bigger)
    metric = np.diag(penalty(x.shape[1], 1.0))
    told, untold = (
        fit_towards(x, y, centre=np.zeros(x.shape[1]), precision=metric, offset=offset)
        for offset in (offsets(design, bigger), None)
    )
    fresh = persons(20_000, seed=6)
    fresh = fresh.filter(pl.Series(meets({name: value for name, value in where.items() if name != LABEL}, fresh)))
    real = fit(design_matrix(FEATURES, table), labels(table), ridge=1.0)
    risk = {
        name: float(probability(linear(design_matrix(FEATURES, fresh), beta)).mean())
        for name, beta in (("told", told), ("untold", untold), ("real", real))
    }
    assert risk["told"] == pytest.approx(risk["real"], abs=0.03)
    assert risk["untold"] > risk["real"] + 0.1


def test_requests_without_the_outcome_need_no_correction(table):
    wanted = [Wanted(where={"stage": "IV"}, factor=3)]
    bigger = with_copies(table, wanted, np.random.default_rng(7))
    assert not offsets(design_of(wanted, table, bigger), bigger).any()


def test_offsets_do_not_look_at_the_outcome_of_their_row(table):
    wanted = [Wanted(where=DEAD_SMOKERS, factor=3)]
    bigger = with_copies(table, wanted, np.random.default_rng(8))
    design = design_of(wanted, table, bigger)
    turned = bigger.with_columns((1 - pl.col(LABEL)).cast(pl.Int8).alias(LABEL))
    assert np.array_equal(offsets(design, bigger), offsets(design, turned))

"""Timelines as arrays and back, and a museum of tables that are none."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from wardgate.measures.lines import gaps, read, shape_of, steps, written
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

PLAN = Dictionary(
    features=(
        Feature(name="sex", type="category", values=("female", "male")),
        Feature(name="pulse", type="number", unit="/min", range=(0, 300)),
        Feature(name="ward", type="category", values=("general", "intensive")),
        Feature(name="score", type="integer", unit="1", range=(3, 15)),
        Feature(name="oxygen", type="boolean"),
    ),
    label="died",
    person="patient",
    time="hours",
    static=("sex",),
)

TABLE = pl.DataFrame(
    {
        "patient": [0, 0, 0, 1, 2, 2],
        "hours": [0.0, 1.5, 4.0, 2.0, 0.5, 7.0],
        "sex": ["male", "male", "male", "female", None, None],
        "pulse": [80.5, None, 91.0, None, 60.0, 61.0],
        "ward": ["general", "intensive", None, None, "general", "general"],
        "score": [15.0, 14.0, 13.0, None, None, 3.0],
        "oxygen": [0.0, 1.0, 1.0, None, None, 0.0],
        "label": pl.Series([1, 1, 1, 0, 0, 0], dtype=pl.Int8),
    }
)


def test_arrays_and_back_are_the_same_rows() -> None:
    lines = read(TABLE, PLAN)
    assert [one.name for one in lines.features] == ["pulse", "ward", "score", "oxygen"]
    assert lines.people.rows() == [("male", 1), ("female", 0), (None, 0)]
    assert lines.rows.tolist() == [3, 1, 2] and lines.first.tolist() == [0, 3, 4]
    assert_frame_equal(written(lines, PLAN), TABLE)


def test_the_order_of_rows_says_nothing() -> None:
    shuffled = TABLE.sample(fraction=1.0, shuffle=True, seed=3)
    assert_frame_equal(written(read(shuffled, PLAN), PLAN), TABLE)


def test_rows_at_one_time_become_one_and_the_first_value_counts() -> None:
    again = TABLE.filter(pl.col("hours") == 1.5).with_columns(pulse=pl.lit(70.0), score=pl.lit(3.0))
    found = written(read(pl.concat((TABLE, again)), PLAN), PLAN)
    assert found.height == TABLE.height
    assert found.filter(pl.col("hours") == 1.5).select("pulse", "score").rows() == [(70.0, 14.0)]


def test_gaps_and_steps_stay_within_a_person() -> None:
    lines = read(TABLE, PLAN)
    hours, whose = gaps(lines)
    assert hours.tolist() == [1.5, 2.5, 6.5] and whose.tolist() == [0, 0, 2]
    before, after = steps(lines, 0)
    assert before.tolist() == [0, 4] and after.tolist() == [2, 5]


def test_without_static_columns_nobody_looks_for_them() -> None:
    silent = PLAN.model_copy(update={"static": None})
    with pytest.raises(Invalid, match="static"):
        read(TABLE, silent)
    assert read(TABLE, silent, still=["sex"]).people.height == 3
    assert [one.name for one in shape_of(PLAN)[0]] == ["sex"]


def test_numbers_are_kept_within_their_range_and_integers_whole() -> None:
    lines = read(TABLE, PLAN)
    lines.values[:, 0] = np.nan_to_num(lines.values[:, 0]) + 1000
    lines.values[0, 2] = 7.6
    found = written(lines, PLAN)
    assert found["pulse"].max() == 300 and found["score"][0] == 8.0


def _with(name: str, values: object) -> pl.DataFrame:
    return TABLE.with_columns(pl.Series(name, values))


MUSEUM: dict[str, tuple[Callable[[], pl.DataFrame], str]] = {
    "no person": (lambda: TABLE.drop("patient"), "patient"),
    "no time": (lambda: TABLE.drop("hours"), "hours"),
    "no label": (lambda: TABLE.drop("label"), "label"),
    "no feature": (lambda: TABLE.drop("pulse"), "pulse"),
    "no rows": (lambda: TABLE.clear(), "no rows"),
    "a person is missing": (lambda: _with("patient", [0, 0, None, 1, 2, 2]), "patient"),
    "a time is missing": (lambda: _with("hours", [0.0, None, 4.0, 2.0, 0.5, 7.0]), "hours"),
    "a time is negative": (lambda: _with("hours", [-0.1, 1.5, 4.0, 2.0, 0.5, 7.0]), "negative"),
    "a time has no end": (lambda: _with("hours", [float("inf"), 1.5, 4.0, 2.0, 0.5, 7.0]), "hours"),
    "a static column changes": (lambda: _with("sex", ["male", "female", "male", "female", None, None]), "static"),
    "the label changes": (lambda: _with("label", [0, 1, 1, 0, 0, 0]), "label"),
    "a label is missing": (lambda: _with("label", [1, 1, 1, None, 0, 0]), "label"),
    "a label is 2": (lambda: _with("label", [2, 2, 2, 0, 0, 0]), "label"),
    "an unknown category": (lambda: _with("ward", ["CANARY", None, None, None, None, None]), "ward"),
    "half a yes": (lambda: _with("oxygen", [0.5, 1.0, 1.0, None, None, 0.0]), "oxygen"),
    "text for a number": (lambda: _with("pulse", ["CANARY", None, None, None, None, None]), "pulse"),
}


@pytest.mark.parametrize("name", MUSEUM)
def test_what_is_no_timeline_is_refused_without_quoting_it(name: str) -> None:
    make, word = MUSEUM[name]
    with pytest.raises(Invalid, match=word) as caught:
        read(make(), PLAN)
    assert "CANARY" not in str(caught.value)


def test_a_dictionary_of_one_row_a_person_is_no_dictionary_of_timelines() -> None:
    with pytest.raises(Invalid, match="timelines"):
        read(TABLE, PLAN.model_copy(update={"time": None}))
    with pytest.raises(Invalid, match="static"):
        read(TABLE, PLAN.model_copy(update={"static": tuple(one.name for one in PLAN.features)}))


def test_a_value_that_may_not_be_missing_is_missed() -> None:
    strict = tuple(one.model_copy(update={"missing": "refused"}) if one.name == "sex" else one for one in PLAN.features)
    with pytest.raises(Invalid, match="sex"):
        read(TABLE, PLAN.model_copy(update={"features": strict}))

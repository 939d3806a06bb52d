"""Rules on drawn timelines: no row is left that breaks one, and nobody is lost."""

import numpy as np
import polars as pl
import pytest

from wardgate.marginals.timelines.people import Shape
from wardgate.marginals.timelines.rules import kept_rules, of_people
from wardgate.measures.study_rules import rule_breakers
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule, Feature

BELOW = ClinicalRule(name="below", left="dbp", op="<", right="sbp")
ADULT = ClinicalRule(name="adult", left="age", op=">=", right="18")
NEVER = ClinicalRule(name="never", left="age", op=">", right="1000")

STATIC = (Feature(name="age", type="number", unit="a", range=(0, 120)),)
CHANGING = (
    Feature(name="sbp", type="number", unit="mm[Hg]", range=(0, 300), missing="refused"),
    Feature(name="dbp", type="number", unit="mm[Hg]", range=(0, 300)),
)


def plan(*rules: ClinicalRule) -> Dictionary:
    return Dictionary(features=(*STATIC, *CHANGING), person="who", time="hours", static=("age",), rules=rules)


def drawer(rng: np.random.Generator):
    def drawn(count: int) -> pl.DataFrame:
        whose = np.repeat(np.arange(count), 3)
        return pl.DataFrame(
            {
                "who": whose,
                "hours": np.tile([0.0, 1.0, 2.0], count),
                "age": rng.uniform(10, 80, count)[whose],
                "sbp": rng.normal(120, 20, 3 * count),
                "dbp": rng.normal(100, 20, 3 * count),
            }
        )

    return drawn


def test_a_row_that_breaks_a_rule_loses_the_value_that_may_be_missing() -> None:
    rng = np.random.default_rng(0)
    found = kept_rules(drawer(rng), 200, plan(BELOW), changing=CHANGING, rng=rng)
    assert not rule_breakers((BELOW,), (*STATIC, *CHANGING), found).any()
    assert found.height == 600 and found["sbp"].null_count() == 0 and 20 < found["dbp"].null_count() < 300


def test_persons_who_break_a_rule_for_good_are_drawn_again() -> None:
    rng = np.random.default_rng(0)
    found = kept_rules(drawer(rng), 200, plan(ADULT), changing=CHANGING, rng=rng)
    assert found["who"].unique().sort().to_list() == list(range(200))
    assert float(found["age"].min()) >= 18


def test_rules_that_nobody_keeps_are_told() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(Invalid, match="contradict"):
        kept_rules(drawer(rng), 20, plan(NEVER), changing=CHANGING, rng=rng)


def test_rules_of_static_columns_are_known_from_others() -> None:
    shape = Shape(statics=STATIC, features=CHANGING, most_rows=10, window_hours=10)
    assert of_people(plan(BELOW, ADULT), shape) == (ADULT,)

"""Who is in a table, and how well its model serves them; nothing that few persons would give away."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_persons import FEATURES, persons
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.logistic import fit, linear
from wardgate.measures.representation import (
    EVERYBODY,
    gap,
    representation,
    service,
    standardised_difference,
    visible,
)
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Subgroup

DICTIONARY = Dictionary(
    features=FEATURES,
    label="label",
    subgroups=(Subgroup(feature="sex"), Subgroup(feature="stage"), Subgroup(feature="age", cuts=(50, 70))),
)


@pytest.fixture(scope="module")
def real() -> pl.DataFrame:
    return persons(3_000, seed=1)


def by_name(found):
    return {one.name: one for one in found}


def test_a_fresh_sample_differs_from_nobody(real):
    for one in representation(DICTIONARY, persons(20_000, seed=2), real, level=0.9999999):
        assert one.difference.low <= 0.03 and one.difference.high >= -0.03


def test_a_group_that_is_left_out_stands_out(real):
    table = persons(5_000, seed=3).filter(pl.col("sex") == "M")
    found = by_name(representation(DICTIONARY, table, real))["sex=F"]
    assert found.share == 0
    assert np.isnan(found.prevalence)
    assert found.difference.high < -0.9


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    hits = 0
    for seed in range(100):
        one = by_name(representation(DICTIONARY, persons(50, seed=1), persons(300, seed=100 + seed)))["sex=F"]
        hits += one.real_share.low <= 0.5 <= one.real_share.high
    assert hits >= 86  # of 100; exact intervals hold at least 95 %, so fewer have a chance of 2e-4; the seeds are fixed


def test_numbers_of_persons_are_told_to_fifties(real):
    for one in representation(DICTIONARY, real, real):
        assert one.real_share.n[0] % 50 == 0


def small(stages: dict[str, tuple[int, int]]) -> pl.DataFrame:
    """Persons with (non-events, events) of each stage."""
    rows = [(stage, y) for stage, counts in stages.items() for y in (0, 1) for _ in range(counts[y])]
    base = persons(len(rows), seed=4)
    return base.with_columns(
        pl.Series("stage", [stage for stage, _ in rows]), pl.Series("label", [y for _, y in rows], dtype=pl.Int8)
    )


def test_a_small_group_is_hidden_and_so_is_what_would_give_it_away():
    real = small({"I": (200, 100), "II": (100, 50), "III": (60, 40), "IV": (5, 3)})
    only = DICTIONARY.model_copy(update={"subgroups": (Subgroup(feature="stage"),)})
    found = by_name(representation(only, real, real))
    assert found["stage=IV"].real_share is None
    assert found["stage=IV"].difference is None
    hidden = [name for name, one in found.items() if one.real_share is None]
    assert len(hidden) >= 2, "one hidden group alone is everybody less the others"


def test_without_complementary_hiding_the_small_group_is_found():
    """The broken twin: hide below 11 alone, and subtract."""
    counts = {"I": 300, "II": 150, "III": 100, "IV": 8}
    shown = {name: count for name, count in counts.items() if count >= 11}
    assert sum(counts.values()) - sum(shown.values()) == counts["IV"]


def test_few_events_hide_the_prevalence_but_not_the_share():
    real = small({"I": (200, 100), "II": (100, 50), "III": (90, 4), "IV": (90, 6)})
    only = DICTIONARY.model_copy(update={"subgroups": (Subgroup(feature="stage"),)})
    found = by_name(representation(only, real, real))["stage=III"]
    assert found.real_share is not None
    assert found.real_prevalence is None


def test_those_in_no_group_count_as_a_group_when_hiding():
    real = small({"I": (200, 100), "II": (100, 50), "III": (60, 40), "IV": (50, 50)})
    none = real.with_row_index().with_columns(pl.when(pl.col("index") < 3).then(None).otherwise("stage").alias("stage"))
    only = DICTIONARY.model_copy(update={"subgroups": (Subgroup(feature="stage"),)})
    event = labels(none) == 1
    assert sum(not counted for counted, _ in visible(only, none.drop("index"), event).values()) >= 1


def test_service_is_that_of_the_groups_own_persons(real):
    x = design_matrix(FEATURES, real)
    beta = fit(x, labels(real), ridge=1.0)
    test = persons(4_000, seed=5)
    logits = linear(design_matrix(FEATURES, test), beta)
    found = by_name(service(DICTIONARY, test, logits, thresholds=(0.2, 0.4)))
    assert found[EVERYBODY].auroc.value > 0.7
    assert found["sex=F"].oe.low < 1.05 and found["sex=F"].oe.high > 0.95
    assert len(found["age>=70"].net_benefit) == 2
    assert 0 <= gap(found.values()) < 0.2


def test_a_model_that_fails_one_group_shows_it(real):
    logits = linear(design_matrix(FEATURES, real), fit(design_matrix(FEATURES, real), labels(real), ridge=1.0))
    women = (real["sex"] == "F").to_numpy()
    found = by_name(service(DICTIONARY, real, np.where(women, 0.0, logits), thresholds=(0.2,)))
    assert found["sex=F"].auroc.value == 0.5
    assert gap(found.values()) > 0.1


def test_groups_with_few_events_get_no_figures():
    real = small({"I": (200, 100), "II": (100, 50), "III": (90, 4), "IV": (90, 60)})
    only = DICTIONARY.model_copy(update={"subgroups": (Subgroup(feature="stage"),)})
    found = by_name(service(only, real, np.zeros(real.height), thresholds=(0.2,)))
    assert not found["stage=III"].shown
    assert found[EVERYBODY].shown
    few = real.filter(pl.col("label") == 0)
    assert not any(one.shown for one in service(only, few, np.zeros(few.height), thresholds=(0.2,)))


def test_standardised_differences():
    assert standardised_difference(0.5, 0.5) == 0
    assert standardised_difference(0.6, 0.5) == pytest.approx(0.1 / np.sqrt((0.24 + 0.25) / 2))
    assert standardised_difference(1.0, 0.0) == np.inf
    assert standardised_difference(0.0, 0.0) == 0


def test_tables_that_do_not_fit_are_refused(real):
    with pytest.raises(Invalid, match="expected rows"):
        representation(DICTIONARY, real.clear(), real)
    with pytest.raises(Invalid, match="no label"):
        representation(DICTIONARY, real.drop("label"), real)
    with pytest.raises(Invalid, match="one logit"):
        service(DICTIONARY, real, np.zeros(3), thresholds=(0.2,))

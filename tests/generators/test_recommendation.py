from typing import Any

import pytest

from wardgate.hospital.ward.generators import GENERATORS, recommendation, timelines
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature


def test_a_hopeless_demand_is_named_and_sent_to_the_joint_corpus() -> None:
    assert recommendation(400, 1.0).level == "hopeless"
    assert "federation" in recommendation(400, 1.0).words
    assert recommendation(1_000, 1.0).level == "weak"
    assert "joint corpus" in recommendation(1_000, 1.0).words
    assert recommendation(20_000, 1.0).words.startswith("Good")


def test_many_columns_need_more_persons() -> None:
    assert recommendation(3_000, 1.0).level == "good"
    assert recommendation(3_000, 1.0, columns=40).level == "weak"
    assert recommendation(1_000, 1.0, columns=100).level == "hopeless"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "marginal-tree"),
        ({"label": False}, "adaptive-marginals"),
        ({"label": False, "columns": 100}, "spanning-tree"),
        ({"private": False}, "autoregressive"),
        ({"timelines": True}, "private-timelines"),
        ({"timelines": True, "private": False}, "autoregressive-timelines"),
    ],
)
def test_the_generator_follows_from_the_need(given: Any, name: str) -> None:
    found = recommendation(10_000, 1.0, **given)
    assert found.generator == name
    assert name in found.words
    assert name in {**GENERATORS, **timelines.GENERATORS}


def test_a_dictionary_says_what_is_not_told() -> None:
    features = (Feature(name="a", type="boolean"), Feature(name="b", type="boolean"))
    dictionary = Dictionary(schema="wardgate/dictionary/1", features=features)
    assert recommendation(10_000, 1.0, dictionary=dictionary).generator == "adaptive-marginals"
    assert "2 columns" in recommendation(10_000, 1.0, dictionary=dictionary).words
    long = Dictionary(schema="wardgate/dictionary/1", features=features, person="p", time="t")
    assert recommendation(10_000, 1.0, dictionary=long).generator == "private-timelines"


def test_few_persons_and_no_demand_is_still_a_risk() -> None:
    found = recommendation(300, private=False)
    assert found.level == "weak"
    assert "gate" in found.words


def test_numbers_that_are_none_are_refused() -> None:
    for persons, epsilon, columns in (
        (0, 1.0, 5),
        (100, 0.0, 5),
        (100, float("inf"), 5),
        (100, float("nan"), 5),
        (9, 1, 0),
    ):
        with pytest.raises(Invalid):
            recommendation(persons, epsilon, columns=columns)

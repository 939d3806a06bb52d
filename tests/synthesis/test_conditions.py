"""Conditions as people write them."""

import pytest

from wardgate.hospital.ward.answering.synthesis.conditions import where_of
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

DICTIONARY = Dictionary(
    features=(
        Feature(name="age", type="integer", unit="a", range=(18, 100)),
        Feature(name="sex", type="category", values=("F", "M")),
    ),
    label="died",
)


def test_each_kind_of_condition_is_understood():
    found = where_of(["age=60..80", "sex=F", "died=1"], DICTIONARY)
    assert found == {"age": (60.0, 80.0), "sex": "F", "label": 1.0}
    assert where_of(["age=missing", "sex=missing"], DICTIONARY) == {"age": None, "sex": None}
    assert where_of([], DICTIONARY) == {}


@pytest.mark.parametrize(
    "text", ["age", "age=", "=5", "height=3", "sex=X", "age=old", "age=60..", "died=yes"], ids=lambda text: text
)
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(Invalid):
        where_of([text], DICTIONARY)


def test_one_column_has_one_condition():
    with pytest.raises(Invalid, match="two conditions"):
        where_of(["died=1", "label=0"], DICTIONARY)

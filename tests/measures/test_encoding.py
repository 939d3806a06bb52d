"""The design: the same columns everywhere, entries within [-1, 1], and nothing unknown let in."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardgate.measures.encoding import design_columns, design_matrix, labels, scaled
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

FEATURES = (
    Feature(name="age", type="integer", unit="a", range=(20, 100), missing="refused"),
    Feature(name="lactate", type="number", unit="mmol/L", range=(0, 10)),
    Feature(name="sex", type="category", values=("female", "male", "other"), missing="refused"),
    Feature(name="ward", type="category", values=("a", "b")),
    Feature(name="frail", type="boolean"),
)
NAMES = [
    "intercept",
    "age",
    "lactate",
    "lactate=missing",
    "sex=male",
    "sex=other",
    "ward=b",
    "ward=missing",
    "frail",
    "frail=missing",
]

rows = st.fixed_dictionaries(
    {
        "age": st.floats(-1e9, 1e9),
        "lactate": st.none() | st.floats(),
        "sex": st.sampled_from(["female", "male", "other"]),
        "ward": st.none() | st.sampled_from(["a", "b"]),
        "frail": st.none() | st.sampled_from([0.0, 1.0]),
    }
)
SCHEMA = {"age": pl.Float64, "lactate": pl.Float64, "sex": pl.String, "ward": pl.String, "frail": pl.Float64}


def table(*found: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(found), schema=SCHEMA)


def test_columns_stand_in_the_studys_order() -> None:
    assert [column.name for column in design_columns(FEATURES)] == NAMES
    kinds = {column.name: (column.category, column.missing) for column in design_columns(FEATURES)}
    assert kinds["sex=male"] == ("male", False)
    assert kinds["lactate=missing"] == (None, True)


def test_a_known_table_gives_known_numbers() -> None:
    found = design_matrix(
        FEATURES,
        table(
            {"age": 20.0, "lactate": 10.0, "sex": "female", "ward": "a", "frail": 0.0},
            {"age": 80.0, "lactate": None, "sex": "other", "ward": None, "frail": 1.0},
            {"age": 500.0, "lactate": 2.5, "sex": "male", "ward": "b", "frail": None},
        ),
    )
    assert found.tolist() == [
        [1, -1, 1, 0, 0, 0, 0, 0, 0, 0],
        [1, 0.5, 0, 1, 0, 1, 0, 1, 1, 0],
        [1, 1, -0.5, 0, 1, 0, 1, 0, 0, 1],
    ]


@given(st.lists(rows, max_size=6))
def test_every_entry_is_within_one_whatever_the_table_holds(found: list[dict[str, object]]) -> None:
    matrix = design_matrix(FEATURES, table(*found))
    assert matrix.shape == (len(found), len(NAMES))
    assert np.all(np.isfinite(matrix))
    assert np.all(np.abs(matrix) <= 1)
    assert np.all(matrix[:, 0] == 1)


@given(st.lists(rows, min_size=1, max_size=6))
def test_a_persons_row_does_not_depend_on_the_others(found: list[dict[str, object]]) -> None:
    whole = design_matrix(FEATURES, table(*found))
    for place, one in enumerate(found):
        assert design_matrix(FEATURES, table(one))[0].tolist() == whole[place].tolist()


def test_infinities_count_as_missing_and_not_as_the_edge_of_the_range() -> None:
    found = design_matrix(
        FEATURES, table({"age": 40.0, "lactate": float("nan"), "sex": "male", "ward": "a", "frail": 0.0})
    )
    assert found[0, NAMES.index("lactate")] == 0
    assert found[0, NAMES.index("lactate=missing")] == 1


def test_the_order_of_columns_in_the_table_does_not_matter() -> None:
    one = table({"age": 33.0, "lactate": 3.0, "sex": "male", "ward": "b", "frail": 1.0})
    turned = one.select(reversed(one.columns)).with_columns(extra=pl.lit("unused"))
    assert design_matrix(FEATURES, turned).tolist() == design_matrix(FEATURES, one).tolist()


def test_a_missing_column_or_an_unknown_category_is_refused_and_not_quoted() -> None:
    whole = table({"age": 33.0, "lactate": 3.0, "sex": "male", "ward": "b", "frail": 1.0})
    with pytest.raises(Invalid, match="column 'lactate' is missing"):
        design_matrix(FEATURES, whole.drop("lactate"))
    for unknown in ("CANARY", "Male", " male", ""):
        with pytest.raises(Invalid, match="'sex' holds a category") as refused:
            design_matrix(FEATURES, whole.with_columns(sex=pl.lit(unknown)))
        assert "CANARY" not in str(refused.value)


def test_a_number_without_a_range_cannot_be_scaled() -> None:
    with pytest.raises(Invalid, match="no range"):
        scaled(Feature(name="sex", type="category", values=("f", "m")), pl.Series([1.0]))


def test_labels_are_nought_or_one_in_every_row() -> None:
    assert labels(pl.DataFrame({"label": [0, 1, 1]})).tolist() == [0, 1, 1]
    for bad in ([0, None], [0, 2], [-1, 1], [0.5, 1.0], [float("nan"), 1.0]):
        with pytest.raises(Invalid, match="must be 0 or 1"):
            labels(pl.DataFrame({"label": bad}))
    with pytest.raises(Invalid, match="no label"):
        labels(pl.DataFrame({"age": [1.0]}))


def test_a_column_of_another_type_is_refused_and_not_quoted() -> None:
    """A corpus that a stranger sends may hold anything; polars would quote it."""
    whole = table({"age": 33.0, "lactate": 3.0, "sex": "male", "ward": "b", "frail": 1.0})
    for name, column in {
        "age": pl.Series(["CANARY"]),
        "lactate": pl.Series([{"CANARY": 1}]),
        "sex": pl.Series([b"\xffCANARY"]),
        "frail": pl.Series([[1.0]]),
    }.items():
        with pytest.raises(Invalid, match=f"'{name}'") as refused:
            design_matrix(FEATURES, whole.with_columns(column.alias(name)))
        assert "CANARY" not in str(refused.value)
        assert refused.value.__context__ is None
    with pytest.raises(Invalid, match="'label'"):
        labels(pl.DataFrame({"label": ["yes", "no"]}))
    assert labels(pl.DataFrame({"label": [True, False]})).tolist() == [1, 0]

"""How tables become indicators and places: what comes back, and what of single persons stays out."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_persons import FEATURES, persons
from wardgate.networks.gan.layout import fitted_layout, public_layout
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature


@pytest.fixture(scope="module")
def table():
    return persons(3_000, seed=3)


def fitted(table, features=FEATURES, **settings):
    chosen = {"modes": 12, "persons_per_mode": 20, "min_persons": 11, **settings}
    return fitted_layout(features, table, **chosen)


def back(layout, table):
    return layout.decode(layout.encode(table), rng=np.random.default_rng(0))


def test_a_table_comes_back_as_it_went_in(table):
    found = back(fitted(table), table)
    assert found["age"].clip(30, 95).equals(table["age"].clip(30, 95))
    for name in ("sex", "stage", "smoker", "cough", "label"):
        assert found[name].equals(table[name], null_equal=True)
    inside = table.filter(pl.col("glucose").is_between(3, 12))
    known = found.filter(table["glucose"].is_between(3, 12))
    assert (known["glucose"] - inside["glucose"]).abs().max() < 1e-4
    assert found["glucose"].is_null().equals(table["glucose"].is_null())


def test_rows_are_indicators_places_and_ranks_that_rise_with_the_value(table):
    layout = fitted(table)
    matrix = layout.matrix(layout.encode(table))
    assert matrix.shape == (table.height, layout.width)
    for start, size in zip(layout.starts, layout.sizes, strict=True):
        assert (matrix[:, start : start + size].sum(axis=1) == 1).all()
    rank = matrix[:, layout.indicators + layout.places]
    order = np.argsort(table["age"].to_numpy(), kind="stable")
    assert (np.diff(rank[order]) >= -1e-6).all()
    assert np.abs(matrix).max() <= 1


def test_a_mode_holds_the_persons_that_it_needs(table):
    layout = fitted(table, persons_per_mode=50)
    codes = layout.encode(table).codes
    for at in layout.numbers:
        counts = np.bincount(codes[:, at], minlength=layout.sizes[at])[: layout.domain.columns[at].present]
        assert counts.min() >= 50


def test_no_limit_of_a_mode_is_the_value_of_one_person(table):
    odd = table.with_columns(
        pl.when(pl.int_range(table.height) == 7).then(29.777).otherwise("glucose").alias("glucose")
    )
    layout = fitted(odd)
    edges = layout.domain.columns[1].edges
    assert not set(edges) & set(odd["glucose"].drop_nulls())
    assert back(layout, odd)["glucose"].max() < 25


def test_a_value_that_many_share_comes_back_exactly(table):
    many = table.with_columns(
        pl.when(pl.int_range(table.height) % 3 == 0).then(4.4).otherwise("glucose").alias("glucose")
    )
    found = back(fitted(many), many)
    assert (found["glucose"] == 4.4).sum() >= 1_000


def test_numbers_keep_the_step_in_which_they_are_written(table):
    rounded = table.with_columns(pl.col("glucose").round(1))
    found = back(fitted(rounded), rounded)["glucose"].drop_nulls()
    assert ((found * 10 - (found * 10).round()).abs() < 1e-6).all()


def test_a_rare_category_is_never_kept_and_is_replaced(table):
    rare = table.with_columns(
        pl.when(pl.int_range(table.height) < 4)
        .then(pl.lit("IV"))
        .otherwise(pl.when(pl.col("stage") == "IV").then(pl.lit("I")).otherwise("stage"))
        .alias("stage")
    )
    layout = fitted(rare)
    cell = FEATURES[3].values.index("IV")
    assert not layout.kept[3][cell]
    common = layout.common(layout.encode(rare), rng=np.random.default_rng(0))
    assert (common.codes[:, 3] != cell).all()


def test_all_missing_and_constant_columns_have_one_cell_that_is_drawn(table):
    odd = table.with_columns(pl.lit(None, dtype=pl.Float64).alias("glucose"), pl.lit(50.0).alias("age"))
    layout = fitted(odd)
    assert sum(layout.kept[0]) == sum(layout.kept[1]) == 1
    found = back(layout, odd)
    assert found["glucose"].null_count() == odd.height
    assert (found["age"] == 50).all()


def test_a_public_layout_knows_nobody_and_takes_modes_from_elsewhere(table):
    layout = public_layout(FEATURES, {"glucose": [0, 4, 6, 8, 30]})
    assert layout.domain.columns[1].edges == (0, 4, 6, 8, 30)
    assert layout.places == 0
    found = back(layout, table)
    assert found["glucose"].is_null().equals(table["glucose"].is_null())
    assert (found["age"] - table["age"]).abs().max() <= 11


@pytest.mark.parametrize("edges", [{"sex": [0, 1]}, {"glucose": [5]}, {"glucose": [5, 5]}, {"nobody": [0, 1]}])
def test_modes_that_make_no_sense_are_refused(edges):
    with pytest.raises(Invalid, match="modes"):
        public_layout(FEATURES, edges)


@pytest.mark.parametrize("settings", [{"modes": 0}, {"persons_per_mode": 0}, {"min_persons": 0}])
def test_settings_below_one_are_refused(table, settings):
    with pytest.raises(Invalid, match="at least one"):
        fitted(table, **settings)


def test_a_table_that_does_not_fit_is_refused(table):
    with pytest.raises(Invalid, match="missing"):
        fitted(table.drop("age"))
    with pytest.raises(Invalid, match="category"):
        fitted(table.with_columns(pl.lit("X").alias("sex")))


def test_an_integer_whose_range_ends_at_its_values_stays_inside():
    feature = Feature(name="score", type="integer", unit="1", range=(0, 5), missing="refused")
    table = pl.DataFrame({"score": np.arange(600) % 6 * 1.0, "label": (np.arange(600) % 2).astype(np.int8)})
    layout = fitted(table, (feature,), modes=3)
    assert back(layout, table)["score"].equals(table["score"])

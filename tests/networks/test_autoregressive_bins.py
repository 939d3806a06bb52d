"""Codes of columns: how values become bins and come back, and that few persons' values do not."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as some

from wardgate.networks.tables.bins import basis, columns_of, decode, encode, restricted
from wardgate.networks.tables.conditions import conditions
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

NUMBER = Feature(name="x", type="number", unit="1", range=(-100, 1_000))
INTEGER = Feature(name="x", type="integer", unit="1", range=(-100, 1_000))


def laid(feature, values, **changes):
    sizes = {"bins": 20, "min_persons": 11, "most_levels": 50} | changes
    return columns_of((feature,), pl.DataFrame({"x": values}), **sizes)[0]


def back(column, table_values, *, seed=0):
    codes = encode((column,), pl.DataFrame({"x": table_values}))[:, 0]
    return decode(column, codes, rng=np.random.default_rng(seed)).to_numpy()


@given(seed=some.integers(0, 10_000), decimals=some.sampled_from((0, 1, 3, None)), size=some.integers(11, 400))
def test_every_bin_and_every_piece_has_enough_persons(seed, decimals, size):
    rng = np.random.default_rng(seed)
    values = rng.gamma(2, 20, size) * rng.choice([1, 1, 0], size)
    values = values if decimals is None else np.round(values, decimals)
    column = laid(NUMBER, values)
    assert (column.weight >= 11).all()
    codes = encode((column,), pl.DataFrame({"x": values}))[:, 0]
    assert np.bincount(codes[codes >= 0], minlength=column.codes) == pytest.approx(column.weight)
    pieces = column.pieces
    assert (np.diff(pieces.low) > 0).all()
    assert (pieces.high >= pieces.low).all()
    value, held = np.unique(pieces.scaled(values), return_counts=True)
    owners = dict(zip(value, held, strict=True))
    assert all(owners[low] >= 11 for low in pieces.low[pieces.alone])


def test_values_of_one_person_do_not_come_back_and_shared_ones_do():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(50, 10, 1_000), np.zeros(300)])
    drawn = back(laid(NUMBER, values), values)
    assert (drawn == 0).sum() == 300
    assert not np.isin(drawn[drawn != 0], values).any()


def test_the_largest_value_is_no_limit_of_what_is_drawn():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(50, 10, 1_000), [900.0]])
    column = laid(NUMBER, values)
    assert column.pieces.high[-1] != 900
    assert back(column, np.repeat(values, 20)).mean() == pytest.approx(values.mean(), abs=0.3)


def test_rounded_numbers_stay_rounded_and_favourite_digits_stay_favourites():
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(140, 20, 3_000))
    values = np.where(rng.random(3_000) < 0.5, np.round(values, -1), values)
    drawn = back(laid(NUMBER, values), values)
    assert (drawn == np.round(drawn)).all()
    assert (drawn % 10 == 0).mean() == pytest.approx((values % 10 == 0).mean(), abs=0.03)
    tenths = back(laid(NUMBER, values / 10), values / 10)
    assert tenths == pytest.approx(np.round(tenths, 1))


def test_a_bin_comes_back_as_values_of_that_bin():
    values = np.random.default_rng(0).integers(0, 90, 3_000).astype(float)
    column = laid(INTEGER, values)
    again = encode((column,), pl.DataFrame({"x": back(column, values)}))[:, 0]
    assert (again == encode((column,), pl.DataFrame({"x": values}))[:, 0]).all()


@pytest.mark.parametrize(("low", "high"), [(20, 30), (20.5, 29.5), (0, 0), (33, 33), (-100, 1_000)])
def test_a_range_cuts_bins_and_values_alike(low, high):
    rng = np.random.default_rng(0)
    values = np.concatenate([np.round(rng.normal(30, 8, 2_000)).clip(1), np.zeros(200)])
    column = laid(INTEGER, values)
    cut, left = restricted(column, low, high)
    inside = float((left * column.weight).sum()) / len(values)
    assert inside == pytest.approx(((values >= low) & (values <= high)).mean(), abs=0.02)
    codes = np.repeat(np.flatnonzero(left), 50).astype(np.int32)
    drawn = decode(cut, codes, rng=rng).to_numpy()
    assert ((drawn >= low) & (drawn <= high)).all()


def test_neighbouring_bins_look_alike_to_the_network_and_missing_like_none():
    values = pl.Series(np.random.default_rng(0).normal(50, 10, 2_000)).set(pl.Series(np.arange(2_000) < 200), None)
    column = laid(NUMBER, values)
    found = basis(column, 5)
    assert column.missing
    assert found.shape == (column.codes, 6)
    assert found[-1].tolist() == [0, 0, 0, 0, 0, 1]
    steps = np.abs(np.diff(found[:-1, 0]))
    assert steps.max() < 0.4


def test_values_below_the_floor_have_no_code():
    values = ["a"] * 50 + ["b"] * 50 + ["c"] * 5 + [None] * 5
    column = laid(Feature(name="x", type="category", values=tuple("abcd")), values)
    assert column.values == (("a",), ("b",))
    assert not column.missing
    assert encode((column,), pl.DataFrame({"x": values}))[100:, 0].tolist() == [-1] * 10
    with pytest.raises(Invalid, match="too few"):
        conditions((column,), {"x": "c"})


def test_a_condition_on_a_merged_category_gives_that_category():
    values = ["a"] * 90 + ["b"] * 6 + ["c"] * 6
    column = laid(Feature(name="x", type="category", values=tuple("abcd")), values)
    assert column.values == (("a",), ("b", "c", "d"))
    met = conditions((column,), {"x": "c"})
    assert met.given == {0: 1}
    drawn = decode(met.columns[0], np.ones(20, dtype=np.int32), rng=np.random.default_rng(0))
    assert set(drawn) == {"c"}


MUSEUM = {
    "text in a number": (NUMBER, ["CANARY"], "expected numbers"),
    "an unknown category": (Feature(name="x", type="category", values=("a", "b")), ["CANARY"], "does not name"),
    "a number in a category": (Feature(name="x", type="category", values=("a", "b")), [1.5], "does not name"),
    "a boolean of three values": (Feature(name="x", type="boolean"), [0.0, 1.0, 2.0], "expected 0, 1 or missing"),
    "missing where none may be": (
        Feature(name="x", type="boolean", missing="refused"),
        [0.0, None],
        "refuses persons without it",
    ),
}


@pytest.mark.parametrize("broken", MUSEUM)
def test_broken_columns_are_refused_without_quoting_them(broken):
    feature, values, words = MUSEUM[broken]
    with pytest.raises(Invalid, match=words) as found:
        laid(feature, values * 50)
    assert "CANARY" not in str(found.value)

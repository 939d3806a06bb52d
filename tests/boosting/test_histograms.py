"""Public bins and what persons add to them, against counting by hand."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardgate.measures.histograms import Bins, every_feature, fine_edges, histogram, merged, unpacked
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.feature import Feature
from wardgate.records.study import Study

Make = Callable[..., pl.DataFrame]


def bins_of(study: Study, most: int = 8) -> Bins:
    return every_feature(study.features, fine_edges(study.features, most=most))


def test_a_value_falls_into_the_bin_of_the_edges_below_it(study: Study, make_persons: Make) -> None:
    bins, table = bins_of(study), make_persons(200)
    codes = bins.codes(table)
    for place, (feature, edges) in enumerate(zip(bins.features, bins.edges, strict=True)):
        for person, value in enumerate(table[feature.name].to_list()):
            if value is None:
                expected = int(bins.sizes[place]) - 1
            elif feature.type == "category":
                expected = (feature.values or ()).index(value)
            else:
                expected = sum(edge < value for edge in edges)
            assert codes[person, place] == expected


def test_a_histogram_is_counting_by_hand_and_comes_back_whole(study: Study, make_persons: Make) -> None:
    bins, table, rng = bins_of(study), make_persons(150), np.random.default_rng(3)
    codes, slots = bins.codes(table), rng.integers(-1, 3, 150)
    statistics = [rng.normal(size=150), rng.random(150)]
    vector = histogram(bins, codes, slots, 3, statistics)
    assert vector.shape == (2 * 3 * bins.width,)
    whole = unpacked(bins, vector, 3)
    assert whole.shape == (2, 3, bins.total)
    for k, statistic in enumerate(statistics):
        for node in range(3):
            for place, start in enumerate(bins.starts):
                for code in range(int(bins.sizes[place])):
                    expected = statistic[(slots == node) & (codes[:, place] == code)].sum()
                    assert whole[k, node, start + code] == pytest.approx(expected, abs=1e-12)


def test_nobody_adds_nothing(study: Study, make_persons: Make) -> None:
    bins = bins_of(study)
    codes = bins.codes(make_persons(5).head(0))
    assert codes.shape == (0, 5)
    empty = np.zeros(0)
    assert not histogram(bins, codes, np.zeros(0, dtype=np.int64), 2, [empty, empty]).any()


def test_flat_edges_come_back_as_the_same_bins(study: Study) -> None:
    bins = bins_of(study)
    counts, edges = bins.flat(study.features)
    again = Bins.from_flat(study.features, counts, edges)
    assert again.features == bins.features
    assert all(np.array_equal(a, b) for a, b in zip(again.edges, bins.edges, strict=True))
    left_out = Bins(features=bins.features[1:3], edges=bins.edges[1:3])
    counts, edges = left_out.flat(study.features)
    assert counts == (-1, 7, 0, -1, -1)
    assert Bins.from_flat(study.features, counts, edges).features == left_out.features


@given(st.lists(st.integers(0, 50), min_size=101, max_size=101), st.integers(2, 12))
@settings(max_examples=50)
def test_merged_bins_are_unions_of_about_equal_mass(mass: list[int], most: int) -> None:
    feature = Feature(name="x", type="number", unit="1", range=(0, 100), missing="refused")
    fine = Bins(features=(feature,), edges=(np.arange(100) + 0.5,))
    masses = np.array(mass, dtype=float)
    if np.count_nonzero(masses) < 2:
        with pytest.raises(Invalid, match="constant"):
            merged(fine, masses, most=most, least=0.5)
        return
    edges = merged(fine, masses, most=most, least=0.5).edges[0]
    assert 1 <= len(edges) < most and np.isin(edges, fine.edges[0]).all()
    parts = np.add.reduceat(masses, np.concatenate([[0], np.searchsorted(fine.edges[0], edges) + 1]))
    assert parts.min() > 0, "no empty bins"
    assert parts.max() <= masses.sum() / most + 2 * masses.max() + 1e-9


def test_a_constant_feature_is_left_out(study: Study, make_persons: Make) -> None:
    table = make_persons(100).with_columns(pl.lit(50.0).alias("age"), pl.lit("male").alias("sex"))
    bins = bins_of(study, most=64)
    mass = unpacked(bins, histogram(bins, bins.codes(table), np.zeros(100, dtype=np.int64), 1, [np.ones(100)]), 1)[0, 0]
    assert [feature.name for feature in merged(bins, mass, most=16, least=0.5).features] == ["marker", "ward", "frail"]


def test_a_column_missing_everywhere_has_nothing_to_split(study: Study, make_persons: Make) -> None:
    table = make_persons(100).with_columns(pl.lit(None, dtype=pl.Float64).alias("marker"))
    bins = bins_of(study, most=64)
    mass = unpacked(bins, histogram(bins, bins.codes(table), np.zeros(100, dtype=np.int64), 1, [np.ones(100)]), 1)[0, 0]
    assert "marker" not in [feature.name for feature in merged(bins, mass, most=16, least=0.5).features]


def test_bins_that_cannot_be_are_refused(study: Study) -> None:
    age, _, ward, frail, _ = study.features
    for features, edges, message in (
        ((age,), (np.array([3.0, 2.0]),), "rising"),
        ((age,), (np.array([np.nan]),), "rising"),
        ((age,), (np.zeros(0),), "one bin"),
        ((ward,), (np.array([1.0]),), "category"),
        ((), (), "no feature"),
        ((age,), (np.arange(256.0),), "256"),
    ):
        with pytest.raises(Invalid, match=message):
            Bins(features=features, edges=edges)
    many = Feature(name="many", type="category", values=tuple(f"v{place}" for place in range(60)))
    with pytest.raises(Unsupported, match="51"):
        Bins(features=(many,), edges=(np.zeros(0),))
    assert len(Bins(features=(frail,), edges=(np.zeros(0),)).sizes) == 1, "missing against known is a split"
    for counts, edges in (((1, 2), np.zeros(3)), ((1, 0, 0, 0, 0), np.zeros(2)), ((-2, 0, 0, 0, 0), np.zeros(0))):
        with pytest.raises(Invalid):
            Bins.from_flat(study.features, counts, edges)


def test_values_that_the_study_does_not_allow_are_refused_without_being_quoted(
    study: Study, make_persons: Make
) -> None:
    bins, table = bins_of(study), make_persons(3)
    for column, message in (
        (pl.Series("ward", ["a", "CANARY", "b"]), "category"),
        (pl.Series("age", ["CANARY", "1", "2"]), "cannot be read"),
        (pl.Series("age", [None, 50.0, 60.0]), "misses a value"),
        (pl.Series("age", [float("nan"), 50.0, 60.0]), "misses a value"),
    ):
        with pytest.raises(Invalid, match=message) as caught:
            bins.codes(table.with_columns(column))
        assert "CANARY" not in str(caught.value)
    with pytest.raises(Invalid, match="'age' is missing"):
        bins.codes(table.drop("age"))

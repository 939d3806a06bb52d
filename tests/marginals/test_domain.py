import numpy as np
import polars as pl
import pytest

from wardgate.marginals.domain import decode, domain_of, encode
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature


def test_every_value_comes_back_from_its_own_cell(study, table):
    domain = domain_of(study.features)
    codes = encode(domain, table)
    rng = np.random.default_rng(0)
    for position, column in enumerate(domain.columns[:-1]):
        found = decode(column, codes[:, position], rng=rng, low=-np.inf, high=np.inf)
        assert found.is_null().equals(table[column.name].is_null()), column.name
        if column.kind == "nominal":
            assert found.equals(table[column.name].cast(found.dtype)), column.name
        else:
            again = encode(domain, table.with_columns(found))
            assert np.array_equal(again[:, position], codes[:, position]), column.name


def test_integers_have_cells_of_whole_numbers_that_cover_the_range():
    (column, _) = domain_of((Feature(name="age", type="integer", unit="a", range=(17.5, 99)),), cells=32).columns
    assert column.edges[0] == 18
    assert column.edges[-1] == 100
    assert all(edge == int(edge) for edge in column.edges)
    assert column.present == 32


def test_numbers_out_of_range_count_at_its_end_and_nan_counts_as_missing(study, table):
    domain = domain_of(study.features)
    few = table.head(4).with_columns(
        pl.Series("glucose", [-5.0, 31.0, float("nan"), None]), pl.Series("age", [18.0, 99.0, 300.0, 0.0])
    )
    codes = encode(domain, few)
    assert codes[:, 1].tolist() == [0, 63, 64, 64]
    assert codes[:, 0].tolist() == [0, 63, 63, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop("sex"), "column 'sex' is missing"),
        (lambda table: table.with_columns(pl.lit("CANARY").alias("sex")), "does not name"),
        (lambda table: table.with_columns(pl.lit(None, dtype=pl.Float64).alias("age")), "lacks values"),
        (lambda table: table.with_columns(pl.lit(2.0).alias("smoker")), "boolean"),
        (lambda table: table.with_columns(pl.lit(2).alias("label")), "label"),
        (lambda table: table.drop("label"), "label"),
    ],
)
def test_a_table_that_does_not_fit_the_study_is_refused_without_quoting_it(study, table, change, message):
    with pytest.raises(Invalid, match=message) as error:
        encode(domain_of(study.features), change(table))
    assert "CANARY" not in str(error.value)
    assert error.value.__context__ is None


@pytest.mark.parametrize("cells", [0, 1, 257])
def test_a_grid_that_is_too_coarse_or_too_fine_is_refused(study, cells):
    with pytest.raises(Invalid, match="cells"):
        domain_of(study.features, cells=cells)


def test_a_category_of_a_hundred_thousand_levels_is_refused():
    feature = Feature(name="code", type="category", values=tuple(map(str, range(100_000))))
    with pytest.raises(Invalid, match="group them"):
        domain_of((feature,))

import numpy as np
import polars as pl
import pytest

from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.generators import GENERATORS, SequentialCart, choose
from wardgate.measures.study_rules import rule_breakers
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule


def fit(table, study, **public):
    return SequentialCart(**public).fit(
        table, study.dictionary, epsilon=1.0, delta=1e-6, entropy=UnsafeEntropy("none"), rng=np.random.default_rng(0)
    )


@pytest.fixture(scope="module")
def fitted(study, table):
    return fit(table, study)


def test_it_claims_no_protection(fitted):
    assert fitted.claim.kind == "none"
    assert fitted.claim.epsilon is None


def test_relations_survive(fitted, table):
    rows = fitted.sample(6_000, rng=np.random.default_rng(1))
    assert rows.schema == table.schema
    for name in ("label", "smoker", "cough", "age"):
        assert rows[name].mean() == pytest.approx(table[name].mean(), rel=0.1)
    smokers, real = (one.filter(pl.col("smoker") == 1)["stage"].eq("IV").mean() for one in (rows, table))
    assert smokers == pytest.approx(real, abs=0.05)
    assert rows["glucose"].null_count() / rows.height == pytest.approx(0.15, abs=0.03)


def test_conditions_hold_in_every_row(fitted):
    rows = fitted.sample(300, rng=np.random.default_rng(0), where={"label": 1, "sex": "F", "age": (70, 99)})
    assert rows.height == 300
    assert rows.filter((pl.col("label") == 1) & (pl.col("sex") == "F") & pl.col("age").is_between(70, 99)).height == 300


@pytest.mark.parametrize("where", [{"name": "x"}, {"age": (98.5, 98.6)}, {"sex": 1}])
def test_conditions_that_nobody_meets_are_refused(fitted, where):
    with pytest.raises(Invalid):
        fitted.sample(5, rng=np.random.default_rng(0), where=where)


def test_clinical_rules_hold_in_every_row(make_study, study, table):
    rule = ClinicalRule(name="iv-coughs", left="cough", op="==", right="true", when={"stage": ("IV",)})
    ruled = make_study(*study.features, rules=(rule,))
    rows = fit(table, ruled).sample(1_000, rng=np.random.default_rng(0))
    assert not rule_breakers(ruled.rules, ruled.features, rows).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop("sex"), "column 'sex' is missing"),
        (lambda table: table.with_columns(pl.lit("CANARY").alias("sex")), "does not name"),
        (lambda table: table.head(2), "leaf"),
        (lambda table: table.drop("label"), "label"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_without_quoting_it(study, table, change, message):
    with pytest.raises(Invalid, match=message) as error:
        fit(change(table), study)
    assert "CANARY" not in str(error.value)


def test_one_class_columns_are_kept_as_they_are(study, table):
    odd = table.with_columns(pl.lit(1, dtype=pl.Int8).alias("label"), pl.lit(None, dtype=pl.Float64).alias("glucose"))
    rows = fit(odd, study).sample(100, rng=np.random.default_rng(0))
    assert rows["label"].eq(1).all()
    assert rows["glucose"].is_null().all()


def test_generators_go_by_name_and_unknown_names_are_refused():
    assert all(name == one.name for name, one in GENERATORS.items())
    assert choose("sequential-cart", {"min_leaf": 1}) == SequentialCart(min_leaf=1)
    assert choose("marginal-tree").name == "marginal-tree"
    for name, settings in (("gan", {}), ("marginal-tree", {"min_leaf": 1}), ("sequential-cart", {"min_leaf": 0})):
        with pytest.raises(Invalid):
            choose(name, settings)

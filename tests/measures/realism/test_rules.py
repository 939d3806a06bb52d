"""Clinical rules: who breaks one is found, what cannot be compared is refused."""

import numpy as np
import polars as pl
import pytest

from wardgate.measures.realism.rules import clinical_rules
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule, Feature

FEATURES = (
    Feature(name="sbp", type="number", unit="mm[Hg]", range=(40, 240)),
    Feature(name="dbp", type="number", unit="mm[Hg]", range=(20, 160)),
    Feature(name="sex", type="category", values=("f", "m")),
    Feature(name="pregnant", type="boolean"),
)
RULES = (
    ClinicalRule(name="pressure", left="dbp", op="<=", right="sbp"),
    ClinicalRule(name="pregnancy", left="pregnant", op="==", right="false", when={"sex": ("m",)}),
    ClinicalRule(name="same", left="sex", op="==", right="f", when={"pregnant": ("true",)}),
)


def _table(count: int, rng: np.random.Generator) -> pl.DataFrame:
    sbp = 130 + 20 * rng.normal(size=count)
    female = rng.random(count) < 0.5
    risk = 1 / (1 + np.exp(-(sbp - 130) / 15))
    return pl.DataFrame(
        {
            "sbp": sbp,
            "dbp": 0.6 * sbp,
            "sex": np.where(female, "f", "m"),
            "pregnant": (female & (rng.random(count) < 0.1)).astype(float),
            "label": (rng.random(count) < risk).astype(np.int8),
        }
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_rules_count_rows_that_break_any_and_pass_over_missing_values(rng: np.random.Generator) -> None:
    real = _table(1000, rng)
    assert clinical_rules(RULES, FEATURES, real, level=0.9).value == 1.0
    row = pl.int_range(1000)
    broken = real.with_columns(
        dbp=pl.when(row < 100).then(pl.col("sbp") + 1).when(row < 200).then(None).otherwise(pl.col("dbp")),
        sex=pl.when(row < 50).then(pl.lit("m")).otherwise(pl.col("sex")),
        pregnant=pl.when(row < 50).then(1.0).otherwise(pl.col("pregnant")),
    )
    found = clinical_rules(RULES, FEATURES, broken, level=0.9)
    assert found.value == pytest.approx(0.9)
    assert found.low < 0.9 < found.high


def test_no_rule_is_said_to_be_no_rule(rng: np.random.Generator) -> None:
    assert "no clinical rule" in clinical_rules((), FEATURES, _table(50, rng), level=0.9).note


@pytest.mark.parametrize(
    "rule",
    [
        ClinicalRule(name="bad", left="sbp", op="<", right="tall"),
        ClinicalRule(name="bad", left="sex", op="<", right="m"),
        ClinicalRule(name="bad", left="sbp", op="<", right="dbp", when={"dbp": ("low",)}),
    ],
)
def test_a_rule_that_cannot_be_read_refuses(rule: ClinicalRule, rng: np.random.Generator) -> None:
    with pytest.raises(Invalid):
        clinical_rules((rule,), FEATURES, _table(50, rng), level=0.9)

"""Clinical rules: who breaks one is found, what cannot be compared is refused."""

import numpy as np
import polars as pl
import pytest

from wardgate.hospital.ward.gate.battery.suite import starter
from wardgate.measures.realism.rules import clinical_rules, obedience, suspicious
from wardgate.measures.realism.suites import meanings, speaking
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


VITALS = (
    Feature(name="SBP", type="number", unit="kPa", range=(0, 40)),
    Feature(name="lower", type="number", unit="mm[Hg]", range=(0, 300), codes={"loinc": "8462-4"}),
    Feature(name="map", type="number", unit="mm[Hg]", range=(0, 300)),
    Feature(name="hb", type="number", unit="g/dL", range=(0, 30)),
    Feature(name="hct", type="number", unit="L/L", range=(0, 1)),
    Feature(name="gcs", type="integer", unit="{score}", range=(3, 15)),
    Feature(name="gcs_eye", type="integer", unit="1", range=(1, 4)),
    Feature(name="gcs_verbal", type="integer", unit="1", range=(1, 5)),
    Feature(name="gcs_motor", type="integer", unit="1", range=(1, 6)),
    Feature(name="ph", type="number", unit="1", range=(6, 8)),
    Feature(name="paco2", type="number", unit="mm[Hg]", range=(0, 200)),
    Feature(name="hco3", type="number", unit="meq/L", range=(0, 80)),
    Feature(name="gender", type="category", values=("F", "M", "unknown")),
    Feature(name="pregnant", type="boolean"),
    Feature(name="age", type="number", unit="a", range=(0, 120)),
    Feature(name="admission_time", type="number", unit="h", range=(-9, 9)),
    Feature(name="discharge_time", type="number", unit="d", range=(-9, 9)),
)
SOUND = {
    "SBP": 16.0,
    "lower": 80.0,
    "map": 93.0,
    "hb": 14.0,
    "hct": 0.42,
    "gcs": 15,
    "gcs_eye": 4,
    "gcs_verbal": 5,
    "gcs_motor": 6,
    "ph": 7.4,
    "paco2": 40.0,
    "hco3": 24.0,
    "gender": "F",
    "pregnant": 1.0,
    "age": 30.0,
    "admission_time": 0.0,
    "discharge_time": 3.0,
}


def _rows(*changes: dict[str, object], times: int = 1) -> pl.DataFrame:
    """The sound patient with each change, as one row each."""
    rows = [{**SOUND, **change} for change in changes for _ in range(times)]
    kinds = {feature.name: pl.String if feature.type == "category" else pl.Float64 for feature in VITALS}
    return pl.DataFrame(
        {name: pl.Series([row[name] for row in rows], dtype=kinds[name], strict=False) for name in kinds}
    )


def _broken(change: dict[str, object]) -> set[str]:
    found = obedience((), VITALS, _rows(change), suite=starter())
    return {rule.rule for rule in found.rules if rule.share}


def test_a_sound_patient_breaks_no_rule_of_the_starter_set() -> None:
    assert _broken({}) == set()
    found = obedience((), VITALS, _rows({}), suite=starter())
    assert len(found.rules) > 20
    assert found.silent == sum(rule.kind != "rising" for rule in starter().rules) - len(found.rules)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"SBP": 80.0}, "systolic-pressure"),
        ({"SBP": 9.0}, "diastolic-not-above-systolic"),
        ({"map": 70.0}, "mean-not-below-diastolic"),
        ({"map": 130.0}, "mean-not-above-systolic"),
        ({"hb": 0.2}, "haemoglobin"),
        ({"hct": 0.8}, "haematocrit-thrice-haemoglobin"),
        ({"gcs": 9}, "gcs-is-a-sum"),
        ({"ph": 7.0}, "henderson-hasselbalch"),
        ({"gender": "M"}, "pregnancy-of-women"),
        ({"age": 8.0}, "pregnancy-age"),
        ({"discharge_time": -1.0}, "life-in-order"),
        ({"age": 130.0}, "age"),
    ],
)
def test_each_kind_of_rule_finds_who_breaks_it_across_units_and_names(change: dict[str, object], rule: str) -> None:
    assert rule in _broken(change)


@pytest.mark.parametrize("name", sorted(SOUND))
def test_a_missing_value_breaks_nothing(name: str) -> None:
    assert _broken({name: None}) == set()


def test_what_is_not_in_the_category_is_not_told() -> None:
    assert _broken({"gender": "unknown"}) == set()


def test_bounds_survive_conversion_between_units() -> None:
    edge = Feature(name="temp", type="number", unit="[degF]", range=(0, 200))
    table = pl.DataFrame({"temp": [116.6, 116.7, 55.4, 55.3]})
    found = obedience((), (edge,), table, suite=starter())
    assert found.impossible.tolist() == [False, True, False, True]


def test_a_feature_in_an_unknown_unit_is_not_judged() -> None:
    strange = Feature(name="sbp", type="number", unit="[psi]", range=(0, 10))
    assert not list(speaking(starter(), (strange,)))


def test_two_columns_of_one_meaning_are_each_judged_alone_and_never_compared() -> None:
    arm, leg = (
        Feature(name=name, type="number", unit="mm[Hg]", range=(0, 300), codes={"loinc": "8480-6"})
        for name in ("arm", "leg")
    )
    table = pl.DataFrame({"arm": [120.0, 120.0, 50.0], "leg": [130.0, 900.0, 50.0], "dbp": [80.0, 80.0, 80.0]})
    features = (arm, leg, Feature(name="dbp", type="number", unit="mm[Hg]", range=(0, 300)))
    assert len(meanings(starter(), features)["systolic"]) == 2
    found = obedience((), features, table, suite=starter())
    assert found.impossible.tolist() == [False, True, False]


def test_a_rule_that_real_persons_break_is_not_held_against_a_corpus() -> None:
    real = _rows({}, times=480).vstack(_rows({"map": 70.0}, times=20))
    corpus = _rows({}, times=470).vstack(_rows({"map": 70.0}, times=30))
    alone = clinical_rules((), VITALS, corpus, level=0.9, suite=starter())
    assert alone.value == pytest.approx(0.94)
    excused = clinical_rules((), VITALS, corpus, level=0.9, suite=starter(), real=real)
    assert excused.value == 1.0
    assert "real persons break them too: mean-not-below-diastolic" in excused.note


def test_a_corpus_that_breaks_it_far_more_often_is_held_to_it_all_the_same() -> None:
    real = _rows({}, times=480).vstack(_rows({"map": 70.0}, times=20))
    corpus = _rows({}, times=400).vstack(_rows({"map": 70.0}, times=100))
    assert clinical_rules((), VITALS, corpus, level=0.9, suite=starter(), real=real).value == pytest.approx(0.8)


def test_one_to_ten_real_persons_are_never_spoken_of() -> None:
    real = _rows({}, times=90).vstack(_rows({"map": 70.0}, times=10))
    assert suspicious((), VITALS, real, suite=starter()) == {}
    more = _rows({}, times=90).vstack(_rows({"map": 70.0}, times=11))
    assert set(suspicious((), VITALS, more, suite=starter())) == {"mean-not-below-diastolic"}


def test_many_rules_that_few_real_persons_break_do_not_refuse_a_corpus_true_to_them() -> None:
    """Three rules, each broken by 0.6 % of patients: none by more than 1 %, together 1.8 %."""
    odd = ({"map": 70.0}, {"gcs": 9}, {"age": 130.0, "pregnant": 0.0})
    tables = [_rows(change, times=12) for change in odd]
    real = pl.concat([_rows({}, times=2000 - 36), *tables])
    found = clinical_rules((), VITALS, real, level=0.9, suite=starter(), real=real)
    assert found.low >= 0.99


def test_the_implausible_is_told_and_not_counted() -> None:
    corpus = _rows({}, times=95).vstack(_rows({"hct": 0.8}, times=5))
    found = clinical_rules((), VITALS, corpus, level=0.9, suite=starter())
    assert found.value == 1.0
    assert "5 % of synthetic persons" in found.note


def test_a_person_with_one_row_that_breaks_a_rule_breaks_it() -> None:
    table = _rows({}, {}, {"map": 70.0}, {}, {}, {}).with_columns(who=pl.Series([7, 7, 7, 3, 3, 9]))
    found = clinical_rules((), VITALS, table, level=0.9, suite=starter(), person="who")
    assert found.value == pytest.approx(2 / 3)
    assert found.n == (3,)


def test_a_study_and_a_suite_are_judged_together() -> None:
    rule = ClinicalRule(name="own", left="age", op="<", right="50")
    table = _rows({}, {"age": 60.0}, {"map": 70.0})
    found = obedience((rule,), VITALS, table, suite=starter())
    assert found.impossible.tolist() == [False, True, True]
    assert {share.rule for share in found.rules if share.share} == {"study.own", "mean-not-below-diastolic"}

"""The autoregressive generator: relations, conditions, what it never repeats, what the gate says, and broken input."""

import copy
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gate"))

import gate_corpora

from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.gate.battery import measure
from wardgate.hospital.ward.generators.autoregressive import Autoregressive
from wardgate.measures.study_rules import rule_breakers
from wardgate.policy import decide
from wardgate.records.bands import band
from wardgate.records.claim import Claim
from wardgate.records.errors import Invalid, Refused, Unsupported
from wardgate.records.feature import ClinicalRule, Feature
from wardgate.records.verdict import Evidence

QUICK = {"width": 32, "blocks": 1, "most_epochs": 30, "batch": 128}


def fit(table, dictionary, *, seed=0, tuning=None, **public):
    return Autoregressive(**{**QUICK, **public}).fit(
        table,
        dictionary,
        tuning=tuning,
        epsilon=1.0,
        delta=1e-6,
        entropy=UnsafeEntropy("none"),
        rng=np.random.default_rng(seed),
    )


@pytest.fixture(scope="module")
def fitted(study, table):
    return fit(table[:4_000], study.dictionary, tuning=table[4_000:4_500], most_epochs=40, batch=256)


def test_it_claims_no_protection_and_says_what_that_leaves_out(fitted, study):
    promised = Autoregressive().promise(study.dictionary, epsilon=1.0, delta=1e-6)
    assert fitted.claim == promised
    assert promised.kind == "none"
    assert promised.epsilon is None
    assert not promised.random
    assert promised.excludes
    assert fitted.persons == 4_000


def test_relations_survive(fitted, table):
    rows = fitted.sample(4_000, rng=np.random.default_rng(1))
    assert rows.schema == table.schema
    for name in ("label", "smoker", "cough", "age", "glucose"):
        assert rows[name].mean() == pytest.approx(table[name].mean(), rel=0.12)
    smokers, real = (one.filter(pl.col("smoker") == 1)["stage"].eq("IV").mean() for one in (rows, table))
    assert smokers == pytest.approx(real, abs=0.08)
    ill, healthy = (rows.filter(pl.col("label") == outcome)["age"].mean() for outcome in (1, 0))
    assert ill > healthy + 5
    gone, all_gone = (one["glucose"].null_count() / one.height for one in (rows, table))
    assert gone == pytest.approx(all_gone, abs=0.04)


@pytest.mark.parametrize(
    ("where", "met"),
    [
        ({"label": 1}, pl.col("label") == 1),
        ({"stage": "IV", "cough": 1}, (pl.col("stage") == "IV") & (pl.col("cough") == 1)),
        ({"glucose": None}, pl.col("glucose").is_null()),
        ({"age": 70}, pl.col("age") == 70),
        ({"age": (33.5, 90.2), "glucose": (5.25, 7.75)}, pl.col("age").is_between(34, 90)),
        ({"glucose": (5.25, 7.75)}, pl.col("glucose").is_between(5.25, 7.75)),
    ],
)
def test_conditions_hold_in_every_row(fitted, where, met):
    rows = fitted.sample(300, rng=np.random.default_rng(0), where=where)
    assert rows.height == 300
    assert rows.filter(met).height == 300


def test_conditions_change_the_other_columns_as_they_do_in_patients(fitted, table):
    given = fitted.sample(3_000, rng=np.random.default_rng(0), where={"age": (75, 99), "smoker": 1})
    real = table.filter((pl.col("age") >= 75) & (pl.col("smoker") == 1))
    assert given["label"].mean() == pytest.approx(real["label"].mean(), abs=0.09)
    assert given["label"].mean() > table["label"].mean() + 0.15


@pytest.mark.parametrize(
    "where",
    [
        {"name": "x"},
        {"age": (5, 9)},
        {"age": (80, 70)},
        {"age": float("nan")},
        {"sex": 1},
        {"sex": ("F", "M")},
        {"sex": None},
        {"smoker": 0.5},
        {"stage": "V"},
    ],
)
def test_conditions_that_nobody_can_meet_are_refused(fitted, where):
    with pytest.raises(Invalid):
        fitted.sample(5, rng=np.random.default_rng(0), where=where)


def test_clinical_rules_hold_in_every_row(study, table):
    rule = ClinicalRule(name="stage-needs-smoking", left="smoker", op="==", right="1", when={"stage": ("IV",)})
    kept = table.filter(~rule_breakers((rule,), study.features, table))
    made = fit(kept, study.dictionary.model_copy(update={"rules": (rule,)}), most_epochs=3)
    rows = made.sample(1_000, rng=np.random.default_rng(0))
    assert rows.height == 1_000
    assert not rule_breakers((rule,), study.features, rows).any()


def test_equal_seeds_give_equal_corpora_and_others_do_not(study, table):
    few = table[:1_000]
    one, same, other = (
        fit(few, study.dictionary, seed=seed, most_epochs=2).sample(50, rng=np.random.default_rng(seed))
        for seed in (3, 3, 4)
    )
    assert one.equals(same)
    assert not one.equals(other)


def test_many_rows_come_in_parts(fitted):
    parts = list(fitted.stream(45_000, rng=np.random.default_rng(0)))
    assert [part.height for part in parts] == [20_000, 20_000, 5_000]
    assert fitted.sample(0, rng=np.random.default_rng(0)).schema == parts[0].schema
    with pytest.raises(Invalid, match="number of rows"):
        fitted.sample(-1, rng=np.random.default_rng(0))


def test_the_weights_never_leave(fitted):
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(Refused, match="never leave"):
            leave(fitted)


def test_what_few_persons_have_is_never_drawn(make_study):
    """Ten persons have a disease of their own, a measured value where nobody else has one, and a huge value."""
    rng = np.random.default_rng(0)
    few = np.arange(2_000) < 10
    people = pl.DataFrame(
        {
            "disease": np.where(few, "rare", np.where(rng.random(2_000) < 0.5, "a", "b")),
            "flag": few.astype(float),
            "odd": pl.Series(np.where(few, 7.125, np.nan)).fill_nan(None),
            "salary": np.where(few, 987_654.0, np.round(rng.normal(3_000, 400, 2_000))),
            "label": (rng.random(2_000) < 0.4).astype(np.int8),
        }
    )
    study = make_study(
        Feature(name="disease", type="category", values=("a", "b", "rare", "unheard")),
        Feature(name="flag", type="boolean"),
        Feature(name="odd", type="number", unit="1", range=(0, 10)),
        Feature(name="salary", type="number", unit="1", range=(0, 1_000_000)),
    )
    made = fit(people, study.dictionary, tuning=people.tail(100), most_epochs=3)
    rows = made.sample(20_000, rng=np.random.default_rng(0))
    assert set(rows["disease"].unique()) == {"a", "b"}
    assert rows["flag"].max() == 0
    assert rows["odd"].null_count() == rows.height
    # Some 20 persons share the last interval, so that values in it say nothing of one of them.
    assert rows.filter(pl.col("salary") == 987_654.0).is_empty()
    with pytest.raises(Invalid, match="too few"):
        made.sample(5, rng=np.random.default_rng(0), where={"disease": "rare"})


def test_rare_categories_are_merged_and_drawn_alike_whoever_has_them(make_study):
    rng = np.random.default_rng(0)
    names = tuple(f"c{number}" for number in range(400))
    often = rng.random(2_000) < 0.7
    people = pl.DataFrame(
        {
            "code": np.where(often, "c0", rng.choice(names[1:200], 2_000)),
            "label": (rng.random(2_000) < 0.5).astype(np.int8),
        }
    )
    study = make_study(Feature(name="code", type="category", values=names))
    rows = fit(people, study.dictionary, most_epochs=3).sample(8_000, rng=np.random.default_rng(0))
    assert (rows["code"] == "c0").mean() == pytest.approx(0.7, abs=0.04)
    had, never = ((rows["code"].is_in(some)).mean() for some in (names[100:200], names[200:300]))
    assert had == pytest.approx(never, abs=0.03)


def judged(corpus, site, plan, seed):
    """Return the privacy rules that refuse a corpus."""
    measured, absent = measure(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=corpus,
        dictionary=plan.dictionary,
        policy=plan.gate,
        attempt=1,
        rng=np.random.default_rng(seed),
    )
    evidence = Evidence(
        kind="corpus",
        persons_train=band(site.train.height),
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0,
        measured=measured,
        absent=absent,
    )
    rulings = decide(evidence, plan.gate).rulings
    return {one.rule for one in rulings if one.outcome == "fail" and not one.rule.startswith("realism.")}


MEMORISING = {
    "min_persons": 1,
    "persons_per_bin": 1,
    "bins": 400,
    "width": 256,
    "dropout": 0.0,
    "waves": 40,
    "batch": 64,
    "early_stopping": False,
    "most_epochs": 100,
}


@pytest.mark.slow
def test_a_network_that_learnt_persons_by_heart_is_caught_and_the_default_is_not():
    plan, rng = gate_corpora.study(), np.random.default_rng(11)
    site = gate_corpora.hospital(rng, train=600, tuning=200, holdout=1_000)
    refused = {}
    for name, public in {"default": {}, "memorising": MEMORISING}.items():
        settings = {**{key: getattr(Autoregressive(), key) for key in QUICK}, **public}
        made = fit(site.train, plan.dictionary, tuning=site.tuning, **settings).sample(600, rng=rng)
        refused[name] = judged(made, site, plan, 5)
    assert any(rule.startswith(("copies.", "membership.")) for rule in refused["memorising"])
    assert not refused["default"]


def test_an_all_missing_and_a_constant_column_do_not_hurt_the_others(study, table):
    odd = table[:1_500].with_columns(
        pl.lit(None, dtype=pl.Float64).alias("glucose"),
        pl.lit("M").alias("sex"),
        pl.lit(50.0).alias("age"),
        pl.lit(None, dtype=pl.String).alias("stage"),
    )
    made = fit(odd, study.dictionary, most_epochs=5)
    rows = made.sample(2_000, rng=np.random.default_rng(0))
    assert rows["glucose"].null_count() == rows["stage"].null_count() == rows.height
    assert (rows["sex"] == "M").all()
    assert (rows["age"] == 50).all()
    assert rows.schema == table.schema
    assert (rows["smoker"] == 1).mean() == pytest.approx((odd["smoker"] == 1).mean(), abs=0.07)
    assert made.sample(3, rng=np.random.default_rng(0), where={"sex": "M", "glucose": None, "age": 50}).height == 3
    with pytest.raises(Invalid):
        made.sample(3, rng=np.random.default_rng(0), where={"sex": "F"})


def test_a_table_without_an_outcome_is_modelled_too(study, table):
    plain = study.dictionary.model_copy(update={"label": None, "rules": ()})
    made = fit(table[:1_000].drop("label"), plain, most_epochs=2)
    assert made.sample(10, rng=np.random.default_rng(0)).columns == table.columns[:-1]


def test_more_columns_than_persons_are_no_trouble(make_study):
    rng = np.random.default_rng(0)
    names = [f"x{number}" for number in range(150)]
    people = pl.DataFrame({name: rng.normal(size=120) for name in names}).with_columns(
        label=pl.Series(rng.random(120) < 0.5).cast(pl.Int8)
    )
    study = make_study(*(Feature(name=name, type="number", unit="1", range=(-6, 6)) for name in names))
    rows = fit(people, study.dictionary, most_epochs=2).sample(20, rng=rng)
    assert rows.shape == (20, 151)
    assert rows.null_count().sum_horizontal().item() == 0


def test_a_category_of_many_levels_is_merged(make_study):
    rng = np.random.default_rng(0)
    names = tuple(f"c{number}" for number in range(100_000))
    people = pl.DataFrame({"code": rng.choice(names, 1_000), "label": (np.arange(1_000) % 2).astype(np.int8)})
    made = fit(people, make_study(Feature(name="code", type="category", values=names)).dictionary, most_epochs=2)
    rows = made.sample(1_000, rng=rng)
    assert rows["code"].n_unique() > 950


@pytest.mark.parametrize("persons", [0, 3, 109])
def test_few_persons_are_sent_to_the_joint_corpus(study, table, persons):
    with pytest.raises(Refused, match="joint corpus"):
        fit(table.head(persons), study.dictionary)


@pytest.mark.parametrize("ill", [0, 10, 1_000])
def test_a_label_of_one_class_is_refused(study, table, ill):
    label = pl.Series("label", (np.arange(1_000) < ill).astype(np.int8))
    with pytest.raises(Refused, match="class"):
        fit(table[:1_000].with_columns(label), study.dictionary)


def test_a_table_of_constants_is_refused(make_study):
    people = pl.DataFrame({"sex": ["F"] * 200})
    plain = make_study(Feature(name="sex", type="category", values=("F", "M"))).dictionary
    with pytest.raises(Invalid, match="one value only"):
        fit(people, plain.model_copy(update={"label": None}))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (pl.lit("CANARY").alias("sex"), "does not name"),
        (pl.lit("CANARY").alias("age"), "expected numbers"),
        (pl.lit(2.0).alias("smoker"), "boolean"),
        (pl.lit(None, dtype=pl.Float64).alias("age"), "refuses"),
        (pl.lit(float("nan")).alias("age"), "refuses"),
        (pl.lit(None, dtype=pl.Int8).alias("label"), "label"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_without_quoting_it(study, table, broken, words):
    with pytest.raises(Invalid, match=words) as found:
        fit(table[:500].with_columns(broken), study.dictionary)
    assert "CANARY" not in str(found.value)


def test_an_absent_column_is_named(study, table):
    with pytest.raises(Invalid, match="'age' is missing"):
        fit(table[:500].drop("age"), study.dictionary)


@pytest.mark.parametrize(
    "public",
    [{"bins": 1}, {"min_persons": 0}, {"dropout": 1.0}, {"learning_rate": 0.0}, {"most_epochs": 0}, {"width": -1}],
)
def test_settings_out_of_bounds_are_refused(study, table, public):
    with pytest.raises(Invalid, match="expected"):
        fit(table[:200], study.dictionary, **public)


def test_a_loss_that_is_no_number_is_an_error(study, table):
    with pytest.raises(Invalid, match="learning rate"):
        fit(table[:500], study.dictionary, learning_rate=1e30)


def test_without_torch_it_says_what_to_install(study, table, monkeypatch):
    monkeypatch.setattr("wardgate.networks.installed.find_spec", lambda name: None)
    with pytest.raises(Unsupported, match="deep"):
        fit(table[:500], study.dictionary)


def test_settings_can_be_changed_by_name():
    assert replace(Autoregressive(), bins=20).bins == 20

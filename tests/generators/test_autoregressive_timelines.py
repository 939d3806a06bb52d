"""The autoregressive generator of timelines: what persons are stays together, conditions, bad input, and copying."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gate"))

from timeline_corpora import DICTIONARY, timelines

from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.gate.battery import timelines as battery
from wardgate.hospital.ward.generators.timelines import GENERATORS
from wardgate.hospital.ward.generators.timelines.autoregressive import AutoregressiveTimelines, FittedNetwork
from wardgate.measures.attacks.copies import near_copies
from wardgate.measures.attacks.nearest import nearest
from wardgate.measures.attacks.persons import constants, per_person, typed
from wardgate.measures.attacks.space import spaces
from wardgate.measures.study_rules import rule_breakers
from wardgate.networks import installed
from wardgate.networks.timelines.network import Network
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, NotEvaluable, Refused, Unsupported
from wardgate.records.feature import ClinicalRule, Feature
from wardgate.records.measured import Measured

PLAN = DICTIONARY.model_copy(
    update={
        "static": ("age", "sex"),
        "rules": (ClinicalRule(name="pressures", left="dbp", op="<", right="sbp"),),
    }
)
QUICK = AutoregressiveTimelines(epochs=8, memory=48)


def fit(table: pl.DataFrame, plan: Dictionary = PLAN, *, seed: int = 0, how=QUICK, tuning=None) -> FittedNetwork:
    return how.fit(
        table,
        plan,
        tuning=tuning,
        epsilon=1.0,
        delta=1e-6,
        entropy=UnsafeEntropy("none"),
        rng=np.random.default_rng(seed),
    )


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return timelines(600, np.random.default_rng(0))


@pytest.fixture(scope="module")
def fitted(table: pl.DataFrame) -> FittedNetwork:
    return fit(table, tuning=timelines(400, np.random.default_rng(50)))


@pytest.fixture(scope="module")
def corpus(fitted: FittedNetwork) -> pl.DataFrame:
    return fitted.sample(500, rng=np.random.default_rng(1))


def test_it_is_found_by_its_name() -> None:
    assert GENERATORS["autoregressive-timelines"] == AutoregressiveTimelines()


def test_its_claim_is_none_before_and_after(fitted: FittedNetwork) -> None:
    promised = QUICK.promise(PLAN, epsilon=1.0, delta=1e-6)
    assert promised == fitted.claim
    assert promised.kind == "none"
    assert promised.excludes
    assert fitted.persons == 600


def test_a_corpus_has_the_form_of_timelines(corpus: pl.DataFrame, table: pl.DataFrame) -> None:
    assert set(corpus.columns) == set(table.columns)
    assert corpus["patient"].unique().sort().to_list() == list(range(500))
    gaps = corpus.select(pl.col("hours").diff().over("patient")).drop_nulls()["hours"]
    assert gaps.min() > 0
    assert corpus["hours"].min() >= 0
    assert corpus.equals(corpus.sort("patient", "hours", maintain_order=True))
    for name in ("age", "sex", "label"):
        assert corpus.group_by("patient").agg(pl.col(name).n_unique())[name].max() == 1
    assert corpus["label"].dtype == pl.Int8
    assert corpus["oxygen"].drop_nulls().is_in([0.0, 1.0]).all()
    for feature in PLAN.features:
        if feature.range is not None:
            assert corpus[feature.name].drop_nulls().is_between(*feature.range).all()
    assert (corpus["sbp"].drop_nulls() % 1 == 0).all(), "written in whole numbers, as at its source"


def test_rules_are_kept_in_every_row(corpus: pl.DataFrame) -> None:
    assert not rule_breakers(PLAN.rules, PLAN.features, corpus).any()


def test_the_person_stays_together(corpus: pl.DataFrame, table: pl.DataFrame) -> None:
    """Neighbouring rows of a person, and every number's share of variance between persons."""

    def lag(found: pl.DataFrame, name: str) -> float:
        pairs = found.select(pl.col(name), pl.col(name).shift().over("patient").alias("before")).drop_nulls()
        return float(np.corrcoef(pairs[name].rank().to_numpy(), pairs["before"].rank().to_numpy())[0, 1])

    for name in ("sbp", "dbp", "creatinine", "lactate"):
        assert lag(corpus, name) == pytest.approx(lag(table, name), abs=0.15)


def test_one_seed_gives_one_corpus(fitted: FittedNetwork) -> None:
    one, same, other = (fitted.sample(60, rng=np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert one.equals(same)
    assert not one.equals(other)


def test_many_persons_come_in_parts_and_are_numbered_through(fitted: FittedNetwork) -> None:
    many = fitted.sample(4_100, rng=np.random.default_rng(2))
    assert many["patient"].unique().sort().to_list() == list(range(4_100))
    assert fitted.sample(0, rng=np.random.default_rng(2)).height == 0
    with pytest.raises(Invalid, match="from 0 up"):
        fitted.sample(-1, rng=np.random.default_rng(2))


@pytest.mark.parametrize(
    ("where", "met"),
    [
        ({"label": 1}, pl.col("label") == 1),
        ({"sex": "male"}, pl.col("sex") == "male"),
        ({"age": (40, 50)}, pl.col("age").is_between(40, 50)),
        ({"age": 61}, pl.col("age") == 61),
        ({"label": 1, "sex": "female", "age": (60, 80)}, (pl.col("label") == 1) & (pl.col("sex") == "female")),
    ],
)
def test_conditions_on_persons_are_met_by_all_of_them(fitted: FittedNetwork, where, met: pl.Expr) -> None:
    found = fitted.sample(80, rng=np.random.default_rng(3), where=where)
    assert found["patient"].n_unique() == 80
    assert found.filter(~met).is_empty()


def test_a_condition_keeps_how_the_others_hang_on_it(fitted: FittedNetwork) -> None:
    """Those who die are older, whether the outcome is asked for or found."""
    rng = np.random.default_rng(4)
    asked = fitted.sample(1500, rng=rng, where={"age": (75, 110)}).group_by("patient").first()["label"].mean()
    free = fitted.sample(4000, rng=rng).group_by("patient").first()
    found = free.filter(pl.col("age").is_between(75, 110))["label"].mean()
    assert found > free["label"].mean() + 0.05
    assert asked == pytest.approx(found, abs=0.08)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"sbp": (100, 120)}, "changes from row to row"),
        ({"shoe": 3}, "is no column"),
        ({"sex": "robot"}, "does not name"),
        ({"age": (50, 40)}, "low <= high"),
        ({"age": "old"}, "needs a number"),
        ({"label": 7}, "nobody meets"),
        ({"age": (500, 600)}, "nobody meets"),
    ],
)
def test_conditions_that_cannot_be_met_are_said(fitted: FittedNetwork, where, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        fitted.sample(5, rng=np.random.default_rng(0), where=where)


def test_columns_that_never_change_are_found_where_nobody_names_them(table: pl.DataFrame) -> None:
    untold = PLAN.model_copy(update={"static": None})
    found = fit(table.head(2000), untold, how=AutoregressiveTimelines(epochs=1, memory=16))
    assert {one.name for one in found.coding.columns} == {"label", "age", "sex"}


def odd(table: pl.DataFrame) -> dict[str, tuple[pl.DataFrame, Dictionary]]:
    silent = Feature(name="silent", type="number", unit="1", range=(0, 1))
    more = PLAN.model_copy(update={"features": (*PLAN.features, silent)})
    nobody = PLAN.model_copy(update={"label": None})
    return {
        "one row each": (table.group_by("patient", maintain_order=True).first(), PLAN),
        "some with one row": (table.filter((pl.col("patient") % 2 == 0) | pl.col("patient").is_first_distinct()), PLAN),
        "never measured": (table.with_columns(silent=pl.lit(None, dtype=pl.Float64)), more),
        "never known of persons": (table.with_columns(age=pl.lit(None, dtype=pl.Float64)), PLAN),
        "constant": (table.with_columns(sbp=pl.lit(120.0)), PLAN),
        "one outcome": (table.with_columns(label=pl.lit(0, dtype=pl.Int8)), PLAN),
        "no outcome": (table.drop("label"), nobody),
        "no statics": (table.drop("age", "sex"), _without(PLAN, "age", "sex")),
    }


def _without(plan: Dictionary, *names: str) -> Dictionary:
    return plan.model_copy(
        update={"features": tuple(one for one in plan.features if one.name not in names), "static": ()}
    )


@pytest.mark.parametrize("name", list(odd(timelines(2, np.random.default_rng(0)))))
def test_odd_tables_are_fitted_and_drawn_as_they_are(name: str) -> None:
    lines, plan = odd(timelines(150, np.random.default_rng(7)))[name]
    found = fit(lines, plan, how=AutoregressiveTimelines(epochs=2, memory=16))
    drawn = found.sample(70, rng=np.random.default_rng(0))
    assert drawn["patient"].n_unique() == 70
    if name == "one row each":
        assert drawn.height == 70
    if name == "never measured":
        assert drawn["silent"].null_count() == drawn.height
    if name == "never known of persons":
        assert drawn["age"].null_count() == drawn.height
    if name == "constant":
        assert (drawn["sbp"].drop_nulls() == 120).all()
    if name == "one outcome":
        assert (drawn["label"] == 0).all()
    if name == "no outcome":
        assert "label" not in drawn.columns


def test_a_rule_that_nothing_keeps_leaves_its_column_out(table: pl.DataFrame) -> None:
    hard = PLAN.model_copy(update={"rules": (ClinicalRule(name="odd", left="sbp", op=">", right="299"),)})
    found = fit(table.head(2000), hard, how=AutoregressiveTimelines(epochs=1, memory=16))
    assert found.sample(30, rng=np.random.default_rng(0))["sbp"].null_count() > 0
    nobody = PLAN.model_copy(update={"rules": (ClinicalRule(name="odd", left="age", op=">", right="109"),)})
    found = fit(table.head(2000), nobody, how=AutoregressiveTimelines(epochs=1, memory=16))
    with pytest.raises(Invalid, match="rules"):
        found.sample(30, rng=np.random.default_rng(0))


def test_few_persons_are_refused(table: pl.DataFrame) -> None:
    few = table.filter(pl.col("patient") < 60)
    with pytest.raises(Refused, match="joint corpus"):
        fit(few)
    with pytest.raises(Refused, match="tuning persons"):
        fit(table, tuning=few.filter(pl.col("patient") < 5))
    with pytest.raises(Refused, match="outcomes"):
        fit(table.with_columns(label=(pl.col("patient") < 4).cast(pl.Int8)))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("bins", 1), ("floor", 0), ("epochs", 0), ("patience", -1), ("drop", 1.0), ("most_rows", 0), ("memory", 0)],
)
def test_settings_that_make_no_sense_are_said(setting: str, value: float) -> None:
    with pytest.raises(Invalid, match=setting):
        AutoregressiveTimelines(**{setting: value})


def test_a_dictionary_without_times_is_said(table: pl.DataFrame) -> None:
    with pytest.raises(Invalid, match="'time'"):
        fit(table, PLAN.model_copy(update={"time": None}))


def test_without_torch_the_answer_is_which_extra_to_install(table: pl.DataFrame, fitted, monkeypatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match="deep"):
        fit(table)
    with pytest.raises(Unsupported, match="deep"):
        fitted.sample(3, rng=np.random.default_rng(0))


def test_a_loss_that_is_no_number_is_not_evaluable(table: pl.DataFrame, monkeypatch) -> None:
    original = Network.row_nats
    monkeypatch.setattr(Network, "row_nats", lambda *given, **named: original(*given, **named) * float("inf"))
    with pytest.raises(NotEvaluable, match="no number"):
        fit(table.head(3000))


@pytest.fixture(scope="module")
def small() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(11)
    return timelines(120, rng), timelines(120, rng), timelines(60, rng)


def near_p(train: pl.DataFrame, holdout: pl.DataFrame, corpus: pl.DataFrame) -> float:
    """Return the p-value of the gate's near-copy veto on persons, Bonferroni over its two spaces."""
    still = constants(typed(train, PLAN, "train"), PLAN)
    forms = [per_person(typed(part, PLAN, "table"), PLAN, constant=still) for part in (train, holdout, corpus)]
    found = []
    for space in spaces(forms[0][1].columns, pl.concat((forms[0][0], forms[1][0])), forms[2][0]):
        members, others = space.real[: forms[0][0].height], space.real[forms[0][0].height :]
        to, away = nearest(space.synthetic, members, 1), nearest(space.synthetic, others, 1)
        found.append(
            near_copies(
                to.distance[:, 0],
                to.index[:, 0],
                away.distance[:, 0],
                away.index[:, 0],
                persons=(len(members), len(others)),
            )
        )
    return min(1.0, 2 * min(found))


def test_what_the_default_draws_of_a_small_table_is_no_copy(small) -> None:
    train, holdout, tuning = small
    drawn = fit(train, tuning=tuning, how=AutoregressiveTimelines(epochs=15)).sample(240, rng=np.random.default_rng(0))
    assert near_p(train, holdout, drawn) > 0.01


@pytest.mark.slow
def test_a_network_that_learns_its_patients_by_heart_is_caught(small) -> None:
    """The broken twin: no stopping, no dropout, no floor."""
    train, holdout, tuning = small
    twin = AutoregressiveTimelines(epochs=400, patience=0, drop=0.0, floor=1, memory=128, bins=64)
    drawn = fit(train, tuning=tuning, how=twin).sample(1000, rng=np.random.default_rng(0))
    assert near_p(train, holdout, drawn) < 0.01  # the gate's own limit


@pytest.mark.slow
def test_the_gates_measures_of_timelines_find_the_person(table: pl.DataFrame) -> None:
    """At the gate's limits, but for the counts of visits: 1,700 persons teach when to end only roughly."""
    rng = np.random.default_rng(12)
    train, holdout = timelines(2_000, rng), timelines(1_000, rng)
    corpus = fit(train, how=AutoregressiveTimelines()).sample(2_000, rng=rng)
    parts = battery.measures(real=holdout, candidate=corpus, dictionary=PLAN, suite=None, level=0.9, rng=rng)
    found = {part.name: part for part in parts}
    limits = {"visits": 0.2, "gaps": 0.1, "order": 0.001, "within_person": 0.2, "time_to_event": 0.1}
    for name, limit in limits.items():
        part = found[f"timelines.{name}"]
        assert isinstance(part, Measured)
        assert part.value < limit, part

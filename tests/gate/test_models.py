"""A model at the gate: what memorises is refused, the study's own models pass, nothing unknown is ever called."""

from typing import Any

import gate_corpora as corpora
import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from wardgate.hospital.ward.gate.battery.models import ATTACKS, NAMES, STRUCTURE, measure_model
from wardgate.measures import logistic
from wardgate.measures.encoding import design_matrix, labels
from wardgate.models.linear import LinearModel, Predictor
from wardgate.models.saving import to_bytes
from wardgate.models.survival import CoxModel
from wardgate.policy import decide
from wardgate.policy.common import RULES as COMMON
from wardgate.policy.models import RULES
from wardgate.records.claim import Claim
from wardgate.records.errors import Invalid
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence, Verdict

STUDY = corpora.study()
Found = tuple[tuple[Measured, ...], tuple[Absent, ...]]


def numbers(table: pl.DataFrame) -> np.ndarray:
    return design_matrix(STUDY.features, table)[:, 1:]


def glm(table: pl.DataFrame, rng: np.random.Generator) -> LinearModel:
    beta = logistic.fit(design_matrix(STUDY.features, table), labels(table), ridge=1.0)
    return LinearModel(
        family="logistic",
        outcome="label",
        features=STUDY.features,
        predictors=tuple(Predictor(feature=feature.name) for feature in STUDY.features),
        coefficients=tuple(float(one) for one in beta),
    )


def tree(table: pl.DataFrame, rng: np.random.Generator) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(random_state=int(rng.integers(2**31))).fit(numbers(table), labels(table))


@pytest.fixture(scope="module")
def site() -> corpora.Hospital:
    return corpora.hospital(np.random.default_rng(1), train=2750, tuning=250, holdout=1000)


def measured_on(site: corpora.Hospital, model: object, **how: Any) -> Found:
    settings = {"dictionary": STUDY.dictionary, "policy": STUDY.gate, "attempt": 1, "rng": np.random.default_rng(0)}
    return measure_model(model, train=site.train, tuning=site.tuning, holdout=site.holdout, **{**settings, **how})


def verdict_on(found: Found, *, policy: GatePolicy = STUDY.gate) -> Verdict:
    measured, absent = found
    evidence = Evidence(
        kind="model",
        persons_train="2000-4999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0.0,
        measured=measured,
        absent=absent,
    )
    return decide(evidence, policy, rules=(*COMMON, *RULES))


def refusing(verdict: Verdict) -> set[str]:
    return {ruling.rule for ruling in verdict.rulings if ruling.outcome != "pass"}


def test_the_study_s_own_regression_passes_with_refits_and_without(site: corpora.Hospital) -> None:
    model = glm(site.train, np.random.default_rng(0))
    for refit in (glm, None):
        found = measured_on(site, model, refit=refit)
        assert {part.name for part in (*found[0], *found[1])} == set(NAMES)
        assert refusing(verdict_on(found)) == set()
    same, _ = measured_on(site, to_bytes(model), refit=glm)
    assert same == measured_on(site, model, refit=glm)[0]


@pytest.mark.parametrize("refit", [tree, None])
def test_a_tree_that_was_not_pruned_is_refused_by_its_leaves_and_by_attacks(site: corpora.Hospital, refit: Any) -> None:
    found = measured_on(site, tree(site.train, np.random.default_rng(0)), refit=refit)
    refused = refusing(verdict_on(found))
    assert {"model.smallest_leaf", "model.overfit_gap", "model.membership_auc", "model.tpr_at_1_percent"} <= refused


def test_a_forest_without_limit_is_refused_and_its_members_are_named(site: corpora.Hospital) -> None:
    forest = RandomForestClassifier(30, random_state=0).fit(numbers(site.train), labels(site.train))
    found = measured_on(site, forest)
    assert {"model.smallest_leaf", "model.parameters_per_person", "model.membership_auc"} <= refusing(verdict_on(found))
    auc = next(part for part in found[0] if part.name == "model.membership_auc")
    assert auc.low > 0.85


def test_nearest_neighbours_are_refused_as_what_they_are(site: corpora.Hospital) -> None:
    found = measured_on(site, KNeighborsClassifier().fit(numbers(site.train), labels(site.train)))
    assert {"model.type", "model.kept_records", "model.smallest_leaf"} <= refusing(verdict_on(found))


def test_a_stranger_is_refused_by_name_and_never_called(site: corpora.Hospital) -> None:
    class Stranger(LogisticRegression):
        def predict_proba(self, x: np.ndarray) -> np.ndarray:
            raise AssertionError("called")

    found = measured_on(site, Stranger().fit(numbers(site.train), labels(site.train)))
    assert {part.name for part in found[1]} == {*STRUCTURE[1:], *ATTACKS}
    verdict = verdict_on(found)
    assert verdict.outcome == "fail"
    assert "Stranger" in next(ruling for ruling in verdict.rulings if ruling.rule == "model.type").measured.note


def test_a_rare_trait_with_an_effect_is_refused_until_the_effect_is_gone(site: corpora.Hospital) -> None:
    few = np.arange(site.train.height) < 4
    train = site.train.with_columns(
        region=pl.when(pl.Series(few))
        .then(pl.lit("islands"))
        .otherwise(pl.when(pl.col("region") == "islands").then(pl.lit("north")).otherwise(pl.col("region")))
    )
    changed = corpora.Hospital(train=train, tuning=site.tuning, holdout=site.holdout)
    model = glm(train, np.random.default_rng(0))
    assert {"model.rare_columns", "model.smallest_leaf"} == refusing(verdict_on(measured_on(changed, model)))
    place = model.column_names.index("region=islands")
    mended = tuple(0.0 if at == place else one for at, one in enumerate(model.coefficients))
    without = model.model_copy(update={"coefficients": mended})
    assert refusing(verdict_on(measured_on(changed, without))) == set()


def test_a_record_hidden_in_a_model_s_text_is_found(site: corpora.Hospital) -> None:
    names = [feature.name for feature in STUDY.features if feature.type in ("number", "integer")]
    row = site.train.drop_nulls().select(names).row(0)
    model = glm(site.train, np.random.default_rng(0))
    hidden = model.model_copy(update={"noise": "tuned on " + " ".join(f"{value:g}" for value in row)})
    assert "model.kept_records" in refusing(verdict_on(measured_on(site, to_bytes(hidden))))
    assert refusing(verdict_on(measured_on(site, to_bytes(model)))) == set()


def test_refits_of_another_model_do_not_vouch_for_this_one(site: corpora.Hospital) -> None:
    found = measured_on(site, tree(site.train, np.random.default_rng(0)), refit=glm)
    assert {"model.membership_auc", "model.overfit_gap"} <= refusing(verdict_on(found))
    assert any("another kind" in part.note for part in found[0])


def test_attacks_on_few_persons_are_not_evaluable_and_never_a_pass() -> None:
    small = corpora.hospital(np.random.default_rng(2), train=300, tuning=50, holdout=90)
    found = measured_on(small, glm(small.train, np.random.default_rng(0)))
    assert {part.name for part in found[1]} == set(ATTACKS)
    verdict = verdict_on(found)
    assert verdict.outcome in ("fail", "not_evaluable")
    assert {r.rule for r in verdict.rulings if r.outcome == "not_evaluable"} == {
        "model.overfit_gap",
        "model.membership_auc",
        "model.tpr_at_1_percent",
    }


def test_a_model_without_chances_is_judged_by_structure_alone(site: corpora.Hospital) -> None:
    model = CoxModel(
        form="breslow",
        time="age",
        features=STUDY.features,
        predictors=(Predictor(feature="sex"),),
        edges=(18.0, 60.0, 100.0),
        coefficients=(0.3,),
        baseline=(0.01, 0.02),
    )
    measured, absent = measured_on(site, model)
    assert {part.name for part in absent} == set(ATTACKS)
    assert {part.name for part in measured} == set(STRUCTURE)


def test_no_figure_counts_a_few_persons(site: corpora.Hospital) -> None:
    for model in (tree(site.train, np.random.default_rng(0)), glm(site.train, np.random.default_rng(0))):
        leaf = next(part for part in measured_on(site, model)[0] if part.name == "model.smallest_leaf")
        assert leaf.value in (0, 11) or leaf.value % 50 == 0


@pytest.mark.parametrize("data", [b"", b"\x80\x04\x95pickle", b"{}", b'{"schema":"wardgate/model/glm/1"}', b"[1]"])
def test_a_file_that_is_no_model_is_refused(site: corpora.Hospital, data: bytes) -> None:
    with pytest.raises(Invalid):
        measured_on(site, data)


def test_a_policy_without_limits_for_models_lets_none_leave(site: corpora.Hospital) -> None:
    old = STUDY.gate.model_copy(update={"models": None})
    verdict = verdict_on(measured_on(site, glm(site.train, np.random.default_rng(0)), policy=old), policy=old)
    assert refusing(verdict) == {"model.type"}


def test_a_measure_left_out_of_the_evidence_is_no_pass(site: corpora.Hospital) -> None:
    measured, absent = measured_on(site, glm(site.train, np.random.default_rng(0)))
    for rule in RULES:
        kept = tuple(part for part in measured if part.name != rule.name)
        assert rule.name in refusing(verdict_on((kept, absent)))


def test_a_further_attempt_widens_every_interval(site: corpora.Hospital) -> None:
    model = glm(site.train, np.random.default_rng(0))
    first, later = ({p.name: p for p in measured_on(site, model, attempt=attempt)[0]} for attempt in (1, 3))
    for name in ("model.overfit_gap", "model.membership_auc", "model.tpr_at_1_percent"):
        assert later[name].high > first[name].high

"""Columns of a regression, and models that save, load and predict."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from regression_driving import drive
from regression_tables import FEATURES, study_of, tables_of
from scipy.interpolate import BSpline

from wardgate.hub.pooling.cox import cox
from wardgate.hub.pooling.glm import glm
from wardgate.measures.encoding import design_matrix
from wardgate.measures.splines import basis, roughness
from wardgate.measures.terms import Term, design_of
from wardgate.models.saving import from_bytes, load, to_bytes
from wardgate.records.canonical import canonical
from wardgate.records.errors import Invalid

STUDY = study_of()
TABLES = tables_of()
POOLED = pl.concat(TABLES.values())
TERMS = (Term(feature="ward"), Term(feature="pressure", segments=6), Term(feature="age"), Term(feature="smoker"))


@given(st.integers(2, 40), st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_the_basis_is_scipys_and_a_row_adds_up_to_at_most_one(segments: int, values: list[float]) -> None:
    x = np.array(values)
    knots = np.linspace(-1 - 6 / segments, 1 + 6 / segments, segments + 7)
    oracle = np.column_stack([BSpline(knots, np.eye(segments + 3)[k], 3)(x) for k in range(segments + 3)])
    found = basis(x, segments=segments)
    assert np.allclose(found, oracle[:, 1:], atol=1e-9)
    assert found.min() >= 0 and found.sum(axis=1).max() <= 1 + 1e-12


def test_straight_lines_cost_nothing_and_bends_do() -> None:
    penalty = roughness(10)
    line = np.arange(1.0, 13.0)
    assert line @ penalty @ line == pytest.approx(0.0, abs=1e-12)
    assert (line**2) @ penalty @ (line**2) > 1


def test_missing_values_give_an_empty_row_of_the_basis() -> None:
    assert not basis(np.array([np.nan, 0.2]), segments=4)[0].any()


def test_both_roads_to_the_columns_agree_and_stay_in_range() -> None:
    design = design_of(FEATURES, TERMS)
    direct = design.matrix(POOLED)
    by_study = design.from_study(design_matrix(FEATURES, POOLED), POOLED)
    assert np.array_equal(direct, by_study)
    assert direct.shape[1] == design.columns == len(design.names)
    assert np.abs(direct).max() <= 1.0
    assert np.linalg.norm(direct, axis=1).max() <= design.norm + 1e-12


def test_reach_bounds_the_linear_predictor_and_is_reached() -> None:
    rng = np.random.default_rng(0)
    design = design_of(FEATURES, [Term(feature=feature.name) for feature in FEATURES])
    x = design.matrix(POOLED)
    for _ in range(50):
        beta = rng.normal(size=design.columns)
        assert np.abs(x @ beta).max() <= design.reach(beta) + 1e-12
        assert design.reach(beta) <= np.abs(beta).sum() + 1e-12


def test_centring_shortens_rows_and_changes_no_fitted_value() -> None:
    design = design_of(FEATURES, [Term(feature="smoker"), Term(feature="age")])
    x = design.matrix(POOLED)
    seen = x @ design.centring()
    assert np.abs(seen[:, 1]).max() == 0.5
    beta = np.array([0.3, -1.0, 2.0])
    assert np.allclose(seen @ beta, x @ (design.centring() @ beta))
    assert design.typical_norm < design.norm


@pytest.fixture(scope="module")
def models() -> list:
    sites = STUDY.sites
    return [
        drive(glm(study=STUDY, sites=sites, terms=TERMS), TABLES, STUDY).model,
        drive(glm(study=STUDY, sites=sites, family="linear", outcome="days"), TABLES, STUDY).model,
        drive(glm(study=STUDY, sites=sites, family="poisson", outcome="visits"), TABLES, STUDY).model,
        drive(cox(study=STUDY, sites=sites, time="days"), TABLES, STUDY).model,
        drive(cox(study=STUDY, sites=sites, time="days", form="cloglog"), TABLES, STUDY).model,
    ]


def test_a_saved_model_predicts_the_same_to_the_last_bit(models: list) -> None:
    for model in models:
        data = to_bytes(model)
        again = load(data)
        assert again == model and to_bytes(again) == data
        assert np.array_equal(again.predict(POOLED), model.predict(POOLED))
        assert b"pickle" not in data and json.loads(data)["schema"] == model.schema_


def test_a_table_and_its_design_predict_alike(models: list) -> None:
    for model in models:
        assert np.array_equal(model.predict(POOLED), model.predict(model.design.matrix(POOLED)))
        assert set(model.feature_names) <= set(POOLED.columns)


def test_probabilities_add_up_and_rank_as_the_linear_predictor(models: list) -> None:
    p = models[0].predict_proba(POOLED)
    assert p.shape == (POOLED.height, 2)
    assert np.allclose(p.sum(axis=1), 1.0)
    assert np.array_equal(np.argsort(p[:, 1]), np.argsort(models[0].linear_predictor(POOLED)))
    assert np.array_equal(models[0].predict(POOLED), (p[:, 1] > 0.5).astype(float))
    for model in models[3:]:
        alive = model.survival(POOLED)
        assert alive.min() >= 0 and alive.max() <= 1
        assert np.allclose(model.predict_proba(POOLED)[:, 0], alive[:, -1])
    with pytest.raises(Invalid, match="use predict"):
        models[1].predict_proba(POOLED)


def test_a_hospitals_own_intercept_moves_its_own_model_alone(models: list) -> None:
    moved = models[0].shifted(0.7)
    assert np.allclose(moved.linear_predictor(POOLED), models[0].linear_predictor(POOLED) + 0.7)


def test_wrong_data_are_refused(models: list) -> None:
    for model in models:
        with pytest.raises(Invalid):
            model.predict(POOLED.drop(model.feature_names[0]))
        with pytest.raises(Invalid, match="shape"):
            model.predict(np.zeros((3, 2)))
        with pytest.raises(Invalid, match="not finite"):
            model.predict(np.full((3, model.design.columns), np.nan))


def changed(model, **fields):  # type: ignore[no-untyped-def]
    """A model's bytes with fields replaced."""
    return canonical({**model.plain(), **fields})


BROKEN = {
    "empty": lambda model: b"",
    "no JSON": lambda model: b"\x80\x04\x95pickle",
    "a list": lambda model: b"[]",
    "no schema": lambda model: b"{}",
    "another schema": lambda model: changed(model, schema="wardgate/model/oracle/1"),
    "a schema that is no text": lambda model: changed(model, schema=["wardgate/model/glm/1"]),
    "cut off": lambda model: to_bytes(model)[:-5],
    "spaces": lambda model: to_bytes(model) + b" ",
    "a field more": lambda model: changed(model, more="1"),
    "NaN": lambda model: changed(model, coefficients=["nan"] * len(model.coefficients)),
    "infinite": lambda model: changed(model, coefficients=["inf"] * len(model.coefficients)),
    "one coefficient short": lambda model: changed(model, coefficients=model.plain()["coefficients"][1:]),
    "no predictor": lambda model: changed(model, predictors=[]),
    "an unknown predictor": lambda model: changed(model, predictors=[{"feature": "nobody", "segments": 0}]),
    "too many segments": lambda model: changed(model, predictors=[{"feature": "age", "segments": 4000}]),
    "deep": lambda model: b"[" * 100_000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_refused(name: str, models: list) -> None:
    for model in (models[0], models[3]):
        with pytest.raises(Invalid):
            from_bytes(BROKEN[name](model))


def test_a_cox_model_with_falling_edges_is_refused(models: list) -> None:
    edges = models[3].plain()["edges"]
    with pytest.raises(Invalid, match="rising edges"):
        load(changed(models[3], edges=edges[::-1]))

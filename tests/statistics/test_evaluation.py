"""Any model's figures from binned sums against scikit-learn on the pooled scores; recalibration against its oracle."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from wardgate.computations.carried import carried, unloaded
from wardgate.computations.model_scores import ModelScores, listing
from wardgate.computations.platt import Platt
from wardgate.hospital.ward.learning import model_scores as scores_here
from wardgate.hospital.ward.learning import platt as platt_here
from wardgate.hospital.ward.learning.scores import scores
from wardgate.hub.pooling.model_scores import evaluation
from wardgate.hub.pooling.platt import recalibrated, recalibration
from wardgate.measures.encoding import LABEL, design_matrix, labels
from wardgate.measures.evaluation import Bins, bins_of, evaluate, mass_edges, score_edges
from wardgate.measures.logistic import fit
from wardgate.models.linear import LinearModel
from wardgate.models.saving import load
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.errors import Invalid, NotEvaluable, Refused
from wardgate.records.messages import Question
from wardgate.records.opening import check_listed
from wardgate.records.parcel import pack_vector
from wardgate.records.study import Study

SITES = ("a", "b", "c")


def linear(study: Study, table: pl.DataFrame, *, slope: float = 1.0, shift: float = 0.0) -> LinearModel:
    """A fitted model, made too sure and off on purpose."""
    beta = fit(design_matrix(study.features, table), labels(table), ridge=1.0)
    beta = beta * slope
    beta[0] += shift
    return LinearModel.from_plain(
        {
            "schema": "wardgate/model/glm/1",
            "family": "logistic",
            "outcome": LABEL,
            "features": [feature.plain() for feature in study.features],
            "predictors": [{"feature": feature.name} for feature in study.features],
            "coefficients": [float(value) for value in beta],
        }
    )


@pytest.fixture
def model(study: Study, make_persons: Any) -> LinearModel:
    return linear(study, make_persons(800, seed=77), slope=1.5, shift=0.4)


@pytest.mark.parametrize("rounds", [1, 2])
def test_figures_equal_those_of_the_pooled_scores(pool: Any, study: Study, model: LinearModel, rounds: int) -> None:
    thresholds = (0.1, 0.25, 0.5)
    found = pool.drive(
        evaluation(study=study, sites=SITES, model=model, persons_at_least=3_000, thresholds=thresholds, rounds=rounds)
    )
    assert [ask.split for ask in pool.asks] == ["holdout"] * rounds
    p, y = model.predict_proba(pool.whole)[:, 1], pool.whole["label"].to_numpy()
    figures = found.figures
    assert abs(figures.auroc.value - roc_auc_score(y, p)) <= figures.auroc_error + 1e-12
    assert figures.auroc_error < (0.008 if rounds == 1 else 0.002)
    assert figures.auroc.low < roc_auc_score(y, p) < figures.auroc.high
    assert figures.oe.value == pytest.approx(y.sum() / p.sum(), rel=1e-12)
    assert figures.brier.value == pytest.approx(brier_score_loss(y, p), rel=1e-12)
    assert (figures.events, figures.non_events) == (y.sum(), len(y) - y.sum())
    for one in figures.decisions:
        above = p >= one.threshold
        weight = one.threshold / (1 - one.threshold)
        assert one.sensitivity.value == pytest.approx(above[y == 1].mean(), abs=1e-12)
        assert one.specificity.value == pytest.approx((~above)[y == 0].mean(), abs=1e-12)
        assert one.net_benefit.value == pytest.approx((y[above].sum() - weight * (1 - y)[above].sum()) / len(y))
        assert one.treat_all == pytest.approx((y.sum() - weight * (1 - y).sum()) / len(y))
        assert one.treated == pytest.approx(above.mean())
        assert one.sensitivity.low < one.sensitivity.value < one.sensitivity.high
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(p)[:, None], y)
    assert figures.slope.value == pytest.approx(oracle.coef_[0, 0], abs=0.01)
    assert len(figures.curve) >= 5


def test_recalibration_equals_the_pooled_regression_on_the_logit(pool: Any, study: Study, model: LinearModel) -> None:
    found = pool.drive(recalibration(study=study, sites=SITES, model=model))
    assert {ask.split for ask in pool.asks} == {"tuning"}
    p, y = model.predict_proba(pool.whole)[:, 1], pool.whole["label"].to_numpy()
    oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1_000).fit(logit(p)[:, None], y)
    assert found.slope == pytest.approx(oracle.coef_[0, 0], abs=1e-5)
    assert found.intercept == pytest.approx(oracle.intercept_[0], abs=1e-5)
    q = expit(found.intercept + found.slope * logit(p))
    x = np.column_stack([np.ones(len(p)), logit(p)])
    assert np.max(np.abs(x.T @ (y - q))) < 1e-6, "the score equations of the exact optimum hold"
    information = x.T @ (x * (q * (1 - q))[:, None])
    assert found.deviation == pytest.approx(np.sqrt(np.diag(np.linalg.inv(information))), rel=1e-6)
    better = recalibrated(model, found)
    assert better.predict_proba(pool.whole)[:, 1] == pytest.approx(q, abs=1e-12)
    again = load(better.to_bytes())
    assert np.array_equal(again.predict_proba(pool.whole), better.predict_proba(pool.whole))
    judged = pool.drive(evaluation(study=study, sites=SITES, model=better, persons_at_least=3_000)).figures
    assert judged.oe.value == pytest.approx(1.0, abs=1e-8)
    assert judged.slope.value == pytest.approx(1.0, abs=0.01)


def test_an_intercept_update_moves_the_mean_and_leaves_the_slope(pool: Any, study: Study, model: LinearModel) -> None:
    found = pool.drive(recalibration(study=study, sites=SITES, model=model, intercept_only=True))
    p, y = model.predict_proba(pool.whole)[:, 1], pool.whole["label"].to_numpy()
    assert found.slope == 1.0
    assert found.deviation[1] == 0.0
    assert expit(found.intercept + logit(p)).sum() == pytest.approx(y.sum(), rel=1e-9)


def test_noisy_figures_hold_the_truth_and_cost_what_they_say(
    study: Study, make_persons: Any, make_pool: Any, model: LinearModel
) -> None:
    whole = make_persons(6_000, seed=12)
    p, y = model.predict_proba(whole)[:, 1], whole["label"].to_numpy()
    truth = roc_auc_score(y, p)
    held = calibrated = 0
    for seed in range(10):
        pool = make_pool(study, [whole], seed=seed)
        found = pool.drive(
            evaluation(study=study, sites=SITES, model=model, persons_at_least=6_000, epsilon=1.0, thresholds=(0.3,))
        )
        assert 0.99 < epsilon_of(gaussian=found.gaussian, delta=study.budget.delta) <= 1.0
        held += found.figures.auroc.low <= truth <= found.figures.auroc.high
        calibrated += found.figures.oe.low <= y.sum() / p.sum() <= found.figures.oe.high
    assert min(held, calibrated) >= 9
    pool = make_pool(study, [whole], seed=1)
    exact = pool.drive(recalibration(study=study, sites=SITES, model=model))
    noisy = pool.drive(recalibration(study=study, sites=SITES, model=model, epsilon=1.0))
    assert 0.99 < epsilon_of(gaussian=noisy.gaussian, delta=study.budget.delta) <= 1.0
    assert abs(noisy.slope - exact.slope) < 0.15
    assert abs(noisy.intercept - exact.intercept) < 0.15
    assert abs(noisy.slope - exact.slope) < 0.5 * abs(1 - exact.slope), "better than no recalibration"


def test_a_model_travels_as_a_vector_and_comes_back(model: LinearModel) -> None:
    data = model.to_bytes()
    assert unloaded(carried(data)) == data
    assert len(carried(data)) < len(data) / 5 + 3


@given(st.binary(min_size=1, max_size=40))
def test_any_bytes_travel(data: bytes) -> None:
    assert unloaded(carried(data)) == data


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(0),
        np.zeros(3),
        np.array([5.0]),
        np.array([7.0, 1.0]),
        np.array([5.0, 1.0, 1.0]),
        np.array([5.0, 0.5]),
        np.array([5.0, -1.0]),
        np.array([5.0, 2.0**48]),
        np.array([5.0, 2.0**47]),
        np.array([np.nan, 1.0]),
        np.array([1e300, 1.0]),
        np.ones((2, 2)),
    ],
)
def test_a_vector_that_carries_nothing_is_refused(vector: Any) -> None:
    with pytest.raises(Invalid):
        unloaded(vector)


def test_an_opening_is_held_to_the_listed_model(study: Study, model: LinearModel, make_persons: Any) -> None:
    asked = ModelScores(model=model.to_bytes(), edges=np.array([0.5]), called="joint")

    def question(one: ModelScores) -> Question:
        refs = tuple(pack_vector(name, values)[0] for name, values in one.arrays())
        return Question.model_validate(
            {
                "study_sha256": "0" * 64,
                "number": 1,
                "computation": "model_scores",
                "parameters": one.parameters(),
                "split": "locked_test",
                "vectors": refs,
            }
        )

    assert check_listed(question(asked)) == asked.parameters()["models_sha256"]
    other = linear(study, make_persons(300, seed=1))
    swapped = ModelScores(
        model=other.to_bytes(), edges=asked.edges, called="joint", listed=listing({"joint": model.to_bytes()})
    )
    with pytest.raises(Refused, match="not in it"):
        check_listed(question(swapped))
    assert "locked_test" in ModelScores.splits
    assert "locked_test" not in Platt.splits


class Broken:
    """A model whose scores are given."""

    def __init__(self, given_: Any) -> None:
        self.given = given_

    def predict_proba(self, table: pl.DataFrame) -> Any:
        return self.given


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (np.full((5, 2), np.nan), "no probabilities"),
        (np.full((5, 2), 1.5), "no probabilities"),
        (np.full((5, 2), -0.1), "no probabilities"),
        (np.zeros((5, 3)), "two probabilities"),
        (np.zeros(5), "two probabilities"),
    ],
)
def test_a_broken_model_is_named_and_no_score_is_quoted(given_: Any, words: str, make_persons: Any) -> None:
    with pytest.raises(Invalid, match=words) as caught:
        scores(Broken(given_), make_persons(5, seed=1))
    assert "1.5" not in str(caught.value)
    assert "-0.1" not in str(caught.value)
    assert scores(Broken(given_), make_persons(5, seed=1)[:0]).tolist() == []
    with pytest.raises(Invalid, match="predicts no probabilities"):
        scores(object(), make_persons(5, seed=1))


def test_no_person_passes_the_bound_or_the_norm(
    study: Study, model: LinearModel, make_persons: Any, make_pool: Any
) -> None:
    data, table = model.to_bytes(), make_persons(30, seed=8)
    asks = [
        (ModelScores(model=data, edges=np.array([0.2, 0.4, 0.9])), scores_here),
        (Platt(model=data, beta=np.array([0.3, 15.0]), largest=20.0), platt_here),
        (Platt(model=data, beta=np.array([0.3, 4.0]), largest=5.0, noisy=True), platt_here),
    ]
    for asked, room in asks:
        total = 0.0
        for row in range(30):
            one = room.answer(asked, bench=make_pool(study, [table[row : row + 1]]).benches[0], split="holdout")
            assert np.all(np.abs(one.vector) <= one.shape.bound + 1e-12)
            assert np.linalg.norm(one.vector) <= one.shape.l2 + 1e-12
            total = total + one.vector
        whole = room.answer(asked, bench=make_pool(study, [table]).benches[0], split="holdout")
        assert whole.vector == pytest.approx(total, abs=1e-9)
        again = type(asked).read(asked.parameters(), dict(asked.arrays()))
        assert again.parameters() == asked.parameters()
        assert again.model == data


def test_the_bound_on_the_auroc_is_reached_and_never_passed() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        p, y = rng.random(400), rng.integers(0, 2, 400)
        p = np.where(y == 1, p ** rng.uniform(0.3, 1), p)
        edges = np.sort(rng.random(rng.integers(1, 12)))
        found = evaluate(bins_of(scores_here.binned(p, y.astype(np.int8), edges), edges))
        assert abs(found.auroc.value - roc_auc_score(y, p)) <= found.auroc_error + 1e-12
    p, y = np.repeat([0.2, 0.3], 50), np.repeat([0, 1], 50).astype(np.int8)
    edges = np.array([0.5])
    worst = evaluate(bins_of(scores_here.binned(p, y, edges), edges))
    assert (worst.auroc.value, worst.auroc_error, roc_auc_score(y, p)) == (0.5, 0.5, 1.0)


def test_figures_of_one_class_or_few_events_are_not_evaluable(
    study: Study, make_persons: Any, make_pool: Any, model: LinearModel
) -> None:
    whole = make_persons(200, seed=3)
    for table in (whole.filter(pl.col("label") == 1), whole.filter(pl.col("label") == 1)[:5], whole[:0]):
        pool = make_pool(study, [table])
        with pytest.raises(NotEvaluable, match="events or non-events"):
            pool.drive(evaluation(study=study, sites=SITES, model=model, persons_at_least=200))
        with pytest.raises(NotEvaluable):
            pool.drive(recalibration(study=study, sites=SITES, model=model))


def test_scores_that_separate_or_do_not_vary_have_no_recalibration(
    study: Study, make_persons: Any, make_pool: Any, model: LinearModel
) -> None:
    table = make_persons(300, seed=3)
    p = model.predict_proba(table)[:, 1]
    sure = table.with_columns(label=pl.Series((p > np.median(p)).astype(np.int8)))
    with pytest.raises(NotEvaluable, match=r"no finite recalibration|alike"):
        make_pool(study, [sure]).drive(recalibration(study=study, sites=SITES, model=model))
    same = pl.concat([table[:1]] * 40).with_columns(label=pl.Series([0, 1] * 20, dtype=pl.Int8))
    with pytest.raises(NotEvaluable, match="alike"):
        make_pool(study, [same]).drive(recalibration(study=study, sites=SITES, model=model))


def test_bad_edges_thresholds_and_questions_are_named(study: Study, model: LinearModel) -> None:
    for edges in ([0.5, 0.4], [0.4, 0.4], [0.0, 0.5], [0.5, 1.0], [np.nan], []):
        with pytest.raises(Invalid, match="edges of score bins"):
            ModelScores(model=b"{}", edges=np.array(edges)).shape(study)
    with pytest.raises(Invalid, match="between 0 and 1"):
        score_edges(bins=10, thresholds=(1.0,))
    with pytest.raises(Invalid, match="at least 2 bins"):
        score_edges(bins=1)
    flat = Bins(
        edges=np.array([0.5]), events=np.ones(2) * 20, non_events=np.ones(2) * 20, predicted=np.ones(2), squared=9
    )
    with pytest.raises(Invalid, match="no edge"):
        evaluate(flat, thresholds=(0.3,))
    with pytest.raises(Invalid, match="expected 7 sums"):
        bins_of(np.zeros(5), np.array([0.5]))
    for fields in ({"rounds": 3}, {"bins": 1}, {"called": "edges"}):
        with pytest.raises(Invalid):
            next(evaluation(study=study, sites=SITES, model=model, persons_at_least=300, **fields))
    with pytest.raises(Invalid, match="intercept and a slope"):
        Platt(model=b"{}", beta=np.zeros(3), largest=5.0).shape(study)


MUSEUM = [
    (ModelScores, {}, {}),
    (ModelScores, {"models": "m", "listed": {}}, {"m": carried(b"{}"), "edges": np.ones(1)}),
    (ModelScores, {"models": ["m", "n"], "listed": {}}, {"m": carried(b"{}"), "edges": np.ones(1)}),
    (ModelScores, {"models": ["edges"], "listed": {}}, {"edges": carried(b"{}")}),
    (ModelScores, {"models": ["m"], "listed": []}, {"m": carried(b"{}"), "edges": np.ones(1)}),
    (ModelScores, {"models": ["m"], "listed": {}}, {"m": carried(b"{}")}),
    (ModelScores, {"models": ["m"], "listed": {}}, {"m": np.ones(1), "edges": np.ones(1)}),
    (Platt, {}, {}),
    (Platt, {"noisy": 0, "largest": "20"}, {"model": carried(b"{}"), "beta": np.ones(2)}),
    (Platt, {"noisy": False, "largest": "nan"}, {"model": carried(b"{}"), "beta": np.ones(2)}),
    (Platt, {"noisy": False, "largest": "1000"}, {"model": carried(b"{}"), "beta": np.ones(2)}),
    (Platt, {"noisy": False}, {"model": carried(b"{}"), "beta": np.ones(2)}),
    (Platt, {"noisy": False, "largest": "20"}, {"model": carried(b"{}")}),
]


@pytest.mark.parametrize(("kind", "parameters", "arrays"), MUSEUM)
def test_broken_parameters_are_refused(kind: Any, parameters: Any, arrays: Any) -> None:
    with pytest.raises(Invalid):
        kind.read(parameters, arrays)


def test_bins_of_equal_mass_hold_about_as_many_persons() -> None:
    rng = np.random.default_rng(1)
    p = expit(rng.normal(-2, 0.8, 20_000))
    edges = score_edges(bins=40)
    counts = np.bincount(np.searchsorted(edges, p, side="right"), minlength=len(edges) + 1).astype(float)
    finer = mass_edges(edges, counts, bins=50, thresholds=(0.37,))
    assert 0.37 in finer
    held = np.bincount(np.searchsorted(finer, p, side="right"))
    assert np.quantile(held, 0.9) < 2 * 20_000 / 50

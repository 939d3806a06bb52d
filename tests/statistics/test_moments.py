"""Means, variances, covariance and components against numpy and scikit-learn on the pooled rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA

from wardgate.computations.moments import Moments
from wardgate.computations.summaries import Summaries
from wardgate.hospital.ward.learning import moments as moments_here
from wardgate.hospital.ward.learning import summaries as summaries_here
from wardgate.hub.pooling.moments import components, moments
from wardgate.hub.pooling.summaries import standard, summaries
from wardgate.measures.components import components_of, signed
from wardgate.measures.encoding import design_matrix
from wardgate.measures.summaries import Second, nearest_semidefinite
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.feature import Feature
from wardgate.records.study import Study

SITES = ("a", "b", "c")


def test_summaries_equal_the_pooled_ones(pool: Any, study: Study) -> None:
    found = pool.drive(summaries(study=study, sites=SITES))
    (group,) = found.groups
    assert (found.rounds, found.gaussian) == (2, ())
    for one in group:
        values = pool.whole[one.feature].drop_nulls().to_numpy()
        assert one.present == len(values)
        assert one.missing == pool.whole.height - len(values)
        assert one.mean == pytest.approx(values.mean(), rel=1e-12)
        assert one.variance == pytest.approx(values.var(ddof=1), rel=1e-11)
        assert one.error == pytest.approx(values.std(ddof=1) / np.sqrt(len(values)), rel=1e-11)


def test_summaries_by_label_equal_the_pooled_ones_of_each_class(pool: Any, study: Study) -> None:
    found = pool.drive(summaries(study=study, sites=SITES, features=("age", "cough"), by_label=True))
    for label, group in enumerate(found.groups):
        for one in group:
            values = pool.whole.filter(pl.col("label") == label)[one.feature].drop_nulls().to_numpy()
            assert (one.present, one.mean) == (len(values), pytest.approx(values.mean(), rel=1e-12))
            assert one.deviation == pytest.approx(values.std(ddof=1), rel=1e-11)


def test_a_tiny_variance_far_from_the_middle_keeps_its_digits(make_study: Any, make_pool: Any) -> None:
    study = make_study(Feature(name="sodium", type="number", unit="mmol/L", range=(0, 1e6), missing="refused"))
    values = 700_000 + np.random.default_rng(0).normal(0, 0.01, 900)
    table = pl.DataFrame({"sodium": values, "label": np.zeros(900, dtype=np.int8)})
    pool = make_pool(study, [table[:300], table[300:500], table[500:]])
    (one,) = pool.drive(summaries(study=study, sites=SITES)).groups[0]
    scaled_back = np.var(values, ddof=1)
    assert one.variance == pytest.approx(scaled_back, rel=1e-5), "doubles near 1 resolve 1e-16 of a range of 1e6"
    assert one.mean == pytest.approx(values.mean(), rel=1e-12)


def test_standardisation_uses_mean_and_deviation_and_leaves_constants(make_study: Any, make_pool: Any) -> None:
    study = make_study(
        Feature(name="x", type="number", unit="1", range=(0, 10), missing="refused"),
        Feature(name="flat", type="number", unit="1", range=(0, 10), missing="refused"),
    )
    table = pl.DataFrame({"x": np.linspace(1, 9, 60), "flat": np.full(60, 3.0), "label": np.zeros(60, dtype=np.int8)})
    pool = make_pool(study, [table[:20], table[20:40], table[40:]])
    found = standard(pool.drive(summaries(study=study, sites=SITES)), study)
    assert found.mean == pytest.approx([5.0, 3.0])
    assert found.deviation == pytest.approx([table["x"].std(), 1.0])


def test_missing_values_of_a_few_persons_are_not_told(make_study: Any, make_pool: Any) -> None:
    study = make_study(Feature(name="x", type="number", unit="1", range=(0, 10)))
    values = pl.Series([None] * 3 + [5.0] * 97)
    pool = make_pool(study, [pl.DataFrame({"x": values, "label": np.zeros(100, dtype=np.int8)})])
    (one,) = pool.drive(summaries(study=study, sites=SITES)).groups[0]
    assert np.isnan(one.missing) and np.isnan(one.present)
    few = make_pool(study, [pl.DataFrame({"x": pl.Series([None] * 95 + [5.0] * 5), "label": [0] * 100})])
    (one,) = few.drive(summaries(study=study, sites=SITES)).groups[0]
    assert np.isnan(one.mean) and np.isnan(one.present)


@pytest.mark.parametrize("rows", ["all", "complete"])
def test_covariance_and_correlation_equal_the_pooled_ones(pool: Any, study: Study, rows: Any) -> None:
    names = ("age", "glucose", "sex=M", "stage=III", "smoker")
    found = pool.drive(moments(study=study, sites=SITES, columns=names, rows=rows)).second
    table = pool.whole if rows == "all" else pool.whole.drop_nulls(["age", "glucose", "sex", "stage", "smoker"])
    x = design_matrix(study.features, table)[:, [1, 2, 4, 6, 9]]
    assert found.persons == table.height
    assert found.mean == pytest.approx(x.mean(axis=0), rel=1e-11)
    assert np.max(np.abs(found.covariance / np.cov(x.T) - 1)) < 1e-9
    assert found.correlation() == pytest.approx(np.corrcoef(x.T), abs=1e-12)


@pytest.mark.parametrize("standardise", [False, True])
def test_components_equal_scikit_learn_on_pooled_rows(pool: Any, study: Study, standardise: bool) -> None:
    names = ("age", "glucose", "sex=M", "stage=II", "stage=III", "smoker", "cough")
    found, spread = pool.drive(components(study=study, sites=SITES, count=4, columns=names, standardise=standardise))
    x = design_matrix(study.features, pool.whole)
    x = x[:, list(Moments(columns=names, centre=np.zeros(7)).places(study))]
    rows = (x - x.mean(axis=0)) / (x.std(axis=0, ddof=1) if standardise else 1.0)
    oracle = PCA(n_components=4, svd_solver="full").fit(rows)
    assert found.variance == pytest.approx(oracle.explained_variance_, rel=1e-9)
    assert found.share == pytest.approx(oracle.explained_variance_ratio_, rel=1e-9)
    assert found.loadings == pytest.approx(signed(oracle.components_), abs=1e-8)
    assert found.transform(x) == pytest.approx(rows @ signed(oracle.components_).T, abs=1e-7)
    assert np.all(found.loadings[np.arange(4), np.abs(found.loadings).argmax(axis=1)] > 0)
    assert spread.rounds == 2


def test_noisy_moments_are_semidefinite_near_the_truth_and_cost_what_they_say(pool: Any, study: Study) -> None:
    names = ("age", "glucose", "smoker")
    exact = pool.drive(moments(study=study, sites=SITES, columns=names)).second
    found = pool.drive(moments(study=study, sites=SITES, columns=names, epsilon=1.0))
    assert np.linalg.eigvalsh(found.second.covariance).min() >= -1e-12
    assert 0.99 < epsilon_of(gaussian=found.gaussian, delta=study.budget.delta) <= 1.0
    assert np.max(np.abs(found.second.covariance - exact.covariance)) < 6 * found.second.noise * np.sqrt(2)
    assert found.second.mean == pytest.approx(exact.mean, abs=0.03)
    noisy = pool.drive(summaries(study=study, sites=SITES, epsilon=1.0))
    assert noisy.rounds == 1
    assert 0.99 < epsilon_of(gaussian=noisy.gaussian, delta=study.budget.delta) <= 1.0
    for one in noisy.groups[0]:
        values = pool.whole[one.feature].drop_nulls().to_numpy()
        assert abs(one.mean - values.mean()) < 5 * one.mean_noise


def test_the_nearest_semidefinite_matrix_is_nearer_than_any_other_tried() -> None:
    rng = np.random.default_rng(3)
    wild = rng.normal(size=(4, 4))
    wild = wild + wild.T
    found = nearest_semidefinite(wild)
    assert np.linalg.eigvalsh(found).min() >= -1e-12
    for _ in range(200):
        half = rng.normal(size=(4, 4))
        assert np.linalg.norm(half @ half.T - wild) >= np.linalg.norm(found - wild) - 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_no_person_passes_the_bound_or_the_norm(
    study: Study, make_persons: Callable[..., pl.DataFrame], make_pool: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    table = make_persons(40, seed=seed)
    names = ("age", "glucose", "glucose=missing", "stage=IV", "cough")
    blank = Moments(columns=names, centre=np.zeros(5))
    span = blank.span(study)
    centre = span.low + (span.high - span.low) * rng.choice([0.0, 0.3, 1.0], 5)
    joint = [Moments(columns=names, centre=centre, order=order) for order in (1, 2)]
    low = np.array([-1.0, -1.0, 0.0])
    single = Summaries(features=("age", "glucose", "cough"), centre=low, by_label=bool(seed % 2))
    for asked, room in [*((one, moments_here) for one in joint), (single, summaries_here)]:
        total = 0.0
        for row in range(table.height):
            bench = make_pool(study, [table[row : row + 1]]).benches[0]
            one = room.answer(asked, bench=bench, split="train")
            assert np.all(np.abs(one.vector) <= one.shape.bound + 1e-12)
            assert np.linalg.norm(one.vector) <= one.shape.l2 + 1e-12
            total = total + one.vector
        whole = room.answer(asked, bench=make_pool(study, [table]).benches[0], split="train")
        assert whole.vector == pytest.approx(total, abs=1e-9)


def test_parameters_and_arrays_read_back(study: Study) -> None:
    joint = Moments(columns=("age", "cough"), centre=np.array([0.25, 0.5]), order=1, rows="complete")
    again = Moments.read(joint.parameters(), dict(joint.arrays()))
    assert (again.parameters(), again.shape(study).l2) == (joint.parameters(), joint.shape(study).l2)
    single = Summaries(features=("age",), centre=np.zeros(1), by_label=True)
    assert Summaries.read(single.parameters(), dict(single.arrays())).parameters() == single.parameters()


MUSEUM = [
    (Moments, {}, {}),
    (Moments, {"columns": ["age"], "order": 3, "rows": "all"}, {"centre": np.zeros(1)}),
    (Moments, {"columns": ["age"], "order": 2, "rows": "some"}, {"centre": np.zeros(1)}),
    (Moments, {"columns": ["age"], "order": 2, "rows": "all"}, {}),
    (Moments, {"columns": [7], "order": 2, "rows": "all"}, {"centre": np.zeros(1)}),
    (Moments, {"columns": ["age"], "order": True, "rows": "all"}, {"centre": np.zeros(1)}),
    (Summaries, {}, {}),
    (Summaries, {"features": "age", "by_label": False}, {"centre": np.zeros(1)}),
    (Summaries, {"features": ["age"], "by_label": 1}, {"centre": np.zeros(1)}),
]


@pytest.mark.parametrize(("kind", "parameters", "arrays"), MUSEUM)
def test_broken_parameters_are_refused(kind: Any, parameters: Any, arrays: Any) -> None:
    with pytest.raises(Invalid):
        kind.read(parameters, arrays)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Moments(columns=("height",), centre=np.zeros(1)), "no column"),
        (Moments(columns=("intercept",), centre=np.zeros(1)), "no column"),
        (Moments(columns=("age", "age"), centre=np.zeros(2)), "different columns"),
        (Moments(columns=(), centre=np.zeros(0)), "1 to 1000"),
        (Moments(columns=("age",), centre=np.zeros(2)), "centre for 1"),
        (Moments(columns=("age",), centre=np.array([np.nan])), "within the scaled range"),
        (Moments(columns=("smoker",), centre=np.array([-0.5])), "within the scaled range"),
        (Summaries(features=("sex",), centre=np.zeros(1)), "category"),
        (Summaries(features=("height",), centre=np.zeros(1)), "not a feature"),
        (Summaries(features=(), centre=np.zeros(0)), "1 to 2000"),
    ],
)
def test_what_the_study_does_not_know_has_no_shape(asked: Any, words: str, study: Study) -> None:
    with pytest.raises(Invalid, match=words):
        asked.shape(study)


def test_a_constant_column_has_a_covariance_and_no_correlation(pool: Any, study: Study) -> None:
    second = pool.drive(moments(study=study, sites=SITES, columns=("age", "glucose"))).second
    flat = Second(columns=("age", "flat"), persons=9.0, mean=np.zeros(2), covariance=np.diag([1.0, 0.0]))
    with pytest.raises(Invalid, match="'flat' is constant"):
        flat.correlation()
    with pytest.raises(Invalid, match="'flat' is constant"):
        components_of(flat, standardise=True)
    assert components_of(flat).variance.tolist() == [1.0, 0.0]
    with pytest.raises(Invalid, match="1 to 2 components"):
        components_of(second, count=3)
    with pytest.raises(Invalid, match="no column varies"):
        components_of(Second(columns=("flat",), persons=9.0, mean=np.zeros(1), covariance=np.zeros((1, 1))))


def test_nobody_and_too_few_are_named(study: Study, make_persons: Any, make_pool: Any) -> None:
    nobody = make_pool(study, [make_persons(5, seed=1)[:0], make_persons(5, seed=1)[:4]])
    for driver in (
        summaries(study=study, sites=SITES),
        moments(study=study, sites=SITES),
        components(study=study, sites=SITES),
    ):
        with pytest.raises(NotEvaluable, match="fewer than 11 persons"):
            nobody.drive(driver)

"""Every way in which a fit can fail has a name and says what to do; nothing ends in a silent wrong number."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from regression_driving import Hospital, drive
from regression_tables import study_of, tables_of

from wardgate.computations.cox import Cox
from wardgate.computations.glm import Glm, View
from wardgate.hospital.ward.learning import glm as ward
from wardgate.hub.pooling.ask import Told
from wardgate.hub.pooling.cox import cox
from wardgate.hub.pooling.glm import glm
from wardgate.hub.pooling.noisy_cox import noisy_cox
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.measures.outcomes import predictors
from wardgate.measures.survival import joined
from wardgate.measures.terms import Term
from wardgate.records.errors import Invalid, NotEvaluable, Unsupported

STUDY = study_of()
TABLES = tables_of()
SITES = STUDY.sites


def everywhere(**columns: pl.Expr) -> dict[str, pl.DataFrame]:
    return {site: table.with_columns(**columns) for site, table in TABLES.items()}


def test_a_constant_column_without_ridge_is_named() -> None:
    with pytest.raises(Invalid, match="'smoker' is zero for every person"):
        drive(glm(study=STUDY, sites=SITES, ridge=0.0), everywhere(smoker=pl.lit(0.0)), STUDY)
    with pytest.raises(Invalid, match=r"'smoker'.* cannot be told apart"):
        drive(glm(study=STUDY, sites=SITES, ridge=0.0), everywhere(smoker=pl.lit(1.0)), STUDY)


def test_a_constant_column_at_one_site_alone_is_no_problem() -> None:
    tables = {**TABLES, "s2": TABLES["s2"].with_columns(smoker=pl.lit(0.0))}
    assert np.all(np.isfinite(drive(glm(study=STUDY, sites=SITES, ridge=0.0), tables, STUDY).model.beta))


def test_separable_data_without_ridge_are_refused_and_with_ridge_end_at_its_optimum() -> None:
    tables = everywhere(smoker=pl.col("label").cast(pl.Float64))
    with pytest.raises(Invalid, match=r"grows without end|cannot be told apart"):
        drive(glm(study=STUDY, sites=SITES, ridge=0.0), tables, STUDY)
    found = drive(glm(study=STUDY, sites=SITES), tables, STUDY)
    assert np.all(np.isfinite(found.model.beta))


@pytest.mark.parametrize("value", [0, 1])
def test_one_class_everywhere_is_refused(value: int) -> None:
    tables = everywhere(label=pl.lit(value, dtype=pl.Int8))
    with pytest.raises(Invalid, match=r"never varies|singular"):
        drive(glm(study=STUDY, sites=SITES), tables, STUDY)
    with pytest.raises(Invalid):
        drive(glm(study=STUDY, sites=SITES, site_ridge=1.0), tables, STUDY)


def test_nobody_with_the_event_is_refused_by_cox() -> None:
    with pytest.raises(Invalid, match="nobody had the event"):
        drive(cox(study=STUDY, sites=SITES, time="days"), everywhere(label=pl.lit(0, dtype=pl.Int8)), STUDY)


def test_sites_with_nobody_or_one_person_change_nothing_but_their_persons() -> None:
    tables = {**TABLES, "s3": TABLES["s3"].head(0), "s4": TABLES["s4"].head(1)}
    found = drive(glm(study=STUDY, sites=SITES), tables, STUDY)
    assert np.all(np.isfinite(found.model.beta))
    with pytest.raises(Invalid, match="zero for every person"):
        drive(glm(study=STUDY, sites=SITES), {site: table.head(0) for site, table in TABLES.items()}, STUDY)


def test_too_few_rounds_are_named() -> None:
    with pytest.raises(Invalid, match="no convergence within 2 rounds"):
        drive(glm(study=STUDY, sites=SITES, rounds=2), TABLES, STUDY)


def test_a_site_that_drops_out_is_left_out_and_the_rest_is_their_own_pooled_fit() -> None:
    rest = {site: TABLES[site] for site in ("s1", "s2", "s3")}
    for options in ({}, {"family": "linear", "outcome": "days"}, {"firth": True}):
        road = glm(study=STUDY, sites=SITES, **options)
        found = _dropping(road, after=2)
        alone = drive(glm(study=STUDY, sites=tuple(rest), **options), rest, STUDY)
        if options.get("family") != "linear":
            assert found.sites == tuple(rest)
            assert np.max(np.abs(found.model.beta - alone.model.beta)) < 1e-8


def _dropping(road, *, after: int):  # type: ignore[no-untyped-def]
    """Sum over all sites for `after` questions, then over all but the last."""
    benches = {site: Hospital(STUDY, table) for site, table in TABLES.items()}
    told, asked = None, 0
    while True:
        try:
            ask = next(road) if told is None else road.send(told)
        except StopIteration as done:
            return done.value
        asked += 1
        sites = tuple(site for site in ask.sites if asked <= after or site != "s4")
        question = Glm.read(ask.parameters, dict(ask.arrays))
        total = np.sum([ward.answer(question, bench=benches[site], split="train").vector for site in sites], axis=0)
        told = Told(total=total, sites=sites)


def test_noise_with_site_intercepts_or_firth_is_unsupported_and_says_why() -> None:
    terms = predictors(STUDY.features, "label")
    view = View(lens=np.eye(10), row=1.0, residual=1.0, hessian_share=0.5)
    own = Glm(family="logistic", outcome="label", terms=terms, beta=np.zeros(10), site_ridge=1.0)
    with pytest.raises(Unsupported, match="one person also moves"):
        replace(own, view=view)
    with pytest.raises(Unsupported, match="one person also moves"):
        own.check_noise()
    with pytest.raises(Unsupported, match="noise would drown"):
        replace(own, site_ridge=None, wants="firth", inverse=np.eye(10), view=view)
    with pytest.raises(Unsupported, match="logistic regression without site intercepts"):
        next(glm(study=STUDY, sites=SITES, firth=True, site_ridge=1.0))
    with pytest.raises(Unsupported, match="logistic regression"):
        next(glm(study=STUDY, sites=SITES, firth=True, family="linear", outcome="days"))
    for form in ("breslow", "cloglog", "logistic"):
        with pytest.raises(Unsupported, match="denominator"):
            replace(SURVIVAL, form=form).check_noise()
    with pytest.raises(Unsupported, match="denominator"):
        replace(SURVIVAL, view=view)


def test_too_few_persons_for_the_noise_is_not_evaluable() -> None:
    few = {site: table.head(3) for site, table in TABLES.items()}
    for road in (
        noisy_glm(study=STUDY, sites=SITES, epsilon=0.1, delta=1e-6),
        noisy_cox(study=STUDY, sites=SITES, epsilon=0.1, delta=1e-6, time="days"),
    ):
        with pytest.raises(NotEvaluable, match="too few for this epsilon"):
            drive(road, few, STUDY, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outcome": "nobody"}, "neither"),
        ({"family": "linear", "outcome": "ward"}, "needs a number"),
        ({"family": "poisson", "outcome": "ward"}, "counts"),
        ({"family": "logistic", "outcome": "days"}, "yes/no"),
        ({"family": "probit"}, "expected the family"),
        ({"terms": ()}, "at least one predictor"),
        ({"terms": (Term(feature="nobody"),)}, "no feature of the study"),
        ({"terms": (Term(feature="age"), Term(feature="age", segments=4))}, "named twice"),
        ({"terms": (Term(feature="ward", segments=4),)}, "needs a number"),
        ({"terms": (Term(feature="age", segments=1),)}, "2 to 40 segments"),
        ({"outcome": "smoker", "terms": (Term(feature="smoker"),)}, "outcome and a predictor"),
        ({"site_ridge": 0.0}, "site_ridge above 0"),
        ({"family": "poisson", "outcome": "visits", "largest_mean": -1.0}, "largest_mean above 0"),
        ({"terms": (Term(feature="age", segments=4),), "smoothing": ()}, "menu of smoothing"),
    ],
)
def test_a_wrong_wish_is_refused_before_anybody_is_asked(options: dict, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        next(glm(study=STUDY, sites=SITES, **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": "ward"}, "that is a number"),
        ({"time": "nobody"}, "that is a number"),
        ({"time": "days", "bins": 1}, "time bins"),
        ({"time": "days", "bins": (0.0, 5.0, 4.0)}, "rise"),
        ({"time": "days", "bins": (0.0, np.nan, 4.0)}, "rise"),
        ({"time": "days", "terms": (Term(feature="days"),)}, "time and a predictor"),
        ({"time": "days", "form": "weibull"}, "expected the form"),
    ],
)
def test_a_wrong_cox_wish_is_refused_before_anybody_is_asked(options: dict, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        road = cox(study=STUDY, sites=SITES, **options)
        ask = next(road)
        road.send(Told(total=np.full(len(ask.shape.bound), 50.0)))


def test_missing_outcomes_take_no_part_and_missing_times_are_refused() -> None:
    found = drive(glm(study=STUDY, sites=SITES, family="linear", outcome="pressure"), TABLES, STUDY)
    known = {site: table.filter(pl.col("pressure").is_not_null()) for site, table in TABLES.items()}
    again = drive(glm(study=STUDY, sites=SITES, family="linear", outcome="pressure"), known, STUDY)
    assert np.max(np.abs(found.model.beta - again.model.beta)) < 1e-12
    with pytest.raises(Invalid, match="missing: refused"):
        drive(cox(study=STUDY, sites=SITES, time="pressure"), TABLES, STUDY)


def test_time_bins_with_few_persons_are_joined() -> None:
    edges = np.arange(6.0)
    assert joined(edges, np.array([20.0, 3.0, 9.0, 2.0, 30.0]), least=11).tolist() == [0.0, 1.0, 3.0, 5.0]
    assert joined(edges, np.array([20.0, 30.0, 3.0, 6.0, 1.0]), least=11).tolist() == [0.0, 1.0, 5.0]
    with pytest.raises(Invalid, match="too few persons"):
        joined(edges, np.array([5.0, 0.0, 0.0, 0.0, 7.0]), least=11)


GOOD = Glm(family="logistic", outcome="label", terms=(Term(feature="age"),), beta=np.zeros(2))
NOISY = Glm(
    family="logistic",
    outcome="label",
    terms=(Term(feature="age"),),
    beta=np.zeros(2),
    view=View(lens=np.eye(2), row=1.5, residual=0.7, hessian_share=0.5),
)
SURVIVAL = Cox(form="breslow", time="days", terms=(Term(feature="age"),), edges=np.arange(4.0), beta=np.zeros(1))


NOISY_SURVIVAL = replace(
    SURVIVAL, form="logistic", beta=np.zeros(4), view=View(lens=np.eye(4), row=1.5, residual=0.7, hessian_share=0.5)
)


@pytest.mark.parametrize("good", [GOOD, NOISY, SURVIVAL, NOISY_SURVIVAL])
def test_reading_is_the_inverse_of_writing(good: Glm | Cox) -> None:
    again = type(good).read(good.parameters(), dict(good.arrays()))
    assert again.parameters() == good.parameters()
    assert [(name, value.tolist()) for name, value in again.arrays()] == [
        (name, value.tolist()) for name, value in good.arrays()
    ]
    assert again.shape(STUDY).l2 == good.shape(STUDY).l2


@pytest.mark.parametrize(
    ("good", "parameters", "arrays"),
    [
        (GOOD, {"family": "cloglog"}, {}),
        (GOOD, {"family": ["logistic"]}, {}),
        (GOOD, {"outcome": 3}, {}),
        (GOOD, {"terms": "age"}, {}),
        (GOOD, {"terms": [{"feature": "age"}]}, {}),
        (GOOD, {"terms": [{"feature": "age", "segments": 2.5}]}, {}),
        (GOOD, {"terms": [{"feature": "age", "segments": True}]}, {}),
        (GOOD, {"largest_mean": "nan"}, {}),
        (GOOD, {"largest_mean": "inf"}, {}),
        (GOOD, {"site_ridge": "-1"}, {}),
        (GOOD, {"wants": "rows"}, {}),
        (GOOD, {"wants": "firth"}, {}),
        (GOOD, {"surprise": 1}, {}),
        (GOOD, {"row": "1"}, {}),
        (GOOD, {}, {"beta": np.zeros(0)}),
        (GOOD, {}, {"beta": np.zeros((2, 2))}),
        (GOOD, {}, {"inverse": np.zeros(4)}),
        (GOOD, {"wants": "firth"}, {"inverse": np.zeros(3)}),
        (GOOD, {}, {"strange": np.zeros(2)}),
        (NOISY, {"row": "0"}, {}),
        (NOISY, {"row": "inf"}, {}),
        (NOISY, {"hessian_share": "1"}, {}),
        (NOISY, {"residual": "-1"}, {}),
        (NOISY, {}, {"lens": np.zeros(3)}),
        (SURVIVAL, {"form": "cox"}, {}),
        (SURVIVAL, {"time": 5}, {}),
        (SURVIVAL, {"largest_rate": "0"}, {}),
        (SURVIVAL, {}, {"edges": np.array([0.0, 2.0, 1.0])}),
        (SURVIVAL, {}, {"edges": np.zeros(0)}),
        (SURVIVAL, {"more": 1}, {}),
        (SURVIVAL, {"row": "1"}, {}),
        (SURVIVAL, {}, {"lens": np.eye(1).ravel()}),
        (NOISY_SURVIVAL, {"form": "breslow"}, {}),
        (NOISY_SURVIVAL, {"row": "nan"}, {}),
        (NOISY_SURVIVAL, {}, {"lens": np.zeros(12)}),
    ],
)
def test_a_broken_question_is_refused(good: Glm | Cox, parameters: dict, arrays: dict) -> None:
    with pytest.raises((Invalid, Unsupported)):
        read = type(good).read({**good.parameters(), **parameters}, {**dict(good.arrays()), **arrays})
        read.shape(STUDY)


@pytest.mark.parametrize(
    ("asked", "columns"),
    [(GOOD, 3), (NOISY, 5), (SURVIVAL, 7)],
)
def test_coefficients_of_another_length_are_refused(asked: Glm | Cox, columns: int) -> None:
    arrays = {**dict(asked.arrays()), "beta": np.zeros(columns)}
    with pytest.raises(Invalid):
        type(asked).read(asked.parameters(), arrays).shape(STUDY)

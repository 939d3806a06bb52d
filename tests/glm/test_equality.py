"""Exact sums over hospitals end where an oracle ends on the pooled table."""

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from regression_driving import drive
from regression_tables import study_of, tables_of
from statsmodels.duration.hazard_regression import PHReg

from wardgate.hub.pooling.cox import cox
from wardgate.hub.pooling.glm import glm
from wardgate.measures.glm import ascent, firth_score, fit, statistics
from wardgate.measures.logistic import Statistics
from wardgate.measures.outcomes import outcome_values, predictors
from wardgate.measures.terms import Term, design_of

STUDY = study_of()
TABLES = tables_of()
POOLED = pl.concat(TABLES.values())
SITES = STUDY.sites


def pooled(outcome: str, family: str, *without: str) -> tuple[np.ndarray, np.ndarray]:
    design = design_of(STUDY.features, predictors(STUDY.features, outcome, *without))
    return design.matrix(POOLED), outcome_values(family, outcome, STUDY.features, POOLED)[0]


@pytest.mark.parametrize(
    ("family", "outcome", "kind"),
    [
        ("logistic", "label", sm.families.Binomial()),
        ("poisson", "visits", sm.families.Poisson()),
        ("linear", "days", sm.families.Gaussian()),
        ("logistic", "smoker", sm.families.Binomial()),
    ],
)
def test_without_ridge_it_is_statsmodels_glm(family: str, outcome: str, kind: object) -> None:
    found = drive(
        glm(study=STUDY, sites=SITES, family=family, outcome=outcome, ridge=0.0, largest_mean=1e6), TABLES, STUDY
    )
    x, y = pooled(outcome, family)
    oracle = sm.GLM(y, x, family=kind).fit(tol=1e-13, maxiter=100)
    assert np.max(np.abs(found.model.beta - oracle.params)) < 1e-8
    scale = oracle.scale if family == "linear" else 1.0
    assert np.allclose(np.sqrt(np.diag(found.covariance) * scale), oracle.bse, rtol=1e-6)


@pytest.mark.parametrize(("family", "outcome"), [("logistic", "label"), ("poisson", "visits"), ("linear", "days")])
def test_with_ridge_the_penalised_score_is_zero_on_the_pooled_table(family: str, outcome: str) -> None:
    found = drive(glm(study=STUDY, sites=SITES, family=family, outcome=outcome, ridge=2.5), TABLES, STUDY)
    x, y = pooled(outcome, family)
    beta = found.model.beta
    mean = {"logistic": lambda eta: 1 / (1 + np.exp(-eta)), "poisson": np.exp, "linear": lambda eta: eta}[family]
    score = x.T @ (y - mean(x @ beta)) - 2.5 * np.r_[0.0, beta[1:]]
    assert np.max(np.abs(score)) < 1e-8


def test_ridge_is_statsmodels_regularised_fit() -> None:
    found = drive(glm(study=STUDY, sites=SITES, ridge=3.0), TABLES, STUDY)
    x, y = pooled("label", "logistic")
    alpha = np.r_[0.0, np.full(x.shape[1] - 1, 3.0 / len(y))]
    oracle = sm.GLM(y, x, family=sm.families.Binomial()).fit_regularized(
        alpha=alpha, L1_wt=0.0, start_params=found.model.beta
    )
    assert np.max(np.abs(found.model.beta - oracle.params)) < 1e-5  # its own optimiser stops there


def test_least_squares_takes_one_sum_and_predicts_in_the_outcomes_unit() -> None:
    found = drive(glm(study=STUDY, sites=SITES, family="linear", outcome="days", ridge=0.0), TABLES, STUDY)
    assert found.rounds == 1
    x, _ = pooled("days", "linear")
    raw = POOLED["days"].to_numpy()
    oracle = x @ np.linalg.lstsq(x, raw, rcond=None)[0]
    assert np.allclose(found.model.predict(POOLED), oracle, atol=1e-9)


def test_firth_is_the_pooled_maximum_of_the_penalised_likelihood() -> None:
    found = drive(glm(study=STUDY, sites=SITES, firth=True, ridge=0.0), TABLES, STUDY)
    x, y = pooled("label", "logistic")

    def penalised(beta: np.ndarray) -> float:
        eta = x @ beta
        p = 1 / (1 + np.exp(-eta))
        information = x.T @ (x * (p * (1 - p))[:, None])
        return float(np.sum(y * eta - np.logaddexp(0, eta)) + 0.5 * np.linalg.slogdet(information)[1])

    beta = _firth_newton(x, y)
    assert np.max(np.abs(found.model.beta - beta)) < 1e-8
    here = penalised(beta)
    rng = np.random.default_rng(0)
    assert all(penalised(beta + 1e-3 * rng.normal(size=len(beta))) < here for _ in range(20))


def _firth_newton(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Firth by the textbook's modified score, written from scratch."""
    beta = np.zeros(x.shape[1])
    for _ in range(200):
        p = 1 / (1 + np.exp(-x @ beta))
        w = p * (1 - p)
        inverse = np.linalg.inv((x * w[:, None]).T @ x)
        hat = np.diag(np.sqrt(w)[:, None] * x @ inverse @ x.T * np.sqrt(w))
        step = inverse @ (x.T @ (y - p + hat * (0.5 - p)))
        beta = beta + step
        if np.max(np.abs(step)) < 1e-12:
            break
    return beta


def test_firth_stays_finite_where_the_data_are_separable() -> None:
    tables = {site: table.with_columns(smoker=pl.col("label").cast(pl.Float64)) for site, table in TABLES.items()}
    found = drive(glm(study=STUDY, sites=SITES, firth=True, ridge=0.0), tables, STUDY)
    whole = pl.concat(tables.values())
    x = design_of(STUDY.features, predictors(STUDY.features, "label")).matrix(whole)
    assert np.max(np.abs(found.model.beta - _firth_newton(x, whole["label"].to_numpy()))) < 1e-7


@pytest.mark.parametrize(("family", "outcome"), [("logistic", "label"), ("poisson", "visits"), ("linear", "days")])
@pytest.mark.parametrize("site_ridge", [0.05, 1.0, 30.0])
def test_site_intercepts_are_the_pooled_fit_with_dummies(family: str, outcome: str, site_ridge: float) -> None:
    found = drive(
        glm(study=STUDY, sites=SITES, family=family, outcome=outcome, ridge=0.5, site_ridge=site_ridge), TABLES, STUDY
    )
    x, y = pooled(outcome, family)
    site = np.repeat(np.arange(4), [table.height for table in TABLES.values()])
    dummies = (site[:, None] == np.arange(4)[None, :]).astype(float)
    whole = np.column_stack([x, dummies])
    penalty = np.diag(np.r_[0.0, np.full(x.shape[1] - 1, 0.5), np.full(4, site_ridge)])
    names = tuple(str(number) for number in range(whole.shape[1]))
    oracle = fit(family, whole, y, penalty=penalty, names=names, largest_mean=48.0, tolerance=1e-11)
    assert np.max(np.abs(found.model.beta - oracle.beta[: x.shape[1]])) < 1e-8


def test_a_site_with_one_class_or_nobody_takes_part_in_site_intercepts() -> None:
    tables = dict(TABLES)
    tables["s3"] = tables["s3"].with_columns(label=pl.lit(1, dtype=pl.Int8))
    tables["s4"] = tables["s4"].head(0)
    found = drive(glm(study=STUDY, sites=SITES, site_ridge=1.0), tables, STUDY)
    assert np.all(np.isfinite(found.model.beta))


def test_breslow_is_statsmodels_phreg_on_the_same_bins() -> None:
    found = drive(cox(study=STUDY, sites=SITES, time="days", bins=12, ridge=0.0), TABLES, STUDY)
    design = design_of(STUDY.features, predictors(STUDY.features, "days"))
    x = design.matrix(POOLED)[:, 1:]
    edges = np.array(found.model.edges)
    assert len(edges) > 8
    last = np.clip(np.searchsorted(edges, POOLED["days"].to_numpy(), side="left") - 1, 0, len(edges) - 2)
    event = POOLED["label"].to_numpy()
    oracle = PHReg(last + 1.0, x, status=event, ties="breslow").fit(disp=0, method="newton", gtol=1e-12)
    params = _newton_phreg(oracle.model, np.array(oracle.params))
    assert np.max(np.abs(np.array(found.model.coefficients) - params)) < 1e-8
    assert found.log_likelihood == pytest.approx(oracle.model.loglike(params), abs=1e-6)
    relative = np.exp(x @ params)
    for number, increment in enumerate(found.model.baseline):
        died = ((last == number) & (event == 1)).sum()
        assert increment == pytest.approx(died / relative[last >= number].sum(), rel=1e-7)


def _newton_phreg(model: PHReg, params: np.ndarray) -> np.ndarray:
    for _ in range(5):
        params = params - np.linalg.solve(model.hessian(params), model.score(params))
    return params


@pytest.mark.parametrize(
    ("form", "link"), [("logistic", sm.families.links.Logit()), ("cloglog", sm.families.links.CLogLog())]
)
def test_discrete_time_is_statsmodels_glm_on_person_periods(form: str, link: object) -> None:
    found = drive(
        cox(study=STUDY, sites=SITES, time="days", form=form, bins=8, ridge=0.0, baseline_ridge=0.0), TABLES, STUDY
    )
    x = design_of(STUDY.features, predictors(STUDY.features, "days")).matrix(POOLED)[:, 1:]
    edges = np.array(found.model.edges)
    bins = len(edges) - 1
    last = np.clip(np.searchsorted(edges, POOLED["days"].to_numpy(), side="left") - 1, 0, bins - 1)
    event = POOLED["label"].to_numpy()
    rows, outcome = [], []
    for number in range(bins):
        here = last >= number
        rows.append(np.column_stack([np.tile(np.eye(bins)[number], (here.sum(), 1)), x[here]]))
        outcome.append((event[here] == 1) & (last[here] == number))
    oracle = sm.GLM(
        np.concatenate(outcome).astype(float), np.concatenate(rows), family=sm.families.Binomial(link=link)
    ).fit(tol=1e-14, maxiter=200)
    ours = np.r_[found.model.baseline, found.model.coefficients]
    assert np.max(np.abs(ours - oracle.params)) < (1e-8 if form == "logistic" else 1e-6)
    alive = found.model.survival(POOLED)
    assert np.all(np.diff(alive, axis=1) <= 0)


def test_a_curve_equals_the_pooled_penalised_fit_and_finds_the_wave() -> None:
    terms = (Term(feature="age"), Term(feature="pressure", segments=12), Term(feature="smoker"), Term(feature="ward"))
    tables = tables_of(seed=5, persons=3000, spread=0.0)
    found = drive(glm(study=STUDY, sites=SITES, terms=terms, ridge=1e-3), tables, STUDY)
    whole = pl.concat(tables.values())
    design = design_of(STUDY.features, terms)
    chosen = min(found.score, key=found.score.__getitem__)
    oracle = fit(
        "logistic",
        design.matrix(whole),
        whole["label"].to_numpy().astype(float),
        penalty=design.penalty(1e-3, chosen),
        names=design.names,
    )
    assert np.max(np.abs(found.model.beta - oracle.beta)) < 1e-8
    straight = drive(glm(study=STUDY, sites=SITES, terms=[Term(feature=term.feature) for term in terms]), tables, STUDY)
    assert found.log_likelihood > straight.log_likelihood + 50
    assert 5 < found.freedom < design.columns


def test_gcv_chooses_among_smoothings_from_the_one_sum_of_moments() -> None:
    terms = (Term(feature="age", segments=8), Term(feature="smoker"))
    found = drive(glm(study=STUDY, sites=SITES, family="linear", outcome="days", terms=terms, ridge=0.0), TABLES, STUDY)
    assert found.rounds == 1
    design = design_of(STUDY.features, terms)
    x, y = design.matrix(POOLED), outcome_values("linear", "days", STUDY.features, POOLED)[0]
    for smoothing, score in found.score.items():
        hat = x @ np.linalg.solve(x.T @ x + design.penalty(0.0, smoothing), x.T)
        residual = y - hat @ y
        assert score == pytest.approx(len(y) * residual @ residual / (len(y) - np.trace(hat)) ** 2, rel=1e-8)


def test_step_halving_gets_home_from_afar() -> None:
    x, y = pooled("visits", "poisson")
    names = tuple(str(number) for number in range(x.shape[1]))
    road = ascent(start=np.full(x.shape[1], 4.0), penalty=np.eye(x.shape[1]) * 1e-3, names=names)
    beta = next(road)
    try:
        while True:
            beta = road.send(statistics("poisson", x, y, beta, largest_mean=1e9))
    except StopIteration as done:
        far = done.value
    near = fit("poisson", x, y, penalty=np.eye(x.shape[1]) * 1e-3, names=names, largest_mean=1e9)
    assert np.max(np.abs(far.beta - near.beta)) < 1e-8
    assert isinstance(far.sums, Statistics)


def test_firths_addend_is_bounded_even_for_a_wild_inverse() -> None:
    x, _ = pooled("label", "logistic")
    found = firth_score(x[:1], np.zeros(x.shape[1]), 1e9 * np.eye(x.shape[1]))
    assert np.max(np.abs(found)) <= 0.5

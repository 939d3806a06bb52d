"""What noise promises: nobody's addend is longer than stated, and an attack that works without it fails with it."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from regression_driving import drive
from regression_tables import study_of, tables_of

from wardgate.computations.cox import Cox
from wardgate.computations.glm import Glm, View
from wardgate.hospital.ward.learning.cox import step as cox_step
from wardgate.hospital.ward.learning.glm import step
from wardgate.hub.pooling.cox import cox
from wardgate.hub.pooling.glm import first_question, glm
from wardgate.hub.pooling.noisy_cox import noisy_cox
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.measures.glm import curvature_bound, curve, gain_bound, slope_bound
from wardgate.measures.outcomes import outcome_bound, outcome_values, predictors
from wardgate.measures.shrinkage import floored, relative_curvature, shrunk, whitening
from wardgate.measures.survival import Observed
from wardgate.measures.terms import design_of
from wardgate.privacy.accountant import epsilon_of, noise_multiplier_for
from wardgate.records.errors import Invalid

STUDY = study_of()
TABLES = tables_of()
POOLED = pl.concat(TABLES.values())
SITES = STUDY.sites
FAMILIES = [("logistic", "label"), ("linear", "days"), ("poisson", "visits")]


def extreme_rows(design, rng: np.random.Generator) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Rows at the corners of what the study allows, and beyond what any clip keeps."""
    rows = np.zeros((200, design.columns))
    rows[:, 0] = 1.0
    for group in range(1, max(design.groups) + 1):
        inside = [place for place, number in enumerate(design.groups) if number == group]
        for row in rows:
            place = rng.choice([*inside, -1])
            if place >= 0:
                row[place] = rng.choice([-1.0, 1.0]) if design.signed[place] else 1.0
    return rows


def longest_addend(asked: Glm, rng: np.random.Generator) -> float:
    """The longest vector that one person can add, tried over extreme rows and outcomes."""
    design = asked.design(STUDY)
    bound = outcome_bound(asked.family, asked.outcome, STUDY.features)
    low = -bound if asked.family == "linear" else 0.0
    found = 0.0
    for row in extreme_rows(design, rng):
        for y in (low, bound):
            found = max(found, float(np.linalg.norm(step(asked, row[None, :], np.array([y]), study=STUDY).vector)))
    return found


@pytest.mark.parametrize(("family", "outcome"), FAMILIES)
@pytest.mark.parametrize("hessian_share", [0.0, 0.3, 0.9])
def test_no_person_adds_more_than_the_stated_l2(family: str, outcome: str, hessian_share: float) -> None:
    rng = np.random.default_rng(0)
    first = first_question(study=STUDY, family=family, outcome=outcome, terms=None, largest_mean=None)
    design = first.design(STUDY)
    for scale in (0.0, 0.3, 3.0):
        view = View(
            lens=design.centring() @ (np.eye(design.columns) + 0.2 * rng.normal(size=(design.columns,) * 2)),
            row=1.7,
            residual=0.7 * outcome_bound(family, outcome, STUDY.features),
            hessian_share=hessian_share,
        )
        asked = replace(first, beta=scale * rng.normal(size=design.columns), view=view)
        assert longest_addend(asked, rng) <= asked.shape(STUDY).l2 * (1 + 1e-12)


@pytest.mark.parametrize("hessian_share", [0.0, 0.4, 0.9])
def test_no_person_adds_more_than_the_stated_l2_over_all_time_bins(hessian_share: float) -> None:
    rng = np.random.default_rng(0)
    terms = predictors(STUDY.features, "days")
    design = design_of(STUDY.features, terms)
    columns = 4 + design.columns - 1
    for scale in (0.0, 0.5, 3.0):
        asked = Cox(
            form="logistic",
            time="days",
            terms=terms,
            edges=np.linspace(0.0, 30.0, 5),
            beta=-2.0 + scale * rng.normal(size=columns),
            view=View(
                lens=np.eye(columns) + 0.2 * rng.normal(size=(columns, columns)),
                row=1.6,
                residual=0.6,
                hessian_share=hessian_share,
            ),
        )
        longest = 0.0
        for row in extreme_rows(design, rng)[:60]:
            for event in (False, True):
                for last in range(4):
                    one = Observed(x=row[None, 1:], event=np.array([event]), last=np.array([last]))
                    longest = max(longest, float(np.linalg.norm(cox_step(asked, one, study=STUDY).vector)))
        assert longest <= asked.shape(STUDY).l2 * (1 + 1e-12)


def test_with_hardly_any_noise_the_noisy_cox_model_is_close_to_the_exact_one() -> None:
    tables = tables_of(persons=20_000, spread=0.0)
    sites = STUDY.sites
    road = noisy_cox(study=STUDY, sites=sites, epsilon=500.0, delta=1e-6, time="days", bins=5, clip=10.0)
    found = drive(road, tables, STUDY, rng=np.random.default_rng(0))
    exact = drive(
        cox(study=STUDY, sites=sites, time="days", bins=5, form="logistic", ridge=0.0, baseline_ridge=0.0),
        tables,
        STUDY,
    )
    whole = pl.concat(tables.values())
    ours, oracle = found.model.risk_score(whole), exact.model.risk_score(whole)
    assert np.corrcoef(ours, oracle)[0, 1] > 0.98
    assert np.std(ours) == pytest.approx(np.std(oracle), rel=0.15)
    alive, truth = found.model.survival(whole).mean(axis=0), exact.model.survival(whole).mean(axis=0)
    assert np.max(np.abs(alive - truth)) < 0.05
    assert epsilon_of(gaussian=found.gaussian, delta=1e-6) <= 500.0


def test_a_twin_that_clips_nobody_breaks_the_stated_l2() -> None:
    rng = np.random.default_rng(0)
    first = first_question(study=STUDY, family="logistic", outcome="label", terms=None, largest_mean=None)
    design = first.design(STUDY)
    honest = View(lens=np.eye(design.columns), row=1.2, residual=0.7, hessian_share=0.5)
    stated = replace(first, view=honest).shape(STUDY).l2
    twin = replace(first, view=replace(honest, row=design.norm))
    assert longest_addend(twin, rng) > 1.2 * stated


@pytest.mark.parametrize(("family", "outcome"), FAMILIES)
def test_no_person_leaves_the_stated_bound_of_an_exact_sum(family: str, outcome: str) -> None:
    rng = np.random.default_rng(1)
    first = first_question(study=STUDY, family=family, outcome=outcome, terms=None, largest_mean=None)
    design = first.design(STUDY)
    bound = outcome_bound(family, outcome, STUDY.features)
    for scale in (0.0, 0.5, 4.0):
        asked = replace(first, beta=scale * rng.normal(size=design.columns))
        shape = asked.shape(STUDY)
        for row in extreme_rows(design, rng)[:60]:
            for y in (0.0, bound):
                for one in (asked, replace(asked, site_ridge=0.3)):
                    limit = shape.bound if one is asked else one.shape(STUDY).bound
                    vector = step(one, row[None, :], np.array([y]), study=STUDY).vector
                    assert np.all(np.abs(vector) <= limit * (1 + 1e-9) + 1e-12)


@pytest.mark.parametrize("family", ["logistic", "linear", "poisson", "cloglog"])
def test_curves_stay_within_their_bounds_and_are_derivatives_of_each_other(family: str) -> None:
    eta = np.linspace(-12.0, 12.0, 4001)
    for y in (0.0, 1.0):
        whole = np.full_like(eta, y)
        found = curve(family, whole, eta, largest_mean=5.0)
        numeric = np.gradient(found.gain, eta)
        assert np.allclose(found.slope[2:-2], numeric[2:-2], atol=2e-2)
        assert np.allclose(-np.gradient(found.slope, eta)[2:-2], found.curvature[2:-2], atol=2e-2) or family != "linear"
        assert np.all(found.curvature >= 0)
        assert np.max(np.abs(found.slope)) <= slope_bound(family, outcome=1.0, reach=12.0, largest_mean=5.0) + 1e-12
        assert np.max(found.curvature) <= curvature_bound(family, reach=12.0, largest_mean=5.0) + 1e-12
        assert np.max(np.abs(found.gain)) <= gain_bound(family, outcome=1.0, reach=12.0, largest_mean=5.0) + 1e-12


def test_what_a_noisy_fit_asks_costs_what_was_promised() -> None:
    found = drive(
        noisy_glm(study=STUDY, sites=SITES, epsilon=1.0, delta=1e-6),
        tables_of(persons=4000),
        STUDY,
        rng=np.random.default_rng(0),
    )
    cost = epsilon_of(gaussian=found.gaussian, delta=1e-6)
    assert 0.998 < cost <= 1.0
    assert len(found.gaussian) == found.rounds == 5
    assert "epsilon 1" in found.model.noise


@pytest.mark.parametrize(("family", "outcome"), FAMILIES)
def test_with_hardly_any_noise_a_noisy_fit_is_close_to_the_exact_one(family: str, outcome: str) -> None:
    tables = tables_of(persons=20_000, spread=0.0)
    road = noisy_glm(study=STUDY, sites=SITES, epsilon=200.0, delta=1e-6, family=family, outcome=outcome, clip=10.0)
    found = drive(road, tables, STUDY, rng=np.random.default_rng(0))
    whole = pl.concat(tables.values())
    design = design_of(STUDY.features, predictors(STUDY.features, outcome))
    x, y = design.matrix(whole), outcome_values(family, outcome, STUDY.features, whole)[0]
    mean = {"logistic": lambda eta: 1 / (1 + np.exp(-eta)), "poisson": np.exp, "linear": lambda eta: eta}[family]
    beta = np.zeros(design.columns)
    for _ in range(50):
        mu = mean(x @ beta)
        weight = {"logistic": mu * (1 - mu), "poisson": mu, "linear": np.ones_like(mu)}[family]
        beta = beta + np.linalg.solve((x * weight[:, None]).T @ x + 1e-9 * np.eye(len(beta)), x.T @ (y - mu))
    ours, oracle = x @ found.model.beta, x @ beta
    assert np.corrcoef(ours, oracle)[0, 1] > 0.98
    assert np.std(ours) == pytest.approx(np.std(oracle), rel=0.15)


def test_one_patient_is_read_off_an_exact_gradient_and_lost_in_a_noisy_one() -> None:
    """The hub knows everybody but one person of the sum and takes them away."""
    x = design_of(STUDY.features, predictors(STUDY.features, "label")).matrix(POOLED)
    y = POOLED["label"].to_numpy().astype(float)
    asked = first_question(study=STUDY, family="logistic", outcome="label", terms=None, largest_mean=None)
    target = x[7]

    def left_over(question: Glm, noise: float, rng: np.random.Generator) -> np.ndarray:
        everybody = step(question, x, y, study=STUDY).vector
        others = step(question, np.delete(x, 7, axis=0), np.delete(y, 7), study=STUDY).vector
        return (everybody + noise * rng.normal(size=len(everybody)) - others)[: x.shape[1]]

    rng = np.random.default_rng(0)
    caught = left_over(asked, 0.0, rng)
    assert np.allclose(caught / caught[0], target, atol=1e-9)
    view = View(lens=np.eye(x.shape[1]), row=2.0, residual=0.7, hessian_share=0.0)
    question = replace(asked, view=view)
    spread = noise_multiplier_for(epsilon=1.0, delta=1e-6) * question.shape(STUDY).l2
    signs = [
        np.sign(left_over(question, spread, np.random.default_rng(seed)) @ target) == np.sign(y[7] - 0.5)
        for seed in range(400)
    ]
    assert np.mean(signs) < 0.7  # a fair coin is 0.5


def test_a_sites_own_addend_shows_its_one_patient_and_the_sum_does_not() -> None:
    tables = {**TABLES, "s4": TABLES["s4"].head(1)}
    heard: list[dict[str, np.ndarray]] = []
    drive(glm(study=STUDY, sites=SITES), tables, STUDY, heard=lambda ask, addends: heard.append(dict(addends)))
    design = design_of(STUDY.features, predictors(STUDY.features, "label"))
    alone = heard[0]["s4"][: design.columns]
    assert np.allclose(alone / alone[0], design.matrix(tables["s4"])[0])  # why an addend never leaves unmasked
    total = np.sum(list(heard[0].values()), axis=0)[: design.columns]
    assert not np.allclose(total / total[0], design.matrix(tables["s4"])[0], atol=0.05)


def test_no_entry_of_a_sum_with_site_intercepts_belongs_to_one_site() -> None:
    first = first_question(study=STUDY, family="logistic", outcome="label", terms=None, largest_mean=None)
    with_own = replace(first, site_ridge=1.0)
    assert with_own.shape(STUDY).entries == first.shape(STUDY).entries


def test_shrinking_brings_noisy_coefficients_nearer_to_the_truth() -> None:
    hessian = np.diag([1000.0, *np.full(20, 200.0)])
    truth = np.zeros(21)
    truth[:3] = (-1.0, 2.0, -1.5)
    errors = []
    for seed in range(30):
        drawn = np.random.default_rng(seed).normal(size=21) * np.sqrt(np.diag(hessian) + 60.0**2)
        target = hessian @ truth + drawn
        kept = shrunk(hessian, target, 60.0**2 * np.eye(21), dispersion=1.0, flat=np.arange(21) == 0)
        errors.append((np.sum((kept - truth) ** 2), np.sum((target / np.diag(hessian) - truth) ** 2)))
    ours, plain = np.mean(errors, axis=0)
    assert ours < 0.7 * plain


def test_helpers_of_the_noisy_fit_do_what_they_say() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(5000), rng.normal(size=(5000, 3)) * 0.4])
    moments = x.T @ x / 5000
    white = whitening(moments, floor=0.0)
    assert np.allclose(white @ moments @ white, np.eye(4), atol=1e-8)
    assert np.linalg.eigvalsh(floored(np.diag([1.0, -5.0]), 0.3)).tolist() == pytest.approx([0.3, 1.0])
    beta = np.array([-1.0, 1.0, 0.5, 0.0])
    p = 1 / (1 + np.exp(-x @ beta))
    expected = float(np.mean(p * (1 - p)) / 0.25)
    assert relative_curvature(
        "logistic", moments, beta, ones=np.eye(4)[0], base=0.0, largest_mean=1.0
    ) == pytest.approx(expected, rel=0.03)


def test_a_clip_of_zero_is_refused() -> None:
    with pytest.raises(Invalid, match="clip above 0"):
        next(noisy_glm(study=STUDY, sites=SITES, epsilon=1.0, delta=1e-6, clip=0.0))

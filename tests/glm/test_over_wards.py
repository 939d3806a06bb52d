"""The same fits through wards, gates, budgets, masks and logs, on four real hospitals."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from wardgate.computations.cox import Cox
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.session import Federation
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.split import tables
from wardgate.hub.pooling.ask import sum_ask
from wardgate.hub.pooling.cox import cox
from wardgate.hub.pooling.glm import first_question, glm
from wardgate.hub.pooling.noisy_cox import noisy_cox
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.measures.glm import fit
from wardgate.measures.outcomes import outcome_values, predictors
from wardgate.measures.terms import Term, design_of
from wardgate.records.errors import CheckFailed, Invalid
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside

pytestmark = pytest.mark.data

SETTINGS = Settings(seed=1, issued_on="2026-01-01")
FEW = (Term(feature="age", segments=4), Term(feature="sex"), Term(feature="exercise_angina"))


@pytest.fixture(scope="module")
def opened(
    root: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Federation, Study, pl.DataFrame]]:
    path = root / "examples/heart/study.yaml"
    study = parse(path.read_text(encoding="utf-8"), name=path.name)
    plain = study.plain() | {"analyses": ["glm", "cox"]}
    plain["gate"]["dp"]["exact_sum_ration"] = 500
    plain["gate"]["small_cells"]["max_numbers_per_person"] = "2"
    plain["budget"]["epsilon_total"] = "40"
    study = Study.from_plain(plain)
    homes = tmp_path_factory.mktemp("heart") / "hospitals"
    divide(data_folder / "uci_heart", study, mapping_beside(path), homes)
    found = find_hospitals(homes, study)
    work = tmp_path_factory.mktemp("work")
    with local(study=study, hospitals=found, settings=SETTINGS, work=work) as federation:
        if not federation.sites:
            federation.enrol()
        parts = [
            tables(load(found[site], study), study.splits, salt=SETTINGS.salt(site))["train"]
            for site in federation.sites
        ]
        yield federation, study, pl.concat(parts)


@pytest.mark.parametrize(
    ("family", "outcome"), [("logistic", "label"), ("linear", "st_depression"), ("poisson", "vessels")]
)
def test_an_exact_fit_over_wards_is_the_pooled_fit(
    opened: tuple[Federation, Study, pl.DataFrame], family: str, outcome: str
) -> None:
    federation, study, whole = opened
    found = federation.drive(glm(study=study, sites=federation.sites, family=family, outcome=outcome))
    design = design_of(study.features, predictors(study.features, outcome))
    y, known = outcome_values(family, outcome, study.features, whole)
    oracle = fit(
        family,
        design.matrix(whole)[known],
        y[known],
        penalty=design.penalty(1.0, 0.0),
        names=design.names,
        largest_mean=12.0,
    )
    assert np.max(np.abs(found.model.beta - oracle.beta)) < 1e-8
    assert found.bytes_moved > 0


def test_curves_firth_and_site_intercepts_cross_the_wire(opened: tuple[Federation, Study, pl.DataFrame]) -> None:
    federation, study, whole = opened
    for options in ({"terms": FEW}, {"terms": FEW[1:], "firth": True}, {"terms": FEW[1:], "site_ridge": 1.0}):
        found = federation.drive(glm(study=study, sites=federation.sites, **options))
        assert np.all(np.isfinite(found.model.predict_proba(whole)))


def test_cox_crosses_the_wire(opened: tuple[Federation, Study, pl.DataFrame]) -> None:
    federation, study, whole = opened
    for form in ("breslow", "cloglog"):
        found = federation.drive(cox(study=study, sites=federation.sites, time="age", form=form, bins=6, terms=FEW[1:]))
        assert np.all(np.diff(found.model.survival(whole), axis=1) <= 0)


def test_a_noisy_fit_over_wards_spends_what_it_promised(opened: tuple[Federation, Study, pl.DataFrame]) -> None:
    federation, study, whole = opened
    found = federation.drive(
        noisy_glm(study=study, sites=federation.sites, epsilon=6.0, delta=study.budget.delta, terms=FEW)
    )
    assert len(found.gaussian) == 5
    assert np.all(np.isfinite(found.model.linear_predictor(whole)))


def test_a_noisy_cox_model_crosses_the_wire(opened: tuple[Federation, Study, pl.DataFrame]) -> None:
    federation, study, whole = opened
    road = noisy_cox(
        study=study, sites=federation.sites, epsilon=6.0, delta=study.budget.delta, time="age", bins=3, terms=FEW[1:]
    )
    found = federation.drive(road)
    assert np.all(np.diff(found.model.survival(whole), axis=1) <= 0)
    refused = sum_ask(
        Cox(form="breslow", time="age", terms=FEW[1:], edges=np.arange(4.0), beta=np.zeros(3)),
        what="a hub that means well",
        study=study,
        sites=federation.sites,
        noise_multiplier=20.0,
    )
    with pytest.raises((CheckFailed, Invalid)):
        federation.ask(refused)


def test_wards_refuse_noise_where_it_would_hide_nobody(opened: tuple[Federation, Study, pl.DataFrame]) -> None:
    federation, study, _ = opened
    first = first_question(study=study, family="logistic", outcome="label", terms=FEW[1:], largest_mean=None)
    for site_ridge in (None, 1.0):
        ask = sum_ask(
            replace(first, site_ridge=site_ridge),
            what="a hub that means well",
            study=study,
            sites=federation.sites,
            noise_multiplier=20.0,
        )
        if site_ridge is None:
            assert federation.ask(ask).noise > 0
        else:
            with pytest.raises(CheckFailed):
                federation.ask(ask)

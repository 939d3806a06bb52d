"""The shipped studies lint clean, serve their mappings, and give the published numbers on the real data."""

from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from wardgate.hospital.ward.cohort.cohort import Cohort, satisfies
from wardgate.hospital.ward.cohort.from_files.build import read_mapping
from wardgate.hospital.ward.cohort.load import load
from wardgate.marginals.domain import domain_of
from wardgate.marginals.tree.plan import plan
from wardgate.measures.encoding import design_matrix, labels
from wardgate.privacy.accountant import epsilon_of, noise_multiplier_for
from wardgate.records.claim import GaussianEvent
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside

STUDIES = (
    "ist/country.yaml",
    "ist/country-dead14.yaml",
    "ist/hospitals.yaml",
    "ist/hospitals-dp.yaml",
    "heart/study.yaml",
    "heart/federated.yaml",
    "diabetes130/study.yaml",
)
OF_EVENTS = ("omop/study.yaml", "eicu/study.yaml", "physionet/study.yaml")
NO_STUDIES = ("mapping.yaml", "source.yaml", "events.yaml")
FOLDERS = {"ist": "ist_stroke", "heart": "uci_heart", "diabetes130": "diabetes130"}


def read(root: Path, name: str) -> Study:
    path = root / "examples" / name
    return parse(path.read_text(encoding="utf-8"), name=name)


def whole(root: Path, data: Path, name: str) -> tuple[Study, Cohort]:
    study = read(root, name)
    mapping = read_mapping(mapping_beside(root / "examples" / name), study)
    return study, load(data / FOLDERS[name.partition("/")[0]], study, mapping=mapping)


def auroc(study: Study, cohort: Cohort) -> float:
    x, y = design_matrix(study.features, cohort.table)[:, 1:], labels(cohort.table)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(LogisticRegression(max_iter=500), x, y, cv=folds, method="predict_proba")
    return float(roc_auc_score(y, scores[:, 1]))


@pytest.mark.parametrize("name", STUDIES)
def test_a_shipped_study_lints_clean_and_its_mapping_serves_it(root: Path, name: str) -> None:
    study = read(root, name)
    mapping = read_mapping(mapping_beside(root / "examples" / name), study)
    assert study.id in mapping.sites
    assert study.sources
    readme = (root / "examples" / name).parent / "README.md"
    assert f"--study examples/{name}" in readme.read_text(encoding="utf-8")


def test_every_shipped_study_is_tested(root: Path) -> None:
    found = [path.relative_to(root / "examples") for path in (root / "examples").rglob("*.yaml")]
    assert sorted(str(path) for path in found if path.name not in NO_STUDIES) == sorted((*STUDIES, *OF_EVENTS))


@pytest.mark.parametrize("name", OF_EVENTS)
def test_a_shipped_study_of_events_lints_clean_and_its_readme_shows_how_to_check_it(root: Path, name: str) -> None:
    assert read(root, name).of_events
    readme = (root / "examples" / name).parent / "README.md"
    assert f"--study examples/{name}" in readme.read_text(encoding="utf-8")


def test_the_noisy_study_spends_one_epsilon_and_no_more(root: Path) -> None:
    study = read(root, "ist/hospitals-dp.yaml")
    assert study.gate.dp.exact_sums == "deny"
    assert study.budget.epsilon_total == 1.0
    assert study.budget.fit != "exact"
    assert study.budget.evaluation == 1.0
    domain, delta = domain_of(study.features), study.budget.delta
    joint = plan(domain, epsilon=study.budget.joint_corpus, delta=delta, structure="summed")
    fit = noise_multiplier_for(epsilon=float(study.budget.fit), delta=delta)
    steps = GaussianEvent(noise_multiplier=fit, count=1, what="all sums of the fit, as one")
    assert epsilon_of(gaussian=(*joint.gaussian, steps), delta=delta) <= study.budget.epsilon_total


@pytest.mark.data
def test_ist_gives_the_published_counts_and_an_auroc_of_0_795(root: Path, data_folder: Path) -> None:
    study, cohort = whole(root, data_folder, "ist/hospitals.yaml")
    assert cohort.flow[0].persons == 19_435
    assert cohort.table.height == 19_285
    assert cohort.table["label"].sum() == 12_125
    assert len(study.sites) == 464
    assert auroc(study, cohort) > 0.795


@pytest.mark.data
def test_ist_death_at_14_days_has_its_1781_deaths(root: Path, data_folder: Path) -> None:
    study, cohort = whole(root, data_folder, "ist/country-dead14.yaml")
    assert (cohort.table.height, cohort.table["label"].sum()) == (19_435, 1_781)
    assert auroc(study, cohort) > 0.79


@pytest.mark.data
def test_heart_reaches_the_published_auroc(root: Path, data_folder: Path) -> None:
    study, cohort = whole(root, data_folder, "heart/study.yaml")
    assert (cohort.table.height, cohort.table["label"].sum()) == (920, 509)
    assert auroc(study, cohort) > 0.885


@pytest.mark.slow
@pytest.mark.data
def test_diabetes_keeps_the_first_stay_of_each_patient(root: Path, data_folder: Path) -> None:
    study, cohort = whole(root, data_folder, "diabetes130/study.yaml")
    assert cohort.flow[0].persons == 71_518
    assert cohort.flow[1].persons == 69_973
    assert auroc(study, cohort) > 0.62


@pytest.mark.data
@pytest.mark.parametrize("name", ["heart/study.yaml", "ist/country.yaml"])
def test_a_divided_set_holds_every_person_once_and_every_site_can_take_part(
    name: str, root: Path, data_folder: Path, tmp_path: Path
) -> None:
    study, together = whole(root, data_folder, name)
    mapping = mapping_beside(root / "examples" / name)
    divide(data_folder / FOLDERS[name.partition("/")[0]], study, mapping, tmp_path / "out")
    cohorts = [load(tmp_path / "out" / site, study) for site in study.sites]
    assert sum(cohort.table.height for cohort in cohorts) == together.table.height
    assert len({person for cohort in cohorts for person in cohort.table["person"]}) == together.table.height
    assert all(satisfies(cohort, study).can for cohort in cohorts)

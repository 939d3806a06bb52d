"""The simulated hospitals are what they claim: sizes, codes, traps, and a truth that can be found again."""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from wardgate.hospital.ward.cohort.cohort import Cohort, satisfies
from wardgate.hospital.ward.cohort.load import load
from wardgate.measures.encoding import design_columns, design_matrix, labels
from wardgate.records.errors import Invalid
from wardgate.records.mapping import parse_hospital
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.hospitals import Canary, Simulated, build


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return build(tmp_path_factory.mktemp("six"), seed=11)


@pytest.fixture(scope="module")
def study(made: Simulated) -> Study:
    return parse(made.study.read_text(encoding="utf-8"), name="study.yaml")


@pytest.fixture(scope="module")
def cohorts(made: Simulated, study: Study) -> dict[str, Cohort]:
    return {site: load(folder, study) for site, folder in made.hospitals.items()}


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()


def test_every_hospital_can_take_part_and_the_study_names_them_all(made, study, cohorts) -> None:
    assert set(study.sites) == set(made.hospitals) == set(cohorts)
    for site, cohort in cohorts.items():
        assert satisfies(cohort, study).can, site


def test_sizes_are_those_of_the_story(cohorts) -> None:
    sizes = {site: cohort.table.height for site, cohort in cohorts.items()}
    assert sum(size > 6_000 for size in sizes.values()) == 3
    assert sizes["glenbay"] == 40
    assert 1_700 < sizes["westfield"] < 1_900
    assert 800 < sizes["lakeside"] < 1_000


def test_all_coding_habits_become_the_studys_units(cohorts) -> None:
    for name, low, high in (("systolic_pressure", 115, 135), ("temperature", 37.4, 38.4), ("creatinine", 95, 150)):
        for site, cohort in cohorts.items():
            assert low < cohort.table[name].median() < high, (site, name)
    for site, cohort in cohorts.items():
        assert 0.3 < (cohort.table["sex"] == "male").mean() < 0.75, site
        assert bool((cohort.table["diastolic_pressure"] < cohort.table["systolic_pressure"]).all()), site


def test_missingness_differs_between_hospitals(cohorts) -> None:
    lactate = {site: cohort.table["lactate"].null_count() / cohort.table.height for site, cohort in cohorts.items()}
    assert lactate["lakeside"] > 1.5 * lactate["hillcrest"] > 0.1


def test_a_model_reaches_an_auroc_of_about_0_80_and_finds_the_truth(made, study, cohorts) -> None:
    honest = [cohort.table for site, cohort in cohorts.items() if site not in made.inverted]
    table = pl.concat(honest).drop_nulls()
    x, y = design_matrix(study.features, table), labels(table)
    model = LogisticRegression(C=100.0, max_iter=2_000).fit(x[:, 1:], y)
    assert 0.78 < roc_auc_score(y, model.predict_proba(x[:, 1:])[:, 1]) < 0.84
    found = dict(zip([column.name for column in design_columns(study.features)][1:], model.coef_[0], strict=True))
    for name in ("age", "lactate", "respiratory_rate", "care_home", "active_cancer", "consciousness=verbal"):
        feature = study.feature(name.partition("=")[0])
        low, high = feature.range or (0.0, 2.0)
        truth = made.coefficients[name] * (high - low) / 2
        assert abs(found[name] - truth) < 0.25 * abs(truth) + 0.15, name


def test_the_inverted_hospital_has_the_truth_with_the_sign_turned(made, study, cohorts) -> None:
    assert made.inverted == ("westfield",)
    x = [design_matrix(study.features, cohorts[site].table) for site in ("northport", "westfield")]
    y = [labels(cohorts[site].table) for site in ("northport", "westfield")]
    model = LogisticRegression(max_iter=2_000).fit(x[0], y[0])
    assert roc_auc_score(y[1], model.predict_proba(x[1])[:, 1]) < 0.25
    assert y[1].mean() > 0.7


def test_one_hospital_chooses_a_generator_that_memorises(made) -> None:
    for site, folder in made.hospitals.items():
        hospital = parse_hospital((folder / "hospital.yaml").read_text(encoding="utf-8"), name="hospital.yaml")
        assert hospital.id == site
        assert "Simulated" in hospital.note
        assert (hospital.generator is not None) == (site in made.memorising)
    assert made.memorising == ("hillcrest",)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        build(tmp_path / name, seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def test_canaries_are_planted_and_reach_the_cohort(tmp_path: Path) -> None:
    canaries = [
        Canary(site="northport", person="CANARY-7731", values={"systolic_pressure": "147.31337", "age": "61"}),
        Canary(site="eastmoor", person="CANARY-7732", values={"lactate": "7.7731337"}),
        Canary(site="lakeside", person="CANARY-7733", values={"creatinine": "333.1337"}),
    ]
    made = build(tmp_path, seed=2, canaries=canaries)
    study = parse(made.study.read_text(encoding="utf-8"), name="study.yaml")
    for canary in canaries:
        table = load(made.hospitals[canary.site], study).table.filter(pl.col("person") == canary.person)
        assert table.height == 1
        name, text = next(iter(canary.values.items()))
        assert np.isclose(table[name][0], float(text))
    with pytest.raises(Invalid, match="not simulated"):
        build(tmp_path / "x", seed=2, canaries=[Canary(site="nowhere", person="a")])
    with pytest.raises(Invalid, match="names the field 'iq'"):
        build(tmp_path / "y", seed=2, canaries=[Canary(site="glenbay", person="a", values={"iq": "1"})])

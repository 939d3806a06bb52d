"""What a whole unit's median tells: a hospital that mislabels everything is seen, one of very sick people is not."""

import numpy as np
import pytest

from wardgate.hospital.ward.cohort.checks.mixups import judge_units
from wardgate.hospital.ward.cohort.checks.numbers import Measured, Numbers
from wardgate.hospital.ward.cohort.units import conversion
from wardgate.hospital.ward.source.events import Pick
from wardgate.measures.modes import BIN
from wardgate.records.feature import Feature


def state(name: str, wanted: str, recorded: str, median: float, spread: float = 0.2) -> tuple[str, str]:
    """Judge 5,000 values around a median, as recorded in one unit."""
    feature = Feature(name=name, type="number", unit=wanted, range=(1e-9, 1e9))
    values = median * np.exp(np.random.default_rng(1).normal(0.0, spread, 5_000))
    bins, counts = np.unique(np.floor(np.log(values) / BIN).astype(np.int64), return_counts=True)
    unit = Numbers(
        unit=recorded,
        linear=conversion(recorded, feature),
        signs=np.ones(len(bins), dtype=np.int64),
        bins=bins,
        quarters=np.zeros(len(bins), dtype=np.int64),
        counts=counts.astype(np.int64),
        without=0,
    )
    one = Measured(pick=Pick(name=name, concepts=()), feature=feature, loinc=(), units=(unit,))
    first = next(iter(judge_units([one])))
    return first.state, first.reason


@pytest.mark.parametrize(
    ("name", "wanted", "recorded", "median", "really"),
    [
        ("creatinine", "umol/L", "mg/dL", 88.0, "umol/L"),
        ("creatinine", "umol/L", "umol/L", 1.0, "mg/dL"),
        ("creatinine", "mg/dL", "umol/L", 1.0, "mg/dL"),
        ("glucose", "mmol/L", "mmol/L", 115.0, "mg/dL"),
        ("glucose", "mg/dL", "mg/dL", 6.4, "mmol/L"),
        ("lactate", "mmol/L", "mmol/L", 14.0, "mg/dL"),
        ("haemoglobin", "g/dL", "g/dL", 125.0, "g/L"),
        ("temperature", "Cel", "Cel", 98.6, "[degF]"),
        ("hba1c", "%", "%", 53.0, "mmol/mol"),
        ("paco2", "mm[Hg]", "mm[Hg]", 5.3, "kPa"),
    ],
)
def test_a_hospital_that_mislabels_everything_is_seen(name, wanted, recorded, median, really) -> None:
    found, reason = state(name, wanted, recorded, median, spread=0.02 if name == "temperature" else 0.2)
    assert found == "fail"
    assert f"'{really}'" in reason


@pytest.mark.parametrize(
    ("name", "unit", "median", "who"),
    [
        ("creatinine", "mg/dL", 7.0, "dialysis"),
        ("creatinine", "umol/L", 25.0, "newborns"),
        ("bilirubin", "mg/dL", 9.0, "newborns"),
        ("urea", "mmol/L", 22.0, "dialysis"),
        ("bun", "mg/dL", 60.0, "dialysis"),
        ("lactate", "mmol/L", 7.5, "shock"),
        ("phosphate", "mmol/L", 2.3, "dialysis"),
        ("magnesium", "mmol/L", 2.2, "pre-eclampsia"),
        ("haemoglobin", "mmol/L", 11.2, "newborns"),
        ("haemoglobin", "g/dL", 6.4, "severe anaemia"),
        ("glucose", "mmol/L", 28.0, "ketoacidosis"),
        ("temperature", "Cel", 33.0, "cooled after arrest"),
        ("sodium", "mmol/L", 118.0, "hyponatraemia"),
        ("potassium", "mmol/L", 6.4, "hyperkalaemia"),
    ],
)
def test_a_hospital_of_very_sick_people_is_not_taken_for_one(name, unit, median, who) -> None:
    assert state(name, unit, unit, median)[0] == "pass", who


def test_urine_is_not_judged_by_blood() -> None:
    assert state("urine_creatinine", "umol/L", "mg/dL", 95.0)[0] == "pass"


def test_a_study_without_numbers_passes() -> None:
    assert next(iter(judge_units([]))).state == "pass"

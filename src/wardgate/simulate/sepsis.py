"""The truth behind the simulated hospitals: one logistic model, with case mix and missingness by site."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CENTRES = {
    "age": 68.0,
    "heart_rate": 98.0,
    "systolic_pressure": 124.0,
    "diastolic_pressure": 70.0,
    "respiratory_rate": 21.0,
    "temperature": 37.8,
    "oxygen_saturation": 94.0,
    "creatinine": 105.0,
    "lactate": 2.2,
    "white_cells": 12.5,
    "comorbidity": 2.0,
}
"""The patient at whom the intercept is the log odds of death."""

COEFFICIENTS = {
    "age": 0.042,
    "sex=male": 0.15,
    "heart_rate": 0.008,
    "systolic_pressure": -0.012,
    "diastolic_pressure": 0.0,
    "respiratory_rate": 0.05,
    "temperature": -0.18,
    "oxygen_saturation": -0.05,
    "consciousness=verbal": 0.7,
    "consciousness=pain": 1.3,
    "consciousness=unresponsive": 1.8,
    "creatinine": 0.002,
    "lactate": 0.19,
    "white_cells": 0.012,
    "comorbidity": 0.13,
    "care_home": 0.55,
    "active_cancer": 0.8,
    "admission_source=clinic": -0.3,
    "admission_source=other-hospital": 0.35,
}
"""Log odds of death within 30 days, per unit of the study or against the reference category."""

_DECIMALS = dict.fromkeys(CENTRES, 0) | {"temperature": 1, "lactate": 1, "white_cells": 1}

_MISSING = {"temperature": 0.02, "creatinine": 0.06, "lactate": 0.22, "white_cells": 0.06, "oxygen_saturation": 0.02}
"""Usual share missing. Lactate is measured more often in fast breathing, so it is missing at random, not completely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admissions:
    """Simulated admissions in the study's units, one entry a patient.

    Attributes:
        numbers: Whole columns, also where a value is then missing.
        decimals: Digits that a hospital writes.
        codes: Categories; Booleans as `true` and `false`.
        absent: Which values of a column are not in the hospital's table.
        died: The outcome, from the whole columns.
    """

    numbers: dict[str, Array]
    decimals: dict[str, int]
    codes: dict[str, list[str]]
    absent: dict[str, NDArray[np.bool_]]
    died: NDArray[np.bool_]


def admissions(
    count: int, *, intercept: float, older: float, sicker: float, missing: float, rng: np.random.Generator
) -> Admissions:
    """Draw admissions.

    Args:
        count: Patients.
        intercept: Log odds of death at `CENTRES`, in the reference categories.
        older, sicker: Shifts in standard deviations.
        missing: Factor on the usual shares of missing values.
    """
    severity = rng.normal(sicker, 1.0, count)
    frailty = rng.normal(older, 1.0, count)
    age = np.clip(_noisy(70.0 + 15.0 * frailty, 5.0, rng), 18, 104).round()
    old = (age - 68.0) / 16.0
    systolic = np.clip(_noisy(126.0 - 9.0 * severity + 5.0 * old, 20.0, rng), 55, 235).round()
    numbers = {
        "age": age,
        "heart_rate": np.clip(_noisy(98.0 + 10.0 * severity - 3.0 * old, 16.0, rng), 35, 200).round(),
        "systolic_pressure": systolic,
        "diastolic_pressure": np.clip(_noisy(0.56 * systolic, 7.0, rng), 24, systolic - 10).round(),
        "respiratory_rate": np.clip(_noisy(21.0 + 3.0 * severity, 4.0, rng), 8, 55).round(),
        "temperature": np.clip(_noisy(37.9 + 0.1 * severity - 0.2 * old, 0.9, rng), 33.5, 41.5).round(1),
        "oxygen_saturation": np.clip(_noisy(94.2 - 1.4 * severity - 0.5 * old, 2.6, rng), 62, 100).round(),
        "creatinine": np.clip(np.exp(_noisy(4.58 + 0.16 * severity + 0.12 * old, 0.38, rng)), 28, 1100).round(),
        "lactate": np.clip(np.exp(_noisy(0.62 + 0.34 * severity, 0.42, rng)), 0.4, 20).round(1),
        "white_cells": np.clip(np.exp(_noisy(2.45 + 0.1 * severity, 0.42, rng)), 0.8, 60).round(1),
        "comorbidity": np.clip(rng.poisson(np.exp(0.45 + 0.35 * old)), 0, 10).astype(np.float64),
    }
    care_home = rng.random(count) < _chance(-3.0 + 1.3 * old)
    codes = {
        "sex": np.where(rng.random(count) < 0.52, "male", "female").tolist(),
        "consciousness": _consciousness(severity + 0.3 * old, rng),
        "care_home": np.where(care_home, "true", "false").tolist(),
        "active_cancer": np.where(rng.random(count) < _chance(-2.3 + 0.2 * old), "true", "false").tolist(),
        "admission_source": rng.choice(["home", "clinic", "other-hospital"], count, p=[0.78, 0.13, 0.09]).tolist(),
    }
    breathing = numbers["respiratory_rate"] - CENTRES["respiratory_rate"]
    absent = {
        name: rng.random(count)
        < np.clip(share * missing * (np.exp(-0.06 * breathing) if name == "lactate" else 1), 0, 1)
        for name, share in _MISSING.items()
    }
    died = rng.random(count) < _chance(intercept + log_odds(numbers, codes))
    return Admissions(numbers=numbers, decimals=dict(_DECIMALS), codes=codes, absent=absent, died=died)


def log_odds(numbers: dict[str, Array], codes: dict[str, list[str]]) -> Array:
    """Return what the features add to the intercept, shape (n,)."""
    total = np.zeros(len(next(iter(numbers.values()))))
    for name, values in numbers.items():
        total += COEFFICIENTS[name] * (values - CENTRES[name])
    for name, categories in codes.items():
        steps = {"true": COEFFICIENTS[name]} if name in COEFFICIENTS else {}
        total += [steps.get(code, COEFFICIENTS.get(f"{name}={code}", 0.0)) for code in categories]
    return total


def _noisy(mean: Array, deviation: float, rng: np.random.Generator) -> Array:
    return rng.normal(mean, deviation)


def _chance(log_odds: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-log_odds))


def _consciousness(latent: Array, rng: np.random.Generator) -> list[str]:
    """Alert, verbal, pain, unresponsive (AVPU), worse with severity."""
    score = latent + rng.logistic(0.0, 0.8, len(latent))
    names = np.array(["alert", "verbal", "pain", "unresponsive"])
    return names[np.searchsorted([1.7, 3.2, 4.2], score)].tolist()  # type: ignore[no-any-return]


STUDY = """\
# The simulated study: six hospitals, one question.
schema: wardgate/study/1
id: simulated-sepsis
version: 1
title: Thirty-day death after emergency admission for suspected infection (simulated)
question: How likely is a patient admitted as an emergency with suspected infection to die within 30 days?
cohort:
  entry: First emergency admission with suspected infection
  entries: single
  requires:
    - field: age
      range: [18, 105]
      meaning: Adults
index_date: Time of admission
label:
  name: died_30d
  meaning: Death from any cause within 30 days of admission
  window_days: [0, 30]
features:
  - {name: age, type: integer, meaning: Age, unit: a, range: [18, 105], missing: refused, quasi_identifier: true}
  - {name: sex, type: category, values: [female, male], missing: refused, quasi_identifier: true}
  - name: heart_rate
    type: number
    meaning: Heart rate
    unit: /min
    range: [20, 250]
    aggregation: first
    missing: refused
    codes: {loinc: 8867-4}
  - name: systolic_pressure
    type: number
    meaning: Systolic blood pressure
    unit: mm[Hg]
    range: [40, 260]
    aggregation: first
    missing: refused
    codes: {loinc: 8480-6}
  - name: diastolic_pressure
    type: number
    meaning: Diastolic blood pressure
    unit: mm[Hg]
    range: [15, 160]
    aggregation: first
    missing: refused
    codes: {loinc: 8462-4}
  - name: respiratory_rate
    type: number
    meaning: Respiratory rate
    unit: /min
    range: [4, 70]
    aggregation: first
    missing: refused
    codes: {loinc: 9279-1}
  - name: temperature
    type: number
    meaning: Body temperature
    unit: Cel
    range: [30, 43]
    aggregation: first
    codes: {loinc: 8310-5}
  - name: oxygen_saturation
    type: number
    meaning: Oxygen saturation by pulse oximetry
    unit: "%"
    range: [50, 100]
    aggregation: first
    codes: {loinc: 59408-5}
  - name: consciousness
    type: category
    meaning: AVPU scale
    values: [alert, verbal, pain, unresponsive]
    aggregation: first
    missing: refused
  - {name: creatinine, type: number, unit: umol/L, range: [15, 1500], codes: {loinc: 14682-9}}
  - {name: lactate, type: number, unit: mmol/L, range: [0.2, 25], codes: {loinc: 2524-7}}
  - {name: white_cells, type: number, meaning: White cells, unit: 10*9/L, range: [0.1, 100], codes: {loinc: 6690-2}}
  - {name: comorbidity, type: integer, meaning: Charlson comorbidities, unit: "1", range: [0, 10], missing: refused}
  - {name: care_home, type: boolean, meaning: Lives in a care home, missing: refused, quasi_identifier: true}
  - {name: active_cancer, type: boolean, meaning: Active cancer, missing: refused}
  - name: admission_source
    type: category
    values: [home, clinic, other-hospital]
    missing: refused
subgroups:
  - feature: sex
  - {feature: age, cuts: [65, 80]}
  - feature: care_home
splits: {train: 0.55, tuning: 0.05, holdout: 0.20, locked_test: 0.20}
model: {name: logistic, ridge: 1.0, ridge_menu: [0.1, 1.0, 10.0]}
generator: {name: marginal-tree}
rules:
  - name: diastolic-below-systolic
    left: diastolic_pressure
    op: "<"
    right: systolic_pressure
    source: Physiology
acceptance:
  auroc_min: 0.75
  worst_site_auroc_min: 0.65
  oe: [0.8, 1.25]
  slope: [0.8, 1.25]
  subgroup_gap_max: 0.15
gate:
  profile: commons-controlled
budget:
  epsilon_total: 3.0
  delta: 1e-6
  corpus: 1.0
  joint_corpus: 1.0
  fit: exact
  evaluation: exact
  definitions: exact
recalibration_records: 50
sites: [northport, eastmoor, hillcrest, westfield, lakeside, glenbay]
sources: Simulated; no patient behind it
"""

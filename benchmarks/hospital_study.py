"""The study of benchmarks/hospital_data.py: fifty features over simulated OMOP records, and the same for its peers."""

import json
from typing import Any

from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.records.vocabulary import MEASURES, UNITS

SECOND = {
    "heart_rate": "max", "systolic": "min", "diastolic": "min", "respiratory_rate": "max", "temperature": "max",
    "saturation": "min", "creatinine": "max", "urea_nitrogen": "max", "lactate": "max", "glucose": "max",
    "sodium": "min", "potassium": "max", "haemoglobin": "min", "white_cells": "max", "platelets": "min",
    "c_reactive_protein": "max", "bilirubin": "max", "albumin": "min",
}  # fmt: skip
"""Beside its last value, each measure's worst of the first day."""
THIRD = {"creatinine": "mean", "glucose": "mean", "heart_rate": "mean", "systolic": "mean"}
YEARS: dict[str, tuple[str, str, str, int, str]] = {
    "emergency_visits": ("visit", "Visit", "ER", 9203, "count"),
    "diabetes": ("condition", "SNOMED", "73211009", 201820, "any"),
    "heart_failure": ("condition", "SNOMED", "84114007", 316139, "any"),
    "cancer": ("condition", "SNOMED", "363346000", 443392, "any"),
    "kidney_disease": ("condition", "SNOMED", "709044004", 46271022, "any"),
    "diabetes_drugs": ("drug", "RxNorm", "6809", 1503297, "any"),
    "diuretics": ("drug", "RxNorm", "4603", 956874, "any"),
}
"""Of the year before: table, code, concept id, and how events become a feature."""
TABLES = {
    "visit": ("visit_occurrence", "visit_concept_id", "visit_start_datetime"),
    "condition": ("condition_occurrence", "condition_concept_id", "condition_start_datetime"),
    "drug": ("drug_exposure", "drug_concept_id", "drug_exposure_start_datetime"),
}
SLOPE_RANGE = (-1.0, 1.0)


def whole_study() -> Study:
    """Fifty features, follow-up required."""
    features: list[dict[str, Any]] = [*_who(), *_numbers(), *_years()]
    if len(features) != 50:
        raise RuntimeError(f"expected fifty features, found {len(features)}")
    return _study(features, follow_up="required")


def cohort_study() -> Study:
    """Who enters, and the outcome, with age and sex alone; follow-up assumed, as ACES cannot ask for it."""
    return _study(_who(), follow_up="assumed", age=False)


def peer_spec(*, features: bool) -> str:
    """Return what benchmarks/peers/hospital_pandas.py needs to know."""
    numbers = []
    for one in MEASURES:
        asked = {
            f"{one.name}_{how}": how
            for how in ("last", SECOND[one.name], *([THIRD[one.name]] if one.name in THIRD else []))
        }
        if one.name == "creatinine":
            asked["creatinine_slope"] = "slope"
        low, high = _range(one.low, one.high)
        numbers.append(
            {"concept": one.concept_id, "unit": UNITS[one.unit], "low": low, "high": high, "features": asked,
             "slope_range": SLOPE_RANGE}
        )  # fmt: skip
    years = [
        {"table": table, "concept_column": concept, "time_column": time,
         "features": {name: (spec[3], spec[4]) for name, spec in YEARS.items() if spec[0] == kind}}
        for kind, (table, concept, time) in TABLES.items()
    ]  # fmt: skip
    follow_up = "required" if features else "assumed"
    return json.dumps(
        {"follow_up": follow_up, "numbers": numbers if features else [], "years": years if features else []}
    )


def _range(low: float, high: float) -> tuple[float, float]:
    return round(low * 0.5, 4), round(high * 1.5, 4)


def _who() -> list[dict[str, Any]]:
    sexes = {"type": "category", "values": ["female", "male"], "categories": {"female": "woman", "male": "man"}}
    return [
        {"name": "age", "type": "integer", "unit": "a", "range": [0, 120], "built_in": "age"},
        {"name": "sex", **sexes},
    ]


def _numbers() -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = []
    for one in MEASURES:
        common = {"type": "number", "unit": one.unit, "range": list(_range(one.low, one.high)), "concepts": one.name}
        common["codes"] = {"loinc": one.loinc}
        for how in ("last", SECOND[one.name], *([THIRD[one.name]] if one.name in THIRD else [])):
            features.append({"name": f"{one.name}_{how}", "aggregation": how, **common})
        if one.name == "creatinine":
            slope = {"unit": f"{one.unit}/h", "range": list(SLOPE_RANGE), "value_unit": one.unit}
            slope |= {"value_range": common["range"], "aggregation": "slope"}
            features.append(common | slope | {"name": "creatinine_slope"})
    return features


def _years() -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = []
    for name, (table, _, _, _, how) in YEARS.items():
        kind = {"type": "boolean"} if how == "any" else {"type": "integer", "unit": "1", "range": [0, 1000]}
        common = {"name": name, "aggregation": how, "window_hours": [-8760, 0], "concepts": name, "table": table}
        features.append({**common, **kind})
    return features


def _study(features: list[dict[str, Any]], *, follow_up: str, age: bool = True) -> Study:
    sets: dict[str, Any] = {one.name: _set("LOINC", one.loinc) for one in MEASURES}
    sets |= {name: _set(vocabulary, code) for name, (_, vocabulary, code, _, _) in YEARS.items()}
    sets |= {"inpatient": _set("Visit", "IP"), "woman": _set("Gender", "F"), "man": _set("Gender", "M")}
    sets["dialysis"] = _set("SNOMED", "302497006")
    rule = {"name": "no-dialysis", "concepts": "dialysis", "window_days": [-365, 0], "at_most": 0}
    entry: dict[str, Any] = {"concepts": ["inpatient"], "index_hours": 24, "lasting": True, "rules": [rule]}
    entry["prior_observation_days"] = 180
    if age:
        entry["age_years"] = [18, 120]
    return parse(
        json.dumps(
            {
                "schema": "wardgate/study/1",
                "id": "hospital-data",
                "version": 1,
                "title": "Thirty-day death (simulated, for timing)",
                "question": "How long does it take to ask so many persons?",
                "concept_sets": sets,
                "cohort": {"entry": "First stay of a day", "entries": "first-eligible", "events": entry},
                "index_date": "A day after admission",
                "label": {
                    "name": "died_30d",
                    "meaning": "Death within 30 days",
                    "window_days": [0, 30],
                    "events": {"concepts": ["death"], "follow_up": follow_up},
                },
                "features": features,
                "acceptance": {"auroc_min": 0.6, "worst_site_auroc_min": 0.5},
                "sites": ["one", "two", "three"],
            }
        ),
        name="study.yaml",
    )


def _set(vocabulary: str, code: str) -> dict[str, Any]:
    return {"concepts": [{"vocabulary": vocabulary, "code": code, "descendants": True}]}


ACES_TASK = """\
predicates:
  admission: {code: Visit/IP}
  discharge: {code: Visit/IP//END}
  death: {code: MEDS_DEATH}
  observed: {code: OBSERVATION_PERIOD}
  dialysis: {code: SNOMED/302497006}
trigger: admission
windows:
  prior:
    start: null
    end: trigger - 180d
    start_inclusive: true
    end_inclusive: true
    has:
      observed: (1, None)
  year:
    start: end - 365d
    end: trigger
    start_inclusive: true
    end_inclusive: true
    has:
      dialysis: (None, 0)
  stay:
    start: trigger
    end: start + 24h
    start_inclusive: false
    end_inclusive: true
    has:
      discharge: (None, 0)
      death: (None, 0)
    index_timestamp: end
  target:
    start: stay.end
    end: start + 30d
    start_inclusive: false
    end_inclusive: true
    label: death
"""
"""The entry of `cohort_study` and its outcome in the language of ACES 0.7."""

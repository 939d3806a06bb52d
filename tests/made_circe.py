"""Circe definitions for tests, with the structure that ATLAS exports."""

import json
from typing import Any

from wardgate.records.circe import Imported, read_circe


def concept(number: int, name: str, code: str = "1", vocabulary: str = "SNOMED", standard: str = "S") -> dict[str, Any]:
    return {
        "CONCEPT_ID": number,
        "CONCEPT_NAME": name,
        "STANDARD_CONCEPT": standard,
        "STANDARD_CONCEPT_CAPTION": "Standard",
        "INVALID_REASON": "V",
        "INVALID_REASON_CAPTION": "Valid",
        "CONCEPT_CODE": code,
        "DOMAIN_ID": "Condition",
        "VOCABULARY_ID": vocabulary,
        "CONCEPT_CLASS_ID": "Clinical Finding",
    }


def concept_set(number: int, name: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"id": number, "name": name, "expression": {"items": list(items)}}


def endpoint(days: int | None, coefficient: int = -1) -> dict[str, Any]:
    return {"Coeff": coefficient} if days is None else {"Days": days, "Coeff": coefficient}


def linked(
    kind: str, number: int | None, start: int | None, end: int, *, occurrence: tuple[int, int] = (2, 1), **more: Any
) -> dict[str, Any]:
    """Events of a set between so many days before the entry and so many days before it."""
    attributes = {} if number is None else {"CodesetId": number}
    return {
        "Criteria": {kind: attributes | more.pop("attributes", {})},
        "StartWindow": {"Start": endpoint(start), "End": endpoint(end), "UseEventEnd": False},
        "Occurrence": {"Type": occurrence[0], "Count": occurrence[1]},
        **more,
    }


def group(kind: str, *listed: dict[str, Any], groups: tuple = (), persons: tuple = (), **more: Any) -> dict[str, Any]:
    return {
        "Type": kind,
        "CriteriaList": list(listed),
        "DemographicCriteriaList": list(persons),
        "Groups": list(groups),
        **more,
    }


DIABETES = concept_set(
    0,
    "Type 2 diabetes mellitus",
    {"concept": concept(201826, "Type 2 diabetes mellitus", "44054006"), "includeDescendants": True},
    {"concept": concept(4058243, "Gestational diabetes", "11687002"), "includeDescendants": True, "isExcluded": True},
)
METFORMIN = concept_set(
    1, "Metformin", {"concept": concept(1503297, "metformin", "6809", "RxNorm"), "includeDescendants": True}
)
CREATININE = concept_set(2, "Creatinine", {"concept": concept(3016723, "Creatinine", "2160-0", "LOINC")})
STAY = concept_set(3, "Inpatient visit", {"concept": concept(9201, "Inpatient Visit", "IP", "Visit")})
LIMIT = {"First": {"Type": "First"}, "All": {"Type": "All"}}


def definition(**more: Any) -> dict[str, Any]:
    """Type 2 diabetes, first ever, after a year of observation."""
    return {
        "ConceptSets": [DIABETES, METFORMIN, CREATININE, STAY],
        "PrimaryCriteria": {
            "CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0, "First": True}}],
            "ObservationWindow": {"PriorDays": 365, "PostDays": 0},
            "PrimaryCriteriaLimit": {"Type": "First"},
        },
        "QualifiedLimit": {"Type": "First"},
        "ExpressionLimit": {"Type": "First"},
        "InclusionRules": [],
        "CensoringCriteria": [],
        "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0},
        "CensorWindow": {},
        "cdmVersionRange": ">=5.0.0",
        **more,
    }


def primary(*events: dict[str, Any], prior: int = 0, post: int = 0, limit: str = "All") -> dict[str, Any]:
    return {
        "CriteriaList": list(events),
        "ObservationWindow": {"PriorDays": prior, "PostDays": post},
        "PrimaryCriteriaLimit": {"Type": limit},
    }


def included(*rules: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, "expression": one} for name, one in rules]


def of(given: dict[str, Any], **more: Any) -> Imported:
    return read_circe(json.dumps(given), name="t2dm.json", **more)


MG_DL = {
    "CONCEPT_ID": 8840,
    "CONCEPT_CODE": "mg/dL",
    "VOCABULARY_ID": "UCUM",
    "CONCEPT_NAME": "milligram per deciliter",
}
RULE = included(("recent", group("ALL", linked("DrugExposure", 1, 30, 0))))
EXIT = {"DateOffset": {"DateField": "StartDate", "Offset": 30}}
EVENT = {"ConditionOccurrence": {"CodesetId": 0}}

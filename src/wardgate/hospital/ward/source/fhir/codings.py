"""FHIR code systems -> vocabularies as OMOP spells them, and which coding of a concept is the standard one."""

from collections.abc import Mapping
from typing import Any

_SYSTEMS: Mapping[str, str] = {
    "http://snomed.info/sct": "SNOMED",
    "urn:oid:2.16.840.1.113883.6.96": "SNOMED",
    "http://loinc.org": "LOINC",
    "urn:oid:2.16.840.1.113883.6.1": "LOINC",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "urn:oid:2.16.840.1.113883.6.88": "RxNorm",
    "http://hl7.org/fhir/sid/cvx": "CVX",
    "urn:oid:2.16.840.1.113883.12.292": "CVX",
    "http://www.whocc.no/atc": "ATC",
    "http://fhir.de/CodeSystem/bfarm/atc": "ATC",
    "urn:oid:2.16.840.1.113883.6.73": "ATC",
    "http://hl7.org/fhir/sid/icd-10": "ICD10",
    "urn:oid:2.16.840.1.113883.6.3": "ICD10",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
    "urn:oid:2.16.840.1.113883.6.90": "ICD10CM",
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm": "ICD10GM",
    "http://hl7.org/fhir/sid/icd-9-cm": "ICD9CM",
    "urn:oid:2.16.840.1.113883.6.103": "ICD9CM",
    "urn:oid:2.16.840.1.113883.6.104": "ICD9Proc",
    "http://www.cms.gov/Medicare/Coding/ICD10": "ICD10PCS",
    "urn:oid:2.16.840.1.113883.6.4": "ICD10PCS",
    "http://www.ama-assn.org/go/cpt": "CPT4",
    "urn:oid:2.16.840.1.113883.6.12": "CPT4",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "HCPCS",
    "urn:oid:2.16.840.1.113883.6.285": "HCPCS",
    "http://hl7.org/fhir/sid/ndc": "NDC",
    "urn:oid:2.16.840.1.113883.6.69": "NDC",
    "http://fhir.de/CodeSystem/bfarm/ops": "OPS",
    "http://unitsofmeasure.org": "UCUM",
    "urn:oid:2.16.840.1.113883.6.8": "UCUM",
    "http://terminology.hl7.org/CodeSystem/v3-ActCode": "ActCode",
    "urn:oid:2.16.840.1.113883.5.4": "ActCode",
}

_RANK: Mapping[str, int] = {"SNOMED": 0, "LOINC": 0, "RxNorm": 0, "CVX": 0, "ATC": 1, "ICD10": 1, "ICD10CM": 1}
"""What OMOP takes as standard comes first, then what is international; 2 is what else is known, 3 what is not."""

_KNOWN = frozenset(_SYSTEMS.values())

Codes = tuple[str | None, str | None, int]
"""The standard code and another as recorded, as `VOCABULARY/CODE`, and how many further codings there were."""

NOTHING: Codes = (None, None, 0)


def vocabulary(system: str) -> str:
    """Return the vocabulary of a code system; of one that is not known here, its own name without slashes.

    >>> vocabulary("http://loinc.org"), vocabulary("http://snomed.info/sct/900000000000207008")
    ('LOINC', 'SNOMED')
    >>> vocabulary("http://hospital.example/lab/")
    'hospital.example:lab'
    """
    bare = system.strip().rstrip("/")
    if bare.startswith("http://snomed.info/sct/"):
        return "SNOMED"
    known = _SYSTEMS.get(bare)
    return known if known is not None else bare.partition("://")[2].replace("/", ":") or bare.replace("/", ":")


def code_of(coding: object) -> str | None:
    """Return a coding as `VOCABULARY/CODE`, or None where it has no system or no code."""
    if not isinstance(coding, dict):
        return None
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str) or not isinstance(code, str) or not system.strip() or not code.strip():
        return None
    return f"{vocabulary(system)}/{code.strip()}"


def codes_of(concept: Any) -> Codes:
    """Choose among the codings of a CodeableConcept.

    The first of the best rank is the code. Of the others, the first that a person chose, else the first, is the code
    as recorded; a single coding is both.
    """
    codings = concept.get("coding") if isinstance(concept, dict) else None
    if not isinstance(codings, list) or not codings:
        return NOTHING
    if len(codings) == 1:
        only = code_of(codings[0])
        return only, only, 0
    named = [
        (code, vocabulary(coding["system"]), coding.get("userSelected") is True)
        for coding in codings
        if (code := code_of(coding)) is not None
    ]
    if not named:
        return NOTHING
    best = min(range(len(named)), key=lambda at: _rank(named[at][1]))
    others = [one for at, one in enumerate(named) if at != best]
    chosen = next((code for code, _, selected in others if selected), others[0][0] if others else named[best][0])
    return named[best][0], chosen, max(0, len(others) - 1)


def _rank(known: str) -> int:
    return _RANK.get(known, 2 if known in _KNOWN else 3)

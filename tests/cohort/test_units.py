"""Units convert by UCUM's own definitions, there and back; what the table does not know is not guessed."""

import math

import pytest

from wardgate.hospital.ward.cohort.units import candidates, conversion
from wardgate.records.feature import Feature


def feature(name: str, unit: str, **codes: str) -> Feature:
    return Feature(name=name, type="number", unit=unit, range=(0.0, 1.0), codes=codes)


KNOWN = [
    ("creatinine", "mg/dL", "umol/L", 1.0, 88.40),
    ("glucose", "mg/dL", "mmol/L", 180.156, 10.0),
    ("bilirubin", "mg/dL", "umol/L", 1.0, 17.10),
    ("urea", "mg/dL", "mmol/L", 6.006, 1.0),
    ("bun", "mg/dL", "mmol/L", 28.0, 9.995),
    ("cholesterol", "mg/dL", "mmol/L", 193.3, 5.0),
    ("lactate", "mg/dL", "mmol/L", 18.0, 1.998),
    ("temperature", "[degF]", "Cel", 98.6, 37.0),
    ("temperature", "K", "Cel", 310.15, 37.0),
    ("pressure", "kPa", "mm[Hg]", 16.0, 120.01),
    ("weight", "[lb_av]", "kg", 220.46, 100.0),
    ("height", "[in_i]", "cm", 70.0, 177.8),
    ("age", "mo", "a", 30.0, 2.5),
    ("delay", "d", "h", 2.0, 48.0),
    ("saturation", "1", "%", 0.97, 97.0),
    ("cells", "/uL", "10*9/L", 7300.0, 7.3),
    ("haemoglobin", "g/dL", "g/L", 13.5, 135.0),
]


@pytest.mark.parametrize(("name", "source", "target", "value", "expected"), KNOWN)
def test_known_conversions_hold_there_and_back(name, source, target, value, expected) -> None:
    there = conversion(source, feature(name, target))
    back = conversion(target, feature(name, source))
    assert there is not None
    assert back is not None
    converted = value * there.factor + there.offset
    assert math.isclose(converted, expected, rel_tol=1e-3)
    assert math.isclose(converted * back.factor + back.offset, value, rel_tol=1e-9)


def test_mass_becomes_molar_only_for_a_known_analyte() -> None:
    assert conversion("mg/dL", feature("troponin", "umol/L")) is None
    known = conversion("mg/dL", feature("x", "umol/L", loinc="2160-0"))
    assert known is not None
    assert math.isclose(known.factor, 88.40, rel_tol=1e-3)


def test_nothing_is_guessed() -> None:
    assert conversion("kg", feature("creatinine", "umol/L")) is None
    assert conversion("furlong", feature("height", "cm")) is None
    assert conversion("mm[Hg]", feature("temperature", "Cel")) is None


def test_annotations_and_equal_units_change_nothing() -> None:
    same = conversion("{beats}/min", feature("heart_rate", "/min"))
    assert same is not None
    assert not same.changes
    unknown = conversion("[arb'U]", feature("titre", "[arb'U]"))
    assert unknown is not None
    assert not unknown.changes


def test_candidates_are_other_units_of_the_same_thing() -> None:
    units = [unit for unit, _ in candidates(feature("creatinine", "umol/L"))]
    assert "mg/dL" in units
    assert "umol/L" not in units
    assert "kPa" not in units

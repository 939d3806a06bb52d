"""Laboratories' units convert as textbooks say; spellings are understood, and case is never folded where it counts."""

import math

import pytest

from wardgate.hospital.ward.cohort.units import analyte, candidates, conversion, loinc_of, ucum, usual
from wardgate.hospital.ward.cohort.units.analytes import ANALYTES
from wardgate.hospital.ward.cohort.units.table import UNITS
from wardgate.records.concepts import Concept, ConceptSet
from wardgate.records.feature import Feature


def feature(name: str, unit: str, **codes: str) -> Feature:
    return Feature(name=name, type="number", unit=unit, range=(0.0, 1.0), codes=codes)


# Young 1987 (doi:10.7326/0003-4819-106-1-114) and the SI tables of the AMA Manual of Style, rounded as printed there
TEXTBOOK = [
    ("creatinine", "mg/dL", "umol/L", 1.0, 88.4),
    ("glucose", "mg/dL", "mmol/L", 1.0, 0.0555),
    ("bilirubin", "mg/dL", "umol/L", 1.0, 17.1),
    ("bun", "mg/dL", "mmol/L", 1.0, 0.357),
    ("urea", "mg/dL", "mmol/L", 1.0, 0.1665),
    ("lactate", "mg/dL", "mmol/L", 1.0, 0.111),
    ("cholesterol", "mg/dL", "mmol/L", 1.0, 0.02586),
    ("hdl", "mg/dL", "mmol/L", 1.0, 0.02586),
    ("ldl_cholesterol", "mg/dL", "mmol/L", 1.0, 0.02586),
    ("triglycerides", "mg/dL", "mmol/L", 1.0, 0.01129),
    ("calcium", "mg/dL", "mmol/L", 1.0, 0.2495),
    ("calcium", "meq/L", "mmol/L", 1.0, 0.5),
    ("calcium", "mg/dL", "meq/L", 1.0, 0.499),
    ("magnesium", "mg/dL", "mmol/L", 1.0, 0.4114),
    ("magnesium", "mEq/L", "mmol/L", 1.0, 0.5),
    ("phosphate", "mg/dL", "mmol/L", 1.0, 0.3229),
    ("uric_acid", "mg/dL", "umol/L", 1.0, 59.48),
    ("haemoglobin", "g/dL", "mmol/L", 1.0, 0.6206),
    ("hemoglobin", "g/dL", "g/L", 13.5, 135.0),
    ("albumin", "g/dL", "umol/L", 1.0, 150.4),
    ("iron", "ug/dL", "umol/L", 1.0, 0.179),
    ("potassium", "mEq/L", "mmol/L", 4.2, 4.2),
    ("sodium", "meq/L", "mmol/L", 140.0, 140.0),
    ("chloride", "mEq/L", "mmol/L", 103.0, 103.0),
    ("hba1c", "%", "mmol/mol", 7.0, 53.0),
    ("hba1c", "%", "mmol/mol", 6.5, 47.5),
    ("hemoglobin_a1c", "mmol/mol", "%", 75.0, 9.01),
    ("troponin_t", "ng/mL", "ng/L", 0.014, 14.0),
    ("crp", "mg/dL", "mg/L", 1.0, 10.0),
    ("paco2", "kPa", "mm[Hg]", 5.33, 40.0),
    ("fio2", "%", "1", 21.0, 0.21),
    ("fio2", "{fraction}", "%", 0.5, 50.0),
    ("wbc", "K/uL", "10*9/L", 7.3, 7.3),
    ("rbc", "10^12/L", "10*6/uL", 4.8, 4.8),
    ("temperature", "°F", "Cel", 98.6, 37.0),
    ("weight", "lbs", "kg", 220.462, 100.0),
    ("height", "inches", "cm", 70.0, 177.8),
    ("alt", "IU/L", "U/L", 35.0, 35.0),
    ("alt", "ukat/L", "U/L", 1.0, 60.0),
    ("infusion", "mL/hr", "L/min", 60.0, 0.001),
]


@pytest.mark.parametrize(("name", "source", "target", "value", "expected"), TEXTBOOK)
def test_textbook_equivalences_hold_there_and_back(name, source, target, value, expected) -> None:
    there, back = conversion(source, feature(name, target)), conversion(target, feature(name, source))
    assert there is not None
    assert back is not None
    converted = value * there.factor + there.offset
    assert math.isclose(converted, expected, rel_tol=3e-3)
    assert math.isclose(converted * back.factor + back.offset, value, rel_tol=1e-9)


SPELLINGS = [
    ("mg/dl", "mg/dL"),
    ("MG/DL", "mg/dL"),
    ("mmol/l", "mmol/L"),
    ("µmol/L", "umol/L"),
    ("μmol/l", "umol/L"),
    ("10^9/L", "10*9/L"),
    ("G/L", "10*9/L"),
    ("g/L", "g/L"),
    ("K/uL", "10*3/uL"),
    ("x10E3/uL", "10*3/uL"),
    ("M/uL", "10*6/uL"),
    ("°C", "Cel"),
    ("Cel", "Cel"),
    ("Deg. C", "Cel"),
    ("mEq/L", "meq/L"),
    ("bpm", "/min"),
    ("{beats}/min", "/min"),
    ("insp/min", "/min"),
    ("mmHg", "mm[Hg]"),
    ("mm Hg", "mm[Hg]"),
    ("  %  ", "%"),
    ("mcg/mL", "ug/mL"),
    ("kg", "kg"),
    ("Kg", "kg"),
    ("mM", "mmol/L"),
    ("mIU/L", "m[iU]/L"),
    ("", "1"),
]


@pytest.mark.parametrize(("spelling", "unit"), SPELLINGS)
def test_spellings_are_understood(spelling, unit) -> None:
    assert ucum(spelling) == unit
    assert unit in UNITS


@pytest.mark.parametrize("spelling", ["m/uL", "M", "MM", "MMHO", "Mm", "mg/dL/x", "MU/L", "MIU/ML", "?", "none"])
def test_what_case_or_text_leaves_open_stays_unknown(spelling) -> None:
    assert ucum(spelling) not in UNITS
    assert conversion(spelling, feature("rbc", "10*12/L")) is None


def test_m_is_a_metre_and_never_a_molar() -> None:
    assert conversion("m", feature("height", "cm")) is not None
    assert conversion("M", feature("height", "cm")) is None
    assert conversion("M", feature("sodium", "mmol/L")) is None


def test_no_unit_at_all_is_right_for_bare_numbers_alone() -> None:
    score = conversion("", feature("apache_score", "1"))
    assert score is not None
    assert not score.changes
    assert conversion("", feature("saturation", "%")) is None
    assert conversion("{fraction}", feature("saturation", "%")) is not None


def test_an_unknown_spelling_equal_to_the_studys_needs_no_conversion() -> None:
    same = conversion("mmHg", feature("pressure", "mm[Hg]"))
    assert same is not None
    assert not same.changes


def test_the_codes_of_a_concept_set_tell_the_analyte() -> None:
    set_ = ConceptSet(
        concepts=(
            Concept(vocabulary="LOINC", code="2160-0"),
            Concept(vocabulary="LOINC", code="14682-9"),
            Concept(vocabulary="LOINC", code="3094-0", exclude=True),
            Concept(vocabulary="SNOMED", code="113075003"),
        )
    )
    assert loinc_of(set_) == ("2160-0", "14682-9")
    renal = feature("renal", "umol/L")
    assert conversion("mg/dL", renal) is None
    known = conversion("mg/dL", renal, loinc=loinc_of(set_))
    assert known is not None
    assert math.isclose(known.factor, 88.40, rel_tol=1e-3)


def test_a_mass_of_urea_and_of_its_nitrogen_are_told_apart_by_code() -> None:
    urea = feature("urea", "mmol/L")
    nitrogen = conversion("mg/dL", urea, loinc=("3094-0", "22664-7"))
    whole = conversion("mg/dL", urea, loinc=("3091-6", "22664-7"))
    assert nitrogen is not None
    assert whole is not None
    assert math.isclose(nitrogen.factor, 0.357, rel_tol=2e-3)
    assert math.isclose(whole.factor, 0.1665, rel_tol=2e-3)
    assert conversion("mg/dL", urea, loinc=("3091-6", "3094-0")) is None


def test_a_slopes_single_values_go_to_their_own_unit() -> None:
    slope = Feature(
        name="lactate_slope",
        type="number",
        unit="mmol/L/h",
        range=(-5.0, 5.0),
        aggregation="slope",
        concepts="lactate",
        value_unit="mmol/L",
        value_range=(0.1, 40.0),
    )
    single = conversion("mg/dL", slope)
    assert single is not None
    assert math.isclose(single.factor, 0.111, rel_tol=1e-3)


def test_names_of_other_things_are_no_analyte() -> None:
    assert analyte(feature("lactate_dehydrogenase", "U/L")) == "ldh"
    assert analyte(feature("creatine_kinase", "U/L")) == "creatine kinase"
    assert analyte(feature("hemoglobin_a1c", "%")) == "hba1c"
    assert analyte(feature("urea_nitrogen", "mg/dL")) == "urea nitrogen"
    assert analyte(feature("environment", "mmol/L")) is None
    assert conversion("%", feature("haematocrit", "mmol/mol")) is None
    assert conversion("[iU]/L", feature("insulin", "U/L")) is None


def test_no_loinc_code_means_two_analytes_and_every_usual_unit_converts() -> None:
    codes = [code for one in ANALYTES for code in (*one.mass, *one.molar, *one.other)]
    assert len(codes) == len(set(codes))
    for one in ANALYTES:
        first = one.units[0]
        for unit in one.units:
            assert conversion(unit, feature(one.name.replace(" ", "_"), first)) is not None, (one.name, unit)
        if one.typical is not None:
            assert conversion(one.typical[0], feature(one.name.replace(" ", "_"), first)) is not None


def test_loinc_codes_carry_their_check_digit() -> None:
    for one in ANALYTES:
        for code in (*one.mass, *one.molar, *one.other):
            number, digit = code.split("-")
            assert int(digit) == mod_10(number), code


def mod_10(number: str) -> int:
    """LOINC's check digit: Luhn's, over the number in front of it."""
    odd, even = number[::-1][::2], number[::-1][1::2]
    doubled = str(2 * int(odd[::-1]))
    total = sum(map(int, doubled)) + sum(map(int, even))
    return -total % 10


def test_what_laboratories_use_is_tried_first_and_nothing_twice() -> None:
    creatinine = feature("creatinine", "umol/L")
    units = [unit for unit, _ in candidates(creatinine)]
    assert units[0] == "mg/dL"
    assert [unit for unit, _ in usual(creatinine)] == ["mg/dL", "mmol/L", "mg/L"]
    factors = [(round(linear.factor, 9), linear.offset) for _, linear in candidates(creatinine)]
    assert len(factors) == len(set(factors))

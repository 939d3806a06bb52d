"""A mapping reads, or says by line what the study cannot use."""

import pytest

from wardgate.records.mapping import bounds, parse, parse_for, parse_hospital
from wardgate.records.study_file import Findings
from wardgate.records.study_file import parse as parse_study
from wardgate.records.study_template import template

MAPPING = """\
schema: wardgate/mapping/1
files: [a.csv]
missing: [NA]
person: {column: pid}
fields:
  age: {column: AGE, unit: a}
  sex: {column: SEX, recode: {1: male, 2: female}}
  systolic_pressure: {column: SBP, unit: "mm[Hg]"}
  creatinine: {column: CREA, unit: mg/dL}
labels:
  died_30d: {column: DEAD, positive: [Y], negative: [NO]}
"""


def findings(text: str) -> str:
    with pytest.raises(Findings) as caught:
        parse_for(text, parse_study(template(), name="study.yaml"), name="mapping.yaml")
    return str(caught.value)


def test_a_mapping_keeps_codes_as_they_are_written() -> None:
    mapping = parse(MAPPING, name="mapping.yaml")
    assert mapping.labels["died_30d"].negative == ("NO",)
    assert mapping.fields["sex"].recode == {"1": "male", "2": "female"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("files: [a.csv]", "files: [../a.csv]", "inside its folder"),
        ("files: [a.csv]", "files: [/etc/passwd]", "inside its folder"),
        ("files: [a.csv]", "files: []", "files"),
        ("person: {column: pid}", "person: {}", "either 'column' or 'each_row: true'"),
        ("person: {column: pid}", "person: {column: pid, each_row: true}", "either 'column' or 'each_row: true'"),
        ("person: {column: pid}", "person: {colum: pid}", "expected 'column'"),
        ("unit: mg/dL}", "units: mg/dL}", "expected 'unit'"),
        ("  age: {column: AGE, unit: a}\n", "", "fields.age: found nothing"),
        ("  age: {column: AGE, unit: a}", "  age: {column: AGE}", "fields.age.unit: found nothing"),
        ("1: male", "1: man", "the category 'man', expected one of the study's: female, male"),
        ("died_30d:", "dead:", "labels.died_30d: found nothing"),
        ("positive: [Y]", "positive: [NO]", "in both"),
        ("recode: {1: male, 2: female}", "ranges: {male: [9-1]}", "goes up"),
        ("recode: {1: male, 2: female}", "ranges: {male: [1-5], female: [5-9]}", "overlap"),
        ("recode: {1: male, 2: female}", "numbers: {1: 2}", "a unit or numbers"),
        ("column: CREA, unit: mg/dL", "column: CREA, unit: mg/dL, otherwise: x", "codes for categories"),
    ],
)
def test_each_mistake_of_a_mapping_is_named(old: str, new: str, words: str) -> None:
    assert old in MAPPING
    found = findings(MAPPING.replace(old, new, 1))
    assert words in found
    assert found.startswith("mapping.yaml:")


def test_first_entries_need_an_order() -> None:
    study = parse_study(template().replace("entries: single", "entries: first"), name="study.yaml")
    with pytest.raises(Findings, match=r"person\.order: found nothing"):
        parse_for(MAPPING, study, name="mapping.yaml")


def test_ranges_of_codes_end_before_the_next_integer() -> None:
    assert bounds("390-459") == ("", 390.0, 460.0)
    assert bounds("E800-E999") == ("E", 800.0, 1000.0)
    assert bounds("250.0-250.9") == ("", 250.0, 250.91)


def test_a_hospital_says_who_it_is_and_nothing_else() -> None:
    hospital = parse_hospital("id: a\nnote: n\ngenerator: {name: sequential-cart, min_leaf: 1}\n", name="hospital.yaml")
    assert hospital.generator is not None
    assert hospital.generator.min_leaf == 1
    with pytest.raises(Findings, match="unknown field 'address'"):
        parse_hospital("id: a\naddress: b\n", name="hospital.yaml")

"""A suite of clinical rules: the starter set is whole, and a broken file says where it is broken."""

import numpy as np
import pytest

from wardgate.hospital.ward.gate.battery.suite import starter
from wardgate.records.clinical_rules import Suite, bounds, parse
from wardgate.records.errors import Invalid
from wardgate.records.expression import read
from wardgate.records.feature import Feature
from wardgate.records.yaml_file import Findings

TEXT = """schema: wardgate/clinical-rules/1
units:
  "mm[Hg]": {dimension: pressure}
  kPa: {dimension: pressure, factor: 7.5}
  a: {dimension: time}
concepts:
  systolic: {unit: "mm[Hg]", codes: {loinc: [8480-6]}, names: [sbp]}
  diastolic: {unit: "mm[Hg]", names: [dbp]}
  age: {unit: a, names: [age]}
  pregnant: {type: flag, names: [pregnant], codes: {icd10: ["O*"]}}
  sex: {type: category, names: [sex], values: {female: [f], male: [m]}}
rules:
  - {name: high, kind: range, of: systolic, between: [0, 400], unit: "mm[Hg]", severity: impossible, source: a book}
  - {name: order, kind: comparison, left: diastolic, op: "<=", right: systolic, severity: impossible, source: a book}
  - {name: women, kind: implication, when: {pregnant: [yes]}, then: {sex: [female]}, severity: impossible, source: book}
"""


def test_the_starter_set_has_sixty_rules_of_every_kind_each_with_a_source() -> None:
    suite = starter()
    assert len(suite.rules) >= 60
    assert {rule.kind for rule in suite.rules} == {"range", "comparison", "implication", "formula", "order", "rising"}
    assert all(len(rule.source) > 10 and rule.words for rule in suite.rules)
    assert {name for rule in suite.rules for name in rule.concepts} == set(suite.concepts)


def test_a_suite_reads_back_from_its_canonical_bytes() -> None:
    suite = starter()
    again = Suite.from_plain(suite.plain())
    assert again == suite
    assert again.fingerprint() == suite.fingerprint()


def test_words_say_what_a_rule_asks() -> None:
    words = {rule.name: rule.words for rule in starter().rules}
    assert words["diastolic-not-above-systolic"] == "diastolic <= systolic"
    assert words["pregnancy-of-women"] == "where pregnant is yes: sex is female"
    assert words["high-lactate-low-ph"] == "where lactate is at least 20: ph is at most 7.45"
    assert words["result-after-specimen"] == "specimen <= result"


@pytest.mark.parametrize(
    ("unit", "concept", "value", "expected"),
    [
        ("mg/dL", "creatinine", 1.0, 88.4),
        ("g/dL", "haemoglobin", 14.0, 140.0),
        ("[degF]", "temperature", 98.6, 37.0),
        ("K", "temperature", 310.15, 37.0),
        ("kPa", "systolic", 16.0, 120.0),
        ("%", "inspired_oxygen", 40.0, 0.4),
        ("{beats}/min", "heart_rate", 70.0, 70.0),
        ("meq/L", "sodium", 140.0, 140.0),
        ("d", "death", 2.0, 48.0),
        ("mg/dL", "glucose", 90.0, 5.0),
    ],
)
def test_units_are_converted_by_known_factors(unit: str, concept: str, value: float, expected: float) -> None:
    linear = starter().conversion(unit, concept)
    assert linear is not None
    assert value * linear[0] + linear[1] == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(("unit", "concept"), [("kg", "creatinine"), ("furlong", "height"), ("mmol/L", "albumin")])
def test_a_unit_that_is_not_known_is_not_converted(unit: str, concept: str) -> None:
    assert starter().conversion(unit, concept) is None


def test_a_code_decides_before_a_name_does() -> None:
    sodium = starter().concepts["sodium"]
    serum = Feature(name="x", type="number", unit="mmol/L", range=(0, 1), codes={"loinc": "2951-2"})
    urine = Feature(name="sodium", type="number", unit="mmol/L", range=(0, 1), codes={"loinc": "2955-3"})
    named = Feature(name="Sodium", type="number", unit="mmol/L", range=(0, 1), codes={"snomed": "1"})
    flag = Feature(name="sodium", type="boolean")
    assert [sodium.is_meant_by(feature) for feature in (serum, urine, named, flag)] == [True, False, True, False]


def test_the_beginning_of_a_code_is_enough_where_the_suite_says_so() -> None:
    pregnant = parse(TEXT, name="suite.yaml").concepts["pregnant"]
    assert pregnant.is_meant_by(Feature(name="x", type="boolean", codes={"icd10": "O80"}))
    assert not pregnant.is_meant_by(Feature(name="x", type="boolean", codes={"icd10": "I21"}))


MUSEUM = {
    "no schema": ("schema: wardgate/clinical-rules/1\n", "", 1, "versions known here"),
    "another schema": ("clinical-rules/1", "clinical-rules/9", 1, "versions known here"),
    "unknown concept": ("of: systolic", "of: systole", 13, "'systole'"),
    "unknown kind": ("kind: range", "kind: span", 13, "kind"),
    "unknown severity": (
        "severity: impossible, source: a book}\n  - {name: order",
        "severity: bad, source: a book}\n  - {name: order",
        13,
        "severity",
    ),
    "unknown field": ("of: systolic,", "of: systolic, colour: red,", 13, "colour"),
    "no source": (", source: a book}\n  - {name: order", "}\n  - {name: order", 13, "source"),
    "the field of another kind": ("of: systolic,", "of: systolic, op: '<',", 13, "'op' belongs to another kind"),
    "a field lacking": ("between: [0, 400], ", "", 13, "with of, between, unit"),
    "range upside down": ("[0, 400]", "[400, 0]", 13, "low < high"),
    "range of nothing": ("[0, 400]", "[null, null]", 13, "low < high"),
    "range that is no number": ("[0, 400]", "[0, tall]", 13, "between"),
    "infinite range": ("[0, 400]", "[0, inf]", 13, "finite"),
    "unit of another dimension": ('unit: "mm[Hg]", severity', "unit: a, severity", 13, "converts to 'mm[Hg]'"),
    "comparison across units": ("right: systolic", "right: age", 14, "one unit"),
    "comparison that computes": ("right: systolic", "right: systolic + 1", 14, "'formula' computes"),
    "expression that is none": ("right: systolic", "right: __import__('os')", 14, "expression"),
    "expression that calls": ("right: systolic", "right: eval(systolic)", 14, "cannot be called"),
    "expression cut short": ("right: systolic", "right: (systolic", 14, "')' was expected"),
    "unknown operator": ('op: "<="', 'op: "~"', 14, "op"),
    "value that is not in the category": ("[female]", "[women]", 15, "female, male"),
    "flag that is neither": ("[yes]", "[perhaps]", 15, "yes, no"),
    "empty condition": ("then: {sex: [female]}", "then: {sex: []}", 15, "female, male"),
    "no condition": ("then: {sex: [female]}", "then: {}", 15, "with when, then"),
    "a name twice": ("name: order", "name: high", 14, "every name once"),
    "concept without unit": ('systolic: {unit: "mm[Hg]", ', "systolic: {", 7, "needs 'unit'"),
    "concept of unknown unit": ('diastolic: {unit: "mm[Hg]"', "diastolic: {unit: bar", 8, "listed under 'units'"),
    "concept that no column can be": ('{unit: "mm[Hg]", names: [dbp]}', '{unit: "mm[Hg]"}', 8, "'codes' or 'names'"),
    "one name of two concepts": ("names: [dbp]", "names: [SBP]", 8, "of one concept only"),
    "concept with capitals": ("diastolic: {unit", "Diastolic: {unit", 8, "a-z"),
    "category of one value": ("{female: [f], male: [m]}", "{female: [f]}", 11, "at least two"),
    "a field twice": ("  age: {unit: a", "  systolic: {unit: a", 9, "every field once"),
    "an alias": (
        "source: a book}\n  - {name: women",
        "source: *book}\n  - {name: women",
        14,
        "every value written out",
    ),
    "a tag": (
        "source: a book}\n  - {name: women",
        "source: !!python/name:os.system x}\n  - {name: women",
        14,
        "plain values",
    ),
    "not YAML": ("concepts:", "concepts: [", 7, "YAML"),
    "no rules": (TEXT[TEXT.index("rules:") :], "rules: []\n", 12, "at least one"),
}


def test_the_sound_suite_of_the_museum_is_sound() -> None:
    assert len(parse(TEXT, name="suite.yaml").rules) == 3


@pytest.mark.parametrize("case", MUSEUM)
def test_a_broken_suite_is_refused_with_its_line(case: str) -> None:
    old, new, line, word = MUSEUM[case]
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    with pytest.raises(Findings) as caught:
        parse(text, name="suite.yaml")
    assert any(abs(finding.line - line) <= 1 and word in str(finding) for finding in caught.value.findings), str(
        caught.value
    )


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("2 * sodium + glucose", "2 sodium * glucose +"),
        ("-a ^ 2", "a 2 ^ negate"),
        ("a ^ -0.2", "a 0.2 negate ^"),
        ("a - b - c", "a b - c -"),
        ("min(a, 1) / sqrt(b)", "a 1 min b sqrt /"),
        ("2 ^ 3 ^ 2", "2 3 2 ^ ^"),
    ],
)
def test_arithmetic_is_read_as_people_read_it(text: str, steps: str) -> None:
    found = [
        f"{step.value:g}" if step.does == "number" else step.word if step.does in ("name", "call") else step.does
        for step in read(text).steps
    ]
    assert " ".join(found) == steps


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a +",
        "()",
        "min(a)",
        "a.b",
        "a[0]",
        "lambda x",
        "'a'",
        "A",
        "1e400e",
        "a;b",
        "max(1,2,3)",
        "a" + "+a" * 300,
        "(" * 5,
    ],
)
def test_what_is_no_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read(text)


def test_noise_in_the_text_is_refused_and_never_crashes() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        letters = list(TEXT)
        for place in rng.integers(len(letters), size=3):
            letters[place] = chr(int(rng.integers(32, 127)))
        try:
            parse("".join(letters), name="suite.yaml")
        except Invalid as error:
            assert "suite.yaml" in str(error)


def test_a_condition_of_a_number_needs_two_ends() -> None:
    assert bounds(("1", None)) == (1.0, None)
    for condition in (("1",), (None, None), ("2", "1"), ("x", "1")):
        with pytest.raises(Invalid):
            bounds(condition)


def test_the_example_in_the_docs_can_be_read(root) -> None:
    text = (root / "docs/gate/clinical-rules.md").read_text(encoding="utf-8")
    assert len(parse(text.split("```yaml")[1].split("```")[0], name="example.yaml").rules) == 4
    assert f"{len(starter().rules)} rules" in text

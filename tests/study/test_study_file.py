"""A study reads, or every finding in it is named with its line."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardgate.records.errors import Invalid
from wardgate.records.study import Study
from wardgate.records.study_file import Findings, parse
from wardgate.records.study_template import template


def findings(text: str) -> list[str]:
    with pytest.raises(Findings) as caught:
        parse(text, name="study.yaml")
    assert str(caught.value).splitlines() == [str(finding) for finding in caught.value.findings]
    return [str(finding) for finding in caught.value.findings]


def changed(old: str, new: str) -> str:
    assert old in template()
    return template().replace(old, new, 1)


def test_the_template_lints_clean_and_reads_back_from_its_canonical_bytes() -> None:
    study = parse(template(), name="study.yaml")
    assert Study.model_validate_json(study.to_bytes()) == study


def test_layout_and_comments_do_not_change_the_fingerprint() -> None:
    bare = "\n".join(line.split("  #")[0] for line in template().splitlines() if not line.startswith("#"))
    assert parse(bare, name="a").fingerprint() == parse(template(), name="b").fingerprint()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "question: How",
            "quesion: How",
            ["question: found nothing", "the unknown field 'quesion', expected 'question'"],
        ),
        ("type: integer", "type: intger", ["features[0].type: found 'intger', expected 'number', 'integer'"]),
        ("range: [18, 110]   ", "range: [110, 18]   ", ["features[0]", "low < high"]),
        ("    unit: mm[Hg]\n", "", ["features[2]", "needs 'unit' (UCUM) and 'range'"]),
        ("window_hours: [-6, 0]", "window_hours: [-6, 2]", ["the feature would see the future"]),
        ("window_days: [0, 30]", "window_days: [-1, 30]", ["label", "0 <= from <= to"]),
        ("locked_test: 0.20}", "locked_test: 0.30}", ["splits", "add up to 1"]),
        ("- feature: sex", "- feature: sexe", ["subgroup 'sexe' is not a feature"]),
        ("cuts: [65, 80]", "cuts: [80, 65]", ["subgroups[1].cuts", "rising cuts"]),
        ("cuts: [65, 80]", "cuts: [65, 180]", ["subgroups[1].cuts", "[18, 110]"]),
        ("fit: exact ", "fit: exct ", ["budget.fit: found 'exct', expected 'exact' or a number"]),
        ("delta: 1e-6", "delta: 0.1", ["0 < delta < 0.001"]),
        ("corpus: 1.0", "corpus: 9", ["epsilon_total is smaller"]),
        ("sites: [hospital-a, hospital-b", "sites: [hospital-a, hospital-a", ["names a site twice"]),
        ("sites: [hospital-a", "sites: [../etc", ["sites[0]", "a name of letters"]),
        ("sites: [hospital-a, hospital-b, hospital-c]", "sites: []", ["sites: found no site"]),
        ("id: my-study", "id: my-study\nid: other", ["found 'id' a second time (first on line 4)"]),
        ("name: creatinine", "name: person", ["features[3].name: found 'person'"]),
        ("name: creatinine", "name: age", ["two features have the same name"]),
        ("version: 1 ", "version: 0 ", ["version: found 0, expected 1 or more"]),
        ("oe: [0.8, 1.25]", "oe: [1.25, 0.8]", ["acceptance.oe"]),
        (
            "- field: age\n      range: [18, 110]",
            '- field: sex\n      values: ["Female"]',
            ["found 'Female'", "female, male"],
        ),
        (
            "rules: []",
            'rules: [{name: r, left: systolic_pressure, op: "<", right: diastolic}]',
            ["rules[0].right: found 'diastolic', expected a number or the name of a feature"],
        ),
        (
            "rules: []",
            'rules: [{name: r, left: creatinine, op: "<", right: systolic_pressure}]',
            ["umol/L compared with mm[Hg]"],
        ),
    ],
)
def test_each_mistake_is_named_with_line_found_and_expected(old: str, new: str, expected: list[str]) -> None:
    text = changed(old, new)
    found = findings(text)
    joined = "\n".join(found)
    for words in expected:
        assert words in joined
    for line in found:
        assert re.match(r"study\.yaml:\d+: .+: found .+, expected .+", line), line


def test_the_line_of_a_finding_is_the_line_in_the_file() -> None:
    text = changed("type: category", "type: catgory")
    line = next(number for number, words in enumerate(text.splitlines(), start=1) if "catgory" in words)
    assert findings(text)[0].startswith(f"study.yaml:{line}: features[1].type")


def test_all_findings_come_at_once() -> None:
    text = template().replace("type: integer", "type: intger").replace("ridge: 1.0", "rigde: 1.0")
    text = text.replace("question:", "quesion:").replace("version: 1 ", "version: one ")
    text += "title: again\n"
    assert len(findings(text)) == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty file"),
        ("- a\n- b\n", "other than fields"),
        ("schema: [", "breaks YAML"),
        ("schema: wardgate/study/9\n", "one of the versions known here: wardgate/study/1"),
        ("id: x\n", "schema: found nothing"),
        ("a: &x 1\nb: *x\n", "alias"),
        ("a: !!python/object/apply:os.system ['true']\n", "tag"),
        ("a: \x07\n", "not YAML"),
        ("? [1, 2]\n: 3\n", "key that is not text"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested more than 40 deep"),
        ("a: " + "x" * 5_000_001, "characters"),
    ],
)
def test_the_museum_of_broken_files_is_refused_for_the_right_reason(text: str, words: str) -> None:
    assert words in "\n".join(findings(text))


def test_yaml_never_turns_words_into_something_else() -> None:
    text = changed("values: [female, male]", "values: [NO, yes, 1, 1.0]")
    study = parse(text, name="study.yaml")
    assert study.feature("sex").values == ("NO", "yes", "1", "1.0")


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text, name="study.yaml")


@given(st.integers(0, 90), st.sampled_from(["", "x: y", "  - ", "schema: 3", "\t", "sites: {}"]))
def test_a_damaged_line_reads_or_is_refused(line: int, words: str) -> None:
    lines = template().splitlines()
    lines[line % len(lines)] = words
    try:
        parse("\n".join(lines), name="study.yaml")
    except Invalid as error:
        assert "study.yaml:" in str(error)

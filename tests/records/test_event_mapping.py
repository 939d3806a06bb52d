"""Mappings of tables to events: what is read, and what is refused, each finding with its line."""

from pathlib import Path

import pytest

from wardgate.records.event_mapping import (
    Birth,
    Clock,
    Death,
    Episodes,
    EventMapping,
    Observed,
    Parent,
    Sex,
    Table,
    Time,
    Told,
    Wide,
    parse,
    seconds_of,
)
from wardgate.records.yaml_file import Findings

WHOLE = """schema: wardgate/events/1
vocabulary: HOUSE
missing: ["-1"]
tables:
  stays:
    files: [stays.csv]
    key: stay
    person: pid
    visit: stay
    clock: { date: "2000-01-01" }
    events:
      - code: stay
        time: { plus: 0 h }
  labs:
    files: [labs.csv]
    parent: { table: stays, column: stay }
    events:
      - code_column: test
        value: result
        units: { crea: mg/dL }
        time: { offset: minutes, unit: min }
"""


def test_a_mapping_is_read_whole() -> None:
    mapping = parse(WHOLE, name="events.yaml")
    assert mapping.vocabulary == "HOUSE"
    assert mapping.tables["labs"].events[0].units == {"crea": "mg/dL"}
    assert mapping.clock_of("labs") == mapping.tables["stays"].clock


def test_missing_texts_stay_the_text_that_was_written() -> None:
    assert parse(WHOLE, name="events.yaml").missing == ("-1",)


WRONG = {
    "an unknown version": ("wardgate/events/1", "wardgate/events/9", 1, "wardgate/events/1"),
    "a file outside": ("[stays.csv]", "[../stays.csv]", 5, "inside it"),
    "a file by pattern": ("[stays.csv]", '["*.csv"]', 5, "one by one"),
    "nobody": ("    person: pid\n", "", 5, "'person'"),
    "an unknown parent": ("table: stays", "table: stay", 16, "another table of this mapping: stays, labs"),
    "a parent without a key": ("    key: stay\n", "", 15, "a parent table with a 'key'"),
    "an offset without a unit": (", unit: min", "", 21, "an offset needs its unit"),
    "an offset without a clock": ('    clock: { date: "2000-01-01" }\n', "", 12, "'clock' here or in the parent"),
    "no date": ('"2000-01-01"', '"1.1.2000"', 10, "a day such as 2000-01-01"),
    "two ways to a code": ("code_column: test", "code_column: test\n        code: x", 18, "one of 'code'"),
    "units without a value": ("        value: result\n", "", 18, "a unit belongs to 'value'"),
    "an unknown field": ("units:", "unit_s:", 20, "'units'"),
    "a slash in a vocabulary": ("vocabulary: HOUSE", "vocabulary: HOUSE/X", 2, "without a slash"),
    "a span without a unit": ("plus: 0 h", "plus: 0", 13, "a span such as '1 h'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_by_its_line(case: str) -> None:
    old, new, line, words = WRONG[case]
    assert old in WHOLE
    with pytest.raises(Findings) as caught:
        parse(WHOLE.replace(old, new, 1), name="events.yaml")
    assert any(finding.line == line and words in finding.expected for finding in caught.value.findings), caught.value


TIMES: dict[str, tuple[str, str]] = {
    "two sources": ("{ column: a, offset: b, unit: h }", "one of 'column' and 'offset'"),
    "nothing": ("{ unit: h }", "'column', 'offset' or 'plus'"),
    "a zone in a format": ("{ column: a, format: '%d.%m.%Y %z' }", "without a zone"),
    "a format of an offset": ("{ offset: a, unit: h, format: '%H' }", "'format' belongs to 'column'"),
}


@pytest.mark.parametrize("case", TIMES)
def test_a_time_that_says_two_things_or_nothing_is_refused(case: str) -> None:
    time, words = TIMES[case]
    with pytest.raises(Findings, match=words):
        parse(WHOLE.replace("{ plus: 0 h }", time), name="events.yaml")


CLOCKS = {
    "two starts": ('{ date: "2000-01-01", year: y }', "one of 'column', 'date' and 'year'"),
    "episodes of real times": (
        "{ column: t, episodes: { column: e, days: 9 } }",
        "belong to 'date' or 'year'",
    ),
    "less without an offset": ("{ year: y, less: { plus: 1 h } }", "'less' needs 'offset'"),
}


@pytest.mark.parametrize("case", CLOCKS)
def test_a_clock_that_says_two_things_is_refused(case: str) -> None:
    clock, words = CLOCKS[case]
    with pytest.raises(Findings, match=words):
        parse(WHOLE.replace('{ date: "2000-01-01" }', clock), name="events.yaml")


def test_a_table_that_tells_nothing_is_named() -> None:
    with pytest.raises(Findings, match=r"events.yaml:\d+: tables.more"):
        parse(WHOLE + "  more:\n    files: [m.csv]\n    person: p\n", name="events.yaml")


def test_a_broken_regular_expression_is_refused() -> None:
    with pytest.raises(Findings, match="a regular expression"):
        parse(WHOLE.replace("value: result", "value: result\n        matches: '['"), name="events.yaml")


@pytest.mark.parametrize(
    ("span", "seconds"), [("1 h", 3600.0), ("-90 min", -5400.0), ("250 ms", 0.25), ("2 d", 172800)]
)
def test_spans_are_seconds(span: str, seconds: float) -> None:
    assert seconds_of(span) == seconds


@pytest.mark.parametrize("span", ["1", "1h", "h", "1 year", "1e3 s", " 1 h"])
def test_what_is_no_span_is_refused(span: str) -> None:
    with pytest.raises(ValueError, match="span"):
        seconds_of(span)


def test_every_field_is_documented(root: Path) -> None:
    text = (root / "docs" / "data" / "tables.md").read_text(encoding="utf-8")
    models = (EventMapping, Table, Parent, Clock, Episodes, Time, Birth, Death, Sex, Observed, Told, Wide)
    for model in models:
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in text, f"{model.__name__}.{name} is not in docs/data/tables.md"

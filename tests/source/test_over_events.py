"""Events asked for in concept sets over a table of events and a table of codes, beside a plain reading of the rules."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
import ibis
import polars as pl
import pytest

from wardgate.hospital.ward.source.duckdb_engine import DuckEngine
from wardgate.hospital.ward.source.events import EVERY, PERIODS, PERSONS, PICKED, Pick
from wardgate.hospital.ward.source.over_events import CODES, OverEvents
from wardgate.records.concepts import Concept

START = datetime(2020, 1, 1)
_KINDS = {
    "int64": pl.Int64(),
    "timestamp(6)": pl.Datetime("us"),
    "string": pl.String(),
    "float64": pl.Float64(),
}
TREE = {"SNOMED/1": (10, ()), "SNOMED/2": (20, ("SNOMED/1",)), "SNOMED/3": (30, ("SNOMED/1", "SNOMED/2"))}
"""Code: its concept id and all its ancestors."""


def event(subject: int, code: str, hours: float | None = 0.0, **more: Any) -> dict[str, Any]:
    """One event; `hours` after the start, None for what never changes."""
    time = None if hours is None else START + timedelta(hours=hours)
    return {"subject_id": subject, "time": time, "code": code} | more


def source_of(rows: Sequence[dict[str, Any]], tree: dict[str, tuple[int | None, tuple[str, ...]]] = TREE) -> OverEvents:
    """A source over the events and a tree of codes."""
    events = pl.DataFrame(rows, schema={name: _KINDS[kind] for name, kind in EVERY.items()})
    codes = [(code, number, parent) for code, (number, parents) in tree.items() for parent in parents or (None,)]
    known = pl.DataFrame(codes, schema={"code": pl.String, "concept_id": pl.Int64, "parent": pl.String}, orient="row")
    connection = duckdb.connect(config={"threads": 1})
    for name, table in (("events", events), ("codes", known)):
        connection.register("given", table.to_arrow())
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
        connection.unregister("given")
    return OverEvents(
        name="a test",
        kind="meds",
        engine=DuckEngine(name="a test", connection=connection),
        events=ibis.table(dict(EVERY), name="events"),
        code_rows=ibis.table(dict(CODES), name="codes"),
        found=tuple,
        unchanged=lambda: None,
    )


def read(source: OverEvents, expression: Any) -> pl.DataFrame:
    """All rows of an expression."""
    frames = [*source.engine.batches(expression)]
    return pl.concat(frames) if frames else pl.DataFrame()


def subjects(source: OverEvents, *concepts: Concept, **more: Any) -> list[int]:
    """The subjects of all events of one pick, one for each event."""
    found = read(source, source.picked([Pick(name="x", concepts=concepts, **more)]))
    return sorted(found["subject_id"].to_list()) if found.height else []


def snomed(code: str, **more: Any) -> Concept:
    """A concept of SNOMED."""
    return Concept(vocabulary="SNOMED", code=code, **more)


@pytest.fixture
def small() -> OverEvents:
    """Three codes, one below the other, and one recorded in ICD-10-CM."""
    return source_of(
        [
            event(1, "SNOMED/1", table="condition"),
            event(2, "SNOMED/2", table="condition", source_code="ICD10CM/E11"),
            event(3, "SNOMED/3", table="observation", source_code="ICD10CM/E11.9"),
            event(4, "SNOMED/3", table="condition", source_code="ICD10CM/E1", value_code="Answer/yes"),
            event(5, "MEDS_DEATH", 48),
            event(5, "Gender/F", None),
        ]
    )


def test_a_code_alone_covers_itself(small: OverEvents) -> None:
    assert subjects(small, snomed("1")) == [1]


def test_descendants_cover_all_below(small: OverEvents) -> None:
    assert subjects(small, snomed("1", descendants=True)) == [1, 2, 3, 4]
    assert subjects(small, snomed("2", descendants=True)) == [2, 3, 4]


def test_a_concept_id_is_found_by_its_own_row(small: OverEvents) -> None:
    assert subjects(small, Concept(concept_id=20)) == [2]
    assert subjects(small, Concept(concept_id=20, descendants=True)) == [2, 3, 4]
    assert subjects(small, Concept(concept_id=99)) == []


def test_a_recorded_code_covers_what_begins_like_it(small: OverEvents) -> None:
    recorded = {"vocabulary": "ICD10CM", "source": True}
    assert subjects(small, Concept(code="E11", **recorded)) == [2]
    assert subjects(small, Concept(code="E11", descendants=True, **recorded)) == [2, 3]


def test_a_recorded_code_is_not_a_standard_one(small: OverEvents) -> None:
    assert subjects(small, Concept(vocabulary="ICD10CM", code="E11", descendants=True)) == []
    assert subjects(small, snomed("2", source=True)) == []


def test_a_recorded_code_without_a_vocabulary_is_compared_by_itself() -> None:
    source = source_of([event(1, "SNOMED/1", source_code="SOURCE/E11.9"), event(2, "SNOMED/1", source_code="X/E11.9")])
    assert subjects(source, Concept(vocabulary="ICD10CM", code="E11", source=True, descendants=True)) == [1]
    assert subjects(source, Concept(vocabulary="ICD10CM", code="E11", source=True)) == []
    assert subjects(source, Concept(vocabulary="SOURCE", code="E11.9", source=True)) == [1]


def test_what_is_excluded_stays_out_whatever_else_covers_it(small: OverEvents) -> None:
    every = snomed("1", descendants=True)
    assert subjects(small, every, snomed("2", exclude=True)) == [1, 3, 4]
    assert subjects(small, snomed("2", exclude=True, descendants=True), every) == [1]
    recorded = Concept(vocabulary="ICD10CM", code="E11", source=True, descendants=True, exclude=True)
    assert subjects(small, every, recorded) == [1, 4]
    assert subjects(small, every, snomed("3", exclude=True, value="Answer/yes")) == [1, 2, 3]


def test_a_value_chooses_among_events(small: OverEvents) -> None:
    assert subjects(small, snomed("3", value="Answer/yes")) == [4]
    assert subjects(small, snomed("3", value="Answer/no")) == []


def test_a_table_chooses_among_events(small: OverEvents) -> None:
    assert subjects(small, snomed("1", descendants=True), table="condition") == [1, 2, 4]
    assert subjects(small, snomed("1", descendants=True), snomed("3", value="Answer/yes"), table="observation") == [3]


def test_codes_and_vocabularies_are_compared_exactly(small: OverEvents) -> None:
    assert subjects(small, Concept(vocabulary="snomed", code="1")) == []
    assert subjects(small, Concept(vocabulary="SNOMED", code=" 1")) == []


def test_a_code_may_hold_whatever_sql_would_read() -> None:
    strange = "a'b\"; DROP TABLE events; --%_\\"
    source = source_of([event(1, f"Local/{strange}", source_code=f"Local/{strange}.1"), event(2, "Local/a")])
    assert subjects(source, Concept(vocabulary="Local", code=strange)) == [1]
    assert subjects(source, Concept(vocabulary="Local", code=strange, source=True, descendants=True)) == [1]


def test_death_is_what_the_source_knows_of_deaths(small: OverEvents) -> None:
    found = read(small, small.picked([Pick(name="death", concepts=(), table="condition")]))
    assert found["subject_id"].to_list() == [5]


def test_what_never_changes_is_picked_without_a_time(small: OverEvents) -> None:
    found = read(small, small.picked([Pick(name="sex", concepts=(Concept(vocabulary="Gender", code="F"),))]))
    assert found["time"].to_list() == [None]


def test_an_event_has_one_row_for_each_pick_and_none_has_two(small: OverEvents) -> None:
    twice = (snomed("1", descendants=True), snomed("2", descendants=True), Concept(concept_id=30))
    narrow = (*twice, Concept(vocabulary="ICD10CM", code="E11.9", source=True))
    found = read(
        small,
        small.picked([Pick(name=name, concepts=c) for name, c in zip("abc", (twice, narrow, twice), strict=True)]),
    )
    assert Counter(found["pick"].to_list()) == {0: 4, 1: 4, 2: 4}


def test_events_alike_are_all_picked() -> None:
    source = source_of([event(1, "SNOMED/1")] * 3)
    assert subjects(source, snomed("1")) == [1, 1, 1]
    assert subjects(source, snomed("1"), snomed("1", value="Answer/no", exclude=True)) == [1, 1, 1]


def test_columns_and_types_are_those_of_the_contract(small: OverEvents) -> None:
    picks = [Pick(name="x", concepts=(snomed("1"), snomed("2", source=True)))]
    for expression, schema in (
        (small.picked(picks), PICKED),
        (small.picked(picks[:0]), PICKED),
        (small.persons(), PERSONS),
        (small.periods(), PERIODS),
        (small.every(), EVERY),
        (small.code_table(), CODES),
    ):
        assert {name: str(kind) for name, kind in expression.schema().items()} == dict(schema)
        assert read(small, expression).columns in (list(schema), [])


def test_no_picks_give_no_events(small: OverEvents) -> None:
    assert read(small, small.picked([])).height == 0


def test_persons_are_all_with_any_event_and_their_earliest_death() -> None:
    rows = [
        event(1, "MEDS_BIRTH", -9),
        event(1, "MEDS_DEATH", 9),
        event(1, "MEDS_DEATH", 8),
        event(2, "Gender/F", None),
    ]
    found = read(source_of(rows), source_of(rows).persons()).sort("subject_id")
    assert found.rows() == [(1, START - timedelta(hours=9), START + timedelta(hours=8)), (2, None, None)]


def test_periods_are_those_the_source_keeps() -> None:
    rows = [event(1, "OBSERVATION_PERIOD", 0, end=START + timedelta(days=9)), event(2, "SNOMED/1", 5)]
    source = source_of(rows)
    assert read(source, source.periods()).rows() == [(1, START, START + timedelta(days=9))]


def test_without_periods_persons_are_observed_from_first_to_last() -> None:
    rows = [
        event(1, "MEDS_BIRTH", -999),
        event(1, "SNOMED/1", 1),
        event(1, "SNOMED/2", 7),
        event(1, "MEDS_DEATH", 99),
        event(2, "Visit/IP", 0, end=START + timedelta(hours=30), table="visit"),
        event(2, "SNOMED/1", 4),
        event(3, "RxNorm/1", 4, end=START + timedelta(hours=900), table="drug"),
        event(4, "Gender/F", None),
    ]
    found = read(source_of(rows), source_of(rows).periods()).sort("subject_id")
    hours = [
        (who, (start - START).total_seconds() / 3600, (end - START).total_seconds() / 3600)
        for who, start, end in found.rows()
    ]
    assert hours == [(1, 1, 7), (2, 0, 30), (3, 4, 4)]


def test_codes_count_what_each_pick_stands_for(small: OverEvents) -> None:
    picks = [
        Pick(name="all", concepts=(snomed("1", descendants=True),)),
        Pick(name="less", concepts=(snomed("1", descendants=True), Concept(concept_id=30, exclude=True))),
        Pick(name="recorded", concepts=(Concept(vocabulary="ICD10CM", code="E11", source=True, descendants=True),)),
        Pick(name="unknown", concepts=(snomed("77", descendants=True), Concept(concept_id=5))),
        Pick(name="unlisted", concepts=(Concept(vocabulary="Gender", code="F"),)),
        Pick(name="death", concepts=()),
    ]
    assert small.codes(picks) == {"all": 3, "less": 2, "recorded": 2, "unknown": 0, "unlisted": 1, "death": 1}


def _covers(concept: Concept, one: dict[str, Any]) -> bool:
    """A plain reading of what a concept covers."""
    names = {number: code for code, (number, _) in TREE.items()}
    asked = names.get(concept.concept_id) if concept.concept_id is not None else f"{concept.vocabulary}/{concept.code}"
    if asked is None or (concept.value is not None and one.get("value_code") != concept.value):
        return False
    if concept.source:
        recorded = one.get("source_code")
        either = [asked] if concept.code is None else [asked, f"SOURCE/{concept.code}"]
        return recorded is not None and any(
            recorded.startswith(code) if concept.descendants else recorded == code for code in either
        )
    return one["code"] == asked or (concept.descendants and asked in TREE.get(one["code"], (0, ()))[1])


def _random_concepts(rng: random.Random) -> Iterator[Concept]:
    for _ in range(rng.randint(1, 4)):
        more = {"descendants": rng.random() < 0.5, "exclude": rng.random() < 0.3, "source": rng.random() < 0.3}
        value = rng.choice([None, None, "Answer/yes", "Answer/no"])
        if rng.random() < 0.3:
            yield Concept(concept_id=rng.choice([10, 20, 30, 40]), value=value, **more)
        elif more["source"]:
            yield Concept(vocabulary="ICD10CM", code=rng.choice(["E1", "E11", "E11.9"]), value=value, **more)
        else:
            yield snomed(rng.choice("1234"), value=value, **more)


def test_any_concept_set_picks_what_its_rules_say() -> None:
    rng = random.Random(7)
    rows = [
        event(
            subject,
            f"SNOMED/{rng.choice('1234')}",
            source_code=rng.choice(
                [None, "ICD10CM/E1", "ICD10CM/E11", "ICD10CM/E11.9", "SNOMED/2", "SOURCE/E11", "SOURCE/E11.9"]
            ),
            value_code=rng.choice([None, "Answer/yes", "Answer/no"]),
            table=rng.choice([None, "condition", "observation"]),
        )
        for subject in range(200)
    ]
    source = source_of(rows)
    picks = [
        Pick(name=f"p{at}", concepts=tuple(_random_concepts(rng)), table=rng.choice([None, "condition"]))
        for at in range(150)
    ]
    expected = Counter(
        (at, row["subject_id"])
        for at, pick in enumerate(picks)
        for row in rows
        if (pick.table is None or row["table"] == pick.table)
        and any(_covers(one, row) for one in pick.concepts if not one.exclude)
        and not any(_covers(one, row) for one in pick.concepts if one.exclude)
    )
    found = read(source, source.picked(picks))
    assert Counter(found.select("pick", "subject_id").rows()) == expected
    assert len(expected) > 1000

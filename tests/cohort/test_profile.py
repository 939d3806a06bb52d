"""The profile of a hospital's records, beside the same counts made one by one."""

import math
import random
from datetime import datetime, timedelta
from typing import Any

import duckdb
import ibis
import polars as pl
import pytest

from wardgate.hospital.ward.cohort.profile import _grouped, profile
from wardgate.hospital.ward.source.duckdb_engine import DuckEngine, compiled
from wardgate.hospital.ward.source.events import EVERY, Noticed
from wardgate.hospital.ward.source.over_events import CODES, OverEvents
from wardgate.measures.profile import (
    LEVELS,
    MOST_UNITS,
    Digest,
    Months,
    Profile,
    SetProfile,
    by_calendar,
    digest,
    histogram,
    quantiles,
    span_of,
)
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

START = datetime(2020, 1, 15)
KINDS = {"int64": pl.Int64(), "timestamp(6)": pl.Datetime("us"), "string": pl.String(), "float64": pl.Float64()}


def event(subject: int, code: str, days: float | None = 0.0, **more: Any) -> dict[str, Any]:
    """One event; `days` after the start, None for what never changes."""
    time = None if days is None else START + timedelta(days=days)
    return {"subject_id": subject, "time": time, "code": code} | more


def source_of(
    rows: list[dict[str, Any]], *, unchanged: Any = lambda: None, noticed: tuple[Noticed, ...] = ()
) -> OverEvents:
    """A source over the events, without any table of codes."""
    connection = duckdb.connect(config={"threads": 1})
    events = pl.DataFrame(rows, schema={name: KINDS[kind] for name, kind in EVERY.items()})
    connection.register("given", events.to_arrow())
    connection.execute("CREATE TABLE events AS SELECT * FROM given")
    connection.execute("CREATE TABLE codes (code VARCHAR, concept_id BIGINT, parent VARCHAR)")
    return OverEvents(
        name="a test",
        kind="meds",
        engine=DuckEngine(name="a test", connection=connection),
        events=ibis.table(dict(EVERY), name="events"),
        code_rows=ibis.table(dict(CODES), name="codes"),
        found=lambda: noticed,
        unchanged=unchanged,
    )


ROWS = [
    event(1, "MEDS_BIRTH", -365.25 * 50.5),
    event(1, "Gender/F", None),
    event(1, "OBSERVATION_PERIOD", 0, end=START + timedelta(days=365.25)),
    event(1, "LOINC/1", 1, numeric_value=7.0, unit="mg/dL", table="measurement"),
    event(1, "LOINC/1", 40, numeric_value=9.0, unit="mg/dL", table="measurement"),
    event(1, "LOINC/1", 400, numeric_value=620.0, unit="umol/L", table="measurement"),
    event(1, "MEDS_DEATH", 401, table="death"),
    event(2, "MEDS_BIRTH", 10),
    event(2, "Gender/F", None),
    event(2, "Gender/M", None),
    event(2, "LOINC/1", 2, numeric_value=8.0, table="measurement"),
    event(2, "SNOMED/1", 3, table="condition"),
    event(3, "SNOMED/1", None),
    event(4, "MEDS_BIRTH", -1),
]


@pytest.fixture(scope="module")
def small() -> Profile:
    """The profile of a few events."""
    return profile(source_of(ROWS, noticed=(Noticed(what="x", count=1, of=2, where=("f",), harm="odd"),)))


def test_persons_are_counted_by_what_is_known_of_them(small: Profile) -> None:
    assert (small.persons, small.born, small.dead, small.timeless) == (4, 3, 1, 2)


def test_ages_are_completed_years_at_the_first_event(small: Profile) -> None:
    assert (sum(small.ages.counts), small.ages.below, small.ages.above) == (1, 1, 0)
    assert [low for low, n in zip(small.ages.edges, small.ages.counts, strict=False) if n] == [50.0]


def test_sexes_count_each_person_once(small: Profile) -> None:
    assert {one.name: one.count for one in small.sexes} == {"Gender/F": 1, "several": 1, "": 2}


def test_observed_time_is_in_years(small: Profile) -> None:
    assert (small.observed, set(small.observed_years)) == (1, {1.0})


def test_months_are_those_of_the_calendar(small: Profile) -> None:
    january = 12 * 2020
    assert {one.table: dict(one.counts) for one in small.months} == {
        "measurement": {january: 2, january + 1: 1, january + 13: 1},
        "condition": {january: 1},
        "death": {january + 13: 1},
    }


def test_codes_come_most_frequent_first_without_births(small: Profile) -> None:
    told = [(one.code, one.events, one.persons, one.numbers) for one in small.codes]
    assert told == [
        ("LOINC/1", 4, 2, 4),
        ("Gender/F", 2, 2, 0),
        ("SNOMED/1", 2, 2, 0),
        ("Gender/M", 1, 1, 0),
        ("MEDS_DEATH", 1, 1, 0),
    ]
    assert (small.events, small.different) == (len(ROWS), 5)


def test_without_a_study_the_codes_with_numbers_are_profiled(small: Profile) -> None:
    (one,) = small.sets
    assert (one.name, one.events, one.persons, one.numbers, one.without_unit) == ("LOINC/1", 4, 2, 4, 1)
    assert [(unit.unit, unit.values) for unit in one.units] == [("mg/dL", 2), (None, 1), ("umol/L", 1)]
    assert one.by_year == ((2020, 3), (2021, 1))


def test_what_the_source_noticed_is_kept(small: Profile) -> None:
    (one,) = small.remarks
    assert (one.what, one.count, one.of, one.where, one.lost) == ("x", 1, 2, ("f",), False)


def _study(root: Any) -> Study:
    from wardgate.records.study_file import parse

    return parse((root / "examples" / "omop" / "study.yaml").read_text(encoding="utf-8"), name="study.yaml")


def test_the_sets_of_a_study_are_profiled_beside_what_it_expects(root: Any) -> None:
    study = _study(root)
    rows = [event(1, "LOINC/8867-4", at, numeric_value=70.0 + at, unit="/min", table="measurement") for at in range(20)]
    found = profile(source_of(rows), study=study)
    sets = {one.name: one for one in found.sets}
    assert list(sets) == list(study.concept_sets or {})
    assert found.study == study.title
    heart = sets["heart-rate"]
    assert (heart.events, heart.persons, heart.codes) == (20, 1, 1)
    assert {one.unit for one in heart.expected} == {"/min"}
    assert all(one.events == 0 and one.codes == 0 for name, one in sets.items() if name not in ("heart-rate", "death"))


def test_a_source_that_changed_gives_no_profile() -> None:
    def changed() -> None:
        raise Invalid("it changed")

    with pytest.raises(Invalid, match="changed"):
        profile(source_of(ROWS, unchanged=changed))


def test_a_source_without_events_has_an_empty_profile() -> None:
    found = profile(source_of([]))
    assert (found.persons, found.events, found.sets, found.months, found.observed_years) == (0, 0, (), (), ())


def _values(values: list[float | None], **more: Any) -> SetProfile:
    rows = [event(1, "a", 0, numeric_value=value, **more) for value in values]
    return profile(source_of(rows)).sets[0]


def test_values_of_any_size_are_grouped_to_three_significant_digits() -> None:
    values = [
        0.0,
        -0.0,
        1.0,
        9.994,
        9.996,
        1234.4,
        -0.00012345,
        1e-300,
        1e300,
        math.inf,
        -math.inf,
        math.nan,
        None,
        1e29,
    ]
    (unit,) = _values(values, unit="x").units
    assert unit.values == 9
    assert unit.quantiles[0] == -0.000123
    assert unit.quantiles[-1] == 1e29
    assert quantiles(digest([(1234.4, 1)])) == (1234.4,) * len(LEVELS)


def test_quantiles_agree_with_sorting_to_half_a_percent() -> None:
    rng = random.Random(2)
    values = [rng.lognormvariate(3, 2) for _ in range(2000)]
    (unit,) = _values(list(values)).units
    ordered = sorted(values)
    for level, found in zip(LEVELS, unit.quantiles, strict=True):
        exact = ordered[math.ceil(level * len(ordered)) - 1]
        assert abs(found / exact - 1) <= 0.0051


def test_spellings_of_units_beyond_the_most_frequent_are_added_up() -> None:
    rows = [event(1, "a", 0, numeric_value=1.0, unit=f"u{at}") for at in range(MOST_UNITS + 5)]
    (one,) = profile(source_of(rows)).sets
    assert (len(one.units), one.other_units, one.other_values) == (MOST_UNITS, 5, 5)


def test_many_codes_are_asked_in_parts_and_none_is_lost() -> None:
    rows = [event(at % 7, f"c/{at % 60}", at % 50, numeric_value=float(at)) for at in range(6000)]
    found = profile(source_of(rows))
    assert [one.events for one in found.sets] == [100] * 24
    assert all(one.persons == len({at % 7 for at in range(6000) if at % 60 == int(one.name[2:])}) for one in found.sets)


def test_the_questions_can_be_asked_of_postgres() -> None:
    source = source_of([])
    events = source.every().select(
        "subject_id", "time", "unit", pick=ibis.literal(0), value=source.every().numeric_value
    )
    assert "LOG" in compiled(_grouped(events), dialect="postgres").upper()


def test_a_histogram_counts_every_value_once() -> None:
    rng = random.Random(5)
    for _ in range(200):
        scale = 10.0 ** rng.randint(-9, 9)
        made = digest((round(rng.gauss(0, 1), 2) * scale, rng.randint(1, 9)) for _ in range(rng.randint(1, 80)))
        found = histogram(made)
        assert found.below + sum(found.counts) + found.above == made.total
        assert len(found.counts) <= 40
        assert list(found.edges) == sorted(set(found.edges))


def test_whole_numbers_make_no_comb() -> None:
    found = histogram(Digest(values=tuple(float(n) for n in range(40, 140)), counts=(5,) * 100))
    assert len(set(found.counts[1:-1])) == 1


def test_one_value_alone_has_a_bar() -> None:
    for value in (0.0, 5.0, -3.0, 1e-9, 1e12):
        found = histogram(Digest(values=(value,), counts=(3,)))
        assert sum(found.counts) == 3


def test_impossible_dates_do_not_take_the_room_of_the_others() -> None:
    counts = {12 * 1900: 1, 12 * 2020: 5000, 12 * 2021: 5000, 12 * 2999: 2}
    assert span_of([Months(table="a", counts=counts)]) == (12 * 2020, 12 * 2021, 1, 2)
    assert span_of([]) == (0, 0, 0, 0)


def test_months_without_events_are_shown_as_such() -> None:
    assert by_calendar({24: 5, 26: 1, 99: 7}, first=24, last=27) == ((24, 5), (25, 0), (26, 1), (27, 0))
    assert by_calendar({24: 5, 35: 1, 36: 2}, first=25, last=40, each=12) == ((24, 6), (36, 2))

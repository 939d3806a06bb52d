"""A cohort from events, by examples: what a study says in words, and what the hospital is told."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from plain_source import Records, duck_source, event

from wardgate.hospital.ward.cohort.cohort import Cohort, satisfies
from wardgate.hospital.ward.cohort.from_events import build as built
from wardgate.hospital.ward.cohort.from_events.build import build, load_events
from wardgate.hospital.ward.cohort.load import load
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.mapping import parse_for
from wardgate.records.results import Requirement
from wardgate.records.study import Study

DAY = timedelta(days=1)
ADMITTED = datetime(2022, 5, 1, 8)
PLAIN: dict[str, Any] = {
    "schema": "wardgate/study/1",
    "id": "example",
    "version": 1,
    "title": "An example",
    "question": "Who dies within 30 days?",
    "concept_sets": {
        "stay": {"concepts": [{"vocabulary": "Visit", "code": "IP"}]},
        "creatinine": {"concepts": [{"vocabulary": "LOINC", "code": "2160-0"}]},
        "dialysis": {"concepts": [{"vocabulary": "SNOMED", "code": "108241001"}]},
    },
    "cohort": {
        "entry": "admission",
        "entries": "first-eligible",
        "events": {"concepts": ["stay"], "index_hours": 24, "lasting": True},
    },
    "index_date": "24 h after admission",
    "label": {
        "name": "died",
        "meaning": "death within 30 days",
        "window_days": [0, 30],
        "events": {"concepts": ["death"], "follow_up": "assumed"},
    },
    "features": [
        {"name": "age", "type": "integer", "unit": "a", "range": [18, 110], "built_in": "age"},
        {
            "name": "creatinine",
            "type": "number",
            "unit": "mg/dL",
            "range": [0.1, 20],
            "concepts": "creatinine",
        },
    ],
    "acceptance": {"auroc_min": 0.5, "worst_site_auroc_min": 0.5},
    "sites": ["a"],
}


def study(**changes: Any) -> Study:
    """The example with other parts; keys name places as `cohort.events.first`."""
    plain = Study.model_validate(PLAIN).model_dump(mode="json", by_alias=True, exclude_none=True)
    for place, value in changes.items():
        part, names = plain, place.split("__")
        for name in names[:-1]:
            part = part[name]
        part[names[-1]] = value
    return Study.model_validate(plain)


def lab(subject: int, value: float | None, *, hours: float = 2.0, unit: str | None = "mg/dL") -> dict[str, Any]:
    """A creatinine after admission."""
    return event(
        subject, "LOINC/2160-0", ADMITTED + timedelta(hours=hours), numeric_value=value, unit=unit, table="measurement"
    )


def stay(subject: int, *, start: datetime = ADMITTED, days: float | None = 5.0) -> dict[str, Any]:
    """A stay."""
    return event(subject, "Visit/IP", start, end=None if days is None else start + days * DAY, table="visit")


def given(*events: dict[str, Any], deaths: dict[int, datetime] | None = None) -> Records:
    """Records of everybody who has an event, born in 1950."""
    dead = deaths or {}
    subjects = sorted({one["subject_id"] for one in events})
    return Records(
        events=[*events, *(event(who, "death", when, table="death") for who, when in dead.items())],
        persons=[{"subject_id": one, "birth": datetime(1950, 6, 1), "death": dead.get(one)} for one in subjects],
        periods=[{"subject_id": one, "start": ADMITTED - 900 * DAY, "end": ADMITTED + 900 * DAY} for one in subjects],
    )


def made(records: Records, asked: Study) -> Cohort:
    """Its cohort."""
    return build(duck_source(records), asked)


def value_of(*labs: dict[str, Any], **changes: Any) -> Any:
    """The creatinine of one person with these values."""
    return made(given(stay(1), *labs), study(**changes)).table["creatinine"].to_list()[0]


def test_a_value_stays_the_number_that_was_recorded() -> None:
    assert value_of(lab(1, 1.2)) == 1.2
    assert value_of(lab(1, 0.123456789)) == 0.1234568


def test_the_last_value_before_the_index_date_counts() -> None:
    assert value_of(lab(1, 1.0, hours=2), lab(1, 2.0, hours=24), lab(1, 3.0, hours=24.001)) == 2.0


def test_of_values_in_one_second_the_larger_counts() -> None:
    assert value_of(lab(1, 1.0), lab(1, 2.0), lab(1, 1.5)) == 2.0


def test_micromoles_become_milligrams() -> None:
    assert value_of(lab(1, 88.4, unit="umol/L")) == pytest.approx(1.0, abs=2e-3)


def test_a_value_in_a_unit_that_nobody_knows_is_missing_and_counted() -> None:
    cohort = made(given(stay(1), lab(1, 1.0, unit="drops")), study())
    assert cohort.table["creatinine"].to_list() == [None]
    unit = cohort.found[1].units[0]
    assert (unit.unit, unit.values, unit.converted) == ("drops", 1, None)
    assert (cohort.quality[1].unreadable, cohort.quality[1].convertible) == (1, False)


def test_a_value_outside_the_range_is_missing_and_counted() -> None:
    cohort = made(given(stay(1), lab(1, 120.0), stay(2), lab(2, 120.0), lab(2, 1.0)), study())
    assert cohort.table["creatinine"].to_list() == [None, 1.0]
    assert (cohort.found[1].out_of_range, cohort.quality[1].out_of_range, cohort.quality[1].present) == (2, 1, 1)


def test_age_is_in_completed_years_at_the_index_date() -> None:
    eve, day = (made(given(stay(1, start=datetime(2020, 5, d, 8))), study()).table["age"][0] for d in (30, 31))
    assert (eve, day) == (69.0, 70.0)


def test_who_died_before_the_index_date_does_not_enter() -> None:
    cohort = made(given(stay(1), stay(2), deaths={2: ADMITTED + DAY}), study())
    assert cohort.table["person"].to_list() == ["1"]


def test_death_in_the_window_is_the_outcome_with_its_day() -> None:
    deaths = {1: ADMITTED + 11 * DAY, 2: ADMITTED + 31 * DAY, 3: ADMITTED + 32 * DAY}
    cohort = made(given(stay(1), stay(2), stay(3), deaths=deaths), study())
    assert cohort.table["label"].to_list() == [1, 1, 0]
    assert cohort.timing is not None
    assert cohort.timing.rows() == [("1", 10.0, 1), ("2", 30.0, 1), ("3", 30.0, 0)]


def test_only_the_first_eligible_entry_counts() -> None:
    short = stay(1, start=ADMITTED - 50 * DAY, days=0.5)
    cohort = made(given(short, stay(1), stay(1, start=ADMITTED + 80 * DAY)), study())
    assert [(step.entries, step.persons) for step in cohort.entry_flow] == [(3, 1), (3, 1), (2, 1), (1, 1), (1, 1)]


def test_first_means_first_before_anybody_is_judged() -> None:
    short = stay(1, start=ADMITTED - 50 * DAY, days=0.5)
    assert made(given(short, stay(1)), study(cohort__entries="first")).table.is_empty()


def test_all_entries_of_a_person_stay_in_one_split() -> None:
    cohort = made(given(stay(1), stay(1, start=ADMITTED + 80 * DAY), stay(2)), study(cohort__entries="all"))
    assert cohort.table["person"].to_list() == ["1-1", "1-2", "2-1"]
    assert cohort.groups.to_list() == ["1", "1", "2"]


def test_requirements_are_on_features() -> None:
    asked = study(cohort__requires=[{"field": "creatinine", "range": [1.5, 20], "meaning": "raised creatinine"}])
    cohort = made(given(stay(1), lab(1, 1.0), stay(2), lab(2, 2.0), stay(3)), asked)
    assert cohort.table["person"].to_list() == ["2"]
    assert cohort.flow[-2].step == "raised creatinine"


@pytest.mark.parametrize(
    "requirement",
    [{"field": "ward", "values": ["a"]}, {"field": "creatinine", "values": ["1.0"]}],
)
def test_a_requirement_that_no_feature_can_answer_is_refused(requirement: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=r"cohort\.requires"):
        made(given(stay(1)), study(cohort__requires=[requirement]))


@pytest.mark.parametrize(("calendar", "persons"), [(False, ["1"]), (True, ["1", "2"])])
def test_days_of_the_calendar_begin_at_midnight(calendar: bool, persons: list[str]) -> None:
    rule = {"name": "tested", "concepts": "creatinine", "window_days": [0, 0], "calendar_days": calendar}
    same_moment, same_day, day_before = lab(1, 1.0, hours=0), lab(2, 1.0, hours=-8), lab(3, 1.0, hours=-8.001)
    cohort = made(
        given(stay(1), stay(2), stay(3), same_moment, same_day, day_before), study(cohort__events__rules=[rule])
    )
    assert cohort.table["person"].to_list() == persons


def test_a_rule_that_nobody_fulfils_fails_by_its_name() -> None:
    rule = {"name": "on-dialysis", "meaning": "dialysis within a year", "concepts": "dialysis"}
    cohort = made(given(stay(1), stay(2)), study(cohort__events__rules=[rule]))
    states = {one.name: one.state for one in cohort.findings}
    assert states["rule on-dialysis"] == "fail"
    assert states["cohort"] == "fail"
    assert not satisfies(cohort, study()).can


def test_a_source_without_anybody_gives_an_empty_cohort_that_fails() -> None:
    cohort = made(Records(), study())
    assert cohort.table.is_empty()
    assert {"persons", "cohort"} <= {one.name for one in cohort.findings if one.state == "fail"}


def test_a_source_that_changed_while_it_was_read_gives_no_cohort() -> None:
    def changed() -> None:
        raise Invalid("the source changed while it was read")

    with pytest.raises(Invalid, match="changed"):
        build(duck_source(given(stay(1)), unchanged=changed), study())


def test_what_the_checks_of_records_say_is_among_the_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Requirement(name="clock", state="fail", reason="an hour late")
    monkeypatch.setattr(built, "check_records", lambda source, asked, picks: (said,) if len(picks) == 3 else ())
    assert said in made(given(stay(1)), study()).findings


def test_a_study_of_a_table_is_no_study_of_events() -> None:
    plain = study().model_dump(mode="json", by_alias=True, exclude_none=True)
    for part in (plain["cohort"], plain["label"]):
        del part["events"]
    del plain["concept_sets"]
    plain["cohort"]["entries"] = "single"
    plain["features"] = [{"name": "age", "type": "integer", "unit": "a", "range": [18, 110]}]
    with pytest.raises(Invalid, match=r"cohort\.events"):
        made(given(stay(1)), Study.model_validate(plain))


def test_all_entries_are_refused_where_one_row_a_person_is_needed(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="first-eligible"):
        load_events(tmp_path, study(cohort__entries="all"))


def test_a_table_cannot_give_the_first_eligible_entry(tmp_path: Path) -> None:
    text = (
        "schema: wardgate/mapping/1\nfiles: [a.csv]\nperson: {column: p}\n"
        "fields:\n  age: {column: a, unit: a}\n  creatinine: {column: c, unit: mg/dL}\n"
        "labels:\n  died: {column: d, positive: ['1'], negative: ['0']}\n"
    )
    (tmp_path / "mapping.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(Unsupported, match="one table with a mapping"):
        load(tmp_path, study(), mapping=parse_for(text, study(), name="mapping.yaml"))
    with pytest.raises(Unsupported, match="one table with a mapping"):
        load(tmp_path, study())

"""A cohort's check gives no count of 1 to 10 away: not shown, not by difference, not by joining shares with counts."""

from collections import defaultdict
from collections.abc import Callable, Iterator

import polars as pl
import pytest

from wardgate.hospital.ward.cohort.cohort import Cohort, Step
from wardgate.hospital.ward.cohort.disclosed import check_of_events, check_of_table, data_check
from wardgate.hospital.ward.cohort.findings import Quality
from wardgate.hospital.ward.cohort.from_events.found import FeatureFound, UnitFound
from wardgate.records.data_check import OTHER_UNITS, DataCheck
from wardgate.records.feature import Feature
from wardgate.records.results import Requirement
from wardgate.records.study import Study
from wardgate.records.study_file import parse

PERSONS = 36
NUMBER = Feature(name="creatinine", type="number", unit="umol/L", range=(20, 2000))

STUDY = """\
schema: wardgate/study/1
id: check
version: 2
title: A study to check data against
question: What may be seen?
cohort: {entry: admitted}
index_date: admission
label: {name: worse, meaning: worse within a week, window_days: [0, 7]}
features:
  - {name: creatinine, type: number, unit: umol/L, range: [20, 2000]}
acceptance: {auroc_min: 0.5, worst_site_auroc_min: 0.3}
sites: [here, there, elsewhere]
"""


@pytest.fixture(scope="module")
def study() -> Study:
    """A study of one feature."""
    return parse(STUDY, name="study.yaml")


def divisions(whole: int, parts: int) -> Iterator[tuple[int, ...]]:
    if parts == 1:
        yield (whole,)
        return
    for first in range(whole + 1):
        for rest in divisions(whole - first, parts - 1):
            yield (first, *rest)


def quality(cells: tuple[int, ...]) -> Quality:
    present, out, unread, absent = cells
    return Quality(
        feature="creatinine",
        total=present + out + unread + absent,
        present=present,
        out_of_range=out,
        unreadable=unread,
        unit_found="umol/L",
        converted=False,
        convertible=True,
    )


def found(cells: tuple[int, ...]) -> FeatureFound:
    """One value an entry at most: the worst case, since shares of values are then shares of entries."""
    usable, out, without_number, absent = cells
    values = usable + out + without_number
    return FeatureFound(
        feature="creatinine",
        codes=2,
        entries=values + absent,
        with_value=usable,
        with_events=values,
        values=values,
        without_number=without_number,
        out_of_range=out,
        units=(UnitFound(unit="umol/L", values=values, converted=False),) if values else (),
    )


def recovered(says: Callable[[tuple[int, ...]], object]) -> int:
    """How many divisions of a known number of persons have a count of 1 to 10 that an attacker can name.

    The attacker knows the number of persons, the program and what it said, and tries every division of the persons:
    a count that is the same in all that say the same is known.
    """
    groups: dict[object, list[tuple[int, ...]]] = defaultdict(list)
    for cells in divisions(PERSONS, 4):
        groups[says(cells)].append(cells)
    return sum(
        len(group)
        for group in groups.values()
        if any(len(values) == 1 and 1 <= min(values) <= 10 for values in map(set, zip(*group, strict=True)))
    )


def undisclosed(cells: tuple[int, ...]) -> object:
    """The broken twin: rounded shares with no eye to small counts."""
    present, out, unread, _ = cells
    given = present + out + unread
    return round(present / PERSONS, 2), round(out / given, 2) if given else None


def test_no_small_count_of_a_table_can_be_worked_out() -> None:
    assert recovered(undisclosed) > 1000, "the attack works where nothing is held back"
    assert recovered(lambda cells: check_of_table(NUMBER, quality(cells), minimum=11)) == 0


def test_no_small_count_of_events_can_be_worked_out() -> None:
    assert recovered(lambda cells: check_of_events(NUMBER, found(cells), minimum=11)) == 0


def test_a_rare_unit_is_neither_named_nor_counted() -> None:
    one = FeatureFound(
        feature="creatinine",
        codes=1,
        entries=500,
        with_value=400,
        with_events=450,
        values=900,
        units=(
            UnitFound(unit="umol/L", values=700, converted=False),
            UnitFound(unit="mg/dL", values=190, converted=True),
            UnitFound(unit="see Mr Miller", values=7, converted=None),
            UnitFound(unit="mg%", values=3, converted=None),
        ),
    )
    shown = check_of_events(NUMBER, one, minimum=11)
    assert [unit.unit for unit in shown.units] == ["umol/L", "mg/dL", OTHER_UNITS]
    assert {unit.share for unit in shown.units} == {None}, "by difference the shares would give the ten values away"
    assert "Miller" not in shown.model_dump_json()


def test_units_with_enough_values_are_told_with_their_shares() -> None:
    one = FeatureFound(
        feature="creatinine",
        codes=1,
        entries=500,
        with_value=400,
        with_events=450,
        values=1000,
        out_of_range=40,
        units=(
            UnitFound(unit="umol/L", values=700, converted=False),
            UnitFound(unit="mg/dL", values=200, converted=True),
            UnitFound(unit=None, values=100, converted=None),
        ),
    )
    shown = check_of_events(NUMBER, one, minimum=11)
    assert [(unit.unit, unit.share, unit.converted) for unit in shown.units] == [
        ("umol/L", 0.7, False),
        ("mg/dL", 0.2, True),
        (None, 0.1, None),
    ]
    assert (shown.coverage, shown.out_of_range, shown.without_unit) == (0.8, 0.04, 0.1)


def cohort(events: int, persons: int, *, cells: tuple[int, ...] = (20, 11, 0, 5)) -> Cohort:
    return Cohort(
        table=pl.DataFrame(
            {
                "person": [f"p{place:04}" for place in range(persons)],
                "creatinine": [80.0] * persons,
                "label": pl.Series([1] * events + [0] * (persons - events), dtype=pl.Int8),
            }
        ),
        groups=pl.Series([f"p{place}" for place in range(persons)]),
        flow=(Step(step="rows", persons=persons + 30), Step(step="known outcome", persons=persons)),
        quality=(quality(cells),),
        findings=(
            Requirement(
                name="feature creatinine", state="fail", reason="31 % of the values lie outside [20, 2000] umol/L"
            ),
            Requirement(name="cohort", state="pass", reason="200-499 persons"),
        ),
    )


def test_the_record_is_canonical_and_reads_back(study: Study) -> None:
    check = data_check(cohort(60, 400), study, site="here", source="one CSV file")
    assert DataCheck.from_plain(check.plain()) == check
    assert check.study_sha256 == study.fingerprint()
    assert not check.satisfies and check.reasons
    assert [step.persons for step in check.flow] == ["430", "400"]


def test_shares_leave_a_reason_where_a_small_count_stands_beside_them(study: Study) -> None:
    small = data_check(cohort(60, 400), study, site="here", source="one CSV file")
    assert small.requirements[0].reason == "some of the values lie outside [20, 2000] umol/L"
    assert small.reasons == ("feature creatinine: some of the values lie outside [20, 2000] umol/L",)
    large = data_check(cohort(60, 400, cells=(200, 100, 0, 100)), study, site="here", source="one CSV file")
    assert large.requirements[0].reason.startswith("31 %")


@pytest.mark.parametrize(("events", "persons"), [(10, 400), (390, 400), (0, 400), (5, 12)])
def test_prevalence_over_few_is_not_told(study: Study, events: int, persons: int) -> None:
    assert data_check(cohort(events, persons), study, site="here", source="one CSV file").prevalence is None


@pytest.mark.parametrize("persons", [30, 60, 240, 1100, 5000])
def test_prevalence_is_rounded_so_that_eleven_events_more_may_be_the_same(study: Study, persons: int) -> None:
    said = data_check(cohort(persons // 2, persons), study, site="here", source="one CSV file").prevalence
    assert said is not None
    same = [
        events
        for events in range(11, persons - 10)
        if round(round(events / persons / said.step) * said.step, 4) == said.share
    ]
    assert len(same) >= 7
    assert persons // 2 in same


def test_a_policy_of_noise_keeps_every_figure_inside(study: Study) -> None:
    plain = study.plain()
    plain["gate"]["dp"]["required"] = True
    said = data_check(cohort(60, 400), Study.from_plain(plain), site="here", source="one CSV file")
    assert (said.flow, said.features, said.prevalence) == ((), (), None)
    assert "%" not in said.model_dump_json()

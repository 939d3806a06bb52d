"""Study + mapping + rows -> cohort: who is in, what is missing, and a clear word on everything strange."""

import math
import random

import pytest
from cohort_rows import persons
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardgate.hospital.ward.cohort.cohort import Cohort, satisfies
from wardgate.hospital.ward.cohort.shown import shown_flow, shown_quality
from wardgate.measures.encoding import design_matrix, labels
from wardgate.records.errors import Invalid


def state(cohort: Cohort, name: str) -> tuple[str, str]:
    return next((one.state, one.reason) for one in cohort.findings if one.name == name)


def test_a_clean_source_gives_everybody_and_passes(build, study) -> None:
    cohort = build(persons(60))
    assert cohort.table.columns == ["person", "age", "sex", "systolic_pressure", "creatinine", "label"]
    assert cohort.table.height == 60
    assert {one.state for one in cohort.findings} == {"pass"}
    assert satisfies(cohort, study).can
    assert design_matrix(study.features, cohort.table).shape == (60, 8)
    assert labels(cohort.table).sum() == 12


def test_the_order_of_rows_changes_nothing(build) -> None:
    rows = persons(60)
    shuffled = random.Random(1).sample(rows, len(rows))
    assert build(rows).table.equals(build(shuffled).table)


def test_units_are_converted(build) -> None:
    cohort = build(
        persons(30, crea=lambda _: "1.0", sbp=lambda _: "16"),
        mapping={"unit: umol/L": "unit: mg/dL", '"mm[Hg]"': "kPa"},
    )
    assert math.isclose(cohort.table["creatinine"][0], 88.4, abs_tol=0.05)
    assert math.isclose(cohort.table["systolic_pressure"][0], 120.01, abs_tol=0.01)
    assert [one.converted for one in cohort.quality] == [False, False, True, True]


def test_codes_for_missing_become_missing(build) -> None:
    cohort = build(persons(40, crea=lambda i: ["NA", "-9", "-9.0", "", "  ", "77"][i % 6]))
    assert set(cohort.table["creatinine"].to_list()) == {None, 77.0}
    assert cohort.quality[3].unreadable == 0


def test_whole_numbers_match_codes_however_they_are_written(build) -> None:
    cohort = build(persons(40, sex=lambda i: ["1", "1.0", " 2 ", "2.00"][i % 4], dead=lambda i: ["0", "1.0"][i % 2]))
    assert cohort.table["sex"].value_counts()["count"].to_list() == [20, 20]
    assert cohort.table["label"].sum() == 20


@pytest.mark.parametrize("text", ["NaN", "inf", "-Infinity", "1e999", "abc", "12O", "1,5", "0x10", "٣"])
def test_what_is_no_finite_number_is_counted_and_missing(text: str, build) -> None:
    cell = f'"{text}"'
    cohort = build(persons(100, crea=lambda i: cell if i % 10 == 0 else "80"))
    assert cohort.table["creatinine"].null_count() == 10
    assert cohort.quality[3].unreadable + cohort.quality[3].out_of_range == 10
    assert state(cohort, "feature creatinine") == (
        "pass with exceptions",
        "fewer than 11 not understood; they count as missing",
    )


def test_values_outside_the_plausible_range_are_counted_and_missing(build, study) -> None:
    cohort = build(persons(200, sbp=lambda i: "999" if i % 10 == 0 else "120"))
    assert cohort.quality[2].out_of_range == 20
    assert cohort.table["systolic_pressure"].null_count() == 20
    found, reason = state(cohort, "feature systolic_pressure")
    assert found == "pass with exceptions"
    assert reason == "10 % outside the plausible range; they count as missing"
    assert satisfies(cohort, study).can


@pytest.mark.parametrize(
    ("column", "values", "feature", "hint"),
    [
        ("crea", ["0.8", "1.1", "1.4"], "creatinine", "values read as mg/dL (times 88.4) would fit"),
        ("sbp", ["14.7", "16", "18.1"], "systolic_pressure", "values read as kPa (times 7.501) would fit"),
    ],
)
def test_a_wrong_unit_fails_and_the_factor_is_named(column, values, feature, hint, build, study) -> None:
    cohort = build(persons(90, **{column: lambda i: values[i % 3]}))
    found, reason = state(cohort, f"feature {feature}")
    assert found == "fail"
    assert hint in reason
    assert not satisfies(cohort, study).can


def test_an_unknown_unit_fails(build, study) -> None:
    cohort = build(persons(50), mapping={"unit: umol/L": "unit: kg"})
    assert state(cohort, "feature creatinine")[0] == "fail"
    assert "found unit 'kg', expected 'umol/L'" in satisfies(cohort, study).reasons[0]
    assert cohort.table["creatinine"].null_count() == 50


def test_codes_that_the_mapping_does_not_name_fail_where_they_are_many(build) -> None:
    few = build(persons(100, sex=lambda i: "3" if i < 12 else "1"))
    assert state(few, "feature sex") == ("pass with exceptions", "12 % not understood; they count as missing")
    many = build(persons(100, sex=lambda i: "3" if i < 30 else "1"))
    assert state(many, "feature sex")[0] == "fail"


def test_a_column_without_values_fails_only_where_the_study_needs_it(build) -> None:
    assert state(build(persons(50, crea=lambda _: "")), "feature creatinine")[0] == "pass with exceptions"
    cohort = build(persons(50, age=lambda _: "40"), mapping={"missing: [NA": "missing: [40, NA"})
    assert state(cohort, "requirement age")[0] == "fail"
    assert state(cohort, "feature age")[0] == "not evaluated"
    assert state(cohort, "cohort")[0] == "fail"


def test_requirements_shape_the_flow(build, study) -> None:
    cohort = build(persons(100, age=lambda i: "12" if i < 30 else "50"))
    assert [(step.step, step.persons) for step in cohort.flow] == [
        ("persons in the source", 100),
        ("Adults", 70),
        ("everything known that may not be missing", 70),
        ("outcome known", 70),
    ]
    assert cohort.quality[0].total == 70


def test_a_requirement_may_use_a_field_that_is_no_feature(build) -> None:
    cohort = build(
        persons(90, sbp=lambda i: str(i % 3)),
        mapping={"fields:\n": "fields:\n  ward: {column: sbp, recode: {0: surgical}, otherwise: medical}\n"},
        change={
            "      range: [18, 110]\n      meaning: Adults\n": "      range: [18, 110]\n      meaning: Adults\n"
            "    - field: ward\n      values: [medical]\n"
        },
    )
    assert cohort.flow[2].persons == 60


def test_an_empty_cohort_fails_with_the_reason(build, study) -> None:
    for rows in ([], persons(50, age=lambda _: "12")):
        check = satisfies(build(rows), study)
        assert not check.can
        assert any("cohort is empty" in reason for reason in check.reasons)
    assert "a header and no rows" in satisfies(build([]), study).reasons[0]


def test_a_label_with_one_class_fails_in_a_hospital_that_must_have_both(build, study) -> None:
    large = build(persons(60, dead=lambda _: "0"))
    assert state(large, "label died_30d") == (
        "fail",
        "everybody lacks the outcome; check 'positive' and 'negative' of the label in the mapping",
    )
    small = build(persons(20, dead=lambda _: "1"))
    assert state(small, "label died_30d")[0] == "pass with exceptions"
    assert satisfies(small, study).can


def test_unknown_outcomes_are_left_out_and_counted(build, study) -> None:
    cohort = build(persons(100, dead=lambda i: "unknown" if i < 15 else str(i % 2)))
    assert cohort.table.height == 85
    assert state(cohort, "label died_30d") == (
        "pass with exceptions",
        "the outcome is unknown for 15 %; they were left out",
    )
    assert not satisfies(build(persons(100, dead=lambda i: "?" if i < 70 else str(i % 2))), study).can


def test_a_duplicate_person_is_refused_without_naming_the_person(build) -> None:
    with pytest.raises(Invalid, match="<11 rows repeat a person") as caught:
        build([*persons(50), "p7,50,1,120,80,0"])
    assert "p7" not in str(caught.value)


def test_rows_without_a_person_are_left_out_and_counted(build, study) -> None:
    cohort = build(persons(100, pid=lambda i: "" if i < 20 else f"p{i}"))
    assert cohort.table.height == 80
    assert state(cohort, "persons") == ("pass with exceptions", "20 % of the rows name no person and were left out")
    assert not satisfies(build(persons(30, pid=lambda _: "")), study).can


def test_very_few_persons_take_part_in_sums_only(build, study) -> None:
    for count, words in ((2, "fewer than 3 persons"), (7, "fewer than 11 persons")):
        cohort = build(persons(count))
        assert state(cohort, "cohort")[0] == "pass with exceptions"
        assert state(cohort, "cohort")[1].startswith(words)
        assert satisfies(cohort, study).can


def test_one_strange_value_in_a_hospital_of_two_proves_nothing(build, study) -> None:
    assert satisfies(build(persons(2, sbp=lambda i: ["999", "120"][i])), study).can


FIRST = {"entries: single ": "entries: first "}
ORDER = {"{column: pid}": "{column: pid, order: visit}"}


def test_the_first_entry_of_each_person_is_kept_in_the_hospitals_order(build) -> None:
    rows = ["a,50,1,120,80,0,10", "a,51,1,130,90,1,9", "b,60,2,140,70,1,2", "b,61,2,150,60,0,11"]
    cohort = build(rows * 1, header="pid,age,sex,sbp,crea,dead,visit", mapping=ORDER, change=FIRST)
    assert cohort.table["age"].to_list() == [51.0, 60.0]


def test_dates_order_entries_too_and_unordered_entries_come_last(build) -> None:
    rows = ["a,50,1,120,80,0,2020-02-01", "a,51,1,120,80,0,2019-12-31", "a,52,1,120,80,0,"]
    cohort = build(rows, header="pid,age,sex,sbp,crea,dead,visit", mapping=ORDER, change=FIRST)
    assert cohort.table["age"].to_list() == [51.0]


def test_who_is_first_does_not_depend_on_who_is_eligible(build) -> None:
    rows = ["a,12,1,120,80,0,1", "a,50,1,120,80,0,2"]
    cohort = build(rows, header="pid,age,sex,sbp,crea,dead,visit", mapping=ORDER, change=FIRST)
    assert cohort.table.height == 0


def test_age_bands_and_ranges_of_codes_are_read(build) -> None:
    codes = ["250.83", "428", "V57", "E800", "785.51", "zzz"]
    cohort = build(
        persons(60, age=lambda i: "[70-80)" if i % 2 else "[80-90)", sex=lambda i: codes[i % 6]),
        mapping={
            "column: age, unit: a": 'column: age, unit: a, numbers: {"[70-80)": 75, "[80-90)": 85}',
            "recode: {1: male, 2: female}": 'ranges: {male: ["250", "390-459", "785"]}, otherwise: female',
        },
    )
    assert set(cohort.table["age"].to_list()) == {75.0, 85.0}
    by_code = dict(zip((row[1:] for row in cohort.table["person"].to_list()), cohort.table["sex"], strict=True))
    assert [by_code[str(i)] for i in range(6)] == ["male", "male", "female", "female", "male", "female"]


def test_an_integer_is_rounded_after_conversion(build) -> None:
    cohort = build(persons(30, age=lambda _: "605"), mapping={"unit: a}": "unit: mo}"})
    assert set(cohort.table["age"].to_list()) == {50.0}


def test_linked_persons_share_a_group(build) -> None:
    rows = [f"{row},{'twins' if i < 2 else ''}" for i, row in enumerate(persons(10))]
    cohort = build(
        rows, header="pid,age,sex,sbp,crea,dead,home", mapping={"{column: pid}": "{column: pid, link: home}"}
    )
    assert cohort.groups.to_list()[:3] == ["twins", "twins", "p2"]


def test_without_an_identifier_each_row_is_a_person(build) -> None:
    cohort = build(persons(12, pid=lambda _: ""), mapping={"{column: pid}": "{each_row: true}"})
    assert sorted(cohort.table["person"].to_list(), key=int) == [str(i) for i in range(1, 13)]


def test_nothing_that_is_shown_holds_a_count_below_eleven_or_a_value(build, study) -> None:
    rows = persons(300, crea=lambda i: "CANARY-7731" if i < 4 else "80", dead=lambda i: "CANARY" if i < 5 else "1")
    rows[20] = "CANARY-9,55,1,147.31337,80,0"
    cohort = build(rows)
    shown = [*shown_flow(cohort, minimum=11), *shown_quality(cohort, minimum=11), *cohort.findings]
    text = " ".join(str(one) for one in shown)
    assert "CANARY" not in text
    assert "147.3" not in text
    assert [step.persons for step in shown_flow(cohort, minimum=11)] == ["300", "300", "300", "300 less fewer than 11"]
    assert shown_quality(cohort, minimum=11)[3].present is None
    assert "295" not in text


CELL = st.text(st.characters(codec="utf-8", exclude_characters='\r\n"\x00'), max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.tuples(CELL, CELL, CELL, CELL, CELL), min_size=1, max_size=8))
def test_no_cell_breaks_the_building(cells, build) -> None:
    rows = [",".join([f"p{i}", *(f'"{cell}"' for cell in row)]) for i, row in enumerate(cells)]
    cohort = build(rows)
    assert cohort.flow[0].persons == len(rows)
    assert all(one.present + one.out_of_range + one.unreadable <= one.total for one in cohort.quality)

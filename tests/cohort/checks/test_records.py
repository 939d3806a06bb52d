"""Errors planted into a hospital's records are found and named; clean records pass every check."""

import re
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from checked_records import records, source
from checked_studies import DIABETES, study

from wardgate.hospital.ward.cohort.checks.errors import SHARES, TOTAL
from wardgate.hospital.ward.cohort.checks.records import check_records
from wardgate.hospital.ward.cohort.from_events.picks import picks_of
from wardgate.hospital.ward.source.events import Noticed
from wardgate.records.feature import Feature

CREATININE = Feature(name="creatinine", type="number", unit="mg/dL", range=(0.1, 25.0), concepts="creatinine")
POTASSIUM = Feature(name="potassium", type="number", unit="mmol/L", range=(1.5, 9.5), concepts="potassium")
HEART = Feature(name="heart_rate", type="number", unit="/min", range=(15.0, 300.0), concepts="heart_rate")
STUDY = study(CREATININE, POTASSIUM, HEART, DIABETES)
CODE, TIME, VALUE, DAY = pl.col("code"), pl.col("time"), pl.col("numeric_value"), pl.datetime
IS_CREATININE = CODE == "LOINC/2160-0"


@pytest.fixture(scope="module")
def clean() -> pl.DataFrame:
    return records(2_000, np.random.default_rng(5))


def checked(events: pl.DataFrame, **more):
    with source(events, **more) as opened:
        requirements = check_records(opened, STUDY, picks_of(STUDY))
    for one in requirements:
        assert not re.search(r"\b([1-9]|10) (?:of the|persons|values|events)", one.reason), one.reason
    return {one.name: one for one in requirements}


def drawn(events: pl.DataFrame, share: float, seed: int = 1) -> pl.Series:
    return pl.Series(np.random.default_rng(seed).random(events.height) < share)


def test_the_errors_of_all_checks_add_up_to_the_one_that_is_promised() -> None:
    assert sum(SHARES.values()) <= TOTAL


def test_clean_records_pass_every_check(clean) -> None:
    found = checked(clean)
    assert {one.state for one in found.values()} == {"pass"}, [one for one in found.values() if one.state != "pass"]
    assert {"source", "clock", "persons twice", "units", "values", "calendar", "levels"} <= set(found)


@pytest.mark.parametrize("seed", range(3))
def test_other_clean_hospitals_of_other_sizes_pass_too(seed) -> None:
    found = checked(records([40, 300, 1_500][seed], np.random.default_rng(100 + seed)))
    assert {one.state for one in found.values()} <= {"pass", "not evaluated"}


@pytest.mark.parametrize("share", [0.02, 0.9])
def test_swapped_units_are_named_with_the_unit(clean, share) -> None:
    swapped = pl.when(IS_CREATININE & drawn(clean, share)).then(VALUE * 88.4).otherwise(VALUE)
    one = checked(clean.with_columns(swapped.alias("numeric_value")))["units of creatinine"]
    assert one.state == "fail"
    assert "umol/L" in one.reason


def test_a_unit_swapped_everywhere_is_named(clean) -> None:
    swapped = pl.when(IS_CREATININE).then(VALUE * 88.4).otherwise(VALUE)
    one = checked(clean.with_columns(swapped.alias("numeric_value")))["units of creatinine"]
    assert one.state == "fail"
    assert "umol/L" in one.reason


def test_a_label_that_says_another_unit_than_the_values_have_is_named(clean) -> None:
    labelled = pl.when(IS_CREATININE & drawn(clean, 0.2)).then(pl.lit("umol/L")).otherwise(pl.col("unit"))
    one = checked(clean.with_columns(labelled.alias("unit")))["units of creatinine"]
    assert one.state == "fail"
    assert "'umol/L'" in one.reason


def test_two_units_that_say_what_they_are_pass(clean) -> None:
    other = IS_CREATININE & drawn(clean, 0.4)
    both = clean.with_columns(
        pl.when(other).then(VALUE * 88.4).otherwise(VALUE).alias("numeric_value"),
        pl.when(other).then(pl.lit("umol/l")).otherwise(pl.col("unit")).alias("unit"),
    )
    assert {one.state for one in checked(both).values()} == {"pass"}


def test_some_values_without_a_unit_are_no_mix_up(clean) -> None:
    saturation = Feature(name="saturation", type="number", unit="%", range=(40.0, 100.0), concepts="heart_rate")
    heart = CODE == "LOINC/8867-4"
    bare = heart & drawn(clean, 0.05)
    events = clean.with_columns(
        pl.when(heart).then(96.0 - VALUE / 50).otherwise(VALUE).alias("numeric_value"),
        pl.when(bare).then(None).when(heart).then(pl.lit("%")).otherwise(pl.col("unit")).alias("unit"),
    )
    asked = study(saturation)
    with source(events) as opened:
        assert {one.state for one in check_records(opened, asked, picks_of(asked))} == {"pass"}


def test_a_unit_that_changes_with_a_date_is_named_with_the_date(clean) -> None:
    after = IS_CREATININE & (DAY(2018, 7, 1) <= TIME)
    swapped = pl.when(after).then(VALUE * 88.4).otherwise(VALUE)
    found = checked(clean.with_columns(swapped.alias("numeric_value")))
    assert found["levels of creatinine"].state == "fail"
    assert "2018-07" in found["levels of creatinine"].reason
    assert found["units of creatinine"].state == "fail"


@pytest.mark.parametrize("hours", [-7.0, 2.5])
def test_a_shifted_clock_is_named_with_its_hours(clean, hours) -> None:
    late = pl.col("table") == "measurement"
    moved = pl.when(late).then(TIME + timedelta(hours=hours)).otherwise(TIME)
    one = checked(clean.with_columns(moved.alias("time")))["clock"]
    assert one.state == "fail"
    assert f"{abs(hours):g} hours {'late' if hours > 0 else 'early'}" in one.reason
    assert "creatinine" in one.reason


def test_results_that_come_before_the_stay_are_no_clock(clean) -> None:
    """An emergency room draws blood in the hours before admission; no one offset explains that."""
    stays = clean.filter(pl.col("table") == "visit").select("visit", start="time")
    early = clean.join(stays, on="visit", how="left", maintain_order="left")
    back = pl.Series(np.random.default_rng(3).integers(5, 360, clean.height)) * timedelta(minutes=1)
    at = (pl.col("table") == "measurement") & drawn(clean, 0.15)
    events = early.with_columns(pl.when(at).then(pl.col("start") - back).otherwise(TIME).alias("time")).drop("start")
    assert checked(events)["clock"].state == "pass"


def test_codes_that_vanish_are_named_with_the_month(clean) -> None:
    found = checked(clean.filter(~IS_CREATININE | (DAY(2019, 5, 1) > TIME)))
    assert found["calendar of creatinine"].state == "fail"
    assert "2019-05" in found["calendar of creatinine"].reason


def test_a_code_that_replaces_another_is_an_exception(clean) -> None:
    late = DAY(2018, 1, 1) <= TIME
    other = pl.when(IS_CREATININE & late).then(pl.lit("LOINC/14682-9")).otherwise(CODE)
    one = checked(clean.with_columns(other.alias("code")))["calendar of creatinine"]
    assert one.state == "pass with exceptions"
    assert "LOINC/2160-0" in one.reason


def test_persons_who_are_there_twice_are_found(clean) -> None:
    for share, state in ((0.03, "fail"), (0.006, "pass with exceptions")):
        chosen = np.flatnonzero(np.random.default_rng(4).random(2_000) < share) + 1
        twice = clean.filter(pl.col("subject_id").is_in(chosen.tolist()))
        again = twice.with_columns(pl.col("subject_id") + 10_000, pl.col("visit") + 100_000)
        assert checked(pl.concat([clean, again]))["persons twice"].state == state


def test_numbers_that_were_sent_twice_are_an_exception(clean) -> None:
    numbers = clean.filter(VALUE.is_not_null())
    assert checked(pl.concat([clean, numbers.filter(drawn(numbers, 0.3))]))["events twice"].state == (
        "pass with exceptions"
    )


def test_deaths_before_visits_are_found(clean) -> None:
    dead = CODE == "MEDS_DEATH"
    early = clean.with_columns(
        pl.when(dead & drawn(clean, 0.2)).then(TIME - timedelta(days=100)).otherwise(TIME).alias("time")
    )
    found = checked(early)["time order: deaths before visits"]
    assert found.state in ("fail", "pass with exceptions")
    assert "after their death" in found.reason


def test_events_before_birth_and_reversed_ends_are_found(clean) -> None:
    sick = pl.col("table") == "measurement"
    early = clean.with_columns(
        pl.when(sick & drawn(clean, 0.05)).then(TIME - timedelta(days=365 * 100)).otherwise(TIME).alias("time")
    )
    assert checked(early)["time order: before birth"].state in ("fail", "pass with exceptions")
    stays = pl.col("table") == "visit"
    swapped = clean.with_columns(
        pl.when(stays).then(pl.col("end")).otherwise(TIME).alias("time"),
        pl.when(stays).then(TIME).otherwise(pl.col("end")).alias("end"),
    )
    assert checked(swapped)["time order: ends before starts"].state == "fail"


def test_impossible_values_are_found_at_five_percent_and_tails_are_not(clean) -> None:
    for share, state in ((0.05, "pass with exceptions"), (0.4, "fail")):
        wrong = pl.when(IS_CREATININE & drawn(clean, share)).then(pl.lit(-1.0)).otherwise(VALUE)
        one = checked(clean.with_columns(wrong.alias("numeric_value")))["values of creatinine"]
        assert one.state == state
        assert "[0.1, 25] mg/dL" in one.reason
    tail = pl.when(IS_CREATININE & drawn(clean, 0.005)).then(pl.lit(30.0)).otherwise(VALUE)
    assert checked(clean.with_columns(tail.alias("numeric_value")))["values"].state == "pass"


def test_what_was_lost_in_the_reading_is_said() -> None:
    events = records(30, np.random.default_rng(6))

    def state(*noticed: Noticed) -> str:
        return checked(events, found=lambda: noticed)["source"].state

    assert state(Noticed(what="lines that are no JSON", count=3, of=100_000)) == "pass with exceptions"
    assert state(Noticed(what="lines that are no JSON", count=5_000, of=100_000)) == "fail"
    assert state(Noticed(what="rows without a concept", count=9_000, of=100_000, harm="odd")) == "pass with exceptions"
    assert state(Noticed(what="rows without a concept", count=900, of=100_000, harm="odd")) == "pass"
    assert state(Noticed(what="device_exposure: the table is absent", count=1, of=1)) == "pass"


def test_too_little_to_tell_is_not_evaluated() -> None:
    found = checked(records(12, np.random.default_rng(7)))
    assert found["calendar"].state == "not evaluated"
    assert found["units"].state == "not evaluated"
    nothing = checked(records(12, np.random.default_rng(7)).head(0))
    assert {one.state for one in nothing.values()} <= {"pass", "not evaluated"}

"""Every documented field of a mapping of tables to events, on tables of a few rows."""

import hashlib
from datetime import datetime
from typing import Any

import pytest
from tests.source.tables.conftest import See

STAYS = """
    stay,pid,admitted
    10,1,2020-03-01 08:00
    11,2,2020-03-02T09:30:00
"""

LABS = """
    stay,minutes,test,result
    10,30,crea,1.1
    10,90,hr,80
    11,0,crea,-1
    11,5,crea,2
"""

TWO = """
    vocabulary: HOUSE
    tables:
      stays:
        files: [stays.csv]
        key: stay
        person: pid
        visit: stay
        clock: { column: admitted }
      labs:
        files: [labs.csv]
        parent: { table: stays, column: stay }
        missing: ["-1"]
        events:
          - code_column: test
            value: result
            units: { crea: mg/dL, hr: /min }
            time: { offset: minutes, unit: min }
            table: measurement
"""


def one_table(events: str, *, extra: str = "") -> str:
    return f"""
    vocabulary: HOUSE
    tables:
      rows:
        files: [rows.csv]
        person: pid
        {extra}
        events:
          - {events}
"""


def test_a_long_table_finds_person_visit_and_clock_in_its_parent(see: See) -> None:
    seen = see(TWO, {"stays.csv": STAYS, "labs.csv": LABS})
    first, last = seen.of("HOUSE/crea")
    assert first == {
        "subject_id": 1,
        "time": datetime(2020, 3, 1, 8, 30),
        "end": None,
        "code": "HOUSE/crea",
        "source_code": "HOUSE/crea",
        "numeric_value": 1.1,
        "text_value": None,
        "value_code": None,
        "unit": "mg/dL",
        "visit": 10,
        "table": "measurement",
    }
    assert (last["subject_id"], last["time"], last["numeric_value"]) == (2, datetime(2020, 3, 2, 9, 35), 2.0)
    assert seen.of("HOUSE/hr")[0]["unit"] == "/min"


def test_a_text_for_missing_is_no_value_but_stays_an_offset(see: See) -> None:
    labs = LABS.replace("10,30,crea,1.1", "10,-1,crea,1.1")
    first, _ = see(TWO, {"stays.csv": STAYS, "labs.csv": labs}).of("HOUSE/crea")
    assert first["time"] == datetime(2020, 3, 1, 7, 59)


def test_events_held_in_memory_and_streamed_are_the_same(see: See, monkeypatch: pytest.MonkeyPatch) -> None:
    held = see(TWO, {"stays.csv": STAYS, "labs.csv": LABS})
    monkeypatch.setattr("wardgate.hospital.ward.source.tables.opened._HELD_SHARE", 0.0)
    streamed = see(TWO, {"stays.csv": STAYS, "labs.csv": LABS})
    order = ["subject_id", "time", "code"]
    assert held.events.sort(order).equals(streamed.events.sort(order))


def test_a_wide_table_gives_an_event_for_each_filled_column(see: See) -> None:
    mapping = one_table(
        'time: { column: t }\n            columns: { hr: { unit: /min }, k: { code: LOINC/2823-3, missing: ["0"] } }'
    )
    seen = see(mapping, {"rows.csv": "pid,t,hr,k\n1,2020-01-01 10:00,80,4.0\n1,2020-01-01 11:00,,0\n"})
    assert sorted(seen.events["code"]) == ["HOUSE/hr", "LOINC/2823-3"]
    assert seen.of("HOUSE/hr")[0]["unit"] == "/min"
    assert seen.of("LOINC/2823-3")[0]["unit"] is None


def test_codes_in_one_cell_are_parted_and_chosen(see: See) -> None:
    mapping = """
    tables:
      rows:
        files: [rows.csv]
        person: pid
        events:
          - { code_column: icd, split: ",", vocabulary: ICD9CM, matches: '^[0-9]', time: { column: t } }
          - { code_column: icd, split: ",", vocabulary: ICD10CM, matches: '^[A-Z]', time: { column: t } }
    """
    seen = see(mapping, {"rows.csv": 'pid,t,icd\n1,2020-01-01,"401.9, I10"\n1,2020-01-01,\n'})
    assert sorted(seen.events["code"]) == ["ICD10CM/I10", "ICD9CM/401.9"]
    assert seen.count("no code given") == 1


def test_when_and_unless_choose_rows(see: See) -> None:
    rows = {"rows.csv": "pid,t,kind,off\n1,2020-01-01,a,\n2,2020-01-01,a,Yes\n3,2020-01-01,b,No\n"}
    mapping = one_table("{ code: x, time: { column: t }, when: { kind: [a] }, unless: { off: ['Yes'] } }")
    assert see(mapping, rows).events["subject_id"].to_list() == [1]


def test_text_coded_values_and_unit_columns_are_kept(see: See) -> None:
    events = "{ code: x, time: { column: t }, value: v, unit_column: u, text: w, coded: c, coded_vocabulary: SNOMED }"
    seen = see(one_table(events), {"rows.csv": "pid,t,v,u,w,c\n1,2020-01-01 10:00,5,mmol/l,hello,123\n"})
    (row,) = seen.of("HOUSE/x")
    assert (row["numeric_value"], row["unit"], row["text_value"]) == (5.0, "mmol/l", "hello")
    assert row["value_code"] == "SNOMED/123"


def test_an_event_that_may_lie_outside_its_visit_names_none(see: See) -> None:
    table = one_table("{ code: x, of_visit: false, time: { column: t } }", extra="visit: v")
    (row,) = see(table, {"rows.csv": "pid,v,t\n1,5,2020-01-01\n"}).of("HOUSE/x")
    assert row["visit"] is None


def test_a_row_without_its_value_tells_nothing_and_one_without_its_text_does(see: See) -> None:
    rows = {"rows.csv": "pid,t,v,w\n1,2020-01-01,,\n1,2020-01-01,,hello\n1,2020-01-01,5,\n"}
    value = see(one_table("{ code: x, time: { column: t }, value: v, text: w }"), rows)
    assert [row["text_value"] for row in value.of("HOUSE/x")] in (["hello", None], [None, "hello"])
    assert see(one_table("{ code: x, time: { column: t }, text: w }"), rows).events.height == 3


def test_a_value_that_is_no_number_is_kept_as_text_and_counted(see: See) -> None:
    rows = "pid,t,v\n1,2020-01-01 10:00,>200\n1,2020-01-01 11:00,inf\n1,2020-01-01 12:00,7\n"
    seen = see(one_table("{ code: x, time: { column: t }, value: v }"), {"rows.csv": rows})
    assert [row["text_value"] for row in seen.of("HOUSE/x")] == [">200", "inf", None]
    assert seen.count("no number") == 2


TIMES: dict[str, tuple[str, str, datetime | None]] = {
    "iso": ("{ column: t }", "2020-05-06T07:08:09", datetime(2020, 5, 6, 7, 8, 9)),
    "fractions": ("{ column: t }", "2020-05-06 07:08:09.25", datetime(2020, 5, 6, 7, 8, 9, 250_000)),
    "a date alone": ("{ column: t }", "2020-05-06", datetime(2020, 5, 6, 23, 59, 59)),
    "a format": ("{ column: t, format: '%d.%m.%Y %H:%M' }", "06.05.2020 07:08", datetime(2020, 5, 6, 7, 8)),
    "a format of dates": ("{ column: t, format: '%d.%m.%Y' }", "06.05.2020", datetime(2020, 5, 6, 23, 59, 59)),
    "a column and more": ("{ column: t, plus: 1 h }", "2020-05-06 07:08", datetime(2020, 5, 6, 8, 8)),
    "milliseconds": ("{ offset: t, unit: ms }", "1500", datetime(2000, 1, 1, 0, 0, 1, 500_000)),
    "seconds": ("{ offset: t, unit: s }", "90", datetime(2000, 1, 1, 0, 1, 30)),
    "minutes": ("{ offset: t, unit: min }", "-60", datetime(1999, 12, 31, 23)),
    "hours": ("{ offset: t, unit: h }", "1.5", datetime(2000, 1, 1, 1, 30)),
    "days": ("{ offset: t, unit: d }", "2", datetime(2000, 1, 3)),
    "a clock's face": ("{ offset: t, unit: 'h:m' }", "49:05:10", datetime(2000, 1, 3, 1, 5, 10)),
    "an hour that begins": ("{ offset: t, unit: h, plus: 1 h }", "3", datetime(2000, 1, 1, 4)),
    "the start and more": ("{ plus: 24 h }", "", datetime(2000, 1, 2)),
    "no time": ("{ column: t }", "yesterday", None),
    "an impossible date": ("{ column: t }", "2020-02-30 10:00", None),
    "no year": ("{ column: t }", "0000-01-01 10:00", None),
    "an impossible minute": ("{ offset: t, unit: 'h:m' }", "10:61", None),
    "an offset of ages": ("{ offset: t, unit: d }", "1e9", None),
}


@pytest.mark.parametrize("case", TIMES)
def test_times_are_read_as_documented(see: See, case: str) -> None:
    time, text, expected = TIMES[case]
    clock = "" if "column" in time else 'clock: { date: "2000-01-01" }'
    mapping = one_table(f"{{ code: x, time: {time} }}", extra=clock)
    seen = see(mapping, {"rows.csv": f"pid,t\n1,{text}\n"})
    assert [row["time"] for row in seen.of("HOUSE/x")] == ([expected] if expected is not None else [])
    assert seen.count("that cannot be read") == (expected is None)


def test_a_local_time_comes_of_an_offset_and_the_hospitals_zone(see: See) -> None:
    rows = "pid,t\n1,2020-07-01T10:00:00Z\n2,2020-07-01 10:00:00+05:30\n3,2020-07-01 10:00\n"
    seen = see(one_table("{ code: x, time: { column: t } }"), {"rows.csv": rows}, timezone="Europe/Vienna")
    times = [row["time"] for row in seen.of("HOUSE/x")]
    assert times == [datetime(2020, 7, 1, 12), datetime(2020, 7, 1, 6, 30), datetime(2020, 7, 1, 10)]
    assert seen.count("times with an offset from UTC beside times without one") == 2


def test_an_end_is_told_and_one_before_its_start_is_counted(see: See) -> None:
    rows = "pid,t,e\n1,2020-01-01 10:00,2020-01-02 10:00\n2,2020-01-01 10:00,2019-01-01 10:00\n3,2020-01-01 10:00,\n"
    seen = see(one_table("{ code: x, time: { column: t }, end: { column: e } }"), {"rows.csv": rows})
    assert [row["end"] for row in seen.of("HOUSE/x")] == [datetime(2020, 1, 2, 10), datetime(2019, 1, 1, 10), None]
    assert seen.count("before the start") == 1


PERSON = """
    missing: ["-1"]
    tables:
      rows:
        files: [rows.csv]
        person: pid
        clock: { column: t }
        birth: { age: age, texts: { "> 89": 90 } }
        death:
          - { when: { out: [dead] }, time: { column: left } }
        sex: { column: sex, codes: { Male: M, Female: F } }
        observed: { start: { column: t }, end: { column: left } }
"""


def test_birth_death_sex_and_observed_time_are_told_of_persons(see: See) -> None:
    rows = """
        pid,t,age,out,left,sex
        1,2020-03-01 08:00,60,home,2020-03-05 08:00,Male
        1,2021-03-01 08:00,61,dead,2021-03-02 08:00,Male
        2,2020-03-01 08:00,> 89,home,2020-03-05,Female
        3,2020-03-01 08:00,-1,home,2020-03-05 08:00,Male
        3,2020-04-01 08:00,,home,2020-04-05 08:00,Female
    """
    seen = see(PERSON, {"rows.csv": rows})
    births = {row["subject_id"]: row["time"] for row in seen.of("MEDS_BIRTH")}
    assert births == {1: datetime(1960, 3, 1, 8), 2: datetime(1930, 3, 1, 8)}
    assert [(row["subject_id"], row["time"]) for row in seen.of("MEDS_DEATH")] == [(1, datetime(2021, 3, 2, 8))]
    assert [row["subject_id"] for row in seen.of("Gender/M")] == [1]
    assert [row["subject_id"] for row in seen.of("Gender/F")] == [2]
    assert seen.of("Gender/F")[0]["time"] is None
    assert len(seen.of("OBSERVATION_PERIOD")) == 5
    assert seen.count("persons with several codes of Gender") == 1
    assert seen.count("no age or date of birth given") == 2
    assert seen.persons["subject_id"].n_unique() == 3


def test_a_date_of_birth_is_the_beginning_of_its_day(see: See) -> None:
    mapping = """
    tables:
      rows: { files: [rows.csv], person: pid, birth: { time: { column: born } } }
    """
    seen = see(mapping, {"rows.csv": "pid,born\n1,1950-06-07\n"})
    assert seen.of("MEDS_BIRTH")[0]["time"] == datetime(1950, 6, 7)


def test_the_clock_of_a_year_goes_back_from_a_time_of_day(see: See) -> None:
    clock = "clock: { year: y, time_of_day: at, less: { offset: before, unit: min } }"
    rows = {"rows.csv": "pid,y,at,before\n1,2014,23:36:00,-2258\n2,2014,10:00,30\n"}
    seen = see(one_table("{ code: x, time: { plus: 0 min } }", extra=clock), rows)
    assert [row["time"] for row in seen.of("HOUSE/x")] == [datetime(2014, 1, 3, 13, 14), datetime(2014, 1, 1, 9, 30)]


def test_episodes_of_one_person_and_year_are_laid_apart_in_the_declared_order(see: See) -> None:
    clock = "clock: { year: y, episodes: { column: ep, order: [out], days: 30 } }"
    rows = "pid,y,ep,out\n1,2014,7,Expired\n1,2014,9,Alive\n1,2014,9,Alive\n1,2014,8,Alive\n1,2015,3,Alive\n2,2014,5,\n"
    seen = see(one_table("{ code: x, time: { plus: 0 min } }", extra=clock), {"rows.csv": rows})
    days = [(row["subject_id"], row["time"]) for row in seen.of("HOUSE/x")]
    first: list[tuple[Any, Any]] = [(1, datetime(2014, 1, 1)), (1, datetime(2014, 1, 31)), (1, datetime(2014, 1, 31))]
    assert days == [*first, (1, datetime(2014, 3, 2)), (1, datetime(2015, 1, 1)), (2, datetime(2014, 1, 1))]


def test_identifiers_are_whole_numbers_or_bits_of_a_digest(see: See) -> None:
    rows = "pid,t\n17,2020-01-01\n17.0,2020-01-02\n002-1039,2020-01-01\n017,2020-01-01\n"
    found = see(one_table("{ code: x, time: { column: t } }"), {"rows.csv": rows}).events["subject_id"].to_list()
    digests = [
        int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:15], 16) for text in ("002-1039", "017")
    ]
    assert sorted(found) == sorted([17, 17, *digests])


def test_rows_without_a_known_person_or_a_time_are_counted_and_left_out(see: See) -> None:
    labs = LABS + "    99,5,crea,7\n    10,,crea,7\n"
    seen = see(TWO, {"stays.csv": STAYS, "labs.csv": labs})
    assert len(seen.of("HOUSE/crea")) == 2
    assert seen.count("rows without a known person") == 1
    assert seen.count("no time given") == 1


def test_own_codes_are_mapped_and_the_rest_is_counted(see: See) -> None:
    codes = """
    HOUSE,crea,LOINC,2160-0,exact,A,2026-01-01,handbook
    HOUSE,hr,LOINC,8867-4,narrower,A,2026-01-01,handbook
    """.replace("    ", "")
    seen = see(TWO, {"stays.csv": STAYS, "labs.csv": LABS}, codes=codes)
    assert {row["source_code"] for row in seen.of("LOINC/2160-0")} == {"HOUSE/crea"}
    assert len(seen.of("HOUSE/hr")) == 1, "a narrower code is not applied"
    (left,) = [one for one in seen.noticed if "no standard code" in one.what]
    assert (left.count, left.of, left.harm, left.where) == (1, 3, "odd", ("HOUSE/hr (1)",))
    assert seen.count("narrower than what was recorded") == 1


def test_source_yaml_spells_units_and_gives_those_that_are_missing(see: See) -> None:
    events = "{ code_column: c, value: v, unit_column: u, time: { column: t } }"
    rows = "pid,t,c,v,u\n1,2020-01-01,a,1,mg/dl\n1,2020-01-01,b,1,\n1,2020-01-01,d,1,\n"
    settings: Any = {"unit_names": {"mg/dl": "mg/dL"}, "units": {"HOUSE/b": "mmol/L"}}
    found = see(one_table(events), {"rows.csv": rows}, **settings).events.sort("code")["unit"].to_list()
    assert found == ["mg/dL", "mmol/L", None]


def test_parquet_is_read_like_text(see: See, tmp_path: Any) -> None:
    import polars as pl

    table = {"pid": [1, 2], "t": [datetime(2020, 1, 1, 10), datetime(2020, 1, 1, 11)], "v": [1.5, None]}
    pl.DataFrame(table).write_parquet(tmp_path / "rows.parquet")
    mapping = one_table("{ code: x, time: { column: t }, value: v }").replace("rows.csv", "rows.parquet")
    (row,) = see(mapping, {}).of("HOUSE/x")
    assert (row["time"], row["numeric_value"]) == (datetime(2020, 1, 1, 10), 1.5)

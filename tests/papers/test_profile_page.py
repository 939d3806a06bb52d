"""The page of a profile: it says what it is, stands by itself, and shows every count as it is."""

import re
from dataclasses import replace

import pytest

from wardgate.measures.profile import (
    CodeProfile,
    Count,
    Expected,
    Histogram,
    Months,
    Profile,
    Remark,
    SetProfile,
    UnitProfile,
    digest,
    histogram,
    quantiles,
)
from wardgate.papers.bars import calendar_bars, number_bars
from wardgate.papers.profile_page import FIRST_LINE, profile_page

VALUES = digest((float(value), 2 + value % 3) for value in range(40, 140))


def _unit(unit: str | None) -> UnitProfile:
    return UnitProfile(unit=unit, values=VALUES.total, quantiles=quantiles(VALUES), histogram=histogram(VALUES))


SET = SetProfile(
    name="creatinine",
    meaning="In serum",
    codes=2,
    events=310,
    persons=7,
    numbers=300,
    without_unit=20,
    units=(_unit("umol/L"), _unit(None)),
    other_units=3,
    other_values=9,
    by_year=((2019, 100), (2021, 210)),
    expected=(Expected(feature="creatinine", unit="umol/L", low=10.0, high=2000.0),),
)
PROFILE = Profile(
    source="OMOP CDM 5.4 in cdm",
    kind="omop",
    study="A study",
    persons=120,
    born=119,
    dead=3,
    timeless=2,
    ages=Histogram(edges=tuple(5.0 * at for at in range(23)), counts=(4,) * 22, below=1, above=2),
    sexes=(Count(name="Gender/F", count=70), Count(name="several", count=1), Count(name="", count=49)),
    observed=110,
    observed_years=(0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0),
    events=12_345,
    different=31,
    months=(
        Months(table="measurement", counts={12 * 2020 + at: 500 + at for at in range(20)} | {12 * 1900: 1}),
        Months(table="", counts={12 * 2020: 3}),
    ),
    codes=(CodeProfile(code="LOINC/2160-0", events=310, persons=7, numbers=300),),
    sets=(
        SET,
        replace(SET, name="lactate", codes=0, events=0, persons=0, numbers=0, units=(), by_year=(), other_units=0),
    ),
    remarks=(Remark(what="lines that are no JSON", count=1, of=99, where=("a.ndjson:7",), lost=True),),
)


@pytest.fixture(scope="module")
def text() -> str:
    """The page as text."""
    return profile_page(PROFILE, on="2026-01-02")


def test_the_first_line_and_every_head_say_whose_eyes_it_is_for(text: str) -> None:
    assert text.splitlines()[0] == FIRST_LINE
    assert "FOR THIS HOSPITAL'S EYES ONLY" in FIRST_LINE and "true counts" in FIRST_LINE
    head = text[text.index("<header>") : text.index("</header>")]
    assert "FOR THIS HOSPITAL'S EYES ONLY" in head and "true counts" in head
    assert re.search(r"@top-center \{ content: \"FOR THIS HOSPITAL'S EYES ONLY", text), "on every printed page"
    assert "<title>For this hospital's eyes only" in text.replace("&#39;", "'")


def test_it_stands_by_itself_and_runs_no_script(text: str) -> None:
    assert "<script" not in text
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", text)
    assert "url(" not in text
    assert "default-src 'none'" in text


def test_every_true_count_is_shown(text: str) -> None:
    for shown in (
        "12,345",
        "120",
        "3 known to have died (2.5 %)",
        "a.ndjson:7",
        "3 further units",
        "300",
        "creatinine",
    ):
        assert shown in text
    assert "1 event before 2020-01" in text


def test_a_set_without_events_stands_out(text: str) -> None:
    assert "No event of this set is in the source, and none of its codes is known here." in text
    assert '<tr class="named"><th scope="row"><a href="#set-2">lactate' in text


def test_equal_profiles_give_equal_bytes(text: str) -> None:
    assert profile_page(PROFILE, on="2026-01-02") == text


def test_ids_are_given_once(text: str) -> None:
    ids = re.findall(r"\sid=\"([^\"]+)\"", text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"href=\"#([^\"]+)\"", text)) <= set(ids)


def test_what_the_source_says_is_escaped() -> None:
    evil = "<script>alert(1)</script>\"'"
    units = (replace(SET.units[0], unit=evil),)
    one = replace(SET, name=evil, meaning=evil, units=units)
    text = profile_page(
        replace(
            PROFILE,
            source=evil,
            study=evil,
            sets=(one,),
            codes=(replace(PROFILE.codes[0], code=evil),),
            sexes=(Count(name=evil, count=1),),
            months=(Months(table=evil, counts={24240: 1}),),
            remarks=(Remark(what=evil, count=1, of=1, where=(evil,), lost=False),),
        )
    )
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_an_empty_source_has_a_page() -> None:
    empty = replace(
        PROFILE,
        study="",
        persons=0,
        born=0,
        dead=0,
        timeless=0,
        ages=histogram(digest([])),
        sexes=(),
        observed=0,
        observed_years=(),
        events=0,
        different=0,
        months=(),
        codes=(),
        sets=(),
        remarks=(),
    )
    text = profile_page(empty)
    assert "No event has a time." in text and "No code has numbers." in text and "nobody is observed" in text


def test_a_unit_that_the_study_does_not_expect_is_said() -> None:
    other = replace(SET, expected=(Expected(feature="crea", unit="mg/dL", low=0.1, high=20.0),))
    text = profile_page(replace(PROFILE, sets=(other,)))
    assert "The feature crea expects mg/dL, from 0.1 to 20" in text
    assert 'class="b-zone"' not in text


def test_the_plausible_range_is_drawn_where_the_unit_is_the_same(text: str) -> None:
    assert text.count('class="b-zone"') == 1


def test_no_bar_is_taller_than_the_picture_or_outside_it() -> None:
    drawn = str(number_bars("x", histogram(VALUES), title="x", unit="mmol/L", limits=(0.0, 1e6)))
    drawn += str(calendar_bars("y", [(24240 + at, at) for at in range(50)], each=1, title="y"))
    for x, y, width, height in re.findall(
        r"<rect x=\"([\d.]+)\" y=\"([\d.]+)\" width=\"([\d.]+)\" height=\"([\d.]+)\"", drawn
    ):
        assert float(x) >= 40 and float(x) + float(width) <= 760.0
        assert float(y) >= 11.9 and float(y) + float(height) <= 122.2

"""What picks, persons and periods of a small CDM are, each by hand."""

from datetime import datetime
from pathlib import Path

import pytest
from tests.source.omop.conftest import rows, source

from wardgate.hospital.ward.source.events import Pick
from wardgate.records.concepts import Concept
from wardgate.records.source_file import SourceFile


def concept(text: str, **more: object) -> Concept:
    vocabulary, code = text.split("/")
    return Concept(vocabulary=vocabulary, code=code, **more)


def picked(
    place: Path, *concepts: Concept, table: str | None = None, settings: SourceFile | None = None
) -> list[tuple]:
    with source(place, settings) as found:
        answer = rows(found, found.picked([Pick(name="asked", concepts=concepts, table=table)]))
    return answer.drop("pick").rows()


def test_persons_are_born_in_the_middle_of_what_is_known_and_die_once(tiny, write) -> None:
    with source(write(tiny)) as found:
        persons = rows(found, found.persons()).rows()
    assert persons == [
        (1, datetime(1950, 2, 28), datetime(2020, 6, 1, 4)),
        (2, datetime(1960, 7, 1), None),
        (3, datetime(1970, 5, 15), None),
        (4, datetime(1980, 1, 1, 6, 30), None),
    ]


def test_periods_are_whole_days_and_without_their_table_from_first_to_last_event(tiny, write) -> None:
    with source(write(tiny)) as found:
        periods = rows(found, found.periods()).rows()
    assert periods[0] == (1, datetime(2010, 1, 1), datetime(2021, 1, 1, 23, 59, 59))
    del tiny["observation_period"]
    with source(write(tiny, name="other")) as found:
        periods = rows(found, found.periods()).rows()
    assert periods == [
        (1, datetime(2020, 1, 1, 8), datetime(2020, 1, 5, 12)),
        (2, datetime(2020, 2, 1, 11), datetime(2020, 2, 2, 11)),
        (3, datetime(2020, 3, 1, 23, 59, 59), datetime(2020, 3, 2, 23, 59, 59)),
    ]


def test_a_date_alone_is_its_last_second(tiny, write) -> None:
    found = picked(write(tiny), concept("LOINC/2160-0"))
    assert [row[1] for row in found] == [
        datetime(2020, 1, 1, 10),
        datetime(2020, 1, 2, 23, 59, 59),
        datetime(2020, 2, 1, 23, 59, 59),
    ]


def test_what_lies_below_counts_and_what_is_excluded_does_not(tiny, write) -> None:
    place = write(tiny)
    below = concept("SNOMED/73211009", descendants=True)
    assert len(picked(place, below)) == 3
    assert len(picked(place, concept("SNOMED/73211009"))) == 0
    assert len(picked(place, below, Concept(concept_id=443767, exclude=True))) == 2
    assert len(picked(place, below, concept("SNOMED/44054006", exclude=True, descendants=True))) == 1
    assert len(picked(place, below, concept("ICD10CM/E11.3", exclude=True, source=True))) == 2


def test_codes_as_recorded_are_found_by_concept_or_by_text(tiny, write) -> None:
    place = write(tiny)
    assert len(picked(place, concept("ICD10CM/E11.9", source=True))) == 2
    assert len(picked(place, concept("ICD10CM/E11", source=True))) == 0
    assert len(picked(place, concept("ICD10CM/E11", source=True, descendants=True))) == 4
    assert len(picked(place, concept("ICD10CM/E11.65", source=True))) == 1
    assert len(picked(place, Concept(concept_id=45561952, source=True, descendants=True))) == 2
    assert len(picked(place, concept("ICD10CM/E11", source=True, descendants=True), table="drug")) == 0
    twice = (concept("ICD10CM/E11.9", source=True), concept("SNOMED/44054006"))
    assert len(picked(place, *twice)) == 2


def test_a_coded_value_decides(tiny, write) -> None:
    place = write(tiny)
    assert len(picked(place, concept("LOINC/600-7"))) == 2
    positive = concept("LOINC/600-7", value="SNOMED/52101004")
    assert [row[1] for row in picked(place, positive)] == [datetime(2020, 2, 1, 11)]
    assert len(picked(place, concept("LOINC/600-7"), positive.model_copy(update={"exclude": True}))) == 1


def test_sex_has_no_time_and_visits_have_an_end(tiny, write) -> None:
    place = write(tiny)
    assert picked(place, concept("Gender/F")) == [(2, *[None] * 5), (3, *[None] * 5)]
    (stay,) = picked(place, concept("Visit/IP"), table="visit")
    assert stay == (1, datetime(2020, 1, 1, 8), datetime(2020, 1, 5, 12), None, None, 10)


def test_units_are_those_of_the_concept_else_of_the_source_else_of_its_file(tiny, write) -> None:
    place = write(tiny)
    assert [row[4] for row in picked(place, concept("LOINC/2160-0"))] == ["mg/dL", "umol/l", None]
    settings = SourceFile(
        kind="omop", place=place.name, units={"LOINC/2160-0": "mg/dL"}, unit_names={"umol/l": "umol/L"}
    )
    found = picked(place, concept("LOINC/2160-0"), settings=settings)
    assert [row[4] for row in found] == ["mg/dL", "umol/L", "mg/dL"]


def test_intensive_care_stays_are_visits(tiny, write) -> None:
    tiny["visit_detail"] = [
        "visit_detail_id,person_id,visit_detail_concept_id,visit_detail_start_date,visit_detail_start_datetime,"
        "visit_detail_end_date,visit_detail_end_datetime,visit_occurrence_id",
        "7,1,32037,2020-01-02,2020-01-02 03:00:00,2020-01-03,2020-01-03 03:00:00,10",
    ]
    (stay,) = picked(write(tiny), Concept(concept_id=32037), table="visit")
    assert stay == (1, datetime(2020, 1, 2, 3), datetime(2020, 1, 3, 3), None, None, 10)


@pytest.mark.parametrize(
    ("concepts", "number"),
    [
        ((concept("SNOMED/73211009", descendants=True),), 3),
        ((concept("ICD10CM/E11", source=True, descendants=True),), 2),
        ((concept("ICD10CM/E11.65", source=True),), 1),
        ((concept("LOINC/9999-9"),), 0),
        ((Concept(concept_id=32037),), 0),
        ((concept("Visit/IP"),), 1),
    ],
)
def test_codes_are_counted_in_the_vocabulary_else_in_the_events(tiny, write, concepts, number: int) -> None:
    with source(write(tiny)) as found:
        assert found.codes([Pick(name="asked", concepts=concepts), Pick(name="death", concepts=())]) == {
            "asked": number,
            "death": 1,
        }

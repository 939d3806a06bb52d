"""Every resource of an export becomes the events that its fields say, and what is left out is counted."""

import json
from datetime import datetime
from typing import Any

import polars as pl
import pytest

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"


def concept(code: str, system: str = "http://snomed.info/sct") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def observed(identity: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "category": [concept("laboratory", "http://terminology.hl7.org/CodeSystem/observation-category")],
        "code": concept("2160-0", LOINC),
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2020-01-15T08:00:00Z",
        **more,
    }


def quantity(value: Any, unit: str = "mg/dL", **more: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit, **more}


def only(events: pl.DataFrame, table: str) -> dict[str, Any]:
    rows = events.filter(pl.col("table") == table).to_dicts()
    assert len(rows) == 1, rows
    return rows[0]


def test_a_patient_is_born_dies_and_has_a_sex(export, read, person) -> None:
    folder = export([person("p1", deceasedDateTime="2021-02-03T23:30:00+01:00"), person("p2", gender="male")])
    events, noticed = read(folder)
    assert events.filter(pl.col("code") == "MEDS_BIRTH")["time"].unique().to_list() == [datetime(1950, 6, 1)]
    assert only(events, "death")["time"] == datetime(2021, 2, 3, 23, 30)
    assert sorted(events.filter(pl.col("time").is_null())["code"]) == ["Gender/F", "Gender/M"]
    assert noticed == {}


def test_a_death_without_a_date_is_counted(export, read, person) -> None:
    events, noticed = read(export([person(deceasedBoolean=True)]))
    assert "death" not in events["table"].to_list()
    assert noticed == {"Patient: deaths without a date, left out": 1}


def test_who_lives_is_no_death(export, read, person) -> None:
    assert read(export([person(deceasedBoolean=False)]))[1] == {}


@pytest.mark.parametrize(
    ("written", "expected"),
    [("1950-06-01", datetime(1950, 6, 1)), ("1950-02", datetime(1950, 2, 28)), ("1950", datetime(1950, 12, 31))],
)
def test_a_birth_is_the_first_moment_of_its_day_and_of_no_later_one(export, read, person, written, expected) -> None:
    events, _ = read(export([person(birthDate=written)]))
    assert events.filter(pl.col("code") == "MEDS_BIRTH")["time"].to_list() == [expected]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2020-03-01", datetime(2020, 3, 1, 23, 59, 59)),
        ("2020-02", datetime(2020, 2, 29, 23, 59, 59)),
        ("2020", datetime(2020, 12, 31, 23, 59, 59)),
        ("2020-07-01T00:30:00Z", datetime(2020, 7, 1, 2, 30)),
        ("2020-01-01T00:30:00Z", datetime(2020, 1, 1, 1, 30)),
        ("2020-01-01T00:30:00.125+14:00", datetime(2019, 12, 31, 11, 30, 0, 125_000)),
    ],
)
def test_a_time_becomes_the_hospitals_own_and_a_part_of_a_date_its_end(
    export, read, person, diagnosis, written, expected
) -> None:
    events, _ = read(export([person(), diagnosis(onsetDateTime=written)]))
    assert only(events, "condition")["time"] == expected


@pytest.mark.parametrize(
    "written",
    ["yesterday", "2020-13-01", "2020-02-30", "20200301", 20200301, "2020-03-01T25:00:00Z", "2020-03-01T10:00:00+99:00",
     "0001-01-01T00:00:00+14:00", ["2020-03-01"], "٢٠٢٠-03-01"],
)  # fmt: skip
def test_dates_as_nonsense_are_counted_and_give_no_event(export, read, person, diagnosis, written) -> None:
    folder = export([person(), diagnosis("c1", onsetDateTime=written), diagnosis("c2")])
    events, noticed = read(folder)
    assert events.filter(pl.col("table") == "condition").height == 1
    assert noticed.get("Condition: resources without a time, left out") == 1


def test_a_time_without_a_zone_is_counted_and_not_guessed(export, read, person, diagnosis) -> None:
    events, noticed = read(export([person(), diagnosis(onsetDateTime="2020-03-01T10:00:00")]))
    assert "condition" not in events["table"].to_list()
    assert noticed["Condition: times without an offset from UTC"] == 1


def test_the_hour_that_autumn_repeats_becomes_one(export, read, person, diagnosis) -> None:
    twice = [
        diagnosis("c1", onsetDateTime="2020-10-25T00:30:00Z"),
        diagnosis("c2", onsetDateTime="2020-10-25T01:30:00Z"),
    ]
    events, _ = read(export([person(), *twice]))
    times = events.filter(pl.col("table") == "condition")["time"].to_list()
    assert times == [datetime(2020, 10, 25, 2, 30)] * 2


def test_an_encounter_is_a_visit_with_a_number_that_others_name(export, read, person, diagnosis) -> None:
    stay = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2020-03-01T08:00:00+01:00", "end": "2020-03-05T12:00:00+01:00"},
    }
    folder = export([person(), stay, diagnosis(encounter={"reference": "Encounter/e1"})])
    events, noticed = read(folder)
    visit = only(events, "visit")
    assert (visit["code"], visit["source_code"]) == ("Visit/IP", "ActCode/IMP")
    assert (visit["time"], visit["end"]) == (datetime(2020, 3, 1, 8), datetime(2020, 3, 5, 12))
    assert visit["visit"] is not None and only(events, "condition")["visit"] == visit["visit"]
    assert noticed == {}


@pytest.mark.parametrize(
    ("code", "expected"),
    [("AMB", "Visit/OP"), ("EMER", "Visit/ER"), ("ACUTE", "Visit/IP"), ("NONAC", "Visit/IP"), ("HH", "ActCode/HH")],
)
def test_the_class_of_an_encounter_says_which_visit_it_is(export, read, person, code, expected) -> None:
    stay = {
        "resourceType": "Encounter",
        "id": "e1",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2020-03-01T08:00:00+01:00"},
    }
    assert only(read(export([person(), stay]))[0], "visit")["code"] == expected


def test_an_encounter_that_is_not_in_the_export_is_counted(export, read, person, diagnosis) -> None:
    _, noticed = read(export([person(), diagnosis(encounter={"reference": "Encounter/e9"})]))
    assert noticed == {"events of encounters that are not in the export or were left out": 1}


@pytest.mark.parametrize("verified", ["entered-in-error", "refuted"])
def test_what_was_no_diagnosis_is_left_out_and_counted(export, read, person, diagnosis, verified) -> None:
    system = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    events, noticed = read(export([person(), diagnosis(verificationStatus=concept(verified, system))]))
    assert "condition" not in events["table"].to_list()
    assert noticed == {f"Condition: resources that are {verified}, left out": 1}


def test_a_condition_without_onset_is_taken_from_its_record(export, read, person, diagnosis) -> None:
    folder = export([person(), diagnosis(onsetDateTime=None, recordedDate="2020-04-01T10:00:00+02:00")])
    events, noticed = read(folder)
    assert only(events, "condition")["time"] == datetime(2020, 4, 1, 10)
    assert noticed == {"Condition: conditions without an onset, taken from when they were recorded": 1}


def test_a_condition_ends_with_its_abatement(export, read, person, diagnosis) -> None:
    events, _ = read(export([person(), diagnosis(abatementDateTime="2020-05-01")]))
    assert only(events, "condition")["end"] == datetime(2020, 5, 1, 23, 59, 59)


def test_a_number_has_its_ucum_unit(export, read, person) -> None:
    held = quantity(1.4, unit="mg per dL") | {"code": "mg/dL"}
    events, noticed = read(export([person(), observed("o1", valueQuantity=held)]))
    row = only(events, "measurement")
    assert (row["code"], row["numeric_value"], row["unit"]) == ("LOINC/2160-0", 1.4, "mg/dL")
    assert noticed == {}


def test_a_unit_that_is_no_ucum_is_kept_as_its_text_and_source_yaml_may_name_it(export, read, person) -> None:
    folder = export([person(), observed("o1", valueQuantity={"value": 1.4, "unit": "MG/DL"})])
    assert only(read(folder)[0], "measurement")["unit"] == "MG/DL"
    assert only(read(folder, unit_names={"MG/DL": "mg/dL"})[0], "measurement")["unit"] == "mg/dL"


def test_a_number_without_a_unit_has_the_one_that_source_yaml_names(export, read, person) -> None:
    folder = export([person(), observed("o1", valueQuantity={"value": 1.4})])
    assert only(read(folder)[0], "measurement")["unit"] is None
    assert only(read(folder, units={"LOINC/2160-0": "mg/dL"})[0], "measurement")["unit"] == "mg/dL"


def test_a_code_map_gives_local_codes_their_standard(export, read, person) -> None:
    local = observed("o1", code=concept("KREA", "http://hospital.example/lab"), valueQuantity={"value": 80.0})
    folder = export([person(), local])
    (folder.parent / "lab.csv").write_text(
        "vocabulary,code,standard_vocabulary,standard_code,relation,mapped_by,mapped_on,from,unit\n"
        "hospital.example:lab,KREA,LOINC,14682-9,exact,Lab,2024-01-01,catalogue,umol/L\n"
    )
    row = only(read(folder, codes=("lab.csv",))[0], "measurement")
    assert (row["code"], row["source_code"]) == ("LOINC/14682-9", "hospital.example:lab/KREA")
    assert row["unit"] == "umol/L"


def test_components_are_events_of_their_own(export, read, person) -> None:
    pressure = observed(
        "o1",
        code=concept("85354-9", LOINC),
        component=[
            {"code": concept("8480-6", LOINC), "valueQuantity": quantity(121, "mm[Hg]")},
            {"code": concept("8462-4", LOINC), "valueQuantity": quantity(79, "mm[Hg]")},
        ],
    )
    events, noticed = read(export([person(), pressure]))
    held = events.filter(pl.col("table") == "measurement").select("code", "numeric_value", "unit").rows()
    assert held == [("LOINC/8480-6", 121.0, "mm[Hg]"), ("LOINC/8462-4", 79.0, "mm[Hg]")]
    assert noticed == {}


def test_a_coded_value_is_a_code(export, read, person) -> None:
    social = [concept("social-history", "http://terminology.hl7.org/CodeSystem/observation-category")]
    smoker = observed("o1", category=social, valueCodeableConcept=concept("8517006"))
    row = only(read(export([person(), smoker]))[0], "observation")
    assert (row["value_code"], row["numeric_value"]) == ("SNOMED/8517006", None)


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "registered"])
def test_an_observation_that_does_not_hold_is_left_out(export, read, person, status) -> None:
    events, noticed = read(export([person(), observed("o1", status=status, valueQuantity=quantity(1.0))]))
    assert "measurement" not in events["table"].to_list()
    assert noticed == {f"Observation: resources that are {status}, left out": 1}


def test_a_preliminary_observation_is_kept_and_counted(export, read, person) -> None:
    events, noticed = read(export([person(), observed("o1", status="preliminary", valueQuantity=quantity(1.0))]))
    assert only(events, "measurement")["numeric_value"] == 1.0
    assert noticed == {"Observation: resources that are preliminary, kept": 1}


def test_a_collection_over_a_day_is_known_at_its_end(export, read, person) -> None:
    urine = observed("o1", valueQuantity=quantity(900, "mL"))
    del urine["effectiveDateTime"]
    urine["effectivePeriod"] = {"start": "2020-01-15T08:00:00+01:00", "end": "2020-01-16T08:00:00+01:00"}
    assert only(read(export([person(), urine]))[0], "measurement")["time"] == datetime(2020, 1, 16, 8)


@pytest.mark.parametrize("value", ['"1.4"', "null", "true", '{"x": 1}', "1e999", "9" * 400])
def test_a_quantity_without_a_number_is_counted(export, read, person, value) -> None:
    text = json.dumps(observed("o1", valueQuantity={"value": 7, "unit": "mg/dL"})).replace("7,", value + ",")
    events, noticed = read(export([person()], Observation=text.encode()))
    assert only(events, "measurement")["numeric_value"] is None
    assert noticed == {"Observation: quantities without a number, kept without a value": 1}


def request(identity: str = "m1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2020-03-01T10:00:00+01:00",
        **more,
    }


RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


def test_a_medication_is_given_contained_or_referred_to(export, read, person) -> None:
    elsewhere = {"resourceType": "Medication", "id": "d1", "code": concept("314076", RXNORM)}
    inside = {"resourceType": "Medication", "id": "x", "code": concept("197361", RXNORM)}
    held = [
        request("m1", medicationCodeableConcept=concept("860975", RXNORM)),
        request("m2", medicationReference={"reference": "#x"}, contained=[inside]),
        request("m3", medicationReference={"reference": "Medication/d1"}),
        request("m4", medicationReference={"reference": "Medication/d9"}),
    ]
    events, noticed = read(export([person(), elsewhere, *held]))
    drugs = events.filter(pl.col("table") == "drug")["code"].to_list()
    assert drugs == ["RxNorm/860975", "RxNorm/197361", "RxNorm/314076"]
    assert noticed == {"MedicationRequest: requests of a medication that is not in the export, left out": 1}


@pytest.mark.parametrize("more", [{"intent": "proposal"}, {"intent": "plan"}, {"doNotPerform": True}])
def test_what_was_never_ordered_is_no_drug(export, read, person, more) -> None:
    events, noticed = read(export([person(), request(medicationCodeableConcept=concept("860975", RXNORM), **more)]))
    assert "drug" not in events["table"].to_list()
    assert noticed == {"MedicationRequest: requests that are no orders, left out": 1}


def test_a_procedure_has_start_and_end_and_what_was_not_done_is_none(export, read, person) -> None:
    done = {
        "resourceType": "Procedure",
        "id": "x1",
        "status": "completed",
        "code": concept("265764009"),
        "subject": {"reference": "Patient/p1"},
        "performedPeriod": {"start": "2020-03-01T10:00:00+01:00", "end": "2020-03-01T14:00:00+01:00"},
    }
    events, noticed = read(export([person(), done, done | {"id": "x2", "status": "not-done"}]))
    row = only(events, "procedure")
    assert (row["time"], row["end"]) == (datetime(2020, 3, 1, 10), datetime(2020, 3, 1, 14))
    assert noticed == {"Procedure: resources that are not-done, left out": 1}


@pytest.mark.parametrize(
    "subject",
    ["Patient/p1", "https://server.example/fhir/Patient/p1", "Patient/p1/_history/3", "urn:uuid:p1"],
)
def test_every_form_of_reference_finds_its_person(export, read, person, diagnosis, subject) -> None:
    events, noticed = read(export([person(), diagnosis(subject=subject)]))
    row = only(events, "condition")
    assert row["subject_id"] == events.filter(pl.col("code") == "MEDS_BIRTH")["subject_id"][0]
    assert noticed == {}


@pytest.mark.parametrize("subject", ["Patient/p9", "Group/p1", "Patient?identifier=mrn|7", "p1", "", "Patient/"])
def test_a_reference_to_nobody_is_counted(export, read, person, diagnosis, subject) -> None:
    events, noticed = read(export([person(), diagnosis(subject=subject)]))
    assert "condition" not in events["table"].to_list()
    assert sum(noticed.values()) == 1


def test_of_two_codings_the_standard_one_is_the_code_and_the_other_is_as_recorded(
    export, read, person, diagnosis
) -> None:
    both = {
        "coding": [
            {"system": "http://fhir.de/CodeSystem/bfarm/icd-10-gm", "code": "I10.90"},
            {"system": "http://snomed.info/sct", "code": "38341003"},
        ]
    }
    row = only(read(export([person(), diagnosis(code=both)]))[0], "condition")
    assert (row["code"], row["source_code"]) == ("SNOMED/38341003", "ICD10GM/I10.90")


def test_codings_beyond_two_are_counted(export, read, person, diagnosis) -> None:
    systems = ("http://hospital.example/a", "urn:oid:2.16.840.1.113883.6.96", "http://hl7.org/fhir/sid/icd-10")
    many = {"coding": [{"system": system, "code": "7", "userSelected": "a" in system[-1:]} for system in systems]}
    events, noticed = read(export([person(), diagnosis(code=many)]))
    row = only(events, "condition")
    assert (row["code"], row["source_code"]) == ("SNOMED/7", "hospital.example:a/7")
    assert noticed == {"Condition: codings beyond a standard and a recorded one": 1}


def test_a_concept_of_text_alone_is_counted(export, read, person, diagnosis) -> None:
    _, noticed = read(export([person(), diagnosis(code={"text": "CANARY"})]))
    assert noticed == {"Condition: resources without any code, left out": 1}


def test_a_person_keeps_the_number_when_others_come_or_go(export, read, person) -> None:
    first, _ = read(export([person("p1")]))
    later, _ = read(export([person("p0"), person("p1"), person("p2")]))
    assert first["subject_id"][0] in later["subject_id"].to_list()

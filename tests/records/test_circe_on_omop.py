"""Random Circe definitions on a real CDM: the imported study keeps whom Circe's own rules keep, read date by date."""

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from made_circe import concept, concept_set, group, included, linked
from wardgate.hospital.ward.cohort.from_events.asked import Asked
from wardgate.hospital.ward.cohort.from_events.entries import chosen, judged
from wardgate.hospital.ward.cohort.from_events.survey import survey
from wardgate.hospital.ward.source.events import EventSource
from wardgate.hospital.ward.source.omop.opened import opened_omop
from wardgate.records.circe import Imported, read_circe
from wardgate.records.errors import Invalid
from wardgate.records.source_file import SourceFile
from wardgate.records.study import Study

TABLES = {
    "ConditionOccurrence": ("CONDITION_OCCURRENCE", "condition_concept_id", "condition_start_date"),
    "DrugExposure": ("DRUG_EXPOSURE", "drug_concept_id", "drug_exposure_start_date"),
    "ProcedureOccurrence": ("PROCEDURE_OCCURRENCE", "procedure_concept_id", "procedure_date"),
    "Measurement": ("MEASUREMENT", "measurement_concept_id", "measurement_date"),
    "VisitOccurrence": ("VISIT_OCCURRENCE", "visit_concept_id", "visit_start_date"),
    "VisitDetail": ("VISIT_DETAIL", "visit_detail_concept_id", "visit_detail_start_date"),
}
SETS = {
    0: ("ConditionOccurrence", (40481087, 4112343, 260139)),
    1: ("DrugExposure", (19078106, 40169216, 1539463)),
    2: ("ProcedureOccurrence", (46272459, 4326177, 4107731)),
    3: ("Measurement", (3004249,)),
    4: ("VisitOccurrence", (9202,)),
}
PRESSURE = {"CONCEPT_ID": 8876, "CONCEPT_CODE": "mm[Hg]", "VOCABULARY_ID": "UCUM", "CONCEPT_NAME": "mmHg"}
MALE = {"CONCEPT_ID": 8507, "CONCEPT_NAME": "MALE", "CONCEPT_CODE": "M", "VOCABULARY_ID": "Gender"}


class Plain:
    """The CDM as Circe reads it: events by person and concept set, with dates alone."""

    def __init__(self, folder: Path) -> None:
        self.events: dict[tuple[int, int], list[tuple[date, float | None]]] = defaultdict(list)
        also = [(4, ("VisitDetail", SETS[4][1]))]  # the difference that the import notes
        for number, (kind, concepts) in [*SETS.items(), *also]:
            table, code, day = TABLES[kind]
            for row in self.rows(folder, table):
                if int(row[code]) in concepts:
                    value = row.get("value_as_number")
                    held = (date.fromisoformat(row[day]), float(value) if value else None)
                    self.events[number, int(row["person_id"])].append(held)
        self.persons = {int(row["person_id"]): row for row in self.rows(folder, "PERSON")}
        self.periods = defaultdict(list)
        for row in self.rows(folder, "OBSERVATION_PERIOD"):
            ends = (row["observation_period_start_date"], row["observation_period_end_date"])
            self.periods[int(row["person_id"])].append(tuple(date.fromisoformat(end) for end in ends))

    @staticmethod
    def rows(folder: Path, table: str) -> list[dict[str, str]]:
        with (folder / "synthea_omop" / f"{table}.csv").open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    def entries(self, person: int, given: dict[str, Any]) -> list[date]:
        """Days on which a person enters, after Circe's three limits."""
        primary = given["PrimaryCriteria"]
        (kind, held) = next(iter(primary["CriteriaList"][0].items()))
        events = sorted(self.events[held["CodesetId"], person])
        assert kind == SETS[held["CodesetId"]][0]
        events = events[:1] if held.get("First") else events
        window = primary["ObservationWindow"]
        days = [
            day
            for day, value in events
            if self.of_person(person, day, held)
            and ("ValueAsNumber" not in held or (value is not None and value >= held["ValueAsNumber"]["Value"]))
            and any(
                (day - first).days >= window["PriorDays"] and (last - day).days >= window["PostDays"]
                for first, last in self.periods[person]
            )
        ]
        days = self.limited(days, primary["PrimaryCriteriaLimit"])
        if given.get("AdditionalCriteria"):
            days = [day for day in days if self.holds(person, day, given["AdditionalCriteria"])]
            days = self.limited(days, given["QualifiedLimit"])
        for rule in given["InclusionRules"]:
            days = [day for day in days if self.holds(person, day, rule["expression"])]
        return sorted(set(self.limited(days, given["ExpressionLimit"])))

    @staticmethod
    def limited(days: list[date], limit: dict[str, str]) -> list[date]:
        return days[:1] if limit["Type"] == "First" else days

    def of_person(self, person: int, day: date, held: dict[str, Any]) -> bool:
        row = self.persons[person]
        age = day.year - int(row["year_of_birth"])
        if (day.month, day.day) < (int(row["month_of_birth"]), int(row["day_of_birth"])):
            age -= 1  # completed years: the difference that the import notes
        right_age = "Age" not in held or age >= held["Age"]["Value"]
        return right_age and ("Gender" not in held or row["gender_concept_id"] == "8507")

    def holds(self, person: int, day: date, given: dict[str, Any]) -> bool:
        met = [self.linked(person, day, one) for one in given["CriteriaList"]]
        met += [self.of_person(person, day, one) for one in given["DemographicCriteriaList"]]
        met += [self.holds(person, day, one) for one in given["Groups"]]
        kind = given["Type"]
        if kind == "ALL":
            return all(met)
        if kind == "ANY":
            return any(met)
        return sum(met) >= given["Count"] if kind == "AT_LEAST" else sum(met) <= given["Count"]

    def linked(self, person: int, day: date, one: dict[str, Any]) -> bool:
        held = next(iter(one["Criteria"].values()))
        events = sorted(self.events[held["CodesetId"], person])
        events = events[:1] if held.get("First") else events
        start, end = (one["StartWindow"][side] for side in ("Start", "End"))
        first, last = ((end["Coeff"] * end["Days"]) if "Days" in end else -(10**6) for end in (start, end))
        count = sum(first <= (at - day).days <= last for at, _ in events)
        return (
            count == one["Occurrence"]["Count"],
            count <= one["Occurrence"]["Count"],
            count >= one["Occurrence"]["Count"],
        )[one["Occurrence"]["Type"]]


def sets() -> list[dict[str, Any]]:
    names = ("Illness", "Drug", "Procedure", "Systolic pressure", "Office visit")
    return [
        concept_set(number, names[number], *({"concept": concept(one, "x")} for one in concepts))
        for number, (_, concepts) in SETS.items()
    ]


def rules(rng: Random, *, depth: int = 0) -> dict[str, Any]:
    """A random group of what happened on earlier days."""
    listed = []
    for _ in range(rng.randint(1, 2)):
        number = rng.choice(list(SETS))
        start, end = rng.choice([(None, 1), (30, 1), (365, 1), (365, 30), (None, 100)])
        occurrence = rng.choice([(2, 1), (2, 1), (2, 2), (0, 0), (1, 2), (0, 1)])
        attributes = {"First": True} if rng.random() < 0.2 else {}
        listed.append(linked(SETS[number][0], number, start, end, occurrence=occurrence, attributes=attributes))
    kind = rng.choice(["ALL", "ANY", "AT_LEAST", "AT_MOST"])
    groups = (rules(rng, depth=depth + 1),) if depth < 1 and rng.random() < 0.4 else ()
    persons = ({"Gender": [MALE]},) if rng.random() < 0.2 else ()
    more = {"Count": rng.randint(0, 2)} if kind.startswith("AT_") else {}
    return group(kind, *listed, groups=groups, persons=persons, **more)


def random_definition(rng: Random) -> dict[str, Any]:
    number = rng.choice([0, 1, 3, 4])
    held: dict[str, Any] = {"CodesetId": number}
    if rng.random() < 0.3:
        held["First"] = True
    if rng.random() < 0.3:
        held["Age"] = {"Value": rng.choice([5, 18, 40]), "Op": "gte"}
    if rng.random() < 0.15:
        held["Gender"] = [MALE]
    if number == 3 and rng.random() < 0.6:
        held |= {"ValueAsNumber": {"Value": 120, "Op": "gte"}, "Unit": [PRESSURE]}
    limits = {name: {"Type": rng.choice(["First", "All"])} for name in ("Primary", "QualifiedLimit", "ExpressionLimit")}
    definition = {
        "ConceptSets": sets(),
        "PrimaryCriteria": {
            "CriteriaList": [{SETS[number][0]: held}],
            "ObservationWindow": {"PriorDays": rng.choice([0, 30, 365]), "PostDays": rng.choice([0, 0, 30])},
            "PrimaryCriteriaLimit": limits.pop("Primary"),
        },
        **limits,
        "InclusionRules": included(*((f"rule {at}", rules(rng)) for at in range(rng.randint(0, 2)))),
        "EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": 0}},
    }
    return definition | ({"AdditionalCriteria": rules(rng)} if rng.random() < 0.3 else {})


def study(imported: Imported) -> Study:
    return Study.model_validate(
        {
            "schema": "wardgate/study/1",
            "id": "imported",
            "version": 1,
            "title": "An imported definition",
            "question": "Who enters?",
            "concept_sets": {name: one.model_dump() for name, one in imported.concept_sets.items()},
            "cohort": {"entry": "imported", "entries": imported.entries, "events": imported.entry.model_dump()},
            "index_date": "the entry",
            "label": {
                "name": "dead",
                "meaning": "death within 30 days",
                "window_days": [0, 30],
                "events": {"concepts": ["death"], "follow_up": "assumed"},
            },
            "features": [
                {"name": "age", "type": "integer", "unit": "a", "range": [0, 120], "built_in": "age"},
            ],
            "acceptance": {"auroc_min": 0.5, "worst_site_auroc_min": 0.5},
            "sites": ["a"],
        }
    )


@pytest.fixture(scope="module")
def plain(data_folder: Path) -> Plain:
    return Plain(data_folder)


@pytest.fixture(scope="module")
def source(data_folder: Path) -> Iterator[EventSource]:
    with opened_omop(data_folder, SourceFile(kind="omop", place="synthea_omop"), threads=1) as opened:
        yield opened


def sayable(rng: Random) -> tuple[dict[str, Any], Imported]:
    """The next definition that a study can say, and what it says."""
    while True:
        given = random_definition(rng)
        try:
            return given, read_circe(json.dumps(given), name="random.json")
        except Invalid:
            continue


@pytest.mark.parametrize("definitions", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_an_import_keeps_whom_circe_keeps(plain: Plain, source: EventSource, definitions: int) -> None:
    rng, kept = Random(7), 0
    for _ in range(definitions):
        given, imported = sayable(rng)
        wanted = {(person, day) for person in plain.persons for day in plain.entries(person, given)}
        asked, asks = Asked(source=source), study(imported)
        rows = asked.run(chosen(judged(asked, asks, survey(asked, asks)), asks).select("subject_id", "start"))
        found = set(zip(rows["subject_id"], rows["start"].dt.date(), strict=True))
        if imported.entries == "first-eligible":
            assert rows["subject_id"].is_unique().all()
        assert found == wanted, json.dumps(given)
        kept += len(wanted)
    assert kept > 10 * definitions

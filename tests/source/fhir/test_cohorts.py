"""A study of events on the real export: the cohort is what the files say, read line by line in plain Python."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from made_circe import concept, concept_set, definition, group, included, linked, primary
from wardgate.hospital.ward.cohort.from_events.asked import Asked
from wardgate.hospital.ward.cohort.from_events.build import build
from wardgate.hospital.ward.cohort.from_events.entries import chosen, judged
from wardgate.hospital.ward.cohort.from_events.survey import survey
from wardgate.hospital.ward.source.events import EventSource
from wardgate.hospital.ward.source.fhir.held import number_of
from wardgate.hospital.ward.source.fhir.opened import opened_fhir
from wardgate.records.circe import Imported, read_circe
from wardgate.records.concepts import Concept, ConceptSet
from wardgate.records.source_file import SourceFile
from wardgate.records.study import Study

ZONE = "America/Chicago"
DIALYSIS, ASSESSMENT, SINUSITIS = "265764009", "710824005", "444814009"
OFFICE = "OP"
DRUGS = ("205923", "314076", "583214", "1736854", "860975", "106892", "314231", "310798")


def lines(folder: Path, kind: str) -> list[dict]:
    text = (folder / "synthea_fhir" / f"{kind}.000.ndjson").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(ZoneInfo(ZONE)).replace(tzinfo=None)


def person(resource: dict) -> int:
    return number_of("Patient", resource["subject"]["reference"].removeprefix("Patient/"))


@pytest.fixture(scope="module")
def source(data_folder: Path) -> Iterator[EventSource]:
    settings = SourceFile(kind="fhir", place="synthea_fhir", timezone=ZONE)
    with opened_fhir(data_folder, settings, threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def imported() -> Imported:
    """A visit outside hospital of an adult, with one of eight drugs ordered in the 90 days of the calendar before."""
    visit = concept_set(0, "Outpatient visit", {"concept": concept(9202, "Outpatient Visit", OFFICE, "Visit")})
    drug = concept_set(
        1, "Drugs", *({"concept": concept(at, "a drug", code, "RxNorm")} for at, code in enumerate(DRUGS, 1))
    )
    rules = included(
        ("adult", group("ALL", persons=({"Age": {"Value": 18, "Op": "gte"}},))),
        ("treated", group("ALL", linked("DrugExposure", 1, 90, 1))),
    )
    given = definition(
        ConceptSets=[visit, drug],
        PrimaryCriteria=primary({"VisitOccurrence": {"CodesetId": 0}}),
        ExpressionLimit={"Type": "First"},
        InclusionRules=rules,
    )
    return read_circe(json.dumps(given), name="treated.json", by="code")


def study(imported: Imported) -> Study:
    sets = imported.concept_sets | {
        name: ConceptSet(concepts=(Concept(vocabulary="SNOMED", code=code),))
        for name, code in (("dialysis", DIALYSIS), ("assessment", ASSESSMENT), ("sinusitis", SINUSITIS))
    }
    return Study.model_validate(
        {
            "schema": "wardgate/study/1",
            "id": "treated",
            "version": 1,
            "title": "Treated adults",
            "question": "Is somebody assessed within a year?",
            "concept_sets": {name: one.model_dump() for name, one in sets.items()},
            "cohort": {
                "entry": imported.name,
                "entries": imported.entries,
                "events": imported.entry.model_dump(),
            },
            "index_date": "start of the visit",
            "label": {
                "name": "assessed",
                "meaning": "assessed within a year",
                "window_days": [0, 365],
                "events": {"concepts": ["assessment"], "follow_up": "assumed"},
            },
            "features": [
                {"name": "age", "type": "integer", "unit": "a", "range": [0, 120], "built_in": "age"},
                {
                    "name": "dialyses",
                    "type": "integer",
                    "unit": "1",
                    "range": [0, 1000],
                    "concepts": "dialysis",
                    "aggregation": "count",
                    "window_hours": [-8760, 0],
                },
                {
                    "name": "sinusitis",
                    "type": "boolean",
                    "concepts": "sinusitis",
                    "aggregation": "any",
                    "window_hours": [-87600, 0],
                },
            ],
            "acceptance": {"auroc_min": 0.5, "worst_site_auroc_min": 0.5},
            "sites": ["a"],
        }
    )


def expected(folder: Path) -> list[tuple]:
    """The same in plain Python: person, age, dialyses in the year before, sinusitis ever before, assessed after."""
    births = {
        number_of("Patient", one["id"]): datetime.fromisoformat(one["birthDate"]) for one in lines(folder, "Patient")
    }
    orders, done, sick = defaultdict(list), defaultdict(list), defaultdict(list)
    for one in lines(folder, "MedicationRequest"):
        if one["medicationCodeableConcept"]["coding"][0]["code"] in DRUGS:
            orders[person(one)].append(local(one["authoredOn"]))
    for one in lines(folder, "Procedure"):
        done[person(one), one["code"]["coding"][0]["code"]].append(local(one["performedPeriod"]["start"]))
    for one in lines(folder, "Condition"):
        if one["code"]["coding"][0]["code"] == SINUSITIS:
            sick[person(one)].append(local(one["onsetDateTime"]))
    rows = {}
    for one in sorted(lines(folder, "Encounter"), key=lambda one: local(one["period"]["start"])):
        who, start = person(one), local(one["period"]["start"])
        born = births[who]
        age = start.year - born.year - ((start.month, start.day) < (born.month, born.day))
        days = [(start.date() - at.date()).days for at in orders[who]]
        if who in rows or one["class"]["code"] != "AMB" or age < 18 or not any(1 <= day <= 90 for day in days):
            continue
        year = timedelta(days=365)
        rows[who] = (
            str(who),
            float(age),
            float(sum(start - year <= at <= start for at in done[who, DIALYSIS])),
            float(any(start - 10 * year <= at <= start for at in sick[who])),
            int(any(start < at <= start + year for at in done[who, ASSESSMENT])),
        )
    return sorted(rows.values())


def test_the_cohort_of_an_imported_definition_is_what_the_files_say(
    source: EventSource, imported: Imported, data_folder: Path
) -> None:
    cohort = build(source, study(imported))
    found = cohort.table.select("person", "age", "dialyses", "sinusitis", "label").rows()
    wanted = expected(data_folder)
    assert found == wanted
    assert len(wanted) >= 4


ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


def test_an_imported_window_counts_days_of_the_calendar(export, open_export, person) -> None:
    """The day before is the whole day before: at 23 h of it, nine hours earlier, but not at 7 h of the entry's own."""
    held: list[dict] = []
    for name, ordered in (("before", "2020-03-01T23:00:00Z"), ("same", "2020-03-02T07:00:00Z")):
        subject = {"reference": f"Patient/{name}"}
        held += [
            person(name),
            {
                "resourceType": "Encounter",
                "id": name,
                "subject": subject,
                "class": {"system": ACT, "code": "AMB"},
                "period": {"start": "2020-03-02T08:00:00Z"},
            },
            {
                "resourceType": "MedicationRequest",
                "id": name,
                "intent": "order",
                "subject": subject,
                "authoredOn": ordered,
                "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": DRUGS[0]}]},
            },
        ]
    visit = concept_set(0, "Visit", {"concept": concept(9202, "Outpatient Visit", OFFICE, "Visit")})
    drug = concept_set(1, "Drug", {"concept": concept(1, "a drug", DRUGS[0], "RxNorm")})
    given = definition(
        ConceptSets=[visit, drug],
        PrimaryCriteria=primary({"VisitOccurrence": {"CodesetId": 0}}),
        InclusionRules=included(("the day before", group("ALL", linked("DrugExposure", 1, 1, 1)))),
    )
    asks = study(read_circe(json.dumps(given), name="day-before.json", by="code"))
    with open_export(export(held), "UTC") as source:
        asked = Asked(source=source)
        rows = asked.run(chosen(judged(asked, asks, survey(asked, asks)), asks).select("subject_id"))
    assert rows["subject_id"].to_list() == [number_of("Patient", "before")]

"""The real export: every resource counted, every person found, and concept sets that meet what the files hold."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from wardgate.hospital.ward.source.events import EVERY, EventSource, Pick
from wardgate.hospital.ward.source.fhir.opened import opened_fhir
from wardgate.records.concepts import Concept
from wardgate.records.source_file import SourceFile

HYPERTENSION = "59621000"


@pytest.fixture(scope="module")
def source(data_folder: Path) -> Iterator[EventSource]:
    settings = SourceFile(kind="fhir", place="synthea_fhir", timezone="America/Chicago")
    with opened_fhir(data_folder, settings, threads=1) as opened:
        yield opened


def lines(folder: Path, kind: str) -> list[dict]:
    text = (folder / "synthea_fhir" / f"{kind}.000.ndjson").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_every_resource_is_an_event(source: EventSource) -> None:
    events = pl.concat(source.engine.batches(source.every()))
    assert dict(events.schema) == dict(events.select(list(EVERY)).schema)
    counts = dict(events.group_by("table").len().rows())
    assert counts == {None: 26, "death": 3, "visit": 1215, "condition": 555, "drug": 1745, "procedure": 2056}
    assert all(one.harm == "odd" for one in source.noticed())
    source.check_unchanged()


def test_persons_are_those_of_the_export(source: EventSource, data_folder: Path) -> None:
    persons = pl.concat(source.engine.batches(source.persons()))
    held = lines(data_folder, "Patient")
    assert persons.height == len(held) == 13
    assert sorted(persons["birth"].dt.strftime("%Y-%m-%d")) == sorted(one["birthDate"] for one in held)
    assert persons["death"].is_not_null().sum() == sum("deceasedDateTime" in one for one in held)


def test_a_concept_set_meets_what_the_files_hold(source: EventSource, data_folder: Path) -> None:
    held = [one for one in lines(data_folder, "Condition") if one["code"]["coding"][0]["code"] == HYPERTENSION]
    pick = Pick(name="hypertension", concepts=(Concept(vocabulary="SNOMED", code=HYPERTENSION),), table="condition")
    picked = pl.concat(source.engine.batches(source.picked([pick])))
    assert picked.height == len(held) > 0
    assert picked["subject_id"].n_unique() == len({one["subject"]["reference"] for one in held})
    assert source.codes([pick]) == {"hypertension": 1}
    lasting = sum("abatementDateTime" not in one for one in held)
    assert picked["end"].is_null().sum() == lasting

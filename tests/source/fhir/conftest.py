"""Small hand-made exports, and a way to read all their events."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from wardgate.hospital.ward.source.events import EventSource
from wardgate.hospital.ward.source.fhir.opened import opened_fhir
from wardgate.records.source_file import SourceFile

Resource = dict[str, Any]
Export = Callable[..., Path]
Read = Callable[..., tuple[pl.DataFrame, dict[str, int]]]

SNOMED = "http://snomed.info/sct"


def concept(code: str, system: str = SNOMED) -> Resource:
    """A CodeableConcept with one coding."""
    return {"coding": [{"system": system, "code": code}]}


def person(identity: str = "p1", **more: Any) -> Resource:
    """A Patient."""
    return {"resourceType": "Patient", "id": identity, "gender": "female", "birthDate": "1950-06-01", **more}


def about(kind: str, identity: str, *, subject: str = "Patient/p1", **more: Any) -> Resource:
    """A resource about a person; `without=` leaves fields out."""
    return {"resourceType": kind, "id": identity, "subject": {"reference": subject}, **more}


def diagnosis(identity: str = "c1", *, subject: str = "Patient/p1", **more: Any) -> Resource:
    """A Condition with code and onset."""
    held = {"code": concept("38341003"), "onsetDateTime": "2020-03-01T10:00:00+01:00", **more}
    return about("Condition", identity, subject=subject, **{key: value for key, value in held.items() if value})


@pytest.fixture(name="person")
def _person() -> Callable[..., Resource]:
    return person


@pytest.fixture(name="diagnosis")
def _diagnosis() -> Callable[..., Resource]:
    return diagnosis


@pytest.fixture(name="open_export")
def _open_export() -> Callable[..., Any]:
    return open_export


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Write an export: resources as one line each, text and bytes as they are."""

    def write(resources: Sequence[Resource] = (), **files: bytes | Sequence[Resource]) -> Path:
        by_type: dict[str, list[Resource]] = {}
        for resource in resources:
            by_type.setdefault(resource["resourceType"], []).append(resource)
        given: dict[str, bytes | Sequence[Resource]] = {**by_type, **files}
        folder = tmp_path / "export"
        folder.mkdir(exist_ok=True)
        for name, held in given.items():
            raw = held if isinstance(held, bytes) else b"".join(json.dumps(one).encode() + b"\n" for one in held)
            (folder / f"{name}.ndjson").write_bytes(raw)
        return folder

    return write


@contextmanager
def open_export(folder: Path, timezone: str | None = "Europe/Vienna", **more: Any) -> Iterator[EventSource]:
    """Open a folder as an export."""
    settings = SourceFile(kind="fhir", place=folder.name, timezone=timezone, **more)
    with opened_fhir(folder.parent, settings, threads=1) as source:
        yield source


@pytest.fixture
def read() -> Read:
    """Read all events of a folder, and what was noticed."""

    def run(folder: Path, timezone: str | None = "Europe/Vienna", **more: Any) -> tuple[pl.DataFrame, dict[str, int]]:
        with open_export(folder, timezone, **more) as source:
            events = pl.concat([*source.engine.batches(source.every())] or [pl.DataFrame()])
            return events, {one.what: one.count for one in source.noticed()}

    return run

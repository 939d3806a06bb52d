"""OMOP records written as MEDS answer a study as the OMOP records do, row for row."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.conftest import PostgresServer
from tests.source.omop.conftest import as_postgres

from wardgate.hospital.ward.cohort.profile import profile
from wardgate.hospital.ward.source.events import EventSource, Pick
from wardgate.hospital.ward.source.meds.opened import opened_meds
from wardgate.hospital.ward.source.meds.written import write_meds
from wardgate.hospital.ward.source.omop.opened import opened_omop
from wardgate.records.concepts import Concept
from wardgate.records.source_file import SourceFile
from wardgate.records.study_file import parse
from wardgate.simulate.records.hospitals import build


def read(source: EventSource, expression: Any) -> pl.DataFrame:
    """All rows of an expression, in one order."""
    frames = [*source.engine.batches(expression)]
    return pl.concat(frames).sort(pl.all()) if frames else pl.DataFrame()


def answers(source: EventSource, picks: list[Pick]) -> dict[str, pl.DataFrame]:
    """All that a cohort asks of a source."""
    asked = {"picked": source.picked(picks), "persons": source.persons(), "periods": source.periods()}
    return {name: read(source, expression) for name, expression in (asked | {"every": source.every()}).items()}


def same(omop: EventSource, picks: list[Pick], target: Path, *, profiles: bool) -> dict[str, pl.DataFrame]:
    """Write a source, open what was written, and compare."""
    write_meds(omop, target, name="a test", codes=omop.code_table(), events_a_shard=5_000)
    expected, told = answers(omop, picks), profile(omop) if profiles else None
    with opened_meds(target.parent, SourceFile(kind="meds", place=target.name), threads=1) as meds:
        found = answers(meds, picks)
        for name, table in expected.items():
            assert found[name].equals(table, null_equal=True), f"{name} differs"
        again = profile(meds) if profiles else None
    if told is not None and again is not None:
        unnamed = {"source": "", "kind": "", "remarks": ()}
        assert replace(again, **unnamed) == replace(told, **unnamed)
    return expected


def test_a_study_gets_the_same_events_from_omop_and_from_meds(tmp_path: Path, root: Path) -> None:
    study = parse((root / "examples" / "omop" / "study.yaml").read_text(encoding="utf-8"), name="study.yaml")
    picks = [Pick(name=name, concepts=one.concepts) for name, one in (study.concept_sets or {}).items()]
    picks.append(Pick(name="death", concepts=()))
    home = next(iter(build(tmp_path / "sites", seed=5, persons=60).values()))
    settings = SourceFile(kind="omop", place="cdm" if (home / "cdm").is_dir() else ".")
    with opened_omop(home, settings, threads=1) as omop:
        expected = same(omop, picks, tmp_path / "meds", profiles=False)
    assert expected["picked"]["pick"].n_unique() > 15


@pytest.mark.data
@pytest.mark.slow
def test_a_real_cdm_is_the_same_as_meds(tmp_path: Path, data_folder: Path) -> None:
    picks = [
        Pick(name="id", concepts=(Concept(concept_id=3004249), Concept(concept_id=3012888))),
        Pick(name="named", concepts=(Concept(vocabulary="LOINC", code="8480-6"),)),
        Pick(name="sex", concepts=(Concept(vocabulary="Gender", code="F"),)),
        Pick(name="stays", concepts=(Concept(concept_id=9201), Concept(concept_id=9202)), table="visit"),
        Pick(name="recorded", concepts=(Concept(vocabulary="SNOMED", code="44", source=True, descendants=True),)),
        Pick(name="death", concepts=()),
    ]
    with opened_omop(data_folder / "synthea_omop", SourceFile(kind="omop"), threads=1) as omop:
        expected = same(omop, picks, tmp_path / "meds", profiles=True)
    assert set(expected["picked"]["pick"].to_list()) >= {0, 1, 2, 3, 5}


@pytest.mark.data
@pytest.mark.slow
def test_postgres_and_files_give_one_profile_and_one_dataset(
    tmp_path: Path, data_folder: Path, postgres_server: PostgresServer
) -> None:
    folder = data_folder / "synthea_omop"
    settings = as_postgres(folder, postgres_server.socket, "profiled")
    made, profiles = [], []
    for name, given in (("files", SourceFile(kind="omop")), ("postgres", settings)):
        with opened_omop(folder, given, threads=1) as omop:
            write_meds(omop, tmp_path / name, name="a test", codes=omop.code_table())
            profiles.append(replace(profile(omop), source="", remarks=()))
        made.append(sorted((tmp_path / name).rglob("*.*")))
    assert profiles[0] == profiles[1]
    for one, other in zip(*made, strict=True):
        assert one.relative_to(tmp_path / "files") == other.relative_to(tmp_path / "postgres")
        assert one.read_bytes() == other.read_bytes()

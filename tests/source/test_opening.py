"""What a place holds is said by its source file, else seen from its files; a hospital's own codes are mapped."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from wardgate.hospital.ward.source.events import Pick
from wardgate.hospital.ward.source.opening import opened, place_of
from wardgate.records.concepts import Concept
from wardgate.records.errors import Invalid
from wardgate.records.source_file import SourceFile
from wardgate.simulate.records.course import Site
from wardgate.simulate.records.hospitals import write_hospital
from wardgate.simulate.records.tables import records

SITE = Site(id="northport")
MAP = """\
vocabulary,code,unit,standard_vocabulary,standard_code,relation,mapped_by,mapped_on,from
LOINC,2160-0,,LAB,crea,exact,Jo,2026-01-01,the laboratory's list
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "northport"
    write_hospital(folder, records(60, np.random.default_rng(1), site=SITE), site=SITE)
    return folder


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("PERSON.csv", "concept.csv"), "omop"),
        (("person.csv.gz",), "omop"),
        (("person/0.parquet",), "omop"),
        (("hospital.duckdb",), "omop"),
        (("metadata/dataset.json", "data/0.parquet"), "meds"),
        (("Patient.000.ndjson",), "fhir"),
        (("Patient.ndjson.gz",), "fhir"),
    ],
    ids=lambda given: given if isinstance(given, str) else given[0].replace("/", "-"),
)
def test_the_kind_is_seen_from_the_files(names: tuple[str, ...], kind: str, tmp_path: Path) -> None:
    settings = place_of(str(touched(tmp_path, *names))).settings
    assert settings is not None
    assert settings.kind == kind


def test_a_folder_with_a_mapping_is_one_table(tmp_path: Path) -> None:
    assert place_of(str(touched(tmp_path, "mapping.yaml"))).settings is None


def test_what_the_source_file_says_counts(home: Path, tmp_path: Path) -> None:
    touched(tmp_path, "person.csv")
    (tmp_path / "source.yaml").write_text("schema: wardgate/source/1\nkind: fhir\n", encoding="utf-8")
    settings = place_of(str(tmp_path)).settings
    assert settings is not None
    assert settings.kind == "fhir"


def test_a_database_is_named_by_its_socket() -> None:
    settings = place_of("postgresql://ward@/cdm?host=/run/postgresql&schema=omop&port=5433").settings
    assert settings is not None and settings.postgres is not None
    assert settings.postgres.plain() == {
        "socket": "/run/postgresql",
        "database": "cdm",
        "user": "ward",
        "port": 5433,
        "tables": "omop",
    }


@pytest.mark.parametrize(
    "where",
    [
        "postgresql://ward:secret@/cdm?host=/run/postgresql",
        "postgresql://db.example.org/cdm?host=/run/postgresql",
        "postgresql:///cdm",
        "postgresql:///cdm?host=localhost",
        "postgresql:///cdm?host=%2Frun",
        "postgresql:///cdm?host=/run&port=many",
    ],
)
def test_a_database_over_a_network_or_with_a_password_is_refused(where: str) -> None:
    with pytest.raises(Invalid, match="only a Unix socket of this machine"):
        place_of(where)


def test_a_folder_of_nothing_that_is_known_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="that says what is there"):
        place_of(str(touched(tmp_path, "notes.txt")))


def test_a_source_file_that_is_wrong_is_told_by_line(tmp_path: Path) -> None:
    (tmp_path / "source.yaml").write_text("schema: wardgate/source/1\nkind: hl7\n", encoding="utf-8")
    with pytest.raises(Invalid, match=r"source.yaml:2: kind: found .*hl7"):
        place_of(str(tmp_path))


def test_a_hospital_s_own_codes_are_mapped_in_omop_too(home: Path) -> None:
    (home / "codes.csv").write_text(MAP, encoding="utf-8")
    plain = SourceFile(kind="omop", place="cdm")
    mapped = SourceFile(kind="omop", place="cdm", codes=("codes.csv",))

    def events(settings: SourceFile, vocabulary: str, code: str) -> pl.DataFrame:
        pick = Pick(name="creatinine", concepts=(Concept(vocabulary=vocabulary, code=code),))
        with opened(home, settings) as source:
            parts = list(source.engine.batches(source.picked([pick])))
        return pl.concat(parts).sort("subject_id", "time", "value")

    before = events(plain, "LOINC", "2160-0")
    assert before.height > 20
    assert events(plain, "LAB", "crea").height == 0
    assert events(mapped, "LAB", "crea").equals(before)
    assert events(mapped, "LOINC", "2160-0").height == 0

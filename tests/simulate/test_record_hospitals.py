"""Simulated hospitals are written as hospitals keep their records, and the study beside them reads as it should."""

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from wardgate.hospital.ward.cohort.from_events.build import build as build_cohort
from wardgate.hospital.ward.source.opening import opened
from wardgate.records.errors import Invalid
from wardgate.records.source_file import parse as parse_source
from wardgate.records.study_file import parse as parse_study
from wardgate.simulate.records.course import Site
from wardgate.simulate.records.hospitals import HOSPITALS, Form, build, write_hospital
from wardgate.simulate.records.large import write_large
from wardgate.simulate.records.tables import records


def test_five_hospitals_are_written_in_three_forms(tmp_path: Path) -> None:
    homes = build(tmp_path, seed=1, persons=60)
    assert set(homes) == {keeps.site.id for keeps in HOSPITALS}
    for keeps in HOSPITALS:
        home = homes[keeps.site.id]
        source = parse_source((home / "source.yaml").read_text(encoding="utf-8"), name="source.yaml")
        assert source.kind == "omop"
        place = home / source.place
        if keeps.form == "duckdb":
            with duckdb.connect(str(place), read_only=True) as connection:
                count = connection.execute("select count(*) from person").fetchone()
        else:
            read = pl.read_parquet if keeps.form == "parquet" else pl.read_csv
            count = (read(place / f"person.{keeps.form}").height,)
        assert count == (round(60 * keeps.share),)


def test_the_same_seed_writes_the_same_rows(tmp_path: Path) -> None:
    one, two = (build(tmp_path / name, seed=5, persons=40)["northport"] / "cdm" for name in ("one", "two"))
    for path in sorted(one.iterdir()):
        assert pl.read_parquet(path).equals(pl.read_parquet(two / path.name))


def test_the_study_of_the_example_asks_these_hospitals(root: Path) -> None:
    text = (root / "examples" / "omop" / "study.yaml").read_text(encoding="utf-8")
    study = parse_study(text, name="study.yaml")
    assert study.of_events
    assert set(study.sites) == {keeps.site.id for keeps in HOSPITALS}


def test_large_records_are_written_chunk_by_chunk_and_taken_up_again(tmp_path: Path) -> None:
    seen: list[int] = []
    first = write_large(tmp_path, persons=100, seed=3, site=Site(), chunk=50, told=seen.append)
    part = tmp_path / "cdm" / "measurement" / "part-00000.parquet"
    before = part.stat().st_mtime_ns
    more = write_large(tmp_path, persons=150, seed=3, site=Site(), chunk=50)
    assert seen == [50, 100]
    assert part.stat().st_mtime_ns == before
    assert more.events > first.events > 0
    people = pl.read_parquet(tmp_path / "cdm" / "person")
    assert people["person_id"].to_list() == list(range(1, 151))
    with pytest.raises(Invalid, match="multiple"):
        write_large(tmp_path, persons=120, seed=3, chunk=50)


@pytest.mark.slow
def test_a_hospital_gives_the_same_cohort_however_it_keeps_its_records(root: Path, tmp_path: Path) -> None:
    text = (root / "examples" / "omop" / "study.yaml").read_text(encoding="utf-8")
    study = parse_study(text, name="study.yaml")
    tables = records(250, np.random.default_rng(8))
    forms: tuple[Form, ...] = ("parquet", "csv", "duckdb")
    cohorts = []
    for form in forms:
        write_hospital(tmp_path / form, tables, site=Site(), form=form)
        with opened(tmp_path / form, threads=1) as source:
            cohorts.append(build_cohort(source, study).table)
    assert cohorts[0].height > 50
    assert cohorts[0].equals(cohorts[1])
    assert cohorts[0].equals(cohorts[2])
    assert cohorts[0]["label"].to_list().count(1) > 0

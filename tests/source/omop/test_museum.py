"""Broken OMOP tables: a clear refusal or a clear count, never a patient's value, never a silent loss."""

import gzip
import os
import traceback
from pathlib import Path

import duckdb
import polars as pl
import pytest
from tests.source.omop.conftest import as_duckdb, as_parquet, rows, source

from wardgate.hospital.ward.source.events import Pick
from wardgate.records.concepts import Concept
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.source_file import SourceFile

CANARY = "CANARY-7731"
CREATININE = Pick(name="creatinine", concepts=(Concept(vocabulary="LOINC", code="2160-0"),))
DIABETES = Pick(name="diabetes", concepts=(Concept(vocabulary="SNOMED", code="73211009", descendants=True),))


def refused(place: Path, settings: SourceFile | None = None) -> str:
    """What is said when a source is opened and read to its end."""
    with pytest.raises(Invalid) as caught, source(place, settings) as found:
        rows(found, found.every())
        found.noticed()
        found.check_unchanged()
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def said(place: Path, settings: SourceFile | None = None) -> dict[str, tuple[int, int]]:
    """What is counted, and how many events there are."""
    with source(place, settings) as found:
        return {one.what: (one.count, one.of) for one in found.noticed()}


def test_a_whole_cdm_has_nothing_but_absent_tables_to_tell(tiny, write) -> None:
    kinds = said(write(tiny))
    assert all("absent" in what or "without a standard concept" in what or "death" in what for what in kinds)
    assert kinds[
        "condition_occurrence: rows without a standard concept; they are found by codes as recorded alone"
    ] == (1, 5)
    assert kinds["death: rows beyond a person's first; the earliest counts"] == (1, 2)


@pytest.mark.parametrize("end", [".csv", ".csv.gz"])
def test_a_table_cut_off_is_refused(tiny, write, end: str) -> None:
    tiny["measurement"] += [f"{n},1,3016723,2020-01-01,,{n % 7},,8840,,{CANARY},0,," for n in range(6, 30_000)]
    folder = write(tiny, end=end)
    path = folder / f"measurement{end}"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3 - 7])
    message = refused(folder)
    assert "measurement" in message or "cut off or damaged" in message


def test_parquet_cut_off_is_refused_by_name(tiny, write, tmp_path: Path) -> None:
    folder = as_parquet(write(tiny), tmp_path / "parquet")
    path = folder / "measurement" / "part-0.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    assert "part-0.parquet is cut off or not Parquet" in refused(folder)


@pytest.mark.parametrize("damage", ["half", "head", "text", "flipped"])
def test_a_broken_duckdb_file_is_refused_by_name(tiny, write, tmp_path: Path, damage: str) -> None:
    file = as_duckdb(write(tiny), tmp_path / "cdm.duckdb")
    whole = file.read_bytes()
    broken = {"half": whole[: len(whole) // 2], "head": whole[:100], "text": b"person_id\n1\n" * 2_000}
    broken["flipped"] = whole[:20_000] + bytes(2_000) + whole[22_000:]
    file.write_bytes(broken[damage])
    message = refused(file)
    assert "cdm.duckdb" in message
    assert "cut off or damaged" in message


def test_a_duckdb_file_that_is_being_written_is_refused(tiny, write, tmp_path: Path) -> None:
    file = as_duckdb(write(tiny), tmp_path / "cdm.duckdb")
    with duckdb.connect(str(file)):
        message = refused(file)
    assert "cdm.duckdb" in message


def test_a_duckdb_file_without_persons_is_refused(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "cdm.duckdb")) as connection:
        connection.execute("CREATE TABLE patients AS SELECT 1 AS id")
    assert "person nowhere" in refused(tmp_path / "cdm.duckdb")


def test_a_wrong_encoding_is_refused(tiny, write) -> None:
    folder = write(tiny)
    path = folder / "condition_occurrence.csv"
    path.write_bytes(path.read_bytes() + f"9,1,201826,2020-01-01,,,,,é{CANARY},0\n".encode("latin-1"))
    assert "UTF-8" in refused(folder)


def test_a_line_of_another_length_is_refused_by_its_number(tiny, write) -> None:
    tiny["measurement"].append(f"6,1,{CANARY}")
    assert "measurement.csv, line 7: found 3 cells" in refused(write(tiny))


def test_a_line_without_end_is_refused(tiny, write) -> None:
    tiny["measurement"].append("6,1,3016723,2020-01-01,,1,,,," + CANARY * 300_000 + ",0,,")
    assert "measurement.csv, line 7: not readable as CSV" in refused(write(tiny))


def test_text_among_dates_and_ids_is_counted(tiny, write) -> None:
    tiny["condition_occurrence"] += [
        f"6,1,201826,{CANARY},,,,,E11,0",
        "7,1,201826,2020-02-30,,,,,E11,0",
        "8,1,201826.5,2020-02-03,,,,,E11,0",
        "9,1,201826.0,20200204,,,,,E11,0",
    ]
    place = write(tiny)
    kinds = said(place)
    assert kinds["condition_occurrence: cells of condition_start_date that are no date"] == (2, 9)
    assert kinds["condition_occurrence: cells of condition_concept_id that are no whole number"] == (1, 9)
    assert kinds["condition_occurrence: rows without a date"] == (2, 9)
    with source(place) as found:
        table = rows(found, found.picked([Pick(name="dm", concepts=(Concept(concept_id=201826),))]))
    assert table.height == 3
    assert "2020-02-04 23:59:59" in table["time"].cast(pl.String).str.slice(0, 19).to_list()


def test_a_column_of_nonsense_is_refused(tiny, write) -> None:
    lines = tiny["condition_occurrence"]
    tiny["condition_occurrence"] = [lines[0], *(line.replace("2020-0", CANARY) for line in lines[1:])]
    message = refused(write(tiny))
    assert "condition_occurrence.csv: no cell of condition_start_date is a date" in message


def test_a_column_of_another_type_is_refused(tiny, write, tmp_path: Path) -> None:
    folder = as_parquet(write(tiny), tmp_path / "parquet")
    pl.read_parquet(folder / "person.parquet").with_columns(year_of_birth=pl.lit(True)).write_parquet(
        folder / "person.parquet"
    )
    assert "person.parquet: year_of_birth is BOOLEAN, expected a whole number" in refused(folder)


def test_times_of_a_zone_need_the_hospitals_zone(tiny, write, tmp_path: Path) -> None:
    folder = as_parquet(write(tiny), tmp_path / "parquet")
    path = folder / "measurement" / "part-0.parquet"
    zoned = pl.read_parquet(path).with_columns(pl.col("measurement_datetime").dt.replace_time_zone("UTC"))
    zoned.write_parquet(path)
    assert "timezone: Europe/Vienna" in refused(folder)
    with source(folder, SourceFile(kind="omop", place="parquet", timezone="Europe/Vienna")) as found:
        table = rows(found, found.picked([CREATININE]))
    assert str(table["time"][0]) == "2020-01-01 11:00:00"


def test_unknown_persons_and_concepts_are_counted(tiny, write) -> None:
    tiny["measurement"] += ["6,99,3016723,2020-01-01,,1,,,,,0,,", "7,,3016723,2020-01-01,,1,,,,,0,,"]
    tiny["measurement"] += ["8,1,777777,2020-01-01,,1,,,,,0,,", "9,1,3016723,2020-01-03,2020-01-02 10:00:00,1,,,,,0,,"]
    tiny["person"].append("2,8532,1961,,,")
    place = write(tiny)
    kinds = said(place)
    assert kinds["measurement: rows of a person that the table person does not have"] == (1, 9)
    assert kinds["measurement: rows without a person"] == (1, 9)
    assert kinds["measurement: rows with a concept id that the vocabulary does not have"] == (1, 9)
    assert kinds["measurement: rows whose date is another than that of their date with time, which counts"] == (1, 9)
    assert kinds["person: rows that repeat a person_id; one counts"] == (1, 5)
    with source(place) as found:
        persons = rows(found, found.persons())
        assert rows(found, found.picked([CREATININE])).height == 4
    assert persons["subject_id"].to_list() == [1, 2, 3, 4]


def test_absent_tables_are_told_and_persons_are_asked_for(tiny, write) -> None:
    del tiny["measurement"]
    del tiny["death"]
    place = write(tiny)
    kinds = said(place)
    assert kinds["measurement: the table is absent; nothing of it is found"] == (1, 1)
    assert kinds["death: the table is absent; nothing of it is found"] == (1, 1)
    with source(place) as found:
        assert rows(found, found.picked([CREATININE])).height == 0
        assert found.codes([CREATININE]) == {"creatinine": 1}
    del tiny["person"]
    assert "person is absent" in refused(write(tiny, name="nobody"))


def test_absent_columns_are_told_where_they_are_needed_refused(tiny, write) -> None:
    tiny["measurement"] = [line.rsplit(",", 2)[0] for line in tiny["measurement"]]
    kinds = said(write(tiny))
    assert "measurement: columns are absent (unit_source_value, value_source_value) and count as empty" in kinds
    tiny["measurement"][0] = tiny["measurement"][0].replace("person_id", "patient")
    assert "measurement.csv lacks person_id" in refused(write(tiny, name="other"))


def test_a_table_twice_is_refused(tiny, write) -> None:
    folder = write(tiny)
    (folder / "PERSON.csv.gz").write_bytes(gzip.compress((folder / "person.csv").read_bytes()))
    assert "holds the table person more than once" in refused(folder)


def test_an_empty_file_is_refused(tiny, write) -> None:
    folder = write(tiny)
    (folder / "death.csv").write_bytes(b"")
    assert "death.csv is empty" in refused(folder)


def test_another_version_of_the_cdm_is_refused(tiny, write) -> None:
    tiny["cdm_source"][1] = "tiny,6.0"
    assert "expected 5.3 or 5.4" in refused(write(tiny))


@pytest.mark.parametrize("lines", [[], ["ancestor_concept_id,descendant_concept_id"]])
def test_descendants_without_their_table_are_refused(tiny, write, lines: list[str]) -> None:
    del tiny["concept_ancestor"]
    if lines:
        tiny["concept_ancestor"] = lines
    with source(write(tiny)) as found:
        assert any("concept_ancestor" in one.what for one in found.noticed())
        for asked in (found.picked, found.codes):
            with pytest.raises(Invalid, match="asks for what lies below SNOMED/73211009"):
                asked([DIABETES])


def test_a_cause_of_death_is_not_asked_for(tiny, write) -> None:
    with source(write(tiny)) as found, pytest.raises(Unsupported, match="cause of death"):
        found.picked([Pick(name="mi", concepts=DIABETES.concepts, table="death")])


@pytest.mark.parametrize("form", ["csv", "duckdb"])
def test_a_source_that_changed_while_it_was_read_gives_nothing(tiny, write, tmp_path: Path, form: str) -> None:
    folder = write(tiny)
    place = folder if form == "csv" else as_duckdb(folder, tmp_path / "cdm.duckdb")
    changing = folder / "measurement.csv" if form == "csv" else place
    with source(place) as found:
        found.check_unchanged()
        stat = changing.stat()
        os.utime(changing, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
        with pytest.raises(Invalid, match="changed while it was read"):
            found.check_unchanged()
        changing.unlink()
        with pytest.raises(Invalid, match="changed while it was read"):
            found.check_unchanged()

"""`wardgate data`: what a hospital is told of its own data, and what the consortium may see of it."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest

from wardgate.cli import run
from wardgate.records.data_check import DataCheck
from wardgate.simulate.hospitals import build
from wardgate.simulate.records.course import Site
from wardgate.simulate.records.hospitals import write_hospital
from wardgate.simulate.records.tables import records

EXAMPLE = "examples/omop/study.yaml"


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three small hospitals that keep their records in OMOP."""
    folder = tmp_path_factory.mktemp("homes")
    found = {}
    for place, name in enumerate(("northport", "eastmoor", "hillcrest")):
        site = Site(id=name)
        write_hospital(folder / name, records(700, np.random.default_rng(place), site=site), site=site)
        found[name] = folder / name
    return found


@pytest.fixture(scope="module")
def study(root: Path) -> str:
    return str(root / EXAMPLE)


def test_check_tells_a_hospital_whether_its_data_satisfy_the_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = build(tmp_path / "six", seed=3)
    home = made.hospitals["lakeside"]
    mapping = str(home / "mapping.yaml")
    arguments = ["data", "check", "--study", str(made.study), "--source", str(home), "--mapping", mapping]
    assert run(arguments) == 0
    assert "The data satisfy the study." in capsys.readouterr().out
    text = (home / "mapping.yaml").read_text(encoding="utf-8")
    (home / "mapping.yaml").write_text(text.replace("unit: kPa", "unit: mm[Hg]"), encoding="utf-8")
    assert run(arguments) == 1
    assert "values read as kPa (times 7.501) would fit" in capsys.readouterr().out
    assert run([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["satisfies"] is False


def test_check_hides_counts_below_eleven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = build(tmp_path / "six", seed=3)
    home = made.hospitals["glenbay"]
    rows = (home / "admissions.csv").read_text(encoding="utf-8").splitlines()
    (home / "admissions.csv").write_text("\n".join(rows[:8]) + "\n", encoding="utf-8")
    assert run(["data", "check", "--study", str(made.study), "--source", str(home)]) == 0
    out = capsys.readouterr().out
    assert "<11  persons in the source" in out
    assert " 7 " not in out


def test_records_are_checked_and_the_record_for_the_consortium_is_written(
    homes: dict[str, Path], study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, html = tmp_path / "check.json", tmp_path / "check.html"
    arguments = ["data", "check", "--study", study, "--source", str(homes["northport"])]
    assert run([*arguments, "--out", str(out), "--html", str(html)]) == 0
    said = capsys.readouterr().out
    assert "northport: OMOP CDM" in said and "The data satisfy the study." in said
    record = DataCheck.from_plain(json.loads(out.read_text(encoding="utf-8")))
    assert record.site == "northport" and record.satisfies
    page = html.read_text(encoding="utf-8")
    assert "northport" in page and "<script" not in page and "http://" not in page


def test_checks_of_several_hospitals_stand_side_by_side(
    homes: dict[str, Path], study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for name, home in homes.items():
        files.append(str(tmp_path / f"{name}.json"))
        assert run(["data", "check", "--study", study, "--source", str(home), "--out", files[-1]]) == 0
    assert run(["data", "compare", *files, "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(name in page for name in homes)
    assert run(["data", "compare", files[0], files[0], "--html", str(tmp_path / "twice.html")]) == 5
    assert "two records speak of the same hospital" in capsys.readouterr().err
    assert not (tmp_path / "twice.html").exists()


def test_converted_records_give_the_same_record(homes: dict[str, Path], study: str, tmp_path: Path) -> None:
    home = homes["eastmoor"]
    assert run(["data", "convert", "--source", str(home), "--out", str(tmp_path / "meds")]) == 0
    assert (tmp_path / "meds").stat().st_mode & 0o777 == 0o700
    told = []
    for place in (home, tmp_path / "meds"):
        out = tmp_path / f"{place.name}.json"
        arguments = ["data", "check", "--study", study, "--source", str(place), "--site", "eastmoor"]
        assert run([*arguments, "--out", str(out)]) == 0
        told.append(json.loads(out.read_text(encoding="utf-8")))
    for record in told:
        del record["source"]
        record["requirements"] = [one for one in record["requirements"] if one["name"] != "source"]
    assert told[0] == told[1]


def test_a_profile_is_private_and_says_so(homes: dict[str, Path], study: str, tmp_path: Path) -> None:
    page = tmp_path / "profile.html"
    source = str(homes["hillcrest"])
    assert run(["data", "profile", "--source", source, "--study", study, "--html", str(page)]) == 0
    assert page.stat().st_mode & 0o777 == 0o600
    assert "eyes only" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("dialect", ["snowflake", "bigquery", "spark", "databricks", "duckdb", "postgres"])
def test_a_study_compiles_to_the_sql_of_a_warehouse(dialect: str, study: str, tmp_path: Path) -> None:
    out = tmp_path / "job"
    assert run(["data", "sql", "--study", study, "--dialect", dialect, "--schema", "cdm", "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"events.sql", "codes.sql", "dataset.json", "README.txt"}
    assert "SELECT" in (out / "events.sql").read_text(encoding="utf-8")


def test_the_export_job_of_a_warehouse_gives_the_same_cohort(
    homes: dict[str, Path], study: str, tmp_path: Path
) -> None:
    """DuckDB stands for the warehouse: the statements run as they were written, by somebody who knows no Wardgate."""
    home, job = homes["northport"], tmp_path / "job"
    assert run(["data", "sql", "--study", study, "--dialect", "duckdb", "--schema", "cdm", "--out", str(job)]) == 0
    export = tmp_path / "export"
    for folder in (export / "data", export / "metadata"):
        folder.mkdir(parents=True)
    with duckdb.connect() as warehouse:
        warehouse.execute("CREATE SCHEMA cdm")
        for file in (home / "cdm").glob("*.parquet"):
            warehouse.execute(f"CREATE TABLE cdm.{file.stem} AS SELECT * FROM '{file}'")
        for name, target in (("events", "data/0"), ("codes", "metadata/codes")):
            sql = (job / f"{name}.sql").read_text(encoding="utf-8").rstrip().rstrip(";")
            warehouse.execute(f"COPY ({sql}) TO '{export / target}.parquet' (FORMAT parquet)")
    (export / "metadata/dataset.json").write_bytes((job / "dataset.json").read_bytes())
    told = []
    for place in (home, export):
        out = tmp_path / f"{place.name}.json"
        assert run(["data", "check", "--study", study, "--source", str(place), "--site", "x", "--out", str(out)]) == 0
        told.append(json.loads(out.read_text(encoding="utf-8")))
    assert told[0]["flow"][1:] == told[1]["flow"][1:]
    assert told[0]["features"] == told[1]["features"]


def test_a_table_s_study_is_not_asked_of_records(
    homes: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = build(tmp_path / "six", seed=3)
    assert run(["data", "check", "--study", str(made.study), "--source", str(homes["northport"])]) == 5
    assert "asks for the fields of one table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("nowhere", "neither a folder nor a DuckDB file"),
        ("postgresql:///cdm?host=example.org", "only a Unix socket"),
        ("postgresql:///cdm?host=/run/none&ssl=1", "only a Unix socket"),
    ],
)
def test_a_place_that_cannot_be_read_is_named(
    where: str, said: str, study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "check", "--study", study, "--source", where]) == 5
    assert said in capsys.readouterr().err


def test_an_empty_folder_says_what_was_looked_for(
    tmp_path: Path, study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert run(["data", "check", "--study", study, "--source", str(tmp_path / "empty")]) == 5
    assert "no OMOP table 'person'" in capsys.readouterr().err

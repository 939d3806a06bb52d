"""Whatever is wrong with data, study or words, the command says it in one line or a short list, with its code.

Run by `wardgate.cli.run`, which is all that the command does; processes of their own are in the other journeys.
"""

import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import made_up
import polars as pl
import pytest

from wardgate import cli


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str
    results: dict[str, Any] | None

    def site(self, name: str) -> dict[str, Any]:
        """Return a hospital of the results."""
        assert self.results is not None, self.err
        return next(site for site in self.results["sites"] if site["id"] == name)

    def reasons(self, name: str) -> str:
        """Return why a hospital did not take part, and its requirements that were not plainly met."""
        site = self.site(name)
        return "; ".join([site["reason"], *(one["reason"] for one in site["requirements"] if one["state"] != "pass")])


@pytest.fixture
def say(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Return a function that runs a command and checks what holds for every one."""

    def run(*arguments: str, out: Path = tmp_path / "out") -> Said:
        capfd.readouterr()
        code = cli.run(list(arguments))
        printed = capfd.readouterr()
        assert "Traceback" not in printed.err
        assert len(printed.err.splitlines()) <= 8, printed.err
        assert (code == 0) == (printed.err == "")
        assert printed.err == "" or printed.err.startswith("wardgate: ")
        assert not list(tmp_path.rglob("*.unfinished-*"))
        if code:
            assert printed.out == ""
        path = out / "results.json"
        results = json.loads(path.read_text(), parse_constant=_no_constant) if path.exists() else None
        return Said(code=code, out=printed.out, err=printed.err, results=results)

    return run


def _no_constant(text: str) -> float:
    raise AssertionError(f"results.json holds {text}")


@pytest.fixture
def demo(tmp_path: Path, say):
    """Return a function that runs `wardgate demo` over the made-up hospitals with something changed."""

    def run(*more: str, **changes: Any) -> Said:
        given = made_up.data_set(tmp_path / "set", canaries=False, **changes)
        return say(*given.arguments(tmp_path / "out", *more))

    return run


def _changed(site: str, **columns: pl.Expr) -> Mapping[str, pl.DataFrame]:
    return {site: made_up.table(site, canaries=False).with_columns(**columns)}


def _others_took_part(said: Said, but: str) -> None:
    assert said.code == 0
    states = {name: said.site(name)["state"] for name in made_up.SITES}
    assert states.pop(but) == "refused the study"
    assert set(states.values()) == {"took part"}


# Data.


def test_a_data_folder_that_is_missing_is_named(tmp_path: Path, say) -> None:
    given = made_up.data_set(tmp_path / "set", canaries=False)
    said = say(*made_up.DataSet(data=tmp_path / "nowhere", study=given.study).arguments(tmp_path / "out"))
    assert said.code == 5
    assert "p.csv is missing in nowhere" in said.err


def test_a_column_that_is_missing_is_named_by_the_check(tmp_path: Path, say) -> None:
    rows = made_up.table("northgate", canaries=False).drop("marker")
    given = made_up.data_set(tmp_path / "set", tables=dict.fromkeys(made_up.SITES, rows))
    said = say(*given.arguments(tmp_path / "out"))
    assert said.code == 5
    assert "a column of the mapping is missing" in said.err
    checked = say(
        *("data", "check", "--study", str(given.study), "--source", str(given.data), "--mapping", str(given.mapping))
    )
    assert checked.code == 5
    assert "p.csv lacks 1 of the columns that the mapping names: 'marker'" in checked.err


def test_a_hospital_in_another_unit_is_told_which_would_fit_and_the_others_go_on(demo) -> None:
    thousandfold = (pl.col("marker").cast(pl.Float64) * 1000).cast(pl.String)
    said = demo(tables=_changed("eastgate", marker=thousandfold))
    _others_took_part(said, "eastgate")
    assert "probably another unit than 'mg/L'; values read as ug/L" in said.reasons("eastgate")


def test_a_unit_that_nobody_knows_is_refused_with_the_line(demo) -> None:
    fields = {**made_up.MAPPING["fields"], "marker": {"column": "marker", "unit": "furlong"}}
    said = demo(mapping={"fields": fields})
    assert said.code in (1, 5)
    assert "furlong" in said.err
    assert "mg/L" in said.err


def test_impossible_values_count_as_missing_and_are_reported(demo) -> None:
    impossible = pl.when(pl.int_range(pl.len()) < 20).then(pl.lit("-40")).otherwise(pl.col("marker"))
    said = demo(tables=_changed("northgate", marker=impossible))
    assert said.code == 0
    assert "outside the plausible range; they count as missing" in said.reasons("northgate")


def test_an_empty_cohort_ends_before_anything_is_fitted(demo) -> None:
    nobody = {"entry": "admitted", "requires": [{"field": "age", "range": [99, 100], "meaning": "Very old"}]}
    said = demo(study={"cohort": nobody})
    assert said.code == 1
    assert "0 hospitals can take part, expected at least 3" in said.err
    assert "nobody fulfils 'Very old'" in said.err


def test_a_hospital_where_nobody_is_eligible_is_told_and_the_others_go_on(demo) -> None:
    requires = {"entry": "admitted", "requires": [{"field": "age", "range": [18, 100], "meaning": "Adults"}]}
    said = demo(study={"cohort": requires}, tables=_changed("westgate", age=pl.lit("7")))
    _others_took_part(said, "westgate")


def test_a_hospital_where_everybody_has_the_outcome_is_told_and_the_others_go_on(demo) -> None:
    said = demo(tables=_changed("southgate", worse=pl.lit("1")))
    _others_took_part(said, "southgate")
    assert "everybody has the outcome" in said.reasons("southgate")


def test_a_person_who_stands_there_twice_is_refused_and_not_quoted(demo) -> None:
    rows = made_up.table("eastgate", canaries=False)
    said = demo(tables={"eastgate": pl.concat([rows, rows[:12]])})
    _others_took_part(said, "eastgate")
    assert "12 rows repeat a person; the study expects one row a person" in said.reasons("eastgate")
    assert "eastgate-3" not in json.dumps(said.results)


def test_a_hospital_of_three_patients_takes_part_in_sums_and_shows_nothing(demo) -> None:
    said = demo(tables={"westgate": made_up.table("westgate", canaries=False)[:3]})
    assert said.code == 0
    tiny = said.site("westgate")
    assert tiny["state"] == "took part"
    assert tiny["persons_band"] == "<11"
    assert tiny["recalibration"] is None
    assert said.results is not None
    shown = [site["id"] for approach in said.results["approaches"] for site in approach["sites"]]
    assert "westgate" not in shown
    assert all(step["persons"] == "fewer than 11" or "<" in step["persons"] for step in tiny["flow"])


@pytest.mark.parametrize("file", ["p.csv", "p.parquet"])
def test_a_value_that_is_no_number_counts_as_missing(file: str, demo) -> None:
    holes = pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("NaN")).otherwise(pl.col("marker"))
    tables = {site: made_up.table(site, canaries=False).with_columns(marker=holes) for site in made_up.SITES}
    if file.endswith("parquet"):
        tables = {site: rows.with_columns(pl.col("marker").cast(pl.Float64)) for site, rows in tables.items()}
    said = demo(tables=tables, file=file)
    assert said.code == 0
    quality = next(one for one in said.site("northgate")["quality"] if one["feature"] == "marker")
    assert quality["present"] == pytest.approx(0.89, abs=0.011)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.98])
def test_a_parquet_file_that_is_cut_off_is_named(keep: float, tmp_path: Path, say) -> None:
    given = made_up.data_set(tmp_path / "set", file="p.parquet", canaries=False)
    path = given.data / "p.parquet"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    said = say(*given.arguments(tmp_path / "out"))
    assert said.code == 5
    assert "p.parquet" in said.err
    assert "cut off" in said.err or "empty" in said.err
    assert not (tmp_path / "out").exists()


def test_bytes_that_are_no_table_are_not_quoted(tmp_path: Path, say) -> None:
    given = made_up.data_set(tmp_path / "set", canaries=False)
    (given.data / "p.csv").write_bytes(b'\xff\xfeSECRET\0PERSON,\n"SECRET')
    said = say(*given.arguments(tmp_path / "out"))
    assert said.code == 5
    assert "SECRET" not in said.err


# Studies.


def test_a_study_of_an_unknown_version_is_refused_with_file_and_line(demo) -> None:
    said = demo(study={"schema": "wardgate/study/7"})
    assert said.code == 5
    assert re.search(r"study\.yaml:1\b.*wardgate/study/7.*wardgate/study/1", said.err, flags=re.DOTALL)


def test_a_study_with_two_sites_is_refused_before_anything_runs(demo, monkeypatch) -> None:
    monkeypatch.setattr("wardgate.cli.demo.divide", None)
    monkeypatch.setattr("wardgate.cli.demo.run_study", None)
    said = demo(study={"sites": ["northgate", "eastgate"]})
    assert said.code == 5
    assert re.search(r"study\.yaml:\d+: sites: found 2 sites, expected at least 3", said.err, flags=re.DOTALL)


def test_a_site_without_data_is_named_before_anything_runs(demo) -> None:
    said = demo(study={"sites": [*made_up.SITES, "nogate"]})
    assert said.code == 5
    assert "1 sites of the study have no row in 'hospital': nogate" in said.err


def test_a_missing_mapping_is_named(tmp_path: Path, say) -> None:
    given = made_up.data_set(tmp_path / "set", canaries=False)
    said = say(*given.arguments(tmp_path / "out", "--mapping", str(tmp_path / "none.yaml")))
    assert said.code == 5
    assert "none.yaml" in said.err
    given.mapping.unlink()
    said = say(*given.arguments(tmp_path / "out"))
    assert said.code == 5
    assert "found no mapping beside study.yaml" in said.err


# Words.


@pytest.mark.parametrize(
    "arguments",
    [
        ["dance"],
        ["demo"],
        ["demo", "--out"],
        ["demo", "--out", "x", "--sead", "3"],
        ["demo", "--out", "x", "--seed", "a"],
    ],
    ids=" ".join,
)
def test_wrong_usage_has_a_code_of_its_own(arguments: list[str], say) -> None:
    said = say(*arguments)
    assert said.code == 64
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["study"], ["--help"], ["demo", "--help"]], ids=" ".join)
def test_help_is_no_error(arguments: list[str], say) -> None:
    said = say(*arguments)
    assert said.code == 0
    assert "Usage: wardgate" in said.out


def test_data_without_a_study_is_refused(tmp_path: Path, say) -> None:
    said = say("demo", "--data", str(tmp_path), "--out", str(tmp_path / "out"))
    assert said.code == 5
    assert "--data or --hospitals belongs to a --study" in said.err


def test_results_on_standard_output_are_the_file(tmp_path: Path, demo) -> None:
    said = demo("--json")
    assert json.load(io.StringIO(said.out)) == said.results


def test_a_reader_that_goes_away_early_is_no_error() -> None:
    command = f"{sys.executable} -c 'import sys; from wardgate.cli import run; sys.exit(run([\"--help\"] * 1))'"
    piped = subprocess.run(
        [
            "bash",
            "-c",
            f"set -o pipefail; for i in 1 2 3; do {command}; done | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert piped.stdout.strip() == "0"
    assert "wardgate:" not in piped.stderr

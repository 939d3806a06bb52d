"""One study gives the same cohort, label and features, row for row, wherever a hospital keeps the same records."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from wardgate.federation.data import convert
from wardgate.hospital.ward.cohort.cohort import Cohort
from wardgate.hospital.ward.cohort.from_events.build import build
from wardgate.hospital.ward.source.opening import opened, place_of
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.records.course import Site
from wardgate.simulate.records.hospitals import write_hospital
from wardgate.simulate.records.tables import records

SITE = Site(id="northport")
FORMS = ("parquet", "csv", "duckdb", "postgres", "meds", "meds of postgres")
_SQL = {pl.Int64: "bigint", pl.Int32: "integer", pl.Float64: "double precision", pl.String: "text", pl.Date: "date"}


@pytest.fixture(scope="module")
def tables() -> Mapping[str, pl.DataFrame]:
    return records(500, np.random.default_rng(11), site=SITE)


@pytest.fixture(scope="module")
def study(root: Path) -> Study:
    return parse((root / "examples/omop/study.yaml").read_text(encoding="utf-8"), name="study.yaml")


@pytest.fixture(scope="module")
def places(tables, postgres_server, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The same records in each form, as a person would name the place."""
    folder = tmp_path_factory.mktemp("forms")
    for form in ("parquet", "csv", "duckdb"):
        write_hospital(folder / form, tables, site=SITE, form=form)
    into_postgres(tables, postgres_server.socket)
    found = {form: str(folder / form) for form in ("parquet", "csv", "duckdb")}
    found["postgres"] = f"postgresql://postgres@/postgres?host={postgres_server.socket}&schema=cdm"
    for form, of in (("meds", "parquet"), ("meds of postgres", "postgres")):
        found[form] = str(folder / form.replace(" ", "-"))
        convert(found[of], Path(found[form]), name="simulated", memory_limit_mb=2_000)
    return found


@pytest.fixture(scope="module")
def cohorts(places, study: Study) -> Mapping[str, Cohort]:
    return {form: cohort_at(where, study) for form, where in places.items()}


def cohort_at(where: str, study: Study, *, slices: int | None = None) -> Cohort:
    place = place_of(where)
    with opened(place.folder, place.settings) as source:
        return build(source, study, slices=slices)


def into_postgres(tables: Mapping[str, pl.DataFrame], socket: Path) -> None:
    with psycopg.connect(host=str(socket), dbname="postgres", user="postgres", autocommit=True) as connection:
        connection.execute("CREATE SCHEMA cdm")
        for name, table in tables.items():
            columns = ", ".join(f'"{one}" {_kind(kind)}' for one, kind in table.schema.items())
            connection.execute(f'CREATE TABLE cdm."{name}" ({columns})')
            rows = io.BytesIO()
            table.write_csv(rows, include_header=False, datetime_format="%Y-%m-%d %H:%M:%S")
            with connection.cursor().copy(f'COPY cdm."{name}" FROM STDIN (FORMAT csv)') as copy:
                copy.write(rows.getvalue())


def _kind(kind: pl.DataType) -> str:
    return "timestamp" if isinstance(kind, pl.Datetime) else _SQL[type(kind)]


@pytest.mark.parametrize("form", FORMS[1:])
def test_the_cohort_is_the_same_row_for_row(form: str, cohorts: Mapping[str, Cohort]) -> None:
    ours, theirs = cohorts["parquet"], cohorts[form]
    assert ours.table.height > 200
    assert_frame_equal(theirs.table, ours.table, check_exact=True)
    assert_series_equal(theirs.groups, ours.groups)
    assert theirs.timing is not None and ours.timing is not None
    assert_frame_equal(theirs.timing, ours.timing, check_exact=True)


@pytest.mark.parametrize("form", FORMS[1:])
def test_flow_and_what_was_found_of_features_are_the_same(form: str, cohorts: Mapping[str, Cohort]) -> None:
    ours, theirs = cohorts["parquet"], cohorts[form]
    assert theirs.flow == ours.flow
    for left, right in zip(theirs.found, ours.found, strict=True):
        assert (left.entries, left.with_value, left.values, left.out_of_range, left.without_number) == (
            right.entries,
            right.with_value,
            right.values,
            right.out_of_range,
            right.without_number,
        )
        assert [(unit.unit, unit.values, unit.converted) for unit in left.units] == [
            (unit.unit, unit.values, unit.converted) for unit in right.units
        ]


def test_the_order_of_rows_and_the_number_of_slices_change_nothing(
    tables, study: Study, cohorts: Mapping[str, Cohort], tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    mixed = {name: table[rng.permutation(table.height)] for name, table in tables.items()}
    write_hospital(tmp_path / "mixed", mixed, site=SITE)
    assert_frame_equal(cohort_at(str(tmp_path / "mixed"), study, slices=3).table, cohorts["parquet"].table)


def test_the_truth_that_was_simulated_is_found(tables, cohorts: Mapping[str, Cohort]) -> None:
    """An independent look at the deaths: read from the tables by polars alone."""
    died = tables["death"].select(pl.col("person_id").cast(pl.String).alias("person"), "death_date")
    cohort = cohorts["parquet"].table.join(died, on="person", how="left")
    assert cohort.filter(pl.col("label") == 1)["death_date"].null_count() == 0
    assert 0 < cohorts["parquet"].table["label"].mean() < 0.5

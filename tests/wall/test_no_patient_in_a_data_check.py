"""What is typed into records by hand (a name in a unit, in a source value, in a note) is in no record that leaves."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from wardgate.federation.data import check
from wardgate.hospital.ward.cohort.load import load
from wardgate.records.canonical import canonical
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.records.course import Site
from wardgate.simulate.records.hospitals import write_hospital
from wardgate.simulate.records.tables import records

NAME = "Zanthippa Quillfeather"
SITE = Site(id="northport")
TYPED = ("unit_source_value", "value_source_value", "measurement_source_value", "condition_source_value")


@pytest.fixture(scope="module")
def study(root: Path) -> Study:
    return parse((root / "examples/omop/study.yaml").read_text(encoding="utf-8"), name="study.yaml")


def marked(tables: Mapping[str, pl.DataFrame], *, rows: int) -> dict[str, pl.DataFrame]:
    """Put the name into every field that people type, in so many rows of each table, units taken away there."""
    found = dict(tables)
    for name in ("measurement", "condition_occurrence", "observation", "drug_exposure"):
        table = found[name]
        every = max(1, table.height // rows)
        chosen = pl.int_range(pl.len()) % every == 0
        texts = [column for column, kind in table.schema.items() if kind == pl.String]
        changed = [pl.when(chosen).then(pl.lit(NAME)).otherwise(pl.col(column)).alias(column) for column in texts]
        if "unit_concept_id" in table.columns:
            changed.append(pl.when(chosen).then(0).otherwise(pl.col("unit_concept_id")).alias("unit_concept_id"))
        found[name] = table.with_columns(changed)
    return found


@pytest.mark.parametrize("rows", [9, 300])
def test_a_name_that_was_typed_into_records_is_in_no_record_that_leaves(
    rows: int, study: Study, tmp_path: Path
) -> None:
    tables = marked(records(500, np.random.default_rng(4), site=SITE), rows=rows)
    assert any(NAME in table[column].to_list() for table in tables.values() for column in TYPED if column in table)
    write_hospital(tmp_path / "northport", tables, site=SITE)
    record = check(study, str(tmp_path / "northport"))
    assert NAME.split()[0].encode() not in record.to_bytes()
    cohort = load(tmp_path / "northport", study)
    said = canonical([finding.model_dump(mode="json") for finding in cohort.findings])
    assert NAME.split()[0].encode() not in said

"""A warehouse is asked in SQL for what the adapter itself would read; written out, it answers alike."""

from pathlib import Path

import ibis
import pytest
import sqlglot
from polars.testing import assert_frame_equal
from tests.source.omop.conftest import as_duckdb, rows, source

from wardgate.hospital.ward.source.duckdb_engine import DuckEngine, statement
from wardgate.hospital.ward.source.events import CODES, EVERY, Pick
from wardgate.hospital.ward.source.omop.export import export_expressions
from wardgate.hospital.ward.source.omop.tables import COLUMNS, unbound_tables
from wardgate.hospital.ward.source.over_events import OverEvents
from wardgate.records.concepts import Concept


def concept(vocabulary: str, code: str, **more: object) -> Concept:
    return Concept(vocabulary=vocabulary, code=code, **more)


def there(tables):
    return {name: table for name, table in unbound_tables("source.omop").items() if name in tables}


PICKS = (
    Pick(name="diabetes", concepts=(concept("SNOMED", "73211009", descendants=True),)),
    Pick(
        name="not the eyes",
        concepts=(Concept(concept_id=201820, descendants=True), Concept(concept_id=443767, exclude=True)),
    ),
    Pick(name="icd", concepts=(concept("ICD10CM", "E11", source=True, descendants=True),), table="condition"),
    Pick(name="positive", concepts=(concept("LOINC", "600-7", value="SNOMED/52101004"),)),
    Pick(name="creatinine", concepts=(concept("LOINC", "2160-0"),), table="measurement"),
    Pick(name="female", concepts=(concept("Gender", "F"),)),
    Pick(name="stays", concepts=(concept("Visit", "IP"), concept("Visit", "ER")), table="visit"),
    Pick(name="death", concepts=()),
)


@pytest.mark.parametrize(
    ("dialect", "reads"),
    [
        ("duckdb", "duckdb"),
        ("postgres", "postgres"),
        ("bigquery", "bigquery"),
        ("snowflake", "snowflake"),
        ("databricks", "databricks"),
        ("databricks", "spark"),
    ],
)
def test_the_export_compiles_for_every_warehouse(dialect: str, reads: str) -> None:
    upper = dialect == "snowflake"
    made = export_expressions(unbound_tables("cdm", upper=upper), PICKS)
    for expression, columns in ((made["events"], EVERY), (made["codes"], CODES)):
        sql = str(ibis.to_sql(expression, dialect=dialect))
        (parsed,) = sqlglot.parse(sql, dialect=reads)
        named = {table.name for table in parsed.find_all(sqlglot.exp.Table) if table.db}
        assert {name.lower() for name in named} <= set(COLUMNS)
        assert {table.db for table in parsed.find_all(sqlglot.exp.Table) if table.db} == {"cdm"}
        if upper:
            assert all(name.isupper() for name in named)
        assert list(expression.schema()) == list(columns)
        assert "TIMESTAMP_ADD" not in sql


def test_what_is_exported_answers_like_the_adapter_itself(tiny, write, tmp_path: Path) -> None:
    as_duckdb(write(tiny), tmp_path / "cdm.duckdb")
    made = export_expressions(there(tiny), PICKS)
    with source(tmp_path / "cdm.duckdb") as cdm:
        connection = cdm.engine.connection
        for name, expression in made.items():
            connection.execute(f"CREATE TABLE exported_{name} AS {statement(expression, dialect='duckdb')}")
        over = OverEvents(
            name="exported",
            kind="meds",
            engine=DuckEngine(name="exported", connection=connection),
            events=ibis.table(dict(EVERY), "exported_events"),
            code_rows=ibis.table(dict(CODES), "exported_codes"),
            found=tuple,
            unchanged=lambda: None,
        )
        expected = rows(cdm, cdm.picked(PICKS))
        assert expected["pick"].n_unique() == len(PICKS)
        assert_frame_equal(expected, rows(over, over.picked(PICKS)))
        assert_frame_equal(rows(cdm, cdm.persons()), rows(over, over.persons()))
        assert_frame_equal(rows(cdm, cdm.periods()), rows(over, over.periods()))
        codes = rows(over, over.code_rows)
        assert ("SNOMED/44054006", 201826, "SNOMED/73211009") in codes.rows()
        assert ("SNOMED/73211009", 201820, None) in codes.rows()


def test_events_that_nobody_asks_for_stay(tiny, write, tmp_path: Path) -> None:
    as_duckdb(write(tiny), tmp_path / "cdm.duckdb")
    with source(tmp_path / "cdm.duckdb") as cdm:
        events = rows(cdm, export_expressions(there(tiny), PICKS[-2:])["events"])
    assert set(events["table"].drop_nulls()) == {"visit", "death"}
    assert events.filter(events["code"] == "MEDS_BIRTH").height == 4
    assert events.height == 4 + 1 + 2 + 3 + 2

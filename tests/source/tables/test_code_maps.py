"""Code maps applied to any source's events: the same rows, standard codes, nothing recorded lost."""

from typing import Any

import duckdb
import ibis
import psycopg
import pytest
from tests.conftest import PostgresServer
from tests.source.tables.conftest import HEADER

from wardgate.hospital.ward.source.code_maps import apply_code_maps
from wardgate.hospital.ward.source.duckdb_engine import compiled
from wardgate.hospital.ward.source.events import EVERY
from wardgate.records.code_map import CodeMap, parse

MAP = parse(
    [
        (
            "codes.csv",
            f"{HEADER},unit\n"
            "HOUSE,crea,LOINC,2160-0,exact,A,2026-01-01,book,mg/dL\n"
            "HOUSE,pos,SNOMED,10828004,exact,A,2026-01-01,book,\n"
            'HOUSE,"it\'s",LOINC,1-8,broader,A,2026-01-01,book,\n'
            "OLD,x,LOINC,9-9,narrower,A,2026-01-01,book,\n",
        )
    ]
)


def mapped(maps: CodeMap, **given: Any) -> dict[str, Any]:
    row = {"subject_id": 1, "code": "HOUSE/other", **given}
    kinds = {"int64": "BIGINT", "timestamp(6)": "TIMESTAMP", "string": "VARCHAR", "float64": "DOUBLE"}
    with duckdb.connect() as connection:
        columns = ", ".join(f'"{name}" {kinds[kind]}' for name, kind in EVERY.items())
        connection.execute(f"CREATE TABLE events ({columns})")
        connection.execute(
            f"INSERT INTO events VALUES ({', '.join('?' for _ in EVERY)})", [row.get(name) for name in EVERY]
        )
        sql = compiled(apply_code_maps(ibis.table(dict(EVERY), name="events"), maps), dialect="duckdb")
        (found,) = connection.execute(sql).fetchall()
    return dict(zip(EVERY, found, strict=True))


def test_a_code_is_replaced_and_kept_as_the_source_code() -> None:
    found = mapped(MAP, code="HOUSE/crea", numeric_value=1.0)
    assert (found["code"], found["source_code"], found["unit"]) == ("LOINC/2160-0", "HOUSE/crea", "mg/dL")


def test_what_was_recorded_decides_where_the_code_says_something_else() -> None:
    found = mapped(MAP, code="OMOP/0", source_code="HOUSE/crea")
    assert (found["code"], found["source_code"]) == ("LOINC/2160-0", "HOUSE/crea")


def test_a_coded_value_is_replaced() -> None:
    assert mapped(MAP, value_code="HOUSE/pos")["value_code"] == "SNOMED/10828004"


@pytest.mark.parametrize("given", [{"numeric_value": 1.0, "unit": "umol/L"}, {"unit": None}])
def test_a_unit_is_given_only_to_numbers_without_one(given: dict[str, Any]) -> None:
    assert mapped(MAP, code="HOUSE/crea", **given)["unit"] == given["unit"]


@pytest.mark.parametrize("code", ["OLD/x", "HOUSE/nobody", "LOINC/2160-0"])
def test_what_no_line_applies_to_stays_as_it_is(code: str) -> None:
    found = mapped(MAP, code=code)
    assert (found["code"], found["source_code"]) == (code, None)


def test_a_code_with_a_quote_is_a_code() -> None:
    assert mapped(MAP, code="HOUSE/it's")["code"] == "LOINC/1-8"


def test_no_map_leaves_events_alone() -> None:
    assert mapped(CodeMap(), code="HOUSE/crea")["code"] == "HOUSE/crea"


def test_postgresql_gives_the_same_answer(postgres_server: PostgresServer) -> None:
    kinds = {"int64": "bigint", "timestamp(6)": "timestamp", "string": "text", "float64": "double precision"}
    columns = ", ".join(f'"{name}" {kinds[kind]}' for name, kind in EVERY.items())
    place = f"host={postgres_server.socket} user={postgres_server.user} dbname={postgres_server.database}"
    sql = compiled(apply_code_maps(ibis.table(dict(EVERY), name="events"), MAP), dialect="postgres")
    with psycopg.connect(place) as connection:
        connection.execute(f"CREATE TEMPORARY TABLE events ({columns})")
        connection.execute("INSERT INTO events (subject_id, code, numeric_value) VALUES (1, 'HOUSE/crea', 2)")
        found = dict(zip(EVERY, connection.execute(sql).fetchall()[0], strict=True))
    assert found == mapped(MAP, code="HOUSE/crea", numeric_value=2.0)

"""The same picks give the same rows from a folder of CSV, a folder of Parquet, a DuckDB file and PostgreSQL."""

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal
from tests.conftest import PostgresServer
from tests.source.omop.conftest import as_duckdb, as_parquet, as_postgres, rows, source

from wardgate.hospital.ward.source.events import EVERY, PERIODS, PERSONS, PICKED, Pick
from wardgate.records.concepts import Concept
from wardgate.records.source_file import SourceFile


def snomed(code: str, **more: object) -> Concept:
    return Concept(vocabulary="SNOMED", code=code, **more)


PICKS = (
    Pick(name="weight", concepts=(Concept(vocabulary="LOINC", code="29463-7"),)),
    Pick(name="kilogram twice", concepts=(Concept(vocabulary="LOINC", code="29463-7"), Concept(concept_id=3025315))),
    Pick(name="as recorded", concepts=(snomed("650", source=True, descendants=True), snomed("10509002", source=True))),
    Pick(name="conditions", concepts=(Concept(concept_id=372328), Concept(concept_id=196523)), table="condition"),
    Pick(name="female", concepts=(Concept(vocabulary="Gender", code="F"),)),
    Pick(name="inpatient", concepts=(Concept(vocabulary="Visit", code="IP"),)),
    Pick(name="icd9", concepts=(Concept(vocabulary="ICD9CM", code="787", source=True, descendants=True),)),
    Pick(name="custom", concepts=(Concept(concept_id=2000030021, source=True),)),
    Pick(name="death", concepts=()),
)
"""Of both data sets; each of them has some."""


@pytest.mark.data
@pytest.mark.parametrize(
    ("data", "version"), [("synthea_omop", "5.4"), pytest.param("mimic4_demo_omop", "5.3", marks=pytest.mark.slow)]
)
def test_four_forms_of_one_cdm_answer_alike(
    data: str, version: str, data_folder: Path, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    folder = data_folder / data
    as_duckdb(folder, tmp_path / "cdm.duckdb")
    as_parquet(folder, tmp_path / "parquet")
    settings = as_postgres(folder, postgres_server.socket, data)
    forms = [
        (tmp_path / "parquet", None),
        (tmp_path / "cdm.duckdb", None),
        (tmp_path, settings),
    ]
    with source(folder) as csv:
        assert csv.name == f"OMOP CDM {version} in {data}"
        expected = _answers(csv)
        codes, noticed = csv.codes(PICKS), csv.noticed()
    picked = expected["picked"]
    assert picked.height > 0
    assert dict(zip(picked.columns, map(str, picked.dtypes), strict=True))["pick"] == "Int16"
    per_pick = dict(picked.group_by("pick").len().rows())
    if data == "synthea_omop":
        assert per_pick[0] == per_pick[1] == 511
        assert per_pick[4] == 13
    else:
        assert per_pick[6] > 0
        assert per_pick[7] > 0
    for place, given in forms:
        with source(place, given) as other:
            found = _answers(other)
            for name, table in expected.items():
                assert_frame_equal(table, found[name])
            assert other.codes(PICKS) == codes
            assert other.noticed() == noticed
            other.check_unchanged()


def _answers(found):
    expressions = {
        "picked": (found.picked(PICKS), PICKED),
        "persons": (found.persons(), PERSONS),
        "periods": (found.periods(), PERIODS),
        "every": (found.every(), EVERY),
    }
    tables = {}
    for name, (expression, schema) in expressions.items():
        tables[name] = rows(found, expression)
        assert tables[name].columns == list(schema)
    return tables


def test_capitals_tabs_and_gzip_change_nothing(tiny, write) -> None:
    """Names of files and columns are of any case; vocabularies come with tabs."""
    shouted = {table.upper(): [lines[0].upper(), *lines[1:]] for table, lines in tiny.items()}
    with source(write(tiny)) as plain:
        expected = rows(plain, plain.every())
    for name, end, between in (("a", ".CSV", ","), ("b", ".tsv", "\t"), ("c", ".csv", "\t"), ("d", ".csv.gz", ",")):
        with source(write(shouted, name=name, end=end, between=between)) as other:
            assert_frame_equal(expected, rows(other, other.every()))


def test_a_zone_makes_times_with_an_offset_local(tiny, write) -> None:
    tiny["measurement"][1] = tiny["measurement"][1].replace("2020-01-01 10:00:00", "2020-01-01T09:00:00Z")
    place = write(tiny)
    settings = SourceFile(kind="omop", place=place.name, timezone="Europe/Vienna")
    with source(place, settings) as found:
        table = rows(found, found.picked([Pick(name="creatinine", concepts=(Concept(concept_id=3016723),))]))
        assert str(table["time"][0]) == "2020-01-01 10:00:00"
        assert not any("datetime" in one.what for one in found.noticed())
    with source(place) as found:
        (said,) = [one for one in found.noticed() if "datetime" in one.what]
        assert (said.what, said.count) == ("measurement: cells of measurement_datetime that are no date with time", 1)

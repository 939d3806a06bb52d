"""One CDM in four forms: a folder of CSV, a folder of Parquet, a DuckDB file and a schema of PostgreSQL."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl
import psycopg
import pytest

from wardgate.hospital.ward.source.events import Expression
from wardgate.hospital.ward.source.omop.opened import Omop, opened_omop
from wardgate.records.source_file import Postgres, SourceFile

READ = (
    *("person", "visit_occurrence", "visit_detail", "condition_occurrence", "drug_exposure", "procedure_occurrence"),
    *("device_exposure", "measurement", "observation", "death", "observation_period"),
    *("concept", "concept_ancestor", "cdm_source", "2b_concept"),
)


def kind(column: str) -> str:
    """The type that the CDM gives a column, by its name."""
    name = column.lower()
    if name.endswith("_concept_code"):
        return "varchar"
    if name.endswith("_datetime"):
        return "timestamp"
    if name.endswith("_date"):
        return "date"
    if name in ("year_of_birth", "month_of_birth", "day_of_birth"):
        return "integer"
    if name in ("value_as_number", "range_low", "range_high", "quantity"):
        return "numeric"
    if name.endswith("concept_id") or name in ("person_id", "visit_occurrence_id", "visit_detail_id"):
        return "bigint"
    return "varchar"


def tables(folder: Path) -> Iterator[tuple[str, Path]]:
    """The CSV files of a folder that are read, by their table."""
    for path in sorted(folder.iterdir()):
        name = path.name.lower().removesuffix(".csv")
        if path.name.lower().endswith(".csv") and name in READ:
            yield name, path


def as_duckdb(folder: Path, file: Path, *, schema: str = "omop") -> Path:
    """Write the tables of a folder into a DuckDB file."""
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for name, path in tables(folder):
            connection.execute(
                f"CREATE TEMP TABLE raw AS SELECT * FROM read_csv('{path}', all_varchar=true, header=true)"
            )
            columns = [row[0] for row in connection.sql("DESCRIBE raw").fetchall()]
            cast = ", ".join(f'CAST("{c}" AS {_duck(kind(c))}) AS "{c.lower()}"' for c in columns)
            insert = name.removeprefix("2b_")
            if name.startswith("2b_"):
                empty = f"SELECT {cast} FROM raw LIMIT 0"
                connection.execute(f'CREATE TABLE IF NOT EXISTS {schema}."{insert}" AS {empty}')
                connection.execute(f'INSERT INTO {schema}."{insert}" BY NAME SELECT {cast} FROM raw')
            else:
                connection.execute(f'CREATE TABLE {schema}."{insert}" AS SELECT {cast} FROM raw')
            connection.execute("DROP TABLE raw")
    return file


def _duck(name: str) -> str:
    return "decimal(18,4)" if name == "numeric" else name


def as_parquet(folder: Path, into: Path) -> Path:
    """Write the tables of a folder as Parquet: `person` as one file, the others as a folder each."""
    into.mkdir()
    with duckdb.connect() as connection:
        for name, path in tables(folder):
            connection.execute(
                f"CREATE TEMP TABLE raw AS SELECT * FROM read_csv('{path}', all_varchar=true, header=true)"
            )
            columns = [row[0] for row in connection.sql("DESCRIBE raw").fetchall()]
            cast = ", ".join(f'CAST("{c}" AS {_duck(kind(c))}) AS "{c}"' for c in columns)
            target = into / f"{name}.parquet"
            if name not in ("person", "2b_concept"):
                (into / name).mkdir()
                target = into / name / "part-0.parquet"
            connection.execute(f"COPY (SELECT {cast} FROM raw) TO '{target}' (FORMAT parquet)")
            connection.execute("DROP TABLE raw")
    return into


def as_postgres(folder: Path, socket: Path, schema: str) -> SourceFile:
    """Write the tables of a folder into a schema of PostgreSQL."""
    with psycopg.connect(host=str(socket), dbname="postgres", user="postgres", autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        connection.execute(f'CREATE SCHEMA "{schema}"')
        for name, path in tables(folder):
            header = path.open(encoding="utf-8-sig").readline().strip().split(",")
            columns = ", ".join(f'"{column.lower()}" {kind(column)}' for column in header)
            insert = name.removeprefix("2b_")
            connection.execute(f'CREATE TABLE IF NOT EXISTS "{schema}"."{insert}" ({columns})')
            named = ", ".join(f'"{column.lower()}"' for column in header)
            copy = f"""COPY "{schema}"."{insert}" ({named}) FROM STDIN (FORMAT csv, HEADER, FORCE_NULL ({named}))"""
            with connection.cursor().copy(copy) as into:
                into.write(path.read_bytes())
    return SourceFile(
        kind="omop", postgres=Postgres(socket=str(socket), database="postgres", user="postgres", tables=schema)
    )


@contextmanager
def source(place: Path, settings: SourceFile | None = None) -> Iterator[Omop]:
    """Open a folder or a DuckDB file."""
    with opened_omop(place.parent, settings or SourceFile(kind="omop", place=place.name), threads=1) as found:
        yield found


def rows(found: Omop, expression: Expression) -> pl.DataFrame:
    """Run an expression to its end; rows sorted, so that two sources can be compared."""
    table = pl.concat(list(found.engine.batches(expression)))
    return table.sort(table.columns, nulls_last=True)


Cdm = dict[str, list[str]]

PERSON = "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,birth_datetime"
CONDITION = (
    "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_start_datetime,"
    "condition_end_date,condition_end_datetime,visit_occurrence_id,condition_source_value,condition_source_concept_id"
)
MEASUREMENT = (
    "measurement_id,person_id,measurement_concept_id,measurement_date,measurement_datetime,value_as_number,"
    "value_as_concept_id,unit_concept_id,visit_occurrence_id,measurement_source_value,measurement_source_concept_id,"
    "unit_source_value,value_source_value"
)
VISIT = (
    "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_start_datetime,visit_end_date,"
    "visit_end_datetime,visit_source_value,visit_source_concept_id"
)
CONCEPT = "concept_id,concept_name,vocabulary_id,standard_concept,concept_code"


@pytest.fixture
def tiny() -> Cdm:
    """A small CDM with everything that is hard in it, by table."""
    return {
        "person": [
            PERSON,
            "1,8507,1950,2,31,",
            "2,8532,1960,,,",
            "3,8532,1970,5,,",
            "4,0,1980,1,1,1980-01-01 06:30:00",
        ],
        "visit_occurrence": [
            VISIT,
            "10,1,9201,2020-01-01,2020-01-01 08:00:00,2020-01-05,2020-01-05 12:00:00,,0",
            "11,2,9203,2020-02-01,,2020-02-01,,,0",
        ],
        "condition_occurrence": [
            CONDITION,
            "1,1,201826,2020-01-01,2020-01-01 09:00:00,,,10,E11.9,45561952",
            "2,2,201826,2020-02-01,,,,11,E11.9,45561952",
            "3,2,443767,2020-02-01,,2020-03-01,,11,E11.3,45561953",
            "4,3,0,2020-03-01,,,,,E11.65  ,0",
            "5,3,4329847,2020-03-02,,,,,I21.0,45561954",
        ],
        "measurement": [
            MEASUREMENT,
            "1,1,3016723,2020-01-01,2020-01-01 10:00:00,1.2,,8840,10,2160-0,3016723,mg/dL,",
            "2,1,3016723,2020-01-02,,106,,0,10,2160-0,3016723,umol/l,",
            "3,2,3016723,2020-02-01,,0.9,,,11,2160-0,3016723,,",
            "4,2,3000001,2020-02-01,2020-02-01 11:00:00,,4181412,,11,culture,0,,positive",
            "5,2,3000001,2020-02-02,2020-02-02 11:00:00,,4132135,,11,culture,0,,negative",
        ],
        "observation_period": [
            "observation_period_id,person_id,observation_period_start_date,observation_period_end_date",
            "1,1,2010-01-01,2021-01-01",
            "2,2,2010-01-01,2021-01-01",
        ],
        "death": ["person_id,death_date,death_datetime", "1,2020-06-01,2020-06-01 04:00:00", "1,2020-06-02,"],
        "concept": [
            CONCEPT,
            "201826,Type 2 diabetes,SNOMED,S,44054006",
            "443767,Eye disorder due to diabetes,SNOMED,S,4855003",
            "201820,Diabetes,SNOMED,S,73211009",
            "4329847,Myocardial infarction,SNOMED,S,22298006",
            "45561952,E11.9,ICD10CM,,E11.9",
            "45561953,E11.3,ICD10CM,,E11.3",
            "45561954,I21.0,ICD10CM,,I21.0",
            "3016723,Creatinine,LOINC,S,2160-0",
            "3000001,Culture,LOINC,S,600-7",
            "4181412,Present,SNOMED,S,52101004",
            "4132135,Absent,SNOMED,S,2667000",
            "8840,mg/dL,UCUM,S,mg/dL",
        ],
        "concept_ancestor": [
            "ancestor_concept_id,descendant_concept_id",
            "201820,201820",
            "201820,201826",
            "201820,443767",
            "201826,201826",
        ],
        "cdm_source": ["cdm_source_name,cdm_version", "tiny,v5.4.0"],
    }


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a CDM as a folder of CSV files."""

    def into(cdm: Cdm, *, name: str = "cdm", end: str = ".csv", between: str = ",") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for table, lines in cdm.items():
            text = "".join(line.replace(",", between) + "\n" for line in lines).encode()
            (folder / f"{table}{end}").write_bytes(gzip.compress(text) if end.endswith(".gz") else text)
        return folder

    return into


def cells(frame: pl.DataFrame, *columns: str) -> Sequence[tuple[object, ...]]:
    """Rows of some columns, sorted as text."""
    return sorted(frame.select(columns).rows(), key=str)

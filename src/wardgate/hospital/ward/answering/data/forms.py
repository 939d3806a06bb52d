"""A hospital's records in other forms: as MEDS for its own tools, and as SQL for its own warehouse."""

import json
from collections.abc import Mapping
from pathlib import Path

import sqlglot

from wardgate.formats.meds import VERSION
from wardgate.hospital.ward.cohort.from_events.picks import picks_of
from wardgate.hospital.ward.source.duckdb_engine import compiled
from wardgate.hospital.ward.source.events import Expression
from wardgate.hospital.ward.source.meds.written import PATIENTS, Written, write_meds
from wardgate.hospital.ward.source.omop.export import export_expressions
from wardgate.hospital.ward.source.omop.tables import unbound_tables
from wardgate.hospital.ward.source.opening import opened, place_of
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

DIALECTS: Mapping[str, str] = {
    "bigquery": "bigquery",
    "databricks": "databricks",
    "duckdb": "duckdb",
    "postgres": "postgres",
    "snowflake": "snowflake",
    "spark": "databricks",
}
"""What a hospital calls its warehouse, to the dialect in which Ibis writes; Databricks speaks Spark's SQL."""

_README = """\
Export job of study {study} (sha256 {sha256}) for {dialect}. The statements hold no patients; their results do.

1. Run events.sql and store its rows as Parquet files in data/.
2. Run codes.sql and store its rows as metadata/codes.parquet.
3. Put dataset.json into metadata/.
4. On the machine of the ward: wardgate data check --study STUDY --source THIS_FOLDER

The result is a MEDS {version} data set of the events that the study asks for, and of nobody and nothing else than that.
Times must stay without a zone, in the hospital's local time; column names in lower case.
"""


def convert(where: str, target: Path, *, name: str, memory_limit_mb: int) -> Written:
    """Write a source of records as MEDS 0.4, all or nothing. What is written are real patients.

    Raises:
        Invalid: the source cannot be read, holds one table, changed meanwhile, or the target exists.
    """
    place = place_of(where)
    with opened(place.folder, place.settings, memory_limit_mb=memory_limit_mb) as source:
        return write_meds(source, target, name=name, codes=source.code_table())


def warehouse_sql(study: Study, dialect: str, *, schema: str | None) -> Mapping[str, str]:
    """Compile the events that a study asks of an OMOP warehouse, for the hospital's own export job.

    Returns:
        Files by name: two statements, the metadata of the data set that their rows make, and what to do.

    Raises:
        Invalid: an unknown dialect, or a study that asks for no events.
    """
    if dialect not in DIALECTS:
        raise Invalid(f"found dialect '{dialect}', expected one of {', '.join(DIALECTS)}")
    if not study.of_events:
        raise Invalid(f"study '{study.id}' asks for the fields of one table; only a study of events can be compiled")
    exported = export_expressions(unbound_tables(schema, upper=dialect == "snowflake"), picks_of(study))
    long = exported["codes"]
    codes = long.group_by("code", "concept_id").aggregate(parent_codes=long.parent.collect())
    texts = {"dialect": dialect, "study": study.id, "sha256": study.fingerprint(), "version": VERSION}
    dataset = {"dataset_name": f"{PATIENTS}: {study.id}", "etl_name": "wardgate", "meds_version": VERSION}
    return {
        "events.sql": _sql(exported["events"], dialect),
        "codes.sql": _sql(codes, dialect),
        "dataset.json": json.dumps(dataset, indent=2) + "\n",
        "README.txt": _README.format(**texts),
    }


def _sql(expression: Expression, dialect: str) -> str:
    text = compiled(expression, dialect=DIALECTS[dialect], pretty=True)
    if dialect != DIALECTS[dialect]:
        (text,) = sqlglot.transpile(text, read=DIALECTS[dialect], write=dialect, pretty=True)
    return f"{text};\n"

"""Made-up records of one hospital over DuckDB, clean unless a test changes them, for the checks of records."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import duckdb
import ibis
import numpy as np
import polars as pl

from wardgate.hospital.ward.source.duckdb_engine import DuckEngine
from wardgate.hospital.ward.source.events import EVERY, Noticed
from wardgate.hospital.ward.source.over_events import CODES, OverEvents

OPENS, DAYS = datetime(2015, 1, 1), 6 * 365

SCHEMA = {
    "subject_id": pl.Int64,
    "time": pl.Datetime("us"),
    "end": pl.Datetime("us"),
    "code": pl.String,
    "source_code": pl.String,
    "numeric_value": pl.Float64,
    "text_value": pl.String,
    "value_code": pl.String,
    "unit": pl.String,
    "visit": pl.Int64,
    "table": pl.String,
}


def records(persons: int, rng: np.random.Generator) -> pl.DataFrame:
    """Events of a clean hospital: births, deaths, stays and laboratory values inside them."""
    people = np.arange(1, persons + 1)
    born = OPENS - pl.Series(rng.integers(20 * 365, 90 * 365, persons)) * timedelta(days=1)
    parts = [_rows(subject_id=people, time=born, code="MEDS_BIRTH")]
    owner = np.repeat(people, rng.integers(1, 4, persons))
    start = OPENS + pl.Series(rng.integers(0, DAYS * 24 * 60, len(owner))) * timedelta(minutes=1)
    end = start + pl.Series(rng.integers(12 * 60, 8 * 24 * 60, len(owner))) * timedelta(minutes=1)
    visit = np.arange(len(owner)) + 1
    stays = pl.DataFrame({"subject_id": owner, "time": start, "end": end, "visit": visit})
    parts.append(_rows(**dict(stays.to_dict()), code="Visit/IP", table="visit"))
    for code, unit, centre, spread, often in (
        ("LOINC/2160-0", "mg/dL", 1.0, 0.4, 3),
        ("LOINC/2823-3", "mmol/L", 4.1, 0.1, 3),
        ("LOINC/8867-4", "/min", 85.0, 0.18, 4),
    ):
        many = stays.sample(n=len(owner) * often, with_replacement=True, seed=int(rng.integers(1 << 31)))
        at = many["time"] + (many["end"] - many["time"]) * pl.Series(rng.random(many.height))
        value = centre * np.exp(rng.normal(0.0, spread, many.height))
        parts.append(
            _rows(
                subject_id=many["subject_id"],
                time=at,
                code=code,
                numeric_value=value,
                unit=unit,
                visit=many["visit"],
                table="measurement",
            )
        )
    for code, share in (("ICD10/E11", 0.2), ("ICD10/E10", 0.1)):
        some = stays.filter(pl.Series(rng.random(stays.height) < share))
        parts.append(
            _rows(
                subject_id=some["subject_id"],
                time=some["end"],
                code=code,
                source_code=code,
                visit=some["visit"],
                table="condition",
            )
        )
    last = stays.group_by("subject_id").agg(pl.col("end").max()).sort("subject_id")
    dead = last.filter(pl.Series(rng.random(last.height) < 0.15))
    parts.append(_rows(subject_id=dead["subject_id"], time=dead["end"], code="MEDS_DEATH", table="death"))
    return pl.concat(parts)


def _rows(**columns: object) -> pl.DataFrame:
    frame = pl.DataFrame({name: column for name, column in columns.items() if not isinstance(column, str)})
    frame = frame.with_columns(**{name: pl.lit(column) for name, column in columns.items() if isinstance(column, str)})
    missing = {name: pl.lit(None, dtype=kind) for name, kind in SCHEMA.items() if name not in frame.columns}
    return frame.with_columns(**missing).select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())


@contextmanager
def source(events: pl.DataFrame, *, found: Callable[[], tuple[Noticed, ...]] = tuple) -> Iterator[OverEvents]:
    """The events as a source."""
    connection = duckdb.connect(config={"threads": 1})
    try:
        connection.register("given", events.to_arrow())
        connection.execute("CREATE TABLE events AS SELECT * FROM given")
        connection.execute(
            "CREATE TABLE codes AS SELECT DISTINCT code, NULL::BIGINT AS concept_id, NULL::VARCHAR AS parent FROM given"
        )
        connection.unregister("given")
        yield OverEvents(
            name="made up",
            kind="meds",
            engine=DuckEngine(name="made up", connection=connection),
            events=ibis.table(dict(EVERY), name="events"),
            code_rows=ibis.table(dict(CODES), name="codes"),
            found=found,
            unchanged=lambda: None,
        )
    finally:
        connection.close()

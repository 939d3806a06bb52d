"""The events of any source as OMOP CDM 5.4 tables in Parquet, with a small vocabulary of their own.

    .venv/bin/python examples/eicu/to_omop.py FOLDER OUT

FOLDER is a hospital's folder with `source.yaml`; OUT must not exist. Concept ids start above 2,000,000,000, the range
that OMOP leaves to everybody's own concepts. Hospital stays become visits, unit stays details of them. What a table of
OMOP has no place for is left out: the text of a drug, and the text beside a procedure.
"""

import datetime
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from wardgate.hospital.ward.source.events import BIRTH, DEATH, OBSERVED, SEX, EventSource
from wardgate.hospital.ward.source.opening import opened

FIRST_CONCEPT = 2_000_000_001
_GENDER = {f"{SEX}/M": 8507, f"{SEX}/F": 8532}
_INPATIENT, _FROM_RECORD = 9201, 32817
_LONG_AGO, _FAR_OFF = datetime.date(1970, 1, 1), datetime.date(2099, 12, 31)
_PERSONAL = (BIRTH, DEATH, OBSERVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One clinical table: what its columns begin with, and which of the optional ones it has."""

    name: str
    stem: str
    dates: str
    lasting: bool = False
    value: bool = False
    text: str | None = None


FORMS: Mapping[str, Form] = {
    "condition": Form(name="condition_occurrence", stem="condition", dates="condition", lasting=True),
    "drug": Form(name="drug_exposure", stem="drug", dates="drug_exposure", lasting=True),
    "procedure": Form(name="procedure_occurrence", stem="procedure", dates="procedure"),
    "measurement": Form(
        name="measurement", stem="measurement", dates="measurement", value=True, text="value_source_value"
    ),
    "observation": Form(
        name="observation", stem="observation", dates="observation", value=True, text="value_as_string"
    ),
}


def write_omop(source: EventSource, folder: Path) -> None:
    """Write all events of a source. They are held in memory: this is for example data, not for a whole hospital."""
    events = pl.concat(source.engine.batches(source.every()))
    source.check_unchanged()
    events = events.sort("subject_id", "time", "source_code", "code", "numeric_value", "visit")
    concepts = _concepts(events)
    ids = concepts.select("key", "concept_id")
    events = (
        events.join(ids.rename({"key": "code", "concept_id": "own"}), on="code", how="left")
        .join(ids.rename({"key": "source_code", "concept_id": "source"}), on="source_code", how="left")
        .join(ids.rename({"key": "value_code", "concept_id": "coded"}), on="value_code", how="left")
        .join(
            ids.filter(pl.col("key").str.starts_with("UCUM/")).select(
                pl.col("key").str.strip_prefix("UCUM/").alias("unit"), pl.col("concept_id").alias("unit_id")
            ),
            on="unit",
            how="left",
        )
        .with_columns(standard=pl.when(pl.col("code") == pl.col("source_code")).then(0).otherwise(pl.col("own")))
    )
    stays = _hospital_stays(events)
    details = _unit_stays(events, stays)
    placed = details.select(
        pl.col("visit_detail_id").alias("visit"), pl.col("visit_occurrence_id").alias("stay")
    ).unique("visit", keep="first", maintain_order=True)
    events = events.join(placed, on="visit", how="left", maintain_order="left")
    folder.mkdir(parents=True)
    tables = {
        "person": _person(events),
        "death": _death(events),
        "observation_period": _periods(stays),
        "visit_occurrence": _visits(stays),
        "visit_detail": details,
        **{form.name: _clinical(events.filter(pl.col("table") == name), form) for name, form in FORMS.items()},
        "concept": concepts.drop("key"),
        "concept_ancestor": _ancestors(concepts),
        "cdm_source": pl.DataFrame({"cdm_source_name": ["Wardgate example"], "cdm_version": ["v5.4"]}),
    }
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")


def _concepts(events: pl.DataFrame) -> pl.DataFrame:
    """One concept for every code, coded value and unit; standard are those that a code was mapped to, and units."""
    mapped = events.filter(pl.col("code") != pl.col("source_code"))["code"].unique()
    units = "UCUM/" + events["unit"].drop_nulls().unique()
    codes = pl.concat([events[name].drop_nulls().unique() for name in ("code", "source_code", "value_code")])
    keys = pl.concat([codes.filter(~codes.is_in(list(_PERSONAL))), units, _categories(codes)]).unique().sort()
    parts = keys.str.splitn("/", 2).struct
    standard = keys.is_in(mapped.implode()) | keys.is_in(units.implode()) | keys.is_in(list(_GENDER))
    own = pl.int_range(FIRST_CONCEPT, FIRST_CONCEPT + keys.len(), eager=True)
    table = pl.DataFrame({"key": keys, "own": own, "vocabulary_id": parts.field("field_0"), "standard": standard})
    return table.with_columns(
        concept_id=pl.col("key").replace_strict(_GENDER, default=pl.col("own"), return_dtype=pl.Int64),
        concept_name=pl.col("key"),
        concept_code=parts.field("field_1"),
        domain_id=pl.lit("Metadata"),
        concept_class_id=pl.lit("Undefined"),
        standard_concept=pl.when("standard").then(pl.lit("S")),
        valid_start_date=pl.lit(_LONG_AGO),
        valid_end_date=pl.lit(_FAR_OFF),
        invalid_reason=pl.lit(None, dtype=pl.String),
    ).drop("own", "standard")


def _categories(codes: pl.Series) -> pl.Series:
    """What stands above the codes of ICD, as a real vocabulary has it: `R65.2` and `R65` for `R65.20`."""
    of_icd = codes.filter(codes.str.starts_with("ICD") & codes.str.contains(".", literal=True))
    above = {code[:end] for code in of_icd for end in range(code.index("."), len(code))}
    return pl.Series(sorted(code.rstrip(".") for code in above), dtype=pl.String)


def _ancestors(concepts: pl.DataFrame) -> pl.DataFrame:
    """Every standard concept stands above itself; the events tell of no other order."""
    own = concepts.filter(pl.col("standard_concept") == "S")["concept_id"]
    levels = pl.lit(0, dtype=pl.Int64)
    return pl.DataFrame({"ancestor_concept_id": own, "descendant_concept_id": own}).with_columns(
        min_levels_of_separation=levels, max_levels_of_separation=levels
    )


def _person(events: pl.DataFrame) -> pl.DataFrame:
    births = events.filter(pl.col("code") == BIRTH).group_by("subject_id").agg(birth=pl.col("time").min())
    sexes = events.filter(pl.col("code").is_in(list(_GENDER))).group_by("subject_id").agg(gender=pl.col("own").first())
    persons = events.select("subject_id").unique().sort("subject_id")
    table = persons.join(births, on="subject_id", how="left").join(sexes, on="subject_id", how="left")
    return table.sort("subject_id").select(
        person_id="subject_id",
        gender_concept_id=pl.col("gender").fill_null(0),
        year_of_birth=pl.col("birth").dt.year().cast(pl.Int64),
        month_of_birth=pl.col("birth").dt.month().cast(pl.Int64),
        day_of_birth=pl.col("birth").dt.day().cast(pl.Int64),
        birth_datetime="birth",
        race_concept_id=pl.lit(0, dtype=pl.Int64),
        ethnicity_concept_id=pl.lit(0, dtype=pl.Int64),
    )


def _death(events: pl.DataFrame) -> pl.DataFrame:
    dead = events.filter(pl.col("code") == DEATH).sort("subject_id")
    return dead.select(
        person_id="subject_id",
        death_date=pl.col("time").dt.date(),
        death_datetime="time",
        death_type_concept_id=pl.lit(_FROM_RECORD, dtype=pl.Int64),
    )


def _hospital_stays(events: pl.DataFrame) -> pl.DataFrame:
    """Observed times, numbered: in the data of this example each is a stay in hospital."""
    found = events.filter(pl.col("code") == OBSERVED).select("subject_id", "time", "end").unique()
    return found.sort("subject_id", "time", "end").with_row_index("number", offset=1).cast({"number": pl.Int64})


def _periods(stays: pl.DataFrame) -> pl.DataFrame:
    return stays.select(
        observation_period_id="number",
        person_id="subject_id",
        observation_period_start_date=pl.col("time").dt.date(),
        observation_period_end_date=pl.col("end").dt.date(),
        period_type_concept_id=pl.lit(_FROM_RECORD, dtype=pl.Int64),
    )


def _visits(stays: pl.DataFrame) -> pl.DataFrame:
    return stays.select(
        visit_occurrence_id="number",
        person_id="subject_id",
        visit_concept_id=pl.lit(_INPATIENT, dtype=pl.Int64),
        visit_start_date=pl.col("time").dt.date(),
        visit_start_datetime="time",
        visit_end_date=pl.col("end").dt.date(),
        visit_end_datetime="end",
        visit_type_concept_id=pl.lit(_FROM_RECORD, dtype=pl.Int64),
    )


def _unit_stays(events: pl.DataFrame, stays: pl.DataFrame) -> pl.DataFrame:
    """Visits of the source as details of the stay in hospital in which they began."""
    units = events.filter(pl.col("table") == "visit")
    spans = stays.select("subject_id", "number", opens=pl.col("time"), closes=pl.col("end"))
    within = (
        units.select("subject_id", "visit", "time")
        .join(spans, on="subject_id")
        .filter(pl.col("time").is_between("opens", "closes"))
        .sort("visit", "opens")
        .unique("visit", keep="first", maintain_order=True)
        .select("visit", "number")
    )
    return units.join(within, on="visit", how="left", maintain_order="left").select(
        visit_detail_id="visit",
        person_id="subject_id",
        visit_detail_concept_id=pl.col("standard").cast(pl.Int64),
        visit_detail_start_date=pl.col("time").dt.date(),
        visit_detail_start_datetime="time",
        visit_detail_end_date=pl.col("end").dt.date(),
        visit_detail_end_datetime="end",
        visit_detail_type_concept_id=pl.lit(_FROM_RECORD, dtype=pl.Int64),
        visit_occurrence_id="number",
        visit_detail_source_value="source_code",
        visit_detail_source_concept_id="source",
    )


def _clinical(events: pl.DataFrame, form: Form) -> pl.DataFrame:
    start = f"{form.dates}_start_" if form.lasting else f"{form.dates}_"
    columns = {
        f"{form.name}_id": pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
        "person_id": pl.col("subject_id"),
        f"{form.stem}_concept_id": pl.col("standard").cast(pl.Int64),
        f"{start}date": pl.col("time").dt.date(),
        f"{start}datetime": pl.col("time"),
        f"{form.stem}_type_concept_id": pl.lit(_FROM_RECORD, dtype=pl.Int64),
        "visit_occurrence_id": pl.col("stay"),
        "visit_detail_id": pl.col("visit"),
        f"{form.stem}_source_value": pl.col("source_code"),
        f"{form.stem}_source_concept_id": pl.col("source"),
    }
    if form.lasting:
        columns |= {f"{form.dates}_end_date": pl.col("end").dt.date(), f"{form.dates}_end_datetime": pl.col("end")}
    if form.value:
        columns |= {
            "value_as_number": pl.col("numeric_value"),
            "value_as_concept_id": pl.col("coded"),
            "unit_concept_id": pl.col("unit_id"),
            "unit_source_value": pl.col("unit"),
        }
    if form.text is not None:
        columns[form.text] = pl.col("text_value")
    return events.select(**columns)


if __name__ == "__main__":
    with opened(Path(sys.argv[1])) as given:
        write_omop(given, Path(sys.argv[2]))

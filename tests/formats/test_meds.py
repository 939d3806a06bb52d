"""MEDS 0.4: what we write pleases the standard's schemas, what we read is as it was, what is broken is told."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import meds
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from wardgate.formats.meds import NOTHING, SYNTHETIC, arrows, from_meds, to_meds
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

PLAN = Dictionary(
    features=(
        Feature(name="sex", type="category", values=("female", "male")),
        Feature(name="age", type="number", unit="a", range=(0, 120)),
        Feature(name="pulse", type="number", unit="/min", range=(0, 300), codes={"loinc": "8867-4"}, meaning="Pulse"),
        Feature(name="ward", type="category", values=("general", "intensive care")),
        Feature(name="oxygen", type="boolean"),
    ),
    label="died",
    person="patient",
    time="hours",
    static=("sex", "age"),
)


def some(persons: int = 40, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    whose = np.repeat(np.arange(persons) * 7 + 3, 5)
    rows = len(whose)
    table = pl.DataFrame(
        {
            "patient": whose,
            "hours": np.tile(np.array([0.0, 0.25, 1.5, 20.01, 99.99]), persons),
            "sex": np.repeat(rng.choice(["female", "male"], persons), 5),
            "age": np.repeat(rng.uniform(20, 90, persons), 5),
            "pulse": rng.normal(80, 9, rows),
            "ward": rng.choice(["general", "intensive care"], rows),
            "oxygen": rng.integers(0, 2, rows).astype(float),
            "label": np.repeat(rng.integers(0, 2, persons), 5).astype(np.int8),
        }
    )
    gone = [pl.Series(rng.random(rows) < 0.4) for _ in range(3)]
    return table.with_columns(
        pl.when(~away).then(pl.col(name)).alias(name)
        for name, away in zip(("pulse", "ward", "oxygen"), gone, strict=True)
    )


def test_what_is_written_pleases_the_schemas_of_the_standard() -> None:
    found = to_meds(some(), PLAN, name="test", synthetic=True, splits={"train": [3, 10], "held_out": [17]})
    tables = arrows(found)
    meds.DataSchema.validate(tables[f"{meds.data_subdirectory}/0.parquet"])
    meds.CodeMetadataSchema.validate(tables[Path(meds.code_metadata_filepath).as_posix()])
    meds.DatasetMetadataSchema.validate(dict(found.dataset))
    meds.LabelSchema.validate(tables["labels/0.parquet"])
    meds.SubjectSplitSchema.validate(tables[Path(meds.subject_splits_filepath).as_posix()])


def test_a_synthetic_dataset_says_so() -> None:
    assert to_meds(some(), PLAN, name="test", synthetic=True).dataset["dataset_name"] == f"{SYNTHETIC}: test"


def test_there_and_back_is_the_same_table() -> None:
    table = some()
    assert table.filter(pl.all_horizontal(pl.col("pulse", "ward", "oxygen").is_null())).height
    found = to_meds(table, PLAN, name="test", synthetic=True)
    assert NOTHING in found.codes["code"]
    assert_frame_equal(from_meds(found.data, PLAN, labels=found.labels), table, check_exact=True)


def test_events_of_a_subject_are_together_by_time_statics_first() -> None:
    data = to_meds(some(), PLAN, name="test", synthetic=True).data
    assert data["subject_id"].is_sorted()
    for _, part in data.group_by("subject_id"):
        assert part["time"].is_sorted(nulls_last=False)
        assert part["time"][:2].null_count() == 2 and part["time"].null_count() == 2


def test_codes_name_their_terminology() -> None:
    codes = to_meds(some(), PLAN, name="test", synthetic=True).codes
    assert codes.filter(pl.col("code") == "pulse").row(0) == ("pulse", "Pulse [/min]", ["LOINC/8867-4"])
    assert codes.filter(pl.col("code") == "ward//intensive care").height == 1


def test_without_a_public_index_hours_count_from_the_first_event() -> None:
    found = to_meds(some(), PLAN, name="test", synthetic=True, index=datetime(1987, 5, 4, 3))
    assert_frame_equal(from_meds(found.data, PLAN, labels=found.labels, index=None), some(), check_exact=True)


def test_32_bit_values_alone_are_read() -> None:
    found = to_meds(some(), PLAN, name="test", synthetic=True)
    back = from_meds(found.data.drop("numeric_value_64"), PLAN, labels=found.labels)
    assert np.nanmax(np.abs(back["pulse"].to_numpy() - some()["pulse"].to_numpy())) < 1e-4


def test_unknown_codes_may_be_dropped() -> None:
    found = to_meds(some(), PLAN, name="test", synthetic=True)
    other = found.data[:3].with_columns(code=pl.lit("MEDS_BIRTH"))
    back = from_meds(pl.concat((other, found.data)), PLAN, labels=found.labels, unknown="drop")
    assert_frame_equal(back, some(), check_exact=True)


Data = pl.DataFrame
MUSEUM: dict[str, tuple[Callable[[Data], Data], str]] = {
    "no subject": (lambda data: data.drop("subject_id"), "subject_id"),
    "no time": (lambda data: data.drop("time"), "time"),
    "no code": (lambda data: data.drop("code"), "code"),
    "subjects are text": (lambda data: data.with_columns(pl.lit("CANARY").alias("subject_id")), "subject_id"),
    "times are text": (lambda data: data.with_columns(pl.lit("CANARY").alias("time")), "time"),
    "times have a zone": (lambda data: data.with_columns(pl.col("time").dt.replace_time_zone("UTC")), "time"),
    "values are text": (lambda data: data.with_columns(pl.lit("CANARY").alias("numeric_value")), "numeric_value"),
    "codes are numbers": (lambda data: data.with_columns(pl.lit(7).alias("code")), "code"),
    "a null subject": (lambda data: data.with_columns(pl.lit(None, dtype=pl.Int64).alias("subject_id")), "nulls"),
    "a null code": (lambda data: data.with_columns(pl.lit(None, dtype=pl.String).alias("code")), "nulls"),
    "an unknown code": (lambda data: data.with_columns(pl.lit("CANARY").alias("code")), "dictionary"),
    "a category of another ward": (lambda data: data.with_columns(pl.lit("ward//CANARY").alias("code")), "dictionary"),
    "nothing has a time": (
        lambda data: data.with_columns(pl.lit(None, dtype=pl.Datetime("us")).alias("time")),
        "no time",
    ),
    "a pulse without value": (
        lambda data: data.with_columns(
            pl.lit(None, dtype=pl.Float32).alias("numeric_value"),
            pl.lit(None, dtype=pl.Float64).alias("numeric_value_64"),
        ),
        "numeric value",
    ),
    "before the index": (lambda data: data.with_columns(pl.col("time") - pl.duration(days=999)), "negative"),
    "no events": (lambda data: data.clear(), "no rows"),
}


@pytest.mark.parametrize("name", MUSEUM)
def test_broken_events_are_told_without_quoting_them(name: str) -> None:
    found = to_meds(some(), PLAN, name="test", synthetic=True)
    spoil, word = MUSEUM[name]
    with pytest.raises(Invalid, match=word) as caught:
        from_meds(spoil(found.data), PLAN, labels=found.labels)
    assert "CANARY" not in str(caught.value)


def test_labels_must_fit() -> None:
    found = to_meds(some(), PLAN, name="test", synthetic=True)
    assert found.labels is not None
    wrong = (
        None,
        found.labels.drop("boolean_value"),
        pl.concat((found.labels, found.labels)),
        found.labels.cast({"boolean_value": pl.Int8}),
        found.labels[1:],
    )
    for labels in wrong:
        with pytest.raises(Invalid, match="label"):
            from_meds(found.data, PLAN, labels=labels)


def test_persons_must_be_numbers_and_codes_distinct() -> None:
    with pytest.raises(Invalid, match="whole numbers"):
        to_meds(some().cast({"patient": pl.String}), PLAN, name="test", synthetic=True)
    with pytest.raises(Invalid, match="split"):
        to_meds(some(), PLAN, name="test", synthetic=True, splits={"train": [3, 3]})

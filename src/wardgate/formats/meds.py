"""Timelines in the form of the Medical Event Data Standard, MEDS 0.4, and back.

A number or flag becomes an event with the feature's name as code and its value; a category an event `NAME//value`.
Statics are events without a time. Terminology codes of the dictionary stand in the codes table as parents. The label
goes into a table of labels, to be predicted from all rows. `numeric_value` is a 32-bit float in MEDS;
`numeric_value_64`, an extension column, holds the value as it was.

Reference: Medical Event Data Standard 0.4, https://github.com/Medical-Event-Data-Standard/meds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from wardgate.measures.lines import read, shape_of, written
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

VERSION = "0.4.1"

INDEX = datetime(2000, 1, 1)
"""The public date of hour 0 of every synthetic person."""

SYNTHETIC = "SYNTHETIC - NOT REAL PATIENTS"

NOTHING = "NOTHING_MEASURED"
"""Code of a row in which nothing was measured, so that it is not lost."""

EXACT = "numeric_value_64"

DATA = {
    "subject_id": pl.Int64(),
    "time": pl.Datetime("us"),
    "code": pl.String(),
    "numeric_value": pl.Float32(),
    "text_value": pl.String(),
}

_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Meds:
    """The parts of a MEDS dataset; whoever may write files puts each where MEDS wants it.

    Attributes:
        data: Events by subject and time, those without a time first; `data/*.parquet`.
        codes: Every code of `data`, with description and parents; `metadata/codes.parquet`.
        dataset: `metadata/dataset.json`.
        labels: Subject, prediction time and `boolean_value`; None without a label.
        splits: Subject and split; `metadata/subject_splits.parquet`; None where nobody was split.
    """

    data: pl.DataFrame
    codes: pl.DataFrame
    dataset: Mapping[str, Any]
    labels: pl.DataFrame | None = None
    splits: pl.DataFrame | None = None


def arrows(found: Meds) -> dict[str, pa.Table]:
    """Return the tables in the exact Arrow types of MEDS, by the place where each is written, labels apart."""
    tables = {"data/0.parquet": found.data, "metadata/codes.parquet": found.codes}
    tables |= {} if found.labels is None else {"labels/0.parquet": found.labels}
    tables |= {} if found.splits is None else {"metadata/subject_splits.parquet": found.splits}
    return {place: in_arrow(table) for place, table in tables.items()}


def in_arrow(table: pl.DataFrame) -> pa.Table:
    """Return one table of MEDS in its exact Arrow types."""
    strings = {
        "code": pa.string(),
        "description": pa.string(),
        "split": pa.string(),
        "parent_codes": pa.list_(pa.string()),
    }
    arrow = table.to_arrow()
    return arrow.cast(pa.schema([(one.name, strings.get(one.name, one.type)) for one in arrow.schema]))


def to_meds(
    table: pl.DataFrame,
    dictionary: Dictionary,
    *,
    name: str,
    synthetic: bool,
    index: datetime = INDEX,
    splits: Mapping[str, Sequence[int]] | None = None,
) -> Meds:
    """Return timelines as MEDS. Hours are kept to the microsecond, values as they are.

    Args:
        table: In the form of `measures.lines`; persons are whole numbers.
        name: Of the dataset; one that is synthetic says so in front of it.
        index: The date of hour 0. For synthetic persons a public constant; real persons need their own dates and
            never come here.
        splits: Subjects by the name of their split, e.g. `train`, `tuning`, `held_out`.

    Raises:
        Invalid: the table is no timelines (see `lines.read`), persons are no whole numbers, a split names a subject
            that is not there or twice, or a feature cannot be told from another by its code.
    """
    person, time = dictionary.person or "", dictionary.time or ""
    static, changing = shape_of(dictionary)
    _distinct((*static, *changing))
    if person not in table.columns or not table[person].dtype.is_integer():
        raise Invalid(f"MEDS wants whole numbers for subjects; number the persons in column '{person}' first")
    ids = table[person].unique().sort()
    whole = written(read(table, dictionary), dictionary).with_columns(
        pl.col(person).replace_strict(pl.Series(range(len(ids))), ids.cast(pl.Int64), return_dtype=pl.Int64)
    )
    whole = whole.with_columns((pl.lit(index) + pl.duration(microseconds=(pl.col(time) * _HOUR).round())).alias(time))
    first = whole.group_by(person, maintain_order=True).first()
    timeless = pl.lit(None, dtype=pl.Datetime("us"))
    parts = [_events(first.with_columns(timeless.alias(time)), feature, person, time) for feature in static]
    parts += [_events(whole, feature, person, time) for feature in changing]
    empty = whole.filter(pl.all_horizontal(pl.col(feature.name).is_null() for feature in changing))
    parts.append(_frame(empty, person, time, pl.lit(NOTHING), pl.lit(None, dtype=pl.Float64)))
    data = pl.concat(parts).sort("subject_id", "time", maintain_order=True, nulls_last=False)
    labels = None
    if dictionary.label is not None:
        labels = whole.group_by(person, maintain_order=True).agg(pl.col(time).last(), pl.col(LABEL).last() == 1)
        labels = labels.rename({person: "subject_id", time: "prediction_time", LABEL: "boolean_value"})
    mark = f"{SYNTHETIC}: {name}" if synthetic else name
    return Meds(
        data=data,
        codes=_codes((*static, *changing), data),
        dataset={
            "dataset_name": mark,
            "etl_name": "wardgate",
            "meds_version": VERSION,
            "other_extension_columns": [EXACT],
        },
        labels=labels,
        splits=None if splits is None else _splits(splits, set(ids.to_list())),
    )


def _events(table: pl.DataFrame, feature: Feature, person: str, time: str) -> pl.DataFrame:
    """Return what was measured of one feature as events."""
    found = table.filter(pl.col(feature.name).is_not_null())
    if feature.type == "category":
        code = pl.lit(f"{feature.name}//") + pl.col(feature.name)
        return _frame(found, person, time, code, pl.lit(None, dtype=pl.Float64))
    return _frame(found, person, time, pl.lit(feature.name), pl.col(feature.name).cast(pl.Float64))


def _frame(table: pl.DataFrame, person: str, time: str, code: pl.Expr, value: pl.Expr) -> pl.DataFrame:
    return table.select(
        pl.col(person).cast(pl.Int64).alias("subject_id"),
        pl.col(time).cast(pl.Datetime("us")).alias("time"),
        code.cast(pl.String).alias("code"),
        value.cast(pl.Float32).alias("numeric_value"),
        pl.lit(None, dtype=pl.String).alias("text_value"),
        value.alias(EXACT),
    )


def _known(features: Sequence[Feature]) -> dict[str, tuple[Feature, str | None]]:
    """Return what every code means: the feature, and the category where it is one."""
    found: dict[str, tuple[Feature, str | None]] = {}
    for feature in features:
        for value in feature.values or (None,):
            found[feature.name if value is None else f"{feature.name}//{value}"] = (feature, value)
    return found


def _distinct(features: Sequence[Feature]) -> None:
    wanted = sum(len(feature.values or (None,)) for feature in features)
    known = _known(features)
    if len(known) != wanted or NOTHING in known:
        raise Invalid("two features would have the same MEDS code; rename one in the dictionary")


def _codes(features: Sequence[Feature], data: pl.DataFrame) -> pl.DataFrame:
    known = _known(features)
    used = data["code"].unique().sort().to_list()
    described, parents = [], []
    for code in used:
        feature, value = known.get(code, (None, None))
        words = "nothing was measured at this time" if feature is None else (feature.meaning or feature.name)
        unit = f" [{feature.unit}]" if feature is not None and feature.unit else ""
        described.append(words + (f": {value}" if value is not None else unit))
        parents.append([f"{system.upper()}/{one}" for system, one in sorted(feature.codes.items())] if feature else [])
    return pl.DataFrame(
        {"code": used, "description": described, "parent_codes": parents},
        schema={"code": pl.String, "description": pl.String, "parent_codes": pl.List(pl.String)},
    )


def _splits(splits: Mapping[str, Sequence[int]], known: set[int]) -> pl.DataFrame:
    rows = [(int(subject), split) for split, subjects in splits.items() for subject in subjects]
    found = pl.DataFrame(rows, schema={"subject_id": pl.Int64, "split": pl.String}, orient="row")
    if found["subject_id"].n_unique() != found.height or not set(found["subject_id"].to_list()) <= known:
        raise Invalid("a split names a subject twice, or one that has no rows")
    return found


def from_meds(
    data: pl.DataFrame,
    dictionary: Dictionary,
    *,
    labels: pl.DataFrame | None = None,
    index: datetime | None = INDEX,
    unknown: Literal["refuse", "drop"] = "refuse",
) -> pl.DataFrame:
    """Return MEDS events as timelines.

    Args:
        data: Events in any order; text in `text_value` is not read.
        labels: With `boolean_value`, one row a subject; needed where the dictionary names a label.
        index: The date of hour 0; None counts every subject's hours from their own first event.
        unknown: What to do with codes that the dictionary does not name.

    Raises:
        Invalid: a column is absent or of another type, a subject or code is null, a changing feature has no time, a
            number no value, a code is unknown, a time lies before the index, or the labels do not fit.
    """
    person, time = dictionary.person or "", dictionary.time or ""
    static, changing = shape_of(dictionary)
    _distinct((*static, *changing))
    events = _checked(data)
    known = _known((*static, *changing))
    strange = ~events["code"].is_in([*known, NOTHING])
    if strange.any() and unknown == "refuse":
        raise Invalid(
            f"{int(strange.sum())} events have a code that the dictionary does not name; add it, or drop them"
        )
    events = events.filter(~strange)
    start = pl.col("time").min().over("subject_id") if index is None else pl.lit(index)
    passed = events.select((pl.col("time") - start).dt.total_microseconds().alias("passed"))["passed"]
    hours = passed.cast(pl.Float64).to_numpy() / _HOUR  # numpy divides exactly; polars multiplies by the inverse
    events = events.with_columns(pl.Series("__hours", hours, nan_to_null=True))
    moving = {feature.name for feature in changing}
    late = [code for code, (feature, _) in known.items() if feature.name in moving] + [NOTHING]
    timed = events.filter(pl.col("code").is_in(late))
    if timed["time"].null_count():
        raise Invalid("an event of a changing feature has no time; only static ones may lack it")
    rows = timed.select("subject_id", "__hours").unique().sort("subject_id", "__hours")
    for feature in changing:
        found = _column(timed, feature, ["subject_id", "__hours"])
        rows = rows.join(found, on=["subject_id", "__hours"], how="left", maintain_order="left")
    for feature in static:
        found = _column(events, feature, ["subject_id"])
        rows = rows.join(found, on="subject_id", how="left", maintain_order="left")
    if dictionary.label is not None:
        rows = rows.join(_labels(labels), on="subject_id", how="left", maintain_order="left")
    rows = rows.rename({"subject_id": person, "__hours": time})
    names = [person, time, *(feature.name for feature in dictionary.features)]
    rows = rows.select([*names, LABEL] if dictionary.label is not None else names)
    read(rows, dictionary)
    return rows


def _checked(data: pl.DataFrame) -> pl.DataFrame:
    """Return the events in the types of MEDS."""
    for name, kind in DATA.items():
        if name not in data.columns:
            if name in ("numeric_value", "text_value"):
                data = data.with_columns(pl.lit(None, dtype=kind).alias(name))
                continue
            raise Invalid(f"the MEDS data lacks column '{name}'")
        found = data[name].dtype
        same = found == kind or (name == "numeric_value" and found.is_float())
        same |= name == "time" and found.base_type() == pl.Datetime and getattr(found, "time_zone", None) is None
        if not same and not (found == pl.Null() and name != "subject_id"):
            raise Invalid(f"column '{name}' of the MEDS data holds {found.base_type()}, expected {kind}")
    for name in ("subject_id", "code"):
        if data[name].null_count():
            raise Invalid(f"column '{name}' of the MEDS data has nulls; every event needs it")
    exact = pl.col("numeric_value").cast(pl.Float64)
    if EXACT in data.columns and data[EXACT].dtype.is_float():
        exact = pl.coalesce(pl.col(EXACT), exact)
    return data.with_columns(pl.col("time").cast(pl.Datetime("us")), exact.alias("__value"))


def _column(events: pl.DataFrame, feature: Feature, keys: list[str]) -> pl.DataFrame:
    """Return one feature's values by subject and hour, the first of several."""
    if feature.type == "category":
        codes = {f"{feature.name}//{value}": value for value in feature.values or ()}
        found = events.filter(pl.col("code").is_in(list(codes)))
        value = pl.col("code").replace_strict(codes, return_dtype=pl.String) if found.height else pl.col("code")
    else:
        found = events.filter(pl.col("code") == feature.name)
        if found["__value"].null_count():
            raise Invalid(f"an event of '{feature.name}' has no numeric value")
        value = pl.col("__value")
    return found.select(*keys, value.alias(feature.name)).unique(keys, keep="first", maintain_order=True)


def _labels(labels: pl.DataFrame | None) -> pl.DataFrame:
    if labels is None:
        raise Invalid("the dictionary names a label; hand in the MEDS labels")
    kinds = {"subject_id": pl.Int64(), "boolean_value": pl.Boolean()}
    for name, kind in kinds.items():
        if name not in labels.columns or labels[name].dtype != kind or labels[name].null_count():
            raise Invalid(f"MEDS labels need a column '{name}' of {kind} without nulls")
    if labels["subject_id"].n_unique() != labels.height:
        raise Invalid("a subject has two labels; keep the one that the study asks for")
    return labels.select("subject_id", pl.col("boolean_value").cast(pl.Int8).alias(LABEL))

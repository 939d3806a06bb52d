"""MEDS datasets made by hand, as others write them and as they are when something is wrong."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

START = datetime(2020, 1, 1)
PLAIN = pa.schema(
    [
        ("subject_id", pa.int64()),
        ("time", pa.timestamp("us")),
        ("code", pa.string()),
        ("numeric_value", pa.float32()),
        ("text_value", pa.large_string()),
    ]
)
"""What MEDS asks for, and nothing of ours."""

Rows = Sequence[Mapping[str, Any]]


def event(subject: int | None, code: str | None, hours: float | None = 0.0, **more: Any) -> dict[str, Any]:
    """One event; `hours` after the start, None for what never changes."""
    time = None if hours is None else START + timedelta(hours=hours)
    return {"subject_id": subject, "time": time, "code": code, **more}


ROWS: Rows = (
    event(1, "Gender/F", None),
    event(1, "MEDS_BIRTH", -400_000),
    event(1, "LOINC/2160-0", 1, numeric_value=7.4),
    event(1, "SNOMED/3", 2),
    event(2, "SNOMED/2", 3),
    event(2, "MEDS_DEATH", 30),
)
PARENTS: Mapping[str, Sequence[str]] = {
    "SNOMED/1": (),
    "SNOMED/2": ("SNOMED/1",),
    "SNOMED/3": ("SNOMED/2",),
    "LOINC/2160-0": (),
    "Gender/F": (),
    "MEDS_BIRTH": (),
    "MEDS_DEATH": (),
}
"""Only the nearest parents, as others list them."""


def written(
    root: Path,
    rows: Rows = ROWS,
    *,
    schema: pa.Schema = PLAIN,
    told: Mapping[str, Any] | None = None,
    parents: Mapping[str, Sequence[str]] = PARENTS,
) -> Path:
    """Write a dataset: data in two files, codes with their parents, and `dataset.json`."""
    (root / "data" / "train").mkdir(parents=True)
    (root / "metadata").mkdir()
    for at, place in enumerate(("train/0.parquet", "1.parquet")):
        part = [row for row in rows if (row["subject_id"] or 0) % 2 != at]
        pq.write_table(pa.Table.from_pylist(part, schema=schema), root / "data" / place)
    codes = pl.DataFrame(
        {
            "code": list(parents),
            "description": [None] * len(parents),
            "parent_codes": [list(p) for p in parents.values()],
        },
        schema={"code": pl.String, "description": pl.String, "parent_codes": pl.List(pl.String)},
    )
    codes.write_parquet(root / "metadata" / "codes.parquet")
    text = json.dumps({"meds_version": "0.4.1"} if told is None else told)
    (root / "metadata" / "dataset.json").write_text(text)
    return root

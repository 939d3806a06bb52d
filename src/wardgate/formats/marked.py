"""Every exported file says in its metadata, and in a column that no tool drops, that nobody in it is real."""

import csv
import io
from collections.abc import Iterable
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from wardgate.records.corpus_file import LABEL_TEXT
from wardgate.records.errors import Invalid

MARK = "synthetic"
"""Name of the column that says so."""


def marked(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with the mark as its last column.

    Raises:
        Invalid: it has a column of that name already.
    """
    if MARK in table.columns:
        raise Invalid(f"a column is called '{MARK}', which every exported corpus has for its mark; rename it")
    return table.with_columns(pl.lit(LABEL_TEXT).alias(MARK))


def write_parquet(batches: Iterable[pl.DataFrame], sink: BinaryIO, *, said: dict[str, str]) -> int:
    """Write batches as one marked Parquet file, each a row group, and return how many rows there are.

    Memory stays that of one batch. `said` is further metadata, as text.

    Raises:
        Invalid: no batch, batches of different columns, or a column named like the mark.
    """
    writer, rows = None, 0
    try:
        for batch in batches:
            arrow = marked(batch).to_arrow(compat_level=pl.CompatLevel.oldest())
            if writer is None:
                schema = arrow.schema.with_metadata({**said, "wardgate": LABEL_TEXT})
                writer = pq.ParquetWriter(sink, schema, compression="zstd")
            if arrow.schema.names != schema.names:
                raise Invalid("the batches of a corpus differ in their columns")
            writer.write_table(pa.Table.from_arrays(arrow.columns, schema=schema))
            rows += batch.height
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise Invalid("there is no batch to write; a corpus has at least its columns")
    return rows


def write_csv(batches: Iterable[pl.DataFrame], sink: BinaryIO) -> int:
    """Write batches as one CSV file (RFC 4180, UTF-8), marked in its last column, and return how many rows there are.

    Raises:
        Invalid: as `write_parquet`.
    """
    columns: list[str] | None = None
    rows = 0
    for batch in batches:
        table = marked(batch)
        if columns is None:
            columns = table.columns
            head = io.StringIO()
            csv.writer(head, lineterminator="\n").writerow(columns)
            sink.write(head.getvalue().encode())
        if table.columns != columns:
            raise Invalid("the batches of a corpus differ in their columns")
        table.write_csv(sink, include_header=False)
        rows += batch.height
    if columns is None:
        raise Invalid("there is no batch to write; a corpus has at least its columns")
    return rows

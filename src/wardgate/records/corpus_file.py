"""The file form of a corpus: Parquet that says in its own metadata that nobody in it is real."""

import io

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from wardgate.records.errors import Broken

LABEL_TEXT = "SYNTHETIC - NOT REAL PATIENTS"


def write_corpus(table: pl.DataFrame, *, study_sha256: str) -> bytes:
    """Return the Parquet bytes of a corpus. The same table gives the same bytes."""
    arrow = table.to_arrow(compat_level=pl.CompatLevel.oldest())
    marked = arrow.replace_schema_metadata({"wardgate": LABEL_TEXT, "study_sha256": study_sha256})
    buffer = io.BytesIO()
    pq.write_table(marked, buffer, compression="zstd")
    return buffer.getvalue()


def read_corpus(data: bytes) -> pl.DataFrame:
    """Read a corpus. Polars sees the plain columns alone: what a stranger wrote around them could stop it.

    Raises:
        Broken: not Parquet, not marked as synthetic, or not a table of plain columns.
    """
    try:
        arrow = pq.read_table(io.BytesIO(data))
        arrow.validate(full=True)
        plain = pa.Table.from_arrays(arrow.columns, names=arrow.column_names)
        metadata = arrow.schema.metadata or {}
    except (pa.ArrowException, ValueError, OSError) as error:
        raise Broken("not a readable Parquet corpus") from error
    if metadata.get(b"wardgate") != LABEL_TEXT.encode():
        raise Broken(f"the file is not marked '{LABEL_TEXT}'; it is not a corpus")
    if any(pa.types.is_nested(kind) for kind in plain.schema.types):
        raise Broken("the corpus holds nested columns; expected one value in each cell")
    frame = pl.from_arrow(plain)
    if not isinstance(frame, pl.DataFrame):
        raise Broken("the corpus is not a table")
    return frame

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
    """Read a corpus.

    Raises:
        Broken: not Parquet, or not marked as synthetic.
    """
    try:
        arrow = pq.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, pa.ArrowIOError, OSError) as error:
        raise Broken("not a readable Parquet corpus") from error
    metadata = arrow.schema.metadata or {}
    if metadata.get(b"wardgate") != LABEL_TEXT.encode():
        raise Broken(f"the file is not marked '{LABEL_TEXT}'; it is not a corpus")
    frame = pl.from_arrow(arrow)
    if not isinstance(frame, pl.DataFrame):
        raise Broken("the corpus is not a table")
    return frame

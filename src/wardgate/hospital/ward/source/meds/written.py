"""Any source of events written as a MEDS 0.4 dataset, for the hospital's own tools. It holds real patients.

One pass lays each batch of events beside the target, apart by shard; then each shard is sorted by itself. So what is
held at a time is one batch, or one shard, however large the source is.

Reference: Medical Event Data Standard 0.4, https://github.com/Medical-Event-Data-Standard/meds.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from wardgate.formats.meds import VERSION
from wardgate.hospital.ward.source.events import EVERY, EventSource, Expression
from wardgate.hospital.ward.source.meds.layout import CODES_FILE, DATASET_FILE, EXACT
from wardgate.records.errors import Invalid

PATIENTS = "REAL PATIENTS - STAYS IN THIS HOSPITAL"
"""What the name of a written dataset begins with."""

_DATA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us")),
        pa.field("code", pa.string(), nullable=False),
        pa.field("numeric_value", pa.float32()),
        pa.field("text_value", pa.large_string()),
        pa.field(EXACT, pa.float64()),
        pa.field("end", pa.timestamp("us")),
        pa.field("source_code", pa.string()),
        pa.field("value_code", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("visit", pa.int64()),
        pa.field("table", pa.string()),
    ]
)
_CODES = pa.schema(
    [
        pa.field("code", pa.string(), nullable=False),
        pa.field("description", pa.string()),
        pa.field("parent_codes", pa.list_(pa.string())),
        pa.field("concept_id", pa.int64()),
    ]
)
_LAID = pa.ipc.IpcWriteOptions(compression="zstd")
_ROW_GROUP = 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a dataset holds. Raw counts: never leaves the ward.

    Attributes:
        left_out: Events without a subject or a code, which MEDS cannot hold.
    """

    subjects: int
    events: int
    shards: int
    codes: int
    left_out: int


def write_meds(
    source: EventSource, target: Path, *, name: str, codes: Expression | None, events_a_shard: int = 1_000_000
) -> Written:
    """Write all events of a source as a MEDS 0.4 dataset that only its owner can read.

    Subjects stand together, each in one shard, their events by time with those that have none first. The same events
    give the same rows in the same order, whatever engine gave them.

    Args:
        target: A folder that does not exist; it appears whole or not at all.
        name: Of the dataset; it is written after `PATIENTS`.
        codes: The source's codes with their ancestors (columns code, concept_id, parent), as `code_table()` of a
            source gives them; None where it knows none.
        events_a_shard: How many events a shard holds, unless one subject has more.

    Raises:
        Invalid: the target exists, the source holds no events, or it changed while it was read.
    """
    if target.exists() or target.is_symlink():
        raise Invalid(f"{target.name} exists; name a folder that does not")
    if not target.parent.is_dir():
        raise Invalid(f"the folder {target.parent} of {target.name} does not exist; create it first")
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.unfinished-", dir=target.parent))
    try:
        dataset, parts = unfinished / "dataset", unfinished / "parts"
        for folder in (dataset / "data", dataset / "metadata", parts):
            folder.mkdir(parents=True, mode=0o700)
        subjects, counted, cuts = _cuts(source, events_a_shard)
        events, left_out, used = _distribute(source, parts, cuts)
        if events != counted:
            raise Invalid(f"{source.name} changed while it was read; nothing was written")
        for at in range(len(cuts)):
            _sort(parts / str(at), dataset / "data" / f"{at}.parquet")
        known = _known(source, codes, used)
        _to_parquet(known, _CODES, dataset / CODES_FILE)
        _metadata(dataset / DATASET_FILE, name)
        for folder in (dataset / "data", dataset / "metadata", dataset):
            folder.chmod(0o700)
            _flush(folder)
        source.check_unchanged()
        if target.exists() or target.is_symlink():
            raise Invalid(f"{target.name} has come into being meanwhile; name a folder that does not exist")
        dataset.rename(target)
        _flush(target.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Written(subjects=subjects, events=events, shards=len(cuts), codes=known.height, left_out=left_out)


def _cuts(source: EventSource, events_a_shard: int) -> tuple[int, int, list[int]]:
    """Return how many subjects and events there are, and the highest subject of each shard."""
    every = source.every()
    whole = every.filter(every.subject_id.notnull() & every.code.notnull())
    counted = whole.group_by("subject_id").aggregate(n=whole.count())
    frames = [*source.engine.batches(counted)]
    counts = pl.concat(frames).sort("subject_id") if frames else pl.DataFrame()
    if not counts.height:
        raise Invalid(f"{source.name} holds no events, so there is nothing to write")
    shard = ((pl.col("n").cum_sum() - pl.col("n")) // events_a_shard).alias("shard")
    last = counts.select("subject_id", shard).group_by("shard").agg(pl.col("subject_id").max()).sort("subject_id")
    return counts.height, int(counts["n"].sum()), last["subject_id"].to_list()


def _distribute(source: EventSource, parts: Path, cuts: list[int]) -> tuple[int, int, set[str]]:
    """Lay the events of each shard into a file of its own, in the order in which they come.

    Returns:
        How many events were laid, how many left out, and all codes of those laid.
    """
    ends = pl.Series(cuts, dtype=pl.Int64)
    events = left_out = 0
    used: set[str] = set()
    with ExitStack() as stack:
        writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        for batch in source.engine.batches(source.every()):
            whole = batch.select(*EVERY).drop_nulls(["subject_id", "code"])
            left_out += batch.height - whole.height
            events += whole.height
            for column in ("code", "source_code"):
                used.update(whole[column].drop_nulls().unique().to_list())
            shard = ends.search_sorted(whole["subject_id"].cast(pl.Int64), side="left")
            for key, part in whole.with_columns(pl.Series("__shard", shard)).group_by("__shard"):
                at = int(str(key[0]))
                if at not in writers:
                    file = stack.enter_context(_private(parts / str(at)))
                    writers[at] = stack.enter_context(pa.ipc.new_stream(file, _DATA, options=_LAID))
                writers[at].write_table(_typed(part))
    return events, left_out, used


def _typed(events: pl.DataFrame) -> pa.Table:
    """Events in the exact types of MEDS."""
    number = pl.col("numeric_value").cast(pl.Float64)
    table = events.with_columns(number.alias(EXACT), number.cast(pl.Float32).alias("numeric_value"))
    return table.select(_DATA.names).to_arrow().cast(_DATA)


def _sort(part: Path, target: Path) -> None:
    """Sort one shard. All columns take part, so that the order of the source does not matter."""
    with pa.ipc.open_stream(part) as stream:
        table = pl.from_arrow(stream.read_all())
    part.unlink()
    if isinstance(table, pl.DataFrame):
        _to_parquet(table.sort(_DATA.names, nulls_last=False), _DATA, target)


def _known(source: EventSource, codes: Expression | None, used: set[str]) -> pl.DataFrame:
    """Return the used codes and what lies above them, one row a code. The source's table of codes is held."""
    empty = pl.DataFrame(schema={"code": pl.String, "concept_id": pl.Int64, "parent": pl.String})
    frames = [empty]
    if codes is not None:
        frames += [batch.select(empty.columns).cast(empty.schema) for batch in source.engine.batches(codes)]
    listed = pl.concat(frames)
    alone = pl.DataFrame({"code": sorted(used)}, schema={"code": pl.String})
    above = listed.join(alone, on="code", how="semi").select(code="parent").drop_nulls()
    kept = listed.join(pl.concat([alone, above]), on="code", how="semi")
    rows = pl.concat([kept, alone], how="diagonal").group_by("code")
    return (
        rows.agg(pl.col("parent").drop_nulls().unique().sort().alias("parent_codes"), pl.col("concept_id").max())
        .with_columns(pl.lit(None, dtype=pl.String).alias("description"))
        .select(_CODES.names)
        .sort("code")
    )


def _metadata(target: Path, name: str) -> None:
    told = {
        "dataset_name": f"{PATIENTS}: {name}",
        "etl_name": "wardgate",
        "meds_version": VERSION,
        "raw_source_id_columns": ["visit"],
        "code_modifier_columns": ["unit", "value_code"],
        "additional_value_modality_columns": [EXACT],
        "other_extension_columns": ["end", "source_code", "table"],
    }
    with _private(target) as file:
        file.write((json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def _to_parquet(table: pl.DataFrame, schema: pa.Schema, target: Path) -> None:
    with _private(target) as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for part in _slices(table):
                writer.write_table(part.to_arrow().cast(schema))
        file.flush()
        os.fsync(file.fileno())


def _slices(table: pl.DataFrame) -> Iterator[pl.DataFrame]:
    yield from table.iter_slices(_ROW_GROUP) if table.height else [table]


def _private(path: Path) -> BinaryIO:
    """A new file that only its owner can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

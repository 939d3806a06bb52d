"""Draw from a kept fit, as many rows as are asked for, into files that say they are nobody's."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from wardgate.formats.croissant import Exported, card
from wardgate.formats.marked import write_csv, write_parquet
from wardgate.formats.meds import in_arrow, to_meds
from wardgate.formats.omop import omop_tables
from wardgate.hospital.ward.answering.synthesis.conditions import where_of
from wardgate.hospital.ward.answering.synthesis.fit import Opened, opened
from wardgate.hospital.ward.answering.synthesis.whole import SHARED, whole_file
from wardgate.marginals.sampling import Where
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.fit import FitRecord

Form = Literal["parquet", "csv", "omop", "meds"]
FORMS: tuple[Form, ...] = ("parquet", "csv", "omop", "meds")
FOLDERS: tuple[Form, ...] = ("omop", "meds")
"""Forms of several files, written into a new folder."""

BATCH = 100_000
"""Rows, or persons of timelines a tenth of that, that are drawn and written at a time."""

NOT_JUDGED = "The gate has not judged this file; nothing may leave before it has."


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What was written.

    Attributes:
        rows: Rows, of all batches.
        files: The files, the corpus first.
        sha256: Of the corpus; of the table of persons in OMOP form.
    """

    rows: int
    files: tuple[Path, ...]
    sha256: str


def draw(
    folder: Path, *, rows: int | None, where: Sequence[str] = (), out: Path, form: Form, seed: int, on: str
) -> Drawn:
    """Draw from the fit in `folder` into `out`, marked as synthetic, with its card beside it.

    A fit may be drawn from again and again: of a private one that costs nothing more.

    Args:
        rows: How many, persons for timelines; absent, as many as the fit says.
        where: Conditions as text; see `conditions`.
        out: A file, or a new folder in OMOP or MEDS form. An earlier file is replaced at once or stays as it was.

    Raises:
        Invalid: the folder holds no fit, a condition is none or nobody meets it, or the form does not suit.
        Broken: the fit was changed.
    """
    if rows is not None and rows < 1:
        raise Invalid(f"expected at least one row, found {rows}")
    kept = opened(folder)
    where_ = where_of(where, kept.record.dictionary)
    batches = _batches(kept, rows or kept.record.rows, where_, np.random.default_rng(seed))
    return write(batches, kept.record, out=out, form=form, on=on)


def write(batches: Iterator[pl.DataFrame], record: FitRecord, *, out: Path, form: Form, on: str) -> Drawn:
    """Write drawn rows into `out`, marked as synthetic, with their card beside them.

    Raises:
        Invalid: there is no such form or folder, or the form does not suit.
    """
    if form not in FORMS:
        raise Invalid(f"there is no form '{form}'; expected one of {', '.join(FORMS)}")
    if not out.parent.is_dir():
        raise Invalid(f"there is no folder {out.parent}")
    dictionary = record.dictionary
    if form in FOLDERS:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise Invalid(f"{out} is there already; {form.upper()} form is written into a new folder")
        return _omop(batches, dictionary, out) if form == "omop" else _meds(batches, dictionary, out)
    said = {"generator": record.generator, "wardgate_claim": record.claim.kind}
    with whole_file(out, mode=SHARED) as stream:
        if form == "parquet":
            count = write_parquet(_named(batches, dictionary), stream, said=said)
        else:
            count = write_csv(_named(batches, dictionary), stream)
    exported = Exported(name=out.name, form=form, sha256=_digest(out), size=out.stat().st_size, rows=count)
    beside = out.with_name(f"{out.name}.croissant.json")
    words = card(exported, dictionary, claim=record.claim, generator=record.generator, judged=NOT_JUDGED, on=on)
    with whole_file(beside, mode=SHARED) as stream:
        stream.write(json.dumps(words, indent=2).encode())
    return Drawn(rows=count, files=(out, beside), sha256=exported.sha256)


def _batches(kept: Opened, rows: int, where: Where, rng: np.random.Generator) -> Iterator[pl.DataFrame]:
    person = kept.record.dictionary.person if kept.record.dictionary.time is not None else None
    size = BATCH if person is None else BATCH // 10
    for start in range(0, rows, size):
        table = kept.fitted.sample(min(size, rows - start), rng=rng, where=where or None)
        yield table if person is None else table.with_columns(pl.col(person).cast(pl.Int64) + start)


def _named(batches: Iterator[pl.DataFrame], dictionary: Dictionary) -> Iterator[pl.DataFrame]:
    """Give the outcome its own name back, and whole numbers their form."""
    integers = [one.name for one in dictionary.features if one.type in ("integer", "boolean")]
    for batch in batches:
        table = batch.with_columns(pl.col(name).round().cast(pl.Int64) for name in integers)
        yield table if dictionary.label is None else table.rename({LABEL: dictionary.label})


def _omop(batches: Iterator[pl.DataFrame], dictionary: Dictionary, out: Path) -> Drawn:
    """Write one marked Parquet file for each table and batch: a folder is what OMOP readers take."""
    files: list[Path] = []
    count = 0
    for number, batch in enumerate(batches):
        tables = omop_tables(batch, dictionary, first_person=count + 1)
        out.mkdir(exist_ok=True)
        for name, table in tables.items():
            target = out / (f"{name}.parquet" if not number else f"{name}.{number}.parquet")
            with whole_file(target, mode=SHARED) as stream:
                write_parquet([table], stream, said={"omop": "CDM 5.4"})
            files.append(target)
        count += batch.height
    return Drawn(rows=count, files=tuple(files), sha256=_digest(out / "person.parquet"))


def _meds(batches: Iterator[pl.DataFrame], dictionary: Dictionary, out: Path) -> Drawn:
    """Write timelines as a MEDS dataset, one file of events for each batch; what its codes mean is written last."""
    if dictionary.time is None or dictionary.person is None:
        raise Invalid("MEDS form is for timelines; a table with one row a person is written as parquet, csv or omop")
    files: list[Path] = []
    codes: list[pl.DataFrame] = []
    persons = rows = 0
    for number, batch in enumerate(batches):
        found = to_meds(batch, dictionary, name=out.name, synthetic=True)
        codes.append(found.codes)
        tables = {f"data/{number}.parquet": found.data}
        if found.labels is not None:
            tables[f"labels/{number}.parquet"] = found.labels
        for place, table in tables.items():
            files.append(_table(out / place, table.with_columns(pl.col("subject_id") + persons)))
        persons += batch[dictionary.person].n_unique()
        rows += batch.height
    files.append(_table(out / "metadata/codes.parquet", pl.concat(codes).unique("code", maintain_order=True)))
    with whole_file(out / "metadata/dataset.json", mode=SHARED) as stream:
        stream.write(json.dumps(found.dataset, indent=2).encode())
    return Drawn(rows=rows, files=(*files, out / "metadata/dataset.json"), sha256=_digest(files[0]))


def _table(target: Path, table: pl.DataFrame) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target, mode=SHARED) as stream:
        pq.write_table(in_arrow(table), stream, compression="zstd")
    return target


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

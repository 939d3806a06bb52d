"""Simulated records of any size, chunk by chunk: each table a folder of Parquet files, of which a few are ever held."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from wardgate.records.errors import Invalid
from wardgate.simulate.records.course import Site
from wardgate.simulate.records.tables import events, records
from wardgate.simulate.records.vocabulary import vocabulary

BUSY = Site(id="large", stays_per_year=0.266, vital_hours=(2, 10, 18), laboratory_hours=(6,))
"""Writes down about 200 events a person in six years."""

CHUNK = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What lies in the folder."""

    persons: int
    events: int


def write_large(
    folder: Path,
    *,
    persons: int,
    seed: int,
    site: Site = BUSY,
    chunk: int = CHUNK,
    told: Callable[[int], None] | None = None,
) -> Written:
    """Write records, or finish writing those begun before with the same arguments.

    Args:
        folder: Gets `cdm` with a folder for each table, one Parquet file a chunk; and `done`, what is finished.
        persons: A multiple of `chunk`, or fewer.
        seed: Chunk k is drawn from (seed, k) alone, so a larger folder begins with the smaller one's persons.
        told: Called with the number of persons written, after each chunk.

    Raises:
        Invalid: persons are not a multiple of the chunk.
    """
    if persons > chunk and persons % chunk:
        raise Invalid(f"expected a multiple of {chunk} persons, found {persons}")
    cdm, marks, shared = folder / "cdm", folder / "done", vocabulary()
    for home in (cdm, marks):
        home.mkdir(parents=True, exist_ok=True)
    total, size = 0, min(chunk, persons)
    for number in range(persons // size):
        mark = marks / f"{number:05}"
        if not mark.exists():
            tables = records(
                size,
                np.random.default_rng(np.random.SeedSequence([seed, number])),
                site=site,
                first_person=1 + number * size,
            )
            for name, table in tables.items():
                if name not in shared and (number == 0 or name not in _ONCE):
                    _write(table, cdm / name / f"part-{number:05}.parquet")
            mark.write_text(str(events(tables)), encoding="ascii")
        total += int(mark.read_text(encoding="ascii"))
        if told is not None:
            told((number + 1) * size)
    for name, table in shared.items():
        _write(table, cdm / name / "part-00000.parquet")
    return Written(persons=persons, events=total)


def _write(table: pl.DataFrame, path: Path) -> None:
    """Write a file whole or not at all; columns that this simulation never fills are left out, which OMOP permits."""
    path.parent.mkdir(exist_ok=True)
    filled = [
        name for name in table.columns if name in _KEPT or not table.height or table[name].null_count() < table.height
    ]
    draft = path.with_suffix(".draft")
    table.select(filled).write_parquet(draft, compression="zstd", compression_level=1)
    draft.replace(path)


_ONCE = ("cdm_source", "device_exposure")
"""Tables that say the same for every chunk."""

_KEPT = ("value_as_number", "unit_source_value", "value_as_concept_id", "invalid_reason", "standard_concept")
"""Columns that every file has, whatever a chunk holds."""

"""A hospital of a few rows, its mapping, and a way to read all its events."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from wardgate.hospital.ward.source.events import EVERY, Noticed
from wardgate.hospital.ward.source.tables.opened import opened_tables
from wardgate.records.source_file import SourceFile

HEADER = "vocabulary,code,standard_vocabulary,standard_code,relation,mapped_by,mapped_on,from"

_TYPES = {"int64": pl.Int64, "timestamp(6)": pl.Datetime("us"), "string": pl.String, "float64": pl.Float64}
EMPTY = {name: _TYPES[kind] for name, kind in EVERY.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a source gave."""

    events: pl.DataFrame
    persons: pl.DataFrame
    noticed: tuple[Noticed, ...]

    def of(self, code: str) -> list[dict[str, object]]:
        """The events of one code, by person and time."""
        return self.events.filter(pl.col("code") == code).sort("subject_id", "time").to_dicts()

    def count(self, words: str) -> int:
        """How many were noticed of something."""
        return sum(one.count for one in self.noticed if words in one.what)


See = Callable[..., Seen]


@pytest.fixture
def see(tmp_path: Path) -> See:
    """Write a mapping and files, open them, and read everything."""

    def run(
        mapping: str, files: dict[str, str | bytes], *, codes: str = "", memory: int = 500, **settings: str
    ) -> Seen:
        for name, content in files.items():
            raw = content if isinstance(content, bytes) else textwrap.dedent(content).lstrip().encode()
            (tmp_path / name).write_bytes(raw)
        (tmp_path / "events.yaml").write_text("schema: wardgate/events/1\n" + textwrap.dedent(mapping).lstrip())
        if codes:
            (tmp_path / "codes.csv").write_text(f"{HEADER}\n{textwrap.dedent(codes).lstrip()}")
        given = {"kind": "tables", "mapping": "events.yaml", "codes": ["codes.csv"] if codes else [], **settings}
        source_file = SourceFile.model_validate(given)
        with opened_tables(tmp_path, source_file, memory_limit_mb=memory, threads=1) as source:
            found = Seen(
                events=pl.concat([pl.DataFrame(schema=EMPTY), *source.engine.batches(source.every())]),
                persons=pl.concat([*source.engine.batches(source.persons())] or [pl.DataFrame()]),
                noticed=source.noticed(),
            )
            source.check_unchanged()
            return found

    return run

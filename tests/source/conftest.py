"""A folder for source files, and a way to read all of one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest

from wardgate.hospital.ward.source.files import VIEW, opened

Read = Callable[..., pl.DataFrame]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read files of the temporary folder to their end."""

    def run(*files: str, wanted: Sequence[str] = ("p", "x"), encoding: str = "utf-8") -> pl.DataFrame:
        with opened(tmp_path, files, wanted=wanted, encoding=encoding) as source:
            return pl.concat([*source.batches(f"SELECT * FROM {VIEW}")] or [pl.DataFrame()])

    return run

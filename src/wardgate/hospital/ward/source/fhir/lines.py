"""Lines of ndjson files, read one by one: however long a line is, no more than `LONGEST_LINE` of it is held."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from wardgate.records.errors import Invalid

LONGEST_LINE = 1_000_000
"""Bytes of one resource. A longer line is counted and skipped without being held."""

ENDINGS = (".ndjson", ".ndjson.gz")

_BOM = b"\xef\xbb\xbf"
_PIECE = 1_000_000


def lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield the number of each line, from 1, and its bytes; None where it is longer than `LONGEST_LINE`.

    Empty lines are passed over. A byte order mark of UTF-8 at the start is dropped.

    Raises:
        Invalid: the file is gone, cut off inside gzip, not gzip, or in UTF-16 or UTF-32.
    """
    problem = ""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb", buffering=_PIECE) as stream:
            for number, raw in _lines(stream):
                if number == 1 and raw is not None:
                    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in raw[:4]:
                        problem = "is UTF-16 or UTF-32, expected UTF-8; export it again"
                        break
                    raw = raw.removeprefix(_BOM)
                if raw is None or raw.strip():
                    yield number, raw
    except (EOFError, gzip.BadGzipFile, zlib.error):
        problem = "is cut off or not gzip; export or copy it again"
    except OSError:
        problem = "cannot be read; check that it is still there, and its permissions"
    if problem:
        raise Invalid(f"{path.name} {problem}")


def _lines(stream: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while raw := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(raw) <= LONGEST_LINE or raw.endswith(b"\n"):
            yield number, raw
            continue
        while (piece := stream.readline(_PIECE)) and not piece.endswith(b"\n"):
            pass
        yield number, None

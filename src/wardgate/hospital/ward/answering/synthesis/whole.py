"""Files of the hospital that are whole or absent: written beside, flushed to the disk, then renamed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE, SHARED = 0o600, 0o644


@contextmanager
def whole_file(target: Path, *, mode: int) -> Iterator[BinaryIO]:
    """Give a stream whose content becomes `target` at the end of the block, or nothing does.

    Raises:
        OSError: it cannot be written; nothing was left there.
    """
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.unfinished-", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.chmod(mode)
        part.replace(target)
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finally:
        part.unlink(missing_ok=True)

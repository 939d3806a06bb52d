"""Files that are whole or absent: written beside, flushed to the disk, then renamed."""

import os
import tempfile
from pathlib import Path

from wardgate.road.box import sync


def write_whole(target: Path, content: bytes) -> None:
    """Write all or nothing; an earlier file at `target` is replaced at once, or stays as it was.

    Raises:
        OSError: it cannot be written; nothing was left there.
    """
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.unfinished-", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.chmod(0o644)
        part.replace(target)
        sync(target.parent)
    finally:
        part.unlink(missing_ok=True)

"""What could not be opened: kept aside for whoever looks for the cause, a bounded part of it."""

import os
import re
from pathlib import Path

from wardgate.hospital.ward.gate.book import write_whole

_NAME = re.compile(r"[0-9a-f]{64}\.parcel")

MOST_FILES = 50
MOST_BYTES = 2**20
"""Of each file; the rest of a longer one is dropped."""


def set_aside(path: Path, folder: Path, *, name: str) -> None:
    """Move a file of the spool into a folder of the ward, which may be another disk; the oldest ones there make room.

    A file that is gone already is left alone. A link is removed and never followed.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    data = None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            data = file.read(MOST_BYTES)
    except OSError:
        data = None
    if data is not None:
        write_whole(folder / name, data)
    kept = sorted(folder.glob("*.parcel"), key=lambda one: one.stat().st_mtime_ns)
    for old in kept[:-MOST_FILES]:
        old.unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def strays(folder: Path) -> tuple[Path, ...]:
    """Return files and links of a box that call themselves parcels and are not named as parcels are."""
    found = (path for path in sorted(folder.glob("*.parcel")) if path.is_symlink() or path.is_file())
    return tuple(path for path in found if not _NAME.fullmatch(path.name))

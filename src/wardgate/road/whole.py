"""Files and folders that appear whole or not at all: written beside, brought to the disk, then renamed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from wardgate.records.errors import Invalid
from wardgate.road.box import sync


def write_file(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file so that a reader, or a machine that lost power, finds the old bytes or the new.

    Args:
        mode: Of the file, from its first byte on: nobody else can read a key while it is written.

    Raises:
        OSError: no room, or no right to write; the old file still stands.
    """
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    try:
        write_new(draft, data, mode=mode)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_new(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file that is not there yet, inside a draft, and wait until it is on the disk.

    Raises:
        FileExistsError: it is there.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder with everything in it, or nothing.

    Args:
        path: Must not exist; its parent must.
        fill: Fills the draft that it is given. When it raises, the draft is removed.

    Raises:
        FileExistsError: `path` exists.
        Invalid: there is no folder for it to lie in.
        OSError: no room, or no right to write; nothing is left.
    """
    if path.is_symlink() or path.exists():
        raise FileExistsError(path)
    if not path.parent.is_dir():
        raise Invalid(f"no folder {path.parent} to make '{path.name}' in; make it first")
    draft = path.with_name(f".{path.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        fill(draft)
        for folder, _, _ in os.walk(draft):
            sync(Path(folder))
        draft.rename(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync(path.parent)

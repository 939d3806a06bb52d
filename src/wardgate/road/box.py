"""A folder of whole parcels, each named by the SHA-256 of its bytes: where mail waits until its next owner has it.

A parcel is written whole (write, fsync, rename) or not at all, and removed only by whoever has taken it over. So a
process may be killed at any moment: what it had in hand is still in the box.

Whoever else may write in the folder can lay anything there. So only regular files count: no link is followed, nothing
is waited for, nothing larger than MOST_BYTES is read, and no byte is handed on before all of them have the digest.
"""

import os
import re
import stat
from pathlib import Path

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.parcel import Parcel

_NAME = re.compile(r"^[0-9a-f]{64}$")

MOST_BYTES = 4 * 2**30
"""Of one parcel."""


class Box:
    """Parcels in one folder.

    Args:
        folder: Made where it is missing, for its owner alone; its parent must exist. Where two users share it, it is
            made beforehand with their group.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)

    def put(self, parcel: Parcel) -> str:
        """Store a parcel and return its name. The same parcel twice is one.

        Raises:
            OSError: no room, or no right to write; nothing half-written is left under a parcel's name.
        """
        data = parcel.to_bytes()
        name = sha256(data)
        final = self._path(name)
        if _regular(final) and sha256(_bytes(final)) == name:
            return name
        partial = self._folder / f"{name}.partial"
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o660), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(final)
        sync(self._folder)
        return name

    def adopt(self, path: Path, name: str) -> None:
        """Take over a file that holds the bytes of the parcel `name`, on the same file system.

        The caller has verified its digest.
        """
        final = self._path(name)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(final)
        sync(self._folder)

    def names(self) -> list[str]:
        """Return the names of all parcels, oldest first."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(".parcel") and _NAME.match(entry.name[:-7]):
                    try:
                        here = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(here.st_mode):
                            found.append((here.st_mtime_ns, entry.name[:-7]))
                    except FileNotFoundError:
                        continue
        return [name for _, name in sorted(found)]

    def read(self, name: str) -> Parcel:
        """Return a parcel and leave it in the box.

        Raises:
            Broken: no parcel of that name, or its bytes were altered.
        """
        try:
            data = _bytes(self._path(name))
        except OSError as error:
            raise Broken(f"the spool holds no parcel {name[:16]} in {self._folder.name}") from error
        if sha256(data) != name:
            raise Broken(f"parcel {name[:16]} in {self._folder.name} was altered")
        return Parcel.from_bytes(data)

    def path(self, name: str) -> Path:
        """Return where a parcel lies.

        Raises:
            Broken: no parcel of that name.
        """
        path = self._path(name)
        if not _regular(path):
            raise Broken(f"the spool holds no parcel {name[:16]} in {self._folder.name}")
        return path

    def remove(self, name: str) -> None:
        """Remove a parcel, if it is there."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        if not _NAME.match(name):
            raise Broken(f"the spool holds no parcel of that name in {self._folder.name}: expected a SHA-256")
        return self._folder / f"{name}.parcel"


def _regular(path: Path) -> bool:
    """Say whether a file lies there itself: no link, pipe, device or folder."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _bytes(path: Path) -> bytes:
    """Read a regular file whole, without following a link or waiting for a pipe's other end.

    Raises:
        OSError: it is none, or cannot be opened.
        Broken: larger than a parcel may be.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        here = os.fstat(file.fileno())
        if not stat.S_ISREG(here.st_mode):
            raise OSError(f"{path.name[:16]} is no regular file")
        if here.st_size > MOST_BYTES:
            raise Broken(f"parcel {path.name[:16]} holds {here.st_size} bytes; expected at most {MOST_BYTES}")
        return file.read(here.st_size)


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""A folder of whole parcels, each named by the SHA-256 of its bytes: where mail waits until its next owner has it.

A parcel is written whole (write, fsync, rename) or not at all, and removed only by whoever has taken it over. So a
process may be killed at any moment: what it had in hand is still in the box.
"""

import os
import re
from pathlib import Path

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.parcel import Parcel

_NAME = re.compile(r"^[0-9a-f]{64}$")


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
        if final.exists():
            return name
        partial = self._folder / f"{name}.partial"
        with partial.open("wb") as file:
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
                        found.append((entry.stat().st_mtime_ns, entry.name[:-7]))
                    except FileNotFoundError:
                        continue
        return [name for _, name in sorted(found)]

    def read(self, name: str) -> Parcel:
        """Return a parcel and leave it in the box.

        Raises:
            Broken: no parcel of that name, or its bytes were altered.
        """
        try:
            data = self._path(name).read_bytes()
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
        if not path.is_file():
            raise Broken(f"the spool holds no parcel {name[:16]} in {self._folder.name}")
        return path

    def remove(self, name: str) -> None:
        """Remove a parcel, if it is there."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        if not _NAME.match(name):
            raise Broken(f"the spool holds no parcel of that name in {self._folder.name}: expected a SHA-256")
        return self._folder / f"{name}.parcel"


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Parcels that came in part: one file each, which only grows, so that its length says where to go on."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

_END = ".part"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partials:
    """A folder of them.

    A file is written without waiting for the disk: what a power cut leaves of it is checked by its digest.

    Attributes:
        folder: For this peer alone, on the file system of the box that takes over.
        most: Files at a time; the oldest goes when another begins.
    """

    folder: Path
    most: int

    def __post_init__(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def path(self, name: str) -> Path:
        """Return where a parcel's part lies. `name` was checked to be a digest."""
        return self.folder / f"{name}{_END}"

    def length(self, name: str) -> int:
        """Return how many bytes there are."""
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, name: str, data: bytes, *, offset: int) -> None:
        """Add bytes at the end, which is `offset`.

        Raises:
            FileNotFoundError: the part went to make room for another.
            OSError: no room; the file then holds what it held before.
        """
        if offset == 0:
            self._make_room(name)
        flags = os.O_CREAT | os.O_TRUNC if offset == 0 else 0
        handle = os.open(self.path(name), os.O_WRONLY | os.O_NOFOLLOW | flags, 0o600)
        try:
            try:
                written = 0
                while written < len(data):
                    written += os.pwrite(handle, data[written:], offset + written)
            except OSError:
                os.ftruncate(handle, offset)
                raise
        finally:
            os.close(handle)

    def holds(self, name: str) -> bool:
        """Say whether what there is has the SHA-256 that names it. Reads it once, in pieces."""
        try:
            with self.path(name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == name
        except FileNotFoundError:
            return False

    def remove(self, name: str) -> None:
        """Forget a part, if it is there."""
        self.path(name).unlink(missing_ok=True)

    def _make_room(self, name: str) -> None:
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(_END) and entry.name != f"{name}{_END}":
                    try:
                        found.append((entry.stat().st_mtime_ns, entry.name))
                    except FileNotFoundError:
                        continue
        for _, oldest in sorted(found)[: max(0, len(found) + 1 - self.most)]:
            (self.folder / oldest).unlink(missing_ok=True)

"""The parcels of a run: questions as they were put out, and the answers that count. One file each, however many sites.

Questions are linked from here into the boxes of the sites, and answers from where the post room filed them: a model of
100 MB for forty sites lies on the disk once.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, Invalid
from wardgate.records.parcel import Parcel, read_envelope
from wardgate.road.box import Box, sync


@dataclass(slots=True)
class Shelf:
    """Parcels by the SHA-256 of their bytes.

    Args:
        folder: Made where it is missing.
    """

    folder: Path
    _box: Box = field(init=False)

    def __post_init__(self) -> None:
        self._box = Box(self.folder)

    def put(self, parcel: Parcel) -> str:
        """Store a parcel and return its name.

        Raises:
            Invalid: no room.
        """
        try:
            return self._box.put(parcel)
        except OSError as error:
            raise _no_room(error) from error

    def link_in(self, path: Path) -> tuple[str, Parcel]:
        """Take in a parcel that was filed elsewhere on the same file system; return its name and what it holds.

        `settle` waits until the disk has it under this name too.

        Raises:
            Broken: it is no parcel.
            Invalid: no room.
        """
        data = path.read_bytes()
        name = sha256(data)
        try:
            os.link(path, self._path(name))
        except FileExistsError:
            pass
        except OSError as error:
            raise _no_room(error) from error
        return name, Parcel.from_bytes(data)

    def link_out(self, name: str, box: Path) -> None:
        """Put a parcel of the shelf into a box as well, on the same file system.

        Nobody waits for the disk: whoever goes on after a loss of power puts it out again.
        """
        Box(box)
        try:
            os.link(self._path(name), box / f"{name}.parcel")
        except FileExistsError:
            pass
        except OSError as error:
            raise _no_room(error) from error

    def settle(self) -> None:
        """Wait until the names of all parcels are on the disk."""
        sync(self.folder)

    def read(self, name: str) -> Parcel:
        """Return a parcel.

        Raises:
            Broken: it is missing, or was altered.
        """
        try:
            return self._box.read(name)
        except Broken as error:
            raise Broken(f"{error}; the run's journal names it, so put the folder back as it was") from error

    def envelope(self, name: str) -> bytes:
        """Return a parcel's envelope alone; the parcel may be large.

        Raises:
            Broken: it is missing, or no parcel.
        """
        with self._box.open(name) as stream:
            return read_envelope(stream)

    def envelope_digest(self, name: str) -> str | None:
        """Return the SHA-256 of a parcel's envelope; None where it is missing."""
        try:
            return sha256(self.envelope(name))
        except Broken:
            return None

    def size(self, name: str) -> int:
        """Return how many bytes a parcel has, 0 where it is missing."""
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError:
            return 0

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parcel"


def _no_room(error: OSError) -> Invalid:
    return Invalid(
        f"a parcel of the run cannot be kept: {error.strerror or error}. Make room and run the study again: it goes on"
        " where it stopped, and nothing is lost"
    )

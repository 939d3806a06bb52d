"""The folder of questions and releases between wire and ward. Nothing else connects the two.

In a deployment it is a directory that both mount; in one process it is memory. `questions` holds everything that came
for the ward, `answers` everything that leaves it.
"""

from pathlib import Path
from typing import Literal, Protocol

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.parcel import Parcel
from wardgate.road.box import Box as Folder

Box = Literal["questions", "answers"]


class Spool(Protocol):
    """Two boxes of parcels."""

    def put(self, box: Box, parcel: Parcel) -> str:
        """Store a parcel and return its name."""
        ...

    def take(self, box: Box, name: str) -> Parcel:
        """Return a parcel and remove it from the box."""
        ...

    def read(self, box: Box, name: str) -> Parcel:
        """Return a parcel and leave it in the box."""
        ...

    def remove(self, box: Box, name: str) -> None:
        """Remove a parcel, if it is there."""
        ...


class MemorySpool:
    """A spool inside one process."""

    def __init__(self) -> None:
        self._boxes: dict[Box, dict[str, Parcel]] = {"questions": {}, "answers": {}}

    def put(self, box: Box, parcel: Parcel) -> str:
        name = sha256(parcel.envelope)
        self._boxes[box][name] = parcel
        return name

    def take(self, box: Box, name: str) -> Parcel:
        parcel = self._boxes[box].pop(name, None)
        if parcel is None:
            raise Broken(f"the spool holds no parcel {name[:16]} in {box}")
        return parcel

    def read(self, box: Box, name: str) -> Parcel:
        parcel = self._boxes[box].get(name)
        if parcel is None:
            raise Broken(f"the spool holds no parcel {name[:16]} in {box}")
        return parcel

    def remove(self, box: Box, name: str) -> None:
        self._boxes[box].pop(name, None)


class FolderSpool:
    """A spool in a directory.

    Args:
        root: Existing directory; `questions/` and `answers/` are made inside.
    """

    def __init__(self, root: Path) -> None:
        self._boxes: dict[Box, Folder] = {"questions": Folder(root / "questions"), "answers": Folder(root / "answers")}

    def box(self, box: Box) -> Folder:
        """Return one of the two boxes, for whoever has to leave a parcel there until it is safe elsewhere."""
        return self._boxes[box]

    def put(self, box: Box, parcel: Parcel) -> str:
        return self._boxes[box].put(parcel)

    def take(self, box: Box, name: str) -> Parcel:
        parcel = self._boxes[box].read(name)
        self._boxes[box].remove(name)
        return parcel

    def read(self, box: Box, name: str) -> Parcel:
        return self._boxes[box].read(name)

    def remove(self, box: Box, name: str) -> None:
        self._boxes[box].remove(name)

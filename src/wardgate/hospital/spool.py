"""The folder of questions and releases between wire and ward. Nothing else connects the two.

In a deployment it is a directory that both mount; in one process it is memory. Parcels are named by the digest
of their bytes, written whole (write, fsync, rename) or not at all.
"""

import os
from pathlib import Path
from typing import Literal, Protocol

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.parcel import Parcel

Box = Literal["questions", "answers"]


class Spool(Protocol):
    """Two boxes of parcels."""

    def put(self, box: Box, parcel: Parcel) -> str:
        """Store a parcel and return its name."""
        ...

    def take(self, box: Box, name: str) -> Parcel:
        """Return a parcel and remove it from the box."""
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


class FolderSpool:
    """A spool in a directory.

    Args:
        root: Existing directory; `questions/` and `answers/` are made inside.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        for box in ("questions", "answers"):
            (root / box).mkdir(mode=0o700, exist_ok=True)

    def put(self, box: Box, parcel: Parcel) -> str:
        data = parcel.to_bytes()
        name = sha256(data)
        final = self._root / box / f"{name}.parcel"
        partial = final.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(final)
        return name

    def take(self, box: Box, name: str) -> Parcel:
        if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise Broken("the spool holds no parcel of that name: expected a SHA-256")
        path = self._root / box / f"{name}.parcel"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise Broken(f"the spool holds no parcel {name[:16]} in {box}") from error
        if sha256(data) != name:
            raise Broken(f"parcel {name[:16]} in the spool was altered")
        path.unlink()
        return Parcel.from_bytes(data)

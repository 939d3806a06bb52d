"""The raw vectors of a run: one file, filled without a gap in the order in which the records first name them."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from wardgate.hub import layout
from wardgate.hub.intake.reading import Folder
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.parcel import VectorRef

TOO_MANY = 2
"""After so many vectors that are not where they should be, where the next begins is a guess."""

LOG = "log"
"""Name of the blob that is always a file of its own: a closing answer's log."""


@dataclass(slots=True, kw_only=True)
class Vectors:
    """Gives out the bytes of each vector as it is named, and checks them.

    Attributes:
        envelopes: Digests of all records; an enrolment that travels beside a question is one of them.
    """

    folder: Folder
    envelopes: set[str]
    _data: bytes = b""
    _position: int = 0
    _missed: int = 0
    _places: dict[str, tuple[int, int]] = field(default_factory=dict)
    _files: dict[str, str] = field(default_factory=dict)

    def open(self) -> bool:
        """Read the file; say whether it is there."""
        with self.folder.at(layout.VECTORS):
            self._data = self.folder.read(layout.VECTORS)
            self._files = {
                entry.sha256: path for path, entry in self.folder.entries.items() if _holds_a_blob(PurePosixPath(path))
            }
            return True
        return False

    def take(self, ref: VectorRef, here: str) -> bytes | None:
        """Return the bytes of a vector that the record `here` names; nothing where they are broken, which is noted.

        Of a record of its own, which only questions name, nothing but its digest is known here: empty bytes.
        """
        if ref.sha256 in self.envelopes:
            return b""
        if ref.sha256 in self._files:
            return self._file(ref.sha256)
        if ref.sha256 in self._places:
            return self.known(ref)
        if ref.name == LOG:
            self.folder.find(here, "the log that it carries is not the one that lies in the run")
            return None
        if self._missed >= TOO_MANY:
            return None
        start, length = self._position, layout.size_of(ref)
        self._position += length
        data = self._data[start : start + length]
        if sha256(data) == ref.sha256:
            self._places[ref.sha256] = (start, length)
            self.folder.count("vectors")
            return data
        self._missed += 1
        problem = "do not match the signed digest" if len(data) == length else "are cut short"
        self.folder.find(layout.VECTORS, f"the {length} bytes from byte {start} on, '{ref.name}' of {here}, {problem}")
        return None

    def known(self, ref: VectorRef) -> bytes:
        """Return the bytes of a vector that was taken before.

        Raises:
            Broken: its bytes did not hold.
        """
        if ref.sha256 not in self._places:
            raise Broken(f"the vector '{ref.name}' that it rests on does not hold")
        start, length = self._places[ref.sha256]
        return self._data[start : start + length]

    def end(self) -> None:
        """Check that every byte was named."""
        unnamed = len(self._data) - self._position
        if unnamed > 0 and not self._missed:
            self.folder.find(layout.VECTORS, f"holds {unnamed} bytes at its end that no record names")

    def _file(self, digest: str) -> bytes | None:
        path = self._files[digest]
        with self.folder.at(path):
            data = self.folder.read(path)
            if sha256(data) != digest:
                raise Broken("the bytes do not match the digest in the signed manifest")
            return data
        return None


def _holds_a_blob(path: PurePosixPath) -> bool:
    if path.parts[0] == "commons":
        return path.as_posix() != layout.CATALOGUE
    return path.name == "log.jsonl" and path.as_posix() != layout.log_path(layout.HUB)

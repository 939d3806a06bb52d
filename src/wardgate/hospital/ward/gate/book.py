"""A file that only grows, read and written by several wards of one hospital in turn. On disk before anything leaves."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GrowingFile:
    """One line an entry. Whoever appends holds the lock, and has read what others appended before."""

    path: Path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the file against other processes and other wards of this one."""
        with self.path.with_suffix(".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self) -> bytes:
        """Return everything, nothing where there is no file yet."""
        return self.path.read_bytes() if self.path.exists() else b""

    def append(self, line: bytes) -> None:
        """Append one line and force it to disk."""
        with self.path.open("ab") as file:
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def beside(self, name: str) -> bytes | None:
        """Return a small file beside it, or nothing where there is none."""
        path = self.path.with_name(name)
        return path.read_bytes() if path.exists() else None

    def write_beside(self, name: str, data: bytes) -> None:
        """Replace a small file beside it, whole or not at all."""
        path = self.path.with_name(name)
        draft = path.with_name(f".{name}.draft")
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

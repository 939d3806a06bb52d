"""A file that only grows, read and written by several wards of one hospital in turn. On disk before anything leaves."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wardgate.road.box import sync


@dataclass(frozen=True, slots=True)
class GrowingFile:
    """One line an entry. Whoever appends holds the lock, and has read what others appended before.

    A line is whole when its newline is there, and nothing leaves before that. So a line without one, the trace of a
    process that was killed or of a disk that was full, speaks of nothing that left: `mend` cuts it off.
    """

    path: Path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the file against other processes and other wards of this one."""
        with open(_appendable(self.path.with_suffix(".lock")), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self) -> bytes:
        """Return everything, nothing where there is no file yet."""
        return self.path.read_bytes() if self.path.exists() else b""

    def append(self, line: bytes, *, wait: bool = True) -> None:
        """Append one line and force it to disk.

        Args:
            wait: Without it the line outlives this process, but perhaps not a loss of power.

        Raises:
            OSError: no room, or no right to write; the file is then what it was before.
        """
        fresh = not self.path.exists()
        handle = _appendable(self.path)
        try:
            before = os.fstat(handle).st_size
            try:
                _write(handle, line + b"\n", wait=wait)
            except OSError:
                os.ftruncate(handle, before)
                raise
        finally:
            os.close(handle)
        if fresh:
            sync(self.path.parent)

    def mend(self) -> int:
        """Cut off a last line that was never finished, and return how many bytes it had.

        Whoever calls it holds the file, so nobody is writing that line.
        """
        data = self.read()
        torn = len(data) - (data.rfind(b"\n") + 1)
        if torn:
            handle = _appendable(self.path)
            try:
                os.ftruncate(handle, len(data) - torn)
                os.fsync(handle)
            finally:
                os.close(handle)
        return torn

    def beside(self, name: str) -> bytes | None:
        """Return a small file beside it, or nothing where there is none."""
        path = self.path.with_name(name)
        return path.read_bytes() if path.exists() else None

    def write_beside(self, name: str, data: bytes) -> None:
        """Replace a small file beside it, whole or not at all."""
        write_whole(self.path.with_name(name), data)


def write_whole(path: Path, data: bytes, *, settle: bool = True) -> None:
    """Write a file for its owner alone, whole or not at all, on disk when this returns.

    Args:
        settle: Wait until its name is on the disk as well; else the caller does so for the whole folder.

    Raises:
        OSError: no room, or no right to write; what was there before stays.
    """
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _write(handle, data, wait=True)
    finally:
        os.close(handle)
    draft.replace(path)
    if settle:
        sync(path.parent)


def _appendable(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _write(handle: int, data: bytes, *, wait: bool) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]
    if wait:
        os.fsync(handle)

"""A folder of whole parcels, each named by the SHA-256 of its bytes: where mail waits until its next owner has it.

A parcel is written whole (write, fsync, rename, fsync of the folder) or not at all, and removed only by whoever has
taken it over. So a process may be killed and a machine may lose power at any moment: what was in hand is still there.

Whoever else may write in the folder can lay anything there. So only regular files count: no link is followed, nothing
is waited for, nothing larger than MOST_BYTES is read, and no byte is handed on before all of them have the digest.
"""

import hashlib
import os
import re
import stat
from io import BufferedReader
from pathlib import Path
from threading import Lock

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.parcel import Parcel

_NAME = re.compile(r"[0-9a-f]{64}")

MOST_BYTES = 4 * 2**30
"""Of one parcel."""

LARGE_BYTES = 64 * 2**20
"""A larger parcel comes into memory only after its digest was found right: a hole in a file costs a forger nothing."""


class Box:
    """Parcels in one folder.

    Args:
        folder: Made where it is missing, for its owner alone; its parent must exist. Where two users share it, it is
            made beforehand with their group.
        durable: Whether `put` waits for the disk. Without that, a parcel outlives its process but perhaps not a loss of
            power, and the disk is waited for by nobody: for mail that its owner keeps elsewhere and puts again.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._folder = folder
        self._durable = durable
        self._lock = Lock()
        self._newest = 0
        folder.mkdir(mode=0o700, exist_ok=True)

    def put(self, parcel: Parcel) -> str:
        """Store a parcel and return its name. The same parcel twice is one.

        Raises:
            OSError: no room, or no right to write; nothing half-written is left under a parcel's name.
        """
        name = _digest(parcel)
        final = self._path(name)
        with self._lock:
            if self._holds(name):
                return name
            draft = self._folder / f"{name}.{os.getpid()}.partial"
            draft.unlink(missing_ok=True)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                with os.fdopen(handle, "wb") as file:
                    for piece in parcel.pieces():
                        file.write(piece)
                    file.flush()
                    self._share(file.fileno())
                    self._stamp(file.fileno())
                    if self._durable:
                        os.fsync(file.fileno())
                draft.replace(final)
            except OSError:
                draft.unlink(missing_ok=True)
                raise
        if self._durable:
            sync(self._folder)
        return name

    def adopt(self, path: Path, name: str) -> None:
        """Take over a file that holds the bytes of the parcel `name`, on the same file system.

        The caller has verified its digest. Whoever shares the folder may then read it.

        Raises:
            OSError: the file is gone, or lies on another file system.
        """
        final = self._path(name)
        with self._lock:
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                self._share(handle)
                self._stamp(handle)
                os.fsync(handle)
            finally:
                os.close(handle)
            path.replace(final)
        sync(self._folder)

    def names(self) -> list[str]:
        """Return the names of all parcels, oldest first."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(".parcel") and _NAME.fullmatch(entry.name[:-7]):
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
        with self.open(name) as file:
            size = os.fstat(file.fileno()).st_size
            whole = size <= LARGE_BYTES or hashlib.file_digest(file, "sha256").hexdigest() == name
            file.seek(0)
            data = file.read(size) if whole else b""
        if sha256(data) != name:
            raise Broken(f"parcel {name[:16]} in {self._folder.name} was altered")
        return Parcel.from_bytes(data)

    def open(self, name: str) -> BufferedReader:
        """Open a parcel to be read in pieces. Its bytes are not checked; whoever gets all of them can.

        Raises:
            Broken: no parcel of that name, or larger than a parcel may be.
        """
        path = self._path(name)
        try:
            return _opened(path)
        except FileNotFoundError as error:
            raise Broken(f"the spool holds no parcel {name[:16]} in {self._folder.name}") from error
        except OSError as error:
            raise Broken(
                f"the spool holds no parcel {name[:16]} in {self._folder.name} that can be read:"
                f" {error.strerror or error}; expected a regular file that this user may read"
            ) from error

    def holds(self, name: str) -> bool:
        """Say whether a parcel lies here. Its bytes are not checked."""
        return _regular(self._path(name))

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
        if not _NAME.fullmatch(name):
            raise Broken(f"the spool holds no parcel of that name in {self._folder.name}: expected a SHA-256")
        return self._folder / f"{name}.parcel"

    def _holds(self, name: str) -> bool:
        try:
            with _opened(self._path(name)) as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == name
        except OSError:
            return False

    def _stamp(self, handle: int) -> None:
        """Make a file the newest in the box: the clock of a file system may stand still between two parcels."""
        self._newest = max(self._newest + 1, os.fstat(handle).st_mtime_ns)
        os.utime(handle, ns=(self._newest, self._newest))

    def _share(self, handle: int) -> None:
        """Let the group of the folder read a file, where the group may take it out; nobody else, whatever the umask."""
        folder = self._folder.stat()
        shared = bool(folder.st_mode & stat.S_IWGRP)
        if shared and os.fstat(handle).st_gid != folder.st_gid:
            os.fchown(handle, -1, folder.st_gid)
        os.fchmod(handle, 0o640 if shared else 0o600)


def _digest(parcel: Parcel) -> str:
    found = hashlib.sha256()
    for piece in parcel.pieces():
        found.update(piece)
    return found.hexdigest()


def _regular(path: Path) -> bool:
    """Say whether a file lies there itself: no link, pipe, device or folder."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _opened(path: Path) -> BufferedReader:
    """Open a regular file, without following a link or waiting for a pipe's other end.

    Raises:
        OSError: it is none, or cannot be opened.
        Broken: larger than a parcel may be.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    here = os.fstat(file.fileno())
    if stat.S_ISREG(here.st_mode) and here.st_size <= MOST_BYTES:
        return file
    file.close()
    if stat.S_ISREG(here.st_mode):
        raise Broken(f"parcel {path.name[:16]} holds {here.st_size} bytes; expected at most {MOST_BYTES}")
    raise OSError(f"{path.name[:16]} is no regular file")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

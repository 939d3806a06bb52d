"""A hub or a wire serves alone, and ends what one that was killed left behind."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardgate.records.errors import Invalid


@contextmanager
def alone(lock: Path, workspace: Path) -> Iterator[int]:
    """Hold `lock` while serving; yield how many processes of a killed predecessor were ended.

    A server that lost its parent would keep the port, and a client would fight the next one for its name. Linux alone
    can tell; elsewhere none is ended.

    Args:
        workspace: Of the engine; its processes name it in their arguments.

    Raises:
        Invalid: another process serves.
    """
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Invalid(
                f"{lock.parent.parent.name} is already served by another process: stop that one first"
            ) from None
        yield _end_left(workspace)
    finally:
        os.close(handle)


def _end_left(workspace: Path) -> int:
    own, ended = str(workspace).encode(), 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if int(entry.name) != os.getpid() and b"-m" in words and own in words:
                os.kill(int(entry.name), signal.SIGKILL)
                ended += 1
        except OSError:
            continue
    return ended

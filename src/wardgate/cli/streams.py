"""The command's own standard streams, turned aside while wards work in its process.

Libraries beside patients warn, print and panic with values in their words, in Python or in native code. A ward that is
a process of its own has its streams in its private folder; wards inside the command's process share the command's.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO


@contextmanager
def turned_aside(log: Path) -> Iterator[TextIO]:
    """Send whatever is said on standard output or error into a private log, and yield the real standard error.

    The file descriptors themselves are turned, so only a process that owns its streams may call this.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    try:
        with (
            os.fdopen(os.dup(kept[1]), "w", encoding="utf-8", errors="replace") as screen,
            log.open("a", buffering=1, encoding="utf-8", errors="backslashreplace") as aside,
            redirect_stdout(aside),
            redirect_stderr(aside),
        ):
            os.dup2(aside.fileno(), 1)
            os.dup2(aside.fileno(), 2)
            yield screen
    finally:
        for here, there in zip(kept, (1, 2), strict=True):
            os.dup2(here, there)
            os.close(here)

"""How a process and everything that it started ends."""

import os
import signal
import subprocess


def end_group(process: "subprocess.Popen[bytes]", *, kindly_seconds: float) -> None:
    """End a process that leads a group, with its group: kindly first, then not.

    Args:
        kindly_seconds: It has to end by itself.
    """
    for kind, seconds in ((signal.SIGTERM, kindly_seconds), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, kind)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue
    process.wait()

"""What commands that stay have in common: the time, and how they are told to stop."""

import datetime
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def utc_now() -> datetime.datetime:
    """Return the time."""
    return datetime.datetime.now(datetime.UTC)  # noqa: TID251 - the command line is where `now` comes from


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """While it is open, SIGTERM and an interrupt set the event that it gives, and nothing is cut off."""
    stop = threading.Event()
    before = {name: signal.signal(name, lambda *_: stop.set()) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)

"""A sign of life in the spool, for whoever serves or inspects this hospital from outside the ward."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wardgate import __version__
from wardgate.records.mail import PROTOCOL

EVERY_SECONDS = 2.0


@dataclass(slots=True, kw_only=True)
class Heartbeat:
    """Writes `ward.alive`: who, since when, what the ward does. Its age says whether the ward lives.

    Attributes:
        path: The file; both sides read it.
    """

    path: Path
    site: str
    _last: float = field(init=False, default=float("-inf"))
    _state: str = field(init=False, default="")

    def beat(self, clock: Callable[[], str], ticks: float, *, state: str, studies: int, held: int) -> None:
        """Write the file if it is time, or the state changed. A disk that is full only leaves it to grow old.

        Args:
            clock: Now, in UTC.
            ticks: Seconds, monotonic.
            studies: Signed studies that are open.
            held: Questions that wait for a person.
        """
        if state == self._state and ticks - self._last < EVERY_SECONDS:
            return
        self._last, self._state = ticks, state
        said = {
            "schema": "wardgate/alive/1",
            "site": self.site,
            "wardgate": __version__,
            "protocol": PROTOCOL,
            "state": state,
            "studies": studies,
            "held": held,
            "at": clock(),
        }
        try:
            self._write(json.dumps(said) + "\n")
        except OSError:
            self._state = ""

    def _write(self, text: str) -> None:
        """Replace the file. Others may lay things into the spool, so no link there is followed."""
        draft = self.path.with_name(f".{self.path.name}.draft")
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(handle, 0o640)
            file.write(text)
        draft.replace(self.path)

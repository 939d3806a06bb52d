"""A sign of life in the spool, for whoever serves or inspects this hospital from outside the ward."""

import json
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
        draft = self.path.with_name(f".{self.path.name}.draft")
        try:
            draft.write_text(json.dumps(said) + "\n", encoding="utf-8")
            draft.chmod(0o640)
            draft.replace(self.path)
        except OSError:
            self._state = ""

"""One direction between a box and the other end: everything that waits is brought, oldest first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from wardgate.records.errors import Absent, Broken, Refused
from wardgate.road.box import Box
from wardgate.road.transfer import NoRoom, Sender

_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a lane brought since it was opened.

    Attributes:
        parcels: How many were taken.
        size: Their bytes.
        moved: Bytes of all messages that were sent for them.
        last: When the last one was taken; empty before the first.
        waiting_for_room: Parcels that the other end had no room for, at the last push.
        set_aside: Why a parcel was not taken, by its name. It lies in the box and is not tried again by this lane.
    """

    parcels: int = 0
    size: int = 0
    moved: int = 0
    last: str = ""
    waiting_for_room: int = 0
    set_aside: Mapping[str, str] = field(default_factory=dict)


class Lane:
    """Brings a box to the other end. One thread at a time pushes; others may read `carried`.

    Args:
        outgoing: Parcels leave it when the other end has them, not before.
        sender: The road.
        now: The time as text, for `Carried.last`.
    """

    def __init__(self, outgoing: Box, sender: Sender, *, now: Callable[[], str] = lambda: "") -> None:
        self._outgoing = outgoing
        self._sender = sender
        self._now = now
        self._carried = Carried()
        self._broken: dict[str, int] = {}

    @property
    def carried(self) -> Carried:
        """What was brought so far."""
        return self._carried

    def push(self, stop: Callable[[], bool]) -> int:
        """Bring what waits, and return how many parcels were taken.

        A parcel that is refused, or three times fails for itself, is set aside; one that finds no room waits. The
        others go on.

        Args:
            stop: Asked between two messages.

        Raises:
            Absent: the other end does not answer; what was brought is counted all the same.
        """
        taken = without_room = 0
        for name in self._outgoing.names():
            if stop():
                break
            if name in self._carried.set_aside:
                continue
            try:
                sent = self._sender.send(self._outgoing, name, stop=stop)
            except NoRoom:
                without_room += 1
                continue
            except Absent:
                if stop():
                    break
                raise
            except Refused as error:
                self._set_aside(name, str(error))
                continue
            except Broken as error:
                self._broken[name] = self._broken.get(name, 0) + 1
                if self._broken[name] >= _TRIES:
                    self._set_aside(name, str(error))
                continue
            self._outgoing.remove(name)
            taken += 1
            self._carried = replace(
                self._carried,
                parcels=self._carried.parcels + 1,
                size=self._carried.size + sent.size,
                moved=self._carried.moved + sent.moved,
                last=self._now(),
            )
        self._carried = replace(self._carried, waiting_for_room=without_room)
        return taken

    def _set_aside(self, name: str, words: str) -> None:
        self._carried = replace(self._carried, set_aside={**self._carried.set_aside, name: words})

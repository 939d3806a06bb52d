"""One direction of one site's road, kept going: each parcel of a box is checked, brought over, and then let go."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wardgate.records.errors import Absent, Broken, Refused, WardgateError
from wardgate.records.parcel import Parcel, check_frame
from wardgate.road.box import Box
from wardgate.road.transfer import Garbled, NoRoom, Sender

LARGEST = 2 * 2**30
"""Bytes of one parcel that either end takes."""

Check = Callable[[Parcel], object]
"""Raises a WardgateError for what may not pass."""


@dataclass(slots=True, kw_only=True)
class Lane:
    """Parcels on their way out of one box.

    A parcel that may not pass, or that the other end declines for good, is put aside: it stands in nobody's way and is
    there to be looked at. It is counted and said to `told` without its content.

    Attributes:
        box: Where parcels wait.
        sender: The road.
        check: Judges a parcel before it leaves; None where the other end alone judges, and nothing is read whole.
        aside: Folder on the box's file system for what may not pass; at most `most_aside` parcels stay there.
        told: Hears of every parcel that was put aside: its name and the words of the reason.
        sent, bytes, refused: Counted since the start.
    """

    box: Box
    sender: Sender
    check: Check | None
    aside: Path
    told: Callable[[str, str], None]
    most_aside: int = 64
    sent: int = 0
    bytes: int = 0
    refused: int = 0
    _checked: set[str] = field(default_factory=set)

    def push(self, *, stop: Callable[[], bool]) -> int:
        """Bring over what waits, oldest first, and return how many parcels left.

        A parcel for which the other end has no room waits; smaller ones go on.

        Raises:
            Absent: the other end does not answer, or has room for nothing; what it has not is still in the box.
            Garbled: it answers something else than a road does; what it has not is still in the box.
        """
        left, full = 0, None
        for name in self.box.names():
            if stop():
                break
            try:
                if self.check is not None and name not in self._checked:
                    self.check(self.box.read(name))
                    self._checked.add(name)
                arrived = self.sender.send(self.box, name, stop=stop)
            except NoRoom as error:
                full = error
                continue
            except (Absent, Garbled):
                raise
            except (Broken, Refused) as error:
                self._put_aside(name, str(error))
                continue
            self.box.remove(name)
            self._checked.discard(name)
            self.sent += 1
            self.bytes += arrived.moved
            left += 1
        if full is not None and not left:
            raise full
        return left

    def _put_aside(self, name: str, words: str) -> None:
        put_aside(self.box, name, self.aside, most=self.most_aside)
        self._checked.discard(name)
        self.refused += 1
        self.told(name, words)


def put_aside(box: Box, name: str, folder: Path, *, most: int) -> None:
    """Move a parcel out of its box into a folder of things that may not pass, from which the oldest go first."""
    try:
        path = box.path(name)
    except Broken:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    path.replace(folder / f"{name}.aside")
    kept = sorted(folder.glob("*.aside"), key=lambda found: found.stat().st_mtime_ns)
    for old in kept[: max(0, len(kept) - most)]:
        old.unlink(missing_ok=True)


def taken_into(
    box: Box, check: Check, told: Callable[[str, str], None], *, blobs: bool = True
) -> Callable[[Path, str], None]:
    """Return how a receiver takes over a whole parcel: checked, then moved into the box.

    Args:
        told: Hears of every parcel that was not taken: its name and the words of the reason.
        blobs: Whether `check` looks at the blobs. Without them it is given the envelope alone, and many large parcels
            at once take no memory; that they are framed well is checked all the same.
    """

    def accept(path: Path, name: str) -> None:
        try:
            check(_read(path, blobs=blobs))
        except Absent:
            raise
        except WardgateError as error:
            told(name, str(error))
            raise
        box.adopt(path, name)

    return accept


def _read(path: Path, *, blobs: bool) -> Parcel:
    if blobs:
        return Parcel.from_bytes(path.read_bytes())
    with path.open("rb") as stream:
        return Parcel(check_frame(stream, size=path.stat().st_size))


def holds(box: Box) -> Callable[[str], bool]:
    """Return how a receiver tells whether it has a parcel: by the box alone.

    A parcel that came again after its owner took it is delivered again; owners are idempotent.
    """

    def has(name: str) -> bool:
        try:
            box.path(name)
        except Broken:
            return False
        return True

    return has

"""How one parcel crosses from a box to the other end over any request and reply, and goes on where it was cut off.

The receiver alone knows how far it is: a sender that lost its way asks. Any message may be lost, doubled or late.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from threading import Lock

from wardgate.records.canonical import sha256
from wardgate.records.errors import Absent, Broken, Invalid, Refused, Unsupported, WardgateError
from wardgate.road.box import Box
from wardgate.road.frames import (
    LONGEST,
    WORDS,
    Declined,
    Frame,
    Greeting,
    Later,
    Malformed,
    Piece,
    Taken,
    Want,
    pack,
    read,
    write,
)
from wardgate.road.partials import Partials

Call = Callable[[bytes], bytes]
"""One request, one reply. Raises Absent when the other end does not answer in time."""

CHUNK = 512 * 1024
MARGIN = 64 * 1024 * 1024
"""Bytes that stay free on a disk, whatever a peer sends."""

_ANEW = 3
_LOCKS = 64


class NoRoom(Absent):
    """The other end has no room for a parcel now; it may have later. The parcel is kept."""


class Garbled(Broken):
    """The other end answered something that is no answer: it speaks otherwise, or something between alters replies.

    Nothing is wrong with the parcel, which stays.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A parcel that the other end has.

    Attributes:
        size: Of the parcel, in bytes.
        moved: Bytes of all messages that were sent for it, repeated ones too.
        resumed_from: How many bytes the other end had from earlier.
    """

    size: int
    moved: int
    resumed_from: int


class Sender:
    """One direction of the road.

    Args:
        call: The request and reply that carries everything.
        chunk: Bytes of a parcel in one message, from 1 to 4 MiB. A parcel not longer than that takes one round trip.
            Messages that are not answered in time make the next ones shorter, for slow lines; then they grow again.
        retries: How often in a row the other end may not answer before a send is given up.
    """

    def __init__(self, *, call: Call, chunk: int = CHUNK, retries: int = 2) -> None:
        if not 1 <= chunk <= LONGEST:
            raise Invalid(f"chunks of {chunk} bytes; expected 1 to {LONGEST}")
        self._call = call
        self._chunk = self._length = chunk
        self._retries = retries

    def greet(self, said: Mapping[str, object]) -> Mapping[str, object]:
        """Exchange greetings and return the other end's.

        Args:
            said: Holds at least `protocol` (a whole number) and `wardgate` (the version); texts, whole numbers, lists
                and mappings. Time and standing are the caller's to add.

        Raises:
            Absent: no answer.
            Unsupported: the two ends speak different protocols; the words say who has to upgrade.
            Refused: the other end does not want to talk, with its reason.
            Garbled: a malformed reply.
        """
        frame = self._ask(write(Greeting(said=dict(said))))
        if not isinstance(frame, Greeting):
            raise Garbled("a greeting was answered by something else")
        check_protocol(said, frame.said)
        return frame.said

    def send(self, box: Box, name: str, *, stop: Callable[[], bool] = lambda: False) -> Sent:
        """Bring a parcel to the other end; return once it is safe there. The parcel stays in the box.

        At most one chunk is in memory.

        Args:
            stop: Asked between two messages.

        Raises:
            Absent: no answer, or `stop` said so; the next send goes on where this one ended.
            NoRoom: the other end has no room for it now.
            Refused: the other end will not take it, with its reason.
            Garbled: a malformed reply.
            Broken: no such parcel, or it arrived altered again and again.
        """
        with box.open(name) as file:
            return self._send(file, name, os.fstat(file.fileno()).st_size, stop)

    def _send(self, file: BufferedReader, name: str, size: int, stop: Callable[[], bool]) -> Sent:
        offset = moved = unanswered = anew = 0
        asking = size > self._length
        resumed_from: int | None = None if asking else 0
        while not stop():
            data = b"" if asking else _piece(file, offset, min(self._length, size - offset), name)
            raw, packed = pack(data)
            message = write(Piece(name=name, size=size, offset=offset, length=len(data), packed=packed), raw)
            moved += len(message)
            try:
                frame = self._ask(message)
            except NoRoom:
                raise
            except Absent:
                unanswered += 1
                self._length = max(1, self._length // 2) if data else self._length
                if unanswered > self._retries:
                    raise
                asking = True
                continue
            if isinstance(frame, Taken) and frame.name == name:
                return Sent(size=size, moved=moved, resumed_from=size if resumed_from is None else resumed_from)
            if not isinstance(frame, Want) or frame.name != name or frame.offset >= size:
                raise Garbled(f"parcel {name[:16]} was answered by something else")
            resumed_from = frame.offset if resumed_from is None else resumed_from
            if frame.offset < offset or (data and frame.offset == offset):
                anew += 1
                if anew > _ANEW:
                    raise Broken(f"parcel {name[:16]} did not arrive whole in {anew} attempts: {_blame(file, name)}")
            elif data:
                unanswered = 0
                self._length = min(self._chunk, self._length + self._length // 16 + 1)
            offset = frame.offset
            asking = False
        raise Absent(f"parcel {name[:16]} was stopped on its way; the next send goes on where this one ended")

    def _ask(self, message: bytes) -> Frame:
        try:
            reply, _ = read(self._call(message))
        except Broken as error:
            raise Garbled(f"the other end answered what cannot be read: {error}") from error
        if isinstance(reply, Later):
            raise NoRoom(reply.words)
        if isinstance(reply, Malformed):
            raise Garbled(f"the other end could not read a message: {reply.words}")
        if isinstance(reply, Declined):
            raise Refused(reply.words)
        return reply


class Receiver:
    """The other end, for one peer. Knows where the parcels go only by `accept`.

    Args:
        partial: Folder for what came in part, for this peer alone; made where it is missing.
        accept: Takes over a whole parcel whose digest was checked: moves the file (`Box.adopt`), or raises
            WardgateError, whose words the peer gets. Absent, or an OSError, means later; the parcel is then kept.
        has: Says whether a parcel of that name was accepted before.
        largest: Bytes of one parcel.
        greeting: Answers a greeting, whatever protocol it names: the sender compares. May raise WardgateError.
        free: Bytes free on the disk.
        margin: Bytes that stay free.
        most: Parcels in part at a time; the oldest goes when another begins.
    """

    def __init__(
        self,
        *,
        partial: Path,
        accept: Callable[[Path, str], None],
        has: Callable[[str], bool],
        largest: int,
        greeting: Callable[[Mapping[str, object]], Mapping[str, object]],
        free: Callable[[], int],
        margin: int = MARGIN,
        most: int = 8,
    ) -> None:
        self._partials = Partials(folder=partial, most=most)
        self._accept = accept
        self._has = has
        self._largest = largest
        self._greeting = greeting
        self._free = free
        self._margin = margin
        self._locks = tuple(Lock() for _ in range(_LOCKS))

    def take(self, message: bytes) -> bytes:
        """Answer one message. Nothing that a peer sends raises here; it is answered by an error frame."""
        try:
            frame, data = read(message)
            if isinstance(frame, Greeting):
                return write(Greeting(said=dict(self._greeting(frame.said))))
            if isinstance(frame, Piece):
                with self._locks[int(frame.name[:8], 16) % _LOCKS]:
                    return write(self._piece(frame, data))
            raise Broken("a reply came where a request was expected")
        except Broken as error:
            return write(Malformed(words=_words(error)))
        except WardgateError as error:
            return write(Declined(words=_words(error)))

    def _piece(self, piece: Piece, data: bytes) -> Frame:
        name, size = piece.name, piece.size
        if self._has(name):
            self._partials.remove(name)
            return Taken(name=name)
        if size > self._largest:
            return Declined(words=f"a parcel of {size} bytes; this end takes at most {self._largest}")
        try:
            have = self._partials.length(name)
            if have > size:
                self._partials.remove(name)
                have = 0
            if have < size and self._free() < size - have + self._margin:
                return Later(words=_no_room(size - have))
            if data and piece.offset == have:
                if len(data) == size and sha256(data) != name:
                    return Want(name=name, offset=0)
                have = self._append(name, data, offset=have)
            return self._whole(name) if have == size else Want(name=name, offset=have)
        except OSError as error:
            return Later(words=f"the other end could not store a parcel: {error.strerror or 'input or output failed'}")

    def _append(self, name: str, data: bytes, *, offset: int) -> int:
        try:
            self._partials.append(name, data, offset=offset)
        except FileNotFoundError:
            return 0
        return offset + len(data)

    def _whole(self, name: str) -> Frame:
        if not self._partials.holds(name):
            self._partials.remove(name)
            return Want(name=name, offset=0)
        try:
            self._accept(self._partials.path(name), name)
        except Absent as error:
            return Later(words=_words(error))
        except WardgateError as error:
            self._partials.remove(name)
            return Declined(words=_words(error))
        self._partials.remove(name)
        return Taken(name=name)


def check_protocol(ours: Mapping[str, object], theirs: Mapping[str, object]) -> None:
    """Check that two greetings name the same protocol. Both ends may call it, and say the same words.

    Raises:
        Unsupported: they do not; the words say who has to upgrade.
        Broken: one of them names none.
    """
    here, there = ours.get("protocol"), theirs.get("protocol")
    if type(here) is not int or type(there) is not int:
        raise Broken("a greeting without a protocol number")
    if here != there:
        (old, older), (new, newer) = sorted([(here, _version(ours)), (there, _version(theirs))])
        raise Unsupported(
            f"wardgate {older} speaks protocol {old}, wardgate {newer} protocol {new}: they cannot talk; the end that"
            f" runs wardgate {older} has to upgrade"
        )


def _version(said: Mapping[str, object]) -> str:
    return str(said.get("wardgate"))[:40]


def _piece(file: BufferedReader, offset: int, length: int, name: str) -> bytes:
    file.seek(offset)
    data = file.read(length)
    if len(data) != length:
        raise Broken(f"parcel {name[:16]} became shorter while it was sent")
    return data


def _blame(file: BufferedReader, name: str) -> str:
    file.seek(0)
    if hashlib.file_digest(file, "sha256").hexdigest() != name:
        return "its bytes in the box here are not those of its name"
    return "it is whole here, so something on the way alters it"


def _words(error: WardgateError) -> str:
    return str(error)[:WORDS]


def _no_room(needed: int) -> str:
    return f"the other end has no room for {needed} bytes; it keeps what came, send it again when there is room"

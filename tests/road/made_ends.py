"""Two boxes and the road between them, over a call that a test may spoil."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wardgate.records.canonical import sha256
from wardgate.records.errors import Absent
from wardgate.records.parcel import Parcel
from wardgate.road.box import Box
from wardgate.road.transfer import Receiver, Sender

GREETING = {"protocol": 1, "wardgate": "0.4.0"}
PLENTY = 2**40


@dataclass(slots=True, kw_only=True)
class Ends:
    """What lies on the disks of both ends, and who is running there now.

    Attributes:
        folder: Of both ends.
        before, after: Called with the number of a message before it is received and before it is answered; they may
            raise, as a line does that loses it.
        line: In place of all that, a line that calls `receiver.take` itself.
        accepted: Names in the order in which the receiver took them.
    """

    folder: Path
    chunk: int = 64
    retries: int = 2
    largest: int = PLENTY
    room: int = PLENTY
    most: int = 8
    refuse: Callable[[str], None] = lambda name: None
    greeting: Mapping[str, object] = field(default_factory=lambda: GREETING)
    before: Callable[[int], None] = lambda number: None
    after: Callable[[int], None] = lambda number: None
    line: Callable[[bytes], bytes] | None = None
    accepted: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    out: Box = field(init=False)
    into: Box = field(init=False)
    receiver: Receiver = field(init=False)
    sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self.out = Box(self.folder / "out", durable=False)
        self.into = Box(self.folder / "in", durable=False)
        self.restart()

    def restart(self) -> None:
        """Both processes begin anew; only their folders stay."""
        self.receiver = Receiver(
            partial=self.folder / "partial",
            accept=self._accept,
            has=self.accepted.__contains__,
            largest=self.largest,
            greeting=lambda said: self.greeting,
            free=lambda: self.room,
            margin=0,
            most=self.most,
        )
        self.sender = Sender(call=self.line or self.call, chunk=self.chunk, retries=self.retries)

    def call(self, message: bytes) -> bytes:
        """Carry one message and its reply."""
        number = len(self.messages)
        self.messages.append(message)
        self.before(number)
        reply = self.receiver.take(message)
        self.after(number)
        return reply

    def put(self, size: int, *, seed: int = 0) -> str:
        """Lay a parcel of incompressible bytes into the outgoing box."""
        return self.out.put(noise(size, seed=seed))

    def parts(self) -> list[str]:
        """Names of the files that came in part."""
        return sorted(path.name for path in (self.folder / "partial").iterdir())

    def _accept(self, path: Path, name: str) -> None:
        self.refuse(name)
        self.into.adopt(path, name)
        self.accepted.append(name)


def noise(size: int, *, seed: int = 0) -> Parcel:
    """A parcel whose bytes are like those of a masked vector."""
    blocks = (bytes.fromhex(sha256(f"{seed}/{place}".encode())) for place in range(size // 32 + 1))
    return Parcel(b"".join(blocks)[:size])


def lose(number: int) -> None:
    """A line that loses everything."""
    raise Absent(f"message {number} was lost")

"""Whatever a line does to messages and whenever an end is killed, the same bytes arrive, once and only once."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_ends import Ends

from wardgate.records.errors import Absent


class Killed(BaseException):
    """The process is gone: nothing after this line runs in it."""


FATES = ("passes", "request lost", "reply lost", "doubled", "comes again later", "receiver killed", "sender killed")


@dataclass(slots=True)
class Line:
    """A line that does to each message what a script says; afterwards it passes everything.

    Attributes:
        late: Copies of requests, with the number of messages until they arrive.
    """

    ends: Ends
    script: list[tuple[str, int]]
    late: list[tuple[int, bytes]] = field(default_factory=list)

    def call(self, message: bytes) -> bytes:
        fate, delay = self.script.pop(0) if self.script else ("passes", 0)
        self._deliver_late()
        if fate == "comes again later":
            self.late.append((delay, message))
        if fate == "request lost":
            raise Absent("lost")
        reply = self.ends.receiver.take(message)
        if fate == "doubled":
            reply = self.ends.receiver.take(message)
        if fate == "receiver killed":
            self.ends.restart()
            raise Absent("the other end is gone")
        if fate == "sender killed":
            raise Killed
        if fate == "reply lost":
            raise Absent("lost")
        return reply

    def finish(self) -> None:
        """Let everything arrive that is still on its way."""
        for _, message in self.late:
            self.ends.receiver.take(message)

    def _deliver_late(self) -> None:
        for _, message in [item for item in self.late if item[0] == 0]:
            self.ends.receiver.take(message)
        self.late = [(left - 1, message) for left, message in self.late if left > 0]


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from(FATES), st.integers(0, 6)), max_size=40),
    st.integers(1, 120),
    st.integers(1, 70),
    st.integers(0, 3),
)
def test_the_same_bytes_arrive_once_and_only_once(
    script: list[tuple[str, int]], size: int, chunk: int, retries: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ends = Ends(folder=Path(folder), chunk=chunk, retries=retries)
        line = Line(ends, list(script))
        names = [ends.put(size, seed=seed) for seed in range(2)]
        ends.line = line.call
        ends.restart()
        for _ in range(len(script) + 1):
            try:
                for name in ends.out.names():
                    ends.sender.send(ends.out, name)
                    ends.out.remove(name)
                break
            except (Absent, Killed):
                ends.restart()
        line.finish()
        assert ends.out.names() == []
        assert sorted(ends.accepted) == sorted(names)
        assert sorted(ends.into.names()) == sorted(names)
        for name in names:
            ends.into.read(name)
        assert all(part[:64] not in names for part in ends.parts())


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", range(12))
def test_killed_at_every_message_and_resumed(tmp_path: Path, number: int, side: str) -> None:
    ends = Ends(folder=tmp_path, chunk=100)
    name = ends.put(1000)

    def die(at: int) -> None:
        if at == number:
            raise Killed

    setattr(ends, side, die)
    with pytest.raises(Killed):
        ends.sender.send(ends.out, name)
    assert ends.out.names() == [name], "what was not acknowledged is still with the sender"
    assert len(ends.messages) == number + 1
    ends.restart()
    sent = ends.sender.send(ends.out, name)
    arrived = min(max(0, number - (side == "before")) * 100, sent.size)
    assert sent.resumed_from == arrived
    assert ends.accepted == [name]
    assert ends.into.read(name) == ends.out.read(name)

"""One direction of a road: nothing is let go before the other end has it, and nothing bad stands in others' way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wardgate.records.errors import Absent, Broken
from wardgate.records.parcel import Parcel
from wardgate.road.box import Box
from wardgate.road.lane import Lane, holds, taken_into
from wardgate.road.transfer import Receiver, Sender


class Road:
    """A lane, and the other end of it in memory."""

    def __init__(self, folder: Path, *, check: Callable[[Parcel], object] = lambda _: None) -> None:
        self.here, self.there = Box(folder / "here"), Box(folder / "there")
        self.said: list[str] = []
        self.refused_there: list[str] = []
        self.dead = False
        self.aside = folder / "aside"
        receiver = Receiver(
            partial=folder / "partial",
            accept=taken_into(self.there, self._judge, lambda name, words: self.refused_there.append(words)),
            has=holds(self.there),
            largest=10_000_000,
            greeting=lambda _: {},
            free=lambda: 2**40,
        )

        def call(message: bytes) -> bytes:
            if self.dead:
                raise Absent("nobody")
            return receiver.take(message)

        self.lane = Lane(
            box=self.here,
            sender=Sender(call=call, retries=0),
            check=check,
            aside=self.aside,
            told=lambda name, words: self.said.append(words),
            most_aside=3,
        )

    def _judge(self, parcel: Parcel) -> None:
        if parcel.envelope.startswith(b"bad"):
            raise Broken("bad mail")

    def push(self) -> int:
        return self.lane.push(stop=lambda: False)


def test_what_arrived_is_let_go_and_counted(tmp_path: Path) -> None:
    road = Road(tmp_path)
    for text in (b"one", b"two", b"three"):
        road.here.put(Parcel(text))
    assert road.push() == 3
    assert road.here.names() == []
    assert [road.there.read(name).envelope for name in road.there.names()] == [b"one", b"two", b"three"]
    assert road.lane.sent == 3
    assert road.push() == 0


def test_when_nobody_answers_everything_stays_and_goes_later(tmp_path: Path) -> None:
    road = Road(tmp_path)
    road.here.put(Parcel(b"one", (b"x" * 2_000_000,)))
    road.dead = True
    with pytest.raises(Absent):
        road.push()
    assert len(road.here.names()) == 1
    road.dead = False
    assert road.push() == 1


def test_what_may_not_leave_is_put_aside_and_the_rest_goes(tmp_path: Path) -> None:
    def check(parcel: Parcel) -> None:
        if parcel.envelope == b"secret":
            raise Broken("not signed by the ward")

    road = Road(tmp_path, check=check)
    secret = road.here.put(Parcel(b"secret"))
    road.here.put(Parcel(b"fine"))
    assert road.push() == 1
    assert road.said == ["not signed by the ward"]
    assert road.lane.refused == 1
    assert (road.aside / f"{secret}.aside").is_file()
    assert road.here.names() == []


def test_what_the_other_end_declines_is_put_aside_too(tmp_path: Path) -> None:
    road = Road(tmp_path)
    road.here.put(Parcel(b"bad"))
    road.here.put(Parcel(b"fine"))
    assert road.push() == 1
    assert road.refused_there == ["bad mail"]
    assert road.lane.refused == 1
    assert len(road.there.names()) == 1


def test_damaged_files_in_a_box_stop_nothing(tmp_path: Path) -> None:
    road = Road(tmp_path)
    for number, data in enumerate((b"", b"WGPARCEL1", b"garbage" * 100)):
        (tmp_path / "here" / f"{number:064x}.parcel").write_bytes(data)
    road.here.put(Parcel(b"fine"))
    assert road.push() == 1
    assert road.lane.refused == 3


def test_only_the_last_few_are_kept_aside(tmp_path: Path) -> None:
    road = Road(tmp_path)
    for number in range(8):
        road.here.put(Parcel(b"bad%d" % number))
    road.push()
    assert road.lane.refused == 8
    assert len(list(road.aside.iterdir())) == 3


def test_a_parcel_that_comes_again_after_its_owner_took_it_is_delivered_again(tmp_path: Path) -> None:
    road = Road(tmp_path)
    for _ in range(2):
        name = road.here.put(Parcel(b"one"))
        assert road.push() == 1
        assert road.there.names() == [name]
        road.there.remove(name)

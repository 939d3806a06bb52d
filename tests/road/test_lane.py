"""A lane empties its box, oldest first; what may not pass stands in nobody's way, and nothing is lost meanwhile."""

import io
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_ends import Ends, lose, noise

from wardgate.records.canonical import sha256
from wardgate.records.errors import Absent, Broken, Refused
from wardgate.records.parcel import Parcel, check_frame
from wardgate.road.box import Box
from wardgate.road.lane import Lane, holds, taken_into
from wardgate.road.transfer import Garbled, NoRoom, Sender

Make = Callable[..., Ends]


def lane_of(ends: Ends, told: list[str], check: Callable[[Parcel], object] | None = None) -> Lane:
    """The lane out of an end's box."""
    return Lane(
        box=ends.out,
        sender=ends.sender,
        check=check,
        aside=ends.folder / "aside",
        told=lambda name, words: told.append(words),
    )


def go_on() -> bool:
    """Never stop."""
    return False


def test_everything_goes_oldest_first_and_leaves_the_box_only_then(make_ends: Make) -> None:
    ends = make_ends(chunk=200)
    names = [ends.put(size, seed=size) for size in (900, 10, 300)]
    lane = lane_of(ends, [])
    assert lane.push(stop=go_on) == 3
    assert ends.accepted == names
    assert ends.out.names() == []
    assert lane.sent == 3 and lane.bytes == sum(map(len, ends.messages))


def test_a_dead_line_leaves_everything_that_it_did_not_bring(make_ends: Make) -> None:
    ends = make_ends(chunk=4096, retries=0)
    names = [ends.put(100, seed=seed) for seed in range(3)]
    ends.before = lambda number: lose(number) if number == 1 else None
    lane = lane_of(ends, [])
    with pytest.raises(Absent):
        lane.push(stop=go_on)
    assert ends.accepted == names[:1] and ends.out.names() == names[1:]
    assert lane.push(stop=go_on) == 2


def test_what_may_not_leave_is_put_aside_and_never_said(make_ends: Make) -> None:
    ends, told = make_ends(chunk=4096), []
    bad, good = ends.put(100, seed=1), ends.put(100, seed=2)

    def check(parcel: Parcel) -> None:
        if parcel == noise(100, seed=1):
            raise Broken("signed by nobody")

    lane = lane_of(ends, told, check)
    assert lane.push(stop=go_on) == 1
    assert ends.accepted == [good] and ends.out.names() == []
    assert told == ["signed by nobody"] and lane.refused == 1
    assert (ends.folder / "aside" / f"{bad}.aside").is_file()
    assert all(bad.encode() not in message for message in ends.messages)


def test_what_the_other_end_refuses_is_put_aside_with_its_words(make_ends: Make) -> None:
    def refuse(name: str) -> None:
        raise Refused("of a study that nobody signed")

    ends, told = make_ends(refuse=refuse), []
    ends.put(100)
    assert lane_of(ends, told).push(stop=go_on) == 0
    assert told == ["of a study that nobody signed"] and ends.out.names() == []


def test_a_parcel_without_room_waits_and_smaller_ones_go_on(make_ends: Make) -> None:
    ends = make_ends(room=500)
    large, small = ends.put(1000), ends.put(100)
    lane = lane_of(ends, [])
    assert lane.push(stop=go_on) == 1
    assert ends.accepted == [small] and ends.out.names() == [large]
    with pytest.raises(NoRoom):
        lane.push(stop=go_on)
    ends.room = 10_000
    assert lane.push(stop=go_on) == 1


def test_a_reply_that_is_none_puts_nothing_aside(make_ends: Make) -> None:
    ends, told = make_ends(), []
    name = ends.put(100)
    ends.sender = Sender(call=lambda message: b"<html>502 Bad Gateway</html>")
    with pytest.raises(Garbled):
        lane_of(ends, told).push(stop=go_on)
    assert ends.out.names() == [name] and told == []


def test_a_lane_stops_when_it_is_told_to(make_ends: Make) -> None:
    ends = make_ends()
    names = [ends.put(10, seed=seed) for seed in range(3)]
    assert lane_of(ends, []).push(stop=lambda: len(ends.accepted) == 1) == 1
    assert ends.out.names() == names[1:]


@pytest.mark.parametrize("blobs", [True, False])
def test_a_parcel_is_checked_before_it_is_in_the_box(tmp_path: Path, blobs: bool) -> None:
    box, seen, told = Box(tmp_path / "box"), [], []
    accept = taken_into(box, seen.append, lambda name, words: told.append(words), blobs=blobs)
    parcel = Parcel(b"an envelope", (b"a blob",))
    for data in (parcel.to_bytes(), parcel.to_bytes() + b"!"):
        came = tmp_path / "came.part"
        came.write_bytes(data)
        try:
            accept(came, sha256(data))
        except Broken as error:
            assert "nobody declared" in str(error)
    assert seen == [parcel if blobs else Parcel(b"an envelope")]
    assert box.names() == [sha256(parcel.to_bytes())] and len(told) == 1
    assert holds(box)(box.names()[0]) and not holds(box)("0" * 64)


def test_checking_an_envelope_reads_no_blob(tmp_path: Path) -> None:
    parcel = Parcel(b"an envelope", (os.urandom(8_000_000), b"", os.urandom(8_000_000)))
    came, box = tmp_path / "came.part", Box(tmp_path / "box")
    came.write_bytes(parcel.to_bytes())
    name = sha256(parcel.to_bytes())
    del parcel
    tracemalloc.start()
    try:
        taken_into(box, lambda _: None, lambda name, words: None, blobs=False)(came, name)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
    assert box.read(name).size == 16_000_011


GOOD = Parcel(b"envelope", (b"", b"abc", bytes(9))).to_bytes()


@given(
    st.one_of(
        st.builds(lambda place, what, cut: GOOD[:place] + what + GOOD[place + cut :], st.integers(0, len(GOOD)),
                  st.binary(max_size=9), st.integers(0, 9)),
        st.builds(lambda blobs: Parcel(b"e", tuple(blobs)).to_bytes(), st.lists(st.binary(max_size=9), max_size=5)),
    )
)  # fmt: skip
@example(GOOD)
@example(b"WGPARCEL1" + struct.pack("<I", 0))
@example(b"WGPARCEL1" + struct.pack("<I", 2**32 - 1) + bytes(8 * 70_000))
@example(b"WGPARCEL1" + struct.pack("<IQ", 1, 2**64 - 1))
def test_a_frame_is_good_exactly_where_the_parcel_can_be_read(data: bytes) -> None:
    try:
        expected = Parcel.from_bytes(data).envelope
    except Broken:
        with pytest.raises(Broken):
            check_frame(io.BytesIO(data), size=len(data))
    else:
        assert check_frame(io.BytesIO(data), size=len(data)) == expected

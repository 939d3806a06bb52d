"""A museum of broken frames: each is answered by an error frame, none raises, none leaves anything behind."""

import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_ends import GREETING, Ends

from wardgate.records.canonical import canonical
from wardgate.records.errors import Broken, Invalid
from wardgate.road.frames import (
    HEAD,
    LONGEST,
    Declined,
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

NAME = "ab" * 32
HEADER = struct.Struct("<4sBI")
GREET, PIECE, WANT = 0, 1, 2


def framed(kind: int, head: bytes, raw: bytes = b"", *, magic: bytes = b"WGR1", length: int | None = None) -> bytes:
    """Any frame at all."""
    return HEADER.pack(magic, kind, len(head) if length is None else length) + head + raw


def piece(raw: bytes = b"", **changed: Any) -> bytes:
    """A piece with fields changed, or gone where None."""
    plain = {"name": NAME, "size": 10, "offset": 0, "length": len(raw), "packed": False} | changed
    return framed(PIECE, json.dumps(plain, sort_keys=True, separators=(",", ":")).encode(), raw)


def bomb(declared: int) -> bytes:
    """64 MB of zeros in 64 KB, which says that it has `declared` bytes."""
    return piece(zlib.compress(bytes(64_000_000), 9), size=64_000_000, length=declared, packed=True)


GOOD = piece(b"0123456789")

MUSEUM = {
    "nothing": b"",
    "cut in the header": GOOD[:7],
    "cut in the head": GOOD[:40],
    "cut in the bytes": GOOD[:-1],
    "extra bytes": GOOD + b"!",
    "wrong magic": framed(PIECE, b"{}", magic=b"WGR2"),
    "another protocol": b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n",
    "unknown kind": framed(7, b"{}"),
    "kind 255": framed(255, b"{}"),
    "head longer than the message": framed(PIECE, b"{}", length=3),
    "head of four gigabytes": framed(PIECE, b"{}", length=2**32 - 1),
    "head beyond the limit": framed(GREET, canonical({"said": {"x": "y" * HEAD}})),
    "no JSON": framed(PIECE, b"{"),
    "no UTF-8": framed(PIECE, b'{"name":"\xff"}'),
    "not canonical": framed(GREET, b'{"said": {}}'),
    "a key twice": framed(GREET, b'{"said":{},"said":{}}'),
    "a list": framed(PIECE, b"[]"),
    "null": framed(PIECE, b"null"),
    "nested for ever": framed(GREET, b'{"said":' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
    "a number of a hundred thousand digits": framed(GREET, b'{"said":{"a":' + b"9" * 60_000 + b"}}"),
    "a float": framed(GREET, b'{"said":{"a":0.5}}'),
    "a lonely surrogate": framed(GREET, b'{"said":{"a":"\\ud800"}}'),
    "a greeting with bytes": framed(GREET, b'{"said":{}}', b"!"),
    "a greeting that is a list": framed(GREET, b'{"said":[]}'),
    "no fields": framed(PIECE, b"{}"),
    "an unknown field": piece(path="/etc/passwd"),
    "name upwards": piece(name="../" + "a" * 61),
    "name with a slash": piece(name="a/" + "a" * 62),
    "name with a line break": piece(name="a" * 64 + "\n"),
    "name in capitals": piece(name="AB" * 32),
    "name too short": piece(name="ab"),
    "name empty": piece(name=""),
    "name a number": piece(name=7),
    "name nothing": piece(name=None),
    "size 0": piece(size=0),
    "size negative": piece(size=-1),
    "size beyond every integer": piece(b"0123456789", size=2**63),
    "size text": piece(size="10"),
    "size true": piece(b"0", size=True),
    "offset negative": piece(offset=-1),
    "offset beyond the size": piece(offset=11),
    "piece beyond the size": piece(b"0123456789", offset=1),
    "offset and length beyond": piece(b"0123456789", offset=2**53 - 1),
    "length negative": piece(length=-1),
    "length more than the bytes": piece(b"0123", length=5),
    "length less than the bytes": piece(b"0123", length=3),
    "length beyond a frame": piece(size=2**40, length=LONGEST + 1),
    "length true": piece(b"0", length=True),
    "packed a number": piece(packed=0),
    "packed nothing": piece(b"", length=0, packed=True),
    "packed noise": piece(b"0123", length=9, packed=True),
    "packed and cut": piece(zlib.compress(bytes(1000))[:-2], size=1000, length=1000, packed=True),
    "packed with a tail": piece(zlib.compress(bytes(1000)) + b"!", size=1000, length=1000, packed=True),
    "packed twice over": piece(zlib.compress(bytes(1000)) * 2, size=2000, length=2000, packed=True),
    "packed to more": piece(zlib.compress(bytes(1000)), size=1000, length=999, packed=True),
    "packed to less": piece(zlib.compress(bytes(1000)), size=1001, length=1001, packed=True),
    "packed and longer": piece(b"x" * 20, length=10, packed=True),
    "a dictionary that nobody has": piece(b"\x78\xbb\x00\x00\x00\x01abc", length=10, packed=True),
    "a bomb": bomb(LONGEST),
    "a small bomb": bomb(65_000),
    "a reply as a request": write(Want(name=NAME, offset=0)),
    "taken as a request": write(Taken(name=NAME)),
    "later as a request": write(Later(words="later")),
}


@pytest.mark.parametrize("what", MUSEUM)
def test_a_broken_frame_is_answered_and_leaves_nothing(make_ends: Callable[..., Ends], what: str) -> None:
    ends = make_ends()
    frame, raw = read(ends.receiver.take(MUSEUM[what]))
    assert isinstance(frame, Malformed) and frame.words and not raw
    assert ends.parts() == ends.into.names() == []


@pytest.mark.parametrize("what", [what for what in MUSEUM if not what.endswith("as a request")])
def test_the_reader_itself_names_every_broken_frame_broken(what: str) -> None:
    with pytest.raises(Broken):
        read(MUSEUM[what])


def test_the_museum_breaks_one_good_frame(make_ends: Callable[..., Ends]) -> None:
    assert read(GOOD) == (Piece(name=NAME, size=10, offset=0, length=10, packed=False), b"0123456789")
    assert read(make_ends().receiver.take(GOOD))[0] == Want(name=NAME, offset=0), "the digest does not hold"


def test_a_bomb_takes_no_more_memory_than_a_frame_may(make_ends: Callable[..., Ends]) -> None:
    ends, small = make_ends(), bomb(LONGEST)
    assert len(small) < 100_000
    tracemalloc.start()
    try:
        ends.receiver.take(small)
        bounded = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        zlib.decompress(small[small.index(b"}") + 1 :])
        unbounded = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert bounded < 3 * LONGEST < 64_000_000 <= unbounded


FRAMES = [
    Greeting(said=GREETING),
    Piece(name=NAME, size=5, offset=3, length=0, packed=False),
    Want(name=NAME, offset=3),
    Taken(name=NAME),
    Declined(words="no"),
    Later(words="later"),
    Malformed(words="what?"),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_what_was_written_is_read(frame: Any) -> None:
    assert read(write(frame)) == (frame, b"")


def test_a_greeting_that_is_too_long_is_not_written() -> None:
    with pytest.raises(Invalid, match="at most"):
        write(Greeting(said={"x": "y" * HEAD}))


@given(st.binary(max_size=3000), st.integers(0, 200))
def test_whatever_is_packed_unpacks(data: bytes, times: int) -> None:
    data = data * times
    raw, packed = pack(data)
    size = max(1, len(data))
    frame = Piece(name=NAME, size=size, offset=0, length=len(data), packed=packed)
    assert len(raw) <= 0.95 * len(data) if packed else raw == data
    assert read(write(frame, raw)) == (frame, data)


@given(st.data())
def test_no_bytes_raise_anything_but_broken(data: st.DataObject) -> None:
    place, cut = data.draw(st.integers(0, len(GOOD))), data.draw(st.integers(0, 20))
    with suppress(Broken):
        read(GOOD[:place] + data.draw(st.binary(max_size=20)) + GOOD[place + cut :])

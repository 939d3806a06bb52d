"""What a peer may try that speaks the language well: fill the disk, crowd others out, be in two places at once."""

import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from made_ends import Ends, noise

from wardgate.records.canonical import sha256
from wardgate.road.frames import Declined, Frame, Later, Piece, Taken, Want, read, write

Make = Callable[..., Ends]


def say(ends: Ends, name: str, size: int, offset: int, data: bytes) -> Frame:
    """Send one piece, however it fits."""
    piece = Piece(name=name, size=size, offset=offset, length=len(data), packed=False)
    return read(ends.receiver.take(write(piece, data)))[0]


def name_of(number: int) -> str:
    """A digest of nothing."""
    return sha256(b"%d" % number)


def test_so_many_parcels_come_in_part_and_no_more(make_ends: Make) -> None:
    ends = make_ends(most=3)
    for number in range(10):
        assert say(ends, name_of(number), 100, 0, b"x") == Want(name=name_of(number), offset=1)
        os.utime(ends.folder / "partial" / f"{name_of(number)}.part", (number, number))
        assert len(ends.parts()) <= 3
    assert ends.parts() == sorted(f"{name_of(number)}.part" for number in (7, 8, 9)), "the oldest went"
    assert say(ends, name_of(0), 100, 1, b"x") == Want(name=name_of(0), offset=0)


def test_a_part_that_went_is_begun_anew_by_an_honest_sender(make_ends: Make) -> None:
    ends = make_ends(chunk=100, most=1)
    name = ends.put(1000)
    crowded = []

    def crowd(number: int) -> None:
        if number == 5:
            crowded.append(say(ends, name_of(1), 100, 0, b"x"))

    ends.before = crowd
    ends.sender.send(ends.out, name)
    assert crowded
    assert ends.into.read(name) == ends.out.read(name)


def test_the_disk_keeps_its_margin_whatever_sizes_are_named(make_ends: Make) -> None:
    ends = make_ends(room=1000)
    assert isinstance(say(ends, name_of(1), 1001, 0, b"x"), Later)
    assert isinstance(say(ends, name_of(1), 2**50, 0, b"x"), Declined)
    assert ends.parts() == []
    assert say(ends, name_of(1), 900, 0, b"x" * 50) == Want(name=name_of(1), offset=50)
    ends.room = 100
    assert isinstance(say(ends, name_of(1), 900, 50, b"x" * 50), Later), "asked at every piece, not at the first alone"


def test_a_parcel_of_two_sizes_is_none(make_ends: Make) -> None:
    ends = make_ends()
    name = name_of(1)
    assert say(ends, name, 100, 0, b"x" * 50) == Want(name=name, offset=50)
    assert say(ends, name, 40, 0, b"x" * 10) == Want(name=name, offset=10)
    assert say(ends, name, 10, 10, b"") == Want(name=name, offset=0), "whole, and not what it is named"
    assert ends.parts() == ends.into.names() == []


def test_pieces_out_of_order_and_over_each_other_change_nothing(make_ends: Make) -> None:
    ends = make_ends()
    data = noise(1000).to_bytes()
    name, size = sha256(data), len(data)
    assert say(ends, name, size, 100, data[100:200]) == Want(name=name, offset=0)
    assert say(ends, name, size, 0, data[:100]) == Want(name=name, offset=100)
    assert say(ends, name, size, 0, b"y" * 100) == Want(name=name, offset=100)
    assert say(ends, name, size, 50, data[50:150]) == Want(name=name, offset=100)
    assert say(ends, name, size, 99, b"y" * 200) == Want(name=name, offset=100)
    assert say(ends, name, size, 200, data[200:300]) == Want(name=name, offset=100)
    assert say(ends, name, size, 100, data[100:]) == Taken(name=name)
    assert say(ends, name, size, 0, b"y" * 100) == Taken(name=name)
    assert say(ends, name, size, 0, data) == Taken(name=name)
    assert ends.accepted == [name]


def test_a_wrong_parcel_is_never_handed_on(make_ends: Make) -> None:
    ends = make_ends()
    for data in (b"x" * 100, b"y" * 60):
        assert say(ends, name_of(1), 100, 0, data) == Want(name=name_of(1), offset=0 if len(data) == 100 else 60)
    assert say(ends, name_of(1), 100, 60, b"y" * 40) == Want(name=name_of(1), offset=0)
    assert ends.accepted == ends.parts() == []


@pytest.mark.parametrize("seed", range(4))
def test_the_same_parcel_from_many_threads_is_taken_once_and_whole(make_ends: Make, seed: int) -> None:
    ends = make_ends()
    data = noise(20_000, seed=seed).to_bytes()
    name, size, rng = sha256(data), len(data), random.Random(seed)
    starts = [start for start in range(0, size, 700) for _ in range(3)]

    def worker(worker_seed: int) -> None:
        mine = random.Random(worker_seed).sample(starts, len(starts))
        for _ in range(200):
            start = mine.pop() if mine and rng.random() < 0.3 else None
            told = say(ends, name, size, start or 0, data[start : start + 700] if start is not None else b"")
            if isinstance(told, Taken):
                return
            assert isinstance(told, Want)
            say(ends, name, size, told.offset, data[told.offset : told.offset + 700])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(worker, range(4)))
    assert ends.accepted == [name]
    assert ends.into.read(name) == noise(20_000, seed=seed)
    assert ends.parts() == []

"""One parcel over one line: what it costs, how it resumes, who may say no."""

from collections.abc import Callable
from pathlib import Path

import pytest
from made_ends import GREETING, Ends, lose

from wardgate.records.errors import Absent, Broken, Invalid, Refused, Unsupported
from wardgate.records.parcel import Parcel
from wardgate.road.frames import Later, Piece, Taken, Want, read, write
from wardgate.road.transfer import Garbled, NoRoom, Sender, check_protocol

Make = Callable[..., Ends]


def test_a_small_parcel_takes_one_round_trip(make_ends: Make) -> None:
    ends = make_ends(chunk=4096)
    name = ends.put(4000)
    sent = ends.sender.send(ends.out, name)
    assert len(ends.messages) == 1
    assert sent.size == ends.out.path(name).stat().st_size
    assert sent.moved == len(ends.messages[0]) < sent.size + 250
    assert ends.into.read(name) == ends.out.read(name)


def test_a_sent_parcel_stays_in_its_box_until_the_caller_removes_it(make_ends: Make) -> None:
    ends = make_ends()
    name = ends.put(1000)
    ends.sender.send(ends.out, name)
    assert ends.out.names() == [name] == ends.into.names()


def test_a_large_parcel_asks_once_and_then_sends_each_byte_once(make_ends: Make) -> None:
    ends = make_ends(chunk=1000)
    name = ends.put(10_000)
    sent = ends.sender.send(ends.out, name)
    assert len(ends.messages) == 1 + -(-sent.size // 1000)
    assert sent.moved < sent.size + 12 * 250
    assert ends.into.read(name) == ends.out.read(name)


def test_a_parcel_cut_off_goes_on_where_it_ended(make_ends: Make) -> None:
    ends = make_ends(chunk=1000, retries=0)
    name = ends.put(10_000)
    ends.before = lambda number: lose(number) if number == 6 else None
    with pytest.raises(Absent):
        ends.sender.send(ends.out, name)
    assert ends.into.names() == []
    ends.restart()
    sent = ends.sender.send(ends.out, name)
    assert sent.resumed_from == 5000
    assert sent.moved < sent.size - 5000 + 7 * 250
    assert ends.into.read(name) == ends.out.read(name)
    assert ends.parts() == []


def test_a_lost_chunk_is_asked_about_and_sent_again(make_ends: Make) -> None:
    ends = make_ends(chunk=1000, retries=1)
    name = ends.put(5000)
    ends.before = lambda number: lose(number) if number == 3 else None
    assert ends.sender.send(ends.out, name).resumed_from == 0
    assert ends.into.names() == [name]


def test_a_chunk_whose_reply_was_lost_is_not_sent_again(make_ends: Make) -> None:
    ends = make_ends(chunk=1000, retries=1)
    name = ends.put(5000)
    ends.after = lambda number: lose(number) if number == 3 else None
    sent = ends.sender.send(ends.out, name)
    assert ends.into.names() == [name]
    assert sent.moved < sent.size + 9 * 250


def test_a_parcel_whose_last_reply_was_lost_is_known_as_taken(make_ends: Make) -> None:
    ends = make_ends(chunk=4096, retries=0)
    name = ends.put(1000)
    ends.after = lose
    with pytest.raises(Absent):
        ends.sender.send(ends.out, name)
    ends.after = lambda number: None
    ends.sender.send(ends.out, name)
    assert ends.accepted == [name]


def test_a_dead_line_is_given_up_after_the_retries(make_ends: Make) -> None:
    ends = make_ends(chunk=1000, retries=3)
    name = ends.put(10_000)
    ends.before = lose
    with pytest.raises(Absent):
        ends.sender.send(ends.out, name)
    assert len(ends.messages) == 4


def test_a_line_that_passes_questions_and_no_data_is_given_up(make_ends: Make) -> None:
    ends = make_ends(chunk=1000, retries=3)
    name = ends.put(10_000)

    def long_ones(number: int) -> None:
        if len(ends.messages[number]) > 300:
            lose(number)

    ends.before = long_ones
    ends.chunk = 8000
    ends.restart()
    with pytest.raises(Absent):
        ends.sender.send(ends.out, name)


def test_chunks_grow_shorter_until_a_slow_line_passes_them(make_ends: Make) -> None:
    ends = make_ends(chunk=8000, retries=4)
    name = ends.put(40_000)
    ends.before = lambda number: lose(number) if len(ends.messages[number]) > 1500 else None
    ends.sender.send(ends.out, name)
    assert ends.into.read(name) == ends.out.read(name)


def test_chunks_stay_short_over_sends_that_were_given_up(make_ends: Make) -> None:
    ends = make_ends(chunk=8000, retries=0)
    name = ends.put(40_000)
    ends.before = lambda number: lose(number) if len(ends.messages[number]) > 1500 else None
    for _ in range(20):
        try:
            ends.sender.send(ends.out, name)
            break
        except Absent:
            continue
    assert ends.into.read(name) == ends.out.read(name)


def test_a_send_stops_between_two_messages_and_resumes(make_ends: Make) -> None:
    ends = make_ends(chunk=1000)
    name = ends.put(10_000)
    with pytest.raises(Absent, match="goes on where this one ended"):
        ends.sender.send(ends.out, name, stop=lambda: len(ends.messages) == 4)
    assert ends.sender.send(ends.out, name).resumed_from == 3000


def test_what_shrinks_travels_packed_and_noise_does_not(make_ends: Make) -> None:
    ends = make_ends(chunk=512 * 1024)
    words = ends.out.put(Parcel(b'{"a roster": "with many words"}' * 10_000))
    assert ends.sender.send(ends.out, words).moved < 10_000
    masked = ends.put(300_000)
    assert ends.sender.send(ends.out, masked).moved < 301_000
    assert ends.into.read(words) == ends.out.read(words)
    assert ends.into.read(masked) == ends.out.read(masked)
    packed = [read(message)[0] for message in ends.messages]
    assert [piece.packed for piece in packed if isinstance(piece, Piece)] == [True, False]


def test_a_refusal_comes_with_its_words_and_leaves_nothing(make_ends: Make) -> None:
    def refuse(name: str) -> None:
        raise Broken("signed by a key that is not expected here")

    ends = make_ends(refuse=refuse, chunk=1000)
    name = ends.put(5000)
    with pytest.raises(Refused, match="not expected here"):
        ends.sender.send(ends.out, name)
    assert ends.parts() == ends.into.names() == []
    assert ends.out.names() == [name]


def test_a_parcel_that_cannot_be_taken_now_is_kept_whole_and_taken_later(make_ends: Make) -> None:
    closed = [True]

    def refuse(name: str) -> None:
        if closed:
            raise OSError(28, "No space left on device")

    ends = make_ends(refuse=refuse, chunk=1000)
    name = ends.put(5000)
    with pytest.raises(NoRoom, match="No space left"):
        ends.sender.send(ends.out, name)
    assert ends.parts() == [f"{name}.part"]
    closed.clear()
    before = len(ends.messages)
    assert ends.sender.send(ends.out, name).resumed_from == ends.out.path(name).stat().st_size
    assert len(ends.messages) == before + 1


def test_a_full_disk_keeps_the_parcel_with_the_sender(make_ends: Make) -> None:
    ends = make_ends(chunk=1000, room=4000)
    name = ends.put(5000)
    with pytest.raises(NoRoom, match="no room"):
        ends.sender.send(ends.out, name)
    assert ends.parts() == []
    ends.room = 10**9
    ends.sender.send(ends.out, name)
    assert ends.into.names() == [name]


def test_a_parcel_larger_than_this_end_takes_is_refused(make_ends: Make) -> None:
    ends = make_ends(chunk=1000, largest=4999)
    with pytest.raises(Refused, match="at most 4999"):
        ends.sender.send(ends.out, ends.put(5000))


def test_a_part_that_was_altered_on_the_disk_begins_anew(make_ends: Make) -> None:
    ends = make_ends(chunk=1000, retries=0)
    name = ends.put(5000)
    ends.before = lambda number: lose(number) if number == 3 else None
    with pytest.raises(Absent):
        ends.sender.send(ends.out, name)
    part = ends.folder / "partial" / f"{name}.part"
    part.write_bytes(bytes(2000))
    ends.sender.send(ends.out, name)
    assert ends.into.read(name) == ends.out.read(name)


@pytest.mark.parametrize("chunk", [1000, 100_000])
def test_a_parcel_altered_in_its_own_box_is_given_up_with_that_reason(make_ends: Make, chunk: int) -> None:
    ends = make_ends(chunk=chunk)
    name = ends.put(5000)
    path = ends.out.path(name)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(Broken, match="in the box here are not those"):
        ends.sender.send(ends.out, name)
    assert ends.accepted == ends.parts() == []


def test_a_line_that_alters_everything_is_given_up_with_that_reason(make_ends: Make) -> None:
    ends = make_ends(chunk=100_000)
    name = ends.put(5000)
    altering = Sender(call=lambda message: ends.call(message[:-1] + bytes([message[-1] ^ 1])), chunk=100_000)
    with pytest.raises(Broken, match="something on the way alters it"):
        altering.send(ends.out, name)
    assert ends.accepted == []


def test_a_parcel_that_shrinks_while_it_is_sent_is_told(make_ends: Make) -> None:
    ends = make_ends(chunk=1000)
    name = ends.put(5000)
    ends.before = lambda number: ends.out.path(name).write_bytes(b"short") and None
    with pytest.raises(Broken, match="shorter"):
        ends.sender.send(ends.out, name)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        write(Taken(name="f" * 64)),
        write(Want(name="f" * 64, offset=0)),
        write(Piece(name="f" * 64, size=1, offset=0, length=0, packed=False)),
    ],
)
def test_a_reply_that_is_none_is_said(make_ends: Make, reply: bytes) -> None:
    ends = make_ends()
    name = ends.put(1000)
    with pytest.raises(Garbled):
        Sender(call=lambda message: reply).send(ends.out, name)
    with pytest.raises(Garbled):
        Sender(call=lambda message: reply).greet(GREETING)
    assert ends.out.names() == [name]


def test_an_end_that_wants_bytes_beyond_the_parcel_is_given_up(make_ends: Make) -> None:
    ends = make_ends()
    name = ends.put(1000)
    with pytest.raises(Garbled):
        Sender(call=lambda message: write(Want(name=name, offset=1022))).send(ends.out, name)


def test_an_end_that_wants_the_same_bytes_for_ever_is_given_up(make_ends: Make) -> None:
    ends = make_ends()
    name = ends.put(1000)
    with pytest.raises(Broken, match="did not arrive whole"):
        Sender(call=lambda message: write(Want(name=name, offset=0))).send(ends.out, name)


def test_room_that_is_missing_counts_as_absence() -> None:
    assert issubclass(NoRoom, Absent)
    with pytest.raises(Absent, match="later"):
        Sender(call=lambda message: write(Later(words="later"))).greet(GREETING)


def test_a_chunk_must_fit_into_a_frame() -> None:
    for chunk in (0, -1, 2**30):
        with pytest.raises(Invalid):
            Sender(call=lambda message: b"", chunk=chunk)


def test_ends_greet_each_other(make_ends: Make) -> None:
    ends = make_ends(greeting={**GREETING, "standing": {"studies": ["one"]}, "clock": "2026-11-22T00:00:00Z"})
    assert ends.sender.greet(GREETING)["standing"] == {"studies": ["one"]}


@pytest.mark.parametrize(("theirs", "older"), [(2, "0.4.0"), (0, "9.9.9")])
def test_other_protocols_do_not_talk_and_know_who_has_to_upgrade(make_ends: Make, theirs: int, older: str) -> None:
    said = {"protocol": theirs, "wardgate": "9.9.9"}
    with pytest.raises(Unsupported, match=f"the end that runs wardgate {older} has to upgrade") as told:
        make_ends(greeting=said).sender.greet(GREETING)
    assert "0.4.0" in str(told.value) and "9.9.9" in str(told.value)
    with pytest.raises(Unsupported) as there:
        check_protocol(said, GREETING)
    assert str(there.value) == str(told.value), "both ends say the same"


@pytest.mark.parametrize("protocol", [None, "1", True, [1]])
def test_a_greeting_without_a_protocol_is_broken(make_ends: Make, protocol: object) -> None:
    ends = make_ends(greeting={"protocol": protocol, "wardgate": "0.4.0"})
    with pytest.raises(Broken, match="without a protocol number"):
        ends.sender.greet(GREETING)


def test_an_end_that_does_not_want_to_talk_says_why(make_ends: Make) -> None:
    ends = make_ends(greeting={"protocol": 1, "share": 0.5})
    with pytest.raises(Refused, match="float"):
        ends.sender.greet(GREETING)


def test_a_part_belongs_to_its_owner_alone(make_ends: Make) -> None:
    ends = make_ends(chunk=1000)
    name = ends.put(5000)
    with pytest.raises(Absent):
        ends.sender.send(ends.out, name, stop=lambda: len(ends.messages) == 3)
    part = ends.folder / "partial" / f"{name}.part"
    assert part.stat().st_mode & 0o777 == 0o600
    assert Path(ends.folder / "partial").stat().st_mode & 0o777 == 0o700

"""What others may lay into the spool: a porter opens none of it blindly, keeps a bounded part, and goes on."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from town import Town

from wardgate.federation import site as people
from wardgate.hospital.ward.porter import aside, clerk
from wardgate.records.canonical import sha256
from wardgate.records.errors import Invalid
from wardgate.records.messages import Answer
from wardgate.records.parcel import Parcel, pack_bytes
from wardgate.road.box import Box


def review(town: Town) -> Parcel:
    """An honest question of a signed study."""
    study = town.agreed()
    return town.question(study, [pack_bytes("study", study.to_bytes())], computation="review")


def truncated(data: bytes) -> tuple[str, bytes]:
    return sha256(data), data[:-7]


def truncated_and_named_anew(data: bytes) -> tuple[str, bytes]:
    return sha256(data[:-7]), data[:-7]


def flipped(data: bytes) -> tuple[str, bytes]:
    return sha256(data), data[:100] + bytes([data[100] ^ 1]) + data[101:]


def flipped_and_named_anew(data: bytes) -> tuple[str, bytes]:
    return sha256(flipped(data)[1]), flipped(data)[1]


def renamed(data: bytes) -> tuple[str, bytes]:
    return "f" * 64, data


def named_like_a_path(data: bytes) -> tuple[str, bytes]:
    return "..%2f..%2fevil", data


def named_too_long(data: bytes) -> tuple[str, bytes]:
    return "x" * 200, data


def empty(data: bytes) -> tuple[str, bytes]:
    return sha256(b""), b""


def a_million_parts(data: bytes) -> tuple[str, bytes]:
    made = b"WGPARCEL1" + b"\xff" * 4 + bytes(8) * 100
    return sha256(made), made


MUSEUM = (
    truncated,
    truncated_and_named_anew,
    flipped,
    flipped_and_named_anew,
    renamed,
    named_like_a_path,
    named_too_long,
    empty,
    a_million_parts,
)


@pytest.mark.parametrize("damage", MUSEUM, ids=lambda one: one.__name__)
def test_a_damaged_parcel_is_put_aside_and_the_next_one_is_taken_up(
    town: Town, damage: Callable[[bytes], tuple[str, bytes]]
) -> None:
    honest = town.notice(town.agreed(), "running")
    name, data = damage(honest.to_bytes())
    questions = town.premises["north"].spool / "questions"
    (questions / f"{name}.parcel").write_bytes(data)
    town.work("north")
    assert list(questions.iterdir()) == []
    assert people.book(town.premises["north"])[-1].event == "broken"
    kept = list((town.premises["north"].ward / "refused").iterdir())
    assert [one.read_bytes() for one in kept] == [data]
    assert town.say("north", honest) == []
    assert people.book(town.premises["north"])[-1].event == "notice"


def test_a_link_in_the_spool_is_not_followed(town: Town) -> None:
    town.agreed()
    secret = town.premises["north"].ward / "key.json"
    link = town.premises["north"].spool / "questions" / "linked.parcel"
    link.symlink_to(secret)
    town.work("north")
    assert not link.is_symlink() and secret.is_file()
    refused = town.premises["north"].ward / "refused"
    assert not refused.exists() or all(b"seed" not in one.read_bytes() for one in refused.iterdir())


def test_no_link_in_the_spool_lets_the_wire_write_into_the_wards_folder(town: Town) -> None:
    """The attack: a wire in evil hands lays links where the ward writes, so that it overwrites files of its own."""
    study = town.agreed()
    book = town.premises["north"].ward / "book.jsonl"
    before, spool = book.read_bytes(), town.premises["north"].spool
    (spool / "ward.alive").unlink(missing_ok=True)
    for name in (".ward.alive.draft", "ward.alive"):
        (spool / name).symlink_to(book)
    (spool / "questions" / "folder.parcel").mkdir()
    town.clock.ticks += 10
    town.work("north")
    assert book.read_bytes() == before
    assert not (spool / "ward.alive").is_symlink() and "waiting" in (spool / "ward.alive").read_text()
    assert town.say("north", town.notice(study, "running")) == []


def test_half_written_files_of_the_wire_are_left_alone(town: Town) -> None:
    town.agreed()
    partial = town.premises["north"].spool / "questions" / f"{'a' * 64}.7.partial"
    partial.write_bytes(b"half")
    town.work("north")
    assert partial.read_bytes() == b"half"


def test_what_is_put_aside_is_bounded_in_number_size_and_lines(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "MOST_FILES", 3)
    monkeypatch.setattr(aside, "MOST_BYTES", 10)
    monkeypatch.setattr(clerk, "MOST_BROKEN", 4)
    town.agreed()
    for number in range(8):
        data = f"rubbish number {number}".encode()
        (town.premises["north"].spool / "questions" / f"{sha256(data)}.parcel").write_bytes(data)
        town.work("north")
    kept = list((town.premises["north"].ward / "refused").iterdir())
    assert len(kept) == 3 and {one.stat().st_size for one in kept} == {10}
    assert sum(one.event == "broken" for one in people.book(town.premises["north"])) == 4


def test_a_full_disk_leaves_the_question_where_it_is_until_there_is_room(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, put = review(town), Box.put

    def full(box: Box, parcel: Parcel) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    town.bring("north", honest)
    monkeypatch.setattr(Box, "put", full)
    assert town.work("north") == []
    assert len(town.box("north", "questions").names()) == 1
    assert "stuck: No space left" in (town.premises["north"].spool / "ward.alive").read_text()
    monkeypatch.setattr(Box, "put", put)
    assert town.work("north") == []
    town.clock.ticks += 10
    (parcel,) = town.work("north")
    answer = town.opened("north", parcel)
    assert isinstance(answer, Answer) and answer.outcome == "released"
    assert [one.event for one in people.book(town.premises["north"])].count("answer") == 1


def test_the_question_leaves_the_spool_only_after_its_answer_lies_there(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, put = review(town), Box.put
    seen: list[tuple[bool, int]] = []

    def watched(box: Box, parcel: Parcel) -> str:
        name = put(box, parcel)
        seen.append((box.holds(name), len(town.box("north", "questions").names())))
        return name

    town.bring("north", honest)
    monkeypatch.setattr(Box, "put", watched)
    town.work("north")
    assert seen == [(True, 1)]
    assert town.box("north", "questions").names() == []


def test_two_porters_do_not_work_in_one_folder(town: Town) -> None:
    town.agreed()
    first = town.porters["north"]
    second = town.open("north")

    def pause(_worked: bool) -> bool:
        with pytest.raises(Invalid, match="another process serves the ward"):
            second.serve(lambda _: True)
        return True

    first.serve(pause)
    second.serve(lambda _: True)


def test_the_sign_of_life_says_what_the_ward_does_and_grows_old_with_it(town: Town, tmp_path: Path) -> None:
    study = town.agreed()
    alive = town.premises["north"].spool / "ward.alive"
    people.pause(town.premises["north"], "attacked", now=town.clock.now)
    town.say("north", town.question(study, computation="close"))
    town.clock.ticks += 10
    town.work("north")
    assert '"held": 1' in alive.read_text() and '"state": "waiting"' in alive.read_text()
    assert alive.stat().st_mode & 0o777 == 0o640

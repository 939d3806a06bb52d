"""The journal of a run: what a killed writer leaves is taken up, and what anybody altered is found and named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wardgate.hub.study.folder import StudyFolder
from wardgate.hub.study.journal import Asked, Begun, Closed, Journal, Round, read_journal
from wardgate.records.errors import Broken

LINES = 7


def _digest(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """A journal of three closed rounds."""
    found = StudyFolder(tmp_path)
    found.run.mkdir()
    write(read_journal(found), rounds=3)
    return found


def write(journal: Journal, *, rounds: int) -> None:
    """Begin where nothing was begun, and write some rounds."""
    if journal.begun is None:
        journal.begin(
            Begun(
                study_sha256=_digest(1),
                proposal_sha256=_digest(2),
                sites=("h0", "h1"),
                issued_on="2026-01-02",
                wardgate="0",
            )
        )
    for _ in range(rounds):
        number = len(journal.rounds) + 1
        asked = {"h0": _digest(number), "h1": _digest(number)}
        journal.ask(Asked(round=number, computation="newton", questions=asked, at="noon"))
        journal.close(Closed(round=number, answers={"h0": _digest(99)}, absent={"h1": "away"}, at="one"))


def test_a_journal_reads_back(folder: StudyFolder) -> None:
    found = read_journal(folder)
    assert found.begun is not None and found.begun.sites == ("h0", "h1")
    assert [one.asked.round for one in found.rounds] == [1, 2, 3]
    assert all(one.closed is not None and one.closed.absent == {"h1": "away"} for one in found.rounds)


def test_a_journal_that_was_read_back_goes_on(folder: StudyFolder) -> None:
    write(read_journal(folder), rounds=2)
    assert len(read_journal(folder).rounds) == 5


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    found = read_journal(StudyFolder(tmp_path))
    assert found.begun is None and found.rounds == []


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_half_a_line_at_the_end_is_written_over(folder: StudyFolder, kept: int) -> None:
    before, head = folder.journal.read_bytes(), folder.head.read_bytes()
    read_journal(folder).ask(Asked(round=4, computation="newton", questions={}, at="two"))
    line = folder.journal.read_bytes()[len(before) :]
    folder.journal.write_bytes(before + line[:kept])
    folder.head.write_bytes(head)
    again = read_journal(folder)
    assert again.torn > 0 and len(again.rounds) == 3
    write(again, rounds=1)
    assert len(read_journal(folder).rounds) == 4


def test_a_killed_writer_may_leave_the_head_one_line_behind(folder: StudyFolder) -> None:
    before = folder.head.read_bytes()
    read_journal(folder).ask(Asked(round=4, computation="newton", questions={}, at="two"))
    folder.head.write_bytes(before)
    found = read_journal(folder)
    assert found.rounds[-1].closed is None and len(found.rounds) == 4


def _without(number: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: lines[:number] + lines[number + 1 :]


def _flipped(number: int, old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [line.replace(old, new) if place == number else line for place, line in enumerate(lines)]


MUSEUM = {
    "the first line removed": (_without(0), "line 1 was altered"),
    "a line removed": (_without(3), "line 4 was altered, or the line before it removed"),
    "the last line cut off": (_without(LINES - 1), "ends after line 6, and had 7"),
    "all lines cut off": (lambda lines: [], "ends after line 0, and had 7"),
    "half of the last line cut off": (lambda lines: [*lines[:-1], lines[-1][:20]], "ends after line 6, and had 7"),
    "an answer's digest changed": (_flipped(2, b"63", b"64"), "line 3 was altered|line 4 was altered"),
    "the last answer's digest changed": (_flipped(6, b"63", b"64"), "line 7 is not the one that its head names"),
    "a reason changed": (_flipped(4, b"away", b"left"), "line 5 was altered|line 6 was altered"),
    "a field added": (_flipped(1, b'"at"', b'"to": 1, "at"'), "line 2 was altered"),
    "two lines swapped": (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "line 4 was altered"),
    "a line twice": (lambda lines: [*lines[:3], *lines[2:]], "line 4 was altered"),
    "no JSON": (lambda lines: [b"no\n", *lines[1:]], "line 1 was altered"),
    "another event": (_flipped(1, b'"asked"', b'"told"'), "line 2 was altered"),
    "spaces that mean nothing": (_flipped(1, b": ", b":  "), "line 2 was altered"),
}


@pytest.mark.parametrize("name", MUSEUM)
def test_what_was_altered_is_named(folder: StudyFolder, name: str) -> None:
    change, words = MUSEUM[name]
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == LINES
    changed = change(lines)
    assert changed != lines
    folder.journal.write_bytes(b"".join(changed))
    with pytest.raises(Broken, match=words):
        read_journal(folder)


def test_a_missing_or_damaged_head_is_no_head(folder: StudyFolder) -> None:
    folder.head.write_bytes(b"{")
    with pytest.raises(Broken, match=r"journal\.head is damaged"):
        read_journal(folder)
    folder.head.unlink()
    with pytest.raises(Broken, match=r"journal\.head is missing"):
        read_journal(folder)


def test_rounds_follow_one_another(folder: StudyFolder) -> None:
    journal = read_journal(folder)
    with pytest.raises(RuntimeError):
        journal.ask(Asked(round=3, computation="newton", questions={}, at=""))
    with pytest.raises(RuntimeError):
        journal.close(Closed(round=3, answers={}, absent={}, at=""))
    assert isinstance(journal.rounds[0], Round)

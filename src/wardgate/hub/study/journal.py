"""The journal of a run: a line when a round opens, a line when it closes, each on the disk before anything follows.

A driver that was killed asks the same rounds again, since it holds the same seed and key; the journal gives it what
came of them then (docs/adr/0033). Every line names the digest of the one before, and `journal.head` the last one, so a
line that was changed, taken out or cut off at the end is found. Half a line at the end is what a killed writer leaves;
it is written over.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wardgate.hub.study.folder import StudyFolder
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, Invalid
from wardgate.records.record import Digest, Name, Record
from wardgate.road.box import sync

START = sha256(b"wardgate/study-journal/1")
"""What the first line names as the one before."""


class Begun(Record):
    """The first line: with what a run was begun, and so goes on.

    Attributes:
        sites: Those that had signed, sorted; the others are not asked in this run.
        issued_on: The day of the run, as an ISO date: records of a resumed run bear the same.
    """

    event: Literal["begun"] = "begun"
    study_sha256: Digest
    proposal_sha256: Digest
    sites: tuple[Name, ...]
    issued_on: str
    wardgate: str


class Asked(Record):
    """A round opened.

    Attributes:
        questions: SHA-256 of each site's parcel.
    """

    event: Literal["asked"] = "asked"
    round: int
    computation: Name
    questions: dict[Name, Digest]
    at: str


class Closed(Record):
    """A round closed, for good: an answer that comes later counts for nothing.

    Attributes:
        answers: SHA-256 of each parcel that counts.
        absent: Why the other sites are missing, in words.
        gone: Those of them that will answer nothing more of this study.
    """

    event: Literal["closed"] = "closed"
    round: int
    answers: dict[Name, Digest]
    absent: dict[Name, str]
    gone: tuple[Name, ...] = ()
    at: str


Line = Begun | Asked | Closed
_KINDS: Mapping[str, type[Line]] = {"begun": Begun, "asked": Asked, "closed": Closed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round: what was asked, and what closed it; None while it is open."""

    asked: Asked
    closed: Closed | None = None


@dataclass(slots=True, kw_only=True)
class Journal:
    """The journal of one run, held by one driver.

    Attributes:
        begun: Its first line; None before the run began.
        rounds: In their order, from 1.
        torn: Bytes of half a line at the end.
    """

    folder: StudyFolder
    begun: Begun | None = None
    rounds: list[Round] = field(default_factory=list)
    torn: int = 0
    _lines: int = 0
    _last: str = START
    _end: int = 0

    def begin(self, begun: Begun) -> None:
        """Write the first line."""
        if self.begun is not None:
            raise RuntimeError("a run begins once")
        self._write(begun)
        self.begun = begun

    def ask(self, asked: Asked) -> None:
        """Write that a round opens, before any question is put out."""
        if asked.round != len(self.rounds) + 1 or any(one.closed is None for one in self.rounds[-1:]):
            raise RuntimeError("rounds follow one another")
        self._write(asked)
        self.rounds.append(Round(asked=asked))

    def close(self, closed: Closed) -> None:
        """Write what closed the open round."""
        if closed.round != len(self.rounds) or self.rounds[-1].closed is not None:
            raise RuntimeError("only the open round closes")
        self._write(closed)
        self.rounds[-1] = Round(asked=self.rounds[-1].asked, closed=closed)

    def _write(self, line: Line) -> None:
        data = _framed(line, self._last)
        try:
            append(self.folder.journal, data, at=self._end)
        except OSError as error:
            raise Invalid(
                f"the journal of the run cannot be written: {error.strerror or error}. Make room or set it right, and"
                " run the study again: it goes on where it stopped, and nothing is lost"
            ) from error
        self._end, self._lines, self._last, self.torn = self._end + len(data), self._lines + 1, sha256(data), 0
        self._keep_head()

    def _keep_head(self) -> None:
        """Say how long the journal is. After a loss of power this may be an older length, never a longer one."""
        draft = self.folder.head.with_suffix(".draft")
        try:
            with draft.open("wb") as file:
                file.write(json.dumps({"lines": self._lines, "sha256": self._last}).encode())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.folder.head)
        except OSError as error:
            raise Invalid(f"{self.folder.head.name} cannot be written: {error.strerror or error}; make room") from error


def append(path: Path, data: bytes, *, at: int) -> None:
    """Write bytes at the end of what holds, over whatever a killed writer left there, and wait for the disk.

    Raises:
        OSError: it cannot be written; what stood before `at` stands.
    """
    made = not path.exists()
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.truncate(at)
        file.seek(at)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if made:
        sync(path.parent)


def read_journal(folder: StudyFolder) -> Journal:
    """Return the journal of a run; an empty one where none was begun.

    Raises:
        Broken: a line was changed, removed or cut off; the message names it.
    """
    data = folder.journal.read_bytes() if folder.journal.is_file() else b""
    whole = data.rfind(b"\n") + 1
    journal = Journal(folder=folder, torn=len(data) - whole)
    head = _head(folder.head)
    for number, raw in enumerate(data[:whole].splitlines(keepends=True), start=1):
        _take(journal, raw, number)
        if head is not None and number == head[0] and journal._last != head[1]:
            raise Broken(f"the journal's line {number} is not the one that its head names; it was altered")
    if head is not None and journal._lines < head[0]:
        raise Broken(
            f"the journal ends after line {journal._lines}, and had {head[0]}: it was cut off. Put back the whole file;"
            " a run that forgot rounds would ask hospitals twice"
        )
    if head is None and journal._lines > 1:
        raise Broken(f"{folder.head.name} is missing, so nobody can tell whether the journal is whole; put it back")
    return journal


def _take(journal: Journal, raw: bytes, number: int) -> None:
    line = _line(raw, journal._last, number)
    last = journal.rounds[-1] if journal.rounds else None
    is_open = last is not None and last.closed is None
    if isinstance(line, Begun) and number == 1:
        journal.begun = line
    elif isinstance(line, Asked) and journal.begun is not None and not is_open:
        journal.rounds.append(Round(asked=line))
    elif isinstance(line, Closed) and last is not None and is_open and line.round == last.asked.round:
        journal.rounds[-1] = Round(asked=last.asked, closed=line)
    else:
        raise Broken(f"the journal's line {number} says '{line.event}', which cannot stand there; it was altered")
    journal._end, journal._lines, journal._last = journal._end + len(raw), number, sha256(raw)


def _framed(line: Line, before: str) -> bytes:
    return json.dumps({**line.plain(), "before": before}, sort_keys=True).encode() + b"\n"


def _line(raw: bytes, before: str, number: int) -> Line:
    altered = f"the journal's line {number} was altered, or the line before it removed; put back the file as it was"
    try:
        plain: Any = json.loads(raw)
        named = plain.pop("before")
        line = _KINDS[plain["event"]].from_plain(plain)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Invalid) as error:
        raise Broken(altered) from error
    if named != before or _framed(line, before) != raw:
        raise Broken(altered)
    return line


def _head(path: Path) -> tuple[int, str] | None:
    try:
        plain = json.loads(path.read_bytes())
        return int(plain["lines"]), str(plain["sha256"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise Broken(f"{path.name} is damaged; put it back as it was") from error

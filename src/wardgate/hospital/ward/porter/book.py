"""The visitors' book: every question asked of this hospital and every answer given, in plain words.

It is the hospital's own and stays inside, and all the same it quotes no patient: it holds what was asked, and of an
answer only what the hub was told too.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from wardgate.hospital.ward.porter.lines import Lines
from wardgate.records.record import Digest, Record

Event = Literal["proposal", "notice", "decision", "question", "answer", "held", "approval", "broken", "failed", "keys"]

MOST_CHARACTERS = 600
"""Of words that others wrote."""


class Entry(Record):
    """One line of the book.

    Attributes:
        at: When, as an ISO date and time in UTC.
        event: What kind of thing happened.
        words: What happened, for people.
        study: The study's digest; empty where none is known.
        subject: Digest of what the line is about; the same event of the same subject stands in the book once.
        question: The question's envelope, where the line is about a question.
        computation: Which answer was asked for.
        split: Whose persons it touches.
        approval: What a person would approve to let such questions pass.
        left: Of an answer: `sum`, `figures`, `corpus`, `statement` or `nothing`.
        exact: Of an answer: true values, without noise.
        sites: Hospitals that share a sum.
        bytes: That left.
    """

    at: str
    event: Event
    words: str
    study: str = ""
    subject: str = ""
    question: str = ""
    computation: str = ""
    split: str = ""
    approval: Digest | None = None
    left: Literal["", "sum", "figures", "corpus", "statement", "nothing"] = ""
    exact: bool = Field(default=False)
    sites: int = 0
    bytes: int = 0


class VisitorsBook:
    """The book of one hospital.

    Args:
        ward: The ward's own folder.
    """

    def __init__(self, ward: Path) -> None:
        self._lines = Lines(ward / "book.jsonl")
        self._seen: set[tuple[str, str]] | None = None

    def note(self, entry: Entry) -> None:
        """Write a line, on disk before this returns."""
        self._lines.append(entry.plain())
        if self._seen is not None:
            self._seen.add((entry.event, entry.subject))

    def note_once(self, entry: Entry) -> bool:
        """Write a line unless the same event of the same subject is in the book; say whether it was written.

        Raises:
            Broken: the book cannot be read.
        """
        if self.holds(entry.event, entry.subject):
            return False
        self.note(entry)
        return True

    def holds(self, event: Event, subject: str) -> bool:
        """Say whether an event of a subject is in the book.

        Raises:
            Broken: the book cannot be read.
        """
        if self._seen is None:
            self._seen = {(one.event, one.subject) for one in self.entries()}
        return (event, subject) in self._seen

    def entries(self, *, since: str = "", study: str = "") -> tuple[Entry, ...]:
        """Return lines, oldest first.

        Args:
            since: ISO date or time; earlier lines are left out.
            study: Only those of this study's digest.

        Raises:
            Broken: the book cannot be read.
        """
        found = self._lines.records(Entry)
        return tuple(one for one in found if one.at >= since and study in ("", one.study))


def clean(text: str, *, most: int = MOST_CHARACTERS) -> str:
    """Return words that others wrote, fit for a terminal and a page: one line, printable, not too long."""
    flat = "".join(sign if sign.isprintable() else " " for sign in text)
    return flat if len(flat) <= most else flat[: most - 3] + "..."

"""What people allowed a hub to ask: once, always or never, by the digest of a computation and its parameters."""

from pathlib import Path
from typing import Literal

from wardgate.computations.menu import MENU
from wardgate.hospital.ward.porter.lines import Lines
from wardgate.records.canonical import canonical, sha256
from wardgate.records.messages import Question
from wardgate.records.record import Digest, Record

Word = Literal["once", "always", "never", "withdrawn"]

ITSELF = frozenset({"review", "roster", "prepare", "shares", "confirm", "reveal", "close"})
"""Steps that signing a study allows by itself: keys and protocol, the check of the data that the signature speaks of,
and the opening of sums that this hospital answered, which are approved as sums."""


def approval_of(question: Question) -> str:
    """Return the digest of what a person approves.

    It stands for the study, the computation, its version, all its parameters, whose persons it touches, who shares
    the sum and how much noise it bears. Only what changes from round to round does not enter: the vectors beside the
    question, its number, and which prepared slot serves it.
    """
    kind, terms = MENU.get(question.computation), question.sum
    shared = None
    if terms is not None:
        kept = terms.plain()
        shared = {name: kept.get(name) for name in ("roster", "entries", "persons", "noise_multiplier", "tolerated")}
        shared["least"] = None if terms.slot is None else terms.slot.least
    said = {
        "study": question.study_sha256,
        "computation": question.computation,
        "version": 1 if kind is None else kind.version,
        "parameters": question.parameters,
        "split": question.split,
        "sum": shared,
    }
    return sha256(b"wardgate/approval/1\x00" + canonical(said))


class Approval(Record):
    """What a person said.

    Attributes:
        digest: Of what is approved (`approval_of`).
        question: The one question's envelope, for `once`.
        words: The question, as the person saw it.
    """

    at: str
    digest: Digest
    word: Word
    question: str = ""
    study: str = ""
    words: str = ""


class Approvals:
    """All that people said, oldest first; the last word counts.

    Args:
        ward: The ward's own folder.
    """

    def __init__(self, ward: Path) -> None:
        self._lines = Lines(ward / "approvals.jsonl")

    @property
    def state(self) -> tuple[int, int]:
        """Changes when people say something."""
        return self._lines.state

    def all(self) -> tuple[Approval, ...]:
        """Return everything that was said.

        Raises:
            Broken: the file cannot be read.
        """
        return tuple(self._lines.records(Approval))

    def add(self, approval: Approval) -> None:
        """Write down what a person said."""
        self._lines.append(approval.plain())

    def word_on(self, digest: str, *, question_sha256: str) -> Word | None:
        """Return the last word that holds for a question; `once` holds for its own question alone."""
        last: Word | None = None
        for said in self.all():
            if said.digest == digest and (said.word != "once" or said.question == question_sha256):
                last = said.word
        return None if last == "withdrawn" else last


def needs_a_person(question: Question, *, mode: Literal["study", "each"]) -> bool:
    """Whether a question of a signed study waits until a person allows it."""
    return mode == "each" and question.computation not in ITSELF

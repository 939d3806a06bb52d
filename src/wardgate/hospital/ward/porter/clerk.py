"""The clerk: writes into the book, tells the hub what is not answered and why, puts aside what does not hold."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.ward.porter.approvals import approval_of
from wardgate.hospital.ward.porter.aside import set_aside
from wardgate.hospital.ward.porter.book import Entry, Event, VisitorsBook, clean
from wardgate.hospital.ward.porter.house import House
from wardgate.records.canonical import sha256
from wardgate.records.enrolment_file import peek
from wardgate.records.errors import Broken
from wardgate.records.mail import Standing, seal_mail
from wardgate.records.messages import Question
from wardgate.records.parcel import Parcel

MOST_BROKEN = 1_000
"""Broken parcels that one clerk notes in the book; whoever sends more cannot fill the disk with them."""

LONGEST_NAME = 100
"""Of a file in the spool that keeps its name where it is put aside."""

_DIGEST = re.compile(r"[0-9a-f]{64}")

State = Literal["waiting_for_approval", "paused", "never", "broken", "failed"]


@dataclass(slots=True, kw_only=True)
class Clerk:
    """Writes and says everything but answers.

    Attributes:
        clock: Now, as an ISO date and time in UTC.
        knows: Whether a study of this digest was proposed here.
    """

    house: House
    spool: FolderSpool
    clock: Callable[[], str]
    knows: Callable[[str], bool]
    _book: VisitorsBook = field(init=False)
    _broken: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._book = VisitorsBook(self.house.premises.ward)

    def note(self, event: Event, words: str, **facts: Any) -> bool:
        """Write a line into the book, unless the same event of the same subject stands there; say whether it did."""
        return self._book.note_once(Entry(at=self.clock(), event=event, words=words, **facts))

    def stand(self, question: Question, asked: str, state: State, words: str) -> None:
        """Say to the hub once why a question has no answer, and write that into the book."""
        standing = self._standing(question.study_sha256, asked, state, words)
        event: Event = "failed" if state == "failed" else "held"
        if self._book.holds(event, standing.fingerprint()):
            return
        self._say(standing)
        said = f"a step broke; its cause is in the private log under reference {words}" if state == "failed" else words
        self.note(
            event,
            f"Not answered: {said}",
            study=question.study_sha256,
            subject=standing.fingerprint(),
            question=asked,
            computation=question.computation,
            split=question.split,
            approval=approval_of(question),
        )

    def refute(self, name: str, parcel: Parcel, words: str, question: Question | None) -> None:
        """Say to the hub that a parcel does not hold, and put it aside.

        What is not signed by the hub only claims to belong to a study; it is answered for where that study is known.
        """
        study = _claimed_study(parcel) if question is None else question.study_sha256
        if question is not None or (study and self.knows(study)):
            self._say(self._standing(study, sha256(parcel.envelope), "broken", words))
        self.put_aside(f"{name}.parcel", words, study=study)

    def put_aside(self, file: str, words: str, *, study: str = "") -> None:
        """Move a file out of the box of questions, and note it."""
        if self._broken < MOST_BROKEN:
            subject = file.removesuffix(".parcel")
            self.note("broken", f"Put aside unanswered: {clean(words)}", study=study, subject=subject)
        self._broken += 1
        set_aside(
            self.house.premises.spool / "questions" / file,
            self.house.premises.ward / "refused",
            name=sha256(file.encode()) + ".parcel" if len(file) > LONGEST_NAME else file,
        )

    def _standing(self, study: str, asked: str, state: State, words: str) -> Standing:
        return Standing(study_sha256=study, site=self.house.site, state=state, question_sha256=asked, words=words)

    def _say(self, standing: Standing) -> None:
        self.spool.put("answers", Parcel(seal_mail(standing, self.house.signer)))


def _claimed_study(parcel: Parcel) -> str:
    """Return the study that a record says it belongs to, without any trust; nothing where it says none."""
    try:
        claimed = peek(parcel.envelope).get("study_sha256")
    except Broken:
        return ""
    return claimed if isinstance(claimed, str) and _DIGEST.fullmatch(claimed) else ""

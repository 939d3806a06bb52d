"""What the people of one hospital do and see: studies, decisions, questions and answers, approvals, known keys.

Everything acts on the hospital's folder as its own user, also while its ward is serving; the ward takes it up within a
moment. Nothing here speaks to anybody: what has to leave waits in the spool for the wire.
"""

from dataclasses import dataclass

from wardgate.entropy import Entropy, SystemEntropy
from wardgate.hospital.premises import Premises
from wardgate.hospital.ward.porter import asking, decide
from wardgate.hospital.ward.porter.approvals import Approval, Approvals, Word
from wardgate.hospital.ward.porter.asking import Waiting
from wardgate.hospital.ward.porter.book import Entry, Event, VisitorsBook
from wardgate.hospital.ward.porter.decide import Given
from wardgate.hospital.ward.porter.house import open_house
from wardgate.hospital.ward.porter.known import HUB, KnownKeys, Pin
from wardgate.hospital.ward.porter.register import Proposed, Register
from wardgate.hospital.ward.porter.result import result_of
from wardgate.hospital.ward.porter.review import Review
from wardgate.hospital.ward.porter.review import review as review_of
from wardgate.records.mail import Decision, Notice

__all__ = [
    "HUB",
    "Approval",
    "Asked",
    "Decision",
    "Entry",
    "Given",
    "Left",
    "Pin",
    "Review",
    "StudySeen",
    "Waiting",
    "Word",
    "approvals",
    "approve",
    "forget",
    "given",
    "leave",
    "members",
    "pause",
    "questions",
    "refuse",
    "result",
    "resume",
    "review",
    "sign",
    "studies",
    "waiting",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySeen:
    """A study in a list.

    Attributes:
        outcome: This hospital's last decision, or `proposed`.
        notice: What the hub said last of it: `running`, `finished`, `aborted` or nothing.
        code: Of the proposal.
    """

    study_sha256: str
    id: str
    version: int
    title: str
    outcome: str
    decided_at: str
    reason: str
    notice: str
    code: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A hospital that left a study, and what stays of it outside."""

    decision: Decision
    stays: tuple[Given, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of this hospital, and what came of it.

    Attributes:
        question: The line of the question, in plain words.
        outcomes: The lines of its answer, of why it waits or waited, or of how it failed.
    """

    question: Entry
    outcomes: tuple[Entry, ...]


def studies(premises: Premises) -> tuple[StudySeen, ...]:
    """Return every study that was proposed to this hospital."""
    return tuple(_seen(one) for one in Register(premises).all())


def review(
    premises: Premises, study: str, *, on: str, with_data: bool = False, entropy: Entropy | None = None
) -> Review:
    """Return what an officer has to know of a study before signing it.

    Args:
        study: Its id, `id@version`, or the beginning of its digest.
        on: Today, as an ISO date.
        with_data: Also check this hospital's data against it, which may take minutes.

    Raises:
        Invalid: no such study; the folder is none of an enrolled hospital; or the data cannot be read.
    """
    found = Register(premises).named(study)
    return review_of(open_house(premises), found, on=on, entropy=entropy or SystemEntropy(), with_data=with_data)


def sign(premises: Premises, study: str, *, code: str, now: str) -> Decision:
    """Sign a study.

    Args:
        code: As the person typed it.
        now: ISO date and time in UTC.

    Raises:
        Refused: another code, or the proposal does not hold here; every reason is named.
        Invalid: it is signed already, or was left.
    """
    return decide.sign(open_house(premises), Register(premises).named(study), code=code, at=now)


def refuse(premises: Premises, study: str, *, reason: str, now: str) -> Decision:
    """Refuse a proposed study; the hub and the other hospitals are told the reason.

    Raises:
        Invalid: no reason, or the study was decided on already.
    """
    return _decide(premises, study, "refused", reason=reason, now=now)


def pause(premises: Premises, study: str, *, reason: str = "", now: str) -> Decision:
    """Answer no question of a study until it is resumed; they wait."""
    return _decide(premises, study, "paused", reason=reason, now=now)


def resume(premises: Premises, study: str, *, now: str) -> Decision:
    """Answer the questions of a paused study again."""
    return _decide(premises, study, "resumed", reason="", now=now)


def leave(premises: Premises, study: str, *, reason: str, now: str) -> Left:
    """Leave a study for good, and say what cannot be taken back.

    Raises:
        Invalid: no reason, or the study is not signed.
    """
    found = Register(premises).named(study)
    decision = _decide(premises, study, "left", reason=reason, now=now)
    return Left(decision=decision, stays=decide.given(open_house(premises), found))


def given(premises: Premises, study: str) -> tuple[Given, ...]:
    """Return what left this hospital in a study and would stay out if it left now."""
    return decide.given(open_house(premises), Register(premises).named(study))


def questions(premises: Premises, *, since: str = "", study: str = "") -> tuple[Asked, ...]:
    """Return every question that was asked, with what came of it, oldest first.

    Args:
        since: ISO date or time; questions before it are left out.
        study: Id or digest of one study.
    """
    chosen = Register(premises).named(study).proposal.study_sha256 if study else ""
    entries = VisitorsBook(premises.ward).entries(study=chosen)
    answers: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.event in _OUTCOMES and entry.question:
            answers.setdefault(entry.question, []).append(entry)
    asked = [one for one in entries if one.event == "question"]
    told = {one.question for one in asked}
    waits: dict[str, Entry] = {}
    for one in entries:
        if one.event == "held" and one.question not in told:
            waits.setdefault(one.question, one)
    every = sorted((*asked, *waits.values()), key=lambda one: one.at)
    return tuple(Asked(question=one, outcomes=tuple(answers.get(one.question, ()))) for one in every if one.at >= since)


_OUTCOMES: tuple[Event, ...] = ("answer", "held", "failed")


def book(premises: Premises, *, since: str = "", study: str = "") -> tuple[Entry, ...]:
    """Return the visitors' book as it is: questions, answers, proposals, decisions, approvals, what was broken."""
    chosen = Register(premises).named(study).proposal.study_sha256 if study else ""
    return VisitorsBook(premises.ward).entries(since=since, study=chosen)


def waiting(premises: Premises) -> tuple[Waiting, ...]:
    """Return the questions that wait for a person, oldest first."""
    return asking.waiting(open_house(premises))


def approvals(premises: Premises) -> tuple[Approval, ...]:
    """Return everything that people allowed or ruled out, oldest first."""
    return Approvals(premises.ward).all()


def approve(premises: Premises, digest: str, word: Word, *, now: str) -> Approval:
    """Say once, always or never to a computation, or withdraw what was said.

    Args:
        digest: As `waiting` gives it, or its first eight letters or more.

    Raises:
        Invalid: no such computation, several, or `once` where none of its questions waits.
    """
    return asking.approve(open_house(premises), digest, word, at=now)


def members(premises: Premises) -> tuple[Pin, ...]:
    """Return the keys that are known under a name, the hub's among them."""
    return tuple(pin for _, pin in sorted(KnownKeys(premises.ward).all().items()))


def forget(premises: Premises, name: str, *, now: str) -> Pin:
    """Forget the key of a name, so that the next signature takes the key that is proposed then.

    Raises:
        Invalid: no key is known under that name.
    """
    pin = KnownKeys(premises.ward).forget(name)
    words = f"A person of this hospital: the key of '{name}' ({pin.code}) is forgotten"
    VisitorsBook(premises.ward).note(Entry(at=now, event="keys", words=words))
    return pin


def result(premises: Premises, study: str) -> dict[str, bytes]:
    """Return the files that the hub sent when the study was finished, by name.

    Raises:
        Invalid: no such study, or nothing came yet.
    """
    register = Register(premises)
    return result_of(register.folder(register.named(study).proposal.study_sha256))


def _decide(premises: Premises, study: str, outcome: decide.Outcome, *, reason: str, now: str) -> Decision:
    return decide.decide(open_house(premises), Register(premises).named(study), outcome, reason=reason, at=now)


def _seen(one: Proposed) -> StudySeen:
    last = one.decisions[-1] if one.decisions else None
    notices: tuple[Notice, ...] = one.notices
    return StudySeen(
        study_sha256=one.proposal.study_sha256,
        id=one.study.id,
        version=one.study.version,
        title=one.study.title,
        outcome=one.outcome,
        decided_at="" if last is None else last.at,
        reason="" if last is None else last.reason,
        notice=notices[-1].event if notices else "",
        code=one.proposal.code,
        members=tuple(member.site for member in one.proposal.members),
    )

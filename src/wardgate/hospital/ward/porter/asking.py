"""Questions that wait for a person of this hospital, and what the person says to them."""

from dataclasses import dataclass

from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.ward.porter.approvals import Approval, Approvals, Word, approval_of, needs_a_person
from wardgate.hospital.ward.porter.book import Entry, VisitorsBook
from wardgate.hospital.ward.porter.house import House
from wardgate.hospital.ward.porter.register import Register
from wardgate.hospital.ward.porter.words import words_of
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, Invalid
from wardgate.records.messages import open_question

SHORTEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A question that waits.

    Attributes:
        digest: What a person approves.
        question: The question's envelope.
        study: The study's id.
    """

    digest: str
    question: str
    study: str
    study_sha256: str
    computation: str
    words: str


def waiting(house: House) -> tuple[Waiting, ...]:
    """Return every question that waits for a person, oldest first."""
    register, approvals = Register(house.premises), Approvals(house.premises.ward)
    box = FolderSpool(house.premises.spool).box("questions")
    found = []
    for name in box.names():
        try:
            parcel = box.read(name)
            question = open_question(parcel.envelope, hub_key=house.hub_key)
        except Broken:
            continue  # the porter sorts these out
        study = register.find(question.study_sha256)
        digest, asked = approval_of(question), sha256(parcel.envelope)
        if study is None or not study.open or not needs_a_person(question, mode=house.site_file.questions):
            continue
        if approvals.word_on(digest, question_sha256=asked) is None:
            found.append(
                Waiting(
                    digest=digest,
                    question=asked,
                    study=study.study.id,
                    study_sha256=question.study_sha256,
                    computation=question.computation,
                    words=words_of(question),
                )
            )
    return tuple(found)


def approve(house: House, digest: str, word: Word, *, at: str) -> Approval:
    """Write down what a person says to a computation: once, always, never, or withdrawn.

    Args:
        digest: Of what is approved, or at least its first eight letters. `once` is for the oldest question that waits.

    Raises:
        Invalid: no such computation waits or was asked here before; several begin with these letters; or `once`, and
            none of its questions waits.
    """
    queue = waiting(house)
    known = {one.digest: (one.study_sha256, one.words, one.computation) for one in queue}
    for entry in VisitorsBook(house.premises.ward).entries():
        if entry.event in ("question", "held") and entry.approval is not None:
            known.setdefault(entry.approval, (entry.study, entry.words, entry.computation))
    chosen = [one for one in known if one == digest or (len(digest) >= SHORTEST and one.startswith(digest))]
    if len(chosen) != 1:
        what = f"{len(chosen)} computations" if chosen else "no computation that waits, or was asked here before,"
        raise Invalid(f"{what} with the digest '{digest[:64]}'; see what waits, and give at least {SHORTEST} letters")
    study, words, computation = known[chosen[0]]
    question = next((one.question for one in queue if one.digest == chosen[0]), "")
    if word == "once" and not question:
        raise Invalid("none of its questions waits now, so there is none to allow once; say always, or wait for one")
    said = Approval(
        at=at, digest=chosen[0], word=word, question=question if word == "once" else "", study=study, words=words
    )
    Approvals(house.premises.ward).add(said)
    VisitorsBook(house.premises.ward).note(
        Entry(
            at=at,
            event="approval",
            study=study,
            subject=chosen[0],
            computation=computation,
            approval=chosen[0],
            words=f"A person of this hospital: {word}. {words}",
        )
    )
    return said

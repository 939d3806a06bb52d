"""What a question may meet at the door, before any patient is touched."""

from dataclasses import dataclass
from typing import Literal

from wardgate.hospital.ward.porter.approvals import Approvals, approval_of, needs_a_person
from wardgate.hospital.ward.porter.house import House
from wardgate.hospital.ward.porter.register import Proposed
from wardgate.hospital.ward.porter.words import words_of
from wardgate.records.canonical import sha256
from wardgate.records.errors import Refused
from wardgate.records.messages import Question
from wardgate.records.parcel import Parcel

State = Literal["waiting_for_approval", "paused", "never", "broken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """Why a question is not answered now.

    Attributes:
        state: `waiting_for_approval` and `paused` pass; `never` is refused, `broken` is put aside.
        words: For the hub and for the book.
    """

    state: State
    words: str


def hindrance(
    question: Question, parcel: Parcel, *, study: Proposed | None, house: House, approvals: Approvals
) -> Hindrance | None:
    """Return why a question is not answered now, or nothing where the ward may answer it."""
    if study is None:
        return Hindrance(state="broken", words="this study was never proposed to this hospital")
    if bytes.fromhex(study.proposal.hub_key) != house.hub_key:
        return Hindrance(state="broken", words="the study was proposed under another hub's key")
    flaw = _blobs(question, parcel)
    if flaw:
        return Hindrance(state="broken", words=flaw)
    last = study.decisions[-1] if study.decisions else None
    match study.outcome:
        case "proposed":
            return Hindrance(state="broken", words="nobody at this hospital has signed the study")
        case "refused" | "left" if last is not None:
            said = "refused" if last.outcome == "refused" else "left"
            return Hindrance(state="never", words=f"this hospital {said} the study on {last.at[:10]}: {last.reason}")
        case "paused" if last is not None:
            because = f": {last.reason}" if last.reason else ""
            return Hindrance(state="paused", words=f"this hospital paused the study on {last.at[:10]}{because}")
    try:
        house.check_floor(study.study)
    except Refused:
        return Hindrance(
            state="paused", words="this hospital's own floor became stricter than the study's gate since it was signed"
        )
    digest = approval_of(question)
    word = approvals.word_on(digest, question_sha256=sha256(parcel.envelope))
    if word == "never":
        return Hindrance(state="never", words=f"a person of this hospital ruled this out: {words_of(question)}")
    if word is None and needs_a_person(question, mode=house.site_file.questions):
        return Hindrance(
            state="waiting_for_approval",
            words=f"a person of this hospital has to allow this (approval {digest[:16]}): {words_of(question)}",
        )
    return None


def _blobs(question: Question, parcel: Parcel) -> str:
    """Say what is wrong with the blobs beside a question. The wire checked them, and the ward does not trust it."""
    if len(question.vectors) != len(parcel.blobs):
        return f"the question names {len(question.vectors)} vectors, its parcel holds {len(parcel.blobs)}"
    for ref, blob in zip(question.vectors, parcel.blobs, strict=True):
        if sha256(blob) != ref.sha256:
            return f"the vector '{ref.name[:40]}' beside the question is not the one that the hub signed"
    return ""

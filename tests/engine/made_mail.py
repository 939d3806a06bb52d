"""Mail for tests: what a hub and a ward sign, without either."""

from wardgate.hospital.premises import Premises
from wardgate.hub.consortium.founding import read_hub_key
from wardgate.hub.home import Home
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.keyring import read_key
from wardgate.records.mail import Decision, Member, Notice, Proposal, Standing, seal_mail
from wardgate.records.messages import ANSWER, QUESTION, Answer, Question
from wardgate.records.parcel import Parcel, pack_bytes

STUDY = "a" * 64
OTHER = "c" * 64


def hub_signer(home: Home) -> Signer:
    """The hub's key."""
    return read_hub_key(home).signer


def ward_signer(premises: Premises) -> Signer:
    """A ward's key."""
    return read_key(premises.ward_key.read_bytes()).signer


def question(signer: Signer, number: int, *, blob: bytes = b"", study: str = STUDY) -> Parcel:
    """A question of the hub, with or without a blob."""
    ref, data = pack_bytes("blob", blob)
    asked = Question(study_sha256=study, number=number, computation="echo", vectors=(ref,) if blob else ())
    subjects = (("study", study),)
    envelope = seal(Statement(predicate_type=QUESTION, predicate=asked.plain(), subjects=subjects), signer)
    return Parcel(envelope, (data,) if blob else ())


def answer(signer: Signer, site: str, asked: Parcel, *, blob: bytes = b"", study: str = STUDY) -> Parcel:
    """A ward's answer."""
    ref, data = pack_bytes("blob", blob)
    given = Answer(
        study_sha256=study,
        question_sha256=sha256(asked.envelope),
        site=site,
        computation="echo",
        outcome="released",
        verdict="not_judged",
        vectors=(ref,) if blob else (),
    )
    subjects = (("study", study),)
    envelope = seal(Statement(predicate_type=ANSWER, predicate=given.plain(), subjects=subjects), signer)
    return Parcel(envelope, (data,) if blob else ())


def decision(signer: Signer, site: str, *, outcome: str = "signed", number: int = 1, study: str = STUDY) -> Parcel:
    """A hospital's word on a study."""
    said = Decision.from_plain(
        {
            "proposal_sha256": "b" * 64,
            "study_sha256": study,
            "site": site,
            "outcome": outcome,
            "reason": "",
            "number": number,
            "code": "x",
            "at": "2026-11-22T12:00:00Z",
        }
    )
    return Parcel(seal_mail(said, signer))


def standing(signer: Signer, site: str, asked: Parcel) -> Parcel:
    """Why a question waits."""
    said = Standing(study_sha256=STUDY, site=site, state="waiting_for_approval", question_sha256=sha256(asked.envelope))
    return Parcel(seal_mail(said, signer))


def notice(signer: Signer) -> Parcel:
    """The hub's word on a study."""
    return Parcel(seal_mail(Notice(study_sha256=STUDY, event="running"), signer))


def proposal(signer: Signer, *, blobs: tuple[bytes, ...] = (b"study", b"text")) -> Parcel:
    """The hub's proposal, with the study and its text beside it."""
    said = Proposal(
        study_sha256=sha256(b"study"),
        hub_key=signer.public_key.hex(),
        members=(Member(site="uk", public_key="d" * 64),),
        seed=1,
        wardgate="0",
    )
    subjects = (("study", sha256(b"study")), ("text", sha256(b"text")))
    return Parcel(seal_mail(said, signer, subjects=subjects), blobs)

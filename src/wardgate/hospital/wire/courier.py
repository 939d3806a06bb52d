"""The wire's whole work: check that a parcel is a signed record that may pass, and carry it.

It cannot read a patient (no data mount, no readers) and cannot forge a release (no signing key). A `Courier` carries
one study inside one machine; a `Border` judges all mail that is stored and forwarded between machines.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from wardgate.hospital.spool import Spool
from wardgate.records.canonical import sha256
from wardgate.records.envelope import PREDICATES
from wardgate.records.errors import Broken, Invalid
from wardgate.records.mail import DECISION, NOTICE, PROPOSAL, STANDING, Decision, Notice, Proposal, Standing, open_mail
from wardgate.records.messages import ANSWER, QUESTION, open_answer, open_question
from wardgate.records.parcel import Parcel, VectorRef, check_blobs
from wardgate.road.box import sync
from wardgate.road.whole import write_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Courier:
    """Carries questions in and answers out.

    Attributes:
        site: The hospital's id.
        study_sha256: Only records of this study pass.
        hub_key: The hub's public key.
        ward_key: This hospital's public key.
        spool: What it shares with the ward.
    """

    site: str
    study_sha256: str
    hub_key: bytes
    ward_key: bytes
    spool: Spool

    def bring(self, parcel: Parcel) -> str:
        """Check a question from the hub, put it into the spool and return its name there.

        Raises:
            Broken: not a question of this study signed by the hub, or its blobs are not those it names.
        """
        question = open_question(parcel.envelope, hub_key=self.hub_key)
        self._check_study(question.study_sha256)
        check_blobs(_named(question.vectors), parcel)
        return self.spool.put("questions", parcel)

    def fetch(self, name: str) -> Parcel:
        """Take an answer out of the spool, check it and return it for the hub.

        Raises:
            Broken: not a signed release record of this site and study, or its blobs are not those it names.
        """
        parcel = self.spool.take("answers", name)
        answer = open_answer(parcel.envelope, site_key=self.ward_key)
        self._check_study(answer.study_sha256)
        if answer.site != self.site:
            raise Broken(f"an answer of site {answer.site} lies in the spool of {self.site}")
        check_blobs(_named(answer.vectors), parcel)
        return parcel

    def _check_study(self, found: str) -> None:
        if found != self.study_sha256:
            raise Broken(f"a record of another study ({found[:16]}); this is {self.study_sha256[:16]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Border:
    """What may pass between a hub and this hospital when mail is stored and forwarded, over all studies.

    It remembers in a folder of the wire's own which studies the hospital signed and which questions came in, so that a
    wire that was killed goes on with the same knowledge.

    Attributes:
        site: The hospital's id.
        hub_key: The hub's public key.
        ward_key: This hospital's public key.
        seen: What passed before.
    """

    site: str
    hub_key: bytes
    ward_key: bytes
    seen: "Seen"

    def inwards(self, parcel: Parcel) -> str:
        """Check a parcel from the hub and return the word of its kind. A question is remembered.

        Raises:
            Broken: not a question of a signed study, a proposal or a notice, signed by the hub and with exactly the
                blobs that it names.
        """
        if kind_of(parcel.envelope) == QUESTION:
            question = open_question(parcel.envelope, hub_key=self.hub_key)
            check_blobs(_named(question.vectors), parcel)
            if not self.seen.takes_part(question.study_sha256):
                raise Broken(f"a question of study {question.study_sha256[:16]}, which this hospital has not signed")
            self.seen.ask(question.study_sha256, sha256(parcel.envelope))
            return QUESTION
        mail, subjects = open_mail(parcel.envelope, key=self.hub_key)
        if not isinstance(mail, Proposal | Notice):
            raise Broken("the hub sends questions, proposals and notices; found a hospital's word")
        check_blobs(subjects if isinstance(mail, Proposal) or parcel.blobs else (), parcel)
        return PROPOSAL if isinstance(mail, Proposal) else NOTICE

    def outwards(self, parcel: Parcel) -> str:
        """Check a parcel of the ward and return the word of its kind. A decision is remembered.

        Raises:
            Broken: not an answer to a question that came in here, a decision or a standing, signed by this hospital's
                ward in its own name and with exactly the blobs that it names.
        """
        if kind_of(parcel.envelope) == ANSWER:
            answer = open_answer(parcel.envelope, site_key=self.ward_key)
            self._own(answer.site)
            check_blobs(_named(answer.vectors), parcel)
            if not self.seen.asked(answer.study_sha256, answer.question_sha256):
                raise Broken(f"an answer to question {answer.question_sha256[:16]}, which did not come in here")
            return ANSWER
        mail, _ = open_mail(parcel.envelope, key=self.ward_key)
        if not isinstance(mail, Decision | Standing):
            raise Broken("a ward sends answers, decisions and standings; found a hub's word")
        self._own(mail.site)
        check_blobs((), parcel)
        if isinstance(mail, Standing):
            return STANDING
        self.seen.decide(mail)
        return DECISION

    def _own(self, site: str) -> None:
        if site != self.site:
            raise Broken(f"a record of site {site} lies in the spool of {self.site}")


@dataclass(frozen=True, slots=True)
class Seen:
    """What passed a wire, kept in a folder: the last decision on each study and the digests of its questions.

    Attributes:
        folder: Made where it is missing, for its owner alone.
    """

    folder: Path

    def decide(self, decision: Decision) -> None:
        """Keep a decision, unless a later one is kept already."""
        last = self._last(decision.study_sha256)
        if last is not None and last.number > decision.number:
            return
        home = self._home(decision.study_sha256)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(home / "decision.json", decision.to_bytes(), mode=0o600)

    def takes_part(self, study_sha256: str) -> bool:
        """Say whether the hospital takes part. A pause does not close a study: the ward says that it pauses."""
        last = self._last(study_sha256)
        return last is not None and last.outcome in ("signed", "resumed", "paused")

    def ask(self, study_sha256: str, question_sha256: str) -> None:
        """Remember a question. The study is open, so its folder is there."""
        if not self.asked(study_sha256, question_sha256):
            folder = self._home(study_sha256) / "questions"
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / question_sha256).touch(mode=0o600)
            sync(folder)

    def asked(self, study_sha256: str, question_sha256: str) -> bool:
        """Say whether a question came in."""
        return (self._home(study_sha256) / "questions" / question_sha256).is_file()

    def _home(self, study_sha256: str) -> Path:
        return self.folder / study_sha256

    def _last(self, study_sha256: str) -> Decision | None:
        path = self._home(study_sha256) / "decision.json"
        try:
            return Decision.from_plain(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, Invalid) as error:
            raise Broken(f"the wire's memory of study {study_sha256[:16]} is damaged: remove {path.name}") from error


def kind_of(envelope: bytes) -> str:
    """Return the word of an envelope's kind, read without trust.

    Raises:
        Broken: not an envelope.
    """
    try:
        payload = json.loads(base64.b64decode(json.loads(envelope)["payload"], validate=True))
        kind = payload["predicateType"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Broken("not a signed envelope: its form is damaged") from error
    if not isinstance(kind, str):
        raise Broken("not a signed envelope: its kind is no word")
    return kind.removeprefix(PREDICATES)


def _named(vectors: tuple[VectorRef, ...]) -> list[tuple[str, str]]:
    """Return names and digests of the vectors beside a record."""
    return [(ref.name, ref.sha256) for ref in vectors]

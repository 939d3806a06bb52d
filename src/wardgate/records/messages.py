"""Questions and answers: the only conversation between the hub and a ward."""

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from wardgate.records.envelope import unseal
from wardgate.records.errors import Broken, Invalid
from wardgate.records.parcel import VectorRef
from wardgate.records.record import Digest, Name, Number, Record
from wardgate.records.verdict import Evidence

QUESTION = "question/v1"
ANSWER = "answer/v1"
SUM = "sum/v1"
CERTIFICATE = "shareable-synthetic/v2"
CERTIFICATE_1 = "shareable-synthetic/v1"
MANIFEST = "run-manifest/v1"

SplitName = Literal["none", "train", "tuning", "holdout", "locked_test"]


class SlotTerms(Record):
    """The slot of a prepared batch that lets a sum survive drop-outs.

    Attributes:
        batch_sha256: Digest of the signed question that prepared the batch.
        index: Which of its slots, from 0; each serves one sum.
        least: Survivors below which the sum stays closed.
    """

    batch_sha256: Digest
    index: int
    least: int


class SumTerms(Record):
    """The public terms of one secure sum. Every site checks them before it answers.

    Attributes:
        roster: Sites in the sum, sorted. All of them must answer, or the sum does not open; unless it has a slot.
        entries: Length of the vector.
        persons: Public upper bound on the persons in the whole sum; fixes the ring's scale.
        noise_multiplier: Noise over the L2 bound of one person; absent for an exact sum.
        tolerated: Sites that may collude without weakening the promised noise.
        coin: Public randomness that draws who shares masks with whom, in hexadecimal.
        roster_sha256: Digest of the roster that introduced the sites. All sites mask under one question, so no two
            of them can have been told different things of a third.
        bits: Of the ring, 32 or 64; absent means 64.
        slot: With it, the rest of the sum opens when some sites vanish; absent, everybody must answer.
    """

    roster: tuple[Name, ...]
    entries: int
    persons: int
    noise_multiplier: Number | None = None
    tolerated: int = 0
    coin: Digest
    roster_sha256: Digest | None = None
    bits: Literal[32, 64] | None = None
    slot: SlotTerms | None = None


class Question(Record):
    """One question of the hub.

    Attributes:
        number: The hub's running number; no two questions of a study share one.
        computation: Which answer is asked for: a step of the chain, or a word of `computations.menu`.
        parameters: Public parameters, numbers as text.
        split: Whose persons it touches.
        sum: Terms of the secure sum; absent for sited answers.
        vectors: Raw vectors and blobs that travel beside the question.
    """

    study_sha256: Digest
    number: int
    computation: Name
    parameters: dict[str, Any] = Field(default_factory=dict)
    split: SplitName = "none"
    sum: SumTerms | None = None
    vectors: tuple[VectorRef, ...] = ()


class Answer(Record):
    """One answer of a ward, already judged by its gate.

    Attributes:
        question_sha256: Digest of the question's envelope.
        outcome: `released`, or `refused` with the reason in `refusal`.
        statement: What is said beside the vectors, numbers as text.
        evidence: What the gate measured. The receiver decides again on it and must agree.
        verdict: The outcome that the gate reached.
        policy_sha256: The policy that decided.
        opening: Which opening of the locked test this is, counted from 1.
    """

    study_sha256: Digest
    question_sha256: Digest
    site: Name
    computation: Name
    outcome: Literal["released", "refused"]
    statement: dict[str, Any] = Field(default_factory=dict)
    evidence: Evidence | None = None
    verdict: Literal["pass", "fail", "not_evaluable", "not_judged"]
    policy_sha256: Digest | None = None
    refusal: str = ""
    opening: int | None = None
    vectors: tuple[VectorRef, ...] = ()


class OpenedSum(Record):
    """The hub's record of a sum it opened; anyone can recompute it from the masked answers.

    Attributes:
        answers: Digests of the answers' envelopes, by site; of the survivors alone where the sum had a slot.
        total: The opened vector.
        reveals: Digests of the answers by which survivors revealed their shares; absent where the sum had no slot.
    """

    study_sha256: Digest
    question_sha256: Digest
    answers: dict[str, Digest]
    total: VectorRef
    reveals: dict[str, Digest] | None = None


class Party(Record):
    """One key holder. `simulated` keys may approve only simulated runs and the demo."""

    name: Name
    role: Literal["hub", "site"]
    public_key: str
    simulated: bool


@lru_cache(maxsize=64)
def open_question(envelope: bytes, *, hub_key: bytes) -> Question:
    """Return the question that the hub signed. Pure, so hospitals that share a process check it once.

    Raises:
        Broken: not signed by the hub, or not a question.
    """
    statement = unseal(envelope, keys=(hub_key,))
    if statement.predicate_type != QUESTION:
        raise Broken(f"expected a question, found {statement.predicate_type}")
    try:
        return Question.from_plain(statement.predicate)
    except Invalid as error:
        raise Broken(f"the hub signed a question that is none: {error}") from error


@lru_cache(maxsize=2048)
def open_answer(envelope: bytes, *, site_key: bytes) -> Answer:
    """Return the answer that a site signed. Pure, so parties that share a process check it once.

    Raises:
        Broken: not signed by the site, or not an answer.
    """
    statement = unseal(envelope, keys=(site_key,))
    if statement.predicate_type != ANSWER:
        raise Broken(f"expected an answer, found {statement.predicate_type}")
    try:
        return Answer.from_plain(statement.predicate)
    except Invalid as error:
        raise Broken(f"a site signed an answer that is none: {error}") from error


class RosterEntry(Record):
    """A site that takes part: its long-term key, its exchange key and the digest of the signed enrolment."""

    site: Name
    public_key: str
    exchange_key: str
    enrolment_sha256: Digest
    persons_band: str


class Roster(Record):
    """All sites of a study, in one blob: the same bytes for everybody."""

    entries: tuple[RosterEntry, ...]


@lru_cache(maxsize=16)
def read_roster(data: bytes) -> Mapping[str, RosterEntry]:
    """Return the entries of a roster by site.

    Raises:
        Invalid: not a roster, or a site stands in it twice.
    """
    try:
        entries = Roster.from_plain(json.loads(data)).entries
    except (ValueError, RecursionError) as error:
        raise Invalid("the roster is not JSON") from error
    found = {entry.site: entry for entry in entries}
    if len(found) != len(entries):
        raise Invalid("a site stands in the roster twice")
    return MappingProxyType(found)


class FileEntry(Record):
    """One file of a run."""

    path: str
    sha256: Digest
    bytes: int


class Manifest(Record):
    """Every file of a finished run. Nothing else may lie beside them."""

    study_sha256: Digest
    files: tuple[FileEntry, ...]

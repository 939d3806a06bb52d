"""What travels beside questions and answers: proposals and notices of the hub, decisions and standings of hospitals.

All are in-toto statements in DSSE envelopes, as questions are, so that a wire can check each before it carries it.
"""

from functools import lru_cache
from typing import Literal

from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer, Statement, seal, unseal
from wardgate.records.errors import Broken, Invalid
from wardgate.records.keyring import Hex32
from wardgate.records.record import Digest, Name, Record

PROPOSAL = "proposal/v1"
NOTICE = "notice/v1"
DECISION = "decision/v1"
STANDING = "standing/v1"

PROTOCOL = 1
"""Of this conversation. Two ends with different numbers do not talk; the error says who has to upgrade."""


class Member(Record):
    """A site of a study: its name and the ward's long-term public key."""

    site: Name
    public_key: Hex32


class Proposal(Record):
    """The hub's proposal of one locked study to its sites. Blobs beside it: `study` (canonical) and `text` (YAML).

    Attributes:
        study_sha256: The locked study.
        hub_key: Whose questions will come.
        members: All sites of the study, sorted by name. Every site sees the same, or the codes differ.
        seed: For repeatable work that protects nobody.
        wardgate: Version of the hub's software.
        protocol: See PROTOCOL.
    """

    study_sha256: Digest
    hub_key: Hex32
    members: tuple[Member, ...]
    seed: int
    wardgate: str
    protocol: int = PROTOCOL

    @property
    def code(self) -> str:
        """Five groups of four letters for study, hub and all keys together, to be read out between hospitals.

        Two hospitals that were told different keys hold different codes. 80 bits of SHA-256.
        """
        digits = sha256(b"wardgate/roster-code/1\x00" + self.to_bytes())[:20]
        return "-".join(digits[start : start + 4] for start in range(0, 20, 4))


class Decision(Record):
    """A site's word on a study, signed by its ward's key on behalf of the person who decided.

    Attributes:
        proposal_sha256: The proposal's envelope.
        outcome: `signed`, `refused`, `paused`, `resumed` or `left`.
        reason: Why, for people; needed for `refused` and `left`.
        number: Of this site's decisions on the study, from 1; a later one replaces an earlier one.
        code: The proposal's code as the person saw it.
    """

    proposal_sha256: Digest
    study_sha256: Digest
    site: Name
    outcome: Literal["signed", "refused", "paused", "resumed", "left"]
    reason: str = ""
    number: int
    code: str
    at: str


class Standing(Record):
    """Why a site is not answering a question: said by its ward, so that nobody waits in the dark.

    Attributes:
        state: `waiting_for_approval`, `paused`, `never` (a person ruled it out), `broken` (forged, replayed or of
            another study) or `failed` (a step broke beside patients; `words` holds a reference, never the cause).
        question_sha256: The question's envelope.
    """

    study_sha256: Digest
    site: Name
    state: Literal["waiting_for_approval", "paused", "never", "broken", "failed"]
    question_sha256: Digest
    words: str = ""


class Notice(Record):
    """The hub tells its sites what became of a study. Beside `finished` may travel what came of it, as named blobs."""

    study_sha256: Digest
    event: Literal["running", "finished", "aborted"]
    reason: str = ""


Mail = Proposal | Notice | Decision | Standing

_KINDS: dict[str, type[Mail]] = {PROPOSAL: Proposal, NOTICE: Notice, DECISION: Decision, STANDING: Standing}
_WORDS = {kind: word for word, kind in _KINDS.items()}


def seal_mail(mail: Mail, signer: Signer, *, subjects: tuple[tuple[str, str], ...] = ()) -> bytes:
    """Sign a piece of mail.

    Args:
        subjects: (name, SHA-256) of the blobs beside it; without any, the study is the subject.
    """
    return seal(
        Statement(
            predicate_type=_WORDS[type(mail)],
            predicate=mail.plain(),
            subjects=subjects or (("study", mail.study_sha256),),
        ),
        signer,
    )


@lru_cache(maxsize=256)
def open_mail(envelope: bytes, *, key: bytes) -> tuple[Mail, tuple[tuple[str, str], ...]]:
    """Return a piece of mail and its subjects. The caller says which kinds it takes from whom.

    Raises:
        Broken: not signed by `key`, or of no known kind.
    """
    statement = unseal(envelope, keys=(key,))
    kind = _KINDS.get(statement.predicate_type)
    if kind is None:
        raise Broken(f"expected a proposal, notice, decision or standing; found {statement.predicate_type}")
    try:
        return kind.from_plain(statement.predicate), statement.subjects
    except Invalid as error:
        raise Broken(f"signed mail that is none: {error}") from error

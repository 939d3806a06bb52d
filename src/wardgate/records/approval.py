"""Who approved what: single signatures over a digest, and waivers that need two of them and a reason."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Annotated, Literal, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import AfterValidator, Field, StringConstraints

from wardgate.records.canonical import canonical, sha256
from wardgate.records.envelope import Signer
from wardgate.records.errors import Broken, Refused
from wardgate.records.record import Digest, Stated

Role = Literal["privacy_officer", "second_person"]
ROLES: tuple[Role, ...] = get_args(Role)

LEAST_WORDS = 5
LEAST_LETTERS = 25
"""A reason is a sentence: what else stands for the rule that is not judged?"""


def _real_date(text: str) -> str:
    date.fromisoformat(text)
    return text


Date = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_real_date)]
"""A day of the calendar, as 2026-01-31."""


class Approval(Stated):
    """One person's signature under a digest.

    Attributes:
        statement_sha256: What was approved: a certificate's `approvable`, or a waiver's `statement_sha256`.
        simulated: Whether the key stands for nobody. Everything outside the demo refuses such approvals.
        signature: Ed25519 over all other fields, in hexadecimal.
    """

    role: Role
    key_id: Digest
    at: Date
    statement_sha256: Digest
    simulated: bool = False
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        return _signed_bytes(self.role, self.key_id, self.at, self.statement_sha256, self.simulated)


def _signed_bytes(role: Role, key_id: str, at: str, statement_sha256: str, simulated: bool) -> bytes:
    said = {"role": role, "keyId": key_id, "at": at, "statementSha256": statement_sha256, "simulated": simulated}
    return b"wardgate/approval/1\x00" + canonical(said)


def approve(statement_sha256: str, *, role: Role, at: str, signer: Signer, simulated: bool = False) -> Approval:
    """Sign a digest in a role.

    Args:
        at: Today, as an ISO date.
    """
    signature = signer.sign(_signed_bytes(role, signer.key_id, at, statement_sha256, simulated))
    return Approval(
        role=role,
        key_id=signer.key_id,
        at=at,
        statement_sha256=statement_sha256,
        simulated=simulated,
        signature=signature.hex(),
    )


def check_approval(
    approval: Approval, *, statement_sha256: str, keys: Collection[bytes], accept_simulated: bool = False
) -> None:
    """Check one approval.

    Args:
        statement_sha256: What it must be an approval of.
        keys: Public keys of everybody who is enrolled in the approval's role.
        accept_simulated: In the demo and in tests alone.

    Raises:
        Broken: it is of something else, by a key that is not enrolled in its role, or the signature does not hold.
        Refused: the approval is a simulated one.
    """
    who = approval.role.replace("_", " ")
    if approval.statement_sha256 != statement_sha256:
        raise Broken(
            f"the {who} approved something else ({approval.statement_sha256[:16]}) than this ({statement_sha256[:16]})"
        )
    key = next((key for key in keys if sha256(key) == approval.key_id), None)
    if key is None:
        raise Broken(f"the approval's key {approval.key_id[:16]} is not enrolled as {who}")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(bytes.fromhex(approval.signature), approval.signed_bytes)
    except (InvalidSignature, ValueError):
        raise Broken(f"the signature of the {who} (key {approval.key_id[:16]}) does not hold") from None
    if approval.simulated and not accept_simulated:
        raise Refused(f"the approval of the {who} is SIMULATED; outside the demo a person has to approve")


def check_both(
    approvals: Sequence[Approval],
    *,
    statement_sha256: str,
    keys: Mapping[Role, Collection[bytes]],
    accept_simulated: bool = False,
) -> None:
    """Check that a privacy officer and a second person, with keys of their own, approved one statement.

    Raises:
        Broken: an approval does not hold.
        Refused: a role is missing or there twice, one key signed for both, or an approval is simulated.
    """
    for approval in approvals:
        check_approval(
            approval,
            statement_sha256=statement_sha256,
            keys=keys.get(approval.role, ()),
            accept_simulated=accept_simulated,
        )
    if len({approval.key_id for approval in approvals}) < len(approvals):
        raise Refused("the same person signed twice; two persons, each with a key of their own, have to agree")
    roles = [approval.role for approval in approvals]
    absent = [role.replace("_", " ") for role in ROLES if role not in roles]
    if absent:
        raise Refused(f"found {len(roles) or 'no'} of two signatures; the {' and the '.join(absent)} did not sign")
    if len(roles) > len(ROLES):
        raise Refused(f"found {len(roles)} signatures; expected one of each role")


class Waiver(Stated):
    """Two persons let a rule pass that could not be evaluated, or a shortfall of realism. Never a failed privacy rule.

    Attributes:
        rule: Name of the rule.
        reason: What else protects, or why the shortfall does no harm; a sentence at least.
        evidence_sha256: The one piece of evidence that it holds for.
    """

    rule: str
    reason: str
    evidence_sha256: Digest
    approvals: tuple[Approval, ...] = ()

    @property
    def statement_sha256(self) -> str:
        """What both persons sign: rule, reason and evidence together."""
        said = {"rule": self.rule, "reason": self.reason, "evidenceSha256": self.evidence_sha256}
        return sha256(b"wardgate/waiver/1\x00" + canonical(said))

    def signed(self, *, role: Role, at: str, signer: Signer, simulated: bool = False) -> "Waiver":
        """Return the waiver with one more signature."""
        added = approve(self.statement_sha256, role=role, at=at, signer=signer, simulated=simulated)
        return self.model_copy(update={"approvals": (*self.approvals, added)})


def check_reason(reason: str) -> None:
    """Check that a reason is a sentence.

    Raises:
        Refused: it is shorter than five words or 25 letters.
    """
    text = " ".join(reason.split())
    if len(text) < LEAST_LETTERS or len(set(text.casefold().split())) < LEAST_WORDS:
        raise Refused("a waiver needs a reason of at least a sentence: what stands for the rule that is not judged?")


def check_waivers(
    waivers: Sequence[Waiver],
    *,
    evidence_sha256: str,
    keys: Mapping[Role, Collection[bytes]],
    rules: Collection[str] | None = None,
    accept_simulated: bool = False,
) -> frozenset[str]:
    """Return the rules that are waived, for `policy.decide`; it alone knows which rulings may be.

    Args:
        evidence_sha256: Fingerprint of the evidence that is judged.
        keys: Public keys of everybody enrolled, by role.
        rules: Every rule that there is; left out, `policy.decide` refuses strange ones.
        accept_simulated: In the demo and in tests alone.

    Raises:
        Broken: a signature does not hold, is of nobody enrolled, or was given for other evidence.
        Refused: a rule is unknown or waived twice, the reason is no sentence, or two persons did not both sign.
    """
    found: set[str] = set()
    for waiver in waivers:
        try:
            _check_waiver(waiver, evidence_sha256=evidence_sha256, rules=rules)
            if waiver.rule in found:
                raise Refused("it is waived twice; one waiver with two signatures is enough")
            check_both(
                waiver.approvals,
                statement_sha256=waiver.statement_sha256,
                keys=keys,
                accept_simulated=accept_simulated,
            )
        except (Broken, Refused) as error:
            raise type(error)(f"waiver of '{waiver.rule}': {error}") from error
        found.add(waiver.rule)
    return frozenset(found)


def _check_waiver(waiver: Waiver, *, evidence_sha256: str, rules: Collection[str] | None) -> None:
    if rules is not None and waiver.rule not in rules:
        raise Refused("there is no such rule; `wardgate gate explain` lists them")
    check_reason(waiver.reason)
    if waiver.evidence_sha256 != evidence_sha256:
        raise Broken(
            f"it was signed for other evidence ({waiver.evidence_sha256[:16]}) than is judged ({evidence_sha256[:16]})"
        )


class ApprovalFile(Stated):
    """Approvals of one certificate, as they lie beside it."""

    schema_: Literal["wardgate/approvals/1"] = Field(default="wardgate/approvals/1", alias="schema")
    certificate_sha256: Digest
    approvals: tuple[Approval, ...]


class WaiverFile(Stated):
    """Waivers for one piece of evidence, as they are handed to the gate."""

    schema_: Literal["wardgate/waivers/1"] = Field(default="wardgate/waivers/1", alias="schema")
    waivers: tuple[Waiver, ...]

"""The certificate "shareable synthetic": everything that was decided on one release, and by whom.

What is not known is said to be absent with a reason. It never claims anonymity.
"""

import re
import unicodedata
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, Self

from pydantic import model_validator

from wardgate.records.approval import Approval, Date, Waiver
from wardgate.records.canonical import canonical, sha256
from wardgate.records.certificate_parts import (
    Attempts,
    ClinicianReview,
    GeneratorNamed,
    LogInclusion,
    Noise,
    PolicyNamed,
    Restrictions,
    SiteNamed,
    Source,
    Splits,
    StudyNamed,
    Subgroups,
    Terms,
    Tool,
    Unsaid,
)
from wardgate.records.record import Stated
from wardgate.records.verdict import Evidence, Verdict

DISCLAIMER = "Not a legal finding of anonymity."

RESIDUAL_RISKS = (
    "attacks that nobody knows yet",
    "a person known at two hospitals: taking part at one may be inferred from the other's corpus",
    "what many corpora of one population tell together, beyond those that were tested together",
)

_FORBIDDEN = re.compile(r"anonym|de-?identif|risk[- ]free|(?:no|zero|without)[- ]risk|cannot be re-?identified")

MONTHS = 12
"""For how long a certificate holds under a policy that was signed before policies said it."""


class Certificate(Stated):
    """The predicate of a certificate. What is `None` is named in `absent` with the reason.

    Attributes:
        study: None for a check that stands by itself.
        exceptions: Rules that two persons waived.
        claim: What is claimed, in words; ends with `DISCLAIMER`.
        revocation: Where the issuer tells of revocations.
        approvals: Of `approvable`; those of the demo are marked as simulated.

    Raises:
        Invalid: (by `from_plain`) a field is empty without a reason, or the words claim anonymity.
    """

    study: StudyNamed | None = None
    site: SiteNamed
    policy: PolicyNamed
    source: Source
    splits: Splits | None = None
    generator: GeneratorNamed
    dp: Noise
    attempts: Attempts
    evidence: Evidence
    verdict: Verdict
    known_gaps: tuple[str, ...] = ()
    clinician_review: ClinicianReview | None = None
    restrictions: Restrictions
    exceptions: tuple[Waiver, ...] = ()
    subgroups: Subgroups | None = None
    residual_risks: tuple[str, ...]
    claim: str
    terms: Terms | None = None
    exact_sums_also_released: bool | None = None
    issued_on: Date | None = None
    valid_until: Date | None = None
    revocation: str | None = None
    approvals: tuple[Approval, ...] = ()
    tool: Tool
    log: LogInclusion | None = None
    absent: tuple[Unsaid, ...] = ()

    @model_validator(mode="after")
    def _honest(self) -> Self:
        said, empty = {one.field for one in self.absent}, set(holes(self))
        if len(said) != len(self.absent):
            raise ValueError("a field is said to be absent twice")
        silent = sorted(empty - said)
        if silent:
            raise ValueError(f"left out without a reason: {', '.join(silent)}")
        present = sorted(said - empty - (set() if self.approvals else {"approvals"}))
        if present:
            raise ValueError(f"said to be absent, but there: {', '.join(present)}")
        if not self.claim.endswith(DISCLAIMER):
            raise ValueError(f"the claim must end with '{DISCLAIMER}'")
        words = (
            self.claim.removesuffix(DISCLAIMER),
            *self.known_gaps,
            *self.residual_risks,
            *(one.reason for one in self.exceptions),
            *((self.terms.licence,) if self.terms else ()),
        )
        if any(claims_anonymity(text) for text in words):
            raise ValueError("the words claim anonymity or the absence of risk; no measurement can show that")
        if self.issued_on and self.valid_until and self.issued_on > self.valid_until:
            raise ValueError("it would end before it was issued")
        return self

    @property
    def simulated(self) -> bool:
        """Whether an approval stands for nobody."""
        return any(one.simulated for one in (*self.approvals, *(a for w in self.exceptions for a in w.approvals)))

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why each absent field is so."""
        return {one.field: one.reason for one in self.absent}


def claims_anonymity(text: str) -> bool:
    """Whether words claim what no measurement can show.

    >>> claims_anonymity("The corpus is fully anonymised."), claims_anonymity("One region is missing.")
    (True, False)
    """
    return _FORBIDDEN.search(unicodedata.normalize("NFKC", text).casefold()) is not None


def holes(part: Stated, prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every field of a certificate that is None."""
    for name, field in type(part).model_fields.items():
        value, path = getattr(part, name), f"{prefix}{field.alias or name}"
        if value is None:
            yield path
        elif isinstance(value, Stated):
            yield from holes(value, f"{path}.")


def stated(fields: Mapping[str, Any], *, reasons: Mapping[str, str], otherwise: str = "") -> Certificate:
    """Return the certificate of some fields by their Python names, each hole with its reason.

    Args:
        reasons: By dotted path, for every field that may turn out empty.
        otherwise: The reason of all others; left out, they must be filled.

    Raises:
        Invalid: a field is empty without a reason, or of another type than it should be.
    """
    empty = sorted(holes(Certificate.model_construct(**fields)))
    given = [{"field": path, "reason": reasons.get(path, otherwise)} for path in empty if reasons.get(path, otherwise)]
    if not fields.get("approvals") and "approvals" in reasons:
        given.append({"field": "approvals", "reason": reasons["approvals"]})
    return Certificate.from_plain({**fields, "absent": given})


def claim_for(verdict: Verdict) -> str:
    """Return what a verdict lets one claim, in words."""
    outcomes = {ruling.outcome for ruling in verdict.rulings}
    if verdict.outcome == "fail":
        words = "The candidate broke at least one limit. Nothing is claimed of it."
    elif verdict.outcome == "not_evaluable":
        words = "Too little could be measured to decide. Nothing is claimed of it."
    elif "covered_by_dp" in outcomes:
        words = "Risk bounded by the stated noise; attacks that could not be run are marked. Other limits are met."
    else:
        words = "Risk below the stated limits under the listed attacks."
    if verdict.outcome == "pass_with_exceptions":
        words += " Two persons accepted the stated exceptions."
    return f"{words} {DISCLAIMER}"


def months_after(day: str, months: int) -> str:
    """Return the same day some months later, or the last of that month.

    >>> months_after("2024-02-29", 12), months_after("2026-10-31", 4)
    ('2025-02-28', '2027-02-28')
    """
    start = date.fromisoformat(day)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1])).isoformat()


def approvable(certificate: Certificate, subjects: Sequence[tuple[str, str]]) -> str:
    """Return the digest that approvals sign: subjects and everything but the approvals and the place in the log."""
    plain: dict[str, Any] = certificate.plain()
    plain["absent"] = [one for one in plain["absent"] if one["field"] not in ("approvals", "log")]
    predicate = {key: value for key, value in plain.items() if key not in ("approvals", "log")}
    return sha256(b"wardgate/certificate/2\x00" + canonical({"predicate": predicate, "subjects": sorted(subjects)}))


def verdict_leaf(evidence: Evidence, verdict: Verdict) -> bytes:
    """Return the leaf by which the issuer's log tells of a verdict."""
    return canonical({"event": f"{evidence.kind}:{verdict.outcome}", "sha256": evidence.fingerprint()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A certificate as it came.

    Attributes:
        subjects: (name, SHA-256) of the files that it speaks of.
        key_id: Of the key that signed it, or that it names where no key was at hand.
        sha256: Of the envelope; revocations name it.
        version: Of the form: 2, or 1 for certificates of before.
    """

    certificate: Certificate
    subjects: tuple[tuple[str, str], ...]
    key_id: str
    sha256: str
    version: Literal[1, 2]

    @property
    def simulated(self) -> bool:
        """Whether it binds nobody: an approval stands for no person, as all of version 1 did."""
        return self.version == 1 or self.certificate.simulated

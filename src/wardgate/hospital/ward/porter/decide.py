"""What a person of this hospital decides on a study: sign, refuse, pause, resume, leave. Each is a signed record.

A decision is on disk before it leaves, and leaves again whenever it is not sure that it left.
"""

import re
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.ward.porter.book import Entry, VisitorsBook, clean
from wardgate.hospital.ward.porter.house import House
from wardgate.hospital.ward.porter.known import KnownKeys
from wardgate.hospital.ward.porter.register import Proposed, Register
from wardgate.hospital.ward.porter.review import objections
from wardgate.records.errors import Invalid, Refused
from wardgate.records.mail import Decision, seal_mail
from wardgate.records.parcel import Parcel

Outcome = Literal["signed", "refused", "paused", "resumed", "left"]

AFTER: dict[str, tuple[Outcome, ...]] = {
    "proposed": ("signed", "refused"),
    "refused": ("signed",),
    "signed": ("paused", "left"),
    "resumed": ("paused", "left"),
    "paused": ("resumed", "left"),
    "left": (),
}
"""Which decisions may follow which."""

SAID = {
    "proposed": "nobody here has decided on it",
    "refused": "this hospital refused it",
    "signed": "this hospital signed it",
    "resumed": "this hospital takes part in it",
    "paused": "this hospital paused it",
    "left": "this hospital left it, which is final; a new version of the study can be signed",
}

LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Answers of one kind that this hospital gave, and that nobody can take back.

    Attributes:
        left: `sum`, `figures`, `corpus` or `statement`.
        words: What becomes of them when the hospital leaves.
        computations: By their words in questions, with their counts.
        first, last: When they left.
    """

    left: str
    words: str
    count: int
    computations: dict[str, int]
    first: str
    last: str


STAYS = {
    "sum": "a sum that the hub has opened keeps this hospital's part; nobody can tell the part from the sum, and nobody"
    " can take it out. A masked answer to a sum that is not open yet opens without a further word of this hospital, if"
    " all others have answered and the study plans for no drop-outs",
    "figures": "rounded figures of this hospital alone are with the hub and stay there",
    "corpus": "this hospital's synthetic table and its certificate are released; the certificate can be revoked, copies"
    " that others hold cannot be called back",
    "statement": "statements (bands of persons, checks, keys, digests) are with the hub and stay there",
}


def sign(house: House, proposed: Proposed, *, code: str, at: str) -> Decision:
    """Sign a study on behalf of the person who typed its code.

    Raises:
        Refused: the code is another one, or something about the proposal does not hold; everything is named.
        Invalid: it was signed before, or left.
    """
    typed = re.sub(r"[\s-]", "", code).lower()
    if typed != proposed.proposal.code.replace("-", ""):
        raise Refused(
            f"the code typed is not the code of this proposal of {proposed.name}. Ask another hospital of the study by"
            " phone which code it holds. If theirs is not the one shown here, the hub told you different things: do not"
            " sign"
        )
    against = objections(house, proposed)
    if against:
        raise Refused(f"{proposed.name} cannot be signed here: " + "; ".join(against))
    _check_after(proposed, "signed")
    KnownKeys(house.premises.ward).pin(proposed.proposal, at=at)
    return decide(house, proposed, "signed", reason="", at=at)


def decide(house: House, proposed: Proposed, outcome: Outcome, *, reason: str, at: str) -> Decision:
    """Keep a decision, send it, and note it in the book.

    Raises:
        Invalid: it cannot follow the last one, or a refusal or a leave has no reason.
    """
    said = clean(reason.strip(), most=LONGEST_REASON)
    if outcome in ("refused", "left") and not said:
        raise Invalid("say why: the hub and the other hospitals are told the reason")
    register, study_sha256 = Register(house.premises), proposed.proposal.study_sha256
    with register.decisions(study_sha256).held() as add:
        found = register.find(study_sha256)
        if found is None or found.sha256 != proposed.sha256:
            raise Invalid(f"the hub proposed {proposed.name} anew in this moment; look at it again")
        _check_after(found, outcome)
        decision = Decision(
            proposal_sha256=found.sha256,
            study_sha256=study_sha256,
            site=house.site,
            outcome=outcome,
            reason=said,
            number=len(found.decisions) + 1,
            code=found.proposal.code,
            at=at,
        )
        add({"decision": decision.plain()})
    because = f": {said}" if said else ""
    VisitorsBook(house.premises.ward).note(
        Entry(
            at=at,
            event="decision",
            study=study_sha256,
            subject=decision.fingerprint(),
            words=f"A person of this hospital: study {found.name} {outcome}{because}",
        )
    )
    send(house, study_sha256)
    return decision


def _check_after(proposed: Proposed, outcome: Outcome) -> None:
    if outcome not in AFTER[proposed.outcome]:
        raise Invalid(f"{proposed.name} cannot be {outcome} now: {SAID[proposed.outcome]}")


def send(house: House, study_sha256: str) -> None:
    """Put every decision on a study that is not surely on its way into the spool; the same twice is one.

    Raises:
        OSError: the spool takes nothing now; the decision stands, and is sent when the porter looks again.
    """
    register = Register(house.premises)
    found = register.find(study_sha256)
    for decision in () if found is None else found.unsent:
        resend(house, decision)
        register.decisions(study_sha256).append({"sent": decision.number})


def resend(house: House, decision: Decision) -> None:
    """Put one decision into the spool."""
    FolderSpool(house.premises.spool).put("answers", Parcel(seal_mail(decision, house.signer)))


def given(house: House, proposed: Proposed) -> tuple[Given, ...]:
    """Return what left this hospital in a study and stays out, whatever it decides now."""
    entries = VisitorsBook(house.premises.ward).entries(study=proposed.proposal.study_sha256)
    answers = [entry for entry in entries if entry.event == "answer" and entry.left in STAYS]
    found = []
    for left, group in groupby(sorted(answers, key=lambda entry: entry.left), key=lambda entry: entry.left):
        rows = list(group)
        counts: dict[str, int] = {}
        for row in rows:
            counts[row.computation] = counts.get(row.computation, 0) + 1
        times = sorted(row.at for row in rows)
        found.append(
            Given(
                left=left,
                words=STAYS[left],
                count=len(rows),
                computations=counts,
                first=times[0],
                last=times[-1],
            )
        )
    return tuple(found)

"""A certificate by itself, checked offline: every check gives one line, and none is skipped in silence."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wardgate import __version__
from wardgate.hub.intake.evidence import check_noise_source
from wardgate.policy.decision import decide, policy_digest
from wardgate.policy.limits import weaker_than
from wardgate.records.approval import Approval, check_approval, check_both, check_waivers
from wardgate.records.canonical import sha256
from wardgate.records.certificate import (
    MONTHS,
    Certificate,
    Opened,
    approvable,
    claim_for,
    months_after,
    verdict_leaf,
)
from wardgate.records.certificate_file import open_certificate
from wardgate.records.errors import Broken, Refused, WardgateError
from wardgate.records.finding import Check
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.keyring import Keyring
from wardgate.records.log import check_inclusion
from wardgate.records.revocation import open_revocation
from wardgate.records.verdict import Verdict

PASSED = ("pass", "pass_with_exceptions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a reader holds beside a certificate. What is missing is said to be unchecked.

    Attributes:
        keys: Whom the reader trusts, known from elsewhere.
        on: The day for which it is asked, as an ISO date.
        files: Name of a subject to its bytes.
        floor: The least that the reader's consortium asks.
        approvals: Given beside the certificate; those inside it count as well.
        revocations: Signed revocations, one envelope each; None where the reader has no list.
        accept_simulated: Approvals and keys that stand for nobody are enough; for the demo.
    """

    keys: Keyring
    on: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    floor: GatePolicy | None = None
    approvals: Sequence[Approval] = ()
    revocations: Sequence[bytes] | None = None
    accept_simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """All lines of a check, and the certificate, where it could be read."""

    opened: Opened | None
    checks: tuple[Check, ...]

    def raise_if_not_held(self) -> None:
        """Stop where the certificate may not be relied on.

        Raises:
            Broken: something does not hold. Named first, whatever else is wrong.
            Refused: everything holds, and it still may not be used: not passed, not approved, weaker than the floor,
                expired, revoked, or simulated.
        """
        for state, kind in (("broken", Broken), ("refused", Refused)):
            found = [check for check in self.checks if check.state == state]
            if found:
                more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
                raise kind(f"{found[0].what}: {found[0].words}{more}")


def examine(envelope: bytes, material: Material) -> Examined:
    """Check a certificate: signature, decision, policy, files, approvals, log, validity and revocation.

    Pure: equal arguments give equal lines. Where the signature does not hold, nothing else is looked at.
    """
    try:
        opened = open_certificate(envelope, keys=material.keys.issuers)
    except Broken as error:
        return Examined(opened=None, checks=(Check(what="signature", state="broken", words=str(error)),))
    said = opened.certificate
    steps: tuple[tuple[str, Callable[[Opened, Material], str]], ...] = (
        ("signature", _signer),
        ("evidence", _evidence),
        ("statements", _statements),
        ("policy decided again", _decision),
        ("verdict", _verdict),
        ("floor", _floor),
        ("exceptions", _exceptions),
        ("approvals", _approvals),
        ("log", _log),
        ("validity", _validity),
        ("revocation", _revocation),
    )
    lines = [_line(what, step, opened, material) for what, step in steps]
    return Examined(opened=opened, checks=(*lines[:6], *_files(opened, material), *lines[6:], *_notes(said)))


class _Unchecked(Exception):
    """Something for a check was not handed in."""


def _line(what: str, step: Callable[[Opened, Material], str], opened: Opened, material: Material) -> Check:
    try:
        return Check(what=what, state="holds", words=step(opened, material))
    except _Unchecked as reason:
        return Check(what=what, state="not checked", words=str(reason))
    except Refused as error:
        return Check(what=what, state="refused", words=str(error))
    except WardgateError as error:
        return Check(what=what, state="broken", words=str(error))


def _signer(opened: Opened, material: Material) -> str:
    site = opened.certificate.site.id
    held = [key for key in material.keys.find(opened.key_id) if key.role in ("site", "hub")]
    if all(key.name != site for key in held):
        raise Broken(f"signed with the key of '{held[0].name}', but it names '{site}' as its issuer")
    if all(key.simulated for key in held) and not material.accept_simulated:
        raise Refused(f"the key of '{site}' is a SIMULATED one; it binds nobody outside the demo")
    return f"by '{site}', key {opened.key_id[:16]}"


def _evidence(opened: Opened, _: Material) -> str:
    said = opened.certificate
    if said.verdict.evidence_sha256 != said.evidence.fingerprint():
        raise Broken("the evidence is not the one that was judged; it was altered after the verdict")
    check_noise_source(said.evidence)
    return f"{len(said.evidence.measured)} measures and {len(said.evidence.absent)} reasons for missing ones"


def _statements(opened: Opened, _: Material) -> str:
    """Hold what is stated beside evidence and policy against them: it may say no more than they do."""
    said, rules = opened.certificate, opened.certificate.policy.rules
    pairs: list[tuple[str, object, object]] = [
        ("noise", said.dp.claim.plain(), said.evidence.claim.plain()),
        ("attempt", said.attempts.number, said.evidence.attempt),
        ("band of persons", said.source.persons_band, said.evidence.persons_train),
    ]
    if said.dp.study is not None and said.dp.population is None:
        pairs.append(("epsilon of the study", said.dp.study.epsilon, said.evidence.cumulative_epsilon))
    if rules is not None:
        pairs += [("profile", said.policy.profile, rules.profile), ("attempts", said.attempts.of, rules.max_attempts)]
    if opened.version == 2 and said.tool.version == __version__:
        pairs.append(("claim", said.claim, claim_for(said.verdict)))
    other = [what for what, found, wanted in pairs if found != wanted]
    if other:
        raise Broken(f"{', '.join(other)}: stated otherwise than evidence, policy and verdict have it")
    if rules is not None and said.issued_on is not None and said.valid_until is not None:
        last = months_after(said.issued_on, rules.certificate_months or MONTHS)
        if said.valid_until > last:
            raise Broken(f"valid until {said.valid_until}, but the policy lets a certificate hold until {last}")
    return "noise, attempt, persons, profile, validity and claim are those of evidence, policy and verdict"


def _decision(opened: Opened, _: Material) -> str:
    said = opened.certificate
    rules = said.policy.rules
    if rules is None:
        raise _Unchecked(f"the certificate does not hold its policy ({said.reasons['policy.rules']})")
    if not policy_digest(rules) == said.policy.sha256 == said.verdict.policy_sha256:
        raise Broken("the policy inside is not the one that judged")
    verdict = decide(said.evidence, rules, waived=tuple(waiver.rule for waiver in said.exceptions))
    if said.tool.version == __version__:
        if verdict.plain() != said.verdict.plain():
            raise Broken(f"gives {verdict.outcome} with its rulings; the certificate states another verdict")
        return f"gives {verdict.outcome} by {len(verdict.rulings)} rulings, as stated"
    _same_outcomes(said.verdict, verdict)
    return f"gives {verdict.outcome}, as stated; written by version {said.tool.version}, decided by {__version__}"


def _same_outcomes(stated: Verdict, again: Verdict) -> None:
    """Hold two versions' rulings against each other: words may differ, outcomes of the rules that both know may not."""
    known = {ruling.rule: ruling.outcome for ruling in again.rulings}
    other = [ruling.rule for ruling in stated.rulings if known.get(ruling.rule, ruling.outcome) != ruling.outcome]
    if other or (stated.outcome != again.outcome and set(known) <= {ruling.rule for ruling in stated.rulings}):
        raise Broken(
            f"gives {again.outcome}; the certificate states {stated.outcome} ({', '.join(other) or 'overall'})"
        )


def _verdict(opened: Opened, _: Material) -> str:
    outcome = opened.certificate.verdict.outcome
    if outcome not in PASSED:
        raise Refused(f"{outcome}; only what passed may be used")
    return outcome


def _floor(opened: Opened, material: Material) -> str:
    rules = opened.certificate.policy.rules
    if material.floor is None:
        raise _Unchecked("no floor was handed in (--floor)")
    if rules is None:
        raise _Unchecked("the certificate does not hold its policy")
    weaker = weaker_than(rules, material.floor)
    if weaker:
        more = f"; and {len(weaker) - 3} more" if len(weaker) > 3 else ""
        raise Refused(f"the policy is weaker than the floor: {'; '.join(weaker[:3])}{more}")
    return f"the policy is as strict as the floor {policy_digest(material.floor)[:16]}, or stricter"


def _files(opened: Opened, material: Material) -> Iterator[Check]:
    subjects = dict(opened.subjects)
    for name, data in sorted(material.files.items()):
        what = f"file {name}"
        if name not in subjects:
            words = f"the certificate does not speak of it, but of {', '.join(sorted(subjects))}"
            yield Check(what=what, state="broken", words=words)
        elif sha256(data) != subjects[name]:
            words = f"is another file than the certificate is for (SHA-256 {sha256(data)[:16]}, expected"
            yield Check(what=what, state="broken", words=f"{words} {subjects[name][:16]})")
        else:
            yield Check(what=what, state="holds", words=f"SHA-256 {subjects[name][:16]}")
    for name in sorted(subjects.keys() - material.files.keys()):
        yield Check(what=f"file {name}", state="not checked", words="the file was not handed in")


def _exceptions(opened: Opened, material: Material) -> str:
    said = opened.certificate
    waived = {ruling.rule for ruling in said.verdict.rulings if ruling.outcome == "waived"}
    signed = check_waivers(
        said.exceptions,
        evidence_sha256=said.evidence.fingerprint(),
        keys=material.keys.approvers,
        accept_simulated=material.accept_simulated,
    )
    if waived - signed:
        raise Broken(f"'{min(waived - signed)}' is waived without two signatures")
    return f"{len(signed)} waived by two persons" if signed else "none"


def _approvals(opened: Opened, material: Material) -> str:
    said = opened.certificate
    digest, given = approvable(said, opened.subjects), _once((*said.approvals, *material.approvals))
    if opened.version == 1:
        if not material.accept_simulated:
            raise Refused(f"{said.reasons['approvals']}; outside the demo two persons have to approve")
        raise _Unchecked(said.reasons["approvals"])
    if given and all(approval.simulated for approval in given) and material.accept_simulated:
        issuer = tuple(key.raw for key in material.keys.find(opened.key_id))
        for approval in given:
            keys = (*issuer, *material.keys.approvers.get(approval.role, ()))
            check_approval(approval, statement_sha256=digest, keys=keys, accept_simulated=True)
        return "SIMULATED: they show that nothing was altered since, and bind nobody"
    simulated = next((approval for approval in given if approval.simulated), None)
    if simulated is not None:
        raise Refused(f"the approval of the {_who(simulated)} is SIMULATED; outside the demo a person has to approve")
    check_both(given, statement_sha256=digest, keys=material.keys.approvers)
    return " and ".join(f"{_who(one)} on {one.at} (key {one.key_id[:16]})" for one in given)


def _once(approvals: Iterable[Approval]) -> tuple[Approval, ...]:
    return tuple(dict.fromkeys(approvals))


def _who(approval: Approval) -> str:
    return approval.role.replace("_", " ")


def _log(opened: Opened, _: Material) -> str:
    said = opened.certificate
    if said.log is None:
        raise _Unchecked(said.reasons["log"])
    check_inclusion(
        leaf=verdict_leaf(said.evidence, said.verdict),
        index=said.log.index,
        size=said.log.size,
        proof=tuple(bytes.fromhex(part) for part in said.log.proof),
        head=bytes.fromhex(said.log.root),
    )
    return f"leaf {said.log.index} of {said.log.size} in {said.log.origin}"


def _validity(opened: Opened, material: Material) -> str:
    said = opened.certificate
    if said.issued_on is None or said.valid_until is None:
        raise Refused("it states no day until which it holds")
    if material.on < said.issued_on:
        raise Refused(f"it was issued on {said.issued_on}, after {material.on}")
    if material.on > said.valid_until:
        raise Refused(f"it expired on {said.valid_until}; asked for {material.on}")
    return f"from {said.issued_on} to {said.valid_until}"


def _revocation(opened: Opened, material: Material) -> str:
    if material.revocations is None:
        raise _Unchecked("no list of revocations was handed in (--revocations)")
    for number, envelope in enumerate(material.revocations, start=1):
        try:
            revocation, key_id = open_revocation(envelope, keys=material.keys.issuers)
        except Broken as error:
            raise Broken(f"line {number} of the list: {error}") from error
        if revocation.certificate_sha256 == opened.sha256:
            if key_id != opened.key_id:
                raise Broken(f"line {number} of the list revokes it with another key than issued it")
            if revocation.at <= material.on:
                raise Refused(f"revoked on {revocation.at}: {revocation.reason}")
    return f"not among the {len(material.revocations)} of the list"


def _notes(said: Certificate) -> Iterator[Check]:
    if said.exact_sums_also_released:
        words = "exact sums over the same patients were released as well, or may be; no epsilon covers those"
        yield Check(what="beside it", state="not checked", words=words)

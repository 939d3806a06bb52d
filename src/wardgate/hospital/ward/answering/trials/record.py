"""What all trials share: the floor, the count of attempts, the verdict, and the gate's book written first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wardgate.entropy import Entropy
from wardgate.hospital.ward.gate.attempts import AttemptBook, file_digest
from wardgate.hospital.ward.gate.certificate import table_certificate
from wardgate.hospital.ward.gate.ledger import POPULATION
from wardgate.hospital.ward.gate.population import PopulationBook
from wardgate.policy import decide, weaker_than
from wardgate.policy.remedies import Remedy, remedies
from wardgate.privacy.budget import Release, Spending
from wardgate.records.approval import Waiver, check_waivers
from wardgate.records.canonical import canonical, sha256
from wardgate.records.certificate_parts import Restrictions, Spent
from wardgate.records.claim import Claim
from wardgate.records.errors import Refused, WardgateError
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.keyring import KeyFile, Keyring
from wardgate.records.measured import Measured
from wardgate.records.restriction import Restriction
from wardgate.records.verdict import Absent, Evidence, Kind, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """By what a candidate is judged, whatever it is.

    Attributes:
        kind: What it is.
        entropy: For names of runs in the population's book.
        policy, floor: The hospital's policy, and the consortium's floor that it may only tighten.
        claim: What protects people by design.
        memory: The hospital's private folder over studies. With it, what leaves is spent from the population's book;
            without it, the claim's own epsilon is all that the evidence tells.
        population: Whose book, where the hospital keeps several.
        waivers: Rulings that two persons waived for this very evidence.
        keys: Who may waive; without it nobody may.
        issuer: The site's key, to sign a certificate after a pass.
        record: Folder of the gate's book.
        on: Today, as an ISO date.
    """

    kind: Kind
    policy: GatePolicy
    floor: GatePolicy | None
    claim: Claim
    memory: Path | None = None
    population: str | None = None
    waivers: tuple[Waiver, ...] = ()
    keys: Keyring | None = None
    issuer: KeyFile | None = None
    entropy: Entropy
    record: Path
    on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one trial measured.

    Attributes:
        persons_train: Training persons, in a band.
        name: Of the file that leaves, as its certificate names it.
        subgroups: Columns whose subgroups were judged apart.
        exact_sums: Whether true values over these persons leave; None where nobody here knows of others.
        released: Makes the bytes that may leave; called only after a pass.
    """

    persons_train: str
    measured: tuple[Measured, ...]
    absent: tuple[Absent, ...]
    name: str
    subgroups: tuple[str, ...] = ()
    exact_sums: bool | None = None
    released: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the gate said, and what may leave.

    Attributes:
        restrictions: What was held back.
        released: The candidate as it was judged; only after a pass.
        certificate: The signed verdict on it, where a key was given; nobody has approved it yet.
    """

    evidence: Evidence
    verdict: Verdict
    remedies: tuple[Remedy, ...]
    restrictions: tuple[Restriction, ...]
    released: bytes | None
    certificate: bytes | None


def judge(
    asked: Asked,
    *,
    real: Sequence[Path],
    candidate: Path,
    restrictions: tuple[Restriction, ...] = (),
    what: Sequence[object] = (),
    measure: Callable[[int, int], Found],
) -> Judged:
    """Measure and judge a candidate; whatever comes of it is written in the gate's book before it is told.

    Args:
        real: The files that make candidates belong together: their attempts are counted as one.
        what: What else tells one candidate of the same file from another, e.g. the columns of a table.
        measure: From the attempt and a seed to what was found. The seed follows from the files, so that asking again
            gives the same answer.

    Raises:
        Refused: the policy is weaker than its floor, or the attempts are used up.
        Broken: the gate's book was changed.
        WardgateError: whatever `measure` raises; it is on record then.
    """
    book = AttemptBook.open(asked.record)
    protocol = sha256(canonical([file_digest(path) for path in real]))
    shown = sha256(canonical([file_digest(candidate), [one.plain() for one in restrictions], list(what)]))
    attempt = 1 if what else book.attempt_of(protocol, shown)  # tables of the same rows are rationed by their memory

    def note(outcome: str, reason: str, evidence: Evidence | None = None) -> None:
        book.note(
            on=asked.on,
            protocol=protocol,
            candidate=shown,
            attempt=attempt,
            outcome=outcome,
            reason=reason,
            evidence_sha256=None if evidence is None else evidence.fingerprint(),
        )

    with _refusals(note):
        _allowed(asked, attempt)
        spending = _spending(asked)
        purse = _book(asked)
        before = any(entry.candidate == shown and entry.outcome.startswith("pass") for entry in book.entries)
        found = measure(attempt, int(sha256(canonical([protocol, shown]))[:16], 16))
        evidence = Evidence(
            kind=asked.kind,
            persons_train=found.persons_train,
            attempt=attempt,
            claim=asked.claim,
            cumulative_epsilon=_cumulative(asked, purse, None if before else spending),
            measured=found.measured,
            absent=found.absent,
        )
        verdict = decide(evidence, asked.policy, waived=_waived(asked, evidence))
        passed = verdict.outcome in ("pass", "pass_with_exceptions")
        if passed and purse is not None and spending is not None and not before:
            purse.commit(spending)
        released = found.released() if passed else None
        certificate = None
        if released is not None and asked.issuer is not None:
            earlier = book.verdicts_before(protocol, attempt)
            spent = None if purse is None else purse.spent()
            certificate = _certificate(asked, found, evidence, verdict, released, restrictions, earlier, spent)
    against = [ruling.rule for ruling in verdict.rulings if ruling.outcome in ("fail", "not_evaluable")]
    note(verdict.outcome, ", ".join(against), evidence)
    return Judged(
        evidence=evidence,
        verdict=verdict,
        remedies=remedies(evidence, verdict, asked.policy),
        restrictions=restrictions,
        released=released,
        certificate=certificate,
    )


def _spending(asked: Asked) -> Spending | None:
    """Return what the release costs its population, or nothing where it has neither noise nor true values."""
    claim = asked.claim
    exact = 1 if claim.kind == "exact" else 0
    if not exact and not claim.random:
        return None
    return Spending(
        population=POPULATION,
        split="all",
        what="judged by itself",
        kind=KINDS[asked.kind],
        gaussian=claim.gaussian,
        exponential=claim.exponential,
        sampled=claim.sampled_,
        exact=exact,
    )


def _book(asked: Asked) -> PopulationBook | None:
    if asked.memory is None:
        return None
    asked.memory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return PopulationBook(
        asked.memory,
        population=asked.population,
        study_sha256=None,
        limits=asked.policy.population,
        on=asked.on,
        entropy=asked.entropy,
    )


def _cumulative(asked: Asked, purse: PopulationBook | None, spending: Spending | None) -> float:
    own = asked.claim.epsilon or 0.0
    if purse is None or asked.claim.delta is None:
        return own
    return max(own, purse.cumulative(delta=asked.claim.delta, split="train", extra=spending))


KINDS: Mapping[Kind, Release] = {"corpus": "corpus", "images": "corpus", "model": "model", "aggregate": "aggregate"}


def _waived(asked: Asked, evidence: Evidence) -> frozenset[str]:
    if not asked.waivers:
        return frozenset()
    if asked.keys is None:
        raise Refused("a waiver counts only under keys that the hospital trusts; name them with --keys")
    return check_waivers(asked.waivers, evidence_sha256=evidence.fingerprint(), keys=asked.keys.approvers)


def _certificate(
    asked: Asked,
    found: Found,
    evidence: Evidence,
    verdict: Verdict,
    released: bytes,
    restrictions: tuple[Restriction, ...],
    earlier: Sequence[str],
    spent: tuple[float, float] | None,
) -> bytes | None:
    if asked.issuer is None:
        return None
    dropped = tuple(one.words for one in restrictions if one.way == "drop")
    coarsened = tuple(one.words for one in restrictions if one.way == "coarsen")
    left_out = tuple(one.words for one in restrictions if one.way == "without")
    return table_certificate(
        site=asked.issuer.name,
        evidence=evidence,
        verdict=verdict,
        policy=asked.policy,
        floor=asked.floor,
        subjects=((found.name, sha256(released)),),
        issued_on=asked.on,
        signer=asked.issuer.signer,
        previous=earlier,
        exceptions=asked.waivers,
        restrictions=Restrictions(columns_dropped=dropped, columns_coarsened=coarsened, subgroups_left_out=left_out),
        subgroups=found.subgroups,
        exact_sums=found.exact_sums,
        population=None if spent is None else Spent(epsilon=spent[0], of=spent[1]),
    )


@contextmanager
def _refusals(note: Callable[[str, str], None]) -> Iterator[None]:
    try:
        yield
    except WardgateError as error:
        note("refused", str(error))
        raise


def _allowed(asked: Asked, attempt: int) -> None:
    if asked.floor is not None:
        weaker = weaker_than(asked.policy, asked.floor)
        if weaker:
            raise Refused(f"the policy is weaker than its floor; a site may only tighten it: {'; '.join(weaker)}")
    if attempt > asked.policy.max_attempts:
        raise Refused(
            f"this is attempt {attempt} of {asked.policy.max_attempts} with these real tables; trying until something"
            " passes would itself be a leak. A new protocol version with new splits starts anew"
        )

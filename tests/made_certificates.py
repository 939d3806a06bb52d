"""Certificates for tests: evidence made up by hand, judged by the real rules, signed by keys of a repeatable stream."""

from dataclasses import dataclass, field

from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.gate.certificate import table_certificate
from wardgate.policy.decision import decide
from wardgate.records.approval import Approval, Waiver, approve
from wardgate.records.certificate import Opened, approvable
from wardgate.records.certificate_file import open_certificate
from wardgate.records.claim import Claim
from wardgate.records.envelope import Signer
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.keyring import Enrolled, Keyring
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence, Verdict

CORPUS = b"SYNTHETIC - NOT REAL PATIENTS\nage,label\n71,0\n"
SUBJECTS = (("corpus.csv", "00" * 32),)
ISSUED = "2026-11-21"

VALUES: dict[str, tuple[float, float, float, tuple[int, ...]]] = {
    "membership.battery": (0.34, 0.34, 0.34, (2050, 2050)),
    "membership.auc": (0.512, 0.498, 0.527, (2050, 2050)),
    "membership.tpr_at_1_percent": (0.011, 0.006, 0.019, (2050, 2050)),
    "membership.tpr_at_0_1_percent": (0.001, 0.0, 0.004, (2050, 2050)),
    "membership.rehearsal": (1.0, 0.94, 1.0, (50,)),
    "copies.near": (0.61, 0.61, 0.61, (2050, 2050)),
    "copies.exact": (1.0, 1.0, 1.0, (6100, 2050)),
    "copies.reused_values": (0.22, 0.22, 0.22, (6100, 2050)),
    "copies.rare_combinations": (0.048, 0.048, 0.048, (6100, 2050)),
    "realism.marginal_error": (0.041, 0.035, 0.049, (6100, 2050)),
    "realism.pairwise_error": (0.092, 0.081, 0.104, (6100, 2050)),
    "realism.clinical_rules": (0.9991, 0.998, 0.9996, (6100,)),
    "realism.tstr_loss": (0.012, -0.011, 0.035, (6100, 2050)),
}


def measured(name: str, **changes: object) -> Measured:
    """A measure as a good corpus has it."""
    value, low, high, n = VALUES.get(name, (0.5, 0.5, 0.5, (2000, 2000)))
    plain = {"name": name, "value": value, "low": low, "high": high, "level": 0.9, "n": n, "note": "Persons, not rows."}
    return Measured.model_validate({**plain, **changes})


def signer(who: str) -> Signer:
    """The key of somebody; the same at every call."""
    return Signer(UnsafeEntropy(f"certificates/{who}").bytes(32))


def policy(**changes: object) -> GatePolicy:
    """A policy of before the later sections, so that no rule asks for more than the made-up evidence holds."""
    later = dict.fromkeys(
        ("disclosure", "refreshes", "canaries", "timelines", "models", "aggregates", "images", "population")
    )
    sections = {
        "realism": {
            "marginal_error_max": "0.15",
            "pairwise_error_max": "0.25",
            "clinical_rules_min": "0.99",
            "tstr_loss_max": "0.08",
        },
        "proximity": {
            "exact_match_level": "0.01",
            "near_copy_level": "0.01",
            "reused_values_level": "0.01",
            "rare_combinations_level": "0.01",
        },
    }
    plain = GatePolicy.model_validate({**later, "certificate_months": 12}).plain()
    plain["membership"] = {key: value for key, value in plain["membership"].items() if key != "shadows"}
    return GatePolicy.from_plain({**plain, **sections, **changes})


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A certificate and everything that goes with it."""

    envelope: bytes
    opened: Opened
    keys: Keyring
    policy: GatePolicy
    evidence: Evidence
    verdict: Verdict
    corpus: bytes = CORPUS
    approvals: tuple[Approval, ...] = field(default=())


def evidence(
    *,
    claim: Claim | None = None,
    cumulative: float = 0.0,
    attempt: int = 1,
    replace: dict[str, Measured] | None = None,
    missing: dict[str, str] | None = None,
) -> Evidence:
    """Evidence of a good corpus, with some measures replaced or missing."""
    names = [name for name in VALUES if name not in (missing or {})]
    return Evidence(
        kind="corpus",
        persons_train="5000-9999",
        attempt=attempt,
        claim=claim or Claim(kind="none"),
        cumulative_epsilon=cumulative,
        measured=tuple((replace or {}).get(name, measured(name)) for name in names),
        absent=tuple(Absent(name=name, reason=reason) for name, reason in (missing or {}).items()),
    )


def made(
    found: Evidence | None = None,
    *,
    rules: GatePolicy | None = None,
    floor: GatePolicy | None = None,
    exceptions: tuple[Waiver, ...] = (),
    approved: bool = True,
    issuer: str = "lakeside",
    **more: object,
) -> Made:
    """A certificate of the site, approved by two persons."""
    found, rules = found or evidence(), rules or policy()
    verdict = decide(found, rules, waived=tuple(one.rule for one in exceptions))
    from wardgate.records.canonical import sha256

    subjects = (("corpus.csv", sha256(CORPUS)), ("croissant.json", "ab" * 32))
    envelope = table_certificate(
        site="lakeside",
        evidence=found,
        verdict=verdict,
        policy=rules,
        floor=rules if floor is None else floor,
        subjects=subjects,
        issued_on=ISSUED,
        signer=signer(issuer),
        exceptions=exceptions,
        **more,
    )
    opened = open_certificate(envelope, keys=(signer(issuer).public_key,))
    digest = approvable(opened.certificate, opened.subjects)
    approvals = tuple(
        approve(digest, role=role, at=ISSUED, signer=signer(role)) for role in ("privacy_officer", "second_person")
    )
    return Made(
        envelope=envelope,
        opened=opened,
        keys=keyring(),
        policy=rules,
        evidence=found,
        verdict=verdict,
        approvals=approvals if approved else (),
    )


def keyring() -> Keyring:
    """Whom a reader trusts."""
    people = {"lakeside": "site", "privacy_officer": "privacy_officer", "second_person": "second_person"}
    return Keyring(
        keys=tuple(
            Enrolled(name=name.replace("_", "-"), role=role, public_key=signer(name).public_key.hex())
            for name, role in people.items()
        )
    )


def waiver(
    rule: str,
    found: Evidence,
    *,
    reason: str = "The unit has no such patients, so nobody is at risk here.",
    roles: tuple[str, ...] = ("privacy_officer", "second_person"),
) -> Waiver:
    """A waiver that both signed."""
    start = Waiver(rule=rule, reason=reason, evidence_sha256=found.fingerprint())
    for role in roles:
        start = start.signed(role=role, at=ISSUED, signer=signer(role))
    return start

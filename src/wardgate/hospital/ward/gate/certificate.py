"""The signed statement that a release was judged: what was measured, against which limits, and what remains."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import wardgate
from wardgate.hospital.ward.gate.candidate import CorpusTry
from wardgate.policy.decision import policy_digest
from wardgate.policy.limits import tighter_than
from wardgate.records.approval import ROLES, Waiver, approve
from wardgate.records.canonical import canonical, sha256
from wardgate.records.certificate import (
    MONTHS,
    RESIDUAL_RISKS,
    Certificate,
    approvable,
    claim_for,
    months_after,
    stated,
)
from wardgate.records.certificate_file import seal_certificate
from wardgate.records.certificate_parts import (
    Attempts,
    GeneratorNamed,
    LogInclusion,
    Noise,
    PolicyNamed,
    Restrictions,
    SiteNamed,
    Source,
    Spent,
    Splits,
    StudyNamed,
    Subgroups,
    Tool,
)
from wardgate.records.envelope import Signer
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence, Verdict

NOTHING = Restrictions()

REASONS: Mapping[str, str] = {
    "clinicianReview": "no clinician reviewed the corpus",
    "dp.population": "the ledger at hand counts one study; what the population spent in all was not handed in",
    "generator.configSha256": "the generator's settings were not handed to the gate",
    "generator.seedCommitment": "randomness came from the operating system, so there is no seed to commit to",
    "log": "the verdict enters the issuer's log after this certificate was signed; the proof lies beside it",
    "revocation": "the issuer names no place where it tells of revocations; ask it",
    "site.populationId": "the issuer gave its population no name",
    "source.dataQuality": "the report on data quality stays in the hospital",
    "source.period": "the calendar period of the patients was not handed in",
    "splits.committedAt": "the commitment was given with the site's answers, in the order of its log",
    "splits.logIndex": "the commitment was given with the site's answers, in the order of its log",
    "subgroups": "no subgroups were declared, or none could be attacked apart",
    "subgroups.suppressed": "how many subgroups are too small could itself disclose, so it is not counted here",
    "terms": "no terms of use were handed in; the issuer's own agreements hold",
    "tool.sbomSha256": "no bill of materials was handed in",
}
"""Why a field may be empty. What is not listed here has to be filled."""

ALONE: Mapping[str, str] = {
    **REASONS,
    "study": "a check that stands by itself; no study was locked",
    "splits": "the tables were handed in by the caller; no split was committed to before a generator was fitted",
    "dp.study": "a check that stands by itself; there is no study's budget",
    "generator.version": "the corpus was handed in as a table; its generator's version is not known here",
    "generator.codeSha256": "the corpus was handed in as a table; its generator's code was not seen",
    "generator.seedCommitment": "the corpus was handed in as a table; its generator's seed is not known here",
    "generator.weightsLeaveSite": "the corpus was handed in as a table; what became of its generator is not known here",
    "exactSumsAlsoReleased": "what else was released over the same patients is not known to a check by itself",
    "policy.floorSha256": "no floor of a consortium was handed in",
    "policy.stricterThanFloor": "no floor of a consortium was handed in",
}


def corpus_certificate(
    *,
    site: str,
    study: Study,
    study_sha256: str,
    candidate: CorpusTry,
    evidence: Evidence,
    verdict: Verdict,
    corpus_sha256: str,
    commitments: dict[str, str],
    issued_on: str,
    signer: Signer,
    exceptions: Sequence[Waiver] = (),
    restrictions: Restrictions = NOTHING,
    study_epsilon: float | None = None,
    population: Spent | None = None,
    population_id: str | None = None,
) -> bytes:
    """Return the signed certificate of one candidate corpus, passed or not. It holds no row and no distance.

    Its approvals are simulated ones by the site's own key, and only a corpus that passed has any: a run on one machine
    has no officer.

    Args:
        study_epsilon: What the study alone spent, where the evidence tells of the population; else the evidence's.
        population: What the population spent over all studies, and may spend.
        population_id: An opaque name of the population, that joins certificates over the same people.
    """
    battery = any(one.name == "membership.battery" for one in evidence.measured)
    groups = tuple(dict.fromkeys(one.feature for one in study.subgroups)) if battery else ()
    fields = _judged(evidence, verdict, policy=study.gate, floor=study.gate, issued_on=issued_on) | {
        "study": StudyNamed(id=study.id, version=str(study.version), protocol_sha256=study_sha256, signed_by=(site,)),
        "site": SiteNamed(id=site, key_id=signer.key_id, population_id=population_id),
        "splits": Splits(commitments=commitments),
        "generator": GeneratorNamed(
            name=candidate.generator,
            version=wardgate.__version__,
            code_sha256=code_sha256(),
            config_sha256=sha256(canonical(study.generator.plain())),
            weights_leave_site=False,
        ),
        "dp": Noise(
            claim=evidence.claim,
            study=Spent(
                epsilon=evidence.cumulative_epsilon if study_epsilon is None else study_epsilon,
                of=study.budget.epsilon_total,
            ),
            population=population,
        ),
        "attempts": Attempts(
            number=candidate.attempt,
            of=study.gate.max_attempts,
            previous=tuple(in_words(earlier) for _, earlier in candidate.earlier),
        ),
        "subgroups": Subgroups(reported=groups) if groups else None,
        "restrictions": restrictions,
        "exceptions": tuple(exceptions),
        "exact_sums_also_released": study.gate.dp.exact_sums == "allow",
    }
    subjects = (("corpus.parquet", corpus_sha256),)
    certificate = stated(fields, reasons=REASONS)
    if verdict.outcome in ("pass", "pass_with_exceptions"):
        certificate = simulated_approvals(certificate, subjects, at=issued_on, signer=signer)
    return seal_certificate(certificate, subjects=subjects, signer=signer)


def table_certificate(
    *,
    site: str,
    evidence: Evidence,
    verdict: Verdict,
    policy: GatePolicy,
    floor: GatePolicy | None,
    subjects: Sequence[tuple[str, str]],
    issued_on: str,
    signer: Signer,
    generator: str = "a generator that was not named",
    previous: Sequence[str] = (),
    exceptions: Sequence[Waiver] = (),
    restrictions: Restrictions = NOTHING,
    subgroups: Sequence[str] = (),
    period: str | None = None,
    population: Spent | None = None,
    exact_sums: bool | None = None,
    revocation: str | None = None,
    log: LogInclusion | None = None,
) -> bytes:
    """Return the signed certificate of a check that stands by itself. Nobody has approved it yet.

    Args:
        subjects: (name, SHA-256) of the corpus and what goes with it.
        previous: Verdicts of earlier attempts, as `in_words` gives them.
        exact_sums: Whether exact sums over the same population were released as well; None where that is not known.

    Raises:
        Invalid: the signer's key cannot be named, or words of the caller claim anonymity.
    """
    fields = _judged(evidence, verdict, policy=policy, floor=floor, issued_on=issued_on) | {
        "site": SiteNamed(id=site, key_id=signer.key_id),
        "generator": GeneratorNamed(name=generator),
        "dp": Noise(claim=evidence.claim, population=population),
        "attempts": Attempts(number=evidence.attempt, of=policy.max_attempts, previous=tuple(previous)),
        "subgroups": Subgroups(reported=tuple(subgroups)) if subgroups else None,
        "restrictions": restrictions,
        "exceptions": tuple(exceptions),
        "exact_sums_also_released": exact_sums,
        "revocation": revocation,
        "log": log,
        "study": None,
        "splits": None,
    }
    fields["source"] = Source(persons_band=evidence.persons_train, period=period)
    return seal_certificate(stated(fields, reasons=ALONE), subjects=subjects, signer=signer)


def _judged(
    evidence: Evidence, verdict: Verdict, *, policy: GatePolicy, floor: GatePolicy | None, issued_on: str
) -> dict[str, Any]:
    """The fields that every certificate has alike."""
    return {
        "policy": PolicyNamed(
            profile=policy.profile,
            sha256=policy_digest(policy),
            floor_sha256=None if floor is None else policy_digest(floor),
            stricter_than_floor=None if floor is None else tighter_than(policy, floor),
            rules=policy,
        ),
        "source": Source(persons_band=evidence.persons_train),
        "evidence": evidence,
        "verdict": verdict,
        "known_gaps": known_gaps(verdict),
        "clinician_review": None,
        "residual_risks": RESIDUAL_RISKS,
        "claim": claim_for(verdict),
        "terms": None,
        "issued_on": issued_on,
        "valid_until": months_after(issued_on, policy.certificate_months or MONTHS),
        "revocation": None,
        "tool": Tool(name="wardgate", version=wardgate.__version__, code_sha256=code_sha256()),
        "log": None,
    }


def simulated_approvals(
    certificate: Certificate, subjects: Sequence[tuple[str, str]], *, at: str, signer: Signer
) -> Certificate:
    """Return the certificate with approvals that stand for nobody, by the issuer's own key; for the demo alone."""
    digest = approvable(certificate, subjects)
    approvals = tuple(approve(digest, role=role, at=at, signer=signer, simulated=True) for role in ROLES)
    return certificate.model_copy(update={"approvals": approvals})


def known_gaps(verdict: Verdict) -> tuple[str, ...]:
    """Return what the corpus is known not to be good for: rulings on use that failed or were waived."""
    return tuple(
        f"{ruling.rule}: {ruling.reason or 'outside ' + ruling.limit}"
        for ruling in verdict.rulings
        if ruling.rule.startswith(("realism.", "timelines.")) and ruling.outcome in ("fail", "waived")
    )


def in_words(verdict: Verdict) -> str:
    """Return a verdict in one line: its outcome, and the rules that did not pass."""
    against = [ruling.rule for ruling in verdict.rulings if ruling.outcome in ("fail", "not_evaluable", "waived")]
    return f"{verdict.outcome}: {', '.join(against)}" if against else verdict.outcome


@lru_cache(maxsize=1)
def code_sha256() -> str:
    """Return the digest of every line of code that is installed: of (path, SHA-256) of each file, sorted by path."""
    home = Path(wardgate.__file__).parent
    files = {path.relative_to(home).as_posix(): sha256(path.read_bytes()) for path in home.rglob("*.py")}
    return sha256(canonical(files))

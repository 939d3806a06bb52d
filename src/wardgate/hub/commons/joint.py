"""The hub's signed certificate of the joint corpus: the same statement as a site signs of its own."""

from collections.abc import Mapping

from wardgate import __version__
from wardgate.hub.layout import HUB
from wardgate.policy.decision import policy_digest
from wardgate.records.approval import ROLES, approve
from wardgate.records.canonical import canonical, sha256
from wardgate.records.certificate import MONTHS, approvable, claim_for, months_after, stated
from wardgate.records.certificate_file import seal_certificate
from wardgate.records.certificate_parts import (
    Attempts,
    GeneratorNamed,
    Noise,
    PolicyNamed,
    Restrictions,
    SiteNamed,
    Source,
    Spent,
    StudyNamed,
    Tool,
)
from wardgate.records.envelope import Signer
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence, Verdict

RESIDUAL_RISKS = (
    "attacks that nobody knows yet",
    "a person known at two hospitals: the stated epsilon holds for each hospital's record of them",
    "what many corpora of one population tell together, beyond those that were tested together",
)

REASONS: Mapping[str, str] = {
    "clinicianReview": "no clinician reviewed the corpus",
    "dp.population": "what each hospital's population spent in all is known to that hospital alone",
    "generator.codeSha256": "the hub's code was not digested; its version stands beside",
    "generator.seedCommitment": "the noise came from the hospitals, so there is no seed to commit to",
    "issuedOn": "the hub was not told the day",
    "log": "the certificate enters the hub's log after it was signed; the proof lies in the run",
    "revocation": "the hub names no place where it tells of revocations; ask it",
    "site.populationId": "the corpus stands for the populations of several hospitals",
    "source.dataQuality": "each hospital's report on its data stays with it",
    "source.period": "the calendar period of the patients was not handed in",
    "splits": "each hospital committed to its own splits, in its signed enrolment",
    "subgroups": "no attack could be run, so no subgroup was attacked apart",
    "terms": "no terms of use were handed in; the consortium's own agreements hold",
    "tool.codeSha256": "the hub's code was not digested; its version stands beside",
    "tool.sbomSha256": "no bill of materials was handed in",
    "validUntil": "the hub was not told the day",
}


def joint_certificate(
    *,
    study: Study,
    study_sha256: str,
    sites: tuple[str, ...],
    evidence: Evidence,
    verdict: Verdict,
    corpus: bytes,
    signer: Signer,
    issued_on: str | None,
) -> bytes:
    """Return the signed certificate of the joint corpus. No attack can be run on it: its noise alone protects.

    Args:
        sites: Whose summed marginals it was drawn from.
        issued_on: Today, as an ISO date; left out of the certificate where it is not told.
    """
    policy, months = study.gate, study.gate.certificate_months or MONTHS
    fields = {
        "study": StudyNamed(id=study.id, version=str(study.version), protocol_sha256=study_sha256, signed_by=sites),
        "site": SiteNamed(id=HUB, key_id=signer.key_id),
        "policy": PolicyNamed(
            profile=policy.profile,
            sha256=policy_digest(policy),
            floor_sha256=policy_digest(policy),
            stricter_than_floor=(),
            rules=policy,
        ),
        "source": Source(persons_band=evidence.persons_train, sites=sites),
        "splits": None,
        "generator": GeneratorNamed(
            name="marginal-tree over summed marginals",
            version=__version__,
            config_sha256=sha256(canonical(study.generator.plain())),
            weights_leave_site=False,
        ),
        "dp": Noise(
            claim=evidence.claim, study=Spent(epsilon=evidence.cumulative_epsilon, of=study.budget.epsilon_total)
        ),
        "attempts": Attempts(number=evidence.attempt, of=policy.max_attempts),
        "evidence": evidence,
        "verdict": verdict,
        "clinician_review": None,
        "restrictions": Restrictions(),
        "subgroups": None,
        "residual_risks": RESIDUAL_RISKS,
        "claim": claim_for(verdict),
        "terms": None,
        "exact_sums_also_released": policy.dp.exact_sums == "allow",
        "issued_on": issued_on,
        "valid_until": None if issued_on is None else months_after(issued_on, months),
        "revocation": None,
        "tool": Tool(name="wardgate", version=__version__),
        "log": None,
    }
    subjects = (("corpus.parquet", sha256(corpus)),)
    certificate = stated(fields, reasons=REASONS)
    if issued_on is not None:
        digest = approvable(certificate, subjects)
        approvals = tuple(approve(digest, role=role, at=issued_on, signer=signer, simulated=True) for role in ROLES)
        certificate = certificate.model_copy(update={"approvals": approvals})
    return seal_certificate(certificate, subjects=subjects, signer=signer)

"""The hub's signed certificate of the joint corpus: the same statement as a site signs of its own."""

from wardgate import __version__
from wardgate.hub.layout import HUB
from wardgate.records.canonical import sha256, text_of
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.messages import CERTIFICATE
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence, Verdict

CLAIM = "Risk below the stated limits under the listed attacks. Not a legal finding of anonymity."
RESIDUAL_RISKS = (
    "unknown future attacks",
    "a person known at two hospitals: the stated epsilon holds for each hospital's record of them",
    "differences between corpora of later refreshes",
)


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
    claim = evidence.claim
    predicate = {
        "study": {"id": study.id, "version": str(study.version), "sha256": study_sha256},
        "site": {"id": HUB, "keyId": signer.key_id},
        "policy": {"profile": study.gate.profile, "sha256": verdict.policy_sha256},
        "source": {"personsBand": evidence.persons_train, "sites": list(sites)},
        "generator": {"name": "marginal-tree over summed marginals", "version": __version__, "weightsLeaveSite": False},
        "dp": {
            **claim.plain(),
            "cumulative": {"epsilon": text_of(evidence.cumulative_epsilon), "of": text_of(study.budget.epsilon_total)},
        },
        "attempts": {"number": evidence.attempt, "of": study.gate.max_attempts},
        "evidence": evidence.plain(),
        "verdict": verdict.plain(),
        "residualRisks": list(RESIDUAL_RISKS),
        "claim": CLAIM,
        "exactSumsAlsoReleased": study.gate.dp.exact_sums == "allow",
        **({} if issued_on is None else {"issuedOn": issued_on}),
        "approvals": [{"role": "hub", "keyId": signer.key_id, "simulated": True}],
        "tool": {"name": "wardgate", "version": __version__},
    }
    subjects = (("corpus.parquet", sha256(corpus)),)
    return seal(Statement(predicate_type=CERTIFICATE, predicate=predicate, subjects=subjects), signer)

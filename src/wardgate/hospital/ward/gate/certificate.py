"""The signed statement that a corpus was judged: what was measured, against which limits, and what remains."""

from wardgate import __version__
from wardgate.hospital.ward.gate.candidate import CorpusTry
from wardgate.records.bands import band
from wardgate.records.canonical import text_of
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.messages import CERTIFICATE
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence, Verdict

CLAIM = "Risk below the stated limits under the listed attacks. Not a legal finding of anonymity."
RESIDUAL_RISKS = (
    "unknown future attacks",
    "a person known at two hospitals: membership at one may be inferred from the other's corpus",
    "differences between corpora of later refreshes",
)


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
) -> bytes:
    """Return the signed certificate of one candidate corpus, passed or not. It holds no row and no distance."""
    valid_until = f"{int(issued_on[:4]) + 1}{issued_on[4:]}" if not issued_on.endswith("02-29") else ""
    predicate = {
        "study": {"id": study.id, "version": str(study.version), "sha256": study_sha256},
        "site": {"id": site, "keyId": signer.key_id},
        "policy": {"profile": study.gate.profile, "sha256": verdict.policy_sha256},
        "source": {"personsBand": band(candidate.persons_train)},
        "splits": {"commitments": commitments},
        "generator": {"name": candidate.generator, "version": __version__, "weightsLeaveSite": False},
        "dp": {
            **candidate.claim.plain(),
            "cumulative": {"epsilon": text_of(candidate.cumulative_epsilon), "of": text_of(study.budget.epsilon_total)},
        },
        "attempts": {"number": candidate.attempt, "of": study.gate.max_attempts},
        "evidence": evidence.plain(),
        "verdict": verdict.plain(),
        "residualRisks": list(RESIDUAL_RISKS),
        "claim": CLAIM,
        "exactSumsAlsoReleased": study.gate.dp.exact_sums == "allow",
        "issuedOn": issued_on,
        "validUntil": valid_until or f"{int(issued_on[:4]) + 1}-02-28",
        "approvals": [{"role": "privacy_officer", "keyId": signer.key_id, "simulated": True}],
        "tool": {"name": "wardgate", "version": __version__},
    }
    return seal(
        Statement(predicate_type=CERTIFICATE, predicate=predicate, subjects=(("corpus.parquet", corpus_sha256),)),
        signer,
    )

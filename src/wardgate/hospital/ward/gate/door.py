"""The one way out of the ward: `release` takes a candidate, and a signed release or a signed refusal comes out.

Order, always: evidence, decision, budget (check, then commit to disk), noise and masks, signature, log.
Where anything on that way is missing, nothing leaves.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from wardgate.entropy import Entropy
from wardgate.hospital.ward.gate.candidate import Candidate, Confirmation, CorpusTry, Pending, Sited, Statement, Summed
from wardgate.hospital.ward.gate.certificate import corpus_certificate
from wardgate.hospital.ward.gate.cohorts import EarlierCohorts
from wardgate.hospital.ward.gate.ledger import POPULATION, PrivateLedger
from wardgate.hospital.ward.gate.summed import counted, summed_evidence
from wardgate.measures.disclosure import rounded, unrounded
from wardgate.policy.decision import decide, policy_digest
from wardgate.privacy.accountant import dp_claim, noise_source
from wardgate.privacy.budget import Release, Spending, Split
from wardgate.records.bands import band
from wardgate.records.canonical import canonical, sha256, text_of
from wardgate.records.certificate_parts import Spent
from wardgate.records.claim import Claim, GaussianEvent, SampledGaussianEvent
from wardgate.records.confirmation import confirmed_bytes
from wardgate.records.corpus_file import write_corpus
from wardgate.records.envelope import Signer, seal
from wardgate.records.envelope import Statement as Signed
from wardgate.records.errors import Refused
from wardgate.records.log import MerkleLog
from wardgate.records.messages import ANSWER, Answer, Question
from wardgate.records.parcel import Parcel, VectorRef, pack_bytes, pack_vector
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence, Verdict
from wardgate.sums.agreed import agreed_plan, least_survivors, tolerated_in
from wardgate.sums.batch import Batch
from wardgate.sums.plan import claim_event, contribute
from wardgate.sums.seat import Seat

EXACT = Claim(kind="exact", excludes=("true values; no epsilon covers them",))


@dataclass(slots=True, kw_only=True)
class Door:
    """The gate of one ward.

    Attributes:
        site: This hospital.
        study: The locked study; its gate policy decides.
        study_sha256: Named by every record that leaves.
        signer: The ward's long-term key.
        ledger: What was spent so far.
        log: This hospital's Merkle log; every question, release and refusal gets a leaf.
        entropy: Where noise comes from.
        issued_on: Today, as an ISO date.
        commitments: Digests of the splits, for certificates.
        earlier: Whose persons gave exact answers in earlier studies; set once the splits are known.
        seats: This site's seat in each prepared batch of slots, by the question that prepared it.
        pending: Answers to sums that may lose sites, by the question.
    """

    site: str
    study: Study
    study_sha256: str
    signer: Signer
    ledger: PrivateLedger
    log: MerkleLog
    entropy: Entropy
    issued_on: str
    commitments: dict[str, str] = field(default_factory=dict)
    earlier: EarlierCohorts | None = None
    seats: dict[str, Seat] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)

    def release(self, candidate: Candidate, *, question: Question, question_sha256: str) -> Parcel:
        """Judge a candidate and return what may leave: the release, or the signed refusal of it."""
        try:
            match candidate:
                case Statement():
                    return self._state(candidate, question, question_sha256)
                case Sited():
                    return self._site(candidate, question, question_sha256)
                case Summed():
                    return self._sum(candidate, question, question_sha256)
                case Confirmation():
                    return self._confirm(candidate, question, question_sha256)
                case CorpusTry():
                    return self._corpus(candidate, question, question_sha256)
        except Refused as refusal:
            reason = str(refusal)
        return self.refuse(reason, question=question, question_sha256=question_sha256)

    def refuse(self, reason: str, *, question: Question, question_sha256: str) -> Parcel:
        """Sign and log a refusal. The reason holds no patient's value: it is a policy's or an error's own text."""
        return self._send(question, question_sha256, outcome="refused", verdict="not_judged", refusal=reason)

    def _state(self, candidate: Statement, question: Question, question_sha256: str) -> Parcel:
        evidence = Evidence(
            kind="record",
            persons_train=band(candidate.smallest_cell),
            attempt=1,
            claim=EXACT,
            cumulative_epsilon=0.0,
            measured=(
                counted("sited.smallest_cell", candidate.smallest_cell),
                counted("record.figures", candidate.figures),
            ),
        )
        verdict = self._decide(evidence)
        refs = [pack_bytes(name, data) for name, data in candidate.blobs]
        return self._send(
            question, question_sha256, statement=candidate.said, evidence=evidence, verdict=verdict.outcome, blobs=refs
        )

    def _site(self, candidate: Sited, question: Question, question_sha256: str) -> Parcel:
        if self.study.gate.dp.exact_sums == "deny":
            raise Refused("the policy denies answers without noise, so this site's own figures stay inside")
        step = self.study.gate.small_cells.rounding
        if not all(math.isfinite(value) for value in candidate.figures.values()):
            raise Refused("a figure is not a finite number")
        figures = {name: rounded(value, step=step) for name, value in candidate.figures.items()}
        evidence = Evidence(
            kind="sited",
            persons_train=band(candidate.smallest_cell),
            attempt=1,
            claim=EXACT,
            cumulative_epsilon=0.0,
            measured=(
                counted("sited.smallest_cell", candidate.smallest_cell),
                unrounded(list(figures.values()), step=step),
            ),
        )
        verdict = self._decide(evidence)
        self._remember(_split(question))
        self.ledger.commit(
            Spending(
                population=POPULATION,
                split=_split(question),
                what=question.computation,
                kind="sited",
                exact=candidate.models,
            )
        )
        said = {"figures": {name: text_of(value) for name, value in figures.items()}, **candidate.said}
        return self._send(
            question,
            question_sha256,
            statement=said,
            evidence=evidence,
            verdict=verdict.outcome,
            opening=candidate.opening,
        )

    def _sum(self, candidate: Summed, question: Question, question_sha256: str) -> Parcel:
        terms, bounded = question.sum, candidate.bounded
        if terms is None or self.site not in terms.roster:
            raise Refused("the question asks for a sum without terms, or without this site")
        if terms.entries != bounded.shape.entries:
            raise Refused(
                f"the question states {terms.entries} numbers; this computation gives {bounded.shape.entries}"
            )
        seat = None if terms.slot is None else self.seats.get(terms.slot.batch_sha256)
        batch = None if seat is None else seat.batch
        plan = agreed_plan(terms, bounded.shape, question_sha256=question_sha256, batch=batch)
        if plan.slot is not None and plan.slot.least < self._least(plan.slot.batch):
            raise Refused("the sum would open with fewer survivors than the locked study allows")
        exact = terms.noise_multiplier is None
        wanted = tolerated_in(
            len(terms.roster),
            batch=batch,
            least=None if terms.slot is None else terms.slot.least,
            local=self.study.budget.noise == "local",
        )
        if not exact and terms.tolerated < wanted:
            raise Refused(
                f"the noise would fail with {terms.tolerated + 1} missing shares, by collusion or drop-outs; at least"
                f" {wanted} of {len(terms.roster)} must be tolerated"
            )
        split, what = _split(question), f"{question.computation} over {len(terms.roster)} sites"
        event = None if exact else claim_event(plan, what=question.computation, probability=bounded.probability)
        claim = EXACT if event is None else _dp(event, self.study.budget.delta, self.entropy.name)
        kind: Release = "joint-corpus" if question.computation == "marginals" else "sum"
        spending = Spending(
            population=POPULATION, split=split, what=what, kind=kind, exact=int(exact), **_random(event)
        )
        roster = frozenset(terms.roster)
        evidence = summed_evidence(
            self.ledger,
            minimum=self.study.gate.small_cells.min_count,
            split=split,
            roster=roster,
            persons=candidate.persons_at_least,
            numbers=terms.entries,
            claim=claim,
            persons_of=candidate.persons_of,
            share=candidate.share,
            spending=spending,
        )
        verdict = self._decide(evidence)
        if exact:
            self._remember(split)
        self.ledger.commit(spending)
        if exact and seat is None:
            self.ledger.note_roster(split, roster)
        if seat is None:
            masked = contribute(
                plan,
                site=self.site,
                vector=bounded.vector,
                persons_here=bounded.persons,
                pair_secrets=candidate.pair_secrets,
                entropy=self.entropy,
            )
        else:
            masked = seat.contribute(
                plan,
                vector=bounded.vector,
                persons_here=bounded.persons,
                pair_secrets=candidate.pair_secrets,
                entropy=self.entropy,
            )
            self.pending[question_sha256] = Pending(
                plan=plan, seat=seat, split=split, claim=claim, share=candidate.share
            )
        return self._send(
            question,
            question_sha256,
            evidence=evidence,
            verdict=verdict.outcome,
            statement=dict(candidate.said),
            blobs=[pack_vector("masked", masked)],
            opening=candidate.opening,
        )

    def _remember(self, split: Split) -> None:
        """Check an exact answer against earlier studies' cohorts, and remember it.

        Raises:
            Refused: this cohort and an earlier one differ by so few persons that their answers would give them away.
        """
        if self.earlier is not None:
            self.earlier.check(split)
            self.earlier.note(split)

    def _least(self, batch: Batch) -> int:
        minimum = self.study.gate.min_sites_in_sum
        return least_survivors(len(batch.roster), self.study.drop_out or 0.0, minimum=minimum)

    def _confirm(self, candidate: Confirmation, question: Question, question_sha256: str) -> Parcel:
        """Judge the sum once more, now that it is known whose it is, and sign the list of survivors."""
        pending, roster = candidate.pending, frozenset(candidate.survivors)
        exact = pending.claim.kind == "exact"
        unknown = roster - candidate.persons_of.keys()
        if unknown:
            raise Refused(f"the list of survivors holds '{min(unknown)}', which was not introduced to this site")
        persons = int(sum(candidate.persons_of[site] for site in roster) * pending.share)
        evidence = summed_evidence(
            self.ledger,
            minimum=self.study.gate.small_cells.min_count,
            split=pending.split,
            roster=roster,
            persons=persons,
            numbers=pending.plan.entries,
            claim=pending.claim,
            persons_of=candidate.persons_of,
            share=pending.share,
        )
        verdict = self._decide(evidence)
        digest = pending.seat.confirm(pending.plan, candidate.survivors)
        if exact:
            self.ledger.note_roster(pending.split, roster)
        signature = self.signer.sign(confirmed_bytes(digest, site=self.site))
        return self._send(
            question,
            question_sha256,
            statement={"survivors_sha256": digest.hex(), "signature": signature.hex()},
            evidence=evidence,
            verdict=verdict.outcome,
        )

    def judge(self, candidate: CorpusTry) -> tuple[Evidence, Verdict]:
        """Return evidence and verdict on one candidate corpus; the noise it used is spent already."""
        evidence = Evidence(
            kind="corpus",
            persons_train=band(candidate.persons_train),
            attempt=candidate.attempt,
            claim=candidate.claim,
            cumulative_epsilon=candidate.cumulative_epsilon,
            measured=candidate.measured,
            absent=candidate.absent,
        )
        return evidence, decide(evidence, self.study.gate, unsafe_accept_test_noise=self._test_noise)

    def _corpus(self, candidate: CorpusTry, question: Question, question_sha256: str) -> Parcel:
        evidence, verdict = self.judge(candidate)
        data = write_corpus(candidate.table, study_sha256=self.study_sha256)
        certificate = corpus_certificate(
            site=self.site,
            study=self.study,
            study_sha256=self.study_sha256,
            candidate=candidate,
            evidence=evidence,
            verdict=verdict,
            corpus_sha256=sha256(data),
            commitments=self.commitments,
            issued_on=self.issued_on,
            signer=self.signer,
            study_epsilon=self.ledger.epsilon("train"),
            population=self._spent(),
            population_id=None if self.ledger.population is None else self.ledger.population.population,
        )
        passed = verdict.outcome == "pass"
        blobs = [pack_bytes("certificate", certificate)] + ([pack_bytes("corpus", data)] if passed else [])
        return self._send(
            question,
            question_sha256,
            outcome="released" if passed else "refused",
            statement={
                "generator": candidate.generator,
                "attempt": candidate.attempt,
                "earlier": [evidence.plain() for evidence, _ in candidate.earlier],
            },
            evidence=evidence,
            verdict=verdict.outcome,
            refusal="" if passed else "the gate did not pass this corpus",
            blobs=blobs,
        )

    def _spent(self) -> Spent | None:
        """Return what the population spent over all studies, where that is remembered and limited."""
        spent = None if self.ledger.population is None else self.ledger.population.spent()
        return None if spent is None else Spent(epsilon=spent[0], of=spent[1])

    @property
    def _test_noise(self) -> bool:
        return self.entropy.name == "unsafe-test"

    def _decide(self, evidence: Evidence) -> Verdict:
        verdict = decide(evidence, self.study.gate, unsafe_accept_test_noise=self._test_noise)
        if verdict.outcome != "pass":
            against = [r for r in verdict.rulings if r.outcome in ("fail", "not_evaluable")]
            raise Refused("; ".join(f"rule {r.rule}: {r.reason or 'outside ' + r.limit}" for r in against))
        return verdict

    def _send(
        self,
        question: Question,
        question_sha256: str,
        *,
        outcome: str = "released",
        statement: dict[str, object] | None = None,
        evidence: Evidence | None = None,
        verdict: str,
        refusal: str = "",
        blobs: list[tuple[VectorRef, bytes]] | None = None,
        opening: int | None = None,
    ) -> Parcel:
        packed = blobs or []
        answer = Answer.model_validate(
            {
                "study_sha256": self.study_sha256,
                "question_sha256": question_sha256,
                "site": self.site,
                "computation": question.computation,
                "outcome": outcome,
                "statement": statement or {},
                "evidence": evidence,
                "verdict": verdict,
                "policy_sha256": policy_digest(self.study.gate),
                "refusal": refusal,
                "opening": opening,
                "vectors": tuple(ref for ref, _ in packed),
            }
        )
        signed = Signed(
            predicate_type=ANSWER,
            predicate=answer.plain(),
            subjects=tuple((ref.name, ref.sha256) for ref, _ in packed) or (("study", self.study_sha256),),
        )
        envelope = seal(signed, self.signer)
        self.log.append(canonical({"event": f"answer:{outcome}", "sha256": sha256(envelope)}))
        return Parcel(envelope, tuple(data for _, data in packed))


def _random(event: GaussianEvent | SampledGaussianEvent | None) -> dict[str, Any]:
    """Return an event under the name of its kind."""
    match event:
        case None:
            return {}
        case SampledGaussianEvent():
            return {"sampled": (event,)}
        case GaussianEvent():
            return {"gaussian": (event,)}


@lru_cache(maxsize=1024)
def _dp(event: GaussianEvent | SampledGaussianEvent, delta: float, source: str) -> Claim:
    return dp_claim(
        **_random(event),
        delta=delta,
        covers=("the released vector",),
        excludes=("public ranges, categories and bins of the study", "the rosters and the study's choices"),
        noise_source=noise_source(source),
    )


def _split(question: Question) -> Split:
    if question.split == "none":
        raise Refused("the question names no split, but asks for persons")
    return question.split

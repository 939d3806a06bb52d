"""The hub's desk: turns asks into signed questions, and answers into what a driver may know.

It sees masked vectors, totals and released records, and writes every one of them into the log.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardgate.hub.intake.admit import Admitted, admit, masked_of
from wardgate.hub.layout import HUB
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.recovery import Prepared, recoverable
from wardgate.records.bands import at_most
from wardgate.records.canonical import canonical, sha256
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.errors import Broken, CheckFailed, Refused, Vanished
from wardgate.records.log import MerkleLog
from wardgate.records.messages import QUESTION, SUM, Answer, OpenedSum, Question, SlotTerms, SumTerms
from wardgate.records.parcel import Parcel, VectorRef, pack_bytes, pack_vector
from wardgate.records.study import Study
from wardgate.sums.agreed import agreed_plan, drop_outs, noise_of, tolerated_in
from wardgate.sums.batch import Batch
from wardgate.sums.graph import study_coin
from wardgate.sums.plan import narrowest, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One signed record in the hub's store: who signed it, and its parcel."""

    party: str
    parcel: Parcel


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One admitted answer: what was asked in words, and what came."""

    what: str
    site: str
    answer: Answer
    sha256: str
    bytes: int
    noisy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Answers that were admitted, and the bytes that left and entered hospitals for them."""

    admitted: Mapping[str, Admitted]
    bytes_out: int
    bytes_in: int


@dataclass(slots=True, kw_only=True)
class Exchange:
    """The conversation of one study.

    Attributes:
        study: The locked study.
        study_sha256: Its digest, named in every record.
        signer: The hub's key.
        site_keys: Long-term public keys of all sites.
        unsafe_accept_test_noise: Only for tests; a run with it never verifies.
        simulated: Whether the keys stand for nobody, as those of a run on one machine.
        dropped: Sites that dropped out of an opened sum; they stay out of all later ones.
        batches: Prepared slots for sums that survive drop-outs, by the sites that were asked to prepare.
    """

    study: Study
    study_sha256: str
    signer: Signer
    site_keys: Mapping[str, bytes]
    unsafe_accept_test_noise: bool = False
    simulated: bool = True
    log: MerkleLog = field(init=False)
    store: list[Kept] = field(init=False, default_factory=list)
    received: list[Received] = field(init=False, default_factory=list)
    persons_bands: dict[str, str] = field(init=False, default_factory=dict)
    bytes_out: dict[str, int] = field(init=False, default_factory=dict)
    bytes_in: dict[str, int] = field(init=False, default_factory=dict)
    dropped: set[str] = field(init=False, default_factory=set)
    batches: dict[frozenset[str], Prepared] = field(init=False, default_factory=dict)
    _number: int = field(init=False, default=0)
    _rosters: list[tuple[frozenset[str], str]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.log = MerkleLog(origin="wardgate/hub")

    @property
    def coin(self) -> str:
        """Public randomness of the mask graph."""
        return study_coin(self.study_sha256, self.site_keys)

    def converse(self, ask: Ask) -> Generator[dict[str, Parcel], Mapping[str, Parcel], Told]:
        """Hold the conversation of one ask: yields what each site is asked, takes what came back, ends with the result.

        Sites that gave no answer are left out of what is sent in.

        Raises:
            Broken: an answer is forged, damaged, or its gate's decision cannot be repeated.
            CheckFailed: the sum cannot be opened.
        """
        if ask.shape is not None and self.recovering(len(ask.sites)):
            return (yield from recoverable(self, ask))
        asked = self.questions(ask)
        answers = yield {site: parcel for site, (_, parcel) in asked.items()}
        return self.take(ask, asked, answers)

    def recovering(self, sites: int) -> bool:
        """Say whether a sum over so many sites survives drop-outs, by the locked study."""
        return self.study.drop_out is not None and drop_outs(sites, self.study.drop_out)[0] > 0

    def questions(self, ask: Ask) -> dict[str, tuple[Question, Parcel]]:
        """Sign the question of an ask for each of its sites; one and the same where nothing is for one site alone."""
        common = [pack_vector(name, array) for name, array in ask.arrays]
        common += [pack_bytes(name, data) for name, data in ask.blobs]
        terms = self.terms(ask)
        if ask.computation == "roster":
            self._rosters.append((frozenset(ask.sites), common[0][0].sha256))
        if not ask.site_blobs:
            signed = self.sign(ask, common, terms)
            return dict.fromkeys(ask.sites, signed)
        return {
            site: self.sign(
                ask, [*common, *(pack_bytes(name, data) for name, data in ask.site_blobs.get(site, ()))], terms
            )
            for site in ask.sites
        }

    def terms(self, ask: Ask, *, slot: SlotTerms | None = None, batch: Batch | None = None) -> SumTerms | None:
        """Return the public terms of an ask's sum; nothing for sited answers.

        Args:
            slot, batch: For a sum that survives drop-outs.

        Raises:
            Refused: too few sites for a sum.
        """
        if ask.shape is None:
            return None
        if len(ask.sites) < self.study.gate.min_sites_in_sum:
            raise Refused(
                f"{ask.what}: a sum needs at least {self.study.gate.min_sites_in_sum} sites, found {len(ask.sites)}"
            )
        sites, tolerated = len(ask.sites), 0
        if ask.noise_multiplier is not None:
            local = self.study.budget.noise == "local"
            tolerated = tolerated_in(sites, batch=batch, least=None if slot is None else slot.least, local=local)
        terms = SumTerms(
            roster=tuple(sorted(ask.sites)),
            entries=ask.shape.entries,
            persons=sum(at_most(self.persons_bands[site]) for site in ask.sites),
            noise_multiplier=ask.noise_multiplier,
            tolerated=tolerated,
            coin=self.coin,
            roster_sha256=next((digest for sites, digest in reversed(self._rosters) if sites >= set(ask.sites)), None),
            slot=slot,
        )
        if ask.noise_multiplier is None:
            return terms
        bits = narrowest(agreed_plan(terms, ask.shape, question_sha256="00" * 32, batch=batch)).bits
        return terms.model_copy(update={"bits": bits})

    def sign(self, ask: Ask, packed: list[tuple[VectorRef, bytes]], terms: SumTerms | None) -> tuple[Question, Parcel]:
        """Sign one question and log it."""
        self._number += 1
        question = Question(
            study_sha256=self.study_sha256,
            number=self._number,
            computation=ask.computation,
            parameters=ask.parameters,
            split=ask.split,
            sum=terms,
            vectors=tuple(ref for ref, _ in packed),
        )
        subjects = tuple((ref.name, ref.sha256) for ref, _ in packed) or (("study", self.study_sha256),)
        envelope = seal(Statement(predicate_type=QUESTION, predicate=question.plain(), subjects=subjects), self.signer)
        parcel = Parcel(envelope, tuple(data for _, data in packed))
        self.keep(HUB, parcel, "question")
        return question, parcel

    def take(self, ask: Ask, asked: Mapping[str, tuple[Question, Parcel]], answers: Mapping[str, Parcel]) -> Told:
        """Admit the answers of an ask and return what its driver may know. Sites that did not answer are left out.

        Raises:
            Broken: an answer is forged, damaged, or its gate's decision cannot be repeated.
            CheckFailed: a site of a secret sum refused or did not answer, so the sum cannot be opened.
        """
        taken = self.admit(ask, asked, answers)
        if ask.shape is None:
            return Told(
                answers={site: one.answer for site, one in taken.admitted.items()},
                blobs={site: one.named_blobs() for site, one in taken.admitted.items()},
                envelopes={site: one.envelope for site, one in taken.admitted.items()},
                bytes_out=taken.bytes_out,
                bytes_in=taken.bytes_in,
            )
        opened, noise = self._open(ask, asked, taken.admitted)
        return Told(
            total=opened,
            noise=noise,
            bytes_out=taken.bytes_out,
            bytes_in=taken.bytes_in,
            sites=ask.sites,
            said={site: one.answer.statement for site, one in taken.admitted.items() if one.answer.statement},
        )

    def admit(self, ask: Ask, asked: Mapping[str, tuple[Question, Parcel]], answers: Mapping[str, Parcel]) -> "Taken":
        """Verify answers, decide again on each, and keep and count them.

        Raises:
            Broken: an answer is forged, damaged, or its gate's decision cannot be repeated.
        """
        admitted: dict[str, Admitted] = {}
        out = moved_in = 0
        for site in ask.sites:
            if site not in answers:
                continue
            question, sent = asked[site]
            parcel = answers[site]
            admitted[site] = admit(
                parcel,
                site=site,
                key=self.site_keys[site],
                question=question,
                question_sha256=sha256(sent.envelope),
                study=self.study,
                study_sha256=self.study_sha256,
                unsafe_accept_test_noise=self.unsafe_accept_test_noise,
            )
            self.keep(site, parcel, "answer")
            self.bytes_out[site] = self.bytes_out.get(site, 0) + parcel.size
            self.bytes_in[site] = self.bytes_in.get(site, 0) + sent.size
            self.received.append(
                Received(
                    what=ask.what,
                    site=site,
                    answer=admitted[site].answer,
                    sha256=sha256(parcel.envelope),
                    bytes=parcel.size,
                    noisy=ask.noise_multiplier is not None,
                )
            )
            out, moved_in = out + parcel.size, moved_in + sent.size
            if ask.computation == "review":
                self.persons_bands[site] = str(admitted[site].answer.statement.get("persons_band", "<11"))
        return Taken(admitted=admitted, bytes_out=out, bytes_in=moved_in)

    def _open(
        self, ask: Ask, asked: Mapping[str, tuple[Question, Parcel]], admitted: Mapping[str, Admitted]
    ) -> tuple[NDArray[np.float64], float]:
        refused = {site: one.answer.refusal for site, one in admitted.items() if one.answer.outcome == "refused"}
        absent = sorted(set(ask.sites) - admitted.keys())
        if absent:
            raise Vanished(
                f"{ask.what}: {len(absent)} of {len(ask.sites)} sites did not answer, first '{absent[0]}', so the sum"
                " stays closed; ask again without them, or lock a study that allows drop-outs",
                sites=tuple(absent),
            )
        if refused:
            site, reason = next(iter(refused.items()))
            raise CheckFailed(
                f"{ask.what}: {len(refused)} of {len(ask.sites)} sites refused, so the sum stays closed;"
                f" {site}: {reason}"
            )
        question, sent = asked[ask.sites[0]]
        digest = sha256(sent.envelope)
        if question.sum is None or ask.shape is None:
            raise Broken("the question asks for no sum")
        plan = agreed_plan(question.sum, ask.shape, question_sha256=digest)
        opened = total(plan, {site: masked_of(one, plan) for site, one in admitted.items()})
        self.record_sum(digest, opened, answers=admitted)
        return opened, noise_of(question.sum, l2=ask.shape.l2, survivors=len(ask.sites))

    def record_sum(
        self,
        question_sha256: str,
        opened: NDArray[np.float64],
        *,
        answers: Mapping[str, Admitted],
        reveals: Mapping[str, Admitted] | None = None,
    ) -> None:
        """Sign and log an opened sum, so that anyone can open it again."""
        ref, data = pack_vector("total", opened)
        record = OpenedSum(
            study_sha256=self.study_sha256,
            question_sha256=question_sha256,
            answers={site: sha256(one.envelope) for site, one in answers.items()},
            total=ref,
            reveals=None if reveals is None else {site: sha256(one.envelope) for site, one in reveals.items()},
        )
        envelope = seal(
            Statement(predicate_type=SUM, predicate=record.plain(), subjects=(("total", ref.sha256),)), self.signer
        )
        self.keep(HUB, Parcel(envelope, (data,)), "sum")

    def keep(self, party: str, parcel: Parcel, event: str) -> None:
        """Keep a signed record and log it."""
        self.store.append(Kept(party=party, parcel=parcel))
        self.log.append(canonical({"event": event, "party": party, "sha256": sha256(parcel.envelope)}))

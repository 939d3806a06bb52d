"""The ward: takes a signed question out of the spool, answers it, and puts what its gate releases back."""

import json
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from wardgate.computations.menu import MENU
from wardgate.entropy import Entropy
from wardgate.hospital.spool import Spool
from wardgate.hospital.ward.answering.bench import Bench
from wardgate.hospital.ward.answering.closing import closing
from wardgate.hospital.ward.answering.corpus import best_try
from wardgate.hospital.ward.answering.federated import summed
from wardgate.hospital.ward.answering.kept.effects import (
    Before,
    Effect,
    before,
    changed,
    enact,
    take_fit,
    take_own,
    take_seats,
)
from wardgate.hospital.ward.answering.kept.folder import Folder, Later, Outcome
from wardgate.hospital.ward.answering.personal import personalise
from wardgate.hospital.ward.answering.recovery import confirm, deposit, reveal, take_shares
from wardgate.hospital.ward.answering.review import check_same, described, lay_out, open_bench, read_cohort
from wardgate.hospital.ward.answering.roster import join
from wardgate.hospital.ward.answering.sited import associate, evaluate
from wardgate.hospital.ward.cohort.cohort import Cohort, satisfies
from wardgate.hospital.ward.gate.book import GrowingFile
from wardgate.hospital.ward.gate.candidate import Candidate, CorpusTry, Statement
from wardgate.hospital.ward.gate.cohorts import FILE as COHORTS
from wardgate.hospital.ward.gate.door import Door
from wardgate.hospital.ward.gate.ledger import PrivateLedger
from wardgate.hospital.ward.gate.population import PopulationBook
from wardgate.privacy.population import FILE as BOOK
from wardgate.records.canonical import canonical, sha256
from wardgate.records.envelope import Signer
from wardgate.records.errors import Broken, Invalid, Refused, StepFailed, WardgateError
from wardgate.records.log import MerkleLog
from wardgate.records.mapping import Hospital
from wardgate.records.messages import Question, open_question
from wardgate.records.parcel import Parcel
from wardgate.records.study import Study

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Ward:
    """One hospital's ward in one study.

    Attributes:
        hospital: Who this is.
        folder: The hospital's own data.
        study_sha256: The study that this hospital agreed to look at; questions of any other are refused.
        hub_key: Whose questions are answered.
        phone_book: Long-term public keys of all sites, known beforehand.
        spool: Shared with the wire.
        entropy: For keys and noise.
        seed: For repeatable work that protects nobody.
        salt: Secret of the splits.
        issued_on: Today, as an ISO date.
        private: Folder for the private log, or None to keep no log.
        memory: Private folder that this hospital keeps over studies, or None to remember nothing, as in simulations.
        durable: Keep the ledger in that folder too, on disk before any answer leaves; False in simulations.
        signer: The site's long-term key; without one a fresh one is made, as in simulations.
        state: Private folder of this ward in this study, made where it is missing. With it the ward may be killed at
            any moment: another one with the same arguments goes on from the folder, and gives a question that comes
            twice the same answer, byte for byte. It needs `signer`, the same `salt`, `seed` and `phone_book` every
            time; `issued_on` may differ, and may be set anew while the ward runs. None remembers nothing.
    """

    hospital: Hospital
    folder: Path
    study_sha256: str
    hub_key: bytes
    phone_book: Callable[[], Mapping[str, bytes]]
    spool: Spool
    entropy: Entropy
    seed: int
    salt: bytes
    issued_on: str
    private: Path | None = None
    memory: Path | None = None
    durable: bool = True
    signer: Signer = field(default=None)  # type: ignore[assignment]  # None until __post_init__ makes one
    state: Path | None = None
    log: MerkleLog = field(init=False)
    _door: Door | None = field(init=False, default=None)
    _bench: Bench | None = field(init=False, default=None)
    _answered: set[int] = field(init=False, default_factory=set)
    _kept: Folder | None = field(init=False, default=None)
    _awake: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        if self.state is not None and self.signer is None:
            raise Invalid("a ward that remembers signs with the site's long-term key: give it 'signer'")
        if self.signer is None:
            self.signer = Signer(self.entropy.bytes(32))
        self.log = MerkleLog(origin=f"wardgate/site/{self.hospital.id}")
        if self.state is not None:
            self._kept = Folder(
                self.state,
                site=self.hospital.id,
                study_sha256=self.study_sha256,
                public_key=self.signer.public_key,
                entropy=self.entropy,
            )
            try:
                self._wake(self._kept)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Let another ward work in the study's folder. Nothing has to be saved: it always is."""
        if self._kept is not None:
            self._kept.close()

    def answer(self, name: str) -> str:
        """Answer the question called `name` in the spool and return the answer's name there.

        Whatever goes wrong beside patients, the answer is a signed refusal that quotes nobody. A ward that remembers
        takes the question out of the spool only when the answer lies in it.

        Raises:
            Broken: as for `reply`.
            StepFailed: as for `reply`.
        """
        if self._kept is None:
            return self.spool.put("answers", self.reply(self.spool.take("questions", name)))
        answer = self.reply(self.spool.read("questions", name))
        said = self._beside_patients("spool", lambda: self.spool.put("answers", answer))
        self.spool.remove("questions", name)
        return said

    @property
    def stands(self) -> bool:
        """Whether the gate stands, so that even a refusal can be signed and logged."""
        return self._door is not None

    def reply(self, parcel: Parcel, *, refusal: str = "") -> Parcel:
        """Return the answer to a question, for whoever carries it to the spool.

        Args:
            refusal: Why a person of this hospital does not let the question through; it is then refused by the gate
                and touches no patient.

        Raises:
            Broken: the question is not signed by the hub, is of another study, or another one had its number; without
                `state` also where it was answered before.
            StepFailed: not even the refusal could be signed. With `state` nothing of the answer left, and the same
                question may be given again: the disk was full, or the patients could not be read.
        """
        question = open_question(parcel.envelope, hub_key=self.hub_key)
        if question.study_sha256 != self.study_sha256:
            raise Broken("a question of another study")
        digest = sha256(parcel.envelope)
        if self._kept is not None:
            return self._remembering(self._kept, question, digest, parcel, refusal)
        if question.number in self._answered:
            raise Broken(f"question {question.number} was asked before; a replayed question gets no answer")
        self._answered.add(question.number)
        self.log.append(canonical({"event": "question", "sha256": digest}))
        return self._answer(question, digest, parcel, refusal)

    def _remembering(self, kept: Folder, question: Question, digest: str, parcel: Parcel, refusal: str) -> Parcel:
        """Note the question, answer it, keep the answer, and only then return it. Asked again, return what was kept."""
        if not self._awake:
            self._beside_patients("wake", lambda: self._wake(kept))
        known = kept.answer(digest)
        if known is not None:
            return known
        kept.check(question.number, digest)
        self._awake = False
        self._beside_patients("begin", lambda: kept.begin(question.number, digest))
        was = before(len(self.log.leaves), self._door, self._bench)
        self.log.append(canonical({"event": "question", "sha256": digest}))
        answer = self._answer(question, digest, parcel, refusal)
        self._beside_patients("keep", lambda: self._keep(kept, was, question, digest, answer))
        self._awake = True
        return answer

    def _keep(self, kept: Folder, was: Before, question: Question, digest: str, answer: Parcel) -> None:
        if self._door is None:
            raise RuntimeError("an answer before the gate stands")
        effect, things = changed(was, question, digest, door=self._door, bench=self._bench)
        data = answer.to_bytes()
        leaves = tuple(self.log.leaves[was.leaves :])
        outcome = Outcome(question=digest, answer=sha256(data), leaves=leaves, effect=effect)
        kept.keep(outcome, answer=data, things=things)

    def _wake(self, kept: Folder) -> None:
        """Forget what this process holds, and do again what the folder remembers; no patient is read."""
        self._door = self._bench = None
        self.log = MerkleLog(origin=f"wardgate/site/{self.hospital.id}")
        kept.read()
        if self.memory is not None:
            for name in (BOOK, COHORTS):
                file = GrowingFile(self.memory / name)
                with file.held():
                    file.mend()
        pending: dict[str, str] = {}
        for outcome in kept.outcomes.values():
            for leaf in outcome.leaves:
                self.log.append(leaf)
            if "study" in outcome.effect:
                self._stand(Study.from_plain(json.loads(kept.thing(outcome.effect["study"]))))
            if "joined" in outcome.effect:
                self._bench = self._bench_again(kept, outcome.effect["joined"])
            if self._bench is not None:
                enact(outcome.effect, bench=self._bench)
            pending |= outcome.effect.get("pending", {})
        if self._bench is not None:
            take_seats(kept.seats, pending, bench=self._bench, thing=kept.thing)
            take_own(kept.own, bench=self._bench, thing=kept.thing)
        self._awake = True

    def _bench_again(self, kept: Folder, joined: Effect) -> Bench:
        if self._door is None:
            raise Broken("the ward's memory of this study joined it before it was read; restore it")
        self._door.commitments = {str(split): str(digest) for split, digest in joined["commitments"].items()}
        bench = Bench(
            hospital=self.hospital,
            study=self._door.study,
            study_sha256=self.study_sha256,
            parts={},
            persons=int(joined["persons"]),
            door=self._door,
            exchange_key=kept.identity.exchange_key,
            seed=self.seed,
            cohort_sha256=str(joined["cohort_sha256"]),
        )
        bench.read = lambda: lay_out(
            bench, self._cohort_again(bench.study), salt=self.salt, memory=self.memory, entropy=self.entropy
        )
        return bench

    def _cohort_again(self, study: Study) -> Cohort:
        """Read the patients once more. That they cannot be read just now is no answer to anybody."""

        def read() -> Cohort:
            try:
                return read_cohort(self.folder, study, site=self.hospital.id)
            except Exception as error:  # whatever it was, they could be read when the study began
                raise OSError(
                    "the hospital's data cannot be read any more, as they could when the study began"
                ) from error

        return self._beside_patients("read the patients again", read)

    def _answer(self, question: Question, digest: str, parcel: Parcel, refusal: str) -> Parcel:
        door = self._door
        if door is None:
            door = self._first_door(question, parcel)
        door.issued_on = self.issued_on
        if self._kept is not None:
            door.ledger.begin(digest, on=self.issued_on)
        failure: WardgateError | None = None
        try:
            if refusal:
                raise Refused(refusal)
            candidate = self._beside_patients(question.computation, lambda: self._candidate(question, digest, parcel))
            return self._beside_patients(
                "release", lambda: door.release(candidate, question=question, question_sha256=digest)
            )
        except Later:
            raise
        except WardgateError as error:
            failure = error
        reason = str(failure)
        return self._beside_patients("refusal", lambda: door.refuse(reason, question=question, question_sha256=digest))

    def _first_door(self, question: Question, parcel: Parcel) -> Door:
        """Read the study that came with the first question; from then on the gate stands."""
        if question.computation != "review" or not parcel.blobs:
            raise Broken("the first question of a study brings the study itself, for review")
        if sha256(parcel.blobs[0]) != self.study_sha256:
            raise Broken("the study that came is not the one that this hospital was asked to look at")
        return self._stand(Study.from_plain(json.loads(parcel.blobs[0])))

    def _stand(self, study: Study) -> Door:
        book = None if self.private is None or not self.durable else self.private / "ledger.jsonl"
        ledger = PrivateLedger(
            budget=study.budget,
            exact_ration=study.gate.dp.exact_sum_ration,
            path=book if self._kept is None else self._kept.ledger,
            population=self._population(study),
        )
        self._door = Door(
            site=self.hospital.id,
            study=study,
            study_sha256=self.study_sha256,
            signer=self.signer,
            ledger=ledger,
            log=self.log,
            entropy=self.entropy,
            issued_on=self.issued_on,
        )
        return self._door

    def _population(self, study: Study) -> PopulationBook | None:
        if self.memory is None:
            return None
        return PopulationBook(
            self.memory,
            population=self.hospital.population,
            study_sha256=self.study_sha256,
            limits=study.gate.population,
            on=self.issued_on,
            entropy=self.entropy,
            run=None if self._kept is None else self._kept.identity.run,
        )

    def _candidate(self, question: Question, digest: str, parcel: Parcel) -> Candidate:
        match question.computation:
            case "review":
                return self._review()
            case "roster":
                return join(self._open_bench(), question, parcel, self.phone_book())
            case "corpus":
                return self._corpus(question, digest)
            case "prepare":
                return deposit(self._open_bench(), question, digest, entropy=self.entropy)
            case "shares":
                return take_shares(self._open_bench(), question, parcel)
            case "confirm":
                return confirm(self._open_bench(), question)
            case "reveal":
                return reveal(self._open_bench(), question, parcel, self.phone_book())
            case "associations":
                return associate(self._open_bench(), question)
            case "evaluate":
                return evaluate(self._open_bench(), question, parcel)
            case "personal":
                return personalise(self._open_bench(), question, parcel, folder=self._own_models)
            case "close":
                return closing(self._open_bench())
        if question.computation in MENU:
            return summed(self._open_bench(), question, parcel)
        raise Refused(f"this ward answers no '{question.computation}'")

    @property
    def _own_models(self) -> Path | None:
        """Where this hospital finds its personal models of this study; they stay in its private folder."""
        return None if self.private is None else self.private / "models" / self.study_sha256[:16]

    def _review(self) -> Statement:
        if self._door is None:
            raise RuntimeError("review before the gate stands")
        study = self._door.study
        cohort = read_cohort(self.folder, study, site=self.hospital.id)
        if self._bench is not None:
            check_same(self._bench, cohort)
        if self._bench is None and satisfies(cohort, study).can:
            self._bench = open_bench(
                cohort,
                hospital=self.hospital,
                study=study,
                door=self._door,
                entropy=self.entropy,
                seed=self.seed,
                salt=self.salt,
                memory=self.memory,
                exchange_key=None if self._kept is None else self._kept.identity.exchange_key,
            )
        return described(cohort, study, hospital=self.hospital, bench=self._bench)

    def _corpus(self, question: Question, digest: str) -> CorpusTry:
        bench = self._open_bench()
        if self._kept is None:
            return best_try(bench, question, entropy=self.entropy)
        take_fit(bench, self._kept.thing)
        return best_try(bench, question, entropy=self.entropy, question_sha256=digest)

    def _open_bench(self) -> Bench:
        if self._bench is None:
            raise Refused("this site does not take part in the study")
        return self._bench

    def _beside_patients(self, step: str, run: Callable[[], T]) -> T:
        """Run a step; an unforeseen failure is logged privately and leaves as a reference only.

        The public error is raised outside the `except` block, so that no context clings to it.
        """
        cause, later = "", False
        try:
            return run()
        except (WardgateError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - also a panic or an exit: its text may quote a patient and must stay here
            cause = traceback.format_exc()
            later = self._kept is not None and isinstance(error, OSError)
        reference = self.entropy.bytes(6).hex()
        if self.private is not None:
            log = f"{reference} {step}\n{cause}\n".encode(errors="backslashreplace")
            with suppress(*((OSError,) if later else ())), (self.private / "private.log").open("ab") as file:
                file.write(log)
        raise (Later if later else StepFailed)(step, reference)

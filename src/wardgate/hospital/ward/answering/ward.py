"""The ward: takes a signed question out of the spool, answers it, and puts what its gate releases back."""

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from wardgate.computations.menu import MENU
from wardgate.entropy import Entropy
from wardgate.hospital.spool import Spool
from wardgate.hospital.ward.answering.bench import Bench
from wardgate.hospital.ward.answering.corpus import tries
from wardgate.hospital.ward.answering.federated import summed
from wardgate.hospital.ward.answering.recovery import confirm, deposit, reveal, take_shares
from wardgate.hospital.ward.answering.review import described, open_bench, read_cohort
from wardgate.hospital.ward.answering.roster import join
from wardgate.hospital.ward.answering.sited import associate, evaluate
from wardgate.hospital.ward.cohort.cohort import satisfies
from wardgate.hospital.ward.gate.candidate import Candidate, CorpusTry, Statement
from wardgate.hospital.ward.gate.door import Door
from wardgate.hospital.ward.gate.ledger import PrivateLedger
from wardgate.hospital.ward.gate.population import PopulationBook
from wardgate.privacy.budget import SPLITS
from wardgate.records.canonical import canonical, sha256, text_of
from wardgate.records.envelope import Signer
from wardgate.records.errors import Broken, Refused, StepFailed, WardgateError
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

    def __post_init__(self) -> None:
        if self.signer is None:
            self.signer = Signer(self.entropy.bytes(32))
        self.log = MerkleLog(origin=f"wardgate/site/{self.hospital.id}")

    def answer(self, name: str) -> str:
        """Answer the question called `name` in the spool and return the answer's name there.

        Whatever goes wrong beside patients, the answer is a signed refusal that quotes nobody.

        Raises:
            Broken: the question is not signed by the hub, is of another study, or was answered before.
            StepFailed: not even the refusal could be signed.
        """
        parcel = self.spool.take("questions", name)
        question = open_question(parcel.envelope, hub_key=self.hub_key)
        if question.study_sha256 != self.study_sha256:
            raise Broken("a question of another study")
        if question.number in self._answered:
            raise Broken(f"question {question.number} was asked before; a replayed question gets no answer")
        self._answered.add(question.number)
        digest = sha256(parcel.envelope)
        self.log.append(canonical({"event": "question", "sha256": digest}))
        return self.spool.put("answers", self._answer(question, digest, parcel))

    def _answer(self, question: Question, digest: str, parcel: Parcel) -> Parcel:
        door = self._door
        if door is None:
            door = self._first_door(question, parcel)
        failure: WardgateError | None = None
        try:
            candidate = self._beside_patients(question.computation, lambda: self._candidate(question, digest, parcel))
            return self._beside_patients(
                "release", lambda: door.release(candidate, question=question, question_sha256=digest)
            )
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
        study = Study.from_plain(json.loads(parcel.blobs[0]))
        book = None if self.private is None or not self.durable else self.private / "ledger.jsonl"
        ledger = PrivateLedger(
            budget=study.budget,
            exact_ration=study.gate.dp.exact_sum_ration,
            path=book,
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
        )

    def _candidate(self, question: Question, digest: str, parcel: Parcel) -> Candidate:
        match question.computation:
            case "review":
                return self._review()
            case "roster":
                return join(self._open_bench(), question, parcel, self.phone_book())
            case "corpus":
                return self._corpus(question)
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
            case "close":
                return self._close()
        if question.computation in MENU:
            return summed(self._open_bench(), question, parcel)
        raise Refused(f"this ward answers no '{question.computation}'")

    def _review(self) -> Statement:
        if self._door is None:
            raise RuntimeError("review before the gate stands")
        study = self._door.study
        cohort = read_cohort(self.folder, study, site=self.hospital.id)
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
            )
        return described(cohort, study, hospital=self.hospital, bench=self._bench)

    def _corpus(self, question: Question) -> CorpusTry:
        """Return the first candidate that passes, or the last that failed; every try is in the log."""
        bench = self._open_bench()
        last: CorpusTry | None = None
        for candidate in tries(bench, question, entropy=self.entropy):
            last = candidate
            evidence, verdict = bench.door.judge(candidate)
            event = {"event": f"corpus:{verdict.outcome}", "sha256": evidence.fingerprint()}
            self.log.append(canonical(event))
            bench.verdicts.append((evidence, verdict))
            if verdict.outcome == "pass":
                if bench.released is not None:
                    bench.released.keep(candidate.table, bench.part("train").table)
                break
        if last is None:
            raise Refused(f"all {bench.study.gate.max_attempts} attempts at a corpus are used up")
        return last

    def _close(self) -> Statement:
        bench = self._open_bench()
        ledger = bench.door.ledger
        lines = [
            {
                "split": split,
                "epsilon": text_of(ledger.epsilon(split)),
                "exact_answers": ledger.exact_answers(split),
                "parts": list(dict.fromkeys(ledger.parts(split))),
            }
            for split in SPLITS
        ]
        head = self.log.checkpoint()
        said: dict[str, object] = {"budget": lines, "locked_test_opens": ledger.openings, "checkpoint": head}
        leaves = b"\n".join(self.log.leaves) + b"\n"
        return Statement(said=said, smallest_cell=bench.study.gate.small_cells.min_count, blobs=(("log", leaves),))

    def _open_bench(self) -> Bench:
        if self._bench is None:
            raise Refused("this site does not take part in the study")
        return self._bench

    def _beside_patients(self, step: str, run: Callable[[], T]) -> T:
        """Run a step; an unforeseen failure is logged privately and leaves as a reference only.

        The public error is raised outside the `except` block, so that no context clings to it.
        """
        cause = ""
        try:
            return run()
        except (WardgateError, KeyboardInterrupt):
            raise
        except BaseException:  # noqa: BLE001 - also a panic or an exit: its text may quote a patient and must stay here
            cause = traceback.format_exc()
        reference = self.entropy.bytes(6).hex()
        if self.private is not None:
            log = f"{reference} {step}\n{cause}\n".encode(errors="backslashreplace")
            with (self.private / "private.log").open("ab") as file:
                file.write(log)
        raise StepFailed(step, reference)

"""The hospital asks its own gate about a candidate from anywhere, against two real tables of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from wardgate.hospital.ward.cohort import described
from wardgate.hospital.ward.cohort.restricted import restricted, restricted_dictionary
from wardgate.hospital.ward.gate.attempts import AttemptBook, file_digest
from wardgate.hospital.ward.gate.battery import measure
from wardgate.policy import decide, weaker_than
from wardgate.policy.remedies import Remedy, remedies
from wardgate.records.bands import band
from wardgate.records.canonical import canonical, sha256
from wardgate.records.claim import Claim
from wardgate.records.corpus_file import write_corpus
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Refused, WardgateError
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.restriction import Restriction
from wardgate.records.verdict import Evidence, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What a caller says of the columns where there is no dictionary."""

    label: str | None = None
    person: str | None = None
    time: str | None = None
    period: str | None = None
    known: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A candidate and everything it is judged by.

    Attributes:
        real: Persons whom the generator saw.
        holdout: Persons whom it never saw.
        synthetic: The candidate.
        tuning: Further persons for reference, where there are.
        dictionary: What the columns mean; absent, it is inferred with `columns`.
        policy, floor: The hospital's policy, and the consortium's floor that it may only tighten.
        claim: What protects people by design.
        cumulative_epsilon: Of this population with this candidate.
        restrictions: What is held back, of all tables alike.
        record: Folder of the gate's book.
        on: Today, as an ISO date.
    """

    real: Path
    holdout: Path
    synthetic: Path
    tuning: Path | None = None
    dictionary: Dictionary | None = None
    columns: Columns = field(default_factory=Columns)
    policy: GatePolicy
    floor: GatePolicy | None = None
    claim: Claim
    cumulative_epsilon: float = 0.0
    restrictions: tuple[Restriction, ...] = ()
    record: Path
    on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the gate said, and the candidate as it may leave.

    Attributes:
        corpus: The candidate as it was judged, marked as synthetic (Parquet); only after a pass.
    """

    evidence: Evidence
    verdict: Verdict
    remedies: tuple[Remedy, ...]
    dictionary: Dictionary
    restrictions: tuple[Restriction, ...]
    corpus: bytes | None


def judge(trial: Trial) -> Judged:
    """Measure and judge a candidate; whatever comes of it is written in the gate's book first.

    Raises:
        Refused: the policy is weaker than its floor, the attempts are used up, or the tables share persons.
        Invalid: a table or the dictionary cannot be used.
        Broken: the gate's book was changed.
    """
    book = AttemptBook.open(trial.record)
    protocol = sha256(canonical([file_digest(trial.real), file_digest(trial.holdout)]))
    candidate = sha256(canonical([file_digest(trial.synthetic), [one.plain() for one in trial.restrictions]]))
    attempt = book.attempt_of(protocol, candidate)
    with _refusals_on_record(book, on=trial.on, protocol=protocol, candidate=candidate, attempt=attempt):
        _allowed(trial, attempt)
        judged = _judged(trial, attempt, seed=int(sha256(canonical([protocol, candidate]))[:16], 16))
    against = [ruling.rule for ruling in judged.verdict.rulings if ruling.outcome in ("fail", "not_evaluable")]
    book.note(
        on=trial.on,
        protocol=protocol,
        candidate=candidate,
        attempt=attempt,
        outcome=judged.verdict.outcome,
        reason=", ".join(against),
        evidence_sha256=judged.evidence.fingerprint(),
    )
    return judged


@contextmanager
def _refusals_on_record(book: AttemptBook, *, on: str, protocol: str, candidate: str, attempt: int) -> Iterator[None]:
    try:
        yield
    except WardgateError as error:
        book.note(on=on, protocol=protocol, candidate=candidate, attempt=attempt, outcome="refused", reason=str(error))
        raise


def _allowed(trial: Trial, attempt: int) -> None:
    if trial.floor is not None:
        weaker = weaker_than(trial.policy, trial.floor)
        if weaker:
            raise Refused(f"the policy is weaker than its floor; a site may only tighten it: {'; '.join(weaker)}")
    if attempt > trial.policy.max_attempts:
        raise Refused(
            f"this is attempt {attempt} of {trial.policy.max_attempts} with these real tables; trying until something"
            " passes would itself be a leak. A new protocol version with new splits starts anew"
        )


def _judged(trial: Trial, attempt: int, *, seed: int) -> Judged:
    paths = [trial.real, trial.holdout, trial.synthetic, *([trial.tuning] if trial.tuning else [])]
    dictionary = trial.dictionary or described.infer(
        paths,
        label=trial.columns.label,
        person=trial.columns.person,
        time=trial.columns.time,
        period=trial.columns.period,
        known=trial.columns.known,
        sensitive=trial.columns.sensitive,
        dropped=tuple(one.column for one in trial.restrictions if one.way == "drop"),
    )
    if trial.dictionary is None:
        left = tuple(one for one in trial.restrictions if one.way != "drop")
    else:
        left = trial.restrictions
    kept = restricted_dictionary(dictionary, left)
    real, holdout, synthetic, *more = (restricted(described.read(p, dictionary), dictionary, left) for p in paths)
    dictionary = kept
    _apart(real, holdout, dictionary)
    measured, absent = measure(
        train=real,
        tuning=more[0] if more else real.clear(),
        holdout=holdout,
        candidate=synthetic,
        dictionary=dictionary,
        policy=trial.policy,
        attempt=attempt,
        rng=np.random.default_rng(seed),
    )
    evidence = Evidence(
        kind="corpus",
        persons_train=band(_persons(real, dictionary)),
        attempt=attempt,
        claim=trial.claim,
        cumulative_epsilon=trial.cumulative_epsilon,
        measured=measured,
        absent=absent,
    )
    verdict = decide(evidence, trial.policy)
    return Judged(
        evidence=evidence,
        verdict=verdict,
        remedies=remedies(evidence, verdict, trial.policy),
        dictionary=dictionary,
        restrictions=trial.restrictions,
        corpus=_marked(synthetic, dictionary) if verdict.outcome == "pass" else None,
    )


def _marked(table: pl.DataFrame, dictionary: Dictionary) -> bytes:
    names = {} if dictionary.label is None else {LABEL: dictionary.label}
    kept = [column for column in table.columns if column != dictionary.period]
    return write_corpus(table.select(kept).rename(names), study_sha256="none")


def _persons(table: pl.DataFrame, dictionary: Dictionary) -> int:
    return table.height if dictionary.person is None else table[dictionary.person].n_unique()


def _apart(real: pl.DataFrame, holdout: pl.DataFrame, dictionary: Dictionary) -> None:
    """Refuse tables that share persons: those would stand on both sides of every comparison."""
    if dictionary.person is None:
        return
    both = set(real[dictionary.person]) & set(holdout[dictionary.person])
    if both:
        raise Refused(
            f"the holdout overlaps the training table: both hold some of the same persons by '{dictionary.person}';"
            " a control group must never have been used"
        )


def inferred(paths: Sequence[Path], columns: Columns) -> Dictionary:
    """Return the dictionary that the gate would infer, for a person to review."""
    return described.infer(
        paths,
        label=columns.label,
        person=columns.person,
        time=columns.time,
        period=columns.period,
        known=columns.known,
        sensitive=columns.sensitive,
    )

"""Evidence, rulings and the verdict: what the gate measured and what the policy said of it."""

from typing import Literal

from wardgate.records.claim import Claim
from wardgate.records.measured import Measured
from wardgate.records.record import Digest, Number, Record

Outcome = Literal["pass", "fail", "not_evaluable", "covered_by_dp", "waived"]


Kind = Literal["corpus", "joint-corpus", "summed", "sited", "record", "model", "aggregate", "images"]
"""What may want to leave."""


class Evidence(Record):
    """Everything a policy may look at. Nothing here names a person or holds a row.

    Attributes:
        kind: What wants to leave: `corpus`, `joint-corpus`, `summed`, `sited` (figures of one site),
            `record` (keys, bands, checks and reasons), `model`, `aggregate` (a table of counts, sums or means)
            or `images`.
        persons_train: Training persons in a band, e.g. `1000-1999`.
        attempt: 1 for the first candidate of this protocol version.
        claim: What protects people by design.
        cumulative_epsilon: Epsilon of this population over everything up to and with this release.
        measured: All measures, also those that no rule reads.
        absent: Measures that could not be taken, with the reason.
    """

    kind: Kind
    persons_train: str
    attempt: int
    claim: Claim
    cumulative_epsilon: Number
    measured: tuple[Measured, ...]
    absent: tuple["Absent", ...] = ()


class Absent(Record):
    """A measure that could not be taken."""

    name: str
    reason: str


class Ruling(Record):
    """What one rule said.

    Attributes:
        rule: Name of the rule, e.g. `membership.battery`.
        outcome: `covered_by_dp` marks a test that could not be run and is replaced by a whole DP claim.
        measured: The value it judged, when there was one.
        limit: The limit in the words of the policy.
        meaning: What it means for one patient, in plain words.
        reason: Why, where the outcome is not a plain pass.
        detects: Which leak the test would have caught, and how surely.
    """

    rule: str
    outcome: Outcome
    limit: str
    meaning: str
    measured: Measured | None = None
    reason: str = ""
    detects: str = ""


class Verdict(Record):
    """The decision of a policy on one piece of evidence. All rulings are here, also those that passed.

    `outcome` is `fail` if any ruling failed, else `not_evaluable` if any ruling is so, else `pass_with_exceptions` if
    two persons waived a ruling, else `pass`.
    """

    outcome: Literal["pass", "pass_with_exceptions", "fail", "not_evaluable"]
    rulings: tuple[Ruling, ...]
    policy_sha256: Digest
    evidence_sha256: Digest


Evidence.model_rebuild()

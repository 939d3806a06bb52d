"""How a network was trained over hospitals: what was asked, round by round, and what came of it."""

from typing import Annotated, Literal

from pydantic import Field

from wardgate.records.claim import Claim
from wardgate.records.measured import Measured
from wardgate.records.record import AnyNumber, Digest, Name, Number, Record

SCHEMA = "wardgate/training/1"

Count = Annotated[int, Field(ge=0)]


class TrainingRound(Record):
    """One round.

    Attributes:
        number: From 0.
        weight: What the hospitals that trained count for together: their persons, or their number.
        before, after: Mean loss of their training persons; NaN where noise would have to cover it.
        loss, auroc: On tuning persons after the round: mean squared error, and AUROC from coarse bins; NaN where nobody
            asked.
        moved: Bytes both ways.
        sites: Hospitals whose sums opened.
        said: How a hospital's round ended, in one word of a fixed list, where it was allowed to say so.
    """

    number: Count
    weight: AnyNumber
    before: AnyNumber
    after: AnyNumber
    loss: AnyNumber
    auroc: AnyNumber
    moved: Count
    sites: tuple[Name, ...]
    said: dict[str, str] = Field(default_factory=dict)


class TrainingAlarm(Record):
    """Something that people must look at."""

    kind: Name
    sites: tuple[Name, ...]
    words: str
    stops: bool


class Training(Record):
    """A whole training.

    Attributes:
        algorithm, rate: How; a name of the menu, or of a way with noise.
        chosen: Whether `auto` chose it.
        advice: What the comparison said where something simpler does as well; empty otherwise.
        planned, best: Rounds that were allowed, and rounds behind the model.
        stopped: Why it ended before its last round; empty where it did not.
        claim: What all sums cost.
        moved: Bytes both ways.
        sites: All whose persons stand in any of the sums.
        model_sha256: Of the model's file.
        held_out: AUROC, O/E, slope and Brier score on holdout persons, by a sum; empty with the reason in `not_judged`.
    """

    schema_: Literal["wardgate/training/1"] = Field(default="wardgate/training/1", alias="schema")
    study_id: Name
    study_version: int
    study_sha256: Digest
    network: Name
    network_sha256: Digest
    network_numbers: Count
    algorithm: str
    rate: Number | None = None
    robust: str = ""
    chosen: bool = False
    advice: str = ""
    planned: Count
    best: Count
    stopped: str = ""
    claim: Claim
    moved: Count
    sites: tuple[Name, ...]
    rounds: tuple[TrainingRound, ...]
    alarms: tuple[TrainingAlarm, ...] = ()
    model_sha256: Digest
    held_out: tuple[Measured, ...] = ()
    not_judged: str = ""

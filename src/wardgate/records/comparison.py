"""What was learnt on simulated hospitals before any patient was asked, and the algorithm that this recommends."""

from typing import Annotated, Literal

from pydantic import Field

from wardgate.records.record import AnyNumber, Digest, Name, Number, Record

SCHEMA = "wardgate/comparison/1"

Kind = Literal["regression", "boosting", "network", "bound"]
"""Of a candidate, the simpler first. A `bound` is no way to learn over hospitals: pooled rows, or each one alone."""

Count = Annotated[int, Field(ge=0)]


class Tried(Record):
    """One candidate on one division of the corpora.

    Attributes:
        candidate, kind: What was tried.
        way, seed: How the rows were divided into hospitals.
        rate: Of the hospitals' steps, as tuned; absent where there is none.
        whole: Whether a round was one step on all persons of each hospital instead of several on batches.
        auroc, oe, slope: On all held-out rows together; absent where it failed.
        worst: AUROC at the hospital with the lowest one, among those where it can be told.
        rounds, moved: Sums asked for, and bytes both ways.
        failed: Why there are no figures.
    """

    candidate: Name
    kind: Kind
    way: str
    seed: int
    rate: Number | None = None
    whole: bool = False
    auroc: AnyNumber | None = None
    oe: AnyNumber | None = None
    slope: AnyNumber | None = None
    worst: AnyNumber | None = None
    rounds: Count = 0
    moved: Count = 0
    failed: str = ""


class Candidate(Record):
    """One candidate over all divisions.

    Attributes:
        label: Its name for people.
        auroc, oe, slope, worst: Means over divisions; the ratio O/E is averaged on the scale of logarithms.
        low: Lowest AUROC of any division.
        behind: Mean AUROC that it stays behind the leader, division by division; below 0 where it is ahead.
        error: Standard error of `behind`.
        rounds, moved: Means.
        guards: Which guards it misses, in words; with one, it is not recommended while another misses none.
        equal: Whether nothing tells it from the leader.
    """

    name: Name
    label: str
    kind: Kind
    rate: Number | None = None
    whole: bool = False
    auroc: AnyNumber
    low: AnyNumber
    oe: AnyNumber
    slope: AnyNumber
    worst: AnyNumber
    behind: AnyNumber = 0.0
    error: AnyNumber = 0.0
    rounds: Number
    moved: Number
    guards: tuple[str, ...] = ()
    equal: bool = False


class Comparison(Record):
    """A whole comparison. Nothing in it comes from a patient but by way of the corpora.

    Attributes:
        corpora: SHA-256 of each corpus's file; absent where tables were given.
        rows, sites: Rows that were used of all corpora together, and hospitals simulated.
        epsilon: What the recommended way may cost on real patients; absent where sums may be exact.
        ways, seeds: How rows were divided, and how often each.
        tried: Everything, also what failed.
        candidates: Best first; bounds last.
        recommended: Name of a candidate.
        algorithm: The best way to train the network itself, whether or not something simpler does as well.
        rate, whole: Its rate, and whether a round is one step on all persons.
        rule: How it was chosen, as it stood before anything ran.
        reason: Why, with the figures.
        cannot_tell: What this cannot tell.
    """

    schema_: Literal["wardgate/comparison/1"] = Field(default="wardgate/comparison/1", alias="schema")
    study_id: Name
    study_version: int
    study_sha256: Digest
    network: Name
    network_sha256: Digest
    network_numbers: Count
    corpora: tuple[Digest, ...] = ()
    rows: Count
    sites: Count
    epsilon: Number | None = None
    rounds: Count
    ways: tuple[str, ...]
    seeds: tuple[int, ...]
    tried: tuple[Tried, ...]
    candidates: tuple[Candidate, ...]
    recommended: Name
    algorithm: Name
    rate: Number | None = None
    whole: bool = False
    rule: tuple[str, ...]
    reason: tuple[str, ...]
    cannot_tell: tuple[str, ...]

    def of(self, name: str) -> Candidate:
        """Return a candidate."""
        return next(one for one in self.candidates if one.name == name)

"""What wants to leave. The gate knows these five kinds and no other."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from wardgate.privacy.budget import Split
from wardgate.records.claim import Claim
from wardgate.records.measured import Measured
from wardgate.records.messages import SplitName
from wardgate.records.verdict import Absent, Evidence, Verdict
from wardgate.sums.plan import SumPlan
from wardgate.sums.seat import Seat
from wardgate.sums.shape import Bounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Public facts about a site that hold no figure of fewer than eleven persons: keys, bands, reasons.

    Attributes:
        smallest_cell: The smallest count of persons behind any figure in it.
        figures: How many figures about persons it holds, beside the band of their number.
    """

    said: dict[str, object]
    smallest_cell: int
    figures: int = 0
    blobs: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sited:
    """One site's own figures. The gate rounds them; text passes as it is.

    Attributes:
        figures: Name to value.
        said: What goes with them.
        models: How many models or directions the figures speak of; each is one exact answer.
        smallest_cell: The smallest count of persons behind any figure.
        opening: Number of the locked test's opening, if it was opened.
    """

    split: SplitName
    figures: dict[str, float]
    said: dict[str, object] = field(default_factory=dict)
    models: int = 1
    smallest_cell: int
    opening: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """One addend of a secure sum.

    Attributes:
        persons_of: Persons at least of every site that was ever introduced, over all splits.
        share: Share of persons in this split.
        persons_at_least: Persons at least of the whole sum, in this split.
        said: Words out of a fixed list that go beside an exact sum in the open.
    """

    split: SplitName
    bounded: Bounded
    pair_secrets: dict[str, bytes]
    persons_of: Mapping[str, int]
    share: float
    persons_at_least: int
    opening: int | None = None
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A masked answer of this site to a sum that may lose sites; it opens only with what this site still has to say.

    Attributes:
        plan: Of the sum, with its slot.
        seat: This site's seat in the slot's batch.
        claim: What protects the persons in the sum.
        share: Share of persons in this split.
    """

    plan: SumPlan
    seat: Seat
    split: Split
    claim: Claim
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The list of sites whose sum is about to open; the last word on whom a sum gives away.

    Attributes:
        survivors: As the hub names them.
        persons_of: Persons at least of every site that was ever introduced, over all splits.
    """

    pending: Pending
    survivors: tuple[str, ...]
    persons_of: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusTry:
    """One candidate corpus, measured; `earlier` are the attempts before it, with their verdicts."""

    table: pl.DataFrame
    generator: str
    claim: Claim
    attempt: int
    measured: tuple[Measured, ...]
    absent: tuple[Absent, ...]
    cumulative_epsilon: float
    persons_train: int
    earlier: tuple[tuple[Evidence, Verdict], ...] = ()


Candidate = Statement | Sited | Summed | Confirmation | CorpusTry

"""What a driver wants to know next. A driver is a generator of asks; it never sees a site's plaintext addend."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.computation import Computation
from wardgate.records.messages import Answer, SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question to a set of sites.

    Attributes:
        what: In words, for progress and the report.
        shape: The public shape of a summed answer; None asks for sited answers.
        noise_multiplier: Noise of the sum over the L2 bound of one person; None asks for an exact sum.
        arrays: Named vectors that travel beside the question.
        blobs: Named opaque bytes that travel beside it, for every site.
        site_blobs: Further named bytes for one site each.
        beside: Asks of other sites that go out at the same time; no site is in two of them.
    """

    what: str
    computation: str
    sites: tuple[str, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    split: SplitName = "none"
    noise_multiplier: float | None = None
    shape: Shape | None = None
    arrays: tuple[tuple[str, Vector], ...] = ()
    blobs: tuple[tuple[str, bytes], ...] = ()
    site_blobs: Mapping[str, tuple[tuple[str, bytes], ...]] = field(default_factory=dict)
    beside: tuple["Ask", ...] = ()

    @property
    def all(self) -> tuple["Ask", ...]:
        """This ask and those beside it."""
        return (self, *self.beside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came back.

    Attributes:
        total: The opened sum; None for sited answers.
        noise: Standard deviation of the noise in every entry of the total; 0 for exact sums.
        answers: The signed statements by site, refusals among them.
        blobs: What travelled beside each answer, by name.
        envelopes: The signed answers themselves.
        sites: Whose sum it is, sorted; fewer than were asked where some dropped out.
        bytes_out: Bytes that left hospitals for this ask.
        bytes_in: Bytes that entered hospitals for this ask.
        said: What sites said beside their masked answers, by site.
        beside: What came of the asks beside it, in their order.
        failed: Why a sum that has others beside it, or lies beside one, stayed closed; it then has no total.
    """

    total: Vector | None = None
    noise: float = 0.0
    answers: Mapping[str, Answer] = field(default_factory=dict)
    blobs: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    envelopes: Mapping[str, bytes] = field(default_factory=dict)
    sites: tuple[str, ...] = ()
    bytes_out: int = 0
    bytes_in: int = 0
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    beside: tuple["Told", ...] = ()
    failed: str = ""

    @property
    def all(self) -> tuple["Told", ...]:
        """This and what came beside it."""
        return (self, *self.beside)

    @property
    def bytes_moved(self) -> int:
        """Bytes both ways."""
        return self.bytes_out + self.bytes_in

    def refusal(self, site: str) -> str:
        """Return why a site gave nothing, in its own words or ours."""
        answer = self.answers.get(site)
        return "did not answer" if answer is None else answer.refusal

    def released(self) -> dict[str, Answer]:
        """Return the answers that are no refusals, by site."""
        return {site: answer for site, answer in self.answers.items() if answer.outcome == "released"}

    def sum(self) -> Vector:
        """Return the total of a summed answer."""
        if self.total is None:
            raise RuntimeError("this ask was not answered by a sum")
        return self.total


def sum_ask(
    asked: Computation,
    *,
    what: str,
    study: Study,
    sites: tuple[str, ...],
    split: SplitName = "train",
    noise_multiplier: float | None = None,
) -> Ask:
    """Return the ask for one sum.

    Args:
        noise_multiplier: Noise of the sum over the L2 bound of one person; None asks for an exact sum.

    Raises:
        Invalid: the computation does not fit the study.
    """
    return Ask(
        what=what,
        computation=asked.name,
        sites=sites,
        parameters=asked.parameters(),
        split=split,
        noise_multiplier=noise_multiplier,
        shape=asked.shape(study),
        arrays=asked.arrays(),
    )

"""Groups of at least three hospitals, drawn once by the public coin, and one round asked of all of them at once.

The hub sees a sum for each group and nothing of one hospital. Whoever is in which group nobody could choose.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.network_update import LARGEST_LOSS, NetworkUpdate
from wardgate.computations.networks import LARGEST_WEIGHT
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.leave_out import SMALLEST_BLOCK, blocks
from wardgate.hub.pooling.networks.gather import Gathered, gathered
from wardgate.records.canonical import sha256
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

Vector = NDArray[np.float64]
Group = tuple[str, ...]
Introduce = Callable[[Group], Generator[Ask, Told, Any]]

FEWEST_GROUPS = 3
"""Of two groups, nobody can say which is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one group said in one round.

    Attributes:
        got: Its sum, read; None where it stayed closed.
        closed: Why it stayed closed.
        changes: SHA-256 of each member's signed answer, by hospital.
    """

    group: Group
    got: Gathered | None
    closed: str
    changes: Mapping[str, str]
    bytes_moved: int

    @property
    def trained(self) -> bool:
        """Whether it opened and somebody in it trained."""
        return self.got is not None and not self.got.stop


def groups_of(sites: tuple[str, ...], *, coin: str) -> tuple[Group, ...]:
    """Divide hospitals into as many groups of at least three as there can be; fixed by the coin.

    Raises:
        Invalid: fewer than nine hospitals, so fewer than three groups.
    """
    if len(sites) < FEWEST_GROUPS * SMALLEST_BLOCK:
        raise Invalid(
            f"{len(sites)} hospitals make fewer than {FEWEST_GROUPS} groups of {SMALLEST_BLOCK}, and of two groups"
            " nobody can say which is wrong; train without groups, or with at least nine hospitals"
        )
    return blocks(sites, coin=coin, most=len(sites) // SMALLEST_BLOCK)


def ask_groups(
    asked: NetworkUpdate, groups: tuple[Group, ...], *, study: Study, what: str
) -> Generator[Ask, Told, tuple[Reply, ...]]:
    """Ask all groups for one round at the same time; return what each said.

    Raises:
        Invalid: the question does not fit the study.
        CheckFailed: the only group there is stayed closed; thrown in by whoever carries the asks.
    """
    first, *others = [
        sum_ask(asked, what=f"{what}, group {number + 1} of {len(groups)}", study=study, sites=group)
        for number, group in enumerate(groups)
    ]
    told = yield replace(first, beside=tuple(others))
    return tuple(_reply(asked, group, one, study) for group, one in zip(groups, told.all, strict=True))


def impossible(asked: NetworkUpdate, got: Gathered) -> str:
    """Return why honest hospitals cannot have given this sum; empty where they can.

    The mean of changes that were each cut to one length is no longer than that length, however they are weighted.
    """
    longest, found = asked.work.longest, float(np.linalg.norm(got.change))
    if not found <= longest * (1 + 1e-6):
        return f"its mean change is {found:.3g} long, and every honest one is cut to {longest:g}"
    if not bool(np.all(np.abs(asked.weights + got.change) <= LARGEST_WEIGHT)):
        return f"its change leads to a weight beyond {LARGEST_WEIGHT:g}"
    trained = asked.work.weighing == "persons" and not got.stop
    if trained and not all(-1e-6 <= one <= LARGEST_LOSS * (1 + 1e-6) for one in (got.before, got.after)):
        return "its losses lie outside of what any persons can have"
    return ""


def _reply(asked: NetworkUpdate, group: Group, told: Told, study: Study) -> Reply:
    return Reply(
        group=group,
        got=None if told.total is None else gathered(asked, told, study=study),
        closed="" if told.total is not None else told.failed or "its sum stayed closed",
        changes={site: sha256(told.envelopes[site]) for site in sorted(told.envelopes)},
        bytes_moved=told.bytes_moved,
    )

"""How the changes of one round come together: here by one sum over all hospitals.

A robust round asks groups of hospitals instead and answers alike, so whoever trains need not know which it is.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.network_update import NetworkUpdate
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

Vector = NDArray[np.float64]

SAID = "training"
"""Under which word a hospital says how its round ended; see `computations.network_update.OUTCOMES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that people must look at.

    Attributes:
        kind: A word out of the list of whoever raises it.
        sites: Whom it concerns; a group where only the group is known.
        words: What was found, what was expected, what to do.
        stops: Whether training cannot go on.
    """

    kind: str
    sites: tuple[str, ...]
    words: str
    stops: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What came of one round.

    Attributes:
        change: Mean change of the flat vector, shape (size,); 0 where a tensor stays at the hospitals.
        control: Mean change of the control variates of those that trained, weighted alike, shape (size,); empty
            without SCAFFOLD.
        weight: Training persons of those that trained, or the number of hospitals where each counts for one.
        before, after: Their mean loss before and after; NaN where nobody may say.
        bytes_moved: Both ways.
        sites: Whose sums opened; fewer than were asked where some dropped out.
        said: Outcome by site, where sites may say one.
        alarms: What people must look at.
        stop: Why training must stop; empty where it need not.
    """

    change: Vector
    control: Vector
    weight: float
    before: float
    after: float
    bytes_moved: int
    sites: tuple[str, ...]
    said: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    alarms: tuple[Alarm, ...] = ()
    stop: str = ""


class Gather(Protocol):
    """Asks for one round, and says what came of it."""

    def __call__(self, asked: NetworkUpdate, *, sites: tuple[str, ...], what: str) -> Generator[Ask, Told, Gathered]:
        """Ask `sites` and return what came together.

        Args:
            what: In words, for progress and the report.

        Raises:
            Invalid: the question does not fit the study.
            CheckFailed: a sum stayed closed, and nothing can go on without it; thrown in by whoever carries the asks.
        """
        ...


def summed_gather(study: Study, *, noise_multiplier: float | None = None) -> Gather:
    """Return the gathering by one sum over all hospitals.

    Args:
        noise_multiplier: Noise of the sum over what one person changes in it; None asks for an exact sum.
    """

    def gather(asked: NetworkUpdate, *, sites: tuple[str, ...], what: str) -> Generator[Ask, Told, Gathered]:
        told = yield sum_ask(asked, what=what, study=study, sites=sites, noise_multiplier=noise_multiplier)
        found = gathered(asked, told, study=study)
        went = sum(outcome in WENT for outcome in found.said.values())
        least = study.gate.min_sites_in_sum
        if found.stop or not found.said or not went < least <= len(told.sites):
            return found
        words = (
            f"{went} of {len(told.sites)} hospitals trained, and said so; their next sums would be those of fewer than"
            f" {least} hospitals, so they are asked no more"
        )
        alarm = Alarm(kind="few-trained", sites=told.sites, words=words)
        return replace(found, sites=(), alarms=(*found.alarms, alarm), stop=words)

    return gather


WENT = ("trained", "one-class")
"""Outcomes of hospitals whose change is in the sum."""


def gathered(asked: NetworkUpdate, told: Told, *, study: Study) -> Gathered:
    """Return what one opened sum says of a round. Nobody trained: no change, weight 0, and a reason to stop."""
    said = outcomes(told)
    odd = tuple(
        Alarm(kind=outcome, sites=(site,), words=f"'{site}': {WORDS.get(outcome, outcome)}")
        for site, outcome in said.items()
        if outcome != "trained"
    )
    empty, stop = np.zeros(0), ""
    change, control, weight, before, after = np.zeros(len(asked.weights)), empty, 0.0, np.nan, np.nan
    try:
        heard = asked.heard(told.sum(), study=study, sites=len(told.sites))
        change, weight, before, after = heard.change, heard.weight, heard.before, heard.after
        control = heard.control / weight if len(heard.control) else empty
    except Invalid:
        control = np.zeros(len(asked.weights)) if asked.work.scaffold else empty
        stop = "no hospital trained in this round"
    return Gathered(
        change=change,
        control=control,
        weight=weight,
        before=before,
        after=after,
        bytes_moved=told.bytes_moved,
        sites=told.sites,
        said=said,
        alarms=odd,
        stop=stop,
    )


def outcomes(told: Told) -> dict[str, str]:
    """Return how each site's round ended, where it said so."""
    return {site: str(words[SAID]) for site, words in sorted(told.said.items()) if SAID in words}


WORDS: Mapping[str, str] = MappingProxyType(
    {
        "trained": "trained",
        "one-class": "fewer of its training persons than the smallest cell have, or have not, the outcome, perhaps"
        " nobody; it trained all the same, but look whether its label is right",
        "no-persons": "sat out, since it has no training persons",
        "not-finite": "sat out, since its loss or weights became no number; look at its values, or lower the rate",
        "diverged": "sat out, since its weights moved too far; lower the rate",
        "out-of-memory": "sat out, since its memory did not suffice; lower the batch, or give it more",
    }
)
"""Outcomes in words. Who sits out counts for nothing in the round; the others go on."""

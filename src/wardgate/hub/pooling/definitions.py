"""Does every site mean the same by the outcome? Asked before anything is fitted, from rounded sited answers.

An exact sum may not be used for this: leaving the odd site out of a later sum would give that site away
(docs/adr/0006). Each site says how its inputs go with its outcome; the weighted median over sites is a public
direction; each site then says how well that direction ranks its own persons. Coded the other way round, it ranks
them backwards.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.hub.pooling.ask import Ask, Told
from wardgate.records.bands import at_least
from wardgate.records.canonical import number_of, text_of

Vector = NDArray[np.float64]

FAMILY_ERROR = 0.01
"""At most this chance of naming any site of a clean study (Bonferroni over sites, one-sided)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concordance:
    """What one site's persons say of the common direction; None where it could not be shown."""

    site: str
    value: float | None
    low: float | None
    high: float | None
    named: bool
    reason: str


def compare_definitions(
    *, sites: tuple[str, ...], columns: int, minimum_sites: int = 3
) -> Generator[Ask, Told, tuple[Concordance, ...]]:
    """Name the sites whose outcome runs against the others'.

    A site is named if the upper end of its concordance, at a level that keeps the whole family of sites below
    `FAMILY_ERROR`, lies under one half. With fewer than `minimum_sites` answers nobody can be named.
    """
    told = yield Ask(
        what="definitions: associations with the outcome", computation="associations", sites=sites, split="train"
    )
    known = {site: answer for site, answer in told.released().items() if answer.statement.get("figures")}
    refusals = {site: told.refusal(site) for site in sites if site not in known}
    if len(known) < minimum_sites:
        reason = f"fewer than {minimum_sites} sites could show how their inputs go with the outcome"
        return tuple(_silent(site, refusals.get(site) or reason) for site in sites)
    direction = consensus(
        np.array([_vector(answer.statement["figures"], columns) for answer in known.values()]),
        np.array([math.sqrt(max(at_least(str(answer.statement["n_band"])), 1)) for answer in known.values()]),
    )
    told = yield Ask(
        what="definitions: concordance with the common direction",
        computation="evaluate",
        sites=tuple(known),
        parameters={"models": ["direction"], "level": text_of(1 - 2 * FAMILY_ERROR / len(known))},
        split="train",
        arrays=(("direction", direction),),
    )
    found = []
    for site in sites:
        answer = told.answers.get(site)
        if answer is None or answer.outcome == "refused":
            found.append(_silent(site, refusals.get(site) or told.refusal(site)))
            continue
        figures = {name: number_of(text) for name, text in answer.statement["figures"].items()}
        found.append(
            judge(
                site,
                figures["direction.auroc"],
                figures["direction.auroc_low"],
                figures["direction.auroc_high"],
            )
        )
    return tuple(found)


def consensus(associations: Vector, weights: Vector) -> Vector:
    """Return the weighted median over sites of each column's association.

    Args:
        associations: Shape (sites, p).
        weights: Shape (sites,), positive.

    A median: sites that hold less than half of the weight cannot turn the direction, however they answer.
    """
    order = np.argsort(associations, axis=0, kind="stable")
    ranked = np.take_along_axis(associations, order, axis=0)
    cumulative = np.cumsum(weights[order], axis=0)
    place = np.argmax(cumulative >= 0.5 * weights.sum(), axis=0)
    return np.asarray(np.take_along_axis(ranked, place[None, :], axis=0)[0])


def judge(site: str, value: float, low: float, high: float) -> Concordance:
    """Return the finding for one site."""
    named = high < 0.5
    reason = (
        "Its persons are ranked backwards: the outcome is probably coded the other way round."
        if named
        else "In line with the others."
        if low > 0.5
        else "No clear relation. Not named, since an absent relation is no inverted one."
    )
    return Concordance(site=site, value=value, low=low, high=high, named=named, reason=reason)


def _silent(site: str, reason: str) -> Concordance:
    return Concordance(site=site, value=None, low=None, high=None, named=False, reason=reason or "no answer")


def _vector(figures: dict[str, str], columns: int) -> Vector:
    return np.array([number_of(figures.get(str(index), "0")) for index in range(columns)])

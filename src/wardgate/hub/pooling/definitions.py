"""Does every site mean the same by the outcome? Asked before anything is fitted, from rounded sited answers.

An exact sum may not be used for this: leaving the odd site out of a later sum would give that site away
(docs/adr/0006). Each site says how its inputs go with its outcome; the weighted median over sites is a public
direction; each site then says how well that direction ranks its own persons. Coded the other way round, it ranks
them backwards. Prevalence, units, levels and single features are compared beside it (`compare_sites`), from figures
that came with the same answer.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.definitions.compare import compare_sites
from wardgate.computations.definitions.statistics import statistics_from
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.records.bands import at_least
from wardgate.records.canonical import number_of, text_of
from wardgate.records.feature import Feature
from wardgate.records.named import Named

Vector = NDArray[np.float64]

FAMILY_ERROR = 0.01
"""At most this chance of naming any site of a clean study (Bonferroni over sites, one-sided)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concordance:
    """What one site's persons say of the common direction; None where it could not be shown.

    Attributes:
        named: Whether the site stays out of exact sums, by the direction or by what `compare_sites` found.
        findings: What else stands out there.
    """

    site: str
    value: float | None
    low: float | None
    high: float | None
    named: bool
    reason: str
    findings: tuple[Named, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What stands out and keeps nobody out, in words."""
        return tuple(one.evidence for one in self.findings if not one.excludes)


def compare_definitions(
    *,
    sites: tuple[str, ...],
    columns: int,
    features: Sequence[Feature] = (),
    step: float = 0.01,
    minimum_sites: int = 3,
) -> Generator[Ask, Told, tuple[Concordance, ...]]:
    """Name the sites whose outcome or features mean something else than the others'.

    An outcome runs backwards if the upper end of its concordance, at a level that keeps the whole family of sites below
    `FAMILY_ERROR`, lies under one half; `compare_sites` says of the rest. With fewer than `minimum_sites` answers
    nobody can be named.

    Args:
        columns: Of the design, the intercept among them.
        features: The study's; without them only the direction of the outcome is compared.
        step: To which the gates round.
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
    statements = {site: answer.statement for site, answer in known.items()}
    others = findings(statements, features, step=step)
    return tuple(_with(one, [other for other in others if other.site == one.site]) for one in found)


def findings(
    statements: Mapping[str, Mapping[str, Any]], features: Sequence[Feature], *, step: float
) -> tuple[Named, ...]:
    """Compare what sites answered to `associations`.

    Args:
        statements: By site, as signed.
        step: To which the gates round.
    """
    told = []
    for site, said in statements.items():
        figures = {name: number_of(text) for name, text in said.get("figures", {}).items()}
        persons = at_least(str(said.get("n_band", "<11")))
        one = statistics_from(site, figures, features, persons_at_least=persons, step=step)
        if one is not None:
            told.append(one)
    return compare_sites(told, features)


def contradictions(
    statements: Mapping[str, Mapping[str, Any]], features: Sequence[Feature], *, step: float
) -> tuple[Named, ...]:
    """Return the findings that keep a site out of exact sums; whoever receives a run compares anew by this."""
    return tuple(one for one in findings(statements, features, step=step) if one.excludes)


def _with(one: Concordance, others: Sequence[Named]) -> Concordance:
    told = [f"{_sentence(other.evidence)}." for other in others if other.excludes]
    found = replace(one, findings=tuple(others))
    return replace(found, named=True, reason=" ".join([one.reason, *told] if one.named else told)) if told else found


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


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

"""The road from a domain to a model in three rounds; whoever drives it fetches noisy counts and sends them in.

    road = grow(domain, plan(domain, epsilon=1.0, delta=1e-6, structure="summed"))
    ask = next(road)
    while True:
        try:
            ask = road.send(noisy counts of ask.workload, noise of standard deviation ask.sigma)
        except StopIteration as end:
            model = end.value

A ward counts its own table and adds the noise; the hub asks for the sum over sites in which each adds a share of
it. The road is the same, so a joint corpus has the distribution of a central one. Nothing here is random: an
interrupted run is taken up again by sending the same totals.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wardgate.marginals.domain import Domain
from wardgate.marginals.estimate import simplex
from wardgate.marginals.levels import grouped, side_of, whole
from wardgate.marginals.links import Links, Noisy, coarse_groups, links_of, raw_tables, total_count
from wardgate.marginals.model import TreeModel, fit
from wardgate.marginals.plan import Plan
from wardgate.marginals.structure import Edges, all_pairs, summed_edges
from wardgate.marginals.workload import Groups, Workload
from wardgate.records.errors import Invalid, Refused
from wardgate.records.study import ClinicalRule

LINK_BINS = 12
COARSE_BINS = 8
LINK_FLOOR = 4.0
CLIQUE_FLOOR = 1.5

Choose = Callable[[Links, Groups, float], Edges]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One round's question.

    Attributes:
        sigma: Standard deviation of the noise of one entry: `noise_multiplier` x `workload.l2`.
    """

    name: Literal["histograms", "links", "cliques"]
    workload: Workload
    noise_multiplier: float

    @property
    def sigma(self) -> float:
        return self.noise_multiplier * self.workload.l2


def grow(
    domain: Domain, plan: Plan, *, rules: tuple[ClinicalRule, ...] = (), choose: Choose | None = None
) -> Generator[Ask, NDArray[Any], TreeModel]:
    """Ask for noisy counts, round by round, and return the model.

    Args:
        choose: Picks the edges where the plan's structure is `chosen`; sees the links, the coarse groups and the
            noise of a clique entry, and pays for its choices from the plan.

    Raises:
        Invalid: the plan wants chosen edges and nobody chooses, or an answer has the wrong length.
        Refused: the noisy counts show too few persons for this budget, or a label of one class.
            The budget is spent by then: reserve it before the first round.
    """
    if plan.choices and choose is None:
        raise Invalid("this plan chooses its pairs of features; hand in `choose`, or plan with structure='summed'")
    first = yield from _round("histograms", histograms(domain), plan.histograms)
    persons = total_count(domain, [first])
    rounds = [first]
    edges: Edges = ()
    second_workload = links_workload(domain, first, plan)
    if second_workload.queries:
        rounds.append((yield from _round("links", second_workload, plan.links)))
    links = links_of(domain, rounds)
    _enough(links, max(noisy.sigma for noisy in rounds), persons)
    groups: Groups = ()
    if math.isfinite(plan.cliques):
        sigma = plan.cliques * math.sqrt(domain.features - 1)
        bins = int(np.clip(math.sqrt(links.persons / (2 * CLIQUE_FLOOR * sigma)), 2, COARSE_BINS))
        groups = coarse_groups(domain, links, bins=bins, floor=2 * sigma)
        if plan.structure == "summed":
            edges = summed_edges(domain, links, rounds[-1])
        elif choose is not None:
            edges = choose(links, groups, sigma)
    else:
        groups = links.groups
    if edges:
        rounds.append((yield from _round("cliques", cliques(domain, groups, edges), plan.cliques)))
    return fit(domain, rounds, groups=groups, edges=edges, rules=rules)


def _round(
    name: Literal["histograms", "links", "cliques"], workload: Workload, noise_multiplier: float
) -> Generator[Ask, NDArray[Any], Noisy]:
    ask = Ask(name=name, workload=workload, noise_multiplier=noise_multiplier)
    values = np.asarray((yield ask), dtype=np.float64)
    if values.shape != (workload.size,) or not np.all(np.isfinite(values)):
        raise Invalid(f"round '{name}' expected {workload.size} finite counts, found shape {values.shape}")
    return Noisy(workload=workload, values=values, sigma=ask.sigma)


def histograms(domain: Domain) -> Workload:
    """Round 1: the cells of each number, and each category or boolean beside the label."""
    marginals = [
        (column, domain.features) if domain.columns[column].kind == "nominal" else (column,)
        for column in range(domain.features)
    ]
    return Workload(domain=domain, groups=whole(domain), marginals=tuple(marginals))


def links_workload(domain: Domain, first: Noisy, plan: Plan) -> Workload:
    """Round 2: bins of each number beside the label; for a summed structure also all signed pairs."""
    raw = raw_tables([first])
    persons = total_count(domain, [first])
    groups, sides, marginals = list(whole(domain)), [], []
    for position, column in enumerate(domain.columns[:-1]):
        table = raw[(position,)][0] if column.kind != "nominal" else raw[(position, domain.features)][0].sum(axis=1)
        weights = simplex(table, persons)
        sides.append(side_of(column, weights))
        if column.kind != "nominal":
            floor = 2 * LINK_FLOOR * plan.links * math.sqrt(len(domain.columns))
            groups[position] = grouped(column, weights, LINK_BINS, floor=floor)
            marginals.append((position, domain.features))
    summed = plan.structure == "summed" and math.isfinite(plan.cliques)
    return Workload(
        domain=domain,
        groups=tuple(groups),
        marginals=tuple(marginals),
        sides=(*sides, (-1, 1)) if summed else (),
        pairs=all_pairs(domain) if summed else (),
    )


def cliques(domain: Domain, groups: Groups, edges: Edges) -> Workload:
    """Round 3: each chosen pair of features beside the label, in coarse groups."""
    return Workload(
        domain=domain, groups=groups, marginals=tuple((left, right, domain.features) for left, right in edges)
    )


def _enough(links: Links, sigma: float, persons: float) -> None:
    if min(persons, links.persons) < 4 * sigma:
        raise Refused(
            "the noise of this budget is as large as the whole hospital: no corpus can be made; "
            "take part in the joint corpus, or ask for a larger epsilon"
        )
    if float(links.label.min()) < 2 * sigma:
        raise Refused(
            "one class of the label has no more persons than the noise of this budget; a corpus would teach nothing "
            "about it: take part in the joint corpus, or ask for a larger epsilon"
        )

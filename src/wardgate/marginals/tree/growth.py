"""The road from a domain to a model in a few rounds; whoever drives it fetches noisy counts and sends them in.

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
from wardgate.marginals.levels import all_sides, grouped, whole
from wardgate.marginals.tree.links import (
    Links,
    Noisy,
    cell_counts,
    coarse_groups,
    links_of,
    person_count,
    query_alone,
    query_beside_label,
    query_pair,
)
from wardgate.marginals.tree.model import TreeModel, fit
from wardgate.marginals.tree.plan import Plan
from wardgate.marginals.tree.structure import Edges, pair_queries, summed_edges
from wardgate.marginals.workload import Groups, Query, Workload
from wardgate.records.errors import Invalid, Refused
from wardgate.records.feature import ClinicalRule

LINK_BINS = (4, 16)
PAIR_BINS = 8
LINK_FLOOR = 30.0
PAIR_FLOOR = 1.5

Choose = Callable[[Links, Groups, float], Edges]


Name = Literal["histograms", "links", "signs", "pairs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One round's question.

    Attributes:
        sigma: Standard deviation of the noise of one entry: `noise_multiplier` x `workload.l2`.
    """

    name: Name
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
    second = yield from _round("links", differences(domain, first, plan), plan.links)
    links = links_of(domain, [first, second])
    _enough(links, max(first.sigma, second.sigma))
    if not math.isfinite(plan.pairs):
        return fit(domain, links, groups=links.groups, rules=rules)
    sigma = plan.pairs * math.sqrt(domain.features - 1)
    bins = int(np.clip(math.sqrt(links.persons / (PAIR_FLOOR * sigma)), 2, PAIR_BINS))
    groups = coarse_groups(domain, links, bins=bins, floor=2 * sigma)
    if plan.structure == "summed":
        signed = yield from _round("signs", signs(domain, links), plan.signs)
        edges = summed_edges(domain, links, signed)
    else:
        edges = choose(links, groups, sigma) if choose is not None else ()
    third = None
    if edges:
        third = yield from _round("pairs", pairs(domain, groups, edges), plan.pairs)
    return fit(domain, links, groups=groups, pairs=third, rules=rules)


def _round(name: Name, workload: Workload, noise_multiplier: float) -> Generator[Ask, NDArray[Any], Noisy]:
    ask = Ask(name=name, workload=workload, noise_multiplier=noise_multiplier)
    values = np.asarray((yield ask), dtype=np.float64)
    if values.shape != (workload.size,) or not np.all(np.isfinite(values)):
        raise Invalid(f"round '{name}' expected {workload.size} finite counts, found shape {values.shape}")
    return Noisy(workload=workload, values=values, sigma=ask.sigma)


def histograms(domain: Domain) -> Workload:
    """Round 1: all persons, those with the outcome less those without, and the cells of each column."""
    groups = whole(domain)
    columns = (query_alone(domain, groups, column) for column in range(domain.features))
    return Workload(
        domain=domain,
        groups=groups,
        sides=all_sides(domain, groups),
        queries=(Query(), Query(signs=(domain.features,)), *columns),
    )


def differences(domain: Domain, first: Noisy, plan: Plan) -> Workload:
    """Round 2: what the label changes in each column, numbers in bins."""
    persons = person_count(first)
    cells = cell_counts(domain, first)
    sigma = plan.links * math.sqrt(domain.features)
    bins = int(np.clip(persons / (LINK_FLOOR * sigma), *LINK_BINS))
    found = (
        grouped(column, weights, bins, floor=2 * sigma) if column.kind != "nominal" else tuple(range(column.size))
        for column, weights in zip(domain.columns[:-1], cells, strict=True)
    )
    groups = (*found, (0, 1))
    queries = [query_beside_label(domain, groups, column) for column in range(domain.features)]
    queries.extend(Query(cells=(column,)) for column in numbers(domain))
    return Workload(domain=domain, groups=groups, sides=all_sides(domain, groups, cells), queries=tuple(queries))


def numbers(domain: Domain) -> tuple[int, ...]:
    """Return the columns that are counted again in bins."""
    return tuple(position for position, column in enumerate(domain.columns) if column.kind != "nominal")


def signs(domain: Domain, links: Links) -> Workload:
    """Round 3 where many sites sum: one number for each pair of features, how their two sides go together."""
    groups = whole(domain)
    return Workload(
        domain=domain, groups=groups, sides=all_sides(domain, groups, links.cells), queries=pair_queries(domain)
    )


def pairs(domain: Domain, groups: Groups, edges: Edges) -> Workload:
    """Last round: the two-way table of each chosen pair of features, in coarse groups."""
    queries = tuple(query_pair(groups, left, right) for left, right in edges)
    return Workload(domain=domain, groups=groups, sides=all_sides(domain, groups), queries=queries)


def _enough(links: Links, sigma: float) -> None:
    if links.persons < 4 * sigma:
        raise Refused(
            "the noise of this budget is as large as the whole hospital: no corpus can be made; "
            "take part in the joint corpus, or ask for a larger epsilon"
        )
    if float(links.label.min()) < 2 * sigma:
        raise Refused(
            "one class of the label has no more persons than the noise of this budget; a corpus would teach nothing "
            "about it: take part in the joint corpus, or ask for a larger epsilon"
        )

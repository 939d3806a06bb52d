"""The road of a joint corpus: sums over hospitals, and the hospital itself as one more noisy column.

    road = grow_summed(domain, plan_summed(domain, epsilon=1.0, delta=1e-6, sites=36), sites=sites)
    asked = next(road)
    while True:
        try:
            asked = road.send(Summed(values=..., sigma=noise that the sum really carries, sites=who is in it))
        except StopIteration as end:
            model = end.value

Every person stands in the cells of one hospital alone, so the site costs no sensitivity: a table by site is one query
like any other. The rounds are those of `growth.grow`; with sites the first also counts site by label, and one more
round asks how the columns of each hospital differ from those of all. The road only ever sees sums, so a curator who
holds all rows and adds the same noise gets the identical model. Nothing here is random.

Hospitals may vanish between two rounds. A later sum over fewer of them is scaled to the persons of the first round by
the noisy counts by site; without the site column nothing says how many persons are missing, and it is taken as it is.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wardgate.marginals.domain import Column, Domain
from wardgate.marginals.estimate import Table
from wardgate.marginals.levels import grouped, side_of
from wardgate.marginals.sites.effects import Counted, bins_of, site_cases, site_sizes, tilted
from wardgate.marginals.sites.model import SITE, SiteModel
from wardgate.marginals.tree.growth import PAIR_BINS, PAIR_FLOOR, differences, histograms, pairs, signs
from wardgate.marginals.tree.links import Links, Noisy, coarse_groups, links_of, person_count
from wardgate.marginals.tree.model import TreeModel, fit
from wardgate.marginals.tree.plan import Plan, Weights, plan
from wardgate.marginals.tree.structure import summed_edges
from wardgate.marginals.workload import Groups, Query, Workload
from wardgate.privacy.accountant import epsilon_of, noise_multiplier_for
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import Invalid, Refused
from wardgate.records.feature import ClinicalRule, Feature

SHARE = 0.15
"""Share of the whole budget for how hospitals differ."""

WEIGHTS = Weights(pair=0.2)
"""Less for pairs of features than one hospital spends: sums over many have more persons, and the label matters most."""

SITE_BINS = (2, 6)
SITE_FLOOR = 60.0

Name = Literal["histograms", "links", "signs", "sites", "pairs"]


def with_site(domain: Domain, sites: Sequence[str]) -> Domain:
    """Return the domain with the hospital as its last column before the label.

    Raises:
        Invalid: fewer than two sites, one of them twice, or a feature that is called like the column.
    """
    if len(sites) < 2 or len(set(sites)) != len(sites):
        raise Invalid("the site as a column needs at least two different sites")
    if any(column.name == SITE for column in domain.columns):
        raise Invalid(f"a feature is called '{SITE}'; the joint corpus needs that name for the hospital")
    column = Column(name=SITE, kind="nominal", values=tuple(sites), missing=False)
    feature = Feature(name=SITE, type="category", values=tuple(sites), missing="refused")
    return Domain(columns=(*domain.columns[:-1], column, domain.columns[-1]), declared=(*domain.declared, feature))


@dataclass(frozen=True, slots=True, kw_only=True)
class SummedPlan:
    """The noise of each round of sums, fixed before a person is looked at.

    Attributes:
        rounds: As for a generator without sites, on what is left of the budget.
        sites: Noise multiplier of the round that compares hospitals; infinite where the site is no column.
    """

    rounds: Plan
    sites: float = math.inf

    @property
    def gaussian(self) -> tuple[GaussianEvent, ...]:
        """The Gaussian releases that the claim names."""
        if not math.isfinite(self.sites):
            return self.rounds.gaussian
        event = GaussianEvent(noise_multiplier=self.sites, count=1, what="how the columns of each hospital differ")
        return (*self.rounds.gaussian, event)


def plan_summed(domain: Domain, *, epsilon: float, delta: float, by_site: bool, share: float = SHARE) -> SummedPlan:
    """Split one budget over the rounds, so that all of it together costs at most `epsilon` at `delta`.

    Args:
        domain: Without the site.
        by_site: Whether the site is a column.
        share: Of the budget for comparing hospitals, in (0, 1).

    Raises:
        Invalid: the budget is not positive, or the share is out of bounds.
    """
    if not 0 < share < 1:
        raise Invalid(f"expected a share in (0, 1), found {share}")
    rounds = plan(domain, epsilon=epsilon, delta=delta, structure="summed", weights=WEIGHTS)
    if not by_site:
        return SummedPlan(rounds=rounds)
    wider = 1 / math.sqrt(1 - share)
    rounds = replace(
        rounds,
        histograms=rounds.histograms * wider,
        links=rounds.links * wider,
        signs=rounds.signs * wider,
        pairs=rounds.pairs * wider,
    )
    alone = noise_multiplier_for(epsilon=epsilon, delta=delta)
    found = SummedPlan(rounds=rounds, sites=alone / math.sqrt(share) * (1 + 1e-9))
    cost = epsilon_of(gaussian=found.gaussian, exponential=(), delta=delta)
    if cost > epsilon:
        raise RuntimeError(f"the plan costs {cost}, more than the {epsilon} asked for")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One round's question, over the domain with the site where there is one.

    Attributes:
        sigma: Least standard deviation of the noise of one entry: `noise_multiplier` x `workload.l2`.
    """

    name: Name
    workload: Workload
    noise_multiplier: float

    @property
    def sigma(self) -> float:
        return self.noise_multiplier * self.workload.l2


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """One round's answer.

    Attributes:
        values: Noisy counts, shape (workload.size,).
        sigma: Standard deviation of the noise that the sum carries. Each hospital's share is larger than it needs to
            be, so that the promise outlives drop-outs and colluders; the total then carries more than was asked.
        sites: Whose sum it is.
    """

    values: NDArray[np.float64]
    sigma: float
    sites: frozenset[str]


def grow_summed(
    domain: Domain,
    plan: SummedPlan,
    *,
    sites: tuple[str, ...] = (),
    rules: tuple[ClinicalRule, ...] = (),
) -> Generator[Asked, Summed, TreeModel | SiteModel]:
    """Ask for noisy sums, round by round, and return the model.

    Args:
        domain: Without the site.
        sites: All sites of the study, in the study's order; empty where the site is no column.

    Raises:
        Invalid: an answer has the wrong length, or carries less noise than was asked for.
        Refused: the noisy counts show too few persons for this budget, or a label of one class. The budget is spent
            by then.
    """
    over = _Over(domain=domain, full=with_site(domain, sites) if sites else domain)
    by_label = (Query(cells=(domain.features, domain.features + 1)),) if sites else ()
    first = yield from over.ask("histograms", histograms(domain), plan.rounds.histograms, by_label)
    sizes = site_sizes(first.beside[0], person_count(first.noisy), _mask(sites, first.sites)) if sites else None
    rounds = _heavier(plan.rounds, first.heavier)
    second = yield from over.ask("links", differences(domain, first.noisy, rounds), plan.rounds.links)
    links = links_of(domain, [first.noisy, _scaled(second, sizes, sites)])
    _enough(links, max(first.noisy.sigma, second.noisy.sigma))
    groups, pairs_found = links.groups, None
    if math.isfinite(plan.rounds.pairs):
        sigma = rounds.pairs * math.sqrt(domain.features - 1)
        bins = int(np.clip(math.sqrt(links.persons / (PAIR_FLOOR * sigma)), 2, PAIR_BINS))
        groups = coarse_groups(domain, links, bins=bins, floor=2 * sigma)
        signed = yield from over.ask("signs", signs(domain, links), plan.rounds.signs)
        edges = summed_edges(domain, links, _scaled(signed, sizes, sites))
        if edges:
            third = yield from over.ask("pairs", pairs(domain, groups, edges), plan.rounds.pairs)
            pairs_found = _scaled(third, sizes, sites)
    whole_model = fit(domain, links, groups=groups, pairs=pairs_found, rules=rules)
    if sizes is None:
        return whole_model
    bins_by_column = site_bins(domain, links, sizes, sigma=plan.sites * first.heavier * math.sqrt(2 * domain.features))
    queries = tuple(query for pair in _site_queries(domain, bins_by_column) for query in pair)
    base = Workload(domain=domain, groups=bins_by_column, sides=_sides(domain, bins_by_column), queries=())
    last = yield from over.ask("sites", base, plan.sites, queries)
    variance = last.noisy.sigma**2
    cases = site_cases(first.beside[0], sizes, links.label, sigma=first.noisy.sigma)
    counted = Counted(
        persons=sizes,
        cases=cases,
        seen=_mask(sites, last.sites),
        bins=bins_by_column[:-1],
        columns=tuple(
            bins_of(mix, link, sizes, cases, variance=variance)
            for mix, link in zip(last.beside[::2], last.beside[1::2], strict=True)
        ),
        sizes_variance=2 * first.noisy.sigma**2,
    )
    return SiteModel(whole=whole_model, sites=sites, persons=sizes, trees=tilted(whole_model, counted))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """One round: the counts without the site, the tables by site beside them, and how heavy the noise came out.

    Attributes:
        heavier: Noise that the sum carries over the noise that was asked for, at least 1.
    """

    noisy: Noisy
    beside: tuple[Table, ...]
    heavier: float
    sites: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Over:
    """Questions over the domain without the site, put over the one with it."""

    domain: Domain
    full: Domain

    def ask(
        self, name: Name, workload: Workload, noise_multiplier: float, beside: tuple[Query, ...] = ()
    ) -> Generator[Asked, Summed, _Answered]:
        """Ask for a workload without the site, and for further queries over the domain with it."""
        asked = Asked(name=name, workload=self._wider(workload, beside), noise_multiplier=noise_multiplier)
        told = yield asked
        values = np.asarray(told.values, dtype=np.float64)
        if values.shape != (asked.workload.size,) or not np.all(np.isfinite(values)):
            raise Invalid(f"round '{name}' expected {asked.workload.size} finite counts, found shape {values.shape}")
        if not math.isfinite(told.sigma) or told.sigma < asked.sigma * (1 - 1e-9):
            raise Invalid(f"round '{name}' asked for noise of {asked.sigma:.4g} and was given {told.sigma:.4g}")
        tables = list(asked.workload.split(values).values())[len(workload.queries) :]
        noisy = Noisy(workload=workload, values=values[: workload.size], sigma=told.sigma)
        return _Answered(noisy=noisy, beside=tuple(tables), heavier=told.sigma / asked.sigma, sites=told.sites)

    def _wider(self, workload: Workload, beside: tuple[Query, ...]) -> Workload:
        if self.full is self.domain:
            return workload
        label, site = self.domain.features, self.full.columns[-2]
        move = {column: column + (column == label) for column in range(label + 1)}
        queries = tuple(
            Query(cells=tuple(move[one] for one in query.cells), signs=tuple(move[one] for one in query.signs))
            for query in workload.queries
        )
        each = tuple(range(site.size))
        side = tuple(1 if place % 2 else -1 for place in each)
        return Workload(
            domain=self.full,
            groups=(*workload.groups[:-1], each, workload.groups[-1]),
            sides=(*workload.sides[:-1], side, workload.sides[-1]),
            queries=(*queries, *beside),
        )


def site_bins(domain: Domain, links: Links, sizes: Table, *, sigma: float) -> Groups:
    """Return the groups of cells in which hospitals are compared: two, or more where the larger ones stand out."""
    typical = float((sizes**2).sum() / max(float(sizes.sum()), 1.0))
    bins = int(np.clip(math.sqrt(typical / (SITE_FLOOR * sigma)), *SITE_BINS))
    found = []
    for column, cells in zip(domain.columns[:-1], links.cells, strict=True):
        groups = grouped(column, cells, bins, floor=2 * sigma) if bins > 2 else (0,)
        if max(groups) < 2:
            groups = tuple((side + 1) // 2 for side in side_of(column, cells))
        found.append(groups)
    return (*found, (0, 1))


def _sides(domain: Domain, groups: Groups) -> Groups:
    return tuple(
        tuple(2 * group - 1 for group in one) if max(one) == 1 else tuple(1 for _ in range(column.size))
        for column, one in zip(domain.columns, groups, strict=True)
    )


def _site_queries(domain: Domain, groups: Groups) -> Generator[tuple[Query, Query], None, None]:
    """Give, for each feature, the table by site and the difference that the label makes to it."""
    site, label = domain.features, domain.features + 1
    for column in range(domain.features):
        if max(groups[column]) == 1:
            yield Query(cells=(site,), signs=(column,)), Query(cells=(site,), signs=(column, label))
        else:
            yield Query(cells=(site, column)), Query(cells=(site, column), signs=(label,))


def _mask(sites: tuple[str, ...], there: frozenset[str]) -> NDArray[np.bool_]:
    return np.array([site in there for site in sites])


def _heavier(rounds: Plan, factor: float) -> Plan:
    """Return the plan with the noise that its sums really carry, to choose how coarse to look."""
    return replace(rounds, links=rounds.links * factor, signs=rounds.signs * factor, pairs=rounds.pairs * factor)


def _scaled(answered: _Answered, sizes: Table | None, sites: tuple[str, ...]) -> Noisy:
    """Return a later sum as if the persons of the first were in it; one that the first missed counts as an average."""
    noisy = answered.noisy
    if sizes is None:
        return noisy
    known = np.where(sizes > 0, sizes, float(sizes[sizes > 0].mean()) if (sizes > 0).any() else 1.0)
    part = float(known[_mask(sites, answered.sites)].sum()) / max(float(sizes.sum()), 1.0)
    if not 0 < part < 1:
        return noisy
    return replace(noisy, values=noisy.values / part, sigma=noisy.sigma / part)


def _enough(links: Links, sigma: float) -> None:
    if links.persons < 4 * sigma:
        raise Refused(
            "the noise of this budget is as large as all hospitals together: no joint corpus can be made; "
            "let more hospitals take part, or ask for a larger epsilon"
        )
    if float(links.label.min()) < 2 * sigma:
        raise Refused(
            "one class of the label has no more persons in all hospitals together than the noise of this budget; a "
            "joint corpus would teach nothing about it: let more hospitals take part, or ask for a larger epsilon"
        )

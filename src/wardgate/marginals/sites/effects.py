"""How hospitals differ, from noisy counts by site: posterior means, so that what drowns in noise falls back to all.

Each hospital's counts are compared with what the model of all hospitals foretells for its size and its share of
cases. The excess is pulled towards zero by how much of it noise alone would explain, with one spread for all hospitals
that the counts themselves suggest. What all hospitals show together stays as it is: a difference
between hospitals that goes along with their case mix is taken out of what the label explains within them.

Reference: Efron and Morris 1973, doi:10.1080/01621459.1973.10481350.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.marginals.estimate import Table, simplex
from wardgate.marginals.tree.model import Node, TreeModel

PASSES = 4
"""Times that the common part and the differences are estimated in turn."""

FITS = 25
SPREADS = np.geomspace(0.003, 1.0, 25)
"""Standard deviations between hospitals that are weighed against each other, in units of the scale of an effect."""

LEAST = 0.05
"""No group of cells falls below this share of what all hospitals have in it, nor rises above one over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """One column by site.

    Attributes:
        mix: Noisy persons by site and bin, shape (sites, bins).
        link: Those with the outcome less those without, shape (sites, bins).
        variance: Of the noise of one entry.
    """

    mix: Table
    link: Table
    variance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Everything that is known of single hospitals, all of it noisy.

    Attributes:
        persons, cases: Estimated persons of each site, and those with the outcome, shape (sites,).
        seen: Whether the site is in the sums of `columns`.
        bins: For every feature, the bin of each of its cells.
        columns: For every feature, its counts.
        sizes_variance: Of the noise in one site's number of persons.
    """

    persons: Table
    cases: Table
    seen: NDArray[np.bool_]
    bins: Sequence[tuple[int, ...]]
    columns: tuple[Bins, ...]
    sizes_variance: float


def evidence(effect: Table, *, variance: float, scale: Table) -> Table:
    """Return the log likelihood of noisy effects under each of `SPREADS`, shape (len(SPREADS),)."""
    total = variance + np.multiply.outer(SPREADS**2, scale.ravel() ** 2)
    return np.asarray(-0.5 * (np.log(total) + effect.ravel() ** 2 / total).sum(axis=1))


def pulled(
    effect: Table, *, variance: float, scale: Table, others: Table | None = None, spread: Table | None = None
) -> Table:
    """Return the posterior mean of effects that are normal around zero before noise, one spread times their scale.

    Args:
        variance: Noise variance of one entry.
        scale: How large one unit of effect would be in each entry, e.g. persons of the site.
        others: Log likelihood of the spreads by effects of the same kind.
        spread: Log likelihood of the spreads by everything that is known; by default these effects and `others`.
    """
    said = evidence(effect, variance=variance, scale=scale) + (0.0 if others is None else others)
    if spread is not None:
        said = spread
    weight = np.exp(said - said.max())
    prior = np.multiply.outer(SPREADS**2, scale**2)
    return np.asarray(effect * np.tensordot(weight / weight.sum(), prior / (prior + variance), axes=1))


def site_sizes(by_label: Table, persons: float, there: NDArray[np.bool_]) -> Table:
    """Return the estimated persons of each site, none negative, together `persons`; 0 for sites that were not there.

    Args:
        by_label: Noisy persons by site and label, shape (sites, 2).
    """
    found = np.zeros(len(by_label))
    if there.any():
        found[there] = simplex(by_label[there].sum(axis=1), persons)
    return found


def site_cases(by_label: Table, persons: Table, label: Table, *, sigma: float) -> Table:
    """Return the estimated persons with the outcome of each site, between 0 and its persons.

    A site's share is pulled towards that of all sites by the noise of its counts; with one class in all its counts
    it keeps a little of the other.
    """
    share = float(label[1]) / max(float(label.sum()), 1e-9)
    excess = by_label[:, 1] - share * by_label.sum(axis=1)
    variance = sigma**2 * ((1 - share) ** 2 + share**2)
    scale = persons * np.sqrt(share * (1 - share))
    moved = np.where(persons > 0, pulled(excess, variance=variance, scale=scale), 0.0)
    loose = np.divide(moved, excess, out=np.zeros_like(moved), where=excess != 0)
    if loose.sum() > 0:
        moved = moved - loose * moved.sum() / loose.sum()
    return np.clip(share * persons + moved, LEAST * share * persons, persons * (1 - LEAST * (1 - share)))


def bins_of(mix: Table, link: Table, persons: Table, cases: Table, *, variance: float) -> Bins:
    """Return one column by site. Two bins come as their signed difference, shape (sites,), more as tables."""
    if mix.ndim == 2:
        return Bins(mix=mix, link=link, variance=variance)
    sign = np.array([-1.0, 1.0])
    return Bins(
        mix=(persons[:, None] + sign * mix[:, None]) / 2,
        link=((2 * cases - persons)[:, None] + sign * link[:, None]) / 2,
        variance=variance / 4,
    )


def tilted(whole: TreeModel, counted: Counted) -> tuple[TreeModel, ...]:
    """Return the model of each site: that of all, with its own share of cases and its columns moved to its counts."""
    sites = len(counted.persons)
    share = np.where(counted.persons > 0, counted.cases / np.maximum(counted.persons, 1e-9), whole.label[1])
    common = _margins(whole, counted.bins)
    others, together = _spreads(whole, counted, common)
    nodes: list[list[Node]] = [[] for _ in range(sites)]
    groups: list[dict[int, Table]] = [{} for _ in range(sites)]
    for node in whole.nodes:
        column, bins = counted.columns[node.column], np.asarray(counted.bins[node.column])
        targets = _targets(column, common[node.column], counted, whole.label, others=others, together=together)
        for place in range(sites):
            above = groups[place].get(node.parent, np.ones((2, 1)))
            moved = _moved(node, bins, targets[place], above)
            nodes[place].append(moved)
            groups[place][node.column] = np.einsum("yp,ypg->yg", above, moved.table)
    return tuple(
        TreeModel(
            domain=whole.domain,
            persons=max(1, round(float(counted.persons[place]))),
            label=np.array([1 - share[place], share[place]]),
            nodes=tuple(nodes[place]),
            rules=whole.rules,
        )
        for place in range(sites)
    )


def _margins(whole: TreeModel, bins: Sequence[tuple[int, ...]]) -> dict[int, Table]:
    """Return P(bin | label) of each feature in the model of all, shape (2, bins)."""
    groups: dict[int, Table] = {}
    found = {}
    for node in whole.nodes:
        above = groups.get(node.parent, np.ones((2, 1)))
        groups[node.column] = np.einsum("yp,ypg->yg", above, node.table)
        cells = np.einsum("yg,ygc->yc", groups[node.column], node.cells)
        member = np.asarray(bins[node.column])[:, None] == np.arange(max(bins[node.column]) + 1)
        found[node.column] = np.asarray(cells @ member)
    return found


def _excess(column: Bins, within: Table, counted: Counted) -> tuple[Table, Table, Table]:
    """Return what is beyond the common part: in the mix, in the label's difference, and the share of cases."""
    persons, cases = counted.persons[:, None], counted.cases[:, None]
    mix = column.mix - (persons - cases) * within[0] - cases * within[1]
    link = column.link - cases * within[1] + (persons - cases) * within[0]
    share = cases / np.maximum(persons, 1e-9)
    return mix, link - (2 * share - 1) * mix, share


def _noise(column: Bins, both: Table, counted: Counted) -> float:
    """Return the variance of an excess in the mix: its own noise and that of the site's size."""
    return column.variance + counted.sizes_variance * float(np.mean(both**2)) / (4 if len(both) == 2 else 1)


def _spreads(whole: TreeModel, counted: Counted, common: dict[int, Table]) -> tuple[Table, Table]:
    """Return what all columns together say of the spread between hospitals, as `evidence` does: mixes, then slopes.

    Columns may differ much more between hospitals than others do, so their mixes lend each other the mean of what they
    say; slopes by label hardly differ, so all of them have one spread.
    """
    mixes, slopes = np.zeros(len(SPREADS)), np.zeros(len(SPREADS))
    seen = counted.seen & (counted.persons > 0)
    for place, column in enumerate(counted.columns):
        both = whole.label @ common[place]
        deviation = np.sqrt(both * (1 - both))
        mix, link, share = _excess(column, common[place], counted)
        scale = counted.persons[:, None] * deviation
        mixes += evidence(mix[seen], variance=_noise(column, both, counted), scale=scale[seen])
        spread = 2 * share * (1 - share) * scale
        slopes += evidence(link[seen], variance=_slope_noise(column, whole.label), scale=spread[seen])
    return mixes / max(len(counted.columns), 1), slopes


def _slope_noise(column: Bins, label: Table) -> float:
    return column.variance * (1 + (2 * float(label[1]) - 1) ** 2)


def _targets(column: Bins, common: Table, counted: Counted, label: Table, *, others: Table, together: Table) -> Table:
    """Return P(bin | label) of each site, shape (sites, 2, bins); over all sites it adds up to the common one."""
    persons, cases = counted.persons, counted.cases
    both = label @ common
    deviation = np.sqrt(both * (1 - both))
    by_label = np.stack([persons - cases, cases], axis=1)
    total = np.maximum(by_label.sum(axis=0), 1e-9)
    seen = counted.seen & (persons > 0)
    within, moved = common, np.zeros((len(persons), 2, len(both)))
    for _ in range(PASSES if seen.any() else 0):
        mix, link, share = _excess(column, within, counted)
        shift = np.zeros_like(mix)
        shift[seen] = pulled(
            mix[seen], variance=_noise(column, both, counted), scale=persons[seen, None] * deviation, others=others
        )
        shift /= np.maximum(persons, 1e-9)[:, None]
        spread = 2 * persons[:, None] * share * (1 - share)
        slope = np.zeros_like(link)
        variance = _slope_noise(column, label)
        slope[seen] = pulled(link[seen], variance=variance, scale=spread[seen] * deviation, spread=together)
        slope /= np.maximum(spread, 1e-9)
        moved = np.stack([shift - share * slope, shift + (1 - share) * slope], axis=1)
        within = common - np.einsum("sl,slk->lk", by_label, moved) / total[:, None]
    found = np.clip(within + moved, LEAST * common, 1.0)
    return np.asarray(found / found.sum(axis=2, keepdims=True))


def _moved(node: Node, bins: NDArray[np.int64], target: Table, above: Table) -> Node:
    """Return the node with its cells weighted by bin so that the bins have these shares in each label.

    Args:
        target: P(bin | label), shape (2, bins).
        above: P(group of the parent | label), shape (2, parent groups or 1).
    """
    count = target.shape[1]
    member = (bins[:, None] == np.arange(count)).astype(np.float64)
    inside = np.einsum("ygc,ck->ygk", node.cells, member)
    given = np.einsum("ypg,ygk->ypk", node.table, inside)
    weight = np.ones_like(target)
    for _ in range(FITS):
        line = given * weight[:, None, :]
        line = line / np.maximum(line.sum(axis=2, keepdims=True), 1e-300)
        now = np.einsum("yp,ypk->yk", above, line)
        weight = weight * np.divide(target, now, out=np.ones_like(target), where=now > 1e-12)
    cells = node.cells * (weight @ member.T)[:, None, :]
    mass = cells.sum(axis=2)
    table = node.table * mass[:, None, :]
    return Node(
        column=node.column,
        parent=node.parent,
        table=np.asarray(table / np.maximum(table.sum(axis=2, keepdims=True), 1e-300)),
        cells=np.asarray(cells / np.maximum(mass, 1e-300)[:, :, None]),
    )

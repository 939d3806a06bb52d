"""What the first two rounds say of each column alone and beside the label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.marginals.domain import Domain
from wardgate.marginals.estimate import Table, shrunk, simplex, weighted
from wardgate.marginals.levels import grouped
from wardgate.marginals.workload import Groups, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Noisy:
    """The noisy counts of one round.

    Attributes:
        values: Shape (workload.size,).
        sigma: Standard deviation of the noise of one entry.
    """

    workload: Workload
    values: NDArray[np.float64]
    sigma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Estimated tables of each feature beside the label.

    Attributes:
        groups: For every column, the link bin of each cell.
        tables: For every feature, unprojected counts, shape (link bins, 2).
        variances: Noise variance of one entry of each table.
        fine: For every feature, projected counts of its cells, shape (cells,).
        fine_variance: Noise variance of one cell of each `fine`, before projection.
        label: Estimated persons with label 0 and 1, none negative.
    """

    groups: Groups
    tables: tuple[Table, ...]
    variances: tuple[float, ...]
    fine: tuple[Table, ...]
    fine_variance: tuple[float, ...]
    label: Table

    @property
    def persons(self) -> float:
        """Estimated persons in all."""
        return float(self.label.sum())


def raw_tables(rounds: Sequence[Noisy]) -> dict[tuple[int, ...], tuple[Table, float, Groups]]:
    """Return every measured marginal with its noise variance and the grouping it was measured in."""
    found = {}
    for noisy in rounds:
        tables, _ = noisy.workload.split(noisy.values)
        for marginal, table in zip(noisy.workload.marginals, tables, strict=True):
            found[marginal] = (table, noisy.sigma**2, noisy.workload.groups)
    return found


def label_counts(domain: Domain, rounds: Sequence[Noisy]) -> Table:
    """Return the estimated persons with label 0 and 1 from every marginal that holds the label, shape (2,)."""
    estimates, variances = [], []
    for marginal, (table, variance, _) in raw_tables(rounds).items():
        if marginal[-1] == domain.features:
            estimates.append(table.reshape(-1, 2).sum(axis=0))
            variances.append(variance * table.size / 2)
    if not estimates:
        return np.zeros(2)
    return np.maximum(weighted(estimates, variances)[0], 0.0)


def total_count(domain: Domain, rounds: Sequence[Noisy]) -> float:
    """Return the estimated number of persons from every marginal, not below 0."""
    estimates, variances = [], []
    for table, variance, _ in raw_tables(rounds).values():
        estimates.append(np.array(table.sum()))
        variances.append(variance * table.size)
    return max(0.0, float(weighted(estimates, variances)[0]))


def links_of(domain: Domain, rounds: Sequence[Noisy]) -> Links:
    """Gather the tables of the first two rounds; a third one, if given, sharpens the label counts."""
    raw = raw_tables(rounds)
    label = label_counts(domain, rounds)
    groups, tables, variances, fine, fine_variance = [], [], [], [], []
    for column in range(domain.features):
        table, variance, grouping = raw[(column, domain.features)]
        own = raw.get((column,), (table.sum(axis=1), 2 * variance, grouping))
        groups.append(grouping[column])
        tables.append(table)
        variances.append(variance)
        fine.append(simplex(own[0], float(label.sum())))
        fine_variance.append(own[1])
    groups.append((0, 1))
    return Links(
        groups=tuple(groups),
        tables=tuple(tables),
        variances=tuple(variances),
        fine=tuple(fine),
        fine_variance=tuple(fine_variance),
        label=label,
    )


def settled(table: Table, *, variance: float, label: Table) -> Table:
    """Return a link table without negative entries whose columns add up to the label counts, shape (bins, 2).

    The difference that the label makes is shrunk by what noise alone would explain.
    """
    share = label / max(float(label.sum()), 1e-9)
    both = simplex(table.sum(axis=1), float(label.sum()))
    effect = table[:, 1] * share[0] - table[:, 0] * share[1]
    effect = effect - effect.mean()
    effect = shrunk(effect, variance=variance * float((share**2).sum()), freedom=len(effect) - 1)
    return np.column_stack(
        [simplex(both * share[0] - effect, float(label[0])), simplex(both * share[1] + effect, float(label[1]))]
    )


def coarse_groups(domain: Domain, links: Links, *, bins: int, floor: float) -> Groups:
    """Group cells for the cliques: few enough bins that a cell of a three-way table stands above the noise."""
    found = []
    for position, column in enumerate(domain.columns[:-1]):
        link = np.asarray(links.groups[position])
        weight = simplex(links.tables[position].sum(axis=1), links.persons)
        inside = np.bincount(link, weights=links.fine[position], minlength=len(weight))
        cells = links.fine[position] * np.divide(weight, inside, out=np.zeros_like(weight), where=inside > 0)[link]
        found.append(_along(link, grouped(column, cells, bins, floor=floor)))
    return (*found, (0, 1))


def _along(link: NDArray[np.int64], groups: tuple[int, ...]) -> tuple[int, ...]:
    """Move coarse borders to link borders, so that every link bin lies inside one coarse group."""
    first = {int(bin_): groups[cell] for cell, bin_ in reversed(list(enumerate(link)))}
    moved = [first[int(bin_)] for bin_ in link]
    number = {group: position for position, group in enumerate(sorted(set(moved)))}
    return tuple(number[group] for group in moved)

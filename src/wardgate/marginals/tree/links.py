"""What the first two rounds say of each column alone and beside the label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.marginals.domain import Column, Domain
from wardgate.marginals.estimate import Likelihood, Table, likelihood, posterior, simplex, standing_out, weighted
from wardgate.marginals.levels import grouped
from wardgate.marginals.workload import Groups, Query, Workload


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

    def tables(self) -> dict[Query, Table]:
        """Return the noisy table of each query."""
        return self.workload.split(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Estimated tables of each feature alone and beside the label; nothing in them is negative.

    Attributes:
        label: Persons with label 0 and 1, shape (2,).
        cells: For every feature, persons in each of its cells, shape (cells,).
        groups: For every column, the bin of each of its cells in which it was measured beside the label.
        tables: For every feature, persons by bin and label, shape (bins, 2).
    """

    label: Table
    cells: tuple[Table, ...]
    groups: Groups
    tables: tuple[Table, ...]

    @property
    def persons(self) -> float:
        """Estimated persons in all."""
        return float(self.label.sum())

    def coarse(self, groups: Groups) -> tuple[Table, ...]:
        """Return the tables in coarser groups, shape (groups, 2) each; every bin must lie inside one group."""
        found = []
        for column, table in enumerate(self.tables):
            summed = np.zeros((max(groups[column]) + 1, 2))
            np.add.at(summed, group_of_bin(self.groups[column], groups[column]), table)
            found.append(summed)
        return tuple(found)


def group_of_bin(bins: Sequence[int], groups: Sequence[int]) -> NDArray[np.int64]:
    """Return the coarse group of every bin, from the bin and the group of every cell."""
    found = np.zeros(max(bins) + 1, dtype=np.int64)
    found[np.asarray(bins)] = groups
    return found


def query_alone(domain: Domain, groups: Groups, column: int) -> Query:
    """Return what to ask of one column: its groups; of two groups only their difference, which costs half the noise."""
    return Query(signs=(column,)) if max(groups[column]) == 1 else Query(cells=(column,))


def query_beside_label(domain: Domain, groups: Groups, column: int) -> Query:
    """Return what to ask of the difference that the label makes to one column."""
    two = max(groups[column]) == 1
    return Query(signs=(column, domain.features)) if two else Query(cells=(column,), signs=(domain.features,))


def query_pair(groups: Groups, left: int, right: int) -> Query:
    """Return what to ask of two columns."""
    two = max(groups[left]) == 1 and max(groups[right]) == 1
    return Query(signs=(left, right)) if two else Query(cells=(left, right))


def halves(total: float, difference: Table, variance: float) -> tuple[Table, float]:
    """Return two groups of known total from the noisy difference of the second less the first."""
    return (total + np.array([-1.0, 1.0]) * float(difference)) / 2, variance / 4


def person_count(first: Noisy) -> float:
    """Return the estimated number of persons from every table of the first round, not below 0."""
    tables = [table for query, table in first.tables().items() if not query.signs]
    mean, _ = weighted([np.array(table.sum()) for table in tables], [float(table.size) for table in tables])
    return max(0.0, float(mean))


def cell_counts(domain: Domain, first: Noisy) -> tuple[Table, ...]:
    """Return the estimated persons in each cell of each feature; numbers are smoothed along their range."""
    persons = person_count(first)
    return tuple(column_counts(domain, first, position, persons) for position in range(domain.features))


def column_counts(domain: Domain, first: Noisy, position: int, persons: float) -> Table:
    """Return the estimated persons in each cell of one column, from a round that asked for it alone."""
    column = domain.columns[position]
    cells, variance = _cells(domain, first, position, persons)
    if column.kind != "nominal":
        smooth, spread = posterior(cells[: column.present], variance=variance)
        run = standing_out(smooth, variance=spread)
        cells[: column.present] = 0.0
        cells[run] = smooth[run]
        seen = np.append(np.arange(run.start, run.stop), np.arange(column.present, column.size))
        cells[seen] = simplex(cells[seen], persons)
    return simplex(cells, persons)


def _cells(domain: Domain, first: Noisy, column: int, persons: float) -> tuple[Table, float]:
    """Return noisy counts of the cells of one feature and the variance of one of them."""
    query = query_alone(domain, first.workload.groups, column)
    table, variance = first.tables()[query], first.sigma**2
    return halves(persons, table, variance) if query.signs else (table.copy(), variance)


def label_counts(domain: Domain, rounds: Sequence[Noisy]) -> Table:
    """Return the estimated persons with label 0 and 1, from everything that says something of them, shape (2,)."""
    persons = person_count(rounds[0])
    estimates, variances = [], []
    for noisy in rounds:
        for query, table in noisy.tables().items():
            if query.signs == (domain.features,):
                estimates.append(np.array(table.sum()))
                variances.append(noisy.sigma**2 * table.size)
    difference = float(weighted(estimates, variances)[0])
    return simplex(np.array([persons - difference, persons + difference]) / 2, persons)


def links_of(domain: Domain, rounds: Sequence[Noisy]) -> Links:
    """Return what histograms (first round) and differences by label (second round) say."""
    first, second = rounds[0], rounds[1]
    label = label_counts(domain, rounds[:2])
    persons = float(label.sum())
    beside, groups, spread = second.tables(), second.workload.groups, float(label[1] - label[0])
    effects = []
    for column in range(domain.features):
        bins = np.asarray(groups[column])
        both, both_variance = _in_bins(domain.columns[column], *_cells(domain, first, column, persons), bins)
        again = beside.get(Query(cells=(column,)))
        if again is not None:
            trust = both_variance / (both_variance + second.sigma**2)
            both, both_variance = both + trust * (again - both), trust * second.sigma**2
        query = query_beside_label(domain, groups, column)
        difference, variance = beside[query], second.sigma**2
        if not query.cells:
            difference, variance = halves(spread, difference, variance)
        ordered = _ordered(domain, groups, column)
        effects.append(
            _effect(simplex(both, persons), difference, label, noise=(both_variance, variance), ordered=ordered)
        )
    others = np.mean([effect.said.spreads for effect in effects], axis=0)
    tables = [effect.table(label, others=others) for effect in effects]
    return Links(
        label=label,
        cells=cell_counts(domain, first),
        groups=second.workload.groups,
        tables=tuple(tables),
    )


def _in_bins(column: Column, cells: Table, variance: float, bins: NDArray[np.int64]) -> tuple[Table, Table]:
    """Return noisy cells summed in bins, and the noise variance of each; cells far out that hold noise are left out."""
    seen = np.ones(len(cells))
    if column.kind != "nominal":
        seen[: column.present] = 0.0
        smooth, spread = posterior(cells[: column.present], variance=variance)
        seen[standing_out(smooth, variance=spread)] = 1.0
    held = np.bincount(bins, weights=seen)
    summed = np.asarray(np.bincount(bins, weights=cells * seen), dtype=np.float64)
    return summed, variance * np.maximum(held, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Effect:
    """What the label changes in one column: persons with the outcome beyond their share, by bin."""

    both: Table
    shift: Table
    said: Likelihood

    def table(self, label: Table, *, others: Table) -> Table:
        """Return persons by bin and label, shape (bins, 2), with the label's totals."""
        share = label / max(float(label.sum()), 1e-9)
        shift = self.said.mean(others=others)
        if self.both.sum() > 0:
            shift = shift - self.both * shift.sum() / self.both.sum()
        columns = [
            simplex(self.both * part + sign * shift, float(total))
            for part, sign, total in zip(share, (-1, 1), label, strict=True)
        ]
        return np.column_stack(columns)


def _effect(both: Table, difference: Table, label: Table, *, noise: tuple[Table, float], ordered: int) -> _Effect:
    share = label / max(float(label.sum()), 1e-9)
    tilt = float(share[0] - share[1])
    shift = (difference + tilt * both) / 2
    variance = (noise[1] + tilt**2 * noise[0]) / 4
    said = likelihood(shift, variance=variance, scale=both * float(share[0] * share[1]), ordered=ordered)
    return _Effect(both=both, shift=shift, said=said)


def _ordered(domain: Domain, groups: Groups, column: int) -> int:
    """Return how many bins of a column follow each other: all but a missing one; none where it is no number."""
    known = domain.columns[column]
    return 0 if known.kind == "nominal" else max(groups[column][: known.present]) + 1


def coarse_groups(domain: Domain, links: Links, *, bins: int, floor: float) -> Groups:
    """Group cells for pairs of features: few enough that a cell of a two-way table stands above the noise."""
    found = []
    for position, column in enumerate(domain.columns[:-1]):
        groups = grouped(column, links.cells[position], bins, floor=floor)
        found.append(_along(links.groups[position], groups))
    return (*found, (0, 1))


def _along(bins: Sequence[int], groups: Sequence[int]) -> tuple[int, ...]:
    """Move borders of groups to borders of bins, so that every bin lies inside one group."""
    first: dict[int, int] = {}
    for cell, bin_ in enumerate(bins):
        first.setdefault(bin_, groups[cell])
    moved = [first[bin_] for bin_ in bins]
    number = {group: position for position, group in enumerate(sorted(set(moved)))}
    return tuple(number[group] for group in moved)

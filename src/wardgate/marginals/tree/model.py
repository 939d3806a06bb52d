"""The fitted forest: every feature hangs on the label and at most one other feature."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wardgate.marginals.domain import Domain
from wardgate.marginals.estimate import Table, fitted, shrunk
from wardgate.marginals.tree.links import Links, Noisy, group_of_bin
from wardgate.marginals.tree.structure import Edges
from wardgate.marginals.workload import Groups, Query
from wardgate.records.feature import ClinicalRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One feature given its parent.

    Attributes:
        column: Position in the domain.
        parent: Column of the parent feature, or -1 where only the label is one.
        table: P(group | label, parent's group), shape (2, parent groups or 1, groups).
        cells: P(cell | label, group), shape (2, groups, cells).
    """

    column: int
    parent: int
    table: Table
    cells: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeModel:
    """Everything that sampling needs; made from noisy counts alone.

    Attributes:
        persons: Noisy number of persons; a corpus of this size does not tell the exact one.
        label: P(label), shape (2,).
        nodes: Parents come before their children.
        rules: Clinical rules that every sampled row keeps.
    """

    domain: Domain
    persons: int
    label: Table
    nodes: tuple[Node, ...]
    rules: tuple[ClinicalRule, ...] = ()


def fit(
    domain: Domain,
    links: Links,
    *,
    groups: Groups,
    pairs: Noisy | None = None,
    rules: tuple[ClinicalRule, ...] = (),
) -> TreeModel:
    """Return the model of noisy counts.

    Args:
        groups: Coarse group of every cell of every column.
        pairs: Two-way tables in these groups, whose columns form a forest; None where no pair was counted.
    """
    coarse = links.coarse(groups)
    tables: Mapping[Query, Table] = pairs.tables() if pairs is not None else {}
    asked = {frozenset(_columns(query)): query for query in tables}
    edges: Edges = tuple(_columns(query) for query in tables)
    variance = pairs.sigma**2 if pairs is not None else 0.0
    nodes = []
    for column, parent in _ordered(domain.features, edges):
        if parent < 0:
            table = coarse[column].T[:, None, :]
        else:
            query = asked[frozenset((parent, column))]
            found = tables[query] if _columns(query)[0] == parent else tables[query].T
            joint = _joint(found, coarse[parent], coarse[column], links.label, variance)
            table = np.moveaxis(joint, 2, 0)
        nodes.append(
            Node(column=column, parent=parent, table=_normal(table), cells=_inside(links, groups[column], column))
        )
    share = links.label / links.persons if links.persons > 0 else np.array([0.5, 0.5])
    return TreeModel(domain=domain, persons=max(1, round(links.persons)), label=share, nodes=tuple(nodes), rules=rules)


def _columns(query: Query) -> tuple[int, int]:
    left, right = query.cells or query.signs
    return left, right


def _inside(links: Links, groups: tuple[int, ...], column: int) -> Table:
    """Return P(cell | label, group), shape (2, groups, cells).

    Within a bin the label makes no difference.
    """
    bins, cells, table = np.asarray(links.groups[column]), links.cells[column], links.tables[column]
    number, total = np.bincount(bins)[bins], np.bincount(bins, weights=cells)[bins]
    within = np.where(total > 0, cells / np.where(total > 0, total, 1.0), 1.0 / number)
    of_bin = group_of_bin(links.groups[column], groups)
    inside = np.zeros((2, int(of_bin.max()) + 1, len(table)))
    inside[:, of_bin, np.arange(len(table))] = table.T
    empty = inside.sum(axis=2, keepdims=True) <= 0
    member = of_bin[None, :] == np.arange(inside.shape[1])[:, None]
    inside = _normal(np.where(empty, member[None], inside))
    spread = np.zeros((len(table), len(cells)))
    spread[bins, np.arange(len(cells))] = within
    return np.asarray(inside @ spread)


def _joint(found: Table, left: Table, right: Table, label: Table, variance: float) -> Table:
    """Return the table (left, right, label) without a three-way interaction that has these two-way margins.

    What the pair adds to independence given the label is shrunk by what noise alone would explain.

    Args:
        found: Noisy two-way counts, or the signed number of two columns of two groups each.
    """
    given = left[:, None, :] * right[None, :, :] / np.maximum(label, 1e-9)
    apart = given.sum(axis=2)
    if found.ndim == 0:
        sides = np.array([[1.0, -1.0], [-1.0, 1.0]])
        rest, variance = sides * (float(found) - float((sides * apart).sum())) / 4, variance / 16
    else:
        rest = found - apart
        rest = rest - rest.mean(axis=0, keepdims=True) - rest.mean(axis=1, keepdims=True) + rest.mean()
    effect = shrunk(rest, variance=variance, scale=apart)
    both = np.maximum(apart + effect, 0.05 * apart)
    return fitted(given, [((0, 1), both), ((0, 2), left), ((1, 2), right)])


def _normal(table: Table) -> Table:
    """Scale the last axis to sum 1; an empty row becomes even."""
    total = table.sum(axis=-1, keepdims=True)
    even = np.full_like(table, 1.0 / table.shape[-1], dtype=np.float64)
    return np.where(total > 0, table / np.where(total > 0, total, 1.0), even)


def _ordered(features: int, edges: Edges) -> list[tuple[int, int]]:
    """Return (column, parent) pairs, parents first; the first column of each tree has parent -1."""
    near: dict[int, list[int]] = {column: [] for column in range(features)}
    for left, right in edges:
        near[left].append(right)
        near[right].append(left)
    order: list[tuple[int, int]] = []
    seen: set[int] = set()
    for root in range(features):
        queue = [] if root in seen else [(root, -1)]
        while queue:
            column, parent = queue.pop(0)
            if column in seen:
                continue
            seen.add(column)
            order.append((column, parent))
            queue.extend((other, column) for other in near[column] if other not in seen)
    return order

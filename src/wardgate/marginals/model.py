"""The fitted forest: every feature hangs on the label and at most one other feature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wardgate.marginals.domain import Domain
from wardgate.marginals.estimate import Table, fitted, shrunk, weighted
from wardgate.marginals.links import Links, Noisy, links_of, raw_tables, settled
from wardgate.marginals.structure import Edges
from wardgate.marginals.workload import Groups
from wardgate.records.study import ClinicalRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One feature given its parent.

    Attributes:
        column: Position in the domain.
        parent: Column of the parent feature, or -1 where only the label is one.
        table: P(group | parent's group, label), shape (2, parent groups or 1, groups).
        cells: P(cell | group, label), shape (2, groups, cells).
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
    rounds: Sequence[Noisy],
    *,
    groups: Groups,
    edges: Edges,
    rules: tuple[ClinicalRule, ...] = (),
) -> TreeModel:
    """Return the model of noisy counts.

    Args:
        rounds: Histograms, links and cliques; the last workload holds the marginal (left, right, label)
            of every edge in `groups`.
        groups: The coarse groups of every column.
    """
    links = links_of(domain, rounds)
    tables = _sharpened(domain, links, rounds, groups)
    coarse = []
    inner = []
    for column in range(domain.features):
        calm = settled(tables[column], variance=links.variances[column], label=links.label)
        coarse.append(_sum_to(calm, _of_link(links, groups, column)))
        inner.append(_inner(links, groups, column, calm))
    raw = raw_tables(rounds)
    nodes = []
    for column, parent in _ordered(domain.features, edges):
        if parent < 0:
            table = _normal(coarse[column].T[:, None, :])
        else:
            edge = (parent, column) if (parent, column, domain.features) in raw else (column, parent)
            found, variance, _ = raw[(*edge, domain.features)]
            joint = _clique(found, coarse[edge[0]], coarse[edge[1]], links.label, variance)
            table = _normal(np.moveaxis(joint, 2, 0) if edge[0] == parent else np.moveaxis(joint, (2, 1), (0, 1)))
        nodes.append(Node(column=column, parent=parent, table=table, cells=inner[column]))
    total = max(links.persons, 1e-9)
    return TreeModel(
        domain=domain,
        persons=max(1, round(links.persons)),
        label=links.label / total if links.persons > 0 else np.array([0.5, 0.5]),
        nodes=tuple(nodes),
        rules=rules,
    )


def _of_link(links: Links, groups: Groups, column: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the coarse group of every link bin."""
    found = np.zeros(len(links.tables[column]), dtype=np.int64)
    found[np.asarray(links.groups[column])] = groups[column]
    return found


def _sum_to(table: Table, of_row: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Table:
    found = np.zeros((int(of_row.max()) + 1, *table.shape[1:]))
    np.add.at(found, of_row, table)
    return found


def _sharpened(domain: Domain, links: Links, rounds: Sequence[Noisy], groups: Groups) -> list[Table]:
    """Return the link tables after averaging with what the cliques say of the same margins."""
    said: list[list[tuple[Table, float]]] = [[] for _ in range(domain.features)]
    for marginal, (table, variance, _) in raw_tables(rounds).items():
        if len(marginal) == 3:
            left, right, _ = marginal
            said[left].append((table.sum(axis=1), variance * table.shape[1]))
            said[right].append((table.sum(axis=0), variance * table.shape[0]))
    tables = []
    for column, table in enumerate(links.tables):
        of_link = _of_link(links, groups, column)
        if said[column]:
            size = np.bincount(of_link)[:, None]
            own = _sum_to(table, of_link)
            others, variance = weighted([item[0] for item in said[column]], [item[1] for item in said[column]])
            trust = links.variances[column] * size / (links.variances[column] * size + variance)
            table = table + (trust * (others - own) / size)[of_link]
        tables.append(table)
    return tables


def _inner(links: Links, groups: Groups, column: int, calm: Table) -> Table:
    """Return P(cell | coarse group, label), shape (2, groups, cells)."""
    link, coarse = np.asarray(links.groups[column]), np.asarray(groups[column])
    fine = links.fine[column]
    inside = np.bincount(link, weights=fine, minlength=len(calm))
    number = np.bincount(link, minlength=len(calm))
    even = (inside / number)[link]
    smooth = np.zeros_like(fine)
    for bin_ in range(len(calm)):
        here = link == bin_
        smooth[here] = shrunk(
            fine[here] - even[here], variance=links.fine_variance[column], freedom=int(number[bin_]) - 1
        )
    smooth = np.maximum(even + smooth, 0.0)
    within = np.where(inside[link] > 0, smooth / np.where(inside > 0, inside, 1.0)[link], 1.0 / number[link])
    found = np.zeros((2, int(coarse.max()) + 1, len(fine)))
    cells = np.arange(len(fine))
    for label in (0, 1):
        found[label, coarse, cells] = calm[link, label] * within
        empty = found[label].sum(axis=1) <= 0
        found[label] += np.where(empty[coarse], within, 0.0)[None, :] * (
            coarse[None, :] == np.arange(len(empty))[:, None]
        )
    return _normal(found)


def _clique(found: Table, left: Table, right: Table, label: Table, variance: float) -> Table:
    """Return the three-way table of one edge with these margins beside the label, none negative.

    What the pair adds to independence is split into a part that both labels share and a part that the label
    turns, and each is shrunk by what noise alone would explain.
    """
    persons = np.maximum(label, 1e-9)
    expected = left[:, None, :] * right[None, :, :] / persons
    rest = found - expected
    rest = rest - rest.mean(axis=0, keepdims=True) - rest.mean(axis=1, keepdims=True) + rest.mean(axis=(0, 1))
    share = persons / persons.sum()
    freedom = (found.shape[0] - 1) * (found.shape[1] - 1)
    both = shrunk(rest.sum(axis=2), variance=2 * variance, freedom=freedom)
    turned = rest[:, :, 1] * share[0] - rest[:, :, 0] * share[1]
    turned = shrunk(turned, variance=variance * float((share**2).sum()), freedom=freedom)
    effect = np.stack([both * share[0] - turned, both * share[1] + turned], axis=2)
    return fitted(np.maximum(expected + effect, 0.05 * expected), [(0, left), (1, right)])


def _normal(table: Table) -> Table:
    """Scale the last axis to sum 1; an empty row becomes even."""
    total = table.sum(axis=-1, keepdims=True)
    even = np.full_like(table, 1.0 / table.shape[-1])
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

"""A graphical model of noisy tables over overlapping columns: the distribution of highest entropy that fits them.

References: McKenna, Sheldon, Miklau 2019, arXiv:1901.09136 (Private-PGM); Koller and Friedman 2009, chapter 10.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
from numpy.typing import NDArray

from wardgate.marginals.drawing import systematic
from wardgate.measures.consistent import margin, spread
from wardgate.records.errors import Invalid

Table = NDArray[np.float64]
Columns = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Junction:
    """A tree of cliques; every measured table lies within one of them.

    Attributes:
        sizes: Cells of each column.
        cliques: Columns of each clique.
        parents: Place of each clique's parent, which comes before it; -1 for the first.
    """

    sizes: Mapping[str, int]
    cliques: tuple[Columns, ...]
    parents: tuple[int, ...]

    def holder(self, columns: Columns) -> int:
        """Return the smallest clique that holds these columns.

        Raises:
            Invalid: none does.
        """
        fitting = [place for place, clique in enumerate(self.cliques) if set(columns) <= set(clique)]
        if not fitting:
            raise Invalid(f"no clique holds {' x '.join(columns)}")
        return min(fitting, key=lambda place: prod(self.sizes[column] for column in self.cliques[place]))


def cliques_of(sizes: Mapping[str, int], tables: Iterable[Columns]) -> list[Columns]:
    """Return the cliques of a triangulation, by least fill and then by smallest clique."""
    left: dict[str, set[str]] = {column: set() for column in sizes}
    for columns in tables:
        for column in columns:
            left[column] |= set(columns) - {column}

    def fill(column: str) -> int:
        around = left[column]
        return sum(len(around - left[other]) - 1 for other in around)

    found: list[frozenset[str]] = []
    while left:
        whole = next((one for one in left if fill(one) == 0), None)
        column = whole or min(left, key=lambda one: (fill(one), prod(sizes[other] for other in (one, *left[one])), one))
        around = left.pop(column)
        for other in around:
            left[other] = (left[other] | around) - {column, other}
        found.append(frozenset({column, *around}))
    largest = [one for place, one in enumerate(found) if not any(one <= other for other in found[:place])]
    order = {column: place for place, column in enumerate(sizes)}
    return [tuple(sorted(one, key=order.__getitem__)) for one in largest]


def junction(sizes: Mapping[str, int], tables: Iterable[Columns]) -> Junction:
    """Return a junction tree over all columns."""
    placed, *rest = cliques_of(sizes, tables)
    cliques, parents = [placed], [-1]
    while rest:
        _, child, parent = max(
            (len(set(clique) & set(other)), -number, -place)
            for number, clique in enumerate(rest)
            for place, other in enumerate(cliques)
        )
        cliques.append(rest.pop(-child))
        parents.append(-parent)
    return Junction(sizes=dict(sizes), cliques=tuple(cliques), parents=tuple(parents))


def tree_cells(sizes: Mapping[str, int], tables: Iterable[Columns]) -> int:
    """Return the cells of all cliques together: what an estimate would cost."""
    return sum(prod(sizes[column] for column in clique) for clique in cliques_of(sizes, tables))


def beliefs(tree: Junction, potentials: Mapping[Columns, Table]) -> list[Table]:
    """Return the distribution of each clique when the log density is the sum of these tables."""
    factors = []
    logs = [np.zeros([tree.sizes[column] for column in clique]) for clique in tree.cliques]
    for columns, table in potentials.items():
        place = tree.holder(columns)
        logs[place] = logs[place] + spread(table, tree.cliques[place], list(columns))
    factors = [np.exp(np.maximum(table - table.max(), -500.0)) for table in logs]
    between = [
        [column for column in clique if parent >= 0 and column in tree.cliques[parent]]
        for clique, parent in zip(tree.cliques, tree.parents, strict=True)
    ]
    children: list[list[int]] = [[] for _ in factors]
    for place, parent in enumerate(tree.parents):
        if parent >= 0:
            children[parent].append(place)
    upward: dict[int, Table] = {}
    for place in reversed(range(len(factors))):
        product = reduce(
            np.multiply, (_onto(tree, upward, between, child, place) for child in children[place]), factors[place]
        )
        upward[place] = _scaled(margin(product, tree.cliques[place], between[place]))
    downward: dict[int, Table] = {}
    found = []
    for place, parent in enumerate(tree.parents):
        product = factors[place]
        if parent >= 0:
            product = product * spread(downward[place], tree.cliques[place], between[place])
        for child in children[place]:
            others = reduce(
                np.multiply,
                (_onto(tree, upward, between, other, place) for other in children[place] if other != child),
                product,
            )
            downward[child] = _scaled(margin(others, tree.cliques[place], between[child]))
        whole = reduce(np.multiply, (_onto(tree, upward, between, child, place) for child in children[place]), product)
        found.append(_scaled(whole))
    return found


def _onto(tree: Junction, messages: Mapping[int, Table], between: list[list[str]], child: int, place: int) -> Table:
    return spread(messages[child], tree.cliques[place], between[child])


def _scaled(table: Table) -> Table:
    total = float(table.sum())
    return np.asarray(table / total) if total > 0 else np.full_like(table, 1.0 / table.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noisy:
    """One measured table.

    Attributes:
        values: Noisy counts.
        sigma: Standard deviation of the noise in each cell; one number or one for each cell.
    """

    columns: Columns
    values: Table
    sigma: Table | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A fitted model.

    Attributes:
        persons: Estimated number of persons, at least 1.
        tree: Its cliques.
        potentials: Log factors by the columns of each measured table.
        cliques: Distribution of each clique.
    """

    persons: float
    tree: Junction
    potentials: Mapping[Columns, Table]
    cliques: tuple[Table, ...]

    def table(self, columns: Columns) -> Table:
        """Return expected counts over any columns, by elimination; may be costly where they lie far apart."""
        waiting: dict[int, list[tuple[Columns, Table]]] = {}
        for place in reversed(range(len(self.cliques))):
            held, parent, part = self.tree.cliques[place], self.tree.parents[place], self.cliques[place]
            shared = [column for column in held if parent >= 0 and column in self.tree.cliques[parent]]
            if parent >= 0:
                under = spread(margin(part, held, shared), held, shared)
                part = np.divide(part, under, out=np.zeros_like(part), where=under > 0)
            for others, message in waiting.pop(place, []):
                wider = (*held, *(column for column in others if column not in held))
                part = spread(part, wider, list(held)) * spread(message, wider, list(others))
                held = wider
            kept = [column for column in held if column in shared or column in columns]
            waiting.setdefault(parent, []).append((tuple(kept), margin(part, held, kept)))
        ((held, part),) = waiting[-1]
        return margin(part, held, list(columns)) * self.persons


def fit(sizes: Mapping[str, int], tables: Sequence[Noisy], *, before: Graph | None = None, steps: int = 100) -> Graph:
    """Return the model that fits noisy tables best by weighted least squares, by mirror descent with line search.

    Args:
        tables: At least one; columns in none of them are even and independent.
        before: An earlier model, whose potentials are taken up.

    Raises:
        Invalid: no tables, or one that does not fit the sizes.
    """
    if not tables:
        raise Invalid("a model needs at least one measured table")
    for one in tables:
        if one.values.shape != tuple(sizes[column] for column in one.columns):
            raise Invalid(f"the table over {' x '.join(one.columns)} has another shape than its columns")
    tree = junction(sizes, [one.columns for one in tables])
    merged = _merged(tables)
    persons = _persons(tables)
    scale = max(float(np.max(weight)) for _, weight in merged.values())
    goals = {columns: (values / persons, weight / scale) for columns, (values, weight) in merged.items()}
    known = before.potentials if before is not None else {}
    theta = {columns: known.get(columns, np.zeros(values.shape)) for columns, (values, _) in goals.items()}
    holders = {columns: tree.holder(columns) for columns in goals}
    cliques = beliefs(tree, theta)
    alpha = 2.0

    def gaps(parts: list[Table]) -> dict[Columns, Table]:
        return {
            columns: margin(parts[holders[columns]], tree.cliques[holders[columns]], list(columns)) - goal
            for columns, (goal, _) in goals.items()
        }

    def loss(gap: dict[Columns, Table]) -> float:
        return sum(0.5 * float(np.sum(goals[columns][1] * part**2)) for columns, part in gap.items())

    gap = gaps(cliques)
    value = loss(gap)
    for _ in range(steps):
        alpha *= 2.0
        for _ in range(40):
            proposal = {columns: theta[columns] - alpha * goals[columns][1] * gap[columns] for columns in theta}
            after = beliefs(tree, proposal)
            next_gap = gaps(after)
            moved = sum(
                float(np.sum(goals[columns][1] * gap[columns] * (gap[columns] - next_gap[columns]))) for columns in gap
            )
            if value - loss(next_gap) >= 0.5 * moved and moved >= 0:
                break
            alpha *= 0.5
        progress = value - loss(next_gap)
        theta, cliques, gap, value = proposal, after, next_gap, loss(next_gap)
        if progress <= 1e-9 * max(value, 1e-30):
            break
    return Graph(persons=persons, tree=tree, potentials=theta, cliques=tuple(cliques))


def _merged(tables: Sequence[Noisy]) -> dict[Columns, tuple[Table, Table]]:
    """Return the weighted mean of tables over the same columns, and its weight (one over the variance)."""
    found: dict[Columns, tuple[Table, Table]] = {}
    for one in tables:
        weight = np.broadcast_to(1.0 / np.asarray(one.sigma, dtype=np.float64) ** 2, one.values.shape)
        values, held = found.get(one.columns, (np.zeros_like(one.values), np.zeros(one.values.shape)))
        total = held + weight
        found[one.columns] = (values * (held / total) + one.values * (weight / total), total)
    return found


def _persons(tables: Sequence[Noisy]) -> float:
    precision = [1.0 / float(np.sum(np.broadcast_to(np.asarray(one.sigma) ** 2, one.values.shape))) for one in tables]
    totals = [float(one.values.sum()) for one in tables]
    return max(1.0, float(np.average(totals, weights=precision)))


def draw(
    graph: Graph, rows: int, *, rng: np.random.Generator, evidence: Mapping[str, Table] | None = None
) -> dict[str, NDArray[np.int64]]:
    """Draw the cells of rows, clique by clique; each cell gets its expected number of rows, rounded at random.

    Args:
        evidence: For some columns how likely each cell meets a condition; rows are drawn from those who meet all.

    Raises:
        Invalid: nobody in the model meets the conditions.
    """
    parts = _conditioned(graph, evidence) if evidence else graph.cliques
    found: dict[str, NDArray[np.int64]] = {}
    for clique, parent, part in zip(graph.tree.cliques, graph.tree.parents, parts, strict=True):
        shared = [column for column in clique if parent >= 0 and column in found]
        fresh = [column for column in clique if column not in shared]
        turned = np.transpose(part, [clique.index(column) for column in (*shared, *fresh)])
        above = [graph.tree.sizes[column] for column in shared]
        place = np.zeros(rows, dtype=np.int64)
        for column, size in zip(shared, above, strict=True):
            place = place * size + found[column]
        drawn = systematic(turned.reshape(prod(above), -1), place, rng=rng)
        for column in reversed(fresh):
            size = graph.tree.sizes[column]
            found[column], drawn = drawn % size, drawn // size
    return found


def _conditioned(graph: Graph, evidence: Mapping[str, Table]) -> tuple[Table, ...]:
    """Return tables from which cliques are drawn in order, each given what it shares with those before it."""
    tree, left, parts = graph.tree, dict(evidence), []
    above = [
        [column for column in clique if parent >= 0 and column in tree.cliques[parent]]
        for clique, parent in zip(tree.cliques, tree.parents, strict=True)
    ]
    for clique, shared, part in zip(tree.cliques, above, graph.cliques, strict=True):
        under = spread(margin(part, clique, shared), clique, shared)
        given = np.divide(part, under, out=np.zeros_like(part), where=under > 0)
        for column in clique:
            if column in left:
                given = given * spread(left.pop(column), clique, [column])
        parts.append(given)
    for place in reversed(range(1, len(parts))):
        message = margin(parts[place], tree.cliques[place], above[place])
        parent = tree.parents[place]
        parts[parent] = parts[parent] * spread(message, tree.cliques[parent], above[place])
    if not parts[0].sum() > 0:
        raise Invalid("nobody in the model meets these conditions")
    return tuple(parts)

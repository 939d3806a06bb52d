"""A model in which all columns are equals: a graph over groups of cells, and the cells within each group."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.domain import Codes, Domain, decode
from wardgate.marginals.drawing import systematic
from wardgate.marginals.equals import graphical
from wardgate.marginals.estimate import Table, shrunk
from wardgate.marginals.levels import all_sides, grouped, whole
from wardgate.marginals.sampling import Where, evidence_of, keep_rules
from wardgate.marginals.tree.links import Noisy, column_counts, person_count, query_alone
from wardgate.marginals.workload import Groups, Query, Workload
from wardgate.measures.encoding import LABEL
from wardgate.records.claim import Claim
from wardgate.records.errors import Invalid, Refused
from wardgate.records.feature import ClinicalRule

MOST_BINS = 10
LEAST_IN_CELL = 3.0
"""Groups are few enough that a cell of a pair holds, on the mean, so many times the noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """What the first round says of each column by itself.

    Attributes:
        persons: Estimated persons.
        groups: For every column, the group of each of its cells; rare categories share one.
        inside: For every column, P(cell | group), shape (groups, cells).
        tables: For every column, persons in each group, with the noise that is left.
    """

    persons: float
    groups: Groups
    inside: tuple[Table, ...]
    tables: tuple[graphical.Noisy, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """Groups of each column, by name."""
        return {one.columns[0]: len(one.values) for one in self.tables}


@dataclass(frozen=True, slots=True, kw_only=True)
class JointModel:
    """Everything that sampling needs; made from noisy counts alone.

    Attributes:
        persons: Noisy number of persons.
        graph: The distribution over groups, by column name.
        inside: For every column, P(cell | group), shape (groups, cells).
        rules: Clinical rules that every sampled row keeps.
    """

    domain: Domain
    persons: int
    graph: graphical.Graph
    inside: tuple[Table, ...]
    rules: tuple[ClinicalRule, ...] = ()


def histograms(domain: Domain) -> Workload:
    """Round 1: all persons, and the cells of each column; one person moves it by sqrt(columns + 1)."""
    groups = whole(domain)
    columns = (query_alone(domain, groups, column) for column in range(len(domain.columns)))
    return Workload(domain=domain, groups=groups, sides=all_sides(domain, groups), queries=(Query(), *columns))


def alone(domain: Domain, first: Noisy, *, sigma: float) -> Alone:
    """Return groups and single columns from the noisy histograms.

    Args:
        sigma: Standard deviation of the noise in a cell of the pairs to come.

    Raises:
        Refused: the noise is as large as the hospital.
    """
    persons = person_count(first)
    if persons < 4 * max(sigma, first.sigma):
        raise Refused(
            "the noise of this budget is as large as the whole hospital: no corpus can be made; "
            "take part in the joint corpus, or ask for a larger epsilon"
        )
    bins = int(np.clip(np.sqrt(persons / (LEAST_IN_CELL * sigma)), 2, MOST_BINS))
    groups, inside, tables = [], [], []
    for position, column in enumerate(domain.columns):
        cells = column_counts(domain, first, position, persons)
        most = column.size if column.kind == "nominal" else bins
        group = grouped(column, cells, most, floor=2 * max(sigma, first.sigma))
        member = np.zeros((max(group) + 1, column.size))
        member[np.asarray(group), np.arange(column.size)] = 1.0
        held = member @ cells
        inside.append(np.where(held[:, None] > 0, member * cells, member))
        inside[-1] = inside[-1] / inside[-1].sum(axis=1, keepdims=True)
        spread = first.sigma * np.sqrt(np.maximum(member.sum(axis=1), 1.0))
        tables.append(graphical.Noisy(columns=(column.name,), values=held, sigma=spread))
        groups.append(group)
    return Alone(persons=persons, groups=tuple(groups), inside=tuple(inside), tables=tuple(tables))


def asked_tables(domain: Domain, groups: Groups, columns: tuple[tuple[int, ...], ...]) -> Workload:
    """Return the question for tables of two or three columns, in groups; one person moves it by sqrt(tables)."""
    queries = tuple(Query(cells=one) for one in columns)
    return Workload(domain=domain, groups=groups, sides=all_sides(domain, groups), queries=queries)


def believed(noisy: Noisy, expected: Mapping[tuple[int, ...], Table]) -> list[graphical.Noisy]:
    """Return the noisy tables, each pulled towards what was expected of it as far as noise alone would explain it.

    Args:
        expected: For the columns of each query, persons that the model so far expects in each cell.
    """
    found = []
    for query, table in noisy.tables().items():
        before = expected[query.cells]
        rest = shrunk(table - before, variance=noisy.sigma**2, scale=np.maximum(before, 1.0))
        names = tuple(noisy.workload.domain.columns[column].name for column in query.cells)
        found.append(graphical.Noisy(columns=names, values=before + rest, sigma=noisy.sigma))
    return found


def sample_joint(model: JointModel, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
    """Draw rows in the table form of `measures.encoding`, with the label where the domain has one.

    Args:
        where: Draw from the model given these conditions, exactly.

    Raises:
        Invalid: a negative number of rows, a condition that names an unknown column or value or that nobody meets, or
            too few rows keep the study's rules.
    """
    if rows < 0:
        raise Invalid(f"expected a number of rows from 0 up, found {rows}")
    evidence, limits = evidence_of(model.domain, dict(where or {}))
    names = [column.name for column in model.domain.columns]
    likely = {
        name: inside @ seen
        for name, inside, seen in zip(names, model.inside, evidence, strict=True)
        if not np.all(seen == 1.0)
    }

    def drawn(count: int) -> pl.DataFrame:
        groups = graphical.draw(model.graph, count, rng=rng, evidence=likely)
        return pl.DataFrame(
            [
                _values(model, position, groups[name], evidence[position], limits, rng)
                for position, name in enumerate(names)
            ]
        )

    return keep_rules(drawn, rows, rules=model.rules, features=model.domain.declared, rng=rng)


def _values(
    model: JointModel,
    position: int,
    groups: NDArray[np.int64],
    seen: Table,
    limits: Mapping[int, tuple[float, float]],
    rng: np.random.Generator,
) -> pl.Series:
    column = model.domain.columns[position]
    cells: Codes = systematic(model.inside[position] * seen, groups, rng=rng).astype(np.int32)
    if column.name == LABEL:
        return pl.Series(LABEL, cells, dtype=pl.Int8)
    low, high = limits.get(position, (-np.inf, np.inf))
    return decode(column, cells, rng=rng, low=low, high=high)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedJoint:
    """A fitted model and what it cost. It never leaves the ward."""

    model: JointModel
    claim: Claim

    @property
    def persons(self) -> int:
        """The noisy number of persons: how many rows a corpus should have."""
        return self.model.persons

    def sample(self, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw rows; see `sample_joint`."""
        return sample_joint(self.model, rows, rng=rng, where=where)

"""What is counted in one round: a vector of counts whose change by one person is known beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.domain import Codes, Domain, encode
from wardgate.records.errors import Invalid

MAX_ENTRIES = 1_000_000
MAX_QUERIES = 20_000

Counts = NDArray[np.int64]
Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One table. A person adds, to the cell that the `cells` columns name, the product of the `signs` columns' sides.

    Without `signs` it is a marginal. With the label as sign it is a marginal of those with the outcome less one of
    those without. With two features as signs and no cells it is a single number that says how they go together.
    A difference that is wanted is measured as one: the same noise on its two halves would hurt it twice.
    """

    cells: tuple[int, ...] = ()
    signs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Queries over grouped cells.

    Every person adds +1 or -1 to one entry of each query and nothing else. So no entry moves by more than 1 when a
    person comes or goes, and the whole vector by exactly `l2`.

    Attributes:
        groups: For every column of the domain, the group of each of its cells, numbered from 0 without gaps.
        sides: For every column, +1 or -1 for each cell.
    """

    domain: Domain
    groups: Groups
    sides: Groups
    queries: tuple[Query, ...]

    def __post_init__(self) -> None:
        _check(self)

    def shape(self, query: Query) -> tuple[int, ...]:
        """Return the shape of the table of one query."""
        return tuple(max(self.groups[column]) + 1 for column in query.cells)

    @property
    def l2(self) -> float:
        """The L2 norm of what one person adds."""
        return float(np.sqrt(len(self.queries)))

    @property
    def size(self) -> int:
        """Entries of the vector."""
        return sum(int(np.prod(self.shape(query))) for query in self.queries)

    def split(self, vector: NDArray[Any]) -> dict[Query, NDArray[np.float64]]:
        """Cut a vector into the tables of its queries.

        Raises:
            Invalid: the vector has another length.
        """
        if vector.shape != (self.size,):
            raise Invalid(f"expected {self.size} counts, found an array of shape {vector.shape}")
        tables, start = {}, 0
        for query in self.queries:
            shape = self.shape(query)
            stop = start + int(np.prod(shape))
            tables[query] = vector[start:stop].astype(np.float64).reshape(shape)
            start = stop
        return tables

    def to_parameters(self) -> dict[str, Any]:
        """Return plain data without floats, for a signed question."""
        names = [column.name for column in self.domain.columns]
        return {
            "groups": dict(zip(names, map(list, self.groups), strict=True)),
            "sides": dict(zip(names, map(list, self.sides), strict=True)),
            "queries": [
                {"cells": [names[column] for column in query.cells], "signs": [names[column] for column in query.signs]}
                for query in self.queries
            ],
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], *, domain: Domain) -> "Workload":
        """Read what `to_parameters` wrote. The question is not trusted: `l2` follows from what is counted.

        Raises:
            Invalid: the parameters do not describe a workload over this domain.
        """
        if not isinstance(parameters, Mapping) or set(parameters) != {"groups", "sides", "queries"}:
            raise Invalid("a workload has the parts 'groups', 'sides' and 'queries'")
        queries = parameters["queries"]
        if not isinstance(queries, list | tuple):
            raise Invalid("'queries' of a workload must be a list")
        return cls(
            domain=domain,
            groups=_by_column(parameters["groups"], domain, "groups"),
            sides=_by_column(parameters["sides"], domain, "sides"),
            queries=tuple(_query(query, domain) for query in queries),
        )


def _by_column(value: Any, domain: Domain, part: str) -> Groups:
    names = [column.name for column in domain.columns]
    if not isinstance(value, Mapping) or set(value) != set(names):
        raise Invalid(f"'{part}' of a workload must name every column of the study and no other")
    for numbers in value.values():
        if not isinstance(numbers, list | tuple) or not all(type(number) is int for number in numbers):
            raise Invalid(f"'{part}' of a workload must hold whole numbers")
    return tuple(tuple(value[name]) for name in names)


def _query(value: Any, domain: Domain) -> Query:
    if not isinstance(value, Mapping) or set(value) != {"cells", "signs"}:
        raise Invalid("a query has the parts 'cells' and 'signs'")
    found = {}
    for part, names in value.items():
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise Invalid(f"'{part}' of a query must be a list of columns")
        found[part] = tuple(domain.index(name) for name in names)
    return Query(**found)


def _check(workload: Workload) -> None:
    columns = workload.domain.columns
    if len(workload.groups) != len(columns) or len(workload.sides) != len(columns):
        raise Invalid(f"expected groups and sides for {len(columns)} columns")
    for column, groups, sides in zip(columns, workload.groups, workload.sides, strict=True):
        if len(groups) != column.size or set(groups) != set(range(max(groups, default=-1) + 1)):
            raise Invalid(f"groups of '{column.name}' must number its {column.size} cells from 0 without gaps")
        if len(sides) != column.size or not set(sides) <= {-1, 1}:
            raise Invalid(f"sides of '{column.name}' must be -1 or 1 for each of its {column.size} cells")
    for query in workload.queries:
        used = (*query.cells, *query.signs)
        if len(used) > 3 or len(set(used)) != len(used) or not set(used) <= set(range(len(columns))):
            raise Invalid("a query has at most three different columns")
    if len(set(workload.queries)) != len(workload.queries):
        raise Invalid("a workload asks the same question twice")
    if len(workload.queries) > MAX_QUERIES or workload.size > MAX_ENTRIES:
        raise Invalid(f"a workload has at most {MAX_QUERIES} queries and {MAX_ENTRIES} entries")


def count(workload: Workload, table: pl.DataFrame) -> Counts:
    """Return the exact counts of a table, shape (workload.size,). They are protected by whoever adds the noise.

    Raises:
        Invalid: the table does not fit the study (see `encode`).
    """
    return count_codes(workload, encode(workload.domain, table))


def count_codes(workload: Workload, codes: Codes) -> Counts:
    """Return the exact counts of encoded rows, shape (workload.size,)."""
    signed = sorted({column for query in workload.queries for column in query.signs})
    sides = {column: np.asarray(workload.sides[column], dtype=np.float64)[codes[:, column]] for column in signed}
    scalars = _products(workload, sides, codes)
    parts = []
    for query in workload.queries:
        if query in scalars:
            parts.append(np.array([scalars[query]]))
            continue
        shape = workload.shape(query)
        flat = np.zeros(len(codes), dtype=np.int64)
        for column, size in zip(query.cells, shape, strict=True):
            flat = flat * size + np.asarray(workload.groups[column])[codes[:, column]]
        weights = None
        if query.signs:
            weights = np.prod([sides[column] for column in query.signs], axis=0)
        parts.append(np.bincount(flat, weights=weights, minlength=int(np.prod(shape))))
    return np.rint(np.concatenate(parts)).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)


def _products(workload: Workload, sides: Mapping[int, NDArray[np.float64]], codes: Codes) -> dict[Query, float]:
    """Return the queries of two signs and no cells, all by one matrix product."""
    pairs = [query for query in workload.queries if not query.cells and len(query.signs) == 2]
    if not pairs:
        return {}
    place = {column: position for position, column in enumerate(sides)}
    matrix = np.column_stack(list(sides.values())) if sides else np.zeros((len(codes), 0))
    gram = matrix.T @ matrix
    return {query: float(gram[place[query.signs[0]], place[query.signs[1]]]) for query in pairs}

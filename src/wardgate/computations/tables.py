"""Counts of persons in k-way tables over declared features: counts, histograms, two-way tables, marginals."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.measures.grain import Cells, cells_of
from wardgate.records.errors import Invalid, Refused
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

MOST_WAYS = 4
MOST_TABLES = 20_000
MOST_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Tables of counts. A person falls into one cell of each.

    Attributes:
        tables: Columns of each table (features or `label`), at most four; none counts all persons.
        cuts: For every number among them, its cuts in whole grains (see measures/grain.py).
    """

    name: ClassVar[str] = "tables"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train", "tuning", "holdout")

    tables: tuple[tuple[str, ...], ...]
    cuts: Mapping[str, tuple[int, ...]]

    def parameters(self) -> dict[str, Any]:
        return {
            "tables": [list(table) for table in self.tables],
            "cuts": {name: list(steps) for name, steps in self.cuts.items()},
        }

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return ()

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        del arrays
        tables, cuts = parameters.get("tables"), parameters.get("cuts")
        if not isinstance(tables, list | tuple) or not all(_words(table) for table in tables):
            raise Invalid("tables of counts need 'tables', a list of lists of columns")
        if not isinstance(cuts, Mapping) or not all(_integers(steps) for steps in cuts.values()):
            raise Invalid("tables of counts need 'cuts', whole grains for every number")
        return cls(
            tables=tuple(tuple(table) for table in tables),
            cuts={str(name): tuple(steps) for name, steps in cuts.items()},
        )

    def cells(self, study: Study) -> dict[str, Cells]:
        """Return the cells of every column that a table names.

        Raises:
            Invalid: an unknown column, or a number without rising cuts.
        """
        names = dict.fromkeys(name for table in self.tables for name in table)
        stray = set(self.cuts) - set(names)
        if stray:
            raise Invalid(f"cuts are given for '{min(stray)[:80]}', which no table counts")
        return {name: cells_of(name, study.features, self.cuts) for name in names}

    def sizes(self, study: Study) -> tuple[tuple[int, ...], ...]:
        """Return the shape of each table.

        Raises:
            Invalid: no tables, too many of them, more than four columns in one, a column or a table twice, or too many
                cells in all.
        """
        if not 1 <= len(self.tables) <= MOST_TABLES:
            raise Invalid(f"expected 1 to {MOST_TABLES} tables, found {len(self.tables)}")
        for table in self.tables:
            if len(table) > MOST_WAYS:
                raise Invalid(f"a table has at most {MOST_WAYS} columns, found {len(table)}")
            if len(set(table)) != len(table):
                raise Invalid("a table names a column twice")
        if len({frozenset(table) for table in self.tables}) != len(self.tables):
            raise Invalid("a table is asked for twice")
        cells = self.cells(study)
        found = tuple(tuple(cells[name].size for name in table) for table in self.tables)
        entries = sum(prod(size) for size in found)
        if entries > MOST_ENTRIES:
            raise Invalid(f"at most {MOST_ENTRIES} cells can be counted at once, found {entries}; cut more coarsely")
        return found

    def shape(self, study: Study) -> Shape:
        """A person adds 1 to one cell of each table and nothing else: sqrt(tables) to the whole."""
        entries = sum(prod(size) for size in self.sizes(study))
        return Shape(bound=np.ones(entries), l2=float(np.sqrt(len(self.tables))))

    def check_exact(self, study: Study, *, persons_at_least: int) -> None:
        """Hold an exact sum to coarse tables: their cells must hold the policy's smallest count on average.

        An exact sum shows the hub every cell, small ones too; this keeps most of them from being small. It is free of
        data, so hub, ward and auditor all judge alike.

        Raises:
            Refused: a table has too many cells for the persons.
        """
        minimum = study.gate.small_cells.min_count
        for table, size in zip(self.tables, self.sizes(study), strict=True):
            if prod(size) * minimum > persons_at_least:
                raise Refused(
                    f"an exact table has at most one cell for every {minimum} persons: {' x '.join(table)} has"
                    f" {prod(size)} cells, the sum at least {persons_at_least} persons; cut more coarsely or add noise"
                )


def split_tables(vector: Vector, sizes: tuple[tuple[int, ...], ...]) -> list[Vector]:
    """Cut an answer into its tables.

    Raises:
        Invalid: it has another length.
    """
    if vector.shape != (sum(prod(size) for size in sizes),):
        raise Invalid(f"expected {sum(prod(size) for size in sizes)} counts, found shape {vector.shape}")
    found, start = [], 0
    for size in sizes:
        found.append(vector[start : start + prod(size)].reshape(size))
        start += prod(size)
    return found


def _words(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _integers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(type(step) is int and abs(step) < 2**53 for step in value)

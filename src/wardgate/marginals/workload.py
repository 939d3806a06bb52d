"""What is counted in one round: a vector of counts whose change by one person is known beforehand."""

from collections.abc import Mapping, Sequence
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
class Workload:
    """Marginals over grouped cells, then sums of signed pairs by label.

    Every person adds 1 to one entry of each marginal, and +1 or -1 to one entry of each signed pair. So no
    entry moves by more than 1 when a person comes or goes, and the whole vector by exactly `l2`.

    Attributes:
        groups: For every column of the domain, the group of each of its cells, numbered from 0 without gaps.
        marginals: Column numbers of each marginal, one to three.
        sides: For every column, +1 or -1 for each cell; empty where no pair is asked.
        pairs: Column numbers of each signed pair; its two entries are the sums of side x side for label 0 and 1.
    """

    domain: Domain
    groups: Groups
    marginals: tuple[tuple[int, ...], ...]
    sides: Groups = ()
    pairs: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        _check(self)

    def bins(self, column: int) -> int:
        """Return how many groups a column has."""
        return max(self.groups[column]) + 1

    def shape(self, marginal: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of one marginal."""
        return tuple(self.bins(column) for column in marginal)

    @property
    def queries(self) -> int:
        """How many entries one person touches."""
        return len(self.marginals) + len(self.pairs)

    @property
    def l2(self) -> float:
        """The L2 norm of what one person adds."""
        return float(np.sqrt(self.queries))

    @property
    def size(self) -> int:
        """Entries of the vector."""
        return sum(int(np.prod(self.shape(marginal))) for marginal in self.marginals) + 2 * len(self.pairs)

    def split(self, vector: NDArray[Any]) -> tuple[tuple[NDArray[np.float64], ...], NDArray[np.float64]]:
        """Cut a vector into its marginals, and its signed pairs of shape (pairs, 2).

        Raises:
            Invalid: the vector has another length.
        """
        if vector.shape != (self.size,):
            raise Invalid(f"expected {self.size} counts, found an array of shape {vector.shape}")
        tables, start = [], 0
        for marginal in self.marginals:
            shape = self.shape(marginal)
            stop = start + int(np.prod(shape))
            tables.append(vector[start:stop].astype(np.float64).reshape(shape))
            start = stop
        return tuple(tables), vector[start:].astype(np.float64).reshape(-1, 2)

    def to_parameters(self) -> dict[str, Any]:
        """Return plain data without floats, for a signed question."""
        names = [column.name for column in self.domain.columns]
        used = sorted({column for marginal in self.marginals for column in marginal})
        signed = sorted({column for pair in self.pairs for column in pair})
        return {
            "groups": {names[column]: list(self.groups[column]) for column in used},
            "marginals": [[names[column] for column in marginal] for marginal in self.marginals],
            "sides": {names[column]: list(self.sides[column]) for column in signed},
            "pairs": [[names[left], names[right]] for left, right in self.pairs],
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], *, domain: Domain) -> "Workload":
        """Read what `to_parameters` wrote. The question is not trusted: `l2` follows from what is counted.

        Raises:
            Invalid: the parameters do not describe a workload over this domain.
        """
        expected = {"groups", "marginals", "sides", "pairs"}
        if not isinstance(parameters, Mapping) or set(parameters) != expected:
            raise Invalid(f"a workload has the parts {sorted(expected)}")
        groups = _by_column(parameters["groups"], domain, "groups")
        sides = _by_column(parameters["sides"], domain, "sides")
        count = len(domain.columns)
        return cls(
            domain=domain,
            groups=tuple(groups.get(column, (0,) * domain.columns[column].size) for column in range(count)),
            marginals=_columns(parameters["marginals"], domain, "marginals"),
            sides=tuple(sides.get(column, ()) for column in range(count)) if sides else (),
            pairs=tuple(_pair(pair) for pair in _columns(parameters["pairs"], domain, "pairs")),
        )


def _by_column(value: Any, domain: Domain, part: str) -> dict[int, tuple[int, ...]]:
    if not isinstance(value, Mapping):
        raise Invalid(f"'{part}' of a workload must map columns to whole numbers")
    found = {}
    for name, numbers in value.items():
        if not isinstance(name, str) or not isinstance(numbers, list | tuple):
            raise Invalid(f"'{part}' of a workload must map columns to whole numbers")
        if not all(type(number) is int for number in numbers):
            raise Invalid(f"'{part}' of a workload must map columns to whole numbers")
        found[domain.index(name)] = tuple(numbers)
    return found


def _columns(value: Any, domain: Domain, part: str) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(names, list | tuple) for names in value):
        raise Invalid(f"'{part}' of a workload must be lists of columns")
    if not all(isinstance(name, str) for names in value for name in names):
        raise Invalid(f"'{part}' of a workload must be lists of columns")
    return tuple(tuple(domain.index(name) for name in names) for names in value)


def _pair(columns: tuple[int, ...]) -> tuple[int, int]:
    if len(columns) != 2:
        raise Invalid("a signed pair has two different features")
    return columns[0], columns[1]


def _check(workload: Workload) -> None:
    columns = workload.domain.columns
    if len(workload.groups) != len(columns):
        raise Invalid(f"expected groups for {len(columns)} columns, found {len(workload.groups)}")
    for column, groups in zip(columns, workload.groups, strict=True):
        if len(groups) != column.size or set(groups) != set(range(max(groups, default=-1) + 1)):
            raise Invalid(f"groups of '{column.name}' must number its {column.size} cells from 0 without gaps")
    for marginal in workload.marginals:
        if not 1 <= len(marginal) <= 3 or len(set(marginal)) != len(marginal):
            raise Invalid("a marginal has one to three different columns")
    if len(set(workload.marginals)) != len(workload.marginals) or len(set(workload.pairs)) != len(workload.pairs):
        raise Invalid("a workload asks the same question twice")
    for left, right in workload.pairs:
        if left == right or workload.domain.features in (left, right):
            raise Invalid("a signed pair has two different features")
        for position in (left, right):
            sides = workload.sides[position] if workload.sides else ()
            if len(sides) != columns[position].size or not set(sides) <= {-1, 1}:
                raise Invalid(f"sides of '{columns[position].name}' must be -1 or 1 for each of its cells")
    if workload.queries > MAX_QUERIES or workload.size > MAX_ENTRIES:
        raise Invalid(f"a workload has at most {MAX_QUERIES} questions and {MAX_ENTRIES} entries")


def count(workload: Workload, table: pl.DataFrame) -> Counts:
    """Return the exact counts of a table, shape (workload.size,). They are protected by whoever adds the noise.

    Raises:
        Invalid: the table does not fit the study (see `encode`).
    """
    return count_codes(workload, encode(workload.domain, table))


def count_codes(workload: Workload, codes: Codes) -> Counts:
    """Return the exact counts of encoded rows, shape (workload.size,)."""
    used = {column for marginal in workload.marginals for column in marginal}
    grouped = {column: np.asarray(workload.groups[column])[codes[:, column]] for column in used}
    parts = []
    for marginal in workload.marginals:
        shape = workload.shape(marginal)
        flat = np.zeros(len(codes), dtype=np.int64)
        for column, size in zip(marginal, shape, strict=True):
            flat = flat * size + grouped[column]
        parts.append(np.bincount(flat, minlength=int(np.prod(shape))))
    if workload.pairs:
        parts.append(_signed(workload, codes))
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)


def _signed(workload: Workload, codes: Codes) -> Counts:
    signed = sorted({column for pair in workload.pairs for column in pair})
    place = {column: position for position, column in enumerate(signed)}
    sides = np.column_stack([np.asarray(workload.sides[column])[codes[:, column]] for column in signed])
    products = []
    for label in (0, 1):
        rows = sides[codes[:, -1] == label].astype(np.float64)
        products.append(np.rint(rows.T @ rows).astype(np.int64))
    left = [place[pair[0]] for pair in workload.pairs]
    right = [place[pair[1]] for pair in workload.pairs]
    return np.column_stack([products[0][left, right], products[1][left, right]]).ravel()

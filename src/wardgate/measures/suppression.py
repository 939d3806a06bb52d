"""Small cells of published tables: what is hidden, and what more must be hidden so that nothing gives it away."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

from wardgate.records.errors import Invalid, NotEvaluable, Unsupported

Table = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_SMALL = 1_000
"""Small entries up to which it is worked out how far the shown ones narrow them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """A table with its margins, small cells hidden.

    Attributes:
        bordered: Shape (s1 + 1, s2 + 1, ...): cells, and in the last place of each axis the total along it; NaN is
            hidden. The grand total is always shown.
        small: Entries that are hidden because they are small.
        complementary: Further entries, hidden so that no small one can be worked out.
    """

    bordered: Table
    small: int
    complementary: int

    @property
    def cells(self) -> Table:
        """The cells without margins."""
        return self.bordered[tuple(slice(0, -1) for _ in self.bordered.shape)]

    @property
    def total(self) -> float:
        """All persons in the table."""
        return float(self.bordered[tuple(-1 for _ in self.bordered.shape)])

    @property
    def note(self) -> str:
        """What was hidden, in words."""
        if not self.small + self.complementary:
            return "no entry is hidden"
        return f"{self.small} small entries are hidden, and {self.complementary} more that would give them away"


def suppress(
    tables: Sequence[Table], columns: Sequence[tuple[str, ...]], *, minimum: int, complementary: bool = True
) -> tuple[Suppressed, ...]:
    """Hide entries of 1 to `minimum` - 1, margins included, and what would give them away.

    A zero is shown: it counts nobody. Tables that are published together are judged together, since an entry of one
    can be a margin of another. Afterwards every line (cells along one axis and their total) of every table hides no
    entry or at least two, and whoever solves all that is shown for a small entry is left with a range of at least
    `minimum` values. Tables published at another time are not looked at.

    Args:
        tables: True counts of the same persons, each of shape (s1, s2, ...), up to four axes.
        columns: The columns of each table, one for each axis; no two tables have the same.
        complementary: Off only in attack tests: then small entries alone are hidden.

    Raises:
        NotEvaluable: fewer than `minimum` persons in all.
        Invalid: a negative or fractional count, an empty table, or tables of different persons.
        Unsupported: a count that cannot be hidden here, or too many to prove it safe.

    Reference: Hundepool et al. 2012, Statistical Disclosure Control, chapter 4.
    """
    full = [bordered(_true(table)) for table in tables]
    totals = {float(table.flat[-1]) for table in full}
    if len(totals) != 1 or len({frozenset(names) for names in columns}) != len(columns) or len(columns) != len(full):
        raise Invalid("expected different tables of the same persons")
    if min(totals) < minimum:
        raise NotEvaluable(f"the tables hold fewer than {minimum} persons")
    keys: dict[frozenset[tuple[str, int]], int] = {}
    numbers = [_numbered(table, names, keys) for table, names in zip(full, columns, strict=True)]
    counts = np.zeros(len(keys))
    for table, number in zip(full, numbers, strict=True):
        counts[number] = table
    small = (counts > 0) & (counts < minimum)
    hidden = small.copy()
    if complementary and hidden.any():
        hidden = _complete(counts, hidden, [line for number in numbers for line in _lines(number)], minimum)
    return tuple(
        Suppressed(
            bordered=np.where(hidden[number], np.nan, counts[number]),
            small=int(small[number].sum()),
            complementary=int((hidden & ~small)[number].sum()),
        )
        for number in numbers
    )


def bordered(counts: Table) -> Table:
    """Return the table with the total along each axis in an additional last place."""
    found = counts
    for axis in range(counts.ndim):
        found = np.concatenate([found, found.sum(axis=axis, keepdims=True)], axis=axis)
    return found


def _true(counts: Table) -> Table:
    if counts.ndim > 4 or counts.size == 0:
        raise Invalid(f"expected a table of at most four columns with cells, found shape {counts.shape}")
    whole = np.rint(counts)
    if not np.all(np.isfinite(counts)) or np.any(whole < 0) or np.any(np.abs(counts - whole) > 1e-3):
        raise Invalid("only true counts are suppressed; a noisy table is protected by its noise")
    return whole


Lines = list[NDArray[np.int64]]


def _numbered(table: Table, columns: tuple[str, ...], keys: dict[frozenset[tuple[str, int]], int]) -> NDArray[np.int64]:
    """Return the number of every entry; entries that count the same persons share one, in whatever table they are."""
    found = np.zeros(table.shape, dtype=np.int64)
    for place in product(*(range(size) for size in table.shape)):
        key = frozenset(
            (column, step) for column, step, size in zip(columns, place, table.shape, strict=True) if step < size - 1
        )
        found[place] = keys.setdefault(key, len(keys))
    return found


def _lines(numbers: NDArray[np.int64]) -> Lines:
    """Return the entries of every line: cells along one axis and, last, their total."""
    return [
        line for axis in range(numbers.ndim) for line in np.moveaxis(numbers, axis, -1).reshape(-1, numbers.shape[axis])
    ]


def _complete(counts: Table, hidden: Mask, lines: Lines, minimum: int) -> Mask:
    """Return what must be hidden in all."""
    hidden = hidden.copy()
    while True:
        before = int(hidden.sum())
        for line in lines:
            _close(counts, hidden, line, minimum)
        if int(hidden.sum()) == before:
            if int((hidden & (counts < minimum)).sum()) > MOST_SMALL:
                raise Unsupported(f"more than {MOST_SMALL} small entries, too many to prove hidden; cut more coarsely")
            narrow = _narrow(counts, hidden, lines, minimum)
            if narrow is None:
                return hidden
            more = [_hide_next(counts, hidden, line) for line in lines if narrow in line]
            if not any(more):
                raise Unsupported("a small count cannot be hidden in this table; merge categories or add noise")


def _close(counts: Table, hidden: Mask, line: NDArray[np.int64], minimum: int) -> None:
    """Hide more of one line until its hidden entries protect each other."""
    while True:
        inside = line[:-1][hidden[line[:-1]]]
        alone = int(hidden[line].sum()) == 1
        thin = len(inside) > 0 and not hidden[line[-1]] and float(counts[inside].sum()) < minimum
        if not (alone or thin):
            return
        if not _hide_next(counts, hidden, line):
            raise Unsupported("a small count cannot be hidden in this table; merge categories or add noise")


def _hide_next(counts: Table, hidden: Mask, line: NDArray[np.int64]) -> bool:
    """Hide the smallest shown entry of a line that counts somebody, else a zero; never the grand total."""
    grand = float(counts.max())
    shown = [
        (counts[entry] == 0, entry == line[-1], float(counts[entry]), int(entry))
        for entry in line
        if not hidden[entry] and not (entry == line[-1] and counts[entry] == grand)
    ]
    if shown:
        hidden[min(shown)[3]] = True
    return bool(shown)


def _narrow(counts: Table, hidden: Mask, lines: Lines, minimum: int) -> int | None:
    """Return a small entry that the shown ones hold within fewer than `minimum` values, or None.

    The reader knows that counts are not negative, and that each line's cells add up to its total. Every solution of
    a linear program is a table that fits what is shown; together the solutions show how wide each entry can range.
    """
    unknown = np.flatnonzero(hidden)
    number = np.full(len(hidden), -1, dtype=np.int64)
    number[unknown] = np.arange(len(unknown))
    kept = [line for line in lines if hidden[line].any()]
    rows = np.concatenate([np.full(len(line), row) for row, line in enumerate(kept)])
    entries = np.concatenate(kept)
    signs = np.concatenate([np.append(np.ones(len(line) - 1), -1.0) for line in kept])
    open_ = hidden[entries]
    matrix = coo_matrix((signs[open_], (rows[open_], number[entries[open_]])), shape=(len(kept), len(unknown))).tocsr()
    known = np.bincount(rows[~open_], weights=(signs * counts[entries])[~open_], minlength=len(kept))
    low, high = counts[unknown].copy(), counts[unknown].copy()
    for place in np.flatnonzero(counts[unknown] < minimum):
        for sign in (-1.0, 1.0):
            if high[place] - low[place] < minimum - 1:
                goal = np.zeros(len(unknown))
                goal[place] = sign
                found = linprog(goal, A_eq=matrix, b_eq=-known, bounds=(0, float(counts.max())), method="highs")
                if found.x is None:
                    raise RuntimeError("the table's own counts do not fit its lines")
                low, high = np.minimum(low, found.x), np.maximum(high, found.x)
        if counts[unknown[place]] > 0 and high[place] - low[place] < minimum - 1 - 1e-6:
            return int(unknown[place])
    return None

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
        lines = [line for number in numbers for line in _lines(number)]
        hidden = _complete(counts, hidden, lines, minimum, [_counted(counts, minimum=minimum, zeros=False)])
    return tuple(
        Suppressed(
            bordered=np.where(hidden[number], np.nan, counts[number]),
            small=int(small[number].sum()),
            complementary=int((hidden & ~small)[number].sum()),
        )
        for number in numbers
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a reader may solve for: one number for each entry, the cells of a line adding up to its total.

    Attributes:
        values: True numbers.
        needed: How wide the reader's range of an entry must at least be where it is hidden; 0 where it need not.
        signed: Whether numbers may be negative; if not, the reader knows that they are not.
    """

    values: Table
    needed: Table
    signed: bool = False


def _counted(counts: Table, *, minimum: int, zeros: bool) -> Known:
    small = (counts < minimum) & ((counts > 0) | zeros)
    return Known(values=counts, needed=np.where(small, minimum - 1.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """Which entries of one table with its margins may not be shown.

    Attributes:
        mask: Shape of the table with margins; True is hidden.
        first: Entries that are hidden for themselves.
        exposed: Whether one of them can be worked out all the same.
    """

    mask: Mask
    first: Mask
    exposed: bool


def hide(
    counts: Table,
    *,
    minimum: int,
    zeros: bool,
    sensitive: Mask,
    values: Table | None = None,
    needed: Table | None = None,
    complementary: bool = True,
) -> Hidden:
    """Hide small and sensitive entries of one table of counts and, beside it, sums; and what would give them away.

    As `suppress`, for one table whose sums of a value are shown under the same mask. Counts and sums are solved for
    apart: every small count keeps a range of `minimum` values, every hidden sum one as wide as `needed` says.

    Args:
        counts: True counts, shape (s1, s2, ...), up to four axes.
        zeros: Whether an entry of 0 is hidden too.
        sensitive: Entries to hide for another reason, with margins, shape (s1 + 1, s2 + 1, ...).
        values: Sums in the cells.
        needed: Width of the reader's range of each hidden sum, with margins.
        complementary: Off only in attack tests.

    Raises:
        NotEvaluable: the grand total itself is small or sensitive.
        Unsupported: an entry cannot be hidden here, or too many to prove it safe.
    """
    full = bordered(_true(counts))
    flat = full.ravel()
    numbers = np.arange(full.size).reshape(full.shape)
    first = (full < minimum) & ((full > 0) | zeros) | sensitive
    if first.flat[-1]:
        raise NotEvaluable("the table as a whole is too small, or one contributor dominates all of it")
    known = [_counted(flat, minimum=minimum, zeros=zeros)]
    if values is not None and needed is not None:
        sums = bordered(values).ravel()
        scale = max(float(np.abs(sums).max()), 1e-300)
        wide = np.where(first, needed, 0.0).ravel() / scale
        known.append(Known(values=sums / scale, needed=wide, signed=bool((values < 0).any())))
    lines = _lines(numbers)
    hidden = first.ravel().copy()
    if complementary and hidden.any():
        hidden = _complete(flat, hidden, lines, minimum, known)
    exposed = bool(hidden.any()) and any(_narrow(one, hidden, lines) is not None for one in known)
    return Hidden(mask=hidden.reshape(full.shape), first=first, exposed=exposed)


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


def _complete(counts: Table, hidden: Mask, lines: Lines, minimum: int, known: Sequence[Known]) -> Mask:
    """Return what must be hidden in all."""
    hidden = hidden.copy()
    while True:
        before = int(hidden.sum())
        for line in lines:
            _close(counts, hidden, line, minimum)
        if int(hidden.sum()) == before:
            if int((hidden & (counts < minimum)).sum()) > MOST_SMALL:
                raise Unsupported(f"more than {MOST_SMALL} small entries, too many to prove hidden; cut more coarsely")
            narrow = next((found for one in known if (found := _narrow(one, hidden, lines)) is not None), None)
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


def _narrow(known: Known, hidden: Mask, lines: Lines) -> int | None:
    """Return a hidden entry that the shown ones hold in a range narrower than it needs, or None.

    The reader knows that each line's cells add up to its total and, unless `signed`, that no number is negative.
    Every solution of a linear program is a table that fits what is shown; together the solutions show how wide each
    entry can range.
    """
    values = known.values
    unknown = np.flatnonzero(hidden)
    number = np.full(len(hidden), -1, dtype=np.int64)
    number[unknown] = np.arange(len(unknown))
    kept = [line for line in lines if hidden[line].any()]
    rows = np.concatenate([np.full(len(line), row) for row, line in enumerate(kept)])
    entries = np.concatenate(kept)
    signs = np.concatenate([np.append(np.ones(len(line) - 1), -1.0) for line in kept])
    open_ = hidden[entries]
    matrix = coo_matrix((signs[open_], (rows[open_], number[entries[open_]])), shape=(len(kept), len(unknown))).tocsr()
    shown = np.bincount(rows[~open_], weights=(signs * values[entries])[~open_], minlength=len(kept))
    bounds = (None, None) if known.signed else (0, float(values.max()))
    low, high = values[unknown].copy(), values[unknown].copy()
    needed = known.needed[unknown]
    for place in np.flatnonzero(needed > 0):
        for sign in (-1.0, 1.0):
            if high[place] - low[place] < needed[place]:
                goal = np.zeros(len(unknown))
                goal[place] = sign
                found = linprog(goal, A_eq=matrix, b_eq=-shown, bounds=bounds, method="highs")
                if found.x is not None:
                    low, high = np.minimum(low, found.x), np.maximum(high, found.x)
                elif known.signed:  # without bounds: nothing narrows it to this side
                    low[place], high[place] = (-np.inf, high[place]) if sign > 0 else (low[place], np.inf)
                else:
                    raise RuntimeError("the table's own counts do not fit its lines")
        if high[place] - low[place] < needed[place] * (1 - 1e-7):
            return int(unknown[place])
    return None

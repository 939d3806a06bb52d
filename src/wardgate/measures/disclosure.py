"""Small cells, rounding and ratios: what may be shown of counts about patients."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid
from wardgate.records.measured import Measured

Counts = NDArray[np.float64]
Flags = NDArray[np.bool_]

GRID = 50
"""Shown sample sizes are rounded down to this, so that two reports do not tell one patient more or less."""


def coarse(persons: int) -> int:
    """Return a number of persons rounded down to the next 50.

    >>> coarse(1187), coarse(49)
    (1150, 0)
    """
    return persons // GRID * GRID


def suppressed(table: Counts, *, min_count: int) -> Flags:
    """Return which cells of a table may not be shown when its row totals, column totals and grand total are.

    First every cell below `min_count` (zeros too), totals among them; then, as long as one can be computed from what
    is shown, the smallest shown cell of its row or column. At the end no hidden cell is fixed by the shown ones
    through additions and subtractions, and no group of hidden cells of one row or column adds up to fewer
    than `min_count` persons.

    Args:
        table: Counts, shape (r, c).

    Returns:
        Shape (r + 1, c + 1): the cells, and the totals in the last column and row.

    Does not protect against bounds: a reader may still narrow a hidden cell to a range by its neighbours.
    """
    if table.ndim != 2 or not np.isfinite(table).all() or (table < 0).any():
        raise Invalid("expected a table of counts, finite and not negative")
    rows = np.concatenate((table, table.sum(axis=1, keepdims=True)), axis=1)
    full = np.concatenate((rows, rows.sum(axis=0, keepdims=True)), axis=0)
    hidden = full < min_count
    lines = _lines(full.shape)
    while True:
        exposed = [line for line in lines if _exposes(line, full, hidden, min_count)]
        exposed = exposed or [line for line in lines if (_fixed(hidden, lines) & line).any()]
        exposed = [line for line in exposed if (line & ~hidden).any()]
        if not exposed:
            return hidden
        shown = exposed[0] & ~hidden
        smallest = np.argmin(np.where(shown, full, np.inf))
        hidden[np.unravel_index(smallest, full.shape)] = True


def _lines(shape: tuple[int, ...]) -> list[Flags]:
    lines = []
    for axis, length in enumerate(shape):
        for place in range(length):
            line = np.zeros(shape, dtype=np.bool_)
            line[(place, slice(None)) if axis == 0 else (slice(None), place)] = True
            lines.append(line)
    return lines


def _exposes(line: Flags, full: Counts, hidden: Flags, min_count: int) -> bool:
    """Whether the shown cells of a line give its hidden ones away: one alone, or a few with a small sum."""
    inside = line & hidden
    if not inside.any():
        return False
    return int(inside.sum()) == 1 or (_total_shown(line, hidden) and float(full[inside].sum()) < min_count)


def _total_shown(line: Flags, hidden: Flags) -> bool:
    return not hidden[tuple(part[-1] for part in np.nonzero(line))]


def _fixed(hidden: Flags, lines: Sequence[Flags]) -> Flags:
    """Return the hidden cells that the shown ones determine: those on which no free direction moves."""
    places = np.flatnonzero(hidden)
    fixed = np.zeros(hidden.shape, dtype=np.bool_)
    if not len(places):
        return fixed
    sums = np.stack([_signed(line).ravel()[places] for line in lines])
    _, sizes, directions = np.linalg.svd(sums, full_matrices=True)
    rank = int(np.sum(sizes > 1e-9))
    free = directions[rank:]
    moves = np.abs(free).max(axis=0) > 1e-9 if len(free) else np.zeros(len(places), dtype=np.bool_)
    fixed.ravel()[places[~moves]] = True
    return fixed


def _signed(line: Flags) -> Counts:
    """A line as an equation: its cells minus its total are 0."""
    signs = line.astype(np.float64)
    signs[tuple(part[-1] for part in np.nonzero(line))] = -1.0
    return signs


def smallest_cell(counts: Sequence[float]) -> Measured:
    """The smallest shown count of persons. Zeros count: an empty cell discloses too."""
    if not len(counts):
        raise Invalid("there is no count; say what persons stand behind the figures")
    least = float(min(counts))
    return Measured(name="sited.smallest_cell", value=least, low=least, high=least, n=(len(counts),))


def unrounded(values: Sequence[float], *, step: float) -> Measured:
    """How many shown figures are not multiples of `step`. Figures that are not finite count as unrounded."""
    if not step > 0:
        raise Invalid(f"expected a positive step, found {step}")
    wrong = sum(1 for value in values if not _is_multiple(float(value), step))
    return Measured(name="sited.unrounded", value=wrong, low=wrong, high=wrong, n=(len(values),))


def _is_multiple(value: float, step: float) -> bool:
    return math.isfinite(value) and abs(value / step - round(value / step)) < 1e-6


def rounded(value: float, *, step: float) -> float:
    """Return the nearest multiple of `step`, free of binary dust.

    >>> rounded(0.7849, step=0.01)
    0.78
    """
    return round(round(value / step) * step, 12)


def shown(measured: Measured, *, digits: int = 3) -> Measured:
    """Return a measure with few significant digits, its interval rounded outwards.

    A gate's own report is an output too: full digits would let a reader count single persons.
    """
    low, high = _floor(measured.low, digits), -_floor(-measured.high, digits)
    value = min(max(_nearest(measured.value, digits), low), high)
    return measured.model_copy(update={"value": value, "low": low, "high": high})


def _unit(value: float, digits: int) -> float:
    return float(10.0 ** (math.floor(math.log10(abs(value))) - digits + 1))


def _floor(value: float, digits: int) -> float:
    if value == 0 or not math.isfinite(value):
        return value
    unit = _unit(value, digits)
    return float(f"{math.floor(value / unit + 1e-9) * unit:.{digits + 2}g}")


def _nearest(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}") if math.isfinite(value) else value

"""Systematic samples: every cell gets its expected number of rows, rounded up or down."""

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]


def systematic(lines: NDArray[np.float64], place: Whole, *, rng: np.random.Generator) -> Whole:
    """Draw one entry of its line for every row.

    Rows of one line share one systematic sample in random order, which spares a corpus the noise of drawing row by
    row. An entry without weight is never drawn, unless its whole line has none; then all entries are alike.

    Args:
        lines: Weights, none negative, shape (lines, entries).
        place: The line of each row, shape (rows,).
    """
    count, width = lines.shape
    steps: NDArray[np.float64] = np.cumsum(lines, axis=1, dtype=np.float64)
    empty = steps[:, -1] <= 0
    steps[empty] = np.arange(1, width + 1)
    steps = np.asarray(steps / steps[:, -1:])
    last = np.asarray(width - 1 - np.argmax((lines > 0)[:, ::-1], axis=1))
    last[empty] = width - 1
    order = rng.permutation(len(place))
    order = order[np.argsort(place[order], kind="stable")]
    at = place[order]
    held = np.bincount(place, minlength=count)
    rank = np.arange(len(place)) - (np.cumsum(held) - held)[at]
    begin: NDArray[np.float64] = np.asarray(rng.random(count))
    point = (rank + begin[at]) / held[at]
    entry = np.searchsorted((steps + np.arange(count)[:, None]).ravel(), at + point, side="right") - at * width
    found = np.empty(len(place), dtype=np.int64)
    found[order] = np.minimum(entry, last[at])
    return found

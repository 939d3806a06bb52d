"""Copies of a record count once: weights that share one person's weight among its copies.

A record's copies, exact or slightly changed, lie within a small box around it; real persons seldom do. Weights of all
records in such a box add up to about one, so copying a table changes no weighted sum by more than its edges.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from wardgate.records.errors import Invalid

Array = NDArray[np.float64]
Copies = Literal["near", "cells"]

APART = 10.0
"""Between records of different words, in boxes: no box reaches from one to another."""


def weights(numbers: Array, words: NDArray[np.int64], *, within: float, how: Copies = "near") -> Array:
    """Return the weight of each record, shape (n,), in (0, 1].

    Args:
        numbers: Columns of numbers, scaled to [-1, 1], shape (n, k).
        words: Everything else of a record as whole numbers, the outcome too, shape (n, w); copies agree in all of it.
        within: How far copies may differ in a number, in parts of its range.
        how: `near`: a record shares its weight with all records that near. `cells`: with those in its cell of a fixed
            grid, `within` wide; a copy beyond the cell's edge counts, but one person more or less moves a weighted sum
            by no more than one person's bound, as noise needs.

    Guarantee: with `cells`, sum of w_i f_i with |f_i| <= b moves by at most b when one record comes or goes: a cell
        holds the mean of its records.

    Raises:
        Invalid: `within` is not in (0, 0.5].
    """
    if not 0 < within <= 0.5:
        raise Invalid(f"copies are looked for within more than 0 and at most 0.5 of a number's range, found {within}")
    if not len(words):
        return np.zeros(0)
    width = 2.0 * within
    _, kind = np.unique(words, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    if how == "cells":
        cells = np.column_stack([np.floor(numbers / width).astype(np.int64), kind])
        _, place, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / count[place.reshape(-1)])
    points = np.column_stack([numbers / width, APART * kind])
    near = cKDTree(points).query_ball_point(points, r=1.0, p=np.inf, return_length=True)
    return np.asarray(1.0 / near)

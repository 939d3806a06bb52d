"""How each input goes with the outcome at one site: a sited answer, rounded and small-cell-checked by the gate."""

import numpy as np
from numpy.typing import NDArray


def associations(x: NDArray[np.float64], y: NDArray[np.int8], *, smallest_cell: int) -> NDArray[np.float64]:
    """Return the correlation of each column with the label.

    Args:
        x: Design, shape (n, p).
        y: Labels, shape (n,).
        smallest_cell: Fewest persons in each cell of a column of 0 and 1 against the label. With the numbers of
            persons and events, the correlation of such a column gives its whole two-by-two table.

    Returns:
        Shape (p,), in [-1, 1]; 0 for a constant column, the intercept included, and for one with a smaller cell.
    """
    centred = x - x.mean(axis=0)
    outcome = y - y.mean()
    spread = np.sqrt((centred**2).sum(axis=0) * float((outcome**2).sum()))
    shown = spread > 1e-12
    for column in np.flatnonzero(np.isin(x, (0.0, 1.0)).all(axis=0)):
        cells = np.bincount((2 * x[:, column] + y).astype(np.int64), minlength=4)
        shown[column] &= cells.min() >= smallest_cell
    return np.asarray(np.divide(centred.T @ outcome, spread, out=np.zeros(x.shape[1]), where=shown))

"""How each input goes with the outcome at one site: a sited answer, rounded and small-cell-checked by the gate."""

import numpy as np
from numpy.typing import NDArray


def associations(x: NDArray[np.float64], y: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return the correlation of each column with the label.

    Args:
        x: Design, shape (n, p).
        y: Labels, shape (n,).

    Returns:
        Shape (p,), in [-1, 1]; 0 for a constant column, the intercept included.
    """
    centred = x - x.mean(axis=0)
    outcome = y - y.mean()
    spread = np.sqrt((centred**2).sum(axis=0) * float((outcome**2).sum()))
    return np.asarray(np.divide(centred.T @ outcome, spread, out=np.zeros(x.shape[1]), where=spread > 1e-12))

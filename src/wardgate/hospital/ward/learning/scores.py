"""A model that came with a question, and its scores of this hospital's persons. They stay here."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Load = Callable[[bytes], Any]


def scores(model: Any, table: pl.DataFrame) -> NDArray[np.float64]:
    """Return each person's predicted probability, shape (n,).

    Raises:
        Invalid: the model does not predict two classes, or gives something that is no probability. No score is quoted.
    """
    if not hasattr(model, "predict_proba"):
        raise Invalid("the model predicts no probabilities and cannot be judged by them")
    if table.height == 0:
        return np.zeros(0)
    found = np.asarray(model.predict_proba(table), dtype=np.float64)
    if found.shape != (table.height, 2):
        raise Invalid(f"expected two probabilities for each person, found {found.ndim} axes of another length")
    p = found[:, 1]
    if not bool(np.all((p >= 0) & (p <= 1))):
        raise Invalid("the model gives scores that are no probabilities (NaN, or outside 0 to 1)")
    return p

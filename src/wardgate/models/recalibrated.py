"""A fitted model and what was learned about its predictions since: a new intercept, or intercept and slope."""

from typing import Annotated, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import logit

from wardgate.measures.logistic import probability
from wardgate.models.boosting import BoostingModel
from wardgate.models.linear import LinearModel
from wardgate.records.record import Number, Record

Matrix = NDArray[np.float64]

NEAREST = 2.0**-29
"""Probabilities nearer to 0 or 1 than this count as that near: they have no logit (about 20 at most)."""


class RecalibratedModel(Record):
    """A classifier whose logit is intercept + slope x the logit of `model`.

    Attributes:
        model: The model as it was fitted.
        intercept, slope: 0 and 1 leave it as it is.
        noise: In words, what noise they carry; empty for an exact recalibration.
    """

    schema_: Literal["wardgate/model/recalibrated/1"] = Field(default="wardgate/model/recalibrated/1", alias="schema")
    model: Annotated[LinearModel | BoostingModel, Field(discriminator="schema_")]
    intercept: Number
    slope: Number = 1.0
    noise: str = ""

    def predict_proba(self, data: pl.DataFrame) -> Matrix:
        """Return the probability of no event and of an event, shape (n, 2).

        Raises:
            Invalid: as the model's own.
        """
        before = np.clip(self.model.predict_proba(data)[:, 1], NEAREST, 1 - NEAREST)
        p = probability(self.intercept + self.slope * logit(before))
        return np.column_stack([1.0 - p, p])

    def predict(self, data: pl.DataFrame) -> Matrix:
        """Return the class (0 or 1) of each row, shape (n,)."""
        return (self.predict_proba(data)[:, 1] > 0.5).astype(np.float64)

"""Fitted Cox models on shared time bins: relative risks, and survival at the end of each bin."""

from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from wardgate.measures.logistic import probability
from wardgate.measures.terms import Design
from wardgate.models.linear import Predictor, columns_of, encoded
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.record import Name, Number, Record

Matrix = NDArray[np.float64]


class CoxModel(Record):
    """A fitted Cox model.

    Attributes:
        form: `breslow` (proportional hazards), or a discrete-time hazard with link `cloglog` (proportional hazards,
            grouped) or `logistic` (proportional odds of the hazard).
        time: The feature that holds the time.
        edges: Ends of the time bins, in the unit of `time`, the first edge being where time starts.
        coefficients: Of the columns of `predictors`, without an intercept.
        baseline: For each bin, where every column is 0: the hazard's increment (`breslow`), or the linear predictor.
    """

    schema_: Literal["wardgate/model/cox/1"] = Field(default="wardgate/model/cox/1", alias="schema")
    form: Literal["breslow", "cloglog", "logistic"]
    time: Name
    features: tuple[Feature, ...]
    predictors: tuple[Predictor, ...]
    edges: tuple[Number, ...]
    coefficients: tuple[Number, ...]
    baseline: tuple[Number, ...]
    noise: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            columns = columns_of(self.features, self.predictors).columns - 1
        except Invalid as error:
            raise ValueError(str(error)) from None
        if len(self.coefficients) != columns:
            raise ValueError(f"expected {columns} coefficients, found {len(self.coefficients)}")
        if len(self.edges) != len(self.baseline) + 1 or any(
            b <= a for a, b in zip(self.edges, self.edges[1:], strict=False)
        ):
            raise ValueError("expected rising edges, one more than bins of the baseline")
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Features that a table needs."""
        return tuple(one.feature for one in self.predictors)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Name of each coefficient."""
        return self.design.names[1:]

    @property
    def design(self) -> Design:
        """The columns of the predictors, an intercept first that has no coefficient."""
        return columns_of(self.features, self.predictors)

    def risk_score(self, data: pl.DataFrame | Matrix) -> Matrix:
        """Return the linear predictor of each row (log relative risk), shape (n,)."""
        return np.asarray(encoded(self.design, data)[:, 1:] @ np.array(self.coefficients))

    def predict(self, data: pl.DataFrame | Matrix) -> Matrix:
        """Return the linear predictor, by which persons are ranked, shape (n,)."""
        return self.risk_score(data)

    def survival(self, data: pl.DataFrame | Matrix) -> Matrix:
        """Return the probability of no event by the end of each bin, shape (n, bins)."""
        score = self.risk_score(data)[:, None]
        baseline = np.array(self.baseline)[None, :]
        if self.form == "breslow":
            return np.asarray(np.exp(-np.cumsum(np.exp(score) * baseline, axis=1)))
        if self.form == "cloglog":
            return np.asarray(np.exp(-np.cumsum(np.exp(np.minimum(score + baseline, 50.0)), axis=1)))
        return np.asarray(np.cumprod(1.0 - probability(score + baseline), axis=1))

    def predict_proba(self, data: pl.DataFrame | Matrix, *, bins: int | None = None) -> Matrix:
        """Return the probability of no event and of an event within the first `bins` bins (all), shape (n, 2).

        Raises:
            Invalid: the model has fewer bins.
        """
        last = len(self.baseline) if bins is None else bins
        if not 1 <= last <= len(self.baseline):
            raise Invalid(f"expected 1 to {len(self.baseline)} bins, found {last}")
        alive = self.survival(data)[:, last - 1]
        return np.column_stack([alive, 1.0 - alive])

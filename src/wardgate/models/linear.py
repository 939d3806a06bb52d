"""Fitted generalised linear and additive models: coefficients in, predictions out."""

from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from wardgate.measures.glm import capped_exp
from wardgate.measures.logistic import probability
from wardgate.measures.outcomes import unit_of
from wardgate.measures.terms import Design, Term, design_of
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.record import Name, Number, Record

Matrix = NDArray[np.float64]


class Predictor(Record):
    """One term: a study feature, with `segments` above 0 as a smooth curve."""

    feature: Name
    segments: int = Field(default=0, ge=0)


def columns_of(features: tuple[Feature, ...], predictors: tuple[Predictor, ...]) -> Design:
    """Return the design of a model's predictors.

    Raises:
        Invalid: a predictor is no feature, or does not suit its feature.
    """
    return design_of(features, [Term(feature=one.feature, segments=one.segments) for one in predictors])


def encoded(design: Design, data: pl.DataFrame | Matrix) -> Matrix:
    """Return the columns of `data`: a table of study features, or a design that is encoded already.

    Raises:
        Invalid: a column is missing or wrong, or the design has another shape or a number that is not finite.
    """
    if isinstance(data, pl.DataFrame):
        return design.matrix(data)
    found = np.asarray(data, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != design.columns:
        raise Invalid(f"expected a design of shape (n, {design.columns}), found {found.shape}")
    if not np.all(np.isfinite(found)):
        raise Invalid("the design holds a number that is not finite; encode the table by the model's own design")
    return found


class LinearModel(Record):
    """A fitted regression.

    Attributes:
        outcome: `label`, or the feature that is predicted.
        features: Definitions of the features that are used (and of the outcome), as the study has them.
        predictors: The terms, in the order of the coefficients.
        coefficients: The intercept first, columns in [-1, 1].
        largest_mean: `poisson`: no predicted mean is above it.
        noise: In words, what noise the coefficients carry; empty for an exact fit.
    """

    schema_: Literal["wardgate/model/glm/1"] = Field(default="wardgate/model/glm/1", alias="schema")
    family: Literal["logistic", "linear", "poisson"]
    outcome: Name
    features: tuple[Feature, ...]
    predictors: tuple[Predictor, ...]
    coefficients: tuple[Number, ...]
    largest_mean: Number = 1.0
    noise: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            columns = columns_of(self.features, self.predictors).columns
            unit_of(self.family, self.outcome, self.features)
        except (Invalid, StopIteration) as error:
            raise ValueError(str(error) or "the outcome is not among the features") from None
        if len(self.coefficients) != columns:
            raise ValueError(f"expected {columns} coefficients, found {len(self.coefficients)}")
        if not self.largest_mean > 0:
            raise ValueError("largest_mean must be above 0")
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Features that a table needs."""
        return tuple(one.feature for one in self.predictors)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Name of each coefficient."""
        return self.design.names

    @property
    def design(self) -> Design:
        """The columns of the coefficients."""
        return columns_of(self.features, self.predictors)

    @property
    def beta(self) -> Matrix:
        """The coefficients as an array, shape (p,)."""
        return np.array(self.coefficients)

    def linear_predictor(self, data: pl.DataFrame | Matrix) -> Matrix:
        """Return eta of each row, shape (n,)."""
        return np.asarray(encoded(self.design, data) @ self.beta)

    def predict(self, data: pl.DataFrame | Matrix) -> Matrix:
        """Return the class (0 or 1) of each row for `logistic`, else the mean in the outcome's own unit; shape (n,)."""
        eta = self.linear_predictor(data)
        if self.family == "logistic":
            return (eta > 0).astype(np.float64)
        if self.family == "poisson":
            return capped_exp(eta, self.largest_mean)[1]
        middle, half = unit_of(self.family, self.outcome, self.features)
        return np.asarray(middle + half * eta)

    def predict_proba(self, data: pl.DataFrame | Matrix) -> Matrix:
        """Return the probability of no event and of an event, shape (n, 2).

        Raises:
            Invalid: the model is no classifier.
        """
        if self.family != "logistic":
            raise Invalid(f"a {self.family} model predicts a mean, not a class; use predict")
        p = probability(self.linear_predictor(data))
        return np.column_stack([1.0 - p, p])

    def shifted(self, intercept: float) -> "LinearModel":
        """Return the model with `intercept` added, as a hospital does with its own for its own persons."""
        moved = (self.coefficients[0] + intercept, *self.coefficients[1:])
        return self.model_copy(update={"coefficients": moved})

"""What a regression predicts: the label, or a feature of the study, as numbers with a public bound."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.encoding import LABEL, labels, scaled
from wardgate.measures.glm import Family
from wardgate.measures.terms import Term
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Matrix = NDArray[np.float64]


def outcome_bound(family: Family, outcome: str, features: Sequence[Feature]) -> float:
    """Return the largest |y|.

    Raises:
        Invalid: no such outcome, or one that does not suit the family.
    """
    if outcome == LABEL:
        return 1.0
    feature = next((feature for feature in features if feature.name == outcome), None)
    if feature is None:
        raise Invalid(f"the outcome '{outcome}' is neither '{LABEL}' nor a feature of the study")
    if family == "linear":
        if feature.range is None:
            raise Invalid(f"least squares needs a number as outcome; '{outcome}' is a {feature.type}")
        return 1.0
    if family == "poisson":
        if feature.range is None or feature.range[0] < 0:
            raise Invalid(f"Poisson regression needs counts; give '{outcome}' a range that starts at 0 or above")
        return feature.range[1]
    if feature.type != "boolean":
        raise Invalid(f"a yes/no outcome is needed; '{outcome}' is a {feature.type}: use '{LABEL}' or a boolean")
    return 1.0


def outcome_values(
    family: Family, outcome: str, features: Sequence[Feature], table: pl.DataFrame
) -> tuple[Matrix, NDArray[np.bool_]]:
    """Return y and which rows have one; the rest take no part in the fit.

    A number is scaled to [-1, 1] by its range for least squares, and clipped to its range for Poisson regression.

    Returns:
        y, shape (n,) with 0 where it is missing, and the mask, shape (n,).

    Raises:
        Invalid: no such outcome, or values that the study does not describe.
    """
    largest = outcome_bound(family, outcome, features)
    if outcome == LABEL:
        return labels(table).astype(np.float64), np.ones(table.height, dtype=np.bool_)
    feature = next(feature for feature in features if feature.name == outcome)
    values = scaled(feature, table[outcome])
    known = np.isfinite(values)
    if family == "poisson" and feature.range is not None:
        low = feature.range[0]
        values = np.minimum(low + (values + 1.0) * 0.5 * (largest - low), largest)
    return np.where(known, values, 0.0), known


def unit_of(family: Family, outcome: str, features: Sequence[Feature]) -> tuple[float, float]:
    """Return (middle, half width): a fitted linear mean is middle + half width x eta in the outcome's own unit."""
    if family == "linear" and outcome != LABEL:
        feature = next(feature for feature in features if feature.name == outcome)
        if feature.range is not None:
            low, high = feature.range
            return 0.5 * (low + high), 0.5 * (high - low)
    return 0.0, 1.0


def predictors(features: Sequence[Feature], *without: str) -> tuple[Term, ...]:
    """Return one straight term for each feature but the outcome (and the time)."""
    return tuple(Term(feature=feature.name) for feature in features if feature.name not in without)

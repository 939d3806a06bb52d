"""The model that any coalition of players would have fitted, from their sums: linear discriminant, many at once.

No model is fitted and none is published before sums are told, so nobody can shape an answer after one. The linear
discriminant is the logistic regression of classes that are normal with one covariance; over the International Stroke
Trial the shares that it gives are those of refitting (see benchmarks/contribution.py).
"""

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Array = NDArray[np.float64]

PRIOR_PERSONS = 4.0
"""What the prevalence of everybody counts for in a coalition's intercept; a coalition of nobody predicts it."""


def coalition_models(products: Array, events: Array, *, prevalence: float, ridge: float) -> Array:
    """Return log-odds coefficients, shape (C, p).

    Args:
        products: Sum of x x' of each coalition, shape (C, p, p).
        events: Sum of x over its persons with the outcome, shape (C, p).
        prevalence: Of everybody; the prior of the intercept.
        ridge: Penalty on slopes in the units of logistic regression.

    Raises:
        Invalid: no ridge above 0; a coalition of few persons then has no model.
    """
    if not (np.isfinite(ridge) and ridge > 0):
        raise Invalid(f"expected a ridge above 0, found {ridge}; small coalitions have no model without one")
    persons = np.maximum(products[:, 0, 0], 0.0)
    with_outcome = np.clip(events[:, 0], 0.0, persons)
    without = persons - with_outcome
    mean_with = events / np.maximum(with_outcome, 1e-9)[:, None]
    mean_without = (products[:, 0] - events) / np.maximum(without, 1e-9)[:, None]
    mean_with[with_outcome < 1e-6] = 0.0
    mean_without[without < 1e-6] = 0.0
    weight = with_outcome * without / np.maximum(persons, 1e-9)
    variance = np.maximum(weight / np.maximum(persons, 1e-9), 1e-6)
    # With T = v (scatter around the one mean) + ridge, the scatter within classes makes it T - v w d d' for the gap d;
    # T's inverse is a block of that of the whole matrix, so nothing but `products` is held.
    gap = mean_with - mean_without
    gap[:, 0] = 0.0
    matrix = products.copy()
    places = np.arange(1, matrix.shape[1])
    matrix[:, places, places] += (ridge / variance)[:, None]
    matrix[:, 0, 0] += 1e-9
    solved = np.linalg.solve(matrix, gap[:, :, None])[:, 1:, 0] / variance[:, None]
    between = variance * weight * np.sum(gap[:, 1:] * solved, axis=1)
    slopes = weight[:, None] * solved / np.maximum(1.0 - between, 1e-9)[:, None]
    odds = (with_outcome + PRIOR_PERSONS * prevalence) / (without + PRIOR_PERSONS * (1.0 - prevalence))
    intercept = np.log(odds) - 0.5 * np.sum((mean_with + mean_without)[:, 1:] * slopes, axis=1)
    return np.concatenate([intercept[:, None], slopes], axis=1)


def sampling_spread(products: Array, varied: Array, *, prevalence: float, ridge: float) -> Array:
    """Return the covariance that a chance choice of persons gives the coefficients, shape (C, p, p).

    It is that of logistic regression; where slopes are steep the discriminant's is somewhat larger.

    Args:
        products: Sum of x x' over the persons chosen on average, shape (C, p, p).
        varied: The same, each person by the variance of being chosen, shape (C, p, p).
    """
    variance = prevalence * (1.0 - prevalence)
    weights = np.full(products.shape[1], ridge)
    weights[0] = PRIOR_PERSONS * variance
    inverse = np.linalg.inv(variance * products + np.diag(weights))
    return np.asarray(variance * (inverse @ varied @ inverse))

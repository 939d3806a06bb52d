"""Models made from the training commons alone: admitted synthetic corpora, no hospital is asked."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.logistic import fit, linear
from wardgate.records.study import Study

Vector = NDArray[np.float64]


def pooled_design(study: Study, corpora: Sequence[pl.DataFrame]) -> tuple[Vector, NDArray[np.int8]]:
    """Return the design and labels of all corpora together, shapes (n, p) and (n,).

    Raises:
        Invalid: a corpus holds something else than the study's columns.
    """
    designs = [design_matrix(study.features, corpus) for corpus in corpora]
    return np.concatenate(designs), np.concatenate([labels(corpus) for corpus in corpora])


def train(study: Study, corpora: Sequence[pl.DataFrame], *, ridge: float) -> Vector:
    """Fit the study's model on corpora.

    Raises:
        Invalid: one class only.
    """
    x, y = pooled_design(study, corpora)
    return fit(x, y, ridge=ridge)


def choose_ridge(study: Study, corpora: Sequence[pl.DataFrame], *, folds: int = 5) -> float:
    """Return the ridge of the study's menu with the best cross-validated log-likelihood on the commons.

    Folds are rows modulo `folds`. Ties go to the larger ridge.
    """
    x, y = pooled_design(study, corpora)
    fold = np.arange(len(y)) % folds
    best, best_score = study.model.ridge, -np.inf
    for ridge in sorted(study.model.ridge_menu, reverse=True):
        score = 0.0
        for part in range(folds):
            inside = fold != part
            beta = fit(x[inside], y[inside], ridge=ridge)
            eta = linear(x[~inside], beta)
            score += float(np.sum(y[~inside] * eta - np.logaddexp(0.0, eta)))
        if score > best_score + 1e-9 * abs(score):
            best, best_score = ridge, score
    return best


def score_range(study: Study, corpora: Sequence[pl.DataFrame], beta: Vector) -> tuple[float, float]:
    """Return the logits between which nearly all scores lie, from synthetic rows: the public edges of score bins."""
    x, _ = pooled_design(study, corpora)
    low, high = np.quantile(linear(x, beta), [0.01, 0.99])
    pad = 0.1 * (high - low) + 0.05
    return round(float(low - pad), 3), round(float(high + pad), 3)

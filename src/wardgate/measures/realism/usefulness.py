"""Does a model that learns from the corpus do for patients what one that learned from patients does?

One ridge logistic model is fitted to the training persons and one to the corpus; both are asked about the holdout.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from wardgate.measures import logistic
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.intervals import delong_difference, normal, placements
from wardgate.measures.realism.coding import narrowed
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

MOST_LEVELS = 50
"""Categories of a column that the models tell apart; the rarer ones count as one."""

SAMPLE, ROUNDS, TOLERANCE = 5_000, 60, 1e-7
"""Rows whose Hessian is enough for a table of many times as many; most steps, and the size of the last one."""

MOST_SLOPE = 100.0
"""Slopes are told up to this, to either side: beyond, a model's predictions hardly differ between persons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Linear predictors of both models, and what came true.

    Attributes:
        truth: Outcome of each holdout person, shape (n,).
        outcome: Outcome of each row of the corpus, shape (m,).
        patients_on_holdout: The patients' model on the holdout.
        patients_on_corpus: The patients' model on the corpus.
        corpus_on_holdout: The corpus's model on the holdout; absent where the corpus has one outcome only.
        note: What was left out of the models.
    """

    truth: Flags
    outcome: Flags
    patients_on_holdout: Vector
    patients_on_corpus: Vector
    corpus_on_holdout: Vector | None
    note: str

    @property
    def sizes(self) -> tuple[int, int]:
        """Synthetic rows, holdout persons."""
        return len(self.outcome), len(self.truth)


def models(
    features: Sequence[Feature],
    train: pl.DataFrame,
    synthetic: pl.DataFrame,
    holdout: pl.DataFrame,
    *,
    ridge: float,
) -> Models | None:
    """Fit both models.

    Returns:
        Nothing where the real persons, in training or holdout, have one outcome only.
    """
    seen, truth = labels(train), labels(holdout).astype(np.bool_)
    if len(np.unique(seen)) < 2 or min(truth.sum(), (~truth).sum()) < 2:
        return None
    short, (train, synthetic, holdout), cut = narrowed(features, (train, synthetic, holdout), most_levels=MOST_LEVELS)
    outcome = labels(synthetic)
    asked, made = design_matrix(short, holdout), design_matrix(short, synthetic)
    patients = _fitted(design_matrix(short, train), seen, ridge=ridge)
    corpus = None
    if len(np.unique(outcome)) == 2:
        corpus = logistic.linear(asked, _fitted(made, outcome, ridge=ridge))
    return Models(
        truth=truth,
        outcome=outcome.astype(np.bool_),
        patients_on_holdout=logistic.linear(asked, patients),
        patients_on_corpus=logistic.linear(made, patients),
        corpus_on_holdout=corpus,
        note=f"In {cut} columns the rarer categories count as one." if cut else "",
    )


def _fitted(x: Matrix, y: NDArray[np.int8], *, ridge: float) -> Vector:
    """Fit as `logistic.fit` does, but with the Hessian of a tenth or less of many rows: the same maximum, sooner.

    Where that does not converge, or some rows would not do (one class, no ridge), all rows are used from the start.
    """
    step = len(x) // SAMPLE
    part, outcome = x[:: max(1, step)], y[:: max(1, step)]
    if step < 2 or ridge <= 0 or len(np.unique(outcome)) < 2:
        return logistic.fit(x, y, ridge=ridge)
    beta = logistic.fit(part, outcome, ridge=ridge / step, tolerance=1e-4)
    weights = logistic.penalty(x.shape[1], ridge)
    hessian = step * logistic.statistics(part, outcome, beta).hessian + np.diag(weights)
    for _ in range(ROUNDS):
        gradient = x.T @ (y - logistic.probability(x @ beta)) - weights * beta
        move = np.linalg.solve(hessian, gradient)
        beta = beta + move
        largest = float(np.max(np.abs(move)))
        if largest < TOLERANCE:
            return np.asarray(beta)
        if not largest < 10:
            break
    return logistic.fit(x, y, ridge=ridge)


def tstr_loss(found: Models, *, level: float) -> Measured:
    """AUROC on the holdout of the model trained on real persons, minus that of the model trained on the corpus.

    A corpus as good as the patients scores 0; one without any relation to the label scores all that the real model
    has above 0.5. The interval is DeLong's for two scores on the same persons. n is (synthetic rows, holdout persons).
    """
    corpus, note = found.corpus_on_holdout, found.note
    if corpus is None:
        corpus, note = np.zeros(len(found.truth)), _one_outcome(found)
    value, low, high = delong_difference(found.truth, found.patients_on_holdout, corpus, level=level)
    return Measured(name="realism.tstr_loss", value=value, low=low, high=high, level=level, n=found.sizes, note=note)


def trts_loss(found: Models, *, level: float) -> Measured:
    """AUROC that the model trained on real persons has on the holdout, minus the one that it has on the corpus.

    0 where the outcomes of the corpus follow from its records as they do in patients; what the real model has above
    0.5 where they do not. The corpus is what it is: the interval is DeLong's over the holdout persons alone. A corpus
    whose outcomes are more certain than real ones scores below 0. n is (synthetic rows, holdout persons).
    """
    real = placements(found.truth, found.patients_on_holdout)
    corpus, note = 0.5, _one_outcome(found)
    if found.corpus_on_holdout is not None:
        corpus, note = placements(found.outcome, found.patients_on_corpus).auroc, found.note
    parts = (real.events, real.non_events)
    deviation = math.sqrt(sum(float(np.var(part, ddof=1)) / len(part) for part in parts))
    value = real.auroc - corpus
    low, high = normal(value, deviation, level=level)
    return Measured(name="realism.trts_loss", value=value, low=low, high=high, level=level, n=found.sizes, note=note)


def slope(found: Models, *, level: float) -> Measured | None:
    """Calibration slope on the holdout of the corpus's model, over that of the patients' model.

    1 where the corpus teaches risks that are as extreme as those learned from patients; below where it teaches
    exaggerated ones; far from 1 in either direction where it teaches noise. Both slopes come from the same persons,
    so what a small holdout or a small training set does to either does not count. The interval is that of the ratio's
    logarithm over resampled persons, by the infinitesimal jackknife. The note tells how many events came for each
    that the corpus's model expects (1 is calibrated), to 0.1. n is (synthetic rows, holdout persons).

    Returns:
        Nothing where the patients' model has no slope that is above 0 for certain: there is nothing to compare with.

    Reference: Cox 1958, and Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7, for the slope.
    """
    real, real_part = _slope(found.truth, found.patients_on_holdout)
    if not normal(real, _deviation(real_part), level=level)[0] > 0:
        return None
    name = "realism.slope"
    if found.corpus_on_holdout is None:
        return Measured(name=name, value=0, low=0, high=0, level=level, n=found.sizes, note=_one_outcome(found))
    other, other_part = _slope(found.truth, found.corpus_on_holdout)
    value = other / real
    if value > 0:
        deviation = _deviation(other_part / other - real_part / real)
        low, high = (value * math.exp(end) for end in normal(0.0, min(deviation, 100.0), level=level))
    else:
        low, high = normal(value, _deviation(other_part / real - value * real_part / real), level=level)
    value, low, high = (min(max(end, -MOST_SLOPE), MOST_SLOPE) for end in (value, low, high))
    expected = float(expit(found.corpus_on_holdout).sum())
    note = f"Events for each one expected, on the holdout: {found.truth.sum() / expected:.1f}. {found.note}".strip()
    return Measured(name=name, value=value, low=low, high=high, level=level, n=found.sizes, note=note)


def _one_outcome(found: Models) -> str:
    return "" if len(np.unique(found.outcome)) == 2 else "The corpus has one outcome only."


def _slope(event: Flags, logits: Vector) -> tuple[float, Vector]:
    """Return the slope of event on the logits, and how much each person moves it, shape (n,)."""
    spread = float(np.std(logits))
    if spread < 1e-9:
        return 0.0, np.zeros(len(logits))
    standard = (logits - logits.mean()) / spread
    x = np.column_stack([np.ones_like(logits), standard])
    # The ridge of one thousandth keeps a score that separates all events from a slope without end.
    beta = logistic.fit(x, event.astype(np.int8), ridge=1e-3)
    p = expit(x @ beta)
    hessian = x.T @ (x * (p * (1 - p))[:, None]) + np.diag((0.0, 1e-3))
    moves = np.linalg.solve(hessian, (x * (event - p)[:, None]).T)[1]
    return float(beta[1]) / spread, moves / spread


def _deviation(moves: Vector) -> float:
    return float(np.sqrt(np.sum(moves**2)))

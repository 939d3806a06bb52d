"""Is a corpus good for anything? Columns, pairs, and a model trained on it.

Compared with the holdout, persons whom the generator never saw, so that remembering is not rewarded.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures import logistic
from wardgate.measures.attacks.copies import binned
from wardgate.measures.attacks.space import codes
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.intervals import bootstrap_deviation, delong_difference, normal
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

Indices = NDArray[np.int64]
Vector = NDArray[np.float64]

MARGINAL_BINS, PAIR_BINS = 20, 10
DRAWS = 40
"""Resamples of persons behind an interval; only their spread is used."""


def marginal_error(
    features: Sequence[Feature], real: pl.DataFrame, synthetic: pl.DataFrame, *, level: float, rng: np.random.Generator
) -> Measured:
    """Mean total variation between real and synthetic columns: categories, twentieths of a range, missing.

    0 is the same distribution, 1 no overlap. A fresh sample of the real population scores a little above 0, by
    chance alone; n is (synthetic rows, real persons).
    """
    hot, blocks = _indicators(features, real, bins=MARGINAL_BINS)
    other, _ = _indicators(features, synthetic, bins=MARGINAL_BINS)
    expected = other.mean(axis=0)

    def error(weights: Vector) -> float:
        return float(np.abs(weights @ hot / len(hot) - expected).sum()) / 2 / len(blocks)

    return _measured("realism.marginal_error", error, (len(other), len(hot)), level=level, rng=rng)


def pairwise_error(
    features: Sequence[Feature], real: pl.DataFrame, synthetic: pl.DataFrame, *, level: float, rng: np.random.Generator
) -> Measured:
    """Mean total variation between real and synthetic pairs of columns, numbers in tenths of their range.

    0 is the same distribution, 1 no overlap. A fresh sample scores above 0 by chance, more than single columns do.
    """
    hot, blocks = _indicators(features, real, bins=PAIR_BINS)
    other, _ = _indicators(features, synthetic, bins=PAIR_BINS)
    expected = other.T @ other / len(other)
    apart = np.ones(expected.shape, dtype=np.bool_)
    for block in blocks:
        apart[block, block] = False
    pairs = len(blocks) * (len(blocks) - 1) / 2

    def error(weights: Vector) -> float:
        found = hot.T @ (hot * weights.astype(np.float32)[:, None]) / len(hot)
        # Each pair stands twice in the symmetric table, and total variation is half of the absolute difference.
        return float(np.abs(found - expected)[apart].sum(dtype=np.float64)) / 4 / pairs

    return _measured("realism.pairwise_error", error, (len(other), len(hot)), level=level, rng=rng)


def _measured(
    name: str, error: Callable[[Vector], float], n: tuple[int, int], *, level: float, rng: np.random.Generator
) -> Measured:
    value = error(np.ones(n[1]))
    deviation = bootstrap_deviation(error, n[1], draws=DRAWS, rng=rng)
    low, high = normal(value, deviation, level=level)
    return Measured(name=name, value=value, low=max(0.0, low), high=high, level=level, n=n)


def _indicators(
    features: Sequence[Feature], table: pl.DataFrame, *, bins: int
) -> tuple[NDArray[np.float32], list[slice]]:
    """Every column as indicators, missing among them, shape (n, all values), and where each column stands."""
    parts, blocks, start = [], [], 0
    for feature in features:
        if feature.type in ("number", "integer"):
            place, width = binned(feature, table, bins=bins), bins + 1
        else:
            place, width = codes(feature, table), 3 if feature.type == "boolean" else len(feature.values or ()) + 1
        hot = np.zeros((len(place), width), dtype=np.float32)
        hot[np.arange(len(place)), place] = 1.0
        parts.append(hot)
        blocks.append(slice(start, start + width))
        start += width
    return np.concatenate(parts, axis=1), blocks


def tstr_loss(
    features: Sequence[Feature],
    train: pl.DataFrame,
    synthetic: pl.DataFrame,
    holdout: pl.DataFrame,
    *,
    ridge: float,
    level: float,
) -> Measured | None:
    """AUROC on the holdout of the model trained on real persons, minus that of the model trained on the corpus.

    A corpus as good as the patients scores 0; one without any relation to the label scores all that the real model
    has above 0.5. The interval is DeLong's for two scores on the same persons. n is (synthetic rows, holdout persons).

    Returns:
        Nothing where the real persons, in training or holdout, have one outcome only.
    """
    truth = labels(holdout).astype(np.bool_)
    if len(np.unique(labels(train))) < 2 or min(truth.sum(), (~truth).sum()) < 2:
        return None
    design = design_matrix(features, holdout)
    scores = []
    for table in (train, synthetic):
        outcome = labels(table)
        if len(np.unique(outcome)) < 2:
            scores.append(np.zeros(len(design)))
        else:
            scores.append(logistic.linear(design, logistic.fit(design_matrix(features, table), outcome, ridge=ridge)))
    value, low, high = delong_difference(truth, scores[0], scores[1], level=level)
    return Measured(
        name="realism.tstr_loss", value=value, low=low, high=high, level=level, n=(synthetic.height, holdout.height)
    )

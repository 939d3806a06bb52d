"""Are single columns and pairs of columns those of real persons?

Compared with the holdout, persons whom the generator never saw, so that remembering is not rewarded.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.realism.coding import Codes, equal_parts, indicators, lumping, values
from wardgate.measures.realism.resampling import blocks, interval, products, spread
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

MARGINAL_BINS, PAIR_BINS = 20, 10
PAIR_LEVELS = 30
"""Categories of a column that pairs tell apart; the rarer ones count as one, and the note says so."""

TILE = 20_000
"""Rows of indicators multiplied at a time."""

ENTRIES = 40_000_000
"""Entries of pair tables held at a time, over all blocks of persons."""


def marginal_error(
    features: Sequence[Feature], real: pl.DataFrame, synthetic: pl.DataFrame, *, level: float, rng: np.random.Generator
) -> Measured:
    """Mean total variation between real and synthetic columns: categories, twentieths of a range, missing.

    0 is the same distribution, 1 no overlap. A fresh sample of the real population scores a little above 0, by
    chance alone; n is (synthetic rows, real persons).
    """
    known = values(features, real)
    coding = equal_parts(features, known, parts=MARGINAL_BINS)
    one, other = coding(known), coding(values(features, synthetic))
    by = blocks(len(one), rng=rng)
    errors, drawn = 0.0, np.zeros(len(by.weights))
    for place, width in enumerate(coding.widths):
        expected = np.bincount(other[:, place], minlength=width) / len(other)
        found = np.bincount(one[:, place], minlength=width) / len(one)
        errors += float(np.abs(found - expected).sum()) / 2
        drawn += np.abs(by.shares(by.counts(one[:, place], width)) - expected).sum(axis=1) / 2
    columns = len(coding.widths)
    return interval(
        "realism.marginal_error",
        errors / columns,
        spread(drawn / columns),
        level=level,
        n=(len(other), len(one)),
    )


def pairwise_error(
    features: Sequence[Feature], real: pl.DataFrame, synthetic: pl.DataFrame, *, level: float, rng: np.random.Generator
) -> Measured:
    """Mean total variation between real and synthetic pairs of columns, numbers in tenths of their range.

    0 is the same distribution, 1 no overlap. A fresh sample scores above 0 by chance, more than single columns do.
    One column alone has no pairs and scores 0.
    """
    known = values(features, real)
    coding = equal_parts(features, known, parts=PAIR_BINS, most_levels=PAIR_LEVELS)
    one, other = coding(known), coding(values(features, synthetic))
    by = blocks(len(one), rng=rng)
    hot = indicators(one[by.order], coding.widths)
    width, column = hot.shape[1], np.repeat(np.arange(len(coding.widths)), coding.widths)
    step = max(1, ENTRIES // (by.count * width))
    error, drawn = 0.0, np.zeros(len(by.weights))
    expected = _together(other, coding.widths)
    for start in range(0, width, step):
        rows = slice(start, min(start + step, width))
        # Each pair once: columns after this one.
        after = column[rows, None] < column[None, start:]
        found = products(hot[:, rows], hot[:, start:], by)[:, after]
        wanted = expected[rows, start:][after] / len(other)
        error += float(np.abs(found.sum(axis=0, dtype=np.float64) / len(one) - wanted).sum())
        drawn += np.abs(by.shares(found) - wanted).sum(axis=1)
    pairs = max(1, len(coding.widths) * (len(coding.widths) - 1) // 2)
    return interval(
        "realism.pairwise_error",
        error / 2 / pairs,
        spread(drawn / 2 / pairs),
        level=level,
        n=(len(other), len(one)),
        note=lumping(coding),
    )


def _together(codes: Codes, widths: Sequence[int]) -> NDArray[np.float64]:
    """Count every pair of codes, shape (all codes, all codes), a tile of rows at a time."""
    width = sum(widths)
    found = np.zeros((width, width))
    for start in range(0, len(codes), TILE):
        hot = indicators(codes[start : start + TILE], widths)
        found += hot.T @ hot
    return found

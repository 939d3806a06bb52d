"""One model's figures on one site's persons. Shown only over at least eleven events and eleven non-events."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.calibration import in_the_large, observed_over_expected, recalibrate, slope_of_counts
from wardgate.measures.discrimination import auroc
from wardgate.measures.logistic import probability

Vector = NDArray[np.float64]


def smallest_class(y: NDArray[np.int8]) -> int:
    """Return the smaller of events and non-events: the smallest cell behind a figure of discrimination."""
    return int(min(y.sum(), len(y) - y.sum()))


def model_figures(logits: Vector, y: NDArray[np.int8], *, level: float) -> dict[str, float]:
    """Return AUROC with interval, O/E, and slope where it is identified.

    Args:
        logits: Scores, shape (n,).
        y: Labels, shape (n,).
        level: Confidence level of the AUROC's interval.
    """
    found = auroc(y, logits, level=level)
    figures = {
        "auroc": found.value,
        "auroc_low": found.low,
        "auroc_high": found.high,
        "oe": observed_over_expected(float(y.sum()), float(probability(logits).sum()), persons=len(y)).value,
    }
    slope = slope_of_counts(logits, y.astype(np.float64), (1 - y).astype(np.float64)).value
    if np.isfinite(slope) and abs(slope) < 10:
        figures["slope"] = slope
    return figures


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalShift:
    """A recalibration learned from a few training records and judged on other persons."""

    records: int
    shift: float
    before: float
    after: float
    floor: float
    low: float
    high: float


def local_shift(
    *,
    train_logits: Vector,
    train_y: NDArray[np.int8],
    test_logits: Vector,
    test_y: NDArray[np.int8],
    records: int,
    prior_deviation: float,
) -> LocalShift:
    """Shift the intercept by at most `records` training persons and judge it on the test persons.

    `floor` is 1 / sqrt(k p (1 - p)): no method that sees k records can be surer than that of its shift.
    `low` and `high` are the interval of calibration-in-the-large after the shift.
    """
    learned = recalibrate(train_y[:records], train_logits[:records], prior_deviation=prior_deviation)
    before = in_the_large(test_y, test_logits)
    after = in_the_large(test_y, test_logits + learned.value)
    return LocalShift(
        records=learned.records,
        shift=learned.value,
        before=before.value,
        after=after.value,
        floor=learned.deviation,
        low=after.low,
        high=after.high,
    )

"""Modes of one distribution on a logarithmic scale: does it repeat itself a known conversion away?

Values of one thing in one unit have one hump; values in two units have two, exactly a conversion apart. What is counted
are bins of the logarithm of a value's size, `BIN` wide, numbered from 0 at the value 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from wardgate.records.errors import Invalid

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BIN = 0.02
"""Width of a bin of log(value): two percent."""

NEAREST = 0.35
"""Conversions that move a value by less than this (a factor of 1.42) hide in any hump."""

DEEP = 1.5
"""A second hump must hold so many times what the valley before it holds."""

_SMOOTH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """A second hump where a conversion would put a copy of the first.

    Attributes:
        share: Of all values, those nearer to the second hump than to the first.
        p_value: Chance that a distribution with one hump shows as much; exact where values are independent.
    """

    share: float
    p_value: float


def centres(bins: Ints) -> Floats:
    """Return the values in the middle of bins."""
    return np.asarray(np.exp((bins + 0.5) * BIN))


def mode(bins: Ints, counts: Ints) -> float:
    """Return the log of the value around which most lie: of five neighbouring bins, those that hold most.

    Raises:
        Invalid: nothing is counted.
    """
    low, dense = _dense(bins, counts)
    smooth = np.convolve(dense, np.ones(2 * _SMOOTH + 1), mode="same")
    return (low + int(np.argmax(smooth)) + 0.5) * BIN


def median(values: Floats, counts: Ints) -> float:
    """Return the median of counted values.

    Raises:
        Invalid: nothing is counted.
    """
    if not counts.sum():
        raise Invalid("expected counted values, found none")
    order = np.argsort(values, kind="stable")
    below = np.cumsum(counts[order])
    return float(values[order][int(np.searchsorted(below, below[-1] / 2))])


def echo(bins: Ints, counts: Ints, convert: Callable[[float], float]) -> Echo | None:
    """Look for a second hump where a conversion puts the first.

    Between the mode and its image lie three windows of equal width: the first around the mode, the last around the
    image, the valley between. Where the distribution has one hump, the valley holds at least what the last window
    holds, wherever the mode is; given what both hold, the last one's count is then at most binomial with one half.

    Args:
        bins, counts: How many values each bin holds, shape (n,).
        convert: What turns a value into the number that the same thing has in another unit.

    Returns:
        None where there is no such hump: the image is too near, the valley too shallow, or the hump lies elsewhere.
    """
    top = mode(bins, counts)
    moved = convert(math.exp(top))
    if not math.isfinite(moved) or moved <= 0:
        return None
    image = math.log(moved)
    if abs(image - top) < NEAREST:
        return None
    at: Floats = np.asarray((bins + 0.5) * BIN, dtype=np.float64)
    width = abs(image - top) / 3
    valley = int(counts[np.abs(at - (top + image) / 2) <= width / 2].sum())
    hump = np.abs(at - image) <= width / 2
    inside = int(counts[hump].sum())
    if not inside or inside < DEEP * valley:
        return None
    beyond = (at - (top + image) / 2) * math.copysign(1.0, image - top) > 0
    middle = median(at[beyond], counts[beyond])
    if abs(middle - image) > min(width / 2, NEAREST):
        return None
    return Echo(
        share=float(counts[beyond].sum() / counts.sum()), p_value=float(binom.sf(inside - 1, inside + valley, 0.5))
    )


def _dense(bins: Ints, counts: Ints) -> tuple[int, Ints]:
    if not len(bins) or not counts.sum():
        raise Invalid("expected counted values, found none")
    low = int(bins.min())
    dense = np.zeros(int(bins.max()) - low + 1, dtype=np.int64)
    np.add.at(dense, bins - low, counts)
    return low, dense

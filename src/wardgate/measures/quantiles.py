"""Quantiles from histograms that zoom in: where a quantile lies, and how to cut next."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Where a quantile lies, in whole grains: at least `low`, below `high`.

    Attributes:
        persons: Persons inside; noisy where the histogram was.
    """

    low: int
    high: int
    persons: float

    @property
    def width(self) -> int:
        """How many grains."""
        return self.high - self.low


def window_of(counts: Counts, steps: tuple[int, ...], level: float, *, outer: tuple[int, int], noise: float) -> Window:
    """Return where the quantile lies by one histogram.

    The quantile is the smallest value that at least the share `level` of persons do not exceed (numpy's
    `inverted_cdf`). Exact counts bracket it between two neighbouring cuts. With noise the bracket is widened by twice
    the standard deviation of the difference that decides, so it holds the quantile in about 95 of 100 sums.

    Args:
        counts: Persons below the first cut, between cuts, and from the last cut on, shape (cuts + 1,).
        steps: The cuts, in grains, rising.
        outer: What no value lies below, and what every value lies below.
        noise: Standard deviation of the noise in each count.

    Raises:
        Invalid: a level outside (0, 1), no cuts, or counts of another length.
    """
    if not 0 < level < 1:
        raise Invalid(f"expected a level between 0 and 1, found {level}")
    if not steps or counts.shape != (len(steps) + 1,):
        raise Invalid(f"expected counts between {len(steps)} cuts, found shape {counts.shape}")
    below = np.cumsum(counts)[:-1]
    above = float(counts.sum()) - below
    lead = (1 - level) * below - level * above
    parts = np.arange(1, len(counts))
    reach = 2 * noise * np.sqrt((1 - level) ** 2 * parts + level**2 * (len(counts) - parts))
    slack = 1e-9 * max(float(counts.sum()), 1.0)
    open_low = np.flatnonzero(lead + reach >= -slack)
    open_high = np.flatnonzero(lead - reach < -slack)
    low = int(open_low[0]) - 1 if len(open_low) else len(steps) - 1
    high = int(open_high[-1]) + 1 if len(open_high) else 0
    inside = float(counts[low + 1 : high + 1].sum())
    return Window(
        low=outer[0] if low < 0 else steps[low], high=outer[1] if high >= len(steps) else steps[high], persons=inside
    )


def even_steps(low: int, high: int, cells: int) -> tuple[int, ...]:
    """Return the cuts of [low, high) into at most `cells` parts of nearly equal width, both ends left out."""
    cells = max(1, min(cells, high - low))
    return tuple(sorted({low + (number * (high - low)) // cells for number in range(1, cells)} - {low, high}))


def next_steps(windows: tuple[Window, ...], cells: tuple[int, ...], *, outer: tuple[int, int]) -> tuple[int, ...]:
    """Return the cuts of the next histogram: the edges of every window, and each window cut into so many parts."""
    found: set[int] = set()
    for window, parts in zip(windows, cells, strict=True):
        found |= {window.low, window.high, *even_steps(window.low, window.high, parts)}
    return tuple(sorted(found - set(outer)))

"""From summed score bins to the figures of one approach."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.score_bins import ScoreBins, score_bins_shape
from wardgate.hub.pooling.ask import Ask
from wardgate.measures.calibration import CurvePoint, curve_of_counts, observed_over_expected, slope_of_counts
from wardgate.measures.discrimination import auroc_of_counts, bin_error
from wardgate.records.measured import Measured
from wardgate.records.messages import SplitName

Vector = NDArray[np.float64]

SUBGROUP_BINS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The public bins of a question: equal widths on the logit scale between `low` and `high`, the outer ones open."""

    bins: int
    low: float
    high: float
    subgroups: int

    @property
    def logits(self) -> Vector:
        """Middle of each bin overall."""
        return self.middles(self.bins)

    def middles(self, bins: int) -> Vector:
        """Middle of each of `bins` bins."""
        edges = np.linspace(self.low, self.high, bins + 1)
        return np.asarray((edges[:-1] + edges[1:]) / 2)


def grid_for(*, persons_at_least: int, ratio: float, low: float, high: float, subgroups: int) -> Grid:
    """Return the finest bins (10 to 200) whose numbers stay within `ratio` per person, subgroups if they fit."""
    room = int(persons_at_least * ratio) - 1
    extra = subgroups * (2 * SUBGROUP_BINS + 1)
    if room - extra < 40:
        subgroups, extra = 0, 0
    return Grid(bins=int(np.clip((room - extra) // 2, 10, 200)), low=low, high=high, subgroups=subgroups)


def coarse(grid: Grid) -> Grid:
    """Return fewer bins and no subgroups: noise falls on every bin."""
    return Grid(bins=min(grid.bins, 16), low=grid.low, high=grid.high, subgroups=0)


def ask_bins(
    *,
    what: str,
    sites: tuple[str, ...],
    split: SplitName,
    noise_multiplier: float | None,
    grid: Grid,
    model: str,
    beta: Vector | None,
    listed: Mapping[str, str] = MappingProxyType({}),
    prior_deviation: float | None = None,
) -> Ask:
    """Return the ask for one model's bins. `beta` None means each site's own local model.

    Args:
        listed: The fixed list of models for which the locked test is opened.
        prior_deviation: Given, each site first shifts the model's intercept by its own few training records.
    """
    asked = ScoreBins(
        model=model,
        beta=beta,
        bins=grid.bins,
        subgroup_bins=SUBGROUP_BINS,
        low=grid.low,
        high=grid.high,
        subgroups=grid.subgroups,
        listed=listed,
        prior_deviation=prior_deviation,
    )
    return Ask(
        what=what,
        computation=asked.name,
        sites=sites,
        parameters=asked.parameters(),
        split=split,
        noise_multiplier=noise_multiplier,
        shape=score_bins_shape(bins=grid.bins, subgroups=grid.subgroups, subgroup_bins=SUBGROUP_BINS),
        arrays=asked.arrays(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What score bins say of one group of persons."""

    auroc: Measured
    auroc_bin_error: float
    oe: Measured
    slope: Measured
    curve: tuple[CurvePoint, ...]
    events: float
    non_events: float


def read_bins(total: Vector, grid: Grid, *, noise: float = 0.0) -> tuple[Figures, tuple[Figures, ...]]:
    """Return the figures overall and of each subgroup.

    Args:
        noise: Standard deviation of the noise in each entry; it widens the AUROC's interval.

    Noisy counts may be negative and stay so in the AUROC, which is then nearly unbiased; curves take them as zero.
    """
    overall = _figures(total[: 2 * grid.bins + 1], grid.logits, noise)
    parts, start = [], 2 * grid.bins + 1
    for _ in range(grid.subgroups):
        stop = start + 2 * SUBGROUP_BINS + 1
        parts.append(_figures(total[start:stop], grid.middles(SUBGROUP_BINS), noise))
        start = stop
    return overall, tuple(parts)


def _figures(part: Vector, logits: Vector, noise: float) -> Figures:
    bins = len(logits)
    events, non_events = part[:bins], part[bins : 2 * bins]
    persons = max(round(float(events.sum() + non_events.sum())), 0)
    return Figures(
        auroc=_widened(auroc_of_counts(events, non_events), events, non_events, noise),
        auroc_bin_error=bin_error(events, non_events),
        oe=observed_over_expected(float(events.sum()), float(part[2 * bins]), persons=persons),
        slope=slope_of_counts(logits, events, non_events),
        curve=curve_of_counts(logits, np.maximum(events, 0.0), np.maximum(non_events, 0.0)),
        events=float(events.sum()),
        non_events=float(non_events.sum()),
    )


def _widened(found: Measured, events: Vector, non_events: Vector, noise: float) -> Measured:
    """Add the spread that noise in the counts gives the AUROC, by 200 repeatable redraws of it."""
    if noise <= 0 or not np.isfinite(found.value):
        return found
    rng = np.random.default_rng(0)
    redrawn = [
        auroc_of_counts(
            events + rng.normal(0, noise, len(events)), non_events + rng.normal(0, noise, len(events))
        ).value
        for _ in range(200)
    ]
    extra = 1.959964 * float(np.nanstd(redrawn))
    value = float(np.clip(found.value, 0.0, 1.0))
    low = value - float(np.hypot(value - found.low, extra))
    high = value + float(np.hypot(found.high - value, extra))
    return found.model_copy(update={"value": value, "low": max(low, 0.0), "high": min(high, 1.0)})

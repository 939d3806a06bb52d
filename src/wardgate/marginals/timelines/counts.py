"""Histograms over persons that run differently: hours between rows by pace, and where changing categories are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.marginals.timelines.people import occupancy
from wardgate.measures.lines import Lines, gaps

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Groups of persons that run differently; cut by noisy figures alone.

    Attributes:
        pace: Cuts of the mean hours between rows.
        visits: Cuts of the number of rows.
    """

    pace: tuple[float, ...]
    visits: tuple[float, ...]

    def paces(self, lines: Lines) -> Indices:
        """Return each person's group by pace, shape (persons,)."""
        last = lines.first + lines.rows - 1
        return self.paces_of(lines.time[last] - lines.time[lines.first], lines.rows)

    def paces_of(self, span: Vector, rows: Indices) -> Indices:
        """Return the group by pace from span and rows."""
        return np.searchsorted(np.asarray(self.pace), span / np.maximum(rows - 1, 1), side="right").astype(np.int64)

    def crowds(self, rows: Indices) -> Indices:
        """Return each person's group by number of rows."""
        return np.searchsorted(np.asarray(self.visits), rows, side="right").astype(np.int64)


def bands(span: Vector, rows: Vector, *, groups: int) -> Bands:
    """Cut sampled persons into about even groups.

    Args:
        span, rows: Hours under observation (NaN where unknown) and rows, of persons drawn from the private model.
    """
    several = (rows > 1) & np.isfinite(span)
    pace = span[several] / (rows[several] - 1) if several.any() else np.zeros(1)
    at = np.arange(1, groups) / groups
    return Bands(
        pace=tuple(sorted({float(cut) for cut in np.quantile(pace, at)})),
        visits=tuple(sorted({float(cut) for cut in np.ceil(np.quantile(rows, at))})),
    )


def gap_edges(grain_hours: float, window_hours: float, *, fine: int = 120, cells: int = 192) -> Indices:
    """Return the cells of gaps in grains: single grains first, then wider ones up to the window; rising integers."""
    last = max(2, int(np.ceil(window_hours / grain_hours)) + 1)
    single = np.arange(1, min(fine, last) + 1)
    wide = np.rint(np.geomspace(single[-1], last, cells - len(single) + 1)).astype(np.int64)
    return np.unique(np.concatenate((single, wide))).astype(np.int64)


def gap_counts(lines: Lines, cuts: Bands, edges: Indices, *, grain_hours: float) -> Vector:
    """Return how persons' gaps lie on the cells, by group of pace, shape (groups x cells,).

    Guarantee: a person moves the whole by at most 1 in L2.
    """
    hours, whose = gaps(lines)
    cell = np.clip(np.searchsorted(edges, np.rint(hours / grain_hours), side="right") - 1, 0, len(edges) - 2)
    group, size = cuts.paces(lines), len(edges) - 1
    place = group[whose] * size + cell
    weight = 1.0 / (lines.rows[whose] - 1)
    return np.bincount(place, weights=weight, minlength=(len(cuts.pace) + 1) * size).astype(np.float64)


def category_counts(lines: Lines) -> Vector:
    """Return for every changing category where persons are, by their mode, shape (sum of values squared,).

    Guarantee: a person moves the whole by at most sqrt(categories) in L2.
    """
    parts = []
    for place, feature in enumerate(lines.features):
        if feature.type == "category":
            size = len(feature.values or ())
            counts = occupancy(lines.values[:, place], size, lines.whose, lines.persons)
            seen = counts.sum(axis=1) > 0
            share = counts[seen] / counts[seen].sum(axis=1, keepdims=True)
            table = np.zeros((size, size))
            np.add.at(table, counts[seen].argmax(axis=1), share)
            parts.append(table.ravel())
    return np.concatenate(parts) if parts else np.zeros(0)

"""Numbers of a timeline on a common scale: normal scores, read from a noisy histogram over persons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from wardgate.marginals.domain import MAX_CELLS, Column, domain_of
from wardgate.marginals.estimate import posterior, simplex, standing_out
from wardgate.measures.lines import Lines
from wardgate.records.feature import Feature

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

REACH = 3.0
"""Scores are kept within -REACH and REACH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One number's noisy distribution over persons, every person weighing the same.

    Attributes:
        column: Its cells, all present.
        share: Of each cell, none negative, sum 1.
    """

    column: Column
    share: Vector

    def score(self, values: Vector) -> Vector:
        """Return normal scores: the standard normal quantile of the share below a value; NaN stays NaN."""
        edges = np.asarray(self.column.edges)
        known = np.where(np.isnan(values), edges[0], values)
        whole = 0.5 if self.column.kind == "integer" else 0.0
        known = np.rint(known) + whole if whole else known
        cell = np.clip(np.searchsorted(edges, known, side="right") - 1, 0, len(self.share) - 1)
        inside = np.clip((known - edges[cell]) / (edges[cell + 1] - edges[cell]), 0.0, 1.0)
        below = np.cumsum(self.share) - self.share
        found = np.clip(ndtri(np.clip(below[cell] + inside * self.share[cell], 0.0, 1.0)), -REACH, REACH)
        return np.where(np.isnan(values), np.nan, found)

    def value(self, scores: Vector) -> Vector:
        """Return the values of scores; integers whole; NaN stays NaN."""
        edges, steps = np.asarray(self.column.edges), np.cumsum(self.share)
        point = ndtr(np.where(np.isnan(scores), 0.0, scores))
        cell = np.minimum(np.searchsorted(steps, point * steps[-1], side="right"), len(self.share) - 1)
        inside = (point * steps[-1] - (steps - self.share)[cell]) / np.maximum(self.share[cell], 1e-12)
        found = edges[cell] + np.clip(inside, 0.0, 1.0 - 1e-9) * (edges[cell + 1] - edges[cell])
        if self.column.kind == "integer":
            found = np.floor(found)
        return np.where(np.isnan(scores), np.nan, found)


def numbers(features: Sequence[Feature]) -> tuple[int, ...]:
    """Return the places of the numbers among changing features."""
    return tuple(place for place, feature in enumerate(features) if feature.type in ("number", "integer"))


def columns(features: Sequence[Feature]) -> tuple[Column, ...]:
    """Return the fine cells of the numbers among changing features."""
    present = [feature.model_copy(update={"missing": "refused"}) for feature in features]
    return domain_of([present[place] for place in numbers(features)], cells=MAX_CELLS).columns[:-1]


def histograms(lines: Lines) -> Vector:
    """Return for every number how persons lie on its cells, one after the other, shape (all cells,).

    Every person whose number was measured adds 1 in all to its histogram, spread evenly over their measurements.

    Guarantee: a person moves the whole by at most sqrt(numbers) in L2, whatever their rows.
    """
    whose, parts = lines.whose, []
    for place, column in zip(numbers(lines.features), columns(lines.features), strict=True):
        seen = np.flatnonzero(~np.isnan(lines.values[:, place]))
        values = lines.values[seen, place]
        edges = np.asarray(column.edges)
        cell = np.searchsorted(edges, np.rint(values) if column.kind == "integer" else values, side="right") - 1
        weight = 1.0 / np.bincount(whose[seen], minlength=lines.persons)[whose[seen]]
        size = column.present
        parts.append(np.bincount(np.clip(cell, 0, size - 1), weights=weight, minlength=size))
    return np.concatenate(parts) if parts else np.zeros(0)


def scales(features: Sequence[Feature], noisy: Vector, *, sigma: float) -> tuple[Scale, ...]:
    """Return the scales that noisy `histograms` suggest, in the order of `numbers`."""
    found, start = [], 0
    for column in columns(features):
        found.append(Scale(column=column, share=shares(noisy[start : start + column.present], sigma=sigma)))
        start += column.present
    return tuple(found)


def shares(noisy: Vector, *, sigma: float) -> Vector:
    """Return the distribution over ordered cells that noisy counts suggest; nothing where only noise is seen."""
    smooth, spread = posterior(noisy, variance=sigma**2)
    run = standing_out(smooth, variance=spread)
    found = np.full(len(noisy), 1e-9)
    found[run] += simplex(smooth[run], max(float(smooth[run].sum()), 1.0))
    return np.asarray(found / found.sum())

"""What one person's rows say of how rows follow each other, as a vector whose length is bounded whatever the rows.

A table over (before, after) of every feature and level would drown in noise; what it is asked for are few numbers. So a
person adds normalised sums over their transitions: how far values move around the person's middle, how a value follows
the one before, how features go together in a row and with the hours, when they are measured. Beside each figure stands
the weight with which the person speaks of it. The whole vector is then clipped, so that a bound per person is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.marginals.timelines.counts import Bands
from wardgate.marginals.timelines.people import means
from wardgate.marginals.timelines.scale import Scale, numbers
from wardgate.measures.encoding import LABEL
from wardgate.measures.lines import Lines, steps

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Indices = NDArray[np.int64]

WEIGHT = 0.2
"""Scale of the weights beside the figures: they are known well enough with less of the budget."""

CLIP = 0.4
"""Length of a person's vector at most, for each square root of its figures. Ordinary persons are shorter."""

FULL = 12
"""Transitions after which a person speaks with full weight."""

LEAST = 3
"""Measurements of a person below which deviations say nothing of their order."""

MOST_VARIANCE = 1.0
"""Of scores around a person's middle; more counts as this."""

Parts = Mapping[str, tuple[Matrix, Matrix]]
"""By name the figures and their weights, shape (persons, figures) each."""


def tracked(lines: Lines, scales: Sequence[Scale]) -> tuple[Matrix, tuple[int, ...]]:
    """Return scores of numbers and flags as 0 and 1, shape (rows, tracks), and which features they are."""
    scale_of = dict(zip(numbers(lines.features), scales, strict=True))
    places = tuple(place for place, feature in enumerate(lines.features) if feature.type != "category")
    found = [
        scale_of[place].score(lines.values[:, place]) if place in scale_of else lines.values[:, place]
        for place in places
    ]
    return (np.column_stack(found) if found else np.zeros((len(lines.time), 0))), places


def courses(lines: Lines, scales: Sequence[Scale]) -> Parts:
    """Return how numbers and flags move within persons.

    `spread`: variance around the person's middle, by label; `trend`: correlation with the hours, by label; `follow`: of
    a value with the one before; `together`: of two features in a row.
    """
    whose, persons = lines.whose, lines.persons
    tracks, _ = tracked(lines, scales)
    outcome = lines.people[LABEL].to_numpy().astype(np.int64)
    apart, variance, count = _deviations(tracks, whose, persons)
    hours, _, _ = _deviations(lines.time[:, None], whose, persons)
    moved = (np.minimum(variance, MOST_VARIANCE), (count >= 2).astype(np.float64))
    trend = _beside(
        np.column_stack((apart, np.repeat(hours, apart.shape[1], axis=1))), lines.first, _opposite(apart.shape[1])
    )
    return {
        "spread": _by_label(moved, outcome),
        "trend": _by_label(trend, outcome),
        "follow": _follow(apart, whose, persons),
        "together": _beside(apart, lines.first, _pairs(apart.shape[1])),
    }


def measurements(lines: Lines, cuts: Bands) -> Parts:
    """Return when features are measured.

    `rate`: share of the rows, by group of visits, where ever; `again`: correlation of being measured with the row
    before; `panel`: of two features being measured in a row.
    """
    whose, persons = lines.whose, lines.persons
    seen = (~np.isnan(lines.values)).astype(np.float64)
    ever = np.add.reduceat(seen, lines.first, axis=0) > 0
    rate = np.add.reduceat(seen, lines.first, axis=0) / lines.rows[:, None]
    crowd, groups = cuts.crowds(lines.rows), len(cuts.visits) + 1
    spread = np.zeros((persons, groups, seen.shape[1]))
    weight = spread.copy()
    spread[np.arange(persons), crowd] = rate
    weight[np.arange(persons), crowd] = ever
    apart, _, _ = _deviations(seen, whose, persons)
    return {
        "rate": (spread.reshape(persons, -1), weight.reshape(persons, -1)),
        "again": _follow(apart, whose, persons),
        "panel": _beside(apart, lines.first, _pairs(seen.shape[1])),
    }


def stays(lines: Lines) -> Parts:
    """Return how often changing categories stay as they were: `stay`, one figure for each category."""
    found, weights = [np.zeros((lines.persons, 0))], [np.zeros((lines.persons, 0))]
    for place, feature in enumerate(lines.features):
        if feature.type == "category":
            before, after = steps(lines, place)
            whose = lines.whose[after]
            count = np.bincount(whose, minlength=lines.persons)
            same = np.bincount(
                whose[lines.values[before, place] == lines.values[after, place]], minlength=lines.persons
            )
            weight = np.minimum(count, FULL) / FULL
            found.append((weight * same / np.maximum(count, 1))[:, None])
            weights.append(weight[:, None])
    return {"stay": (np.hstack(found), np.hstack(weights))}


def contributions(parts: Parts) -> Matrix:
    """Return what every person adds, clipped to `bound` in L2, shape (persons, 2 x figures)."""
    figures = np.hstack([found for found, _ in parts.values()])
    weights = np.hstack([weight for _, weight in parts.values()])
    whole = np.hstack((figures, WEIGHT * weights))
    length = np.sqrt(np.sum(whole**2, axis=1, keepdims=True))
    return np.asarray(whole * np.minimum(1.0, bound(figures.shape[1]) / np.maximum(length, 1e-12)))


def bound(figures: int) -> float:
    """Return the L2 norm of what one person adds at most."""
    return CLIP * float(np.sqrt(max(figures, 8)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """Noisy means of figures over persons, by name: the mean, and the standard deviation that noise gives it."""

    mean: Mapping[str, Vector]
    deviation: Mapping[str, Vector]


UNSURE = 0.15
"""How far the weight of drawn persons may lie from the real one, as a share of it."""


def ratios(total: Vector, sizes: Mapping[str, int], *, sigma: float, expected: Vector | None = None) -> Ratios:
    """Return means from summed `contributions`: sums of figures over sums of weights.

    Where the weight drowns in the noise, the deviation is infinite and the mean 0.

    Args:
        total: Shape (2 x figures,), noisy or not.
        sizes: Figures by name, in the order of the parts.
        sigma: Of the noise in each entry.
        expected: Sums of weights as persons drawn from the model suggest them, to be weighed against the noisy ones.
    """
    half = len(total) // 2
    weight, away = total[half:] / WEIGHT, np.full(half, sigma / WEIGHT)
    if expected is not None:
        other = UNSURE * np.maximum(expected, 0.0) + 1e-9
        share = 1 / (1 + (away / other) ** 2)
        weight, away = share * weight + (1 - share) * expected, away * np.sqrt(1 - share)
    known = weight > np.maximum(4 * away, 1e-9)
    safe = np.where(known, weight, 1.0)
    mean = np.where(known, total[:half] / safe, 0.0)
    deviation = np.where(known, np.sqrt(sigma**2 + (mean * away) ** 2) / safe, np.inf)
    found, unsure, start = {}, {}, 0
    for name, size in sizes.items():
        found[name], unsure[name] = mean[start : start + size], deviation[start : start + size]
        start += size
    return Ratios(mean=found, deviation=unsure)


def _deviations(tracks: Matrix, whose: Indices, persons: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return deviations from the person's mean in the person's own spread, variances, and counts.

    NaN where nothing was measured, or where fewer than three values or no movement say nothing.
    """
    apart = np.full(tracks.shape, np.nan)
    variance = np.zeros((persons, tracks.shape[1]))
    counts = np.zeros((persons, tracks.shape[1]))
    for track in range(tracks.shape[1]):
        column = tracks[:, track]
        seen = ~np.isnan(column)
        counts[:, track] = np.bincount(whose[seen], minlength=persons)
        off = column - means(column, whose, persons)[whose]
        squares = np.bincount(whose[seen], weights=off[seen] ** 2, minlength=persons)
        variance[:, track] = squares / np.maximum(counts[:, track] - 1, 1)
        moving = (counts[:, track] >= LEAST) & (variance[:, track] > 1e-9)
        apart[:, track] = np.where(moving[whose], off / np.sqrt(np.maximum(variance[:, track], 1e-9))[whose], np.nan)
    return apart, variance, counts


def _by_label(part: tuple[Matrix, Matrix], outcome: Indices) -> tuple[Matrix, Matrix]:
    """Put every person's figures into the columns of their label: those without the outcome first."""
    chosen = outcome[:, None] == np.array([0, 1])[None, :]
    figures, weights = ((chosen[:, :, None] * one[:, None, :]).reshape(len(one), -1) for one in part)
    return figures, weights


def _follow(apart: Matrix, whose: Indices, persons: int) -> tuple[Matrix, Matrix]:
    """Return each person's correlation of neighbouring measurements, times its weight, and the weight."""
    found = np.zeros((persons, apart.shape[1]))
    weights = found.copy()
    for track in range(apart.shape[1]):
        seen = np.flatnonzero(~np.isnan(apart[:, track]))
        same = np.flatnonzero(whose[seen[1:]] == whose[seen[:-1]])
        before, after, owner = apart[seen[same], track], apart[seen[same + 1], track], whose[seen[same]]
        sums = [np.bincount(owner, weights=part, minlength=persons) for part in (before * after, before**2, after**2)]
        weight = np.minimum(np.bincount(owner, minlength=persons), FULL) / FULL
        found[:, track] = weight * sums[0] / np.sqrt(np.maximum(sums[1] * sums[2], 1e-12))
        weights[:, track] = weight
    return found, weights


def _beside(apart: Matrix, first: Indices, pairs: tuple[Indices, Indices]) -> tuple[Matrix, Matrix]:
    """Return each person's correlation of two columns over rows with both, times its weight, and the weight."""
    seen = ~np.isnan(apart)
    known = np.where(seen, apart, 0.0)
    found = np.zeros((len(first), len(pairs[0])))
    weights = found.copy()
    for place, (left, right) in enumerate(zip(*pairs, strict=True)):
        both = (seen[:, left] & seen[:, right]).astype(np.float64)
        one, other = known[:, left] * both, known[:, right] * both
        sums = np.add.reduceat(np.column_stack((one * other, one**2, other**2, both)), first, axis=0)
        weight = np.where(sums[:, 3] >= LEAST, np.minimum(sums[:, 3], FULL) / FULL, 0.0)
        found[:, place] = weight * np.clip(sums[:, 0] / np.sqrt(np.maximum(sums[:, 1] * sums[:, 2], 1e-12)), -1.0, 1.0)
        weights[:, place] = weight
    return found, weights


def _pairs(tracks: int) -> tuple[Indices, Indices]:
    left, right = np.triu_indices(tracks, k=1)
    return left.astype(np.int64), right.astype(np.int64)


def _opposite(tracks: int) -> tuple[Indices, Indices]:
    return np.arange(tracks), np.arange(tracks, 2 * tracks)

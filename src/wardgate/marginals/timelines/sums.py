"""The releases about timelines, one after the other, and what is made of them.

Whoever drives the road adds the noise: `values` are exact and protected by `l2` and `noise_multiplier` alone.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.estimate import simplex
from wardgate.marginals.sampling import sample
from wardgate.marginals.timelines.calibration import Told, Wanted, calibrated, sizes
from wardgate.marginals.timelines.counts import bands, category_counts, gap_counts, gap_edges
from wardgate.marginals.timelines.course import Course, Order
from wardgate.marginals.timelines.levels import correlation, joined, ruler, together
from wardgate.marginals.timelines.people import SPAN, VISITS, Shape
from wardgate.marginals.timelines.plan import TimelinePlan
from wardgate.marginals.timelines.scale import Scale, histograms, numbers, scales, shares
from wardgate.marginals.timelines.transitions import Parts, bound, contributions, courses, measurements, stays
from wardgate.marginals.tree.model import TreeModel
from wardgate.measures.lines import Lines

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

DRAWN = 2500
"""Persons drawn from the private model to cut groups and to calibrate."""

FIRST_SPREAD, FIRST_RATE = 0.6, 0.5
"""Where nothing was learnt: the spread within persons, and how often a feature is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Exact sums over persons that must not be seen without their noise.

    Attributes:
        values: Shape (entries,).
        l2: How far one person with all their rows can move them.
        noise_multiplier: Standard deviation of the noise over `l2`.
    """

    values: Vector
    l2: float
    noise_multiplier: float

    @property
    def sigma(self) -> float:
        return self.noise_multiplier * self.l2


def histogram_ask(lines: Lines, noise_multiplier: float) -> Sums:
    """Ask for the histograms of numbers."""
    l2 = math.sqrt(len(numbers(lines.features)))
    return Sums(values=histograms(lines), l2=l2, noise_multiplier=noise_multiplier)


def fitted_scales(shape: Shape, asked: Sums, noisy: Vector) -> tuple[Scale, ...]:
    """Return the scales of released histograms."""
    return scales(shape.features, noisy, sigma=asked.sigma)


def fitted_course(
    lines: Lines,
    own: pl.DataFrame,
    shape: Shape,
    scales: tuple[Scale, ...],
    plan: TimelinePlan,
    tree: TreeModel,
    *,
    order: Order,
    grain_hours: float,
    groups: int,
    rng: np.random.Generator,
) -> Generator[Sums, Vector, Course]:
    """Ask for noisy sums over transitions and return the course that gives them.

    Args:
        lines: `people.bounded`.
        own: Their own rows, from `people.people`.
        tree: Persons' own rows, already private: groups are cut by what it draws.
        rng: Of draws from released figures; it protects nobody.
    """
    drawn = sample(tree, max(500, min(tree.persons, DRAWN)), rng=rng)
    cuts = bands(drawn[SPAN].to_numpy(), drawn[VISITS].to_numpy(), groups=groups)
    edges = gap_edges(grain_hours, shape.window_hours)
    asked = Sums(values=gap_counts(lines, cuts, edges, grain_hours=grain_hours), l2=1.0, noise_multiplier=plan.gaps)
    gaps = _gaps((yield asked), len(cuts.pace) + 1, edges, sigma=asked.sigma)
    by = ruler(shape, drawn)
    related = np.eye(len(by.anchors))
    known = Told(total=np.zeros(0), sizes=dict.fromkeys(("spread", "trend", "follow", "together"), 0), sigma=0.0)
    if math.isfinite(plan.courses):
        pairs = yield from _figures(together(own, by), plan.levels)
        related = correlation(by, pairs.ratios(), drawn)
        drawn = joined(drawn, by, related, rng)
        known = yield from _figures(courses(lines, scales), plan.courses)
    seen = yield from _figures(measurements(lines, cuts), plan.measurements)
    where: tuple[Matrix, ...] = ()
    stay = Told(total=np.zeros(0), sizes={"stay": 0}, sigma=0.0)
    if math.isfinite(plan.categories):
        where, stay = yield from _categories(lines, shape, plan.categories)
    tracks = sum(feature.type != "category" for feature in shape.features)
    features, crowds = len(shape.features), len(cuts.visits) + 1
    plain = seen.ratios()
    rate = plain.mean["rate"].reshape(crowds, features)
    rate = np.where(np.isfinite(plain.deviation["rate"].reshape(crowds, features)), rate, FIRST_RATE)
    course = Course(
        shape=shape,
        by=by,
        related=related,
        scales=scales,
        cuts=cuts,
        order=order,
        grain_hours=grain_hours,
        gaps=gaps,
        edges=edges,
        spread=np.full((2, tracks), FIRST_SPREAD),
        trend=np.zeros((2, tracks)),
        memory=np.ones(tracks),
        together=np.eye(tracks),
        rate=np.clip(rate, 0.001, 1.0),
        again=np.zeros(features),
        panel=np.eye(features),
        stay=np.clip(stay.ratios().mean["stay"], 0.0, 0.99),
        where=where,
    )
    wanted = Wanted(courses=known, measurements=seen, stays=stay, persons=float(tree.persons))
    return calibrated(course, wanted, drawn, rng)


def _figures(parts: Parts, noise_multiplier: float) -> Generator[Sums, Vector, Told]:
    """Ask for clipped figures of persons and their weights."""
    of = sizes(parts)
    asked = Sums(values=contributions(parts).sum(axis=0), l2=bound(sum(of.values())), noise_multiplier=noise_multiplier)
    return Told(total=(yield asked), sizes=of, sigma=asked.sigma)


def _gaps(noisy: Vector, groups: int, edges: NDArray[np.int64], *, sigma: float) -> Matrix:
    """Return P(cell | group); a group drowned in noise takes what all groups say."""
    table = noisy.reshape(groups, len(edges) - 1)
    pooled = shares(table.sum(axis=0), sigma=sigma * math.sqrt(groups))
    found = [shares(row, sigma=sigma) if row.sum() > 2 * sigma * math.sqrt(len(row)) else pooled for row in table]
    return np.stack(found)


def _categories(
    lines: Lines, shape: Shape, noise_multiplier: float
) -> Generator[Sums, Vector, tuple[tuple[Matrix, ...], Told]]:
    """Ask where categories are and whether they stay: one release, both parts clipped to the same length."""
    counted, parts = category_counts(lines), stays(lines)
    columns = [feature for feature in shape.features if feature.type == "category"]
    figures = contributions(parts).sum(axis=0)
    own = bound(len(columns))
    asked = Sums(
        values=np.concatenate((counted, figures)),
        l2=math.sqrt(len(columns) + own**2),
        noise_multiplier=noise_multiplier,
    )
    noisy = yield asked
    tables, start = [], 0
    for feature in columns:
        size = len(feature.values or ())
        table = noisy[start : start + size**2].reshape(size, size)
        start += size**2
        tables.append(np.stack([_row(row, place, asked.sigma) for place, row in enumerate(table)]))
    return tuple(tables), Told(total=noisy[start:], sizes=sizes(parts), sigma=asked.sigma)


def _row(noisy: Vector, mode: int, sigma: float) -> Vector:
    """Return P(category | mode); the mode alone where noise hides everything."""
    alone = np.zeros(len(noisy))
    alone[mode] = 1.0
    if noisy.sum() < 4 * sigma * math.sqrt(len(noisy)):
        return alone
    found = simplex(np.where(noisy > sigma, noisy, 0.0), float(noisy.sum()))
    return np.asarray(found / found.sum())

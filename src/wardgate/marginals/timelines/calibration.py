"""A course whose persons, drawn and summed like the real ones, give the noisy figures that were released.

Numbers on cells, flags and few rows weaken every correlation, and no formula undoes all of it. So the course is drawn,
its figures are taken by the same functions, and what is hidden is moved by what is missing, until they agree. That uses
released figures alone and costs no privacy.

Reference: McFadden 1989, A method of simulated moments, doi:10.2307/1913621.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.timelines.course import Course, draw
from wardgate.marginals.timelines.transitions import (
    Parts,
    Ratios,
    contributions,
    courses,
    measurements,
    ratios,
    stays,
)
from wardgate.measures.lines import Lines, steps

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

ROUNDS = 12
HIGHEST = 0.995
"""Hidden correlations stay below this."""

STEP = 2.5
"""By how much the logarithm of a memory moves for each missing correlation: what suits short and long series."""

SPREADS = (0.02, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The released figures: of courses, of measurements, and of categories that stay."""

    courses: Ratios
    measurements: Ratios
    stays: Ratios


def calibrated(course: Course, wanted: Wanted, people: pl.DataFrame, rng: np.random.Generator) -> Course:
    """Return the course that gives the released figures for persons drawn from the private model.

    Args:
        people: Drawn persons; a few thousand are enough.
    """
    seed = int(rng.integers(2**63))
    for turn in range(ROUNDS):
        lines = draw(course, people, np.random.default_rng(seed))
        if turn == 0:
            course = replace(course, memory=np.maximum(0.7 * _between(lines), 1e-3))
            continue
        course = _moved(course, wanted, lines, gain=0.9 if turn < ROUNDS // 2 else 0.6)
    return course


def sizes(parts: Parts) -> dict[str, int]:
    """Return how many figures each part has."""
    return {name: found.shape[1] for name, (found, _) in parts.items()}


def told(parts: Parts) -> Ratios:
    """Return the figures of drawn persons, summed as real ones are."""
    return ratios(contributions(parts).sum(axis=0), sizes(parts), sigma=0.0)


def _between(lines: Lines) -> Vector:
    """Return the mean hours between two measurements of each track."""
    found = []
    for place, feature in enumerate(lines.features):
        if feature.type != "category":
            before, after = steps(lines, place)
            found.append(float(np.mean(lines.time[after] - lines.time[before])) if len(before) else 1.0)
    return np.maximum(np.array(found), 1e-3)


def _moved(course: Course, wanted: Wanted, lines: Lines, *, gain: float) -> Course:
    now = told(courses(lines, course.scales))
    seen = told(measurements(lines, course.cuts))
    stay = told(stays(lines))
    tracks, features = course.spread.shape[1], course.rate.shape[1]

    def missing(target: Ratios, found: Ratios, name: str) -> Vector:
        """Return what the figures lack, less where noise hides them."""
        worth = _worth(target, name)
        return np.asarray(gain * worth * (target.mean[name] - found.mean[name]))

    spread = wanted.courses.mean["spread"].reshape(2, tracks)
    sure = np.isfinite(wanted.courses.deviation["spread"].reshape(2, tracks))
    ratio = np.sqrt(np.clip(spread, 1e-4, None) / np.maximum(now.mean["spread"].reshape(2, tracks), 1e-4))
    between = _between(lines)
    memory = course.memory * np.exp(STEP * missing(wanted.courses, now, "follow"))
    return replace(
        course,
        spread=np.clip(np.where(sure, course.spread * np.clip(ratio, 0.5, 2.0), course.spread), *SPREADS),
        trend=np.clip(course.trend + missing(wanted.courses, now, "trend").reshape(2, tracks), -5, 5),
        memory=np.clip(memory, 0.05 * between, 30 * between),
        together=_correlation(course.together, missing(wanted.courses, now, "together")),
        rate=np.clip(course.rate + missing(wanted.measurements, seen, "rate").reshape(-1, features), 0.001, 1.0),
        again=np.clip(course.again + missing(wanted.measurements, seen, "again"), -HIGHEST, HIGHEST),
        panel=_correlation(course.panel, missing(wanted.measurements, seen, "panel")),
        stay=np.clip(course.stay + missing(wanted.stays, stay, "stay"), 0.0, 0.999),
    )


def _worth(target: Ratios, name: str) -> Vector:
    """Return 1 for figures that noise leaves alone, 0 for those that it hides."""
    deviation = target.deviation[name]
    return np.where(np.isfinite(deviation), 1.0, 0.0) * np.clip(
        1.5 - 5 * np.nan_to_num(deviation, posinf=1.0), 0.0, 1.0
    )


def _correlation(before: Matrix, change: Vector) -> Matrix:
    """Return the correlations moved, as near as a correlation matrix allows."""
    moved = before.copy()
    upper = np.triu_indices(len(before), k=1)
    moved[upper] = np.clip(moved[upper] + change, -HIGHEST, HIGHEST)
    moved.T[upper] = moved[upper]
    values, vectors = np.linalg.eigh(moved)
    whole = (vectors * np.maximum(values, 1e-4)) @ vectors.T
    scale = np.sqrt(np.diag(whole))
    return np.asarray(whole / np.outer(scale, scale))

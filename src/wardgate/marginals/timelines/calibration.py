"""A course whose persons, drawn and summed like the real ones, give the noisy figures that were released.

Numbers on cells, flags and few rows weaken every correlation, and no formula undoes all of it. So the course is drawn,
its figures are taken by the same functions, and what is hidden is moved by what is missing, until they agree. That uses
released figures alone and costs no privacy.

Reference: McFadden 1989, A method of simulated moments, doi:10.2307/1913621.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.timelines.course import Course, draw
from wardgate.marginals.timelines.transitions import (
    WEIGHT,
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
class Told:
    """Noisy sums of `transitions.contributions` over all persons.

    Attributes:
        total: Figures, then weights, shape (2 x figures,).
        sizes: Figures by name.
        sigma: Of the noise in each entry.
    """

    total: Vector
    sizes: Mapping[str, int]
    sigma: float

    def ratios(self, drawn: Vector | None = None) -> Ratios:
        """Return the means that were released, `drawn` being the sums of as many persons of the model."""
        expected = None if drawn is None else drawn[len(drawn) // 2 :] / WEIGHT
        return ratios(self.total, self.sizes, sigma=self.sigma, expected=expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The released sums: of courses, of measurements, and of categories that stay; and of how many persons."""

    courses: Told
    measurements: Told
    stays: Told
    persons: float


def calibrated(course: Course, wanted: Wanted, people: pl.DataFrame, rng: np.random.Generator) -> Course:
    """Return the course that gives the released figures for persons drawn from the private model.

    Args:
        people: Drawn persons; a few thousand are enough.
    """
    seed = int(rng.integers(2**63))
    for turn in range(ROUNDS):
        lines = draw(course, people, np.random.default_rng(seed))
        if turn == 0:
            course = replace(course, memory=np.maximum(_between(lines), 1e-3))
            continue
        course = _moved(course, wanted, lines, gain=0.9 if turn < ROUNDS // 2 else 0.6)
    return course


def sizes(parts: Parts) -> dict[str, int]:
    """Return how many figures each part has."""
    return {name: found.shape[1] for name, (found, _) in parts.items()}


def _compared(wanted: Told, parts: Parts, persons: float) -> tuple[Ratios, Ratios]:
    """Return the figures that were released, and those of drawn persons, summed as real ones are."""
    found = contributions(parts)
    total = found.sum(axis=0)
    released = wanted.ratios(total * (persons / max(len(found), 1)))
    return released, ratios(total, wanted.sizes, sigma=0.0)


def _eased(found: Ratios, tracks: int) -> Ratios:
    """Pull what the label changes in spread and drift towards nothing, as far as noise alone would explain it.

    A difference that only noise made would be learnt as a sign of the outcome by whoever trains on the corpus. How
    large differences are is estimated over all tracks (Efron and Morris 1973, doi:10.1080/01621459.1973.10481350).
    """
    mean, deviation = dict(found.mean), dict(found.deviation)
    for name in ("spread", "trend"):
        value, away = mean[name].reshape(2, tracks), deviation[name].reshape(2, tracks)
        unit = np.maximum(np.abs(value).mean(axis=0), 1e-6) if name == "spread" else np.ones(tracks)
        weight = np.where(np.isfinite(away), 1 / np.maximum(away, 1e-9) ** 2, 0.0)
        both = (weight > 0).all(axis=0)
        share = weight / np.maximum(weight.sum(axis=0), 1e-300)
        pooled = (share * value).sum(axis=0)
        apart, noise = (value[1] - value[0]) / unit, (np.where(both, away, 0.0) ** 2).sum(axis=0) / unit**2
        true = max(0.0, float(np.mean((apart**2 - noise)[both]))) if both.any() else 0.0
        kept = np.where(both, apart * unit * true / np.maximum(true + noise, 1e-300), 0.0)
        mean[name] = np.concatenate((pooled - share[1] * kept, pooled + share[0] * kept))
        known = weight.sum(axis=0) > 0
        joint = np.where(known, 1 / np.sqrt(np.where(known, weight.sum(axis=0), 1.0)), np.inf)
        deviation[name] = np.concatenate((joint, joint))
    return Ratios(mean=mean, deviation=deviation)


def _between(lines: Lines) -> Vector:
    """Return the mean hours between two measurements of each track."""
    found = []
    for place, feature in enumerate(lines.features):
        if feature.type != "category":
            before, after = steps(lines, place)
            found.append(float(np.mean(lines.time[after] - lines.time[before])) if len(before) else 1.0)
    return np.asarray(np.maximum(np.array(found), 1e-3))


def _moved(course: Course, wanted: Wanted, lines: Lines, *, gain: float) -> Course:
    tracks, features = course.spread.shape[1], course.rate.shape[1]
    drawn, now = _compared(wanted.courses, courses(lines, course.scales), wanted.persons)
    wished, seen = _compared(wanted.measurements, measurements(lines, course.cuts), wanted.persons)
    drawn = _eased(drawn, tracks)
    kept, stay = _compared(wanted.stays, stays(lines), wanted.persons)

    def missing(target: Ratios, found: Ratios, name: str) -> Vector:
        """Return what the figures lack, less where noise hides them."""
        return np.asarray(gain * _worth(target.deviation[name]) * (target.mean[name] - found.mean[name]))

    sure = np.isfinite(drawn.deviation["spread"].reshape(2, tracks))
    ratio = np.sqrt(np.clip(drawn.mean["spread"], 1e-4, None) / np.maximum(now.mean["spread"], 1e-4)).reshape(2, tracks)
    between = _between(lines)
    memory = course.memory * np.exp(STEP * missing(drawn, now, "follow"))
    return replace(
        course,
        spread=np.clip(np.where(sure, course.spread * np.clip(ratio, 0.5, 2.0), course.spread), *SPREADS),
        trend=np.clip(course.trend + missing(drawn, now, "trend").reshape(2, tracks), -5, 5),
        memory=np.clip(memory, 0.05 * between, 30 * between),
        together=_correlation(course.together, missing(drawn, now, "together")),
        rate=np.clip(course.rate + missing(wished, seen, "rate").reshape(-1, features), 0.001, 1.0),
        again=np.clip(course.again + missing(wished, seen, "again"), -HIGHEST, HIGHEST),
        panel=_correlation(course.panel, missing(wished, seen, "panel")),
        stay=np.clip(course.stay + missing(kept, stay, "stay"), 0.0, 0.999),
    )


def _worth(deviation: Vector) -> Vector:
    """Return 1 for figures that noise leaves alone, 0 for those that it hides."""
    return np.asarray(np.clip(1.5 - 5 * np.minimum(deviation, 1.0), 0.0, 1.0))


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

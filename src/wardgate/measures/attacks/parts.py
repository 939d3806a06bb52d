"""Records in parts: what an attacker knows of a person, and what the nearest synthetic records say of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.attacks.nearest import nearest
from wardgate.measures.attacks.space import Points, codes, numbers, spaces
from wardgate.records.feature import Feature

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]
Keys = NDArray[np.uint64]

TOLERANCE = 0.1
"""A number counts as guessed within this share of the interquartile range of real persons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One column of persons and of synthetic rows.

    Attributes:
        persons, rows: Values as numbers, missing is NaN; shapes (n,) and (m,).
        tolerance: Distance within which a guess is right.
        person_points, row_points: The same as coordinates, for distances.
        row_codes: Equal for equal values, shape (m,).
    """

    feature: Feature
    persons: Vector
    rows: Vector
    tolerance: float
    person_points: Points
    row_points: Points
    row_codes: Indices


def part(feature: Feature, persons: pl.DataFrame, rows: pl.DataFrame) -> Part:
    """Return one column in the form that attacks read.

    Raises:
        Invalid: the column is missing, or holds a category unknown to the dictionary.
    """
    space = spaces((feature,), persons, rows)[0]
    mine, synthetic = values(feature, persons), values(feature, rows)
    return Part(
        feature=feature,
        persons=mine,
        rows=synthetic,
        tolerance=tolerance(feature, mine),
        person_points=space.real,
        row_points=space.synthetic,
        row_codes=np.unique(synthetic, return_inverse=True, equal_nan=True)[1].astype(np.int64),
    )


def values(feature: Feature, table: pl.DataFrame) -> Vector:
    """Return a column as numbers, categories by their place in the dictionary; missing is NaN. Shape (n,)."""
    if feature.type in ("number", "integer"):
        return numbers(feature, table)
    place = codes(feature, table)
    missing = 2 if feature.type == "boolean" else len(feature.values or ())
    return np.where(place == missing, np.nan, place.astype(np.float64))


def tolerance(feature: Feature, real: Vector) -> float:
    """Return how near a guess must be: a tenth of the interquartile range for numbers, equal for all else."""
    present = real[~np.isnan(real)]
    if feature.type not in ("number", "integer") or not len(present):
        return 0.0
    low, high = np.quantile(present, (0.25, 0.75))
    return TOLERANCE * float(high - low)


def known_class(parts: Sequence[Part], *, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Return who of the synthetic rows are alike in these columns.

    Returns:
        The first row of each class, shape (c,), and the class of each row, shape (m,).
    """
    key = hashed([part.row_codes for part in parts], rng=rng)
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return first.astype(np.int64), inverse.astype(np.int64)


def hashed(columns: Sequence[Indices], *, rng: np.random.Generator) -> Keys:
    """Return one key a row, equal for equal rows; different rows share one with a chance of about 2^-63 a pair."""
    key = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        key += column.astype(np.uint64) * np.uint64(2 * int(rng.integers(2**62)) + 1)
    return key


def nearest_class(parts: Sequence[Part], first: Indices) -> Indices:
    """Return for each person the class of synthetic rows that is nearest in these columns, shape (n,)."""
    mine = np.concatenate([part.person_points for part in parts], axis=1)
    rows = np.concatenate([part.row_points[first] for part in parts], axis=1)
    return nearest(mine, rows, 1).index[:, 0]


def agreement(target: Part, row_class: Indices, person_class: Indices) -> Vector:
    """Return how surely a random row of a person's class tells the person's value, shape (n,); NaN where missing.

    Rows that are alike in what the attacker knows cannot be told apart, so each is taken with the same chance.
    """
    reach = target.tolerance + 1e-9 * max(1.0, float(np.nanmax(np.abs(target.persons), initial=0.0)))
    present = ~np.isnan(target.rows)
    known, rank = np.unique(target.rows[present], return_inverse=True)
    width = len(known) + 1
    sorted_keys = np.sort(row_class[present] * width + rank)
    base = person_class * width
    low = np.searchsorted(sorted_keys, base + np.searchsorted(known, target.persons - reach, side="left"), side="left")
    high = np.searchsorted(
        sorted_keys, base + np.searchsorted(known, target.persons + reach, side="right"), side="left"
    )
    size = np.bincount(row_class)[person_class]
    return np.where(np.isnan(target.persons), np.nan, (high - low) / size)

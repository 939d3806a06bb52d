"""The nearest-neighbour veto and its kin: is something of the training patients copied?

Each test asks whether training persons are hit more often than persons never seen. Under no copying the two are
exchangeable, so the number of training persons among all hit persons is hypergeometric, whatever the corpus looks
like and however many chance matches categorical data bring. Every value is a p-value: uniform (or larger) for an
innocent corpus. They may only veto; passing them proves nothing.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import hypergeom

from wardgate.measures.attacks.space import codes, numbers
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

Flags = NDArray[np.bool_]
Distances = NDArray[np.float32]
Indices = NDArray[np.int64]

TAILS = (0.001, 0.005, 0.02, 0.1)
"""Shares of the corpus, nearest to any person, in which near copies are counted."""

LEAST_ROWS = 20
"""Rows below which a tail could not show anything."""

RARE = 10
"""A combination held by at most so many persons is rare (CMS: cells of 1 to 10)."""

BINS = 20
"""Parts into which the range of a number is cut where combinations are compared."""


def excess(hit: Flags, member: Flags) -> float:
    """Return the chance of at least so many members among the persons hit, if hits were blind to membership.

    Args:
        hit: Persons concerned, shape (n,).
        member: Which of the n persons were used.
    """
    if not len(hit):
        return 1.0
    found = int(np.sum(hit & member))
    return min(1.0, float(hypergeom.sf(found - 1, len(hit), int(member.sum()), int(hit.sum()))))


def p_value(name: str, value: float, *, persons: tuple[int, int], level: float, note: str) -> Measured:
    """Report a p-value; n is (training persons, persons never seen)."""
    return Measured(
        name=name, value=value, low=value, high=value, level=level, n=persons, note=f"The value is a p-value. {note}"
    )


def near_copies(
    to_member: Distances, member_index: Indices, to_other: Distances, other_index: Indices, *, persons: tuple[int, int]
) -> float:
    """Return the p-value of one space: are the rows nearest to anybody nearest to members suspiciously often?

    Among the rows in each tail of the distance to the nearest person, every nearest person counts once, so rows
    that crowd around one person prove nothing twice. Rows equally near to a member and to another are left out.
    The sides may differ in size: whoever is hit, who of them is a member is a draw without replacement.

    Args:
        to_member: Distance of each row to its nearest member, shape (m,).
        member_index: That member, shape (m,).
        to_other: The same for persons never seen.
        other_index: That person, shape (m,).
        persons: Members, and others.
    """
    members, others = persons
    nearer = np.minimum(to_member, to_other)
    tails = [tail for tail in TAILS if tail * len(nearer) >= LEAST_ROWS] or [TAILS[-1]]
    best = 1.0
    member = np.arange(members + others) < members
    for tail in tails:
        inside = nearer <= np.quantile(nearer, tail)
        hit = np.zeros(members + others, dtype=np.bool_)
        hit[member_index[inside & (to_member < to_other)]] = True
        hit[members + other_index[inside & (to_other < to_member)]] = True
        best = min(best, excess(hit, member))
    return min(1.0, best * len(tails))


def exact_matches(features: Sequence[Feature], real: pl.DataFrame, synthetic: pl.DataFrame, member: Flags) -> float:
    """Return the p-value of whole records, label included, reproduced more often for members.

    Args:
        real: Training and holdout persons, n rows.
        synthetic: The candidate.
        member: Which persons were used for training, shape (n,).
    """
    parts = [_values(feature, real, synthetic) for feature in features]
    found, _ = _reproduced(parts, real.height)
    return excess(found, member)


def reused_values(
    features: Sequence[Feature], real: pl.DataFrame, synthetic: pl.DataFrame, member: Flags
) -> tuple[float, int]:
    """Return the p-value of numbers that one person alone has being reused, and the persons who have such numbers.

    Each column is tested by itself (a generator may copy only laboratory values), and all columns together by
    persons with any reused value; the smallest counts, times the number of tests.
    """
    held = np.zeros(real.height, dtype=np.bool_)
    hit = np.zeros(real.height, dtype=np.bool_)
    found: list[float] = []
    for feature in features:
        if feature.type not in ("number", "integer"):
            continue
        values = numbers(feature, real)
        present = np.flatnonzero(~np.isnan(values))
        _, first, count = np.unique(values[present], return_index=True, return_counts=True)
        alone = present[first[count == 1]]
        reused = np.isin(values[alone], numbers(feature, synthetic))
        held[alone] = True
        hit[alone[reused]] = True
        found.append(excess(reused, member[alone]))
    if not found:
        return 1.0, 0
    columns = min(1.0, len(found) * min(found))
    anywhere = excess(hit[held], member[held])
    return (anywhere if len(found) == 1 else min(1.0, 2 * min(columns, anywhere))), int(held.sum())


def rare_combinations(
    features: Sequence[Feature], real: pl.DataFrame, synthetic: pl.DataFrame, member: Flags
) -> tuple[float, int]:
    """Return the p-value of rare combinations being reproduced more often for members, and the persons who hold one.

    Args:
        features: The quasi-identifiers; numbers are compared in twentieths of their range.
    """
    if not features:
        return 1.0, 0
    parts = [_binned(feature, real, synthetic) for feature in features]
    found, held_by = _reproduced(parts, real.height)
    rare = held_by <= RARE
    return excess(found[rare], member[rare]), int(rare.sum())


def _values(feature: Feature, real: pl.DataFrame, synthetic: pl.DataFrame) -> Indices:
    if feature.type in ("number", "integer"):
        both = np.concatenate((numbers(feature, real), numbers(feature, synthetic)))
        return np.unique(both, return_inverse=True, equal_nan=True)[1].astype(np.int64)
    return np.concatenate((codes(feature, real), codes(feature, synthetic)))


def _binned(feature: Feature, real: pl.DataFrame, synthetic: pl.DataFrame) -> Indices:
    if feature.type not in ("number", "integer"):
        return np.concatenate((codes(feature, real), codes(feature, synthetic)))
    return np.concatenate((binned(feature, real, bins=BINS), binned(feature, synthetic, bins=BINS)))


def binned(feature: Feature, table: pl.DataFrame, *, bins: int) -> Indices:
    """Return a number as 0 to bins - 1, equal parts of the study's range; missing is `bins`."""
    if feature.range is None:
        raise Invalid(f"feature '{feature.name}' has no range; it cannot be cut into bins")
    low, high = feature.range
    values = numbers(feature, table)
    place = np.floor((values - low) / (high - low) * bins)
    return np.where(np.isnan(values), bins, np.clip(place, 0, bins - 1)).astype(np.int64)


def holders(features: Sequence[Feature], table: pl.DataFrame) -> Indices:
    """Return a number for each whole record, the same for the same record, shape (n,)."""
    return _numbered([_values(feature, table, table[:0]) for feature in features])


def _reproduced(parts: Sequence[Indices], persons: int) -> tuple[Flags, Indices]:
    """Return which persons' combination of values some synthetic row has, and how many persons hold each one's."""
    key = _numbered(parts)
    held = np.bincount(key[:persons], minlength=int(key.max()) + 1)
    return np.isin(key[:persons], key[persons:]), held[key[:persons]]


def _numbered(parts: Sequence[Indices]) -> Indices:
    """Return a number for each combination, from 0 on. Renumbered after every column, so that it never overflows."""
    key = np.zeros(len(parts[0]), dtype=np.int64)
    for part in parts:
        key = np.unique(key * (int(part.max(initial=0)) + 1) + part, return_inverse=True)[1].astype(np.int64)
    return key

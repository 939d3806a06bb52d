"""The nearest-neighbour veto and its kin: is something of the training patients copied?

Each test asks whether training persons are hit more often than persons never seen. Under no copying the two are
exchangeable, so the number of training persons among all hit persons is hypergeometric, whatever the corpus looks
like and however many chance matches categorical data bring. Every value is a p-value: uniform (or larger) for an
innocent corpus. They may only veto; passing them proves nothing.
"""

from collections.abc import Sequence
from functools import lru_cache

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

TAIL = 0.1
"""Share of the corpus, nearest to any person, in which near copies are counted."""

FIRST, STEP = 8, 2**0.5
"""The nearest persons are counted among the first 8, and then among half as many again and again."""

DRAWS = 4999
"""Random orders behind the p-value of the smallest chance over all these counts."""

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

    Persons are put in the order in which rows come near them, everybody once, so rows that crowd around one person
    prove nothing twice; rows equally near to a member and to another are left out. If nobody is copied, members
    stand in this order at random. Members are counted among the first few and among ever more, and the smallest
    chance of all is compared with that of random orders. The sides may differ in size.

    Args:
        to_member: Distance of each row to its nearest member, shape (m,).
        member_index: That member, shape (m,).
        to_other: The same for persons never seen.
        other_index: That person, shape (m,).
        persons: Members, and others.
    """
    members, others = persons
    told = np.flatnonzero(to_member != to_other)
    nearer = np.minimum(to_member, to_other)[told]
    rows = told[np.argsort(nearer, kind="stable")[: max(1, int(TAIL * len(to_member)))]]
    hit = np.where(to_member[rows] < to_other[rows], member_index[rows], members + other_index[rows])
    _, first = np.unique(hit, return_index=True)
    found = np.cumsum(hit[np.sort(first)] < members)
    sizes = _sizes(len(found))
    if not sizes:
        return 1.0
    smallest = min(_chance(int(found[size - 1]), size, members, others) for size in sizes)
    usual = _smallest(sizes, members, others)
    return (1 + int(np.searchsorted(usual, smallest * (1 + 1e-9), side="right"))) / (1 + len(usual))


def _sizes(most: int) -> tuple[int, ...]:
    """Numbers of persons among whom members are counted, up to `most`."""
    found, size = [], float(FIRST)
    while round(size) <= most:
        found.append(round(size))
        size *= STEP
    return tuple(found)


def _chance(found: int, size: int, members: int, others: int) -> float:
    return float(hypergeom.sf(found - 1, members + others, members, size))


@lru_cache(maxsize=64)
def _smallest(sizes: tuple[int, ...], members: int, others: int) -> NDArray[np.float64]:
    """Smallest chance in each random order, rising. The draws are a table, the same at every call."""
    rng = np.random.default_rng(20_261_121)
    found, smallest, before = np.zeros(DRAWS, dtype=np.int64), np.ones(DRAWS), 0
    for size in sizes:
        found += rng.hypergeometric(members - found, others - (before - found), size - before)
        chances = hypergeom.sf(np.arange(size + 1) - 1, members + others, members, size)
        smallest, before = np.minimum(smallest, chances[found]), size
    return np.asarray(np.sort(smallest))


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

"""Singling out: does the corpus give away conditions that hold for exactly one of the persons it was made from?

The attacker reads conditions off single synthetic rows: a value that one row alone has (one column), or a
combination of values that one row alone has (several columns, numbers in tenths). Each is then tried on members and,
as a control, on as many persons never seen. Chance isolates somebody on either side; only the difference counts.

Reference: Cohen and Nissim 2020, Towards formalizing the GDPR's notion of singling out, arXiv:1904.06009.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.attacks.excess import Contrast, matched
from wardgate.measures.attacks.parts import Keys, hashed
from wardgate.records.errors import Invalid

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

BINS = 10
"""Tenths, by the corpus' own quantiles, into which numbers are cut for conditions on several columns."""

ALONE = 0.95
"""Conditions get longer until this share of the rows is alone with what it says."""


def univariate(columns: Sequence[tuple[Vector, Vector]], member: Flags) -> Iterator[Contrast]:
    """Yield, for each column, the gain in isolating a person by a value that one synthetic row alone has.

    Args:
        columns: Values of persons, shape (n,), and of rows, shape (m,); missing is NaN and no condition.
        member: Shape (n,), as many members as strangers.
    """
    for persons, rows in columns:
        present, counts = np.unique(rows[~np.isnan(rows)], return_counts=True)
        alone = present[counts == 1]
        place = np.minimum(np.searchsorted(alone, persons), max(0, len(alone) - 1))
        hit = alone[place] == persons if len(alone) else np.zeros(len(persons), dtype=np.bool_)
        yield _isolated(np.where(hit, place, -1), member)


def multivariate(
    columns: Sequence[tuple[Vector, Vector]], member: Flags, *, orders: int, rng: np.random.Generator
) -> Iterator[Contrast]:
    """Yield, for several seeded orders of the columns, the gain in isolating a person by a combination of values.

    Columns are added in that order until nearly every row is alone; shorter conditions would hold for many, longer
    ones for nobody but exact copies.
    """
    if len(columns) < 2:
        return
    coded = [cut(persons, rows) for persons, rows in columns]
    for _ in range(orders):
        order = rng.permutation(len(coded))
        for length in range(2, len(coded) + 1):
            taken = [np.concatenate(coded[place]) for place in order[:length]]
            key = hashed(taken, rng=rng)
            mine, rows = key[: len(member)], key[len(member) :]
            known, counts = np.unique(rows, return_counts=True)
            if np.sum(counts == 1) >= ALONE * len(rows):
                break
        yield _isolated(_places(known[counts == 1], mine), member)


def cut(persons: Vector, rows: Vector) -> tuple[Indices, Indices]:
    """Return persons and rows in the tenths of the corpus, or by value where there are few; missing is a value."""
    known = np.unique(rows[~np.isnan(rows)])
    if len(known) > 2 * BINS:
        known = np.unique(np.quantile(rows[~np.isnan(rows)], np.linspace(0, 1, BINS + 1)[1:-1]))
        found = [np.searchsorted(known, values, side="right") for values in (persons, rows)]
    else:
        found = [_places(known, values) for values in (persons, rows)]
    missing = len(known) + 2
    one, other = (
        np.where(np.isnan(values), missing, place + 1) for values, place in zip((persons, rows), found, strict=True)
    )
    return one.astype(np.int64), other.astype(np.int64)


def _places(known: Vector | Keys, wanted: Vector | Keys) -> Indices:
    """Where each value stands among sorted ones, or -1."""
    if not len(known):
        return np.full(len(wanted), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[place] == wanted, place, -1)


def _isolated(condition: Indices, member: Flags) -> Contrast:
    """Compare how many persons some condition isolates on either side.

    Args:
        condition: The condition that a person meets, or -1.
    """
    alone = np.zeros(len(condition))
    for side in (member, ~member):
        met = np.flatnonzero(side & (condition >= 0))
        _, first, counts = np.unique(condition[met], return_index=True, return_counts=True)
        alone[met[first[counts == 1]]] = 1.0
    found = matched(alone, member, np.zeros(len(member), dtype=np.int64))
    if found is None or 2 * int(member.sum()) != len(member):
        raise Invalid("expected as many members as strangers: who is alone depends on how many there are")
    return found

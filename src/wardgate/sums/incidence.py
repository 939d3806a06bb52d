"""Do several sums together give away fewer sites, or fewer persons, than any one of them?"""

import math
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid, Unsupported

LARGEST_MINIMUM = 3
PATIENCE = 2e7
"""Work after which the search for few persons gives up, and the sums are refused: rows x columns x rank, added up
over its nodes. One to two seconds for 50 rosters; most searches end at once."""

Matrix = NDArray[np.int64]


def isolates(rosters: Collection[frozenset[str]], *, minimum: int = 3) -> frozenset[str] | None:
    """Find a set of fewer than `minimum` sites that exact sums over these rosters give away together.

    Whoever holds the sums can form every linear combination of them. The answer is a set of sites on which
    some combination that is not zero rests alone, or None where there is no such set. It is exact over the
    rationals: leave-one-out, differences, coalitions and regrouping included. Blocks that are whole in every
    roster never fall apart.

    Sites that are in the same rosters stay together in every combination, so they are treated as one atom. A
    combination resting on atoms A exists just when the rosters' rank falls as the columns of A are struck out.
    Candidates come from a row reduction modulo a prime, which misses none when the rank is kept; each is then
    confirmed modulo so many primes that their product exceeds every minor of the matrix.

    Args:
        rosters: The sites in each exact sum; all sums of all time over the same answers, not only new ones.
        minimum: 1 to 3.

    Raises:
        Unsupported: `minimum` above 3.
        Invalid: `minimum` below 1.
    """
    if minimum < 1:
        raise Invalid(f"expected a minimum of at least 1 site, found {minimum}")
    if minimum > LARGEST_MINIMUM:
        raise Unsupported(f"combinations resting on fewer than {minimum} sites are not searched; at most 3")
    return _isolates(frozenset(rosters), minimum)


@lru_cache(maxsize=64)
def _isolates(rosters: frozenset[frozenset[str]], minimum: int) -> frozenset[str] | None:
    sites, atoms = _atoms([roster for roster in rosters if roster])
    if not atoms:
        return None
    matrix = np.array(list(atoms), dtype=np.int64).T
    members = list(atoms.values())
    primes = _primes(_primes_needed(min(matrix.shape)))
    rank = _rank(matrix, primes)
    reduced, pivots = next(found for found in (_reduce(matrix, prime) for prime in primes) if len(found[1]) == rank)
    for columns in _candidates(reduced, pivots):
        found = frozenset(sites[index] for column in columns for index in members[column])
        if len(found) < minimum and _rank(np.delete(matrix, columns, axis=1), primes) < rank:
            return found
    return None


def thin(rosters: Collection[frozenset[str]], *, persons: Mapping[str, float], minimum: float) -> frozenset[str] | None:
    """Find sites with fewer than `minimum` persons together that exact sums over these rosters give away.

    Three hospitals of three patients each are three sites, and still nine patients. Every linear combination is
    covered: the answer is the sites of a combination that rests on fewer than `minimum` persons, or None where
    there is none. Exact over the rationals as long as the search ends within its patience; where it does not,
    the answer is all sites that could not be cleared, so that whoever asks refuses.

    An atom (sites in the same rosters) with `minimum` persons is in no such combination. So only combinations
    that vanish on all of these are searched, mostly none; see `_lightest`.

    Args:
        rosters: As in `isolates`.
        persons: Persons at least of each site; a site that is not there counts as none, as does NaN.
        minimum: The fewest persons a combination may rest on.

    Raises:
        Invalid: `minimum` is not finite.
    """
    if not math.isfinite(minimum):
        raise Invalid(f"expected a finite minimum of persons, found {minimum}")
    sums = frozenset(rosters)
    known = ((site, persons.get(site, 0.0)) for site in frozenset().union(*sums))
    return _thin(sums, frozenset((site, count) for site, count in known if count > 0), minimum)


@lru_cache(maxsize=64)
def _thin(
    rosters: frozenset[frozenset[str]], persons: frozenset[tuple[str, float]], minimum: float
) -> frozenset[str] | None:
    counted = dict(persons)
    sites, atoms = _atoms([roster for roster in rosters if roster])
    if not atoms:
        return None
    members = [frozenset(sites[index] for index in group) for group in atoms.values()]
    weights = np.array([math.fsum(counted.get(site, 0.0) for site in group) for group in members])
    if not np.any(weights < minimum):
        return None
    matrix = np.array(list(atoms), dtype=np.int64).T
    primes = _primes(_primes_needed(min(matrix.shape)))
    rank = _rank(matrix, primes)
    columns: list[int] = []
    for prime in primes:
        if len(_reduce(matrix, prime)[1]) < rank:
            continue
        columns = _lightest(matrix, weights, minimum, prime, PATIENCE)
        if not columns:
            return None
        if _rank(np.delete(matrix, columns, axis=1), primes) < rank:
            break
    return frozenset().union(*(members[column] for column in columns))


def _lightest(matrix: Matrix, weights: NDArray[np.float64], minimum: float, prime: int, patience: float) -> list[int]:
    """Search the row space modulo `prime` for a vector whose support weighs less than `minimum`.

    Branch and bound. A node is a subspace and the columns already paid for. Columns it can no longer afford must
    be zero, which shrinks the subspace. A vector that is zero on all unpaid columns is found. Any other is not
    zero somewhere on a basis of the unpaid columns; the node branches over its first such place, and drops when
    disjoint bases, each of which costs at least its lightest column, cost too much together. With the rank kept
    modulo `prime`, a support over the rationals is one modulo `prime` too, so none is missed.

    Returns:
        Columns of the support, none if there is no such vector; when `patience` is over, all columns not excluded.
    """
    heavy_first = np.argsort(-weights, kind="stable")
    nodes = [(matrix % prime, frozenset(int(column) for column in np.flatnonzero(weights <= 0)), 0.0)]
    while nodes:
        rows, paid, spent = nodes.pop()
        unpaid = [int(column) for column in heavy_first if int(column) not in paid]
        closed = [column for column in unpaid if spent + weights[column] >= minimum]
        order = np.array([*unpaid, *sorted(paid)])
        reduced, pivots = _reduce(rows[:, order], prime)
        kept = [place for place, pivot in enumerate(pivots) if pivot >= len(closed)]
        if not kept:
            continue
        back = np.empty_like(reduced[kept])
        back[:, order] = reduced[kept]
        free = [row for row, place in zip(back, kept, strict=True) if pivots[place] >= len(unpaid)]
        if free:
            return [int(column) for column in np.flatnonzero(free[0])]
        patience -= back.size * len(kept)
        if patience < 0:
            left = np.any([rest.any(axis=0) for rest, _, _ in [*nodes, (back, paid, spent)]], axis=0)
            return [int(column) for column in np.flatnonzero(left & (weights < minimum))]
        affordable = [column for column in unpaid[len(closed) :] if back[:, column].any()]
        if spent + _least(back[:, affordable], weights[affordable], minimum - spent, prime) >= minimum:
            continue
        for first, place in enumerate(kept):
            column = int(order[pivots[place]])
            nodes.append((back[first:], paid | {column}, spent + float(weights[column])))
    return []


def _least(rows: Matrix, weights: NDArray[np.float64], enough: float, prime: int) -> float:
    """Return a lower bound on the weight of a row combination; `weights` fall, and it stops at `enough`."""
    if len(rows) == 1:
        return float(weights.sum())
    bound = 0.0
    left = np.arange(len(weights))
    while bound < enough and len(left) >= len(rows):
        pivots = _reduce(rows[:, left], prime)[1]
        if len(pivots) < len(rows):
            break
        bound += float(weights[left[pivots[-1]]])
        left = np.delete(left, pivots)
    return bound


def _atoms(rosters: list[frozenset[str]]) -> tuple[list[str], dict[tuple[bool, ...], list[int]]]:
    """Group the sites by the rosters they are in."""
    ordered = sorted(rosters, key=sorted)
    sites = sorted(frozenset().union(*ordered))
    atoms: dict[tuple[bool, ...], list[int]] = {}
    for index, site in enumerate(sites):
        atoms.setdefault(tuple(site in roster for roster in ordered), []).append(index)
    return sites, atoms


def _candidates(reduced: Matrix, pivots: list[int]) -> Iterator[list[int]]:
    """Yield every atom, and every pair of atoms, on which a row combination rests alone (modulo the prime).

    Row i of a null-space basis is minus the free part of reduced row i where column i is a pivot, and a unit
    vector where it is free. One atom stands alone when its row is zero, two when theirs are parallel. `reduced`
    must be scaled so that the free part of each row starts with 1.
    """
    free = [column for column in range(reduced.shape[1]) if column not in set(pivots)]
    parallel: dict[bytes, list[int]] = {}
    for row, pivot in zip(reduced, pivots, strict=True):
        rest = row[free]
        if not rest.any():
            yield [pivot]
        elif np.count_nonzero(rest) == 1:
            parallel.setdefault(rest.tobytes(), [free[int(np.flatnonzero(rest)[0])]]).append(pivot)
        else:
            parallel.setdefault(rest.tobytes(), []).append(pivot)
    for group in parallel.values():
        for pair in combinations(group, 2):
            yield list(pair)


def _reduce(matrix: Matrix, prime: int) -> tuple[Matrix, list[int]]:
    """Row-reduce modulo `prime`; return the non-zero rows, their free parts starting with 1, and the pivots."""
    rows = matrix % prime
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        place = len(pivots)
        below = np.flatnonzero(rows[place:, column])
        if len(below) == 0:
            continue
        rows[[place, place + below[0]]] = rows[[place + below[0], place]]
        rows[place] = rows[place] * pow(int(rows[place, column]), -1, prime) % prime
        others = np.flatnonzero(rows[:, column])
        others = others[others != place]
        rows[others] = (rows[others] - rows[others, column][:, None] * rows[place]) % prime
        pivots.append(column)
        if len(pivots) == len(rows):
            break
    kept = rows[: len(pivots)]
    for row, pivot in zip(kept, pivots, strict=True):
        rest = np.flatnonzero(row)
        rest = rest[rest != pivot]
        if len(rest):
            row[:] = row * pow(int(row[rest[0]]), -1, prime) % prime
    return kept, pivots


def _rank(matrix: Matrix, primes: tuple[int, ...]) -> int:
    """Return the rank over the rationals: some prime leaves the largest non-zero minor non-zero."""
    best = 0
    for prime in primes:
        best = max(best, len(_reduce(matrix, prime)[1]))
        if best == min(matrix.shape):
            break
    return best


def _primes_needed(order: int) -> int:
    """Return how many 31-bit primes exceed every minor of a 0/1 matrix (Hadamard: (n+1)^((n+1)/2) / 2^n)."""
    bits = (order + 1) / 2 * math.log2(order + 1) - order
    return max(1, math.ceil((bits + 1) / 30))


@lru_cache(maxsize=8)
def _primes(count: int) -> tuple[int, ...]:
    """Return the largest primes below 2^31; products of two residues fit in int64."""
    divisors = np.arange(3, 46_342, 2)
    found: list[int] = []
    candidate = 2**31 - 1
    while len(found) < count:
        if np.all(candidate % divisors):
            found.append(candidate)
        candidate -= 2
    return tuple(found)

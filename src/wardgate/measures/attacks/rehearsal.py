"""What would the gate have caught? Copies of training persons are planted in the candidate, and the attacks rerun.

Replacing a few rows changes distances only near the rows taken away and the copies put in, so a draw costs a
fraction of a search.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.attacks import copies, membership
from wardgate.measures.attacks.nearest import Neighbours, nearest
from wardgate.measures.attacks.space import Points
from wardgate.measures.intervals import clopper_pearson
from wardgate.records.measured import Measured

SLACK = 12
"""Neighbours kept beyond those used, since planting takes some away."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """All distances of one space that the gate uses.

    Attributes:
        pool: Members, then as many non-members.
        train: All training persons.
        pool_to_synthetic: With `SLACK` neighbours more than the attacks use.
        synthetic_to_members, synthetic_to_others: The nearest one of each row.
        train_to_members, train_to_others: The same for every training person, standing for a copy of that person.
    """

    pool: Points
    train: Points
    pool_to_synthetic: Neighbours
    pool_to_reference: Neighbours
    synthetic_to_members: Neighbours
    synthetic_to_others: Neighbours
    train_to_members: Neighbours
    train_to_others: Neighbours


def surroundings(*, pool: Points, train: Points, reference: Points, synthetic: Points) -> Surroundings:
    """Take all distances of one space. The pool's first half are members."""
    half = len(pool) // 2
    members, others = pool[:half], pool[half:]
    return Surroundings(
        pool=pool,
        train=train,
        pool_to_synthetic=nearest(pool, synthetic, membership.DEEP + SLACK),
        pool_to_reference=nearest(pool, reference, membership.DEEP),
        synthetic_to_members=nearest(synthetic, members, 1),
        synthetic_to_others=nearest(synthetic, others, 1),
        train_to_members=nearest(train, members, 1),
        train_to_others=nearest(train, others, 1),
    )


def rehearse(
    spaces: Mapping[str, Surroundings],
    drawn: membership.Battery,
    reference: NDArray[np.float64],
    *,
    copied: int,
    rows: int,
    draws: int,
    battery_least: float,
    near_least: float,
    persons: tuple[int, int],
    level: float,
    rng: np.random.Generator,
) -> Measured:
    """Share of rehearsals in which the attacks or the near-copy veto notice the planted copies.

    A gate with eyes scores near 1; one that sees nothing scores about the sum of the two levels. The copies are
    whole, so the exact-match test is left out: it would always notice, and say nothing about a leak that hides.

    Args:
        spaces: The distances of each space.
        drawn: Members and groups, as judged.
        reference: Largest successes under random labels, from the candidate itself.
        copied: Copies planted in each draw, in place of random rows.
        rows: Rows of the candidate.
        draws: Rehearsals.
        battery_least, near_least: p-values below which the gate would fail the corpus.
    """
    caught = sum(
        _noticed(spaces, drawn, reference, copied, rows, battery_least=battery_least, near_least=near_least, rng=rng)
        for _ in range(draws)
    )
    low, high = clopper_pearson(caught, draws, level=level)
    return Measured(
        name="membership.rehearsal", value=caught / draws, low=low, high=high, level=level, n=(draws, *persons)
    )


def _noticed(
    spaces: Mapping[str, Surroundings],
    drawn: membership.Battery,
    reference: NDArray[np.float64],
    copied: int,
    rows: int,
    *,
    battery_least: float,
    near_least: float,
    rng: np.random.Generator,
) -> bool:
    first = next(iter(spaces.values()))
    planted = rng.choice(len(first.train), size=min(copied, len(first.train), rows), replace=False)
    replaced = rng.choice(rows, size=len(planted), replace=False)
    near = min(near_p(space, planted=planted, replaced=replaced) for space in spaces.values()) * len(spaces)
    if near < near_least:
        return True
    scores = membership.attacks(
        {name: _planted_distances(space, planted, replaced, rows) for name, space in spaces.items()},
        {name: space.pool_to_reference.distance for name, space in spaces.items()},
    )
    largest = float(membership.successes(scores, drawn, rows=slice(0, 1)).max())
    return membership.probability(largest, reference) < battery_least


def near_p(space: Surroundings, *, planted: Indices | None = None, replaced: Indices | None = None) -> float:
    """Return the near-copy p-value of one space, with copies of `planted` in place of the rows `replaced`, if given."""
    tables = []
    for synthetic, train in (
        (space.synthetic_to_members, space.train_to_members),
        (space.synthetic_to_others, space.train_to_others),
    ):
        distance, index = synthetic.distance[:, 0], synthetic.index[:, 0]
        if planted is not None and replaced is not None:
            distance, index = distance.copy(), index.copy()
            distance[replaced], index[replaced] = train.distance[planted, 0], train.index[planted, 0]
        tables.append((distance, index))
    (to_member, member), (to_other, other) = tables
    return copies.near_copies(to_member, member, to_other, other, persons=len(space.pool) // 2)


def _planted_distances(space: Surroundings, planted: Indices, replaced: Indices, rows: int) -> NDArray[np.float32]:
    gone = np.zeros(rows + 1, dtype=np.bool_)
    gone[replaced] = True
    kept = np.where(gone[space.pool_to_synthetic.index], np.inf, space.pool_to_synthetic.distance)
    copies_ = space.train[planted]
    squared = (
        np.einsum("nd,nd->n", space.pool, space.pool)[:, None]
        + np.einsum("nd,nd->n", copies_, copies_)[None, :]
        - 2.0 * (space.pool @ copies_.T)
    )
    squared[squared < 1e-5] = 0.0
    both = np.concatenate((kept, np.sqrt(squared)), axis=1)
    return np.sort(np.partition(both, membership.DEEP - 1, axis=1)[:, : membership.DEEP], axis=1).astype(np.float32)

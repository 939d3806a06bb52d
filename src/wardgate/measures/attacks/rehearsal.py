"""What would the gate have caught? Copies of training persons are planted in the candidate, and the attacks rerun.

Replacing a few rows changes distances only near the rows taken away and the copies put in, so a draw costs a
fraction of a search.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.attacks import copies, crowds, membership
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
        others: How many persons never seen there are.
        pool_to_synthetic: With `SLACK` neighbours more than the attacks use.
        synthetic_to_train, synthetic_to_others: The nearest one of each row.
        train_to_others: The same for every training person.
        others_to_others: Each and the next of them; absent where no crowd is looked for in this space.
    """

    pool: Points
    train: Points
    others: int
    pool_to_synthetic: Neighbours
    pool_to_reference: Neighbours
    synthetic_to_train: Neighbours
    synthetic_to_others: Neighbours
    train_to_others: Neighbours
    others_to_others: Neighbours | None


def surroundings(
    *, pool: Points, train: Points, others: Points, reference: Points, synthetic: Points, crowds: bool = False
) -> Surroundings:
    """Take all distances of one space.

    Args:
        pool: Members, then as many non-members.
        train: All training persons.
        others: All persons never seen.
        reference: Real persons outside the pool.
        synthetic: Rows of the candidate.
        crowds: Whether to look at persons never seen among themselves.
    """
    return Surroundings(
        pool=pool,
        train=train,
        others=len(others),
        pool_to_synthetic=nearest(pool, synthetic, membership.DEEP + SLACK),
        pool_to_reference=nearest(pool, reference, membership.DEEP),
        synthetic_to_train=nearest(synthetic, train, 1),
        synthetic_to_others=nearest(synthetic, others, 1),
        train_to_others=nearest(train, others, 1),
        others_to_others=nearest(others, others, 2) if crowds else None,
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
    whole, so the exact-match test is left out: it would always notice, and say nothing about a leak that hides. Only
    attacks by distance are rerun, against the threshold of all attacks together: the share is a lower one.

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
    to_train, train = space.synthetic_to_train.distance[:, 0], space.synthetic_to_train.index[:, 0]
    to_other, other = space.synthetic_to_others.distance[:, 0], space.synthetic_to_others.index[:, 0]
    if planted is not None and replaced is not None:
        to_train, to_other = to_train.copy(), to_other.copy()
        train, other = train.copy(), other.copy()
        to_train[replaced], train[replaced] = 0.0, planted
        to_other[replaced] = space.train_to_others.distance[planted, 0]
        other[replaced] = space.train_to_others.index[planted, 0]
    return copies.near_copies(to_train, train, to_other, other, persons=(len(space.train), space.others))


def crowded_p(space: Surroundings) -> float | None:
    """Return the p-value of the largest crowd around a training person, or nothing where none was looked for."""
    if space.others_to_others is None:
        return None
    counts = [
        crowds.crowds(near.distance[:, 0], near.index[:, 0], reach)
        for near, reach in (
            (space.synthetic_to_train, space.train_to_others.distance[:, 0]),
            (space.synthetic_to_others, space.others_to_others.distance[:, 1]),
        )
    ]
    return crowds.crowded(*counts)


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

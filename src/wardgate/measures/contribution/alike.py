"""Players whose sums are too alike: patients of two hospitals never agree as closely as a copy of sums does.

Reference: the lower tail of Hotelling's statistic, in its chi-squared form for many persons.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from wardgate.measures.contribution.statistics import Taught

Array = NDArray[np.float64]

CHANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """A player whose class means agree with those of another player, or of all others together, beyond chance.

    Attributes:
        player: Its place.
        other: The other's place; None for all others together.
        chance: That means of so many different persons agree so closely, over all comparisons made.
    """

    player: int
    other: int | None
    chance: float


def too_alike(taught: Taught, *, chance: float = CHANCE) -> tuple[Alike, ...]:
    """Return who told sums that agree too closely to be of other persons, under a false-alarm chance over all.

    A player is held against each other and, where there are three or more, against all others together. Sums that a
    player drew afresh from somebody's model are patients as far as this can see.
    """
    players = taught.players
    sums = np.stack([taught.products[:, :, 0] - taught.events, taught.events], axis=1)
    pairs = [(one, other) for one in range(players) for other in range(one)]
    rest: list[tuple[int, int | None]] = [(one, None) for one in range(players)] if players >= 3 else []
    compared = [*pairs, *rest]
    total = sums.sum(axis=0)
    within = taught.products.sum(axis=0) - np.einsum("kcp,kcq->pq", sums / _sizes(sums)[:, :, None], sums)
    covariance = within[1:, 1:] / max(float(total[:, 0].sum()) - 2.0 * players, 1.0)
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-6 * max(float(values.max()), 1e-12)
    whiten = vectors[:, kept] / np.sqrt(values[kept])
    found = []
    for one, other in compared:
        against = total - sums[one] if other is None else sums[other]
        statistic, degrees = 0.0, 0
        for side in (0, 1):
            here, there = float(sums[one, side, 0]), float(against[side, 0])
            if min(here, there) < 2:
                continue
            gap = (sums[one, side] / here - against[side] / there)[1:] @ whiten
            statistic += float(gap @ gap) / (1.0 / here + 1.0 / there)
            degrees += int(kept.sum())
        if degrees and (p := float(chi2.cdf(statistic, degrees)) * len(compared)) < chance:
            found.append(Alike(player=one, other=other, chance=p))
    return tuple(found)


def _sizes(sums: Array) -> Array:
    return np.maximum(sums[:, :, 0], 1e-9)

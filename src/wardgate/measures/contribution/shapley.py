"""Shapley values of players: exact over all coalitions, or from permutations with their standard errors.

Both are one matrix over a list of coalitions, so a value's other errors follow from the same matrix.

References: Shapley (1953), A value for n-person games; Mitchell, Cooper, Frank, Holmes (2022), Sampling permutations
    for Shapley value estimation, arXiv:2104.12199.
"""

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Array = NDArray[np.float64]
Members = NDArray[np.bool_]

EXACT_UP_TO = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which coalitions are valued, and how values become shares.

    Attributes:
        members: Shape (C, K).
        weights: Of coalitions in each player's share, shape (K, C).
        pairs: Of permutations, each with its reverse; 0 where every coalition is valued.
    """

    members: Members
    weights: Array
    pairs: int = 0

    def shares(self, worth: Array) -> Array:
        """Return shares, shape (K, U), of worths, shape (C, U)."""
        return self.weights @ worth

    def errors(self, worth: Array) -> Array:
        """Return the standard errors that sampling permutations gives shares, shape (K, U); 0 where none is sampled."""
        players = self.members.shape[1]
        if not self.pairs:
            return np.zeros((players, worth.shape[1]))
        steps = np.diff(worth.reshape(self.pairs, 2, players + 1, -1), axis=2)
        order = np.diff(self.members.reshape(self.pairs, 2, players + 1, players).astype(np.float64), axis=2)
        drawn = np.einsum("madk,madu->mku", order, steps) / 2.0
        return np.asarray(drawn.std(axis=0, ddof=1) / np.sqrt(self.pairs))


def every_coalition(players: int) -> Plan:
    """Return the plan that values all 2^K coalitions.

    Raises:
        Invalid: no player, or more than 16.
    """
    if not 1 <= players <= EXACT_UP_TO:
        raise Invalid(f"expected 1 to {EXACT_UP_TO} players, found {players}; sample permutations of more")
    codes = np.arange(2**players)
    members = ((codes[:, None] >> np.arange(players)) & 1).astype(np.bool_)
    size = members.sum(axis=1)
    join = np.array([1.0 / (players * comb(players - 1, s)) if s < players else 0.0 for s in range(players + 1)])
    leave = np.concatenate([[0.0], join[:-1]])
    weights = np.where(members.T, leave[size], -join[size])
    return Plan(members=members, weights=weights)


def permutations(players: int, *, pairs: int, rng: np.random.Generator) -> Plan:
    """Return the plan of permutations, each followed by its reverse (antithetic), whose coalitions are the prefixes.

    Raises:
        Invalid: fewer than two pairs; there is then no standard error.
    """
    if pairs < 2 or players < 1:
        raise Invalid(f"expected at least two pairs of permutations of a player or more, found {pairs}, {players}")
    orders = np.stack([rng.permutation(players) for _ in range(pairs)])
    both = np.stack([orders, orders[:, ::-1]], axis=1)
    place = np.argsort(both, axis=2)
    members = place[:, :, None, :] < np.arange(players + 1)[None, None, :, None]
    flat = members.reshape(-1, players)
    weights = np.zeros((players, len(flat)))
    starts = np.arange(2 * pairs) * (players + 1)
    for player in range(players):
        at = starts + place.reshape(-1, players)[:, player]
        weights[player, at + 1] += 1.0 / (2 * pairs)
        weights[player, at] -= 1.0 / (2 * pairs)
    return Plan(members=flat, weights=weights, pairs=pairs)

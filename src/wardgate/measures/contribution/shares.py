"""Shares with their errors: from the sums of training and holdout persons to one table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from wardgate.measures.contribution.models import coalition_models
from wardgate.measures.contribution.persons import shares_by_persons
from wardgate.measures.contribution.shapley import EXACT_UP_TO, Plan, every_coalition, permutations
from wardgate.measures.contribution.statistics import Taught, Tested, redrawn_taught, redrawn_tested
from wardgate.measures.contribution.utilities import Worth
from wardgate.records.errors import Invalid

Array = NDArray[np.float64]

CHUNK = 1024
"""Coalitions whose matrices are held at once."""

PAIRS_FOR_ERRORS = 24
"""Pairs of permutations on which redrawn persons are valued, where all coalitions would take too long."""

NODES_FOR_ERRORS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Shares of K players in U utilities.

    Attributes:
        utilities: Their names.
        nobody, everybody: Worth of a coalition of nobody and of all players, shape (U,).
        by_persons: Share of each player as the sum of its persons' shares, shape (K, U).
        by_persons_error: Standard error over training and holdout persons, shape (K, U).
        by_players: Shapley value of each player, shape (K, U).
        by_players_error: Standard error over persons and, where permutations were sampled, over these, shape (K, U).
        sampling_error: The part of the last that permutations gave, shape (K, U); 0 where all coalitions were valued.
        left_out: Worth of everybody's model less that without the player, shape (K, U).
        left_out_error: Its standard error, shape (K, U).
        coalitions: How many were valued.
        redraws: Behind the standard errors.
    """

    utilities: tuple[str, ...]
    nobody: Array
    everybody: Array
    by_persons: Array
    by_persons_error: Array
    by_players: Array
    by_players_error: Array
    sampling_error: Array
    left_out: Array
    left_out_error: Array
    coalitions: int
    redraws: int


def shares(
    taught: Taught,
    test: Tested,
    *,
    thresholds: tuple[float, ...],
    ridge: float,
    rng: np.random.Generator,
    pairs: int = 200,
    redraws: int = 60,
) -> Shares:
    """Return who contributed how much to the worth of everybody's model.

    Standard errors come from redrawing outcomes of the training persons and the holdout persons by their sums: they say
    how far shares would move with other persons of the same kind, not what else might be wrong with them.

    Args:
        thresholds: Of net benefit.
        ridge: Of every coalition's model.
        rng: For permutations and redraws; one seed gives one table.
        pairs: Of permutations, beyond 16 players.
        redraws: At least 20.

    Raises:
        Invalid: fewer than two players, or too few redraws.
    """
    if taught.players < 2 or redraws < 20:
        raise Invalid(f"expected two players or more and at least 20 redraws, found {taught.players}, {redraws}")
    worth, players = Worth(test=test, thresholds=thresholds), taught.players
    exact = players <= EXACT_UP_TO
    plan = every_coalition(players) if exact else permutations(players, pairs=pairs, rng=rng)
    values = values_of(plan.members, taught, worth, ridge=ridge)
    rest = _rest(players)
    ends = values_of(rest, taught, worth, ridge=ridge)
    small = permutations(players, pairs=PAIRS_FOR_ERRORS, rng=rng) if exact and players > 6 else plan
    drawn: list[tuple[Array, Array, Array]] = []
    for _ in range(redraws):
        other = redrawn_taught(taught, rng)
        elsewhere = Worth(test=redrawn_tested(test, rng), thresholds=thresholds)
        if elsewhere.names != worth.names:
            raise RuntimeError("redrawn holdouts have the groups of the first")
        again = values_of(rest, other, elsewhere, ridge=ridge)
        drawn.append(
            (
                shares_by_persons(other, elsewhere, ridge=ridge, nodes=NODES_FOR_ERRORS),
                small.shares(values_of(small.members, other, elsewhere, ridge=ridge)),
                again[0] - again[2:],
            )
        )
    persons_error, players_error, left_error = (
        np.std([one[place] for one in drawn], axis=0, ddof=1) for place in range(3)
    )
    sampling = plan.errors(values)
    return Shares(
        utilities=worth.names,
        nobody=ends[1],
        everybody=ends[0],
        by_persons=shares_by_persons(taught, worth, ridge=ridge),
        by_persons_error=persons_error,
        by_players=plan.shares(values),
        by_players_error=np.hypot(players_error, sampling),
        sampling_error=sampling,
        left_out=ends[0] - ends[2:],
        left_out_error=left_error,
        coalitions=len(plan.members),
        redraws=redraws,
    )


def values_of(members: NDArray[np.bool_], taught: Taught, worth: Worth, *, ridge: float) -> Array:
    """Return the worth of each coalition's model, shape (C, U).

    Args:
        members: Shape (C, K).
    """
    columns = taught.events.shape[1]
    flat = taught.products.reshape(taught.players, -1)
    found = []
    for start in range(0, len(members), CHUNK):
        chosen = members[start : start + CHUNK].astype(np.float64)
        products = (chosen @ flat).reshape(-1, columns, columns)
        models = coalition_models(products, chosen @ taught.events, prevalence=taught.prevalence, ridge=ridge)
        found.append(worth(models))
    return np.concatenate(found)


def interval(value: float, error: float, *, level: float = 0.95) -> tuple[float, float]:
    """Return the normal interval of a share."""
    reach = float(norm.ppf(0.5 + level / 2.0)) * error
    return value - reach, value + reach


def _rest(players: int) -> NDArray[np.bool_]:
    """Everybody, nobody, and everybody but one, shape (K + 2, K)."""
    without = ~np.eye(players, dtype=np.bool_)
    return np.concatenate([np.ones((1, players), dtype=np.bool_), np.zeros((1, players), dtype=np.bool_), without])


__all__ = ["Plan", "Shares", "interval", "shares", "values_of"]

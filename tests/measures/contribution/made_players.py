"""Made-up players whose rows are at hand, so that sums can be held against rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.contribution.statistics import Taught, Tested, holdout_of

Rows = tuple[NDArray[np.float64], NDArray[np.int8]]

SLOPES = np.array([-0.5, 1.6, -1.2, 0.8, 0.0])


def rows(persons: int, *seed: int, noise_labels: bool = False) -> Rows:
    """Persons of one player; `noise_labels` shuffles their outcomes."""
    rng = np.random.default_rng(list(seed))
    x = np.column_stack([np.ones(persons), rng.uniform(-1, 1, (persons, 3)), rng.integers(0, 2, persons)])
    y = (rng.random(persons) < 1 / (1 + np.exp(-(x @ SLOPES)))).astype(np.int8)
    return x, (rng.permutation(y) if noise_labels else y)


def taught(players: Sequence[Rows]) -> Taught:
    return Taught(
        products=np.stack([x.T @ x for x, _ in players]), events=np.stack([x.T @ y.astype(float) for x, y in players])
    )


def held(groups: Sequence[Rows]) -> Tested:
    sums = np.stack([np.stack([x[y == side].sum(axis=0) for side in (0, 1)]) for x, y in groups])
    whole, y = np.concatenate([x for x, _ in groups]), np.concatenate([y for _, y in groups])
    return holdout_of(sums, np.stack([whole[y == side].T @ whole[y == side] for side in (0, 1)]))

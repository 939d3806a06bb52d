"""The classifier attack: a model that tells synthetic from real persons finds where the corpus is too dense."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from wardgate.measures.attacks.space import Points

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST = 20_000
"""Persons of either kind learned from at most."""

MOST_CATEGORIES = 250
"""A column with more categories is learned from as an ordered code."""

_SETTINGS = {
    "max_iter": 60,
    "learning_rate": 0.1,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 10,
    "early_stopping": False,
}


def classifier(*, synthetic: Points, reference: Points, pool: Points, categories: Flags, seed: int) -> Scores:
    """Return the log-odds that a person is synthetic, shape (n,): high where the corpus repeats its training persons.

    Boosted trees learn to tell synthetic from reference persons, equally many of both. No person of the pool is
    learned from, so the score is blind to who is a member, whatever the model over-fits. Blind to a corpus that
    lies elsewhere as a whole (a constant added to every row), which the spaces of ranks see.

    Args:
        synthetic: Candidate rows as `space.plain` gives them, shape (m, d).
        reference: Reference persons, shape (r, d).
        pool: Persons to be scored, shape (n, d).
        categories: Which columns are categories, shape (d,).
        seed: Subsampling alone.

    Reference: Hayes et al. 2019, LOGAN: Membership Inference Attacks Against Generative Models, arXiv:1705.07663,
        whose black-box attack scores persons by a discriminator; here of boosted trees.
    """
    rng = np.random.default_rng(seed)
    size = min(len(synthetic), len(reference), MOST)
    if not size:
        return np.zeros(len(pool))
    chosen = [
        table if len(table) == size else table[rng.choice(len(table), size, replace=False)]
        for table in (synthetic, reference)
    ]
    model = boosted(np.concatenate(chosen), np.repeat((1, 0), size), categories, seed=seed)
    return np.asarray(model.decision_function(pool), dtype=np.float64)


def boosted(points: Points, kind: NDArray[np.int64], categories: Flags, *, seed: int) -> HistGradientBoostingClassifier:
    """Fit boosted trees; columns of one value, or of none, are no hindrance."""
    points = np.where(np.isnan(points).all(axis=0), np.float32(0), points)
    nominal = categories & (_widest(points) < MOST_CATEGORIES)
    model = HistGradientBoostingClassifier(
        **_SETTINGS, categorical_features=_places(nominal), random_state=seed % (2**31)
    )
    with threadpool_limits(limits=1):  # threads that wait for each other cost more than they save on so few rows
        return model.fit(points, kind)


def _widest(points: Points) -> Points:
    """Highest value of every column, shape (d,); 0 where nothing is known."""
    return np.asarray(np.max(np.nan_to_num(points, nan=0.0), axis=0, initial=0.0))


def _places(flags: Flags) -> Sequence[int] | None:
    found = [int(place) for place in np.flatnonzero(flags)]
    return found or None

"""Can a machine tell the corpus from patients?"""

import math
from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from wardgate.measures.intervals import placements
from wardgate.measures.realism.coding import Matrix
from wardgate.measures.realism.resampling import reach
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

MOST = 10_000
"""Persons, and as many rows, that the trees look at."""

FOLDS = 3
LEVELS = 200
"""Categories that trees tell apart."""


def detection(
    features: Sequence[Feature], real: Matrix, synthetic: Matrix, *, level: float, rng: np.random.Generator
) -> Measured:
    """AUROC of boosted trees that tell synthetic rows from real persons whom they have not seen.

    0.5 is guessing, as for a fresh sample; 1 is certainty. Trees see what nobody would mind, such as one digit too
    many, so a high value asks for a look, not for a refusal. As many rows as persons, at most `MOST`, in three parts:
    two are learned from, one is told apart. The interval is DeLong's over the persons and rows of each part; it does
    not cover that other training parts would give other trees. n is (synthetic rows, real persons).

    Args:
        real, synthetic: From `coding.values`, shapes (n, d) and (m, d), at least 2 x FOLDS rows each.
    """
    size = min(MOST, len(real), len(synthetic))
    chosen = [table[rng.permutation(len(table))[:size]] for table in (real, synthetic)]
    both = np.concatenate(chosen)
    varying = [place for place in range(both.shape[1]) if len(np.unique(both[:, place])) > 1]
    made = np.arange(len(both)) >= size
    fold = np.arange(size) % FOLDS
    part = np.concatenate((fold, fold))
    categories = [features[place].type == "category" for place in varying]
    table = both[:, varying]
    for place, category in enumerate(categories):
        if category:
            table[:, place] = _frequent(table[:, place])
    values, variance = [], 0.0
    for held in range(FOLDS) if varying else ():
        trees = HistGradientBoostingClassifier(
            max_iter=40,
            learning_rate=0.2,
            max_leaf_nodes=15,
            min_samples_leaf=20,
            categorical_features=categories,
            early_stopping=False,
            random_state=0,
        )
        with threadpool_limits(limits=1):
            trees.fit(table[part != held], made[part != held])
            score = trees.predict_proba(table[part == held])[:, 1]
        found = placements(made[part == held], score)
        values.append(found.auroc)
        sides = (found.events, found.non_events)
        variance += sum(float(np.var(side, ddof=1)) / len(side) for side in sides) / FOLDS**2
    value = float(np.mean(values)) if values else 0.5
    away = reach(level) * math.sqrt(variance)
    return Measured(
        name="realism.detection",
        value=value,
        low=max(0.0, value - away),
        high=min(1.0, value + away),
        level=level,
        n=(size, size),
    )


def _frequent(column: np.ndarray) -> np.ndarray:
    """Return a category's codes with the rarer ones as one, as trees take only so many; missing stays."""
    present = ~np.isnan(column)
    kinds, place, held = np.unique(column[present], return_inverse=True, return_counts=True)
    rank = np.empty(len(kinds), dtype=np.int64)
    rank[np.argsort(-held, kind="stable")] = np.arange(len(kinds))
    found = np.full(len(column), np.nan)
    found[present] = np.minimum(rank, LEVELS - 1)[place]
    return found

"""The density ratio by trees: how many synthetic and how many reference persons share a person's leaves."""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomTreesEmbedding

from wardgate.measures.attacks.space import Points

Scores = NDArray[np.float64]

TREES = 60
LEAF = 8
"""Persons, synthetic and reference together, in a leaf at least."""

MOST = 50_000
"""Persons of either kind at most."""


def forest(*, synthetic: Points, reference: Points, pool: Points, seed: int) -> Scores:
    """Return the log ratio of the densities of synthetic and reference persons around each person, shape (n,).

    Trees split at random columns and random places and never look at who is synthetic. A leaf is a box, small where
    persons are many; columns that matter to nobody cost less than they cost a distance, and no column's spread
    counts more than another's. An innocent corpus gives members and non-members the same scores.

    Args:
        synthetic: Candidate rows as `space.plain` gives them, shape (m, d).
        reference: Reference persons, shape (r, d).
        pool: Persons to be scored, shape (n, d).
        seed: Trees and subsampling.

    Reference: van Breugel et al. 2023 (DOMIAS), arXiv:2302.12580, with trees for its densities.
    """
    rng = np.random.default_rng(seed)
    synthetic, reference = (
        table if len(table) <= MOST else table[rng.choice(len(table), MOST, replace=False)]
        for table in (synthetic, reference)
    )
    if not len(synthetic) or not len(reference):
        return np.zeros(len(pool))
    every = _ranked(np.concatenate((synthetic, reference, pool)), len(synthetic) + len(reference))
    known = len(synthetic) + len(reference)
    trees = RandomTreesEmbedding(
        n_estimators=TREES, max_depth=None, min_samples_leaf=LEAF, random_state=seed % (2**31), sparse_output=True
    ).fit(every[:known])
    leaves = trees.apply(every)
    share = len(synthetic) / known
    score = np.zeros(len(pool))
    for leaf in leaves.T:
        size = int(leaf.max()) + 1
        new = np.bincount(leaf[: len(synthetic)], minlength=size)
        old = np.bincount(leaf[len(synthetic) : known], minlength=size)
        ratio = np.log((new + share) / share) - np.log((old + 1 - share) / (1 - share))
        score += ratio[leaf[known:]]
    return score / TREES


def _ranked(points: Points, known: int) -> Points:
    """Put ranks among the first `known` rows in place of values, so that far values do not waste splits.

    Missing is a place of its own below all values.
    """
    columns = []
    for column in points.T:
        present = np.sort(column[:known][~np.isnan(column[:known])])
        place = np.searchsorted(present, column).astype(np.float32)
        columns.append(np.where(np.isnan(column), -0.1 * max(1, len(present)), place))
    return np.column_stack(columns).astype(np.float32)

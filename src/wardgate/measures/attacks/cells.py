"""The attack on marginals: does the corpus hold too many persons in a person's cells of two and three columns?"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.attacks.space import Points

Scores = NDArray[np.float64]
Codes = NDArray[np.int32]

BINS = 10
"""Parts of a number, of equally many reference persons each."""

MOST_CODES = 32
"""Codes of a column at most; rarer categories share the last."""

MOST_TABLES = 150
"""Tables of two columns, and as many of three, drawn at random where there are more."""

MOST = 50_000
"""Persons of either kind at most."""


def cells(*, synthetic: Points, reference: Points, pool: Points, seed: int) -> Scores:
    """Return how over-represented a person's cells are in the corpus, shape (n,), higher meaning more likely a member.

    Generators that keep low-order tables of counts (MST, PrivBayes, AIM, trees with few splits) repeat a training
    person's cells, the rare ones above all, though no row resembles that person. The score is the mean log ratio of
    a cell's share among synthetic and among reference persons over tables of two and of three columns. An innocent
    corpus gives members and non-members the same scores; one that keeps whole tables of its training persons
    without noise does not, since such tables do tell a little of each of them.

    Args:
        synthetic: Candidate rows as `space.plain` gives them, shape (m, d).
        reference: Reference persons, shape (r, d); the parts of a number are cut by them.
        pool: Persons to be scored, shape (n, d).
        seed: Which tables are drawn.

    Reference: Golob et al. 2024, Privacy Vulnerabilities in Marginals-based Synthetic Data (MAMA-MIA),
        arXiv:2410.05506; here for any generator, so all tables count alike.
    """
    rng = np.random.default_rng(seed)
    synthetic, reference = (
        table if len(table) <= MOST else table[rng.choice(len(table), MOST, replace=False)]
        for table in (synthetic, reference)
    )
    if not len(synthetic) or not len(reference):
        return np.zeros(len(pool))
    every = np.concatenate((synthetic, reference, pool))
    coded = [_codes(column, reference[:, place]) for place, column in enumerate(every.T)]
    varied = [column for column in coded if int(column.max()) > 0]
    known, prior = len(synthetic) + len(reference), len(synthetic) / len(reference)
    score = np.zeros(len(pool))
    tables = [table for order in (2, 3) for table in _drawn(len(varied), order, MOST_TABLES, rng)]
    for table in tables:
        key = np.zeros(len(every), dtype=np.int64)
        for place in table:
            key = key * (int(varied[place].max()) + 1) + varied[place]
        size = int(key.max()) + 1
        new = np.bincount(key[: len(synthetic)], minlength=size)
        old = np.bincount(key[len(synthetic) : known], minlength=size)
        score += np.log((new + prior) / (prior * (old + 1)))[key[known:]]
    return score / max(1, len(tables))


def _drawn(columns: int, order: int, most: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    if columns < order:
        return []
    if columns <= 12:
        every = list(combinations(range(columns), order))
        chosen = rng.permutation(len(every))[:most]
        return [every[place] for place in chosen]
    found = {tuple(sorted(rng.choice(columns, order, replace=False).tolist())) for _ in range(2 * most)}
    return sorted(found)[:: max(1, len(found) // most)][:most]


def _codes(column: Points, reference: Points) -> Codes:
    """Return few codes; a column of few values keeps them, a number is cut at quantiles; missing is a code."""
    present = reference[~np.isnan(reference)]
    values, counts = np.unique(present, return_counts=True)
    if len(values) <= MOST_CODES:
        cuts = values
    elif len(values) and float(counts.max()) > 0:
        cuts = np.unique(np.quantile(present, np.arange(1, BINS) / BINS))
    place = np.searchsorted(cuts, column, side="right") if len(cuts) else np.zeros(len(column))
    return np.where(np.isnan(column), len(cuts) + 1, place).astype(np.int32)

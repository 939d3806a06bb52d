"""The shadow attack: refit the generator with and without a person, and see which corpora look like the candidate."""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]

Refit = Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]
"""Fits the candidate's generator anew on other persons and returns a corpus of as many rows as it was given.

Nothing of a rehearsal fit leaves the ward. A generator may refuse the table (`Refused`, `Invalid`).
"""


def halves(pool: int, refits: int, rng: np.random.Generator) -> Flags:
    """Return who of the pool is inside which refit, shape (refits, pool), blind to who is a member.

    Refits come in pairs: whoever is outside the first is inside the second. So everybody is inside half of them.
    """
    found = np.zeros((refits, pool), dtype=np.bool_)
    for first in range(0, refits, 2):
        inside = rng.permutation(pool) < pool // 2
        found[first : first + 2] = np.stack((inside, ~inside))[: refits - first]
    return found


def likelihood_ratio(observed: Scores, shadows: Scores, inside: Flags) -> Scores:
    """Return the log-likelihood ratio of having been inside, for each target; 0 where nothing can be said.

    One spread for all targets, since few refits tell no spread of one; each target's own difference between inside
    and outside is drawn towards that of all targets by what the spread makes of it.

    Args:
        observed: Statistic of the candidate for each target, e.g. the log of the distance to its nearest record,
            shape (t,).
        shadows: The same for each refit, shape (b, t).
        inside: Whether the refit saw the target, shape (b, t).

    Reference: Carlini et al. 2022, Membership Inference Attacks From First Principles (LiRA), arXiv:2112.03570,
        with its fixed variance; on synthetic data, the shadow models of Stadler et al. 2022, arXiv:2011.07018.
    """
    many_in, many_out = inside.sum(axis=0), (~inside).sum(axis=0)
    told = (many_in > 0) & (many_out > 0)
    if not told.any():
        return np.zeros(len(observed))
    mean_in = (shadows * inside).sum(axis=0) / np.maximum(many_in, 1)
    mean_out = (shadows * ~inside).sum(axis=0) / np.maximum(many_out, 1)
    rest = np.where(inside, shadows - mean_in, shadows - mean_out)[:, told]
    free = float(np.sum((many_in + many_out - 2)[told]))
    alone = float(np.var((mean_in - mean_out)[told]) / 2)
    within = float(np.sum(rest**2)) / free if free > 0 else alone
    if not within > 0:
        return np.zeros(len(observed))
    noise = within * (1 / np.maximum(many_in, 1) + 1 / np.maximum(many_out, 1))
    difference = mean_in - mean_out
    usual, spread = float(difference[told].mean()), float(difference[told].var())
    weight = np.clip((spread - noise) / spread, 0.0, 1.0) if spread > 0 else np.zeros_like(noise)
    drawn = usual + weight * (difference - usual)
    middle = (mean_in + mean_out) / 2
    ratio = drawn * (observed - middle) / (within * (1 + 1 / len(shadows)))
    return np.where(told, ratio, 0.0)

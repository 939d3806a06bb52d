"""An attacker who kept every earlier corpus of a population: all of them together, and what changed between them.

Two corpora that are safe one by one need not be safe side by side: a generator that hardly moves between two fits
shows, in the places where it did move, for whom.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom, norm, rankdata

from wardgate.measures.attacks.membership import DEEP, SHALLOW, attacks, probability
from wardgate.records.errors import Invalid

Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]
Distances = NDArray[np.float32]

TAILS = (0.0, 0.005, 0.02, 0.1)
"""Shares of the persons who moved most, in which the changed ones are counted; the first is the very top alone."""


def union(corpora: Sequence[Distances]) -> Distances:
    """Return the distances to the nearest records of all corpora together, shape (n, k), rising.

    Args:
        corpora: Distances to the k nearest records of each corpus, each of shape (n, k), rising.

    Raises:
        Invalid: no corpus, or different shapes.
    """
    if not corpora or len({near.shape for near in corpora}) != 1:
        raise Invalid("expected distances of the same persons to at least one corpus, equally many neighbours each")
    return np.sort(np.concatenate(list(corpora), axis=1), axis=1)[:, : corpora[0].shape[1]]


def difference(before: Distances, after: Distances) -> dict[int, Scores]:
    """Return how much nearer the second corpus came to each person, by number of neighbours, each of shape (n,).

    The logarithm of the ratio of the mean distances; how lonely a person is cancels out, so no reference is needed.
    """
    positive = before[np.isfinite(before) & (before > 0)]
    grain = 1e-3 * float(np.median(positive)) if len(positive) else 1e-3
    return {
        k: np.log(before[:, :k].mean(axis=1, dtype=np.float64) + grain)
        - np.log(after[:, :k].mean(axis=1, dtype=np.float64) + grain)
        for k in (SHALLOW, DEEP)
    }


def together(corpora: Mapping[str, Sequence[Distances]], to_reference: Mapping[str, Distances]) -> dict[str, Scores]:
    """Return the scores of an attacker who holds all corpora, each of shape (n,), higher meaning more likely a member.

    In every space: the membership attacks on the union of the corpora, the mean of the density ratios over the
    corpora (a little over-fitting in each adds up), and the difference of every two consecutive ones.

    Args:
        corpora: By space, distances to the nearest records of each corpus, oldest first, each of shape (n, >= 5).
        to_reference: By space, distances to the nearest reference records, likewise.
    """
    depth = {space: min(near.shape[1] for near in found) for space, found in corpora.items()}
    cut = {space: [near[:, : depth[space]] for near in found] for space, found in corpora.items()}
    scores = {
        f"union.{name}": score
        for name, score in attacks({space: union(found) for space, found in cut.items()}, to_reference).items()
    }
    for space, found in cut.items():
        alone = [attacks({space: near}, {space: to_reference[space]}) for near in found]
        for name in alone[0]:
            scores[f"mean.{name}"] = np.mean([one[name] for one in alone], axis=0)
        for place, (before, after) in enumerate(pairwise(found)):
            for k, score in difference(before, after).items():
                scores[f"difference.{space}.{place}.{k}"] = score
    return scores


TILE = 2**23
"""Labels multiplied at once: 64 MB as numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Persons who changed in one way, beside persons who are like them but for that.

    Attributes:
        changed: Which of the n persons entered or left.
        scores: How much more the later (for those who entered) or the earlier corpus (for those who left) speaks of
            each person, by attack, each of shape (n,).
    """

    changed: Flags
    scores: Mapping[str, Scores]


def told(strata: Sequence[Stratum], *, permutations: int, rng: np.random.Generator) -> float:
    """Return the p-value of one test: can those who changed be told by the difference of two corpora?

    Every attack's rank sum (to either side) and the changed persons among those who moved most, in every stratum, on
    the scale of a standard normal; the largest is compared with the largest under random relabelling within the
    strata. Whatever the numbers: a single person among a thousand controls can be told. Exact where strata share
    nobody; strata of several earlier corpora share persons and are relabelled apart, as if they were independent,
    which for a maximum asks for more, not for less.

    An innocent pair of corpora scores uniformly between 0 and 1 (or larger, where nothing can be told from anything).
    Wrong where those who changed differ from their controls in anything else, for instance in calendar time.

    Raises:
        Invalid: a stratum without changed persons or without controls.
    """
    largest = np.full(1 + permutations, -np.inf)
    for stratum in strata:
        count, persons = int(stratum.changed.sum()), len(stratum.changed)
        if not 0 < count < persons:
            raise Invalid("expected changed persons and controls in every stratum")
        labels = np.empty((1 + permutations, persons), dtype=np.uint8)
        labels[0] = stratum.changed
        labels[1:] = rng.permuted(np.tile(stratum.changed.astype(np.uint8), (permutations, 1)), axis=1)
        tie_break = rng.permutation(persons)
        for score in stratum.scores.values():
            np.maximum(largest, _successes(score, labels, tie_break, count), out=largest)
    if not strata:
        return 1.0
    return probability(float(largest[0]), np.sort(largest[1:]))


def _successes(score: Scores, labels: NDArray[np.uint8], tie_break: NDArray[np.int64], count: int) -> Scores:
    """The largest standardised success of one score under each labelling, shape (labellings,)."""
    persons = len(score)
    ranks = rankdata(score) - (persons + 1) / 2
    share = count / persons
    spread = math.sqrt(share * (1 - share) * float(np.sum(ranks**2)) * persons / (persons - 1)) or math.inf
    best = np.concatenate([np.abs(part @ (ranks / spread)) for part in np.array_split(labels, 1 + labels.size // TILE)])
    order = np.lexsort((tie_break, -score))
    for tail in TAILS:
        size = max(1, round(tail * persons))
        found = labels[:, order[:size]].sum(axis=1, dtype=np.int64)
        possible = np.arange(min(size, count) + 1)
        above = hypergeom.sf(possible, persons, count, size) + 0.5 * hypergeom.pmf(possible, persons, count, size)
        best = np.maximum(best, norm.isf(np.clip(above, 1e-300, 1.0))[found])
    return np.asarray(best)

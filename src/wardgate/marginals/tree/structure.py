"""Which pairs of features are worth a table of their own: a forest over the features, every node hanging on the label.

References: McKenna et al. 2021, arXiv:2108.04978 (choice of a tree under privacy);
McKenna et al. 2022, arXiv:2201.12677 (score less the noise that a table would bring).
"""

import numpy as np
from numpy.typing import NDArray

from wardgate.entropy import Entropy
from wardgate.marginals.domain import Codes, Domain
from wardgate.marginals.tree.links import Links, Noisy
from wardgate.marginals.workload import Groups, Query
from wardgate.privacy.choice import exponential_choice

Edges = tuple[tuple[int, int], ...]
Scores = NDArray[np.float64]

SENSITIVITY = 1.0 + 1e-6
"""One person moves one cell of a pair's table by 1; the rest is room for rounding of the sums."""


def dependence(codes: Codes, links: Links, groups: Groups, *, sigma: float) -> Scores:
    """Return how far each pair is from independence given the label, less the noise that measuring it would bring.

    The score of a pair is the L1 distance between its exact two-way table and the one that its noisy tables beside
    the label foretell, less sqrt(2 / pi) x sigma x cells. One person moves it by at most 1.

    Returns:
        Shape (features, features), symmetric.
    """
    tables = links.coarse(groups)
    sizes = [len(table) for table in tables]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    margin = np.concatenate(tables)
    foretold = (margin / np.maximum(links.label, 1.0)) @ margin.T
    off = np.abs(together(codes, groups[: len(tables)]) - foretold)
    distance = np.add.reduceat(np.add.reduceat(off, starts[:-1], axis=0), starts[:-1], axis=1)
    cells = np.outer(sizes, sizes).astype(np.float64)
    cells[cells == 4] = 1.0  # two groups each: a single number is measured, see `links.query_pair`
    return np.asarray(distance - np.sqrt(2 / np.pi) * sigma * cells)


def together(codes: Codes, groups: Groups, block: int = 1 << 17) -> Scores:
    """Return how often any two groups fall together, shape (groups of all columns, groups of all columns).

    The label's groups count where `groups` goes as far. Single precision counts exactly within a block.
    """
    columns = min(len(groups), codes.shape[1])
    starts = np.concatenate([[0], np.cumsum([max(group) + 1 for group in groups[:columns]])])
    total = np.zeros((starts[-1], starts[-1]))
    for begin in range(0, len(codes), block):
        rows = codes[begin : begin + block]
        hot = np.zeros((len(rows), starts[-1]), dtype=np.float32)
        for column in range(columns):
            hot[np.arange(len(rows)), starts[column] + np.asarray(groups[column])[rows[:, column]]] = 1.0
        total += hot.T @ hot
    return total


def choose_edges(scores: Scores, *, epsilon: float, choices: int, entropy: Entropy) -> Edges:
    """Grow a forest edge by edge by private choice, stopping early when no edge is worth its noise.

    Args:
        scores: From `dependence`.
        epsilon: Pure-DP cost of one choice.
        choices: At most so many choices; all of them are to be paid for.
    """
    features = len(scores)
    component = np.arange(features)
    edges: list[tuple[int, int]] = []
    for _ in range(min(choices, features - 1)):
        left, right = np.nonzero(np.triu(component[:, None] != component[None, :], k=1))
        candidates = np.append(scores[left, right], 0.0)
        picked = exponential_choice(candidates, epsilon=epsilon, sensitivity=SENSITIVITY, entropy=entropy)
        if picked == len(left):
            break
        edges.append((int(left[picked]), int(right[picked])))
        component[component == component[right[picked]]] = component[left[picked]]
    return tuple(edges)


def pair_queries(domain: Domain) -> tuple[Query, ...]:
    """Return one signed number for every pair of features."""
    return tuple(
        Query(signs=(left, right)) for left in range(domain.features) for right in range(left + 1, domain.features)
    )


def summed_edges(domain: Domain, links: Links, noisy: Noisy) -> Edges:
    """Grow a forest from noisy signed pairs: what is left of each once the label has explained its part.

    A pair whose strength noise alone would explain gets no edge.
    """
    tables = noisy.tables()
    tilts = np.array([_tilt(links, column, noisy.workload.sides[column]) for column in range(domain.features)])
    foretold = (tilts / np.maximum(links.label, 1.0)) @ tilts.T
    ranked = []
    for query in pair_queries(domain):
        left, right = query.signs
        rest = float(tables[query]) - foretold[left, right]
        spread = [
            max(0.05, 1.0 - (float(tilts[column].sum()) / max(links.persons, 1.0)) ** 2) for column in (left, right)
        ]
        if abs(rest) > 2 * noisy.sigma:
            ranked.append((abs(rest) / float(np.sqrt(spread[0] * spread[1])), left, right))
    component = np.arange(domain.features)
    edges = []
    for _, left, right in sorted(ranked, reverse=True):
        if component[left] != component[right]:
            edges.append((left, right))
            component[component == component[right]] = component[left]
    return tuple(edges)


def _tilt(links: Links, column: int, sides: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the estimated sum of one column's sides for label 0 and 1, shape (2,)."""
    bins = np.asarray(links.groups[column])
    cells = links.cells[column]
    size = len(links.tables[column])
    inside = np.bincount(bins, weights=cells, minlength=size)
    signed = np.bincount(bins, weights=cells * np.asarray(sides), minlength=size)
    mean = np.divide(signed, inside, out=np.zeros_like(inside), where=inside > 0)
    return np.asarray(mean @ links.tables[column])

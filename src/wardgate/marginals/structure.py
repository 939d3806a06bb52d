"""Which pairs of features are worth a table of their own: a forest over the features, every node hanging on the label.

References: McKenna et al. 2021, arXiv:2108.04978 (choice of a tree by the exponential mechanism);
McKenna et al. 2022, arXiv:2201.12677 (score less the noise that a table would bring).
"""

import numpy as np
from numpy.typing import NDArray

from wardgate.entropy import Entropy
from wardgate.marginals.domain import Codes, Domain
from wardgate.marginals.links import Links, Noisy, settled
from wardgate.marginals.workload import Groups
from wardgate.privacy.choice import exponential_choice

Edges = tuple[tuple[int, int], ...]
Scores = NDArray[np.float64]


def independent(links: Links, groups: Groups) -> tuple[NDArray[np.float64], ...]:
    """Return the settled table of every feature beside the label in these coarser groups, shape (groups, 2)."""
    found = []
    for column, (table, variance) in enumerate(zip(links.tables, links.variances, strict=True)):
        link = np.asarray(links.groups[column])
        of_link = np.zeros(table.shape[0], dtype=np.int64)
        of_link[link] = groups[column]
        calm = settled(table, variance=variance, label=links.label)
        coarse = np.zeros((max(groups[column]) + 1, 2))
        np.add.at(coarse, of_link, calm)
        found.append(coarse)
    return tuple(found)


def dependence(codes: Codes, links: Links, groups: Groups, *, sigma: float) -> Scores:
    """Return how far each pair is from independence given the label, less the noise that measuring it would bring.

    The score of a pair is the L1 distance between its exact three-way table and the product of its noisy tables,
    less sqrt(2 / pi) x sigma x cells. One person moves it by at most 1.

    Returns:
        Shape (features, features), symmetric.
    """
    tables = independent(links, groups)
    sizes = [len(table) for table in tables]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    distance = np.zeros((len(tables), len(tables)))
    for label in (0, 1):
        rows = codes[codes[:, -1] == label]
        hot = np.zeros((len(rows), starts[-1]), dtype=np.float32)
        for column in range(len(tables)):
            hot[np.arange(len(rows)), starts[column] + np.asarray(groups[column])[rows[:, column]]] = 1.0
        counted = _gram(hot)
        margin = np.concatenate([table[:, label] for table in tables])
        off = np.abs(counted - np.outer(margin, margin) / max(float(links.label[label]), 1.0))
        off = np.add.reduceat(np.add.reduceat(off, starts[:-1], axis=0), starts[:-1], axis=1)
        distance += off
    cells = 2.0 * np.outer(sizes, sizes)
    return np.asarray(distance - np.sqrt(2 / np.pi) * sigma * cells)


def _gram(hot: NDArray[np.float32], block: int = 1 << 20) -> NDArray[np.float64]:
    """Return hot.T @ hot exactly: single precision counts up to 2^24 without loss, so blocks stay below that."""
    total = np.zeros((hot.shape[1], hot.shape[1]))
    for start in range(0, len(hot), block):
        part = hot[start : start + block]
        total += part.T @ part
    return total


def choose_edges(scores: Scores, *, epsilon: float, choices: int, entropy: Entropy) -> Edges:
    """Grow a forest edge by edge with the exponential mechanism, stopping early when no edge is worth its noise.

    Args:
        scores: From `dependence`; sensitivity 1.
        epsilon: Pure-DP cost of one choice.
        choices: At most so many choices; all of them are to be paid for.
    """
    features = len(scores)
    component = np.arange(features)
    edges: list[tuple[int, int]] = []
    for _ in range(min(choices, features - 1)):
        left, right = np.nonzero(np.triu(component[:, None] != component[None, :], k=1))
        candidates = np.append(scores[left, right], 0.0)
        picked = exponential_choice(candidates, epsilon=epsilon, sensitivity=1.0, entropy=entropy)
        if picked == len(left):
            break
        edge = (int(left[picked]), int(right[picked]))
        edges.append(edge)
        component[component == component[edge[1]]] = component[edge[0]]
    return tuple(edges)


def all_pairs(domain: Domain) -> tuple[tuple[int, int], ...]:
    """Return every pair of features."""
    return tuple((left, right) for left in range(domain.features) for right in range(left + 1, domain.features))


def summed_edges(domain: Domain, links: Links, noisy: Noisy) -> Edges:
    """Grow a forest from noisy signed pairs: what is left of each sum once the sides of both features are explained.

    A pair whose strength noise alone would explain gets no edge.
    """
    _, pairs = noisy.workload.split(noisy.values)
    sides = noisy.workload.sides
    tilt = []
    for column, (table, variance) in enumerate(zip(links.tables, links.variances, strict=True)):
        calm = settled(table, variance=variance, label=links.label)
        inside = np.bincount(np.asarray(links.groups[column]), weights=links.fine[column], minlength=len(calm))
        signed = np.bincount(
            np.asarray(links.groups[column]), weights=links.fine[column] * sides[column], minlength=len(calm)
        )
        tilt.append(np.divide(signed, inside, out=np.zeros_like(inside), where=inside > 0) @ calm)
    label = np.maximum(links.label, 1.0)
    ranked = []
    for (left, right), found in zip(noisy.workload.pairs, pairs, strict=True):
        rest = found - tilt[left] * tilt[right] / label
        spread = np.sqrt((1 - (tilt[left] / label) ** 2) * (1 - (tilt[right] / label) ** 2)).clip(0.05, 1.0)
        strength = float((np.maximum(rest**2 - noisy.sigma**2, 0.0) / (label * spread)).sum())
        if float((rest**2).sum()) > 8 * noisy.sigma**2:
            ranked.append((strength, left, right))
    component = np.arange(domain.features)
    edges = []
    for _, left, right in sorted(ranked, reverse=True):
        if component[left] != component[right]:
            edges.append((left, right))
            component[component == component[right]] = component[left]
    return tuple(edges)

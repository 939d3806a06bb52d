"""Nearest neighbours, exact and repeatable also where records tie."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.attacks.space import Points
from wardgate.records.errors import Invalid

try:
    import faiss
except ImportError:  # a node without faiss is slower, not wrong
    faiss = None  # type: ignore[assignment]

TILE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The k nearest points of each query.

    Attributes:
        distance: Shape (n, k), rising; infinite where there are fewer than k points.
        index: Shape (n, k), -1 where there are fewer than k points. Equally near points stand in their own order.
    """

    distance: NDArray[np.float32]
    index: NDArray[np.int64]


def nearest(queries: Points, points: Points, k: int) -> Neighbours:
    """Return the k nearest points of each query by Euclidean distance.

    The search runs as matrix products, whose rounding would tear identical records apart; distances to what it
    found are then taken again one by one, so identical records are exactly 0 apart.

    Args:
        queries: Shape (n, d).
        points: Shape (m, d).

    Raises:
        Invalid: different dimensions, k below 1, or a coordinate that is not finite.
    """
    if queries.ndim != 2 or points.ndim != 2 or queries.shape[1] != points.shape[1] or k < 1:
        raise Invalid(f"expected two tables of points of one dimension, found shapes {queries.shape}, {points.shape}")
    if not (np.isfinite(queries).all() and np.isfinite(points).all()):
        raise Invalid("a coordinate is not finite; encode missing values before searching")
    found = min(k, len(points))
    distance = np.full((len(queries), k), np.inf, dtype=np.float32)
    index = np.full((len(queries), k), -1, dtype=np.int64)
    if not found or not len(queries):
        return Neighbours(distance=distance, index=index)
    place = _search(queries, points, found)
    exact = np.empty(place.shape, dtype=np.float32)
    for start in range(0, len(queries), TILE):
        rows = slice(start, start + TILE)
        step = queries[rows, None, :] - points[place[rows]]
        exact[rows] = np.sqrt(np.einsum("nkd,nkd->nk", step, step))
    by_index = np.argsort(place, axis=1, kind="stable")
    place, exact = np.take_along_axis(place, by_index, 1), np.take_along_axis(exact, by_index, 1)
    by_distance = np.argsort(exact, axis=1, kind="stable")
    index[:, :found] = np.take_along_axis(place, by_distance, 1)
    distance[:, :found] = np.take_along_axis(exact, by_distance, 1)
    return Neighbours(distance=distance, index=index)


def _search(queries: Points, points: Points, k: int) -> NDArray[np.int64]:
    if faiss is None:
        return _search_in_tiles(queries, points, k)
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(np.ascontiguousarray(points))
    _, place = index.search(np.ascontiguousarray(queries), k)
    return np.asarray(place, dtype=np.int64)


def _search_in_tiles(queries: Points, points: Points, k: int) -> NDArray[np.int64]:
    lengths = np.einsum("md,md->m", points, points)
    place = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), TILE):
        rows = slice(start, start + TILE)
        away = lengths[None, :] - 2.0 * (queries[rows] @ points.T)
        place[rows] = np.argpartition(away, k - 1, axis=1)[:, :k]
    return place

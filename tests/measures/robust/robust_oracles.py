"""Slow words of the papers, one point and one coordinate at a time, against which the fast rules are held."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Vector = NDArray[np.float64]


def median(values: Vector, weights: Vector) -> Vector:
    found = []
    for column in values.T:
        low = min(x for x in column if weights[column <= x].sum() >= 0.5 * weights.sum() - 1e-9)
        high = max(x for x in column if weights[column >= x].sum() >= 0.5 * weights.sum() - 1e-9)
        found.append((low + high) / 2)
    return np.array(found)


def trimmed(values: Vector, weights: Vector, corrupt: int) -> Vector:
    found = []
    for column in values.T:
        left = sorted(zip(column, weights, strict=True))[corrupt : len(column) - corrupt]
        found.append(sum(x * w for x, w in left) / sum(w for _, w in left))
    return np.array(found)


def distances(at: Vector, values: Vector, weights: Vector) -> float:
    return float(sum(w * np.linalg.norm(x - at) for x, w in zip(values, weights, strict=True)))


def geometric(values: Vector, weights: Vector) -> Vector:
    start = np.median(values, axis=0)
    return np.asarray(minimize(distances, start, args=(values, weights), method="Nelder-Mead").x)


def krum(values: Vector, weights: Vector, corrupt: int) -> Vector:
    count, scores = len(values), []
    for one in range(count):
        far = sorted(float(np.sum((values[one] - values[other]) ** 2)) for other in range(count) if other != one)
        scores.append((sum(far[: count - corrupt - 2]), one))
    chosen = [one for _, one in sorted(scores)[: count - corrupt]]
    return np.average(values[chosen], axis=0, weights=weights[chosen])


def mixed_trimmed(values: Vector, weights: Vector, corrupt: int) -> Vector:
    rows = []
    for one in values:
        near = sorted(range(len(values)), key=lambda row, one=one: float(np.sum((values[row] - one) ** 2)))
        near = near[: len(values) - corrupt]
        rows.append(np.average(values[near], axis=0, weights=weights[near]))
    return trimmed(np.array(rows), np.ones(len(rows)), corrupt)


def clipping(values: Vector, weights: Vector) -> Vector:
    at = median(values, weights)
    longest = sorted(float(np.linalg.norm(one - at)) for one in values)
    middle = len(longest) // 2
    length = longest[middle] if len(longest) % 2 else (longest[middle - 1] + longest[middle]) / 2
    for _ in range(5):
        step = np.zeros_like(at)
        for one, weight in zip(values, weights / weights.sum(), strict=True):
            gap = float(np.linalg.norm(one - at))
            step += weight * (one - at) * (min(1.0, length / gap) if gap else 1.0)
        at = at + step
    return at

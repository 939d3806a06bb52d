"""Middles coordinate by coordinate, and the geometric median."""

import numpy as np

from wardgate.measures.robust.points import Points, Vector

SMOOTHING = 1e-6
"""Least distance that the geometric median divides by, and where it stops, over the median distance from the start."""

STEPS = 200
CLOSE = 1e-10


def mean(given: Points) -> Vector:
    """Weighted mean, which trusts everybody.

    Breakdown: 0; one point moves it anywhere. With nobody corrupt it is what federated averaging does.
    """
    return given.mean


def coordinate_median(given: Points) -> Vector:
    """Weighted median of each coordinate: half of the weight lies at or below it, half at or above.

    Where the halves meet between two values, it is their mean. `corrupt` changes nothing.

    Breakdown: half of the weight. With nobody corrupt it is still no mean: between skewed groups it costs something.

    Reference: Yin et al. (2018), Byzantine-Robust Distributed Learning, arXiv:1803.01498.
    """
    found = np.empty(given.values.shape[1])
    for block in given.blocks():
        values = given.values[:, block]
        order = np.argsort(values, axis=0, kind="stable")
        below = np.cumsum(given.weights[order], axis=0)
        ranked = np.take_along_axis(values, order, axis=0)
        low = np.argmax(below >= 0.5 - 1e-12, axis=0)
        high = np.argmax(below > 0.5 + 1e-12, axis=0)
        across = np.arange(values.shape[1])
        found[block] = ranked[low, across] / 2 + ranked[high, across] / 2
    return found


def trimmed_mean(given: Points) -> Vector:
    """Weighted mean of each coordinate without its `corrupt` largest and `corrupt` smallest values.

    Breakdown: `corrupt` points, whatever they weigh, as long as they are fewer than half. With `corrupt` = 0 it is the
    weighted mean.

    Reference: Yin et al. (2018), Byzantine-Robust Distributed Learning, arXiv:1803.01498.
    """
    cut = given.corrupt
    if not cut:
        return given.mean
    found = np.empty(given.values.shape[1])
    for block in given.blocks():
        values = given.values[:, block]
        order = np.argsort(values, axis=0, kind="stable")[cut:-cut]
        weights = given.weights[order]
        found[block] = np.sum(np.take_along_axis(values, order, axis=0) * weights, axis=0) / np.sum(weights, axis=0)
    return found


def geometric_median(given: Points) -> Vector:
    """Point of least weighted sum of distances, by Weiszfeld's steps with distances smoothed near zero.

    Breakdown: half of the weight. `corrupt` changes nothing. With nobody corrupt it is no mean.

    Reference: Pillutla, Kakade, Harchaoui (2019), Robust Aggregation for Federated Learning, arXiv:1912.13445.
    """
    at = coordinate_median(given)
    far = np.linalg.norm(given.values - at, axis=1)
    typical = float(np.median(far)) or float(np.max(far))
    if typical == 0.0:
        return at
    for _ in range(STEPS):
        pull = given.weights / np.maximum(np.linalg.norm(given.values - at, axis=1), SMOOTHING * typical)
        after = np.asarray(pull @ given.values / pull.sum(), dtype=np.float64)
        moved = float(np.linalg.norm(after - at))
        at = after
        if moved <= CLOSE * typical:
            break
    return at

"""Rules that believe a point by the company it keeps."""

from dataclasses import replace

import numpy as np

from wardgate.measures.robust.middles import trimmed_mean
from wardgate.measures.robust.points import Points, Vector


def multi_krum(given: Points) -> Vector:
    """Weighted mean of the g - `corrupt` points whose nearest g - `corrupt` - 2 others lie closest to them.

    Breakdown: `corrupt` points where 2 `corrupt` + 2 < g. With `corrupt` = 0 everybody is chosen: the weighted mean.
    Where groups differ in truth, it drops the odd ones, which costs more than trimming does.

    Reference: Blanchard et al. (2017), Machine Learning with Adversaries, arXiv:1703.02757.
    """
    kept = len(given.values) - given.corrupt
    if not given.corrupt:
        return given.mean
    near = np.sort(given.distances(), axis=1)[:, 1 : 1 + max(1, kept - 2)]
    chosen = np.argsort(near.sum(axis=1), kind="stable")[:kept]
    weights = given.weights[chosen]
    return np.asarray(weights @ given.values[chosen] / weights.sum(), dtype=np.float64)


def mixed(given: Points) -> Points:
    """Return the weighted mean of each point and its nearest, g - `corrupt` in all; from then on all weigh alike.

    It draws honest points that differ in truth towards each other, so that whoever trims afterwards loses little.

    Reference: Allouah et al. (2023), Fixing by Mixing, arXiv:2302.01772.
    """
    kept = len(given.values) - given.corrupt
    nearest = np.argsort(given.distances(), axis=1, kind="stable")[:, :kept]
    shares = np.zeros((len(given.values), len(given.values)))
    for row, near in enumerate(nearest):
        shares[row, near] = given.weights[near] / given.weights[near].sum()
    return replace(given, values=shares @ given.values, weights=np.full(len(shares), 1 / len(shares)))


def mixed_trimmed_mean(given: Points) -> Vector:
    """Nearest-neighbour mixing, then the trimmed mean; what Wardgate takes where nothing else is asked for.

    Breakdown: `corrupt` points, as long as they are fewer than half. With `corrupt` = 0 it is the weighted mean.

    Reference: Allouah et al. (2023), Fixing by Mixing, arXiv:2302.01772.
    """
    return given.mean if not given.corrupt else trimmed_mean(mixed(given))

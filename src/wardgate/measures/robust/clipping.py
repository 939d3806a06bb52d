"""Centred clipping: nobody moves the middle further than most are away from it."""

import numpy as np

from wardgate.measures.robust.middles import coordinate_median
from wardgate.measures.robust.points import Points, Vector

STEPS = 5


def centred_clipping(given: Points) -> Vector:
    """Start from the coordinate median; five times, move by the mean of the differences, each cut to one length.

    The length is the median distance from the start, so it follows how far honest points differ.

    Breakdown: half of the points: each step is then at most the median of honest distances. With `corrupt` = 0 nothing
    is cut: the weighted mean.

    Reference: Karimireddy, He, Jaggi (2021), Learning from History for Byzantine Robust Optimization,
        arXiv:2012.10333, where the start is the last round's momentum; here no round remembers another.
    """
    if not given.corrupt:
        return given.mean
    at = coordinate_median(given)
    longest = float(np.median(np.linalg.norm(given.values - at, axis=1)))
    for _ in range(STEPS):
        gaps = given.values - at
        lengths = np.linalg.norm(gaps, axis=1)
        cut = np.minimum(1.0, longest / np.where(lengths > 0, lengths, 1.0))
        at = at + np.asarray((given.weights * cut) @ gaps, dtype=np.float64)
    return at

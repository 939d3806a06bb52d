"""Smooth terms on public knots: cubic B-splines over a feature's range, with a penalty on second differences."""

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Matrix = NDArray[np.float64]

DEGREE = 3
MAX_SEGMENTS = 40


def basis(scaled: Matrix, *, segments: int) -> Matrix:
    """Return the cubic B-splines of values in [-1, 1] on equal segments, without the first of them.

    The whole basis sums to 1, as the intercept does, so the first is left out; the fitted curve is the same.

    Args:
        scaled: Shape (n,), clipped to [-1, 1]; NaN (missing) gives a row of zeros.
        segments: Equal parts of the range; the knots are public.

    Returns:
        Shape (n, segments + 2), every entry in [0, 1] and every row adding up to at most 1.

    Raises:
        Invalid: fewer than 2 or more than 40 segments.

    Reference: Eilers, Marx (1996), Flexible smoothing with B-splines and penalties, doi:10.1214/ss/1038425655.
    """
    if not 2 <= segments <= MAX_SEGMENTS:
        raise Invalid(f"expected 2 to {MAX_SEGMENTS} segments of a spline, found {segments}")
    missing = ~np.isfinite(scaled)
    place = (np.clip(np.where(missing, 0.0, scaled), -1.0, 1.0) + 1.0) * 0.5 * segments
    segment = np.minimum(place.astype(np.int64), segments - 1)
    t = place - segment
    s = 1.0 - t
    pieces = np.column_stack(
        [s**3, 3 * t**3 - 6 * t**2 + 4, 3 * s**3 - 6 * s**2 + 4, t**3]
    )  # the four splines that are not 0 in a segment, times 6
    whole = np.zeros((len(scaled), segments + DEGREE))
    for offset in range(DEGREE + 1):
        whole[np.arange(len(scaled)), segment + offset] = pieces[:, offset] / 6.0
    whole[missing] = 0.0
    return whole[:, 1:]


def roughness(segments: int) -> Matrix:
    """Return the penalty matrix: sum of squared second differences, shape (segments + 2, segments + 2).

    The left-out first coefficient counts as 0. Straight lines cost nothing.
    """
    differences = np.diff(np.eye(segments + DEGREE), n=2, axis=0)
    return np.asarray((differences.T @ differences)[1:, 1:])

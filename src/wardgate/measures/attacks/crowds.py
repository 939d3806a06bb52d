"""A crowd of synthetic persons around one real person, which tests that count every person once cannot see.

One person is no sample: that the most crowded of all persons is a training person is as likely as not. So how large
a crowd may be is learned from persons never seen, and a crowd around a training person must be far larger.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln

Distances = NDArray[np.float32]
Indices = NDArray[np.int64]
Counts = NDArray[np.int64]

NEAR = 0.5
"""A row crowds around a person if it is nearer than this share of the distance to the next person never seen."""

MOST_UNIFORM = 20.0
"""Largest first parameter of the law: its tail stays heavier than a geometric one, whatever few crowds suggest."""


def crowds(row_distance: Distances, row_person: Indices, reach: Distances) -> Counts:
    """Return how many rows crowd around each person, shape (n,).

    Args:
        row_distance: Distance of each row to the nearest of the persons, shape (m,).
        row_person: That person, shape (m,).
        reach: Distance of each person to the nearest other person never seen, shape (n,). Where it is 0 the person's
            record is popular, and no crowd.
    """
    inside = row_distance < np.float32(NEAR) * reach[row_person]
    return np.bincount(row_person[inside], minlength=len(reach)).astype(np.int64)


def crowded(train: Counts, others: Counts) -> float:
    """Return the p-value of the largest crowd around a training person.

    A beta-geometric law, whose tail is heavier the more the corpus differs in density from place to place, is fitted
    to the crowds around persons never seen. The chance of a crowd as large as the largest one, over all persons of
    the side, is taken for training persons and for persons never seen; the value is the ratio of the two. For a
    corpus that leaks nobody both are alike, and the ratio of two uniform values is below p with a chance of p / 2.
    A law that fits badly shows itself on both sides.

    Args:
        train: Crowds around training persons, shape (n,).
        others: Crowds around persons never seen, shape (h,).
    """
    if not len(train) or not len(others):
        return 1.0
    law = _fitted(others)
    seen = _largest(int(train.max()), len(train), law)
    control = _largest(int(others.max()), len(others), law)
    return float(min(1.0, np.exp(seen - control)))


def _largest(crowd: int, persons: int, law: tuple[float, float]) -> float:
    """Log of the chance that the largest of so many crowds reaches this one."""
    first, second = law
    one = betaln(first, second + crowd) - betaln(first, second)
    alone = np.exp(one)
    return float(
        np.log(-np.expm1(persons * np.log1p(-alone))) if 1e-12 < alone < 1 else min(0.0, one + np.log(persons))
    )


def _fitted(counts: Counts) -> tuple[float, float]:
    """Fit P(crowd >= k) = B(a, b + k) / B(a, b) by maximum likelihood; one more crowd of 1 keeps it from certainty."""
    crowd, times = np.unique(np.append(counts, 1), return_counts=True)

    def loss(logs: NDArray[np.float64]) -> float:
        first, second = np.exp(logs)
        return -float(np.sum(times * (betaln(first + 1, second + crowd) - betaln(first, second))))

    mean = float(np.average(crowd, weights=times))
    ends = (np.log(1.0), np.log(MOST_UNIFORM))
    starts = [np.array([np.log(size), np.log(max(size * mean, 1e-6))]) for size in (3.0, 100.0)]
    found = [minimize(loss, start, method="L-BFGS-B", bounds=(ends, (np.log(1e-6), np.log(1e7)))) for start in starts]
    best = min(found, key=lambda each: float(each.fun))
    first, second = np.exp(best.x)
    return float(first), float(second)

"""One Newton step of ridge logistic regression, as a sum over persons."""

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.newton import Newton, hessian_weight, newton_shape
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.logistic import statistics
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: Newton, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend."""
    part = bench.part(split)
    return step(asked, part.x, part.y)


def step(asked: Newton, x: NDArray[np.float64], y: NDArray[np.int8]) -> Bounded:
    """Return gradient, upper triangle of the Hessian, and (exact only) the log-likelihood.

    Args:
        x: Design, shape (n, p), entries in [-1, 1].
        y: Labels, shape (n,).
    """
    beta, clip = asked.beta, asked.clip
    shape = newton_shape(columns=len(beta), l1_of_beta=float(np.abs(beta).sum()), clip=clip)
    if clip is not None:
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        x = x * np.minimum(1.0, clip / np.maximum(norms, 1e-12))
    sums = statistics(x, y, beta)
    triangle = sums.hessian[np.triu_indices(len(beta))]
    if clip is None:
        vector = np.concatenate([sums.gradient, triangle, [sums.log_likelihood]])
    else:
        vector = np.concatenate([sums.gradient, hessian_weight(clip) * triangle])
    return Bounded(vector=vector, shape=shape, persons=len(y)).checked()

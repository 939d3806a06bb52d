"""One Newton step of ridge logistic regression, as a sum over persons."""

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.newton import Newton, newton_shape
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.logistic import statistics
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: Newton, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend."""
    part = bench.part(split)
    return step(asked, part.x, part.y)


def step(asked: Newton, x: NDArray[np.float64], y: NDArray[np.int8]) -> Bounded:
    """Return gradient, upper triangle of the Hessian, and log-likelihood.

    Args:
        x: Design, shape (n, p), entries in [-1, 1].
        y: Labels, shape (n,).
    """
    beta = asked.beta
    sums = statistics(x, y, beta)
    vector = np.concatenate([sums.gradient, sums.hessian[np.triu_indices(len(beta))], [sums.log_likelihood]])
    shape = newton_shape(columns=len(beta), l1_of_beta=float(np.abs(beta).sum()))
    return Bounded(vector=vector, shape=shape, persons=len(y)).checked()

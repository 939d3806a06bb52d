"""Sums for the recalibration of a model, over persons."""

import numpy as np

from wardgate.computations.platt import HESSIAN_WEIGHT, Platt
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.hospital.ward.learning.scores import scores
from wardgate.measures.evaluation import recalibration_rows
from wardgate.measures.logistic import statistics
from wardgate.models.saving import load
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: Platt, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend."""
    part, shape = bench.part(split), asked.shape(bench.study)
    sums = statistics(
        recalibration_rows(scores(load(asked.model), part.table), largest=asked.largest), part.y, asked.beta
    )
    triangle = sums.hessian[np.triu_indices(2)]
    if asked.noisy:
        vector = np.concatenate([sums.gradient, HESSIAN_WEIGHT * triangle])
    else:
        vector = np.concatenate([sums.gradient, triangle, [sums.log_likelihood]])
    return Bounded(vector=vector, shape=shape, persons=len(part.y)).checked()

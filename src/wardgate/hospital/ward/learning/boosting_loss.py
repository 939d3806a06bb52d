"""The logistic loss after each of the last trees, as a sum over tuning persons."""

import numpy as np

from wardgate.computations.boosting_loss import BoostingLoss
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.trees import added
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: BoostingLoss, *, bench: Bench, split: SplitName) -> Bounded:
    """Return persons and losses."""
    part, bins = bench.part(split), asked.grown.bins(bench.study)
    model, codes = asked.grown.model(bins), bins.codes(part.table)
    score = model.upto(asked.first).scores(codes, bins)
    losses = []
    for count in range(asked.first, len(model) + 1):
        if count > asked.first:
            score = added(model.only(count - 1), codes, bins, score)
        losses.append(float(np.sum(np.logaddexp(0.0, score) - part.y * score)))
    vector = np.array([float(len(part.y)), *losses])
    return Bounded(vector=vector, shape=asked.shape(bench.study), persons=len(part.y)).checked()

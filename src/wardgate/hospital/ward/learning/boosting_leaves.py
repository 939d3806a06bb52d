"""Gradients and Hessians in the leaves of a batch of random trees, as a sum over persons."""

import numpy as np

from wardgate.computations.boosting_leaves import BoostingLeaves
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.hospital.ward.learning.boosting import standing
from wardgate.measures.trees import leaves_of
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: BoostingLeaves, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's sums in every leaf of every tree of the batch."""
    stand = standing(bench, split, asked.grown)
    new = asked.new(stand.bins)
    count = 2**new.depth
    place = leaves_of(new, stand.codes, stand.bins) + count * np.arange(len(new))
    parts = [
        np.bincount(place.ravel(), weights=np.repeat(statistic, len(new)), minlength=count * len(new))
        for statistic in (stand.gradient, asked.weight * stand.hessian)
    ]
    vector = np.concatenate(parts).astype(np.float64)
    return Bounded(vector=vector, shape=asked.shape(bench.study), persons=len(stand.y)).checked()

"""Gradients and Hessians of some nodes by bin, as a sum over persons."""

import numpy as np

from wardgate.computations.boosting_histograms import BoostingHistograms
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.hospital.ward.learning.boosting import standing
from wardgate.measures.histograms import histogram
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: BoostingHistograms, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's histograms of the asked nodes."""
    stand = standing(bench, split, asked.grown)
    slots = stand.slots(asked.above(stand.bins), level=asked.level, nodes=asked.nodes)
    statistics = [stand.gradient, stand.hessian]
    if asked.counts:
        statistics.append(np.ones(len(stand.y)))
    vector = histogram(stand.bins, stand.codes, slots, len(asked.nodes), statistics)
    return Bounded(vector=vector, shape=asked.shape(bench.study), persons=len(stand.y)).checked()

"""Persons over fine bins, as a sum over persons."""

import numpy as np

from wardgate.computations.boosting_bins import BoostingBins
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.hospital.ward.learning.boosting import standing
from wardgate.measures.histograms import histogram
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: BoostingBins, *, bench: Bench, split: SplitName) -> Bounded:
    """Return events, and the histogram of four times the Hessian."""
    stand = standing(bench, split, asked.grown)
    everyone = np.zeros(len(stand.y), dtype=np.int64)
    mass = histogram(stand.bins, stand.codes, everyone, 1, [4.0 * stand.hessian])
    vector = np.concatenate([[float(stand.y.sum())], mass])
    return Bounded(vector=vector, shape=asked.shape(bench.study), persons=len(stand.y)).checked()

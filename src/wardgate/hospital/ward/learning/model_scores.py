"""A model's scores in bins by outcome, as a sum over persons."""

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.model_scores import ModelScores
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.hospital.ward.learning.scores import scores
from wardgate.models.saving import load
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: ModelScores, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend."""
    part = bench.part(split)
    shape = asked.shape(bench.study)
    vector = binned(scores(load(asked.model), part.table), part.y, asked.edges)
    return Bounded(vector=vector, shape=shape, persons=len(part.y)).checked()


def binned(p: NDArray[np.float64], y: NDArray[np.int8], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return events per bin, non-events per bin, sum of scores per bin, and the sum of squared errors.

    Args:
        p: Scores, shape (n,).
        y: Labels, shape (n,).
        edges: Shape (b - 1,).
    """
    place, bins = np.searchsorted(edges, p, side="right"), len(edges) + 1
    events = np.bincount(place, weights=y, minlength=bins)
    every = np.bincount(place, minlength=bins)
    predicted = np.bincount(place, weights=p, minlength=bins)
    return np.concatenate([events, every - events, predicted, [float(np.sum((p - y) ** 2))]])

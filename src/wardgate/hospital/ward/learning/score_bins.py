"""A model's scores in bins by outcome, as a sum over persons: enough for AUROC, O/E, slope and curves."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.score_bins import ScoreBins, score_bins_shape
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.calibration import recalibrate
from wardgate.measures.logistic import linear, probability
from wardgate.measures.subgroups import subgroup_masks
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: ScoreBins, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend."""
    part = bench.part(split)
    beta = bench.local_model() if asked.beta is None else asked.beta
    logits = linear(part.x, beta)
    if asked.prior_deviation is not None:
        logits = logits + _shift(bench, beta, asked.prior_deviation)
    masks = subgroup_masks(bench.study, part.table)[: asked.subgroups]
    return binned(asked, logits, part.y, [mask for _, mask in masks])


def binned(
    asked: ScoreBins, logits: NDArray[np.float64], y: NDArray[np.int8], groups: Sequence[NDArray[np.bool_]]
) -> Bounded:
    """Return, overall and then for each group: events per bin, non-events per bin, sum of predictions.

    Args:
        logits: Scores, shape (n,).
        y: Labels, shape (n,).
        groups: One membership mask of shape (n,) for each group.
    """
    everyone = np.ones(len(y), dtype=bool)
    parts = [_part(asked, logits, y, everyone, asked.bins)]
    parts += [_part(asked, logits, y, mask, asked.subgroup_bins) for mask in groups]
    shape = score_bins_shape(bins=asked.bins, subgroups=len(groups), subgroup_bins=asked.subgroup_bins)
    return Bounded(vector=np.concatenate(parts), shape=shape, persons=len(y)).checked()


def _part(
    asked: ScoreBins, logits: NDArray[np.float64], y: NDArray[np.int8], mask: NDArray[np.bool_], bins: int
) -> NDArray[np.float64]:
    width = (asked.high - asked.low) / bins
    place = np.clip(np.floor((logits[mask] - asked.low) / width), 0, bins - 1).astype(np.int64)
    events = np.bincount(place, weights=y[mask], minlength=bins)
    every = np.bincount(place, minlength=bins)
    return np.concatenate([events, every - events, [float(probability(logits[mask]).sum())]])


def _shift(bench: Bench, beta: NDArray[np.float64], prior_deviation: float) -> float:
    """Return this site's own intercept shift, from a few training records. It leaves only inside a sum."""
    train, records = bench.part("train"), bench.study.recalibration_records
    return recalibrate(train.y[:records], linear(train.x[:records], beta), prior_deviation=prior_deviation).value

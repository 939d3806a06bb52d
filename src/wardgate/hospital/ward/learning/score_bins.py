"""A model's scores in bins by outcome, as a sum over persons: enough for AUROC, O/E, slope and curves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.logistic import probability
from wardgate.sums.shape import Bounded, score_bins_shape


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBins:
    """Public parameters of the bins: equal widths on the logit scale, the outer bins open.

    Attributes:
        bins: Number of bins overall.
        subgroup_bins: Number of bins in each subgroup.
        low, high: Logits at the outer edges.
    """

    bins: int
    subgroup_bins: int
    low: float
    high: float

    def __call__(
        self, logits: NDArray[np.float64], y: NDArray[np.int8], groups: Sequence[NDArray[np.bool_]]
    ) -> Bounded:
        """Return, overall and then for each group: events per bin, non-events per bin, sum of predictions.

        Args:
            logits: Scores, shape (n,).
            y: Labels, shape (n,).
            groups: One membership mask of shape (n,) for each group.
        """
        everyone = np.ones(len(y), dtype=bool)
        parts = [self._part(logits, y, everyone, self.bins)]
        parts += [self._part(logits, y, mask, self.subgroup_bins) for mask in groups]
        shape = score_bins_shape(bins=self.bins, subgroups=len(groups), subgroup_bins=self.subgroup_bins)
        return Bounded(vector=np.concatenate(parts), shape=shape, persons=len(y)).checked()

    def _part(
        self, logits: NDArray[np.float64], y: NDArray[np.int8], mask: NDArray[np.bool_], bins: int
    ) -> NDArray[np.float64]:
        width = (self.high - self.low) / bins
        place = np.clip(np.floor((logits[mask] - self.low) / width), 0, bins - 1).astype(np.int64)
        events = np.bincount(place, weights=y[mask], minlength=bins)
        every = np.bincount(place, minlength=bins)
        return np.concatenate([events, every - events, [float(probability(logits[mask]).sum())]])

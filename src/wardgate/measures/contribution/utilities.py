"""What a model is worth on the holdouts, from their class means and covariances: scores taken as normal by class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from wardgate.measures.contribution.statistics import Tested
from wardgate.records.canonical import text_of
from wardgate.records.errors import Invalid

Array = NDArray[np.float64]

TINY = 1e-24


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """Utilities of models on one holdout.

    Attributes:
        test: Its persons.
        thresholds: Risks from which one treats, in (0, 1).
    """

    test: Tested
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(0 < one < 1 for one in self.thresholds) or len(set(self.thresholds)) != len(self.thresholds):
            raise Invalid(f"expected different thresholds between 0 and 1, found {list(self.thresholds)}")

    @property
    def names(self) -> tuple[str, ...]:
        """`auroc`, `net_benefit@T` for each threshold, and `worst_site` where two groups can be judged."""
        worst = ("worst_site",) if int(self.test.judged.sum()) >= 2 else ()
        return ("auroc", *(f"net_benefit@{text_of(one)}" for one in self.thresholds), *worst)

    def __call__(self, models: Array, spread: Array | None = None) -> Array:
        """Return the worth of each model, shape (C, len(names)).

        Args:
            models: Log-odds coefficients, shape (C, p).
            spread: Covariance of coefficients that chance gave, shape (C, p, p); the worth expected is then returned.

        A model that gives everybody one risk has AUROC 0.5 and the net benefit of treating all or nobody.
        """
        test = self.test
        centres = models @ test.means.T
        variances = np.stack([np.sum((models @ one) * models, axis=1) for one in test.covariances], axis=1)
        gap = 0.0
        if spread is not None:
            variances = variances + np.stack([np.sum(spread * one, axis=(1, 2)) for one in test.covariances], axis=1)
            own = np.stack([np.sum((spread @ mean) * mean, axis=1) for mean in test.means], axis=1)
            difference = test.means[1] - test.means[0]
            gap = np.maximum(np.sum((spread @ difference) * difference, axis=1), 0.0)
        else:
            own = np.zeros_like(variances)
        variances, own = np.maximum(variances, 0.0), np.maximum(own, 0.0)  # sums with noise may go below
        apart = variances.sum(axis=1)
        columns = [ndtr((centres[:, 1] - centres[:, 0]) / np.sqrt(apart + gap + TINY))]
        for threshold in self.thresholds:
            above = (centres - np.log(threshold / (1.0 - threshold))) / np.sqrt(variances + own + TINY)
            false = (1.0 - test.prevalence) * ndtr(above[:, 0]) * threshold / (1.0 - threshold)
            columns.append(test.prevalence * ndtr(above[:, 1]) - false)
        if "worst_site" in self.names:
            columns.append(self._worst(models, spread, apart))
        return np.stack(columns, axis=1)

    def _worst(self, models: Array, spread: Array | None, apart: Array) -> Array:
        differences = (self.test.group_means[:, 1] - self.test.group_means[:, 0])[self.test.judged]
        reach = models @ differences.T
        width = np.broadcast_to(apart[:, None], reach.shape)
        if spread is not None:
            own = np.stack([np.sum((spread @ one) * one, axis=1) for one in differences], axis=1)
            width = width + np.maximum(own, 0.0)
        return np.asarray(ndtr(reach / np.sqrt(width + TINY)).min(axis=1))


def meanings(names: Sequence[str]) -> dict[str, str]:
    """Return what each utility is, in words."""
    found = {}
    for name in names:
        if name == "auroc":
            found[name] = "AUROC over all holdouts; a coalition of nobody has 0.5"
        elif name == "worst_site":
            found[name] = "AUROC of the block where the model does worst; a coalition of nobody has 0.5"
        else:
            threshold = float(name.split("@")[1])
            found[name] = (
                f"net benefit when treating from a risk of {threshold:.0%}; a coalition of nobody treats"
                " everybody or nobody, whichever its prevalence says"
            )
    return found

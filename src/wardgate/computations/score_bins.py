"""A model's scores in bins by outcome: enough for AUROC, O/E, slope and curves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.measures.encoding import design_columns
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.opening import LOCAL, digest_of
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

MOST_BINS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBins:
    """Overall and then for each subgroup: events per bin, non-events per bin, sum of predictions.

    Bins have equal widths on the logit scale, and the outer ones are open.

    Attributes:
        model: Its name in the fixed list; `local` stands for each site's own model.
        beta: Its coefficients, shape (p,); None for `local`.
        bins, subgroup_bins: Number of bins overall, and in each subgroup.
        low, high: Logits at the outer edges.
        subgroups: How many of the study's subgroups are counted apart.
        listed: The fixed list of models for which the locked test is opened.
        prior_deviation: Given, each site first shifts the model's intercept by its own few training records.
    """

    name: ClassVar[str] = "score_bins"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("holdout", "locked_test")

    model: str
    beta: Vector | None
    bins: int
    subgroup_bins: int
    low: float
    high: float
    subgroups: int
    listed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    prior_deviation: float | None = None

    def parameters(self) -> dict[str, Any]:
        shifted = {} if self.prior_deviation is None else {"prior_deviation": text_of(self.prior_deviation)}
        return {
            **shifted,
            "model": self.model,
            "bins": self.bins,
            "subgroup_bins": self.subgroup_bins,
            "low": text_of(self.low),
            "high": text_of(self.high),
            "subgroups": self.subgroups,
            "listed": dict(self.listed),
            "models_sha256": digest_of(self.listed),
        }

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return () if self.beta is None else (("beta", self.beta),)

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        try:
            model = str(parameters["model"])
            prior = parameters.get("prior_deviation")
            found = cls(
                model=model,
                beta=None if model == LOCAL else arrays.get("beta"),
                bins=int(parameters["bins"]),
                subgroup_bins=int(parameters["subgroup_bins"]),
                low=number_of(parameters["low"]),
                high=number_of(parameters["high"]),
                subgroups=int(parameters["subgroups"]),
                listed=dict(parameters.get("listed", {})),
                prior_deviation=None if prior is None else number_of(prior),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Invalid("the parameters of score bins are incomplete or of another form") from error
        if not (1 <= found.bins <= MOST_BINS and 1 <= found.subgroup_bins <= MOST_BINS and found.subgroups >= 0):
            raise Invalid(f"expected 1 to {MOST_BINS} bins, found {found.bins} and {found.subgroup_bins}")
        if not found.low < found.high:
            raise Invalid("expected bins from a lower to a higher logit")
        if found.beta is None and model != LOCAL:
            raise Invalid("the question names a model and brings no coefficients 'beta'")
        return found

    def shape(self, study: Study) -> Shape:
        """A person falls into one bin overall and into at most one group of each subgroup feature.

        `subgroups` counts groups, so the L2 bound takes a person to be in all of them.
        """
        columns = len(design_columns(study.features))
        if self.beta is not None and self.beta.shape != (columns,):
            raise Invalid(f"'beta' must hold {columns} coefficients, found shape {self.beta.shape}")
        return score_bins_shape(bins=self.bins, subgroups=self.subgroups, subgroup_bins=self.subgroup_bins)


def score_bins_shape(*, bins: int, subgroups: int, subgroup_bins: int) -> Shape:
    """Shape of the bins, overall and per subgroup."""
    entries = 2 * bins + 1 + subgroups * (2 * subgroup_bins + 1)
    return Shape(bound=np.ones(entries), l2=float(np.sqrt(2.0 * (1 + subgroups))))

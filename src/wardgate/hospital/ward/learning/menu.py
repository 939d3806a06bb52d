"""The ward's answer to each federated computation, by its word."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

from wardgate.hospital.ward.learning import (
    boosting_bins,
    boosting_histograms,
    boosting_leaves,
    boosting_loss,
    class_moments,
    cox,
    critic,
    glm,
    likeness,
    marginals,
    model_scores,
    moments,
    network_gradient,
    network_update,
    network_votes,
    newton,
    platt,
    score_bins,
    summaries,
    tables,
)
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


class Answering(Protocol):
    """A module that answers one computation."""

    def answer(self, asked: Any, *, bench: Bench, split: SplitName) -> Bounded:
        """Return this site's addend."""
        ...


ANSWERS: Mapping[str, Answering] = MappingProxyType(
    {
        "newton": newton,
        "score_bins": score_bins,
        "marginals": marginals,
        "boosting_bins": boosting_bins,
        "boosting_histograms": boosting_histograms,
        "boosting_leaves": boosting_leaves,
        "boosting_loss": boosting_loss,
        "glm": glm,
        "cox": cox,
        "summaries": summaries,
        "moments": moments,
        "tables": tables,
        "model_scores": model_scores,
        "platt": platt,
        "critic": critic,
        "class_moments": class_moments,
        "network_update": network_update,
        "network_gradient": network_gradient,
        "network_votes": network_votes,
        "likeness": likeness,
    }
)

"""All federated computations by their word. A new one is a file here, one in the ward, and one at the hub."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from wardgate.computations.boosting_bins import BoostingBins
from wardgate.computations.boosting_histograms import BoostingHistograms
from wardgate.computations.boosting_leaves import BoostingLeaves
from wardgate.computations.boosting_loss import BoostingLoss
from wardgate.computations.class_moments import ClassMoments
from wardgate.computations.computation import Computation, Vector
from wardgate.computations.cox import Cox
from wardgate.computations.critic import Critic
from wardgate.computations.glm import Glm
from wardgate.computations.likeness import Likeness
from wardgate.computations.marginals import Marginals
from wardgate.computations.model_scores import ModelScores
from wardgate.computations.moments import Moments
from wardgate.computations.network_gradient import NetworkGradient
from wardgate.computations.network_update import NetworkUpdate
from wardgate.computations.network_votes import NetworkVotes
from wardgate.computations.newton import Newton
from wardgate.computations.platt import Platt
from wardgate.computations.score_bins import ScoreBins
from wardgate.computations.summaries import Summaries
from wardgate.computations.tables import Tables
from wardgate.records.canonical import number_of
from wardgate.records.errors import Invalid
from wardgate.records.messages import Question
from wardgate.records.parcel import unpack_vector

MENU: Mapping[str, type[Computation]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Newton,
            ScoreBins,
            Marginals,
            BoostingBins,
            BoostingHistograms,
            BoostingLeaves,
            BoostingLoss,
            Glm,
            Cox,
            Summaries,
            Moments,
            Tables,
            ModelScores,
            Platt,
            Critic,
            ClassMoments,
            NetworkUpdate,
            NetworkGradient,
            NetworkVotes,
            Likeness,
        )
    }
)
"""Every computation that is answered by a sum."""

OF_THE_CHAIN = frozenset({Newton.name, ScoreBins.name, Marginals.name})
"""What every study needs; anything else is answered only where the locked study lists it under `analyses`."""


def probability_of(question: Question) -> float:
    """Return with which chance every person falls, in secret, into the sum that is asked for; 1 for most.

    Raises:
        Invalid: a question of a sampled sum states none.
    """
    if question.computation != NetworkGradient.name:
        return 1.0
    return number_of(question.parameters.get("probability", ""))


def read(question: Question, blobs: Sequence[bytes]) -> Computation:
    """Return what a question asks for.

    Args:
        blobs: The raw vectors beside the question, as its signed references name them.

    Raises:
        Invalid: no such computation, parameters that describe none, or a vector that is not finite.
    """
    kind = MENU.get(question.computation)
    if kind is None:
        raise Invalid(f"'{question.computation}' is answered by no sum")
    arrays: dict[str, Vector] = {}
    for ref, blob in zip(question.vectors, blobs, strict=True):
        if ref.name in arrays:
            raise Invalid(f"the question brings two vectors under one name, '{ref.name}'")
        found = np.asarray(unpack_vector(ref, blob), dtype=np.float64)
        if not np.all(np.isfinite(found)):
            raise Invalid(f"the vector '{ref.name}' beside the question is not finite")
        arrays[ref.name] = found
    return kind.read(question.parameters, arrays)

"""One step of private training: the sum over persons of a network's gradient, each person's cut to one L2 norm.

Noise is added once for all hospitals, so a step costs what DP-SGD on the pooled persons would cost. The batch is drawn
in secret at each hospital, every person by itself with one chance (Poisson sampling), which is what the accountant
assumes.

References: Abadi et al. (2016), Deep Learning with Differential Privacy, arXiv:1607.00133; Mironov, Talwar, Zhang
    (2019), Renyi Differential Privacy of the Sampled Gaussian Mechanism, arXiv:1908.10530.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.computations.networks import check_weights, pinned
from wardgate.measures.layers.tensors import tensors
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid, Refused
from wardgate.records.messages import SplitName
from wardgate.records.network import Architecture
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

LENGTHS = (1e-6, 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkGradient:
    """The sum over a secret batch of each person's gradient of the loss, in parts of `longest`; L2 norm at most 1.

    Weights can be chosen so that a gradient is one person's row; so these sums are answered with noise or not at all.
    A network with batch norms has no gradient of one person, and is refused.

    Attributes:
        network, sha256: Which network of the study, and its digest.
        weights: Where the gradient is taken, shape (size,).
        longest: The L2 norm to which a person's gradient is cut.
        probability: With which every person falls into the batch; 1 takes everybody.
    """

    name: ClassVar[str] = "network_gradient"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    network: str
    sha256: str
    weights: Vector
    longest: float
    probability: float = 1.0

    def __post_init__(self) -> None:
        if not LENGTHS[0] <= self.longest <= LENGTHS[1]:
            raise Invalid(f"expected a 'longest' from {LENGTHS[0]:g} to {LENGTHS[1]:g}, found {self.longest}")
        if not 0 < self.probability <= 1:
            raise Invalid(f"expected a probability in (0, 1], found {self.probability}")

    def parameters(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "sha256": self.sha256,
            "longest": text_of(self.longest),
            "probability": text_of(self.probability),
        }

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return (("weights", self.weights),)

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        if set(parameters) != {"network", "sha256", "longest", "probability"} or set(arrays) != {"weights"}:
            raise Invalid("a gradient needs 'network', 'sha256', 'longest', 'probability' and 'weights', nothing else")
        network, digest = parameters["network"], parameters["sha256"]
        if not isinstance(network, str) or not isinstance(digest, str):
            raise Invalid("'network' and 'sha256' must be text")
        return cls(
            network=network,
            sha256=digest,
            weights=arrays["weights"],
            longest=number_of(parameters["longest"]),
            probability=number_of(parameters["probability"]),
        )

    def over(self, study: Study) -> Architecture:
        """Return the network, if the study locks it, a person has a gradient in it, and the weights fit it.

        Raises:
            Invalid: as said there.
        """
        architecture = pinned(study, network=self.network, sha256=self.sha256)
        if any(not tensor.learnt for tensor in tensors(architecture)):
            raise Invalid(
                f"network '{self.network}' has batch norms, in which every person's gradient holds the others'; use"
                " 'group_norm' for training with noise"
            )
        check_weights(architecture, self.weights)
        return architecture

    def shape(self, study: Study) -> Shape:
        self.over(study)
        return Shape(bound=np.ones(len(self.weights)), l2=1.0)

    def check_noise(self, noise_multiplier: float | None) -> None:
        """Check that a sum of these gradients bears noise; a hospital asks before it answers.

        Raises:
            Refused: it does not.
        """
        if noise_multiplier is None:
            raise Refused(
                "gradients of a network are summed with noise or not at all: without, crafted weights show a single"
                " person's row"
            )

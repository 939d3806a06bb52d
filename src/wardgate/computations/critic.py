"""What the real persons say of a critic: one step of a generative adversarial network over hospitals.

A critic scores how real a row looks; D(x) is the log-odds that x is a person and no synthetic row. Its loss on a person
is softplus(-D(x)). Nothing else of the network ever touches a patient: synthetic rows, and the generator that learns
from the critic, are the hub's own affair.

References: Goodfellow et al. (2014), Generative Adversarial Networks, arXiv:1406.2661; Xie et al. (2018),
    Differentially Private Generative Adversarial Network, arXiv:1802.06739.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.marginals.domain import Codes, Domain, domain_of
from wardgate.marginals.workload import Groups
from wardgate.measures.logistic import probability
from wardgate.measures.perceptron import Perceptron
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid, Refused
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

MOST_LAYERS = 3
MOST_WEIGHTS = 1_000_000

LARGEST_WEIGHT = 1e4
LENGTHS = (1e-6, 1e6)
"""Limits of what a question brings. Within them no row, whatever it holds, can bring the arithmetic out of range: an
answer must not fail for some persons and not for others, or failing would be an answer of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Critic:
    """The sum over persons of the gradient of a critic's loss, each person's cut to one L2 norm.

    A person's gradient is told in parts of that norm, so one person moves the vector by at most 1, whatever weights
    the question brings. Weights can be chosen so that one unit lights up for one person alone and its gradient is that
    person's row; so these sums are answered with noise or not at all.

    Attributes:
        groups: For every column of the domain and every cell of it, the group in which the critic sees it.
        hidden: Units of each hidden layer.
        weights: Of the critic, as `Perceptron` lays them out.
        longest: The L2 norm to which a person's gradient is cut.
    """

    name: ClassVar[str] = "critic"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    groups: Groups
    hidden: tuple[int, ...]
    weights: Vector
    longest: float

    def __post_init__(self) -> None:
        if not 1 <= len(self.hidden) <= MOST_LAYERS or min(self.hidden) < 1:
            raise Invalid(f"expected 1 to {MOST_LAYERS} hidden layers of at least one unit, found {list(self.hidden)}")
        if not LENGTHS[0] <= self.longest <= LENGTHS[1]:
            raise Invalid(f"expected a 'longest' from {LENGTHS[0]:g} to {LENGTHS[1]:g}, found {self.longest}")
        if self.weights.ndim != 1 or len(self.weights) > MOST_WEIGHTS:
            raise Invalid(f"expected a vector of at most {MOST_WEIGHTS} weights")
        if not np.all(np.abs(self.weights) <= LARGEST_WEIGHT):
            raise Invalid(f"a weight of the critic is not finite, or larger than {LARGEST_WEIGHT:g}")

    def parameters(self) -> dict[str, Any]:
        return {
            "hidden": list(self.hidden),
            "longest": text_of(self.longest),
            "groups": [list(groups) for groups in self.groups],
        }

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return (("weights", self.weights),)

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        strange = sorted(set(parameters) ^ {"hidden", "longest", "groups"}) + sorted(set(arrays) ^ {"weights"})
        if strange:
            raise Invalid(f"a critic has 'hidden', 'longest', 'groups' and 'weights'; '{strange[0]}' is amiss")
        hidden, groups = parameters["hidden"], parameters["groups"]
        if not _whole_numbers(hidden) or not isinstance(groups, list | tuple) or not all(map(_whole_numbers, groups)):
            raise Invalid("'hidden' must be a list of whole numbers, and 'groups' one such list for each column")
        return cls(
            groups=tuple(tuple(one) for one in groups),
            hidden=tuple(hidden),
            weights=arrays["weights"],
            longest=number_of(parameters["longest"]),
        )

    def over(self, study: Study) -> Domain:
        """Return the study's cells, if the groups are groups of them.

        Raises:
            Invalid: they are not.
        """
        domain = domain_of(study.features)
        if len(self.groups) != len(domain.columns):
            raise Invalid(
                f"expected groups for {len(domain.columns)} columns, the label's last, found {len(self.groups)}"
            )
        for column, groups in zip(domain.columns, self.groups, strict=True):
            if len(groups) != column.size or set(groups) != set(range(max(groups, default=-1) + 1)):
                raise Invalid(f"groups of '{column.name}' must number its {column.size} cells from 0 without gaps")
        return domain

    @property
    def network(self) -> Perceptron:
        """The critic's layers."""
        return network_of(self.groups, self.hidden)

    def shape(self, study: Study) -> Shape:
        self.over(study)
        size = self.network.size
        if len(self.weights) != size:
            raise Invalid(f"expected {size} weights of a critic of this study, found {len(self.weights)}")
        return Shape(bound=np.ones(size), l2=1.0)

    def check_noise(self, noise_multiplier: float | None) -> None:
        """Check that a sum of these gradients bears noise; a hospital asks before it answers.

        Raises:
            Refused: it does not.
        """
        if noise_multiplier is None:
            raise Refused(
                "a critic's gradients are summed with noise or not at all: without, a crafted critic shows"
                " a single person's row"
            )


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(type(one) is int for one in value)


def network_of(groups: Groups, hidden: tuple[int, ...]) -> Perceptron:
    """Return the layers of a critic that sees rows in these groups."""
    return Perceptron(widths=(sum(max(one) + 1 for one in groups), *hidden, 1))


def shown(codes: Codes, groups: Groups) -> Vector:
    """Return rows as a critic sees them: for each column an indicator of each group, shape (n, groups)."""
    firsts = np.cumsum([0, *(max(cells) + 1 for cells in groups)])
    found = np.zeros((len(codes), int(firsts[-1])))
    every = np.arange(len(codes))
    for column, cells in enumerate(groups):
        found[every, firsts[column] + np.asarray(cells, dtype=np.int64)[codes[:, column]]] = 1.0
    return found


def real_gradient(network: Perceptron, weights: Vector, x: Vector, *, longest: float) -> Vector:
    """Return the summed cut gradients of softplus(-D) over rows that shall look real, shape (weights,)."""
    outs = network.forward(weights, x)
    return network.clipped(weights, outs, -probability(-outs[-1]), longest=longest)


def fake_gradient(network: Perceptron, weights: Vector, x: Vector, *, longest: float) -> Vector:
    """Return the same of softplus(D) over synthetic rows, cut alike so that equal tables cancel."""
    outs = network.forward(weights, x)
    return network.clipped(weights, outs, probability(outs[-1]), longest=longest)

"""One round of training a network at the hospitals: how far each moved the common weights, summed.

Each hospital trains on its own persons from the weights that the question brings, cuts its change to one L2 norm, and
answers with the change times what it counts for. So the hub learns the mean change of at least three hospitals and
nothing of any one.

References: McMahan et al. (2017), Communication-Efficient Learning of Deep Networks from Decentralized Data,
    arXiv:1602.05629; Li et al. (2020), FedProx, arXiv:1812.06127; Karimireddy et al. (2020), SCAFFOLD,
    arXiv:1910.06378; Li et al. (2021), FedBN, arXiv:2102.07623; Li et al. (2021), Ditto, arXiv:2012.04221; Arivazhagan
    et al. (2019), FedPer, arXiv:1912.00818.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.computations.networks import check_weights, pinned
from wardgate.measures.layers.tensors import Tensor, tensors
from wardgate.measures.layers.traps import check_traps
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid, Refused
from wardgate.records.messages import SplitName
from wardgate.records.network import Architecture
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

Stays = Literal["norms", "head"]
"""What stays at each hospital: everything of its norms (FedBN), or its last layer with weights (local heads)."""

LARGEST_LOSS = 10.0
"""What one person adds to a sum of losses, at most."""

LENGTHS = (1e-6, 1e6)

OUTCOMES = ("trained", "one-class", "no-persons", "not-finite", "diverged", "out-of-memory")
"""What a hospital may say of its round, where nothing has noise.

`one-class` trained too: it has fewer persons of one class than the study's smallest cell, which may be none.
"""

SAT_OUT = ("no-persons", "not-finite", "diverged", "out-of-memory")
"""Who says so moved nothing and counts for nothing."""


def check_sitting_out(said: Mapping[str, str], *, sites: int, least: int) -> None:
    """Check that a hospital that sat out may answer zeros, which thin the sum by one hospital.

    In a sum over fewer than twice `least` hospitals it refuses instead, and the sum stays closed: were others to sit
    out too, what is left would be the change of one or two.

    Args:
        said: As in `Bounded.said`.
        sites: In the sum.
        least: Fewest sites of a sum.

    Raises:
        Refused: it sat out, and they are too few.
    """
    word = said.get("training", "")
    if word in SAT_OUT and sites < 2 * least:
        raise Refused(
            f"this hospital cannot train in this round ({word}), and among fewer than {2 * least} hospitals it does not"
            " answer zeros instead: too little would hide the others"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How a hospital trains in one round. Public, the same for all.

    Attributes:
        steps: Of the optimiser; each takes one batch.
        batch: Persons in it; everybody where there are fewer.
        optimiser, rate, momentum, decay: Of the steps; `momentum` only of `sgd`, `decay` is weight decay.
        towards: FedProx: half of this times the squared distance from the round's start joins the loss.
        scaffold: Whether control variates correct each step; they stay at the hospital, their mean change is summed.
        personal: Ditto: pull of a second model of the hospital's own towards the common one; None keeps none.
        stays: What is not shared and stays at the hospital.
        longest: L2 norm to which a hospital's change is cut.
        weighing: A hospital counts for its training persons, or, as noise asks for, every hospital for one.
    """

    steps: int = 20
    batch: int = 64
    optimiser: Literal["sgd", "adam"] = "sgd"
    rate: float = 0.1
    momentum: float = 0.0
    decay: float = 0.0
    towards: float = 0.0
    scaffold: bool = False
    personal: float | None = None
    stays: tuple[Stays, ...] = ()
    longest: float = 10.0
    weighing: Literal["persons", "sites"] = "persons"

    def __post_init__(self) -> None:
        if not (1 <= self.steps <= 100_000 and 1 <= self.batch <= 1_000_000):
            raise Invalid(
                f"expected 1 to 100,000 steps and a batch of 1 to 1,000,000, found {self.steps}, {self.batch}"
            )
        if self.optimiser not in ("sgd", "adam") or self.weighing not in ("persons", "sites"):
            raise Invalid("the optimiser is 'sgd' or 'adam', and hospitals count by 'persons' or by 'sites'")
        if not (0 < self.rate <= 10 and 0 <= self.momentum < 1 and 0 <= self.decay <= 1 and 0 <= self.towards <= 1e4):
            raise Invalid("expected a rate in (0, 10], momentum in [0, 1), decay in [0, 1] and a pull of 0 to 10,000")
        if self.personal is not None and not 0 <= self.personal <= 1e4:
            raise Invalid(f"expected a pull of the personal model of 0 to 10,000, found {self.personal}")
        if not LENGTHS[0] <= self.longest <= LENGTHS[1]:
            raise Invalid(f"expected a 'longest' from {LENGTHS[0]:g} to {LENGTHS[1]:g}, found {self.longest}")
        if len(set(self.stays)) != len(self.stays) or set(self.stays) - {"norms", "head"}:
            raise Invalid(f"'norms' and 'head' may stay at a hospital, found {list(self.stays)}")
        if self.scaffold and (self.optimiser != "sgd" or self.momentum or self.weighing == "sites"):
            raise Invalid("control variates go with plain SGD and with hospitals that count by persons")

    def plain(self) -> dict[str, Any]:
        """Return it as JSON, numbers that are no integers as text."""
        found: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            found[one.name] = text_of(value) if type(value) is float else list(value) if one.name == "stays" else value
        return found

    @classmethod
    def from_plain(cls, value: Any) -> Self:
        """Read what `plain` wrote.

        Raises:
            Invalid: a field is missing, unknown or of another type.
        """
        names = {one.name: one for one in fields(cls)}
        if not isinstance(value, Mapping) or set(value) != set(names):
            raise Invalid("a round's work names every setting and no other")
        read: dict[str, Any] = {}
        for name, found in value.items():
            match name:
                case "steps" | "batch":
                    good = type(found) is int
                case "scaffold":
                    good = type(found) is bool
                case "optimiser" | "weighing":
                    good = isinstance(found, str)
                case "stays":
                    good, found = (
                        isinstance(found, list | tuple),
                        tuple(found) if isinstance(found, list | tuple) else (),
                    )
                case _:
                    good = isinstance(found, str) or (name == "personal" and found is None)
                    found = number_of(found) if isinstance(found, str) else found
            if not good:
                raise Invalid(f"'{name}' of a round's work is of another type than expected")
            read[name] = found
        return cls(**read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the sum of one round says.

    Attributes:
        weight: What the hospitals that trained count for together: their training persons, or their number.
        change: Mean change of the shared numbers, as long as the flat vector; 0 where a tensor stays.
        control: Sum of changes of control variates, each times the hospital's persons; empty without SCAFFOLD.
        before, after: Mean loss of their training persons before and after, each cut at `LARGEST_LOSS`; NaN where
            hospitals count by number, since noise would have to cover it.
    """

    weight: float
    change: Vector
    control: Vector
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkUpdate:
    """How far hospitals move the weights in one round.

    The vector holds the change of every shared number, then with SCAFFOLD that of the control variates, then, where
    hospitals count by persons, how many persons trained and their losses before and after.

    Attributes:
        network, sha256: Which network of the study, and its digest.
        number: Of the round, from 0; it goes into the hospital's seed.
        weights: Where everybody starts, shape (size,).
        work: How they train.
        control: The common control variate, shape (size,); empty without SCAFFOLD.
    """

    name: ClassVar[str] = "network_update"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    network: str
    sha256: str
    number: int
    weights: Vector
    work: Work
    control: Vector

    def parameters(self) -> dict[str, Any]:
        return {"network": self.network, "sha256": self.sha256, "number": self.number, "work": self.work.plain()}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        control = (("control", self.control),) if self.work.scaffold else ()
        return (("weights", self.weights), *control)

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        if set(parameters) != {"network", "sha256", "number", "work"}:
            raise Invalid("a round names 'network', 'sha256', 'number' and 'work'")
        network, digest, number = parameters["network"], parameters["sha256"], parameters["number"]
        if not isinstance(network, str) or not isinstance(digest, str) or type(number) is not int or number < 0:
            raise Invalid("'network' and 'sha256' must be text, and 'number' a whole number from 0")
        work = Work.from_plain(parameters["work"])
        if set(arrays) != {"weights", *(("control",) if work.scaffold else ())}:
            raise Invalid("a round brings 'weights', with SCAFFOLD 'control' too, and nothing else")
        control = arrays["control"] if work.scaffold else np.zeros(0)
        return cls(network=network, sha256=digest, number=number, weights=arrays["weights"], work=work, control=control)

    def over(self, study: Study) -> Architecture:
        """Return the network, if the study locks it and the vectors fit it.

        Raises:
            Invalid: as said there.
        """
        architecture = pinned(study, network=self.network, sha256=self.sha256)
        check_weights(architecture, self.weights)
        if self.work.scaffold:
            check_weights(architecture, self.control)
        return architecture

    def shape(self, study: Study) -> Shape:
        """A person adds at most `longest` to a number by the weight of its hospital; see `check_noise` for noise."""
        architecture = self.over(study)
        moved = int(shared(architecture, self.work.stays).sum())
        longest = self.work.longest
        if self.work.weighing == "sites":
            # Whatever one person is, its hospital's change stays within `longest`, so it moves by twice that at most.
            return Shape(bound=np.full(moved, 2.0 * longest), l2=2.0 * longest)
        control = (
            np.full(int(moves(architecture, self.work.stays).sum()), longest) if self.work.scaffold else np.zeros(0)
        )
        bound = np.concatenate([np.full(moved, longest), control, [1.0, LARGEST_LOSS, LARGEST_LOSS]])
        return Shape(bound=bound, l2=float(np.linalg.norm(bound)))

    def check_noise(self, noise_multiplier: float | None) -> None:
        """Check that a sum with noise is one that noise can cover; a hospital asks before it answers.

        Raises:
            Refused: noise, and hospitals that count by persons; one person then changes what the others count for.
        """
        if noise_multiplier is not None and self.work.weighing != "sites":
            raise Refused(
                "a sum of changes has noise only where every hospital counts for one: set weighing to 'sites'"
            )

    def check_exact(self, study: Study, *, persons_at_least: int | None = None) -> None:
        """Check that the weights of a sum without noise were not made to hold single persons.

        Args:
            persons_at_least: In the whole sum, in public.

        Raises:
            Refused: they were; see `measures.layers.traps`.
        """
        _ordinary(self.over(study), self.weights.tobytes(), persons_at_least)

    def heard(self, total: Vector, *, study: Study, sites: int) -> Heard:
        """Return what an opened sum says.

        Args:
            sites: Whose sum it is.

        Raises:
            Invalid: nobody trained.
        """
        architecture = self.over(study)
        where = shared(architecture, self.work.stays)
        moved = int(where.sum())
        change = np.zeros(len(self.weights))
        if self.work.weighing == "sites":
            change[where] = total / sites
            return Heard(weight=float(sites), change=change, control=np.zeros(0), before=np.nan, after=np.nan)
        weight, before, after = (float(one) for one in total[-3:])
        if not weight >= 1:
            raise Invalid("no hospital trained in this round")
        change[where] = total[:moved] / weight
        control = np.zeros(0)
        if self.work.scaffold:
            control = np.zeros(len(self.weights))
            control[moves(architecture, self.work.stays)] = total[moved:-3]
        return Heard(weight=weight, change=change, control=control, before=before / weight, after=after / weight)


@lru_cache(maxsize=4)
def _ordinary(architecture: Architecture, weights: bytes, persons: int | None) -> None:
    check_traps(architecture, np.frombuffer(weights), persons=persons)


def head_of(architecture: Architecture) -> int:
    """Return the position of the last layer with weights."""
    return max((tensor.layer for tensor in tensors(architecture)), default=0)


def stays_here(tensor: Tensor, stays: tuple[Stays, ...], *, head: int) -> bool:
    """Say whether a tensor stays at the hospital."""
    norm = tensor.role in ("scale", "shift", "mean", "variance")
    return ("norms" in stays and norm) or ("head" in stays and tensor.layer == head)


def shared(architecture: Architecture, stays: tuple[Stays, ...]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which numbers of the flat vector are shared, shape (size,)."""
    return _which(architecture, stays, learnt=False)


def moves(architecture: Architecture, stays: tuple[Stays, ...]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which numbers are shared and moved by gradients, shape (size,)."""
    return _which(architecture, stays, learnt=True)


def _which(
    architecture: Architecture, stays: tuple[Stays, ...], *, learnt: bool
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    head = head_of(architecture)
    found = [
        np.full(tensor.size, not stays_here(tensor, stays, head=head) and (tensor.learnt or not learnt))
        for tensor in tensors(architecture)
    ]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.bool_)

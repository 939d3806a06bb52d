"""One round of training at one hospital: what moved, what stays, and how it went in one word.

The hospital starts at the common weights, with its own numbers where some stay, and goes down the loss of its persons.
Its change is cut to one L2 norm. Where the round did not go well, nothing moved and the word says why; what the
hospital keeps is then as it was.

References: McMahan et al. (2017), arXiv:1602.05629; Li et al. (2020), FedProx, arXiv:1812.06127; Karimireddy et al.
    (2020), SCAFFOLD, arXiv:1910.06378, option II; Li et al. (2021), FedBN, arXiv:2102.07623; Li et al. (2021), Ditto,
    arXiv:2012.04221.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from wardgate.measures.layers.tensors import Vector
from wardgate.networks.federated.descent import Learner, Steps
from wardgate.networks.federated.device import choose, repeatable
from wardgate.records.network import Architecture

Outcome = Literal["trained", "no-persons", "not-finite", "diverged", "out-of-memory"]

DIVERGED_BY = 1.0
"""A round that leaves the mean loss higher than this above where it began went wrong; in nats a person."""

SHORTER = 1.0 - 1e-9
"""A change that is cut is cut by this much more, so that rounding never leaves it longer than promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What a hospital keeps from round to round. It never leaves.

    Attributes:
        control: Its control variate, shape (size,).
        stays: Its numbers of what is not shared, in the order of the flat vector.
        personal: Its second model, shape (size,).
    """

    control: Vector | None = None
    stays: Vector | None = None
    personal: Vector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a round is to be. Public, but for nothing in it.

    Attributes:
        steps: How to go down; their pull is FedProx's, towards where the round began.
        shared: Which numbers are shared, shape (size,); the others stay.
        control: The common control variate, shape (size,); None trains without SCAFFOLD.
        personal: Pull of the hospital's second model towards where the round began; None keeps none.
        longest: L2 norm to which the change is cut, and that of the control variate.
        largest: No weight may become larger.
        loss_cut: Most that one person adds to a sum of losses.
    """

    steps: Steps
    shared: NDArray[np.bool_]
    control: Vector | None = None
    personal: float | None = None
    longest: float
    largest: float
    loss_cut: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What came of a round.

    Attributes:
        outcome: How it went; all but `trained` leave zeros, and what the hospital keeps as it was.
        change: Of the shared numbers, L2 norm at most `longest`; 0 for the others, shape (size,).
        control: Change of the hospital's control variate, L2 norm at most `longest`; shape (size,), 0 without SCAFFOLD.
        before, after: Sum over persons of their losses, each cut.
        cut: Whether the change was longer than allowed.
        own: What to keep.
    """

    outcome: Outcome
    change: Vector
    control: Vector
    before: float = 0.0
    after: float = 0.0
    cut: bool = False
    own: Own = field(default_factory=Own)


def train(
    architecture: Architecture,
    common: Vector,
    x: NDArray[np.float64],
    y: NDArray[np.int8],
    *,
    plan: Plan,
    own: Own,
    rng: np.random.Generator,
    device: torch.device | None = None,
) -> Trained:
    """Train one round at one hospital. The same arguments give the same numbers on one machine.

    Never fails by what the persons are: what goes wrong with them is a word.

    Args:
        common: Where everybody starts, shape (size,).
        x: Rows, shape (n, inputs).
        y: Labels, shape (n,).
        own: What this hospital kept from its last round; what is None begins anew.
        rng: For the order of persons and for dropout.
        device: The first GPU if there is one, by default.

    Raises:
        Invalid: the weights do not fit the network.
    """
    sat_out = Trained(outcome="no-persons", change=np.zeros(len(common)), control=np.zeros(len(common)), own=own)
    if not len(y):
        return sat_out
    try:
        with repeatable():
            return _train(architecture, common, x, y, plan=plan, own=own, seed=int(rng.integers(2**62)), device=device)
    except _WentWrong as wrong:
        outcome = wrong.outcome
    except (MemoryError, torch.OutOfMemoryError):
        outcome = "out-of-memory"
    except RuntimeError as found:
        if "allocate memory" not in str(found):
            raise
        outcome = "out-of-memory"
    return replace(sat_out, outcome=outcome)


class _WentWrong(Exception):
    """Nothing may come of this round."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome: Outcome = outcome


def _train(
    architecture: Architecture,
    common: Vector,
    x: NDArray[np.float64],
    y: NDArray[np.int8],
    *,
    plan: Plan,
    own: Own,
    seed: int,
    device: torch.device | None,
) -> Trained:
    learner = Learner(architecture, x, y, device=device or choose())
    begin = common.copy()
    if own.stays is not None:
        begin[~plan.shared] = own.stays
    learner.load(begin)
    begin = learner.vector()
    before = _cut_losses(learner, plan)
    moves = plan.shared & learner.learnt
    control = np.zeros(len(common)) if own.control is None else own.control
    correction = None if plan.control is None else np.where(moves, plan.control - control, 0.0)
    # Both models see the same batches and the same dropout, so a personal model without a pull is the local model.
    rng = np.random.default_rng(seed)
    learner.descend(steps=plan.steps, rng=rng, towards=begin, correction=correction)
    end = _checked(learner.vector(), plan)
    after = _cut_losses(learner, plan)
    if float(after.mean()) > float(before.mean()) + DIVERGED_BY:
        raise _WentWrong("diverged")
    change, cut = shortened(np.where(plan.shared, end - begin, 0.0), plan.longest)
    moved = np.zeros(len(common))
    if plan.control is not None:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            mean_slope = (begin - end) / (plan.steps.count * plan.steps.rate)
            moved, _ = shortened(np.where(moves, mean_slope - plan.control, 0.0), plan.longest)
        if not bool(np.isfinite(moved).all()):
            raise _WentWrong("not-finite")
    return Trained(
        outcome="trained",
        change=change,
        control=moved,
        before=float(before.sum()),
        after=float(after.sum()),
        cut=cut,
        own=Own(
            control=own.control if plan.control is None else control + moved,
            stays=own.stays if plan.shared.all() else end[~plan.shared],
            personal=own.personal if plan.personal is None else _personal(learner, begin, plan, own, seed),
        ),
    )


def _personal(learner: Learner, begin: Vector, plan: Plan, own: Own, seed: int) -> Vector | None:
    """Train the second model; where that goes wrong, the one of the last round stands."""
    learner.load(begin if own.personal is None else own.personal)
    steps = replace(plan.steps, pull=plan.personal or 0.0)
    learner.descend(steps=steps, rng=np.random.default_rng(seed), towards=begin)
    found = learner.vector()
    return found if bool(np.all(np.abs(found) <= plan.largest)) else own.personal


def shortened(vector: Vector, longest: float) -> tuple[Vector, bool]:
    """Return a vector of an L2 norm of at most `longest`, and whether it had to be cut."""
    length = float(np.linalg.norm(vector))
    if length <= longest * SHORTER:
        return vector, False
    return vector * (longest * SHORTER / length), True


def _checked(vector: Vector, plan: Plan) -> Vector:
    if not bool(np.isfinite(vector).all()):
        raise _WentWrong("not-finite")
    if not bool(np.all(np.abs(vector) <= plan.largest)):
        raise _WentWrong("diverged")
    return vector


def _cut_losses(learner: Learner, plan: Plan) -> Vector:
    found = learner.losses()
    if bool(np.isnan(found).any()):
        raise _WentWrong("not-finite")
    return np.minimum(found, plan.loss_cut)

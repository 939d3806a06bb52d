"""Steps down the loss of one hospital's persons. All learnt numbers lie in one tensor, so a step is a few sums.

Nothing here uses torch's global generator: batches come from numpy, dropout from a generator of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wardgate.measures.layers.tensors import Vector, size, tensors
from wardgate.networks.federated.by_hand import ByHand, possible
from wardgate.networks.federated.by_torch import ByTorch
from wardgate.records.network import Architecture

SMALL = 100_000
"""Numbers of a perceptron that learns on the CPU even where there is a GPU, at most."""

ADAM = (0.9, 0.999, 1e-8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """How to go down. Public.

    Attributes:
        count: Steps; each takes one batch.
        batch: Persons in it; everybody where there are fewer.
        optimiser: Both as torch has them; Adam remembers 0.9 and 0.999.
        rate: Length of a step.
        momentum: Of `sgd` alone.
        decay: Half of this times the squared learnt numbers joins the loss.
        pull: Half of this times the squared distance from where it pulls joins the loss. It is taken at the end of each
            step (a proximal step), so that no pull, however large, overshoots.
    """

    count: int
    batch: int
    optimiser: Literal["sgd", "adam"]
    rate: float
    momentum: float = 0.0
    decay: float = 0.0
    pull: float = 0.0


class AtWork(Protocol):
    """A network that can say the slope of its loss; see `ByTorch` and `ByHand`, which say the same."""

    weights: Tensor
    gradient: Tensor

    def load(self, vector: Vector) -> None:
        """Set every number."""
        ...

    def vector(self) -> Vector:
        """Return every number."""
        ...

    def begin(self, *, seed: int, alone: bool) -> None:
        """Begin a descent."""
        ...

    def slope(self, x: Tensor, y: Tensor) -> None:
        """Leave the gradient of the mean loss of a batch in `gradient`."""
        ...

    def losses(self, x: Tensor, y: Tensor) -> Vector:
        """Return each person's loss."""
        ...


def at_work(architecture: Architecture, *, device: torch.device) -> tuple[AtWork, torch.device]:
    """Return a network ready to learn, and where it does; small perceptrons are quicker beside a GPU than on it."""
    if possible(architecture) and (device.type == "cpu" or size(architecture) <= SMALL):
        return ByHand(architecture), torch.device("cpu")
    return ByTorch(architecture, device=device), device


class Learner:
    """A described network in single precision, and persons to learn from.

    Args:
        x: Rows, shape (n, inputs), at least one.
        y: Labels, shape (n,).

    Attributes:
        learnt: Which numbers of the flat vector gradients move, shape (size,).
    """

    def __init__(
        self, architecture: Architecture, x: NDArray[np.float64], y: NDArray[np.int8], *, device: torch.device
    ) -> None:
        self.learnt = np.concatenate([np.full(one.size, one.learnt) for one in tensors(architecture)])
        self._work, self._device = at_work(architecture, device=device)
        self._x = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)).to(self._device)
        self._y = torch.from_numpy(y.astype(np.float32)).to(self._device)

    def load(self, vector: Vector) -> None:
        """Set every number.

        Raises:
            Invalid: another length, or not finite.
        """
        self._work.load(vector)

    def vector(self) -> Vector:
        """Return every number, shape (size,); they may be no finite ones after a descent."""
        return self._work.vector()

    def losses(self) -> Vector:
        """Return each person's loss without dropout and by the running statistics, shape (n,)."""
        return self._work.losses(self._x, self._y)

    def descend(
        self,
        *,
        steps: Steps,
        rng: np.random.Generator,
        towards: Vector | None = None,
        correction: Vector | None = None,
    ) -> None:
        """Go down the mean loss of batches, from the numbers that were loaded.

        Every epoch takes the persons in a new order; a batch that an epoch leaves short is filled from the next one.
        Where a batch is one person, batch norms keep to their running statistics, since one person has no spread.

        Args:
            towards: Where the steps' pull pulls, shape (size,).
            correction: Added to every gradient, shape (size,); the difference of control variates.
        """
        n, work = len(self._y), self._work
        batch = min(steps.batch, n)
        work.begin(seed=int(rng.integers(2**62)), alone=batch == 1)
        order = batches(n, batch, rng) if batch < n else None
        goal, extra = self._of(towards if steps.pull else None), self._of(correction)
        move = _Move(steps, work.weights, work.gradient)
        x, y = self._x, self._y
        for _ in range(steps.count):
            if order is not None:
                chosen = torch.from_numpy(next(order)).to(self._device)
                x, y = self._x.index_select(0, chosen), self._y.index_select(0, chosen)
            work.slope(x, y)
            with torch.no_grad():
                if extra is not None:
                    work.gradient.add_(extra)
                move()
                if goal is not None:
                    reach = steps.rate * steps.pull
                    work.weights.add_(goal, alpha=reach).div_(1.0 + reach)

    def _of(self, vector: Vector | None) -> Tensor | None:
        if vector is None:
            return None
        return torch.from_numpy(vector[self.learnt].astype(np.float32)).to(self._device)


class _Move:
    """One step of the optimiser on all numbers at once, as torch's own optimisers take it."""

    def __init__(self, steps: Steps, weights: Tensor, gradient: Tensor) -> None:
        self.steps, self.weights, self.gradient = steps, weights, gradient
        self.mean = torch.zeros_like(weights) if steps.momentum or steps.optimiser == "adam" else None
        self.square = torch.zeros_like(weights) if steps.optimiser == "adam" else None
        self.taken = 0

    def __call__(self) -> None:
        slope, rate = self.gradient, self.steps.rate
        if self.steps.decay:
            slope.add_(self.weights, alpha=self.steps.decay)
        self.taken += 1
        if self.mean is not None and self.square is not None:
            first, second, least = ADAM
            self.mean.lerp_(slope, 1.0 - first)
            self.square.mul_(second).addcmul_(slope, slope, value=1.0 - second)
            level = (self.square / (1.0 - second**self.taken)).sqrt_().add_(least)
            self.weights.addcdiv_(self.mean, level, value=-rate / (1.0 - first**self.taken))
            return
        if self.mean is not None:
            slope = self.mean.mul_(self.steps.momentum).add_(slope)
        self.weights.add_(slope, alpha=-rate)


def batches(n: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Give positions of `size` of n persons, again and again, one order of all of them after the other."""
    left = np.zeros(0, dtype=np.int64)
    while True:
        if len(left) < size:
            left = np.concatenate([left, rng.permutation(n)])
        yield left[:size]
        left = left[size:]

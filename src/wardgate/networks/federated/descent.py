"""Steps down the loss of one hospital's persons. All learnt numbers lie in one tensor, so a step is a few sums.

A small network costs more in calls than in arithmetic; this way a step calls the optimiser's arithmetic once, whatever
the number of layers. Nothing here uses torch's global generator: batches come from numpy, dropout from a generator of
its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wardgate.measures.layers.tensors import Vector, tensors
from wardgate.networks.federated.build import load_vector, module_of, vector_of
from wardgate.records.network import Architecture

AT_ONCE = 512
"""Persons whose losses are looked at together."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Persons:
    """Persons as tensors.

    Attributes:
        x: Shape (n, inputs).
        y: Labels, shape (n,).
    """

    x: Tensor
    y: Tensor

    @classmethod
    def of(cls, x: NDArray[np.float64], y: NDArray[np.int8], *, device: torch.device) -> "Persons":
        """Return rows and labels in single precision on a device."""
        rows = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)).to(device)
        return cls(x=rows, y=torch.from_numpy(y.astype(np.float32)).to(device))


class Dropped(nn.Module):
    """Dropout whose chance comes from a generator of its own."""

    def __init__(self, chance: float, draws: torch.Generator) -> None:
        super().__init__()
        self.chance, self.draws = chance, draws

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.chance:
            return x
        kept = torch.empty_like(x).bernoulli_(1.0 - self.chance, generator=self.draws)
        return x * kept / (1.0 - self.chance)


def own_dropout(module: nn.Module, draws: torch.Generator) -> None:
    """Let every dropout of a module draw from a generator rather than from torch's global one."""
    for name, layer in module.named_children():
        if isinstance(layer, nn.Dropout):
            setattr(module, name, Dropped(layer.p, draws))
        else:
            own_dropout(layer, draws)


class Learner:
    """A described network in single precision, ready to learn.

    Attributes:
        learnt: Which numbers of the flat vector gradients move, shape (size,).
    """

    def __init__(self, architecture: Architecture, *, device: torch.device) -> None:
        self.architecture, self.device = architecture, device
        self.learnt = np.concatenate(
            [np.full(one.size, one.learnt) for one in tensors(architecture)] or [np.zeros(0, bool)]
        )
        self._module = module_of(architecture).to(device)
        self._draws = torch.Generator(device=device)
        own_dropout(self._module, self._draws)
        self._weights = torch.empty(int(self.learnt.sum()), device=device)
        self._gradient = torch.zeros_like(self._weights)
        first = 0
        for one in self._module.parameters():
            place = slice(first, first + one.numel())
            one.data = self._weights[place].view(one.shape)
            one.grad = self._gradient[place].view(one.shape)
            first += one.numel()

    def load(self, vector: Vector) -> None:
        """Set every number.

        Raises:
            Invalid: another length, or not finite.
        """
        load_vector(self._module, self.architecture, vector)

    def vector(self) -> Vector:
        """Return every number, shape (size,); they may be no finite ones after a descent."""
        return vector_of(self._module, self.architecture)

    def losses(self, persons: Persons) -> Vector:
        """Return each person's loss without dropout and by the running statistics, shape (n,)."""
        self._module.eval()
        with torch.no_grad():
            found = [
                functional.binary_cross_entropy_with_logits(self._module(x), y, reduction="none")
                for x, y in zip(torch.split(persons.x, AT_ONCE), torch.split(persons.y, AT_ONCE), strict=True)
            ]
        return np.asarray(torch.cat(found).cpu().numpy(), dtype=np.float64)

    def descend(
        self,
        persons: Persons,
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
            persons: At least one.
            towards: Where the steps' pull pulls, shape (size,).
            correction: Added to every gradient, shape (size,); the difference of control variates.
        """
        n = len(persons.y)
        size = min(steps.batch, n)
        self._train(alone=size == 1)
        self._draws.manual_seed(int(rng.integers(2**62)))
        order = _batches(n, size, rng) if size < n else None
        goal, extra = self._of(towards if steps.pull else None), self._of(correction)
        move = _Move(steps, self._weights, self._gradient)
        for _ in range(steps.count):
            x, y = persons.x, persons.y
            if order is not None:
                chosen = torch.from_numpy(next(order)).to(self.device)
                x, y = x.index_select(0, chosen), y.index_select(0, chosen)
            self._gradient.zero_()
            functional.binary_cross_entropy_with_logits(self._module(x), y).backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                if extra is not None:
                    self._gradient.add_(extra)
                move()
                if goal is not None:
                    reach = steps.rate * steps.pull
                    self._weights.add_(goal, alpha=reach).div_(1.0 + reach)

    def _train(self, *, alone: bool) -> None:
        self._module.train()
        for layer in self._module.modules() if alone else ():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.eval()

    def _of(self, vector: Vector | None) -> Tensor | None:
        if vector is None:
            return None
        return torch.from_numpy(vector[self.learnt].astype(np.float32)).to(self.device)


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


def _batches(n: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Give positions of `size` of n persons, again and again, one order of all of them after the other."""
    left = np.zeros(0, dtype=np.int64)
    while True:
        if len(left) < size:
            left = np.concatenate([left, rng.permutation(n)])
        yield left[:size]
        left = left[size:]

"""Any described network while it learns: torch finds the slopes. Its learnt numbers lie in one tensor."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wardgate.measures.layers.tensors import Vector
from wardgate.networks.federated.build import load_vector, module_of, vector_of
from wardgate.records.network import Architecture

AT_ONCE = 512
"""Persons whose losses are looked at together."""


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


class ByTorch:
    """A network whose slopes torch finds.

    Attributes:
        weights: The learnt numbers, in the order of the flat vector; shape (learnt,).
        gradient: Where `slope` leaves the gradient; same shape.
    """

    def __init__(self, architecture: Architecture, *, device: torch.device) -> None:
        self._architecture = architecture
        self._module = module_of(architecture).to(device)
        self._draws = torch.Generator(device=device)
        own_dropout(self._module, self._draws)
        learnt = list(self._module.parameters())
        self.weights = nn.utils.parameters_to_vector(learnt).detach()
        self.gradient = torch.zeros_like(self.weights)
        first = 0
        for one in learnt:
            place = slice(first, first + one.numel())
            one.data = self.weights[place].view(one.shape)
            one.grad = self.gradient[place].view(one.shape)
            first += one.numel()

    def load(self, vector: Vector) -> None:
        """Set every number.

        Raises:
            Invalid: another length, or not finite.
        """
        load_vector(self._module, self._architecture, vector)

    def vector(self) -> Vector:
        """Return every number, shape (size,)."""
        return vector_of(self._module, self._architecture)

    def begin(self, *, seed: int, alone: bool) -> None:
        """Begin a descent.

        Args:
            seed: Of dropout.
            alone: Batches are single persons, so batch norms keep to their running statistics.
        """
        self._draws.manual_seed(seed)
        self._module.train()
        for layer in self._module.modules() if alone else ():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.eval()

    def slope(self, x: Tensor, y: Tensor) -> None:
        """Leave the gradient of the mean loss of a batch in `gradient`."""
        self.gradient.zero_()
        functional.binary_cross_entropy_with_logits(self._module(x), y).backward()  # type: ignore[no-untyped-call]

    def losses(self, x: Tensor, y: Tensor) -> Vector:
        """Return each person's loss without dropout and by the running statistics, shape (n,)."""
        self._module.eval()
        with torch.no_grad():
            found = [
                functional.binary_cross_entropy_with_logits(self._module(rows), labels, reduction="none")
                for rows, labels in zip(torch.split(x, AT_ONCE), torch.split(y, AT_ONCE), strict=True)
            ]
        return np.asarray(torch.cat(found).cpu().numpy(), dtype=np.float64)

"""The sum over persons of a network's gradient, each person's cut to one length: one step of private training.

One forward and one backward pass over a block of persons gives what enters every layer and the slope of each person's
loss at what leaves it. From these two follow a person's gradient, its length, and the sum of cut gradients; for a
linear layer without ever writing down one person's gradient (its length is the product of two lengths).

Adding or removing one person, whatever the weights are, moves the sum by at most 1 (in parts of `longest`). Everything
is in float64; a gradient that is not finite counts as zero; blocks have one shape, filled up with empty rows, so that
the arithmetic of one person is the same whoever the others are.

References: Abadi et al. (2016), arXiv:1607.00133; Goodfellow (2015), Efficient Per-Example Gradient Computations,
    arXiv:1510.01799; Li et al. (2022), Large Language Models Can Be Strong Differentially Private Learners,
    arXiv:2110.05679 (lengths without gradients).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wardgate.entropy import Entropy
from wardgate.measures.layers.tensors import Vector, size
from wardgate.networks.federated.build import load_vector, module_of
from wardgate.networks.federated.by_torch import own_dropout
from wardgate.networks.federated.device import choose, repeatable
from wardgate.networks.gan.private import poisson_batch, shortening
from wardgate.records.errors import Invalid
from wardgate.records.network import Architecture

BLOCK = 128
"""Persons in a block, at most."""

HELD = 2**24
"""Numbers of persons' own gradients that are held at once, about."""


def batch_gradient(
    architecture: Architecture,
    weights: Vector,
    x: NDArray[np.float64],
    y: NDArray[np.int8],
    *,
    longest: float,
    probability: float,
    entropy: Entropy,
    device: torch.device | None = None,
) -> Vector:
    """Return the sum of a secret batch's cut gradients, in parts of `longest`.

    Args:
        probability: With which every person falls into the batch, by itself.
        entropy: For the batch, and for dropout.

    Raises:
        Invalid: as `clipped_sum`, or the probability is not in (0, 1].
    """
    chosen = poisson_batch(len(y), probability=probability, entropy=entropy)
    draws = int.from_bytes(entropy.bytes(8), "big") >> 2
    return clipped_sum(architecture, weights, x[chosen], y[chosen], longest=longest, seed=draws, device=device)


def clipped_sum(
    architecture: Architecture,
    weights: Vector,
    x: NDArray[np.float64],
    y: NDArray[np.int8],
    *,
    longest: float,
    seed: int = 0,
    device: torch.device | None = None,
) -> Vector:
    """Return the sum of persons' gradients of their loss, each cut to `longest`, in parts of `longest`.

    Args:
        weights: Where, shape (size,).
        x: Rows, shape (n, inputs).
        y: Labels, shape (n,).
        seed: Of dropout; nobody who sees sums may know it.

    Returns:
        Shape (size,), L2 norm at most n.

    Raises:
        Invalid: batch norms, in which every gradient holds the other persons, or weights of another length.
    """
    device = device or choose()
    module = module_of(architecture, double=True)
    if list(module.buffers()):
        raise Invalid("a network with batch norms has no gradient of one person; use 'group_norm'")
    load_vector(module, architecture, weights)
    draws = torch.Generator(device=device)
    draws.manual_seed(seed)
    own_dropout(module, draws)
    passed = _Passed(module.to(device))
    total = torch.zeros(size(architecture), dtype=torch.float64, device=device)
    with repeatable():
        for rows, labels, real in _blocks(x, y, _rows_at_once(passed.layers, architecture), device=device):
            parts = passed.parts(rows, labels)
            factor = shortening([part.lengths() for part in parts], l2=longest) / longest * real
            total += torch.cat([part.summed(factor) for part in parts])
    return np.asarray(total.cpu().numpy())


@dataclass(frozen=True, slots=True)
class _Outer:
    """Gradients of a linear layer: the outer product of a person's slope and what entered.

    Attributes:
        slope: Shape (n, outputs).
        entered: Shape (n, inputs).
    """

    slope: Tensor
    entered: Tensor

    def lengths(self) -> Tensor:
        """Return the length of each person's gradient of weights and biases, shape (n,)."""
        entered = torch.linalg.vector_norm(self.entered, dim=1)
        found: Tensor = torch.linalg.vector_norm(self.slope, dim=1) * torch.hypot(entered, torch.ones_like(entered))
        return found

    def summed(self, factor: Tensor) -> Tensor:
        """Return the sum of gradients, each times its factor; one whose factor is 0 may hold anything."""
        kept = factor[:, None] > 0
        slope = torch.where(kept, self.slope * factor[:, None], 0.0)
        weights = slope.T @ torch.where(kept, self.entered, 0.0)
        return torch.cat([weights.flatten(), slope.sum(dim=0)])


@dataclass(frozen=True, slots=True)
class _Each:
    """Gradients of a layer, one row a person.

    Attributes:
        rows: Shape (n, numbers of the layer).
    """

    rows: Tensor

    def lengths(self) -> Tensor:
        """Return the length of each person's gradient, shape (n,)."""
        found: Tensor = torch.linalg.vector_norm(self.rows, dim=1)
        return found

    def summed(self, factor: Tensor) -> Tensor:
        """Return the sum of gradients, each times its factor; one whose factor is 0 may hold anything."""
        return factor @ torch.where(factor[:, None] > 0, self.rows, 0.0)


class _Passed:
    """A network that remembers what entered and left each layer with weights. Each layer is passed once."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.layers = [one for one in module.modules() if isinstance(one, nn.Linear | nn.Conv2d | nn.GroupNorm)]
        self._seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        for layer in self.layers:
            layer.register_forward_hook(self._remember)

    def _remember(self, layer: nn.Module, inputs: tuple[Tensor, ...], left: Tensor) -> None:
        self._seen[layer] = (inputs[0].detach(), left)

    def parts(self, rows: Tensor, labels: Tensor) -> list[_Outer | _Each]:
        """Return each layer's gradients of each person's loss, in the order of the flat vector."""
        logits = self.module(rows)
        slopes = torch.autograd.grad(
            logits,
            [self._seen[layer][1] for layer in self.layers],
            grad_outputs=torch.sigmoid(logits.detach()) - labels,
            materialize_grads=True,
        )
        return [_part(layer, self._seen[layer][0], slope) for layer, slope in zip(self.layers, slopes, strict=True)]


def _part(layer: nn.Module, entered: Tensor, slope: Tensor) -> _Outer | _Each:
    match layer:
        case nn.Conv2d():
            padding = layer.padding if isinstance(layer.padding, tuple) else 0
            fields = functional.unfold(entered, layer.kernel_size, padding=padding, stride=layer.stride)
            at = slope.flatten(2)
            return _Each(torch.cat([(at @ fields.transpose(1, 2)).flatten(1), at.sum(dim=2)], dim=1))
        case nn.GroupNorm():
            normal = torch.group_norm(entered, layer.num_groups, None, None, layer.eps)
            return _Each(torch.cat([_over_field(slope * normal), _over_field(slope)], dim=1))
        case _:
            return _Outer(slope, entered)


def _over_field(values: Tensor) -> Tensor:
    """Return each channel's sum over its image, shape (n, channels)."""
    return values.flatten(2).sum(dim=2) if values.dim() > 2 else values


def _rows_at_once(layers: Sequence[nn.Module], architecture: Architecture) -> int:
    """Return how many persons a block holds; public, since it follows from the network alone."""
    held = architecture.inputs
    for layer in layers:
        if not isinstance(layer, nn.Linear):
            held = max(held, sum(prod(one.shape) for one in layer.parameters()))
    return max(1, min(BLOCK, HELD // held))


def _blocks(
    x: NDArray[np.float64], y: NDArray[np.int8], rows: int, *, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Give persons in blocks of one shape, with a 1 for each person and a 0 for each row that fills up."""
    for first in range(0, len(y), rows):
        count = min(rows, len(y) - first)
        filled = np.zeros((rows, x.shape[1])), np.zeros(rows), np.zeros(rows)
        filled[0][:count], filled[1][:count], filled[2][:count] = x[first : first + count], y[first : first + count], 1
        block, labels, real = (torch.from_numpy(one).to(device) for one in filled)
        yield block, labels, real

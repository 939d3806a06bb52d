"""Between the arrays of everybody else and torch: one flat vector for all weights, and a torch generator from `rng`.

size(module)            how many weights
flat(module)            all weights as one float64 vector, in the order of `module.parameters()`
load(module, vector)    set them again
seeded(rng)             a torch.Generator that follows from `rng`; torch's global generator is never used
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]


def size(module: nn.Module) -> int:
    """Return how many weights a network has."""
    return sum(weights.numel() for weights in module.parameters())


def flat(module: nn.Module) -> Vector:
    """Return all weights as one vector, shape (size(module),)."""
    return np.concatenate([weights.detach().numpy().astype(np.float64).ravel() for weights in module.parameters()])


def load(module: nn.Module, vector: Vector) -> None:
    """Set all weights from one vector.

    Raises:
        Invalid: the vector has another length, or a number in it is not finite.
    """
    if vector.shape != (size(module),) or not bool(np.isfinite(vector).all()):
        raise Invalid(f"expected {size(module)} finite weights, found an array of shape {vector.shape}")
    start = 0
    with torch.no_grad():
        for weights in module.parameters():
            stop = start + weights.numel()
            weights.copy_(torch.from_numpy(vector[start:stop]).reshape(weights.shape))
            start = stop


def seeded(rng: np.random.Generator) -> torch.Generator:
    """Return a torch generator that follows from `rng`."""
    found = torch.Generator()
    found.manual_seed(int(rng.integers(2**62)))
    return found


def start_weights(module: nn.Module, *, draws: torch.Generator) -> None:
    """Draw the weights of all linear layers anew, as torch does by itself but from `draws`; biases become 0."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                bound = (3.0 / layer.in_features) ** 0.5
                layer.weight.uniform_(-bound, bound, generator=draws)
                if layer.bias is not None:
                    layer.bias.zero_()

"""What a critic may learn from persons, one noisy batch at a time: the sum over persons of clipped gradients.

    poisson_batch(n, probability=p, entropy=...)     positions of the persons in a secret batch, each with chance p
    clipped_sum(critic, loss_per_row, rows, l2=C)    float64 vector, shape (size(critic),); one person moves it by <= C
    + noise of standard deviation multiplier x C     privacy.noise.gaussian_release, or shares of it in a secure sum
    divide by the expected batch, add the gradient of the rows drawn, take an optimiser's step: all post-processing

One person is one row, the row enters one batch at most once, and its loss is a function of that row and the weights
alone: no packing, no batch statistics, no penalty between two rows. So one person touches one clipped gradient of a
batch. Rows that the generator drew are no persons: their gradient is public given the weights, and is not clipped.
The generator learns through the critic's weights only, which is post-processing.

Each batch is a `SampledGaussianEvent(noise_multiplier, probability)`; its cost holds because nobody learns who was in
it: that draw is secret, so it comes from `entropy`.

Reference: Abadi et al. 2016, Deep Learning with Differential Privacy, arXiv:1607.00133.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from wardgate.entropy import Entropy
from wardgate.networks.arrays import Vector, size
from wardgate.privacy.noise import bernoulli_exp
from wardgate.records.errors import Invalid

Call = Callable[..., Tensor]

LossPerRow = Callable[[Call, tuple[Tensor, ...]], Tensor]
"""From the network as a function, and the tensors of one row as a batch of one, to that row's loss."""

ROUNDING = 1e-6
"""Share of the bound that is kept free for rounding, so that the whole sum moves by no more than the bound."""

BLOCK = 128
"""Persons whose gradients are held at once."""


def poisson_batch(n: int, *, probability: float, entropy: Entropy) -> NDArray[np.int64]:
    """Return the positions of those who fall into a batch: each of n persons by itself with the same probability.

    Raises:
        Invalid: the probability is not in (0, 1].
    """
    if not 0 < probability <= 1:
        raise Invalid(f"expected a probability in (0, 1], found {probability}")
    return np.flatnonzero(bernoulli_exp(np.full(n, -math.log(probability)), entropy=entropy))


def clipped_sum(module: nn.Module, loss_per_row: LossPerRow, rows: tuple[Tensor, ...], *, l2: float) -> Vector:
    """Return the sum over rows of the gradient of each row's loss, each cut to a length of at most `l2`.

    Adding or removing one row, whatever it holds, moves the sum by at most `l2`: gradients are cut to a little less
    (`ROUNDING`), which covers the rounding of the other rows' gradients and of the sum, in float64. A gradient that
    is not finite counts as zero.

    Args:
        module: A network in float64 without buffers and without normalisation over a batch.
        loss_per_row: Sees one row at a time.
        rows: Tensors whose first axis is the person.
        l2: Longest gradient of one row.

    Returns:
        Shape (size(module),), in the order of `flat`.

    Raises:
        Invalid: `l2` is not positive and finite, or the network is not one on which this guarantee holds.
    """
    if not (math.isfinite(l2) and l2 > 0):
        raise Invalid(f"expected a finite l2 above 0, found {l2}")
    weights = {name: value.detach() for name, value in module.named_parameters()}
    if any(value.dtype != torch.float64 for value in weights.values()) or list(module.buffers()):
        raise Invalid("gradients of persons are taken in float64, of a network without buffers")

    def loss(values: dict[str, Tensor], row: tuple[Tensor, ...]) -> Tensor:
        def call(*inputs: Tensor) -> Tensor:
            found: Tensor = functional_call(module, values, inputs)
            return found

        return loss_per_row(call, tuple(part.unsqueeze(0) for part in row)).sum()

    each = vmap(grad(loss), in_dims=(None, 0))
    total = torch.zeros(size(module), dtype=torch.float64)
    for begin in range(0, len(rows[0]), BLOCK):
        found = each(weights, tuple(part[begin : begin + BLOCK] for part in rows))
        parts = [found[name].flatten(1) for name in weights]
        factors = shortening([torch.linalg.vector_norm(part, dim=1) for part in parts], l2=l2)
        if not bool((factors > 0).all()):
            parts = [torch.where(factors[:, None] > 0, part, 0.0) for part in parts]
        total += torch.cat([factors @ part for part in parts])
    return total.numpy()


def shortening(lengths: Sequence[Tensor], *, l2: float) -> Tensor:
    """Return the factor that cuts each row's gradient to a length of at most `l2`, a little less for rounding.

    Args:
        lengths: Of each part of the gradient, shape (n,) each. Where one is not finite, the factor is 0.
    """
    length = torch.linalg.vector_norm(torch.stack(list(lengths)), dim=0)
    factor = (l2 * (1 - ROUNDING) / length.clamp_min(1e-300)).clamp_max(1.0)
    return torch.where(torch.isfinite(length), factor, 0.0)

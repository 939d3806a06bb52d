"""Fitting a GAN from noise alone: noisy tables that the generator has to meet, and noisy gradients for the critic.

The generator sees persons through two things: `Targets`, made of noisy counts, and the critic's weights, which move by
noisy sums of clipped gradients (networks/gan/private.py). Everything else here is post-processing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wardgate.entropy import Entropy
from wardgate.networks.arrays import Vector, flat, load, seeded
from wardgate.networks.gan.conditions import only_label
from wardgate.networks.gan.layout import Layout, Rows
from wardgate.networks.gan.networks import Networks, Sizes, build, draw, generator_loss, tensors
from wardgate.networks.gan.private import Call, clipped_sum, poisson_batch
from wardgate.privacy.noise import gaussian_release
from wardgate.records.errors import Invalid, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What noisy counts say.

    Attributes:
        label: P(label), shape (2,).
        given: For every column but the label, P(cell | label), shape (2, cells).
        sides: For every indicator, +1 or -1: which half of its column it belongs to; 0 for the label's.
        together: Mean product of the sides of two columns, shape (columns - 1, columns - 1); NaN where not known.
    """

    label: NDArray[np.float64]
    given: tuple[NDArray[np.float64], ...]
    sides: NDArray[np.float64]
    together: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateSteps:
    """How the private form learns. Public.

    Attributes:
        first: Steps of the generator towards the noisy tables alone.
        batches: Noisy batches that the critic sees, with a step of the generator after each.
        probability: With which a person falls into a batch.
        l2: Longest gradient of one person.
        batch: Rows that the generator draws in a step.
        drawn: Rows drawn that are set beside a batch of persons.
        rate: Learning rate of the generator.
        critic_rate: Learning rate of the critic.
        judged: Weight of the critic's judgement beside the tables.
        smoothing: Share of their own past that the smoothed networks keep in each step.
    """

    first: int = 500
    batches: int = 300
    probability: float = 0.05
    l2: float = 0.5
    batch: int = 500
    drawn: int = 128
    rate: float = 2e-3
    critic_rate: float = 2e-3
    judged: float = 0.2
    smoothing: float = 0.98

    def __post_init__(self) -> None:
        if min(self.first, self.batches, self.drawn) < 1 or self.batch < 4 or not 0 < self.probability <= 1:
            raise Invalid("steps and batches start at 1, rows of a batch at 4, and the probability lies in (0, 1]")
        if min(self.l2, self.rate, self.critic_rate) <= 0 or self.judged < 0 or not 0 <= self.smoothing < 1:
            raise Invalid("the bound and the rates lie above 0, the critic's weight at 0 or above, smoothing in [0, 1)")


class _Tables:
    """Targets as tensors, and how far drawn rows are from them."""

    def __init__(self, layout: Layout, targets: Targets) -> None:
        features = len(targets.given)
        self.width = layout.starts[features]
        self.label = torch.from_numpy(targets.label)
        self.given = torch.from_numpy(np.concatenate(targets.given, axis=1))
        variance = torch.sqrt((self.given * (1 - self.given)).clamp_min(1e-3))
        self.scale = 1.0 / variance.clamp_min(0.05)
        half = np.zeros((layout.indicators, features))
        for at, (start, size) in enumerate(zip(layout.starts[:-1], layout.sizes[:-1], strict=True)):
            half[start : start + size, at] = targets.sides[start : start + size]
        self.half = torch.from_numpy(half)
        known = np.triu(np.isfinite(targets.together), k=1)
        self.known = torch.from_numpy(known)
        self.together = torch.from_numpy(np.where(known, targets.together, 0.0))

    def distance(self, drawn: Tensor, label: NDArray[np.int64]) -> Tensor:
        """Return the squared distance, without the part that a batch owes to chance; see `gan_training.Moments`."""
        errors = []
        for part in (slice(0, None, 2), slice(1, None, 2)):
            rows, which = drawn[part, : self.half.shape[0]], torch.from_numpy(label[part])
            given, together = [], torch.zeros_like(self.together)
            for side in (0, 1):
                chosen = rows[which == side]
                given.append(chosen[:, : self.width].mean(dim=0))
                signs = chosen @ self.half
                together = together + self.label[side] * (signs.T @ signs) / len(chosen)
            errors.append(
                (
                    (torch.stack(given) - self.given) * self.scale,
                    torch.where(self.known, together - self.together, 0.0),
                )
            )
        (given_error, pair_error), (other_given, other_pair) = errors
        return (given_error * other_given).sum() + (pair_error * other_pair).sum()


def balanced(rows: int) -> NDArray[np.int64]:
    """Return labels of which every other pair is 1, so that both halves of a batch hold both."""
    return (np.arange(rows) // 2 % 2).astype(np.int64)


def train_privately(
    layout: Layout,
    rows: Rows,
    targets: Targets,
    *,
    persons: float,
    sizes: Sizes,
    steps: PrivateSteps,
    noise_multiplier: float,
    entropy: Entropy,
    rng: np.random.Generator,
) -> Networks:
    """Train a generator on noisy tables and a critic on noisy batches.

    Costs SampledGaussianEvent(noise_multiplier, steps.probability, count=steps.batches) for `rows`.

    Args:
        rows: Of persons; only the critic sees them, through `clipped_sum`.
        targets: From noisy counts, paid for elsewhere.
        persons: Noisy number of persons.

    Raises:
        Refused: the losses are no longer finite.
        Invalid: rows are packed, so that a person would touch the gradients of others.
    """
    if sizes.pack != 1:
        raise Invalid("the critic of a private GAN judges one row at a time; expected pack 1")
    draws = seeded(rng)
    shares = dict(enumerate(targets.label @ table for table in targets.given))
    pair = build(layout, sizes, draws=draws, shares=shares, double=True)
    smooth = build(layout, sizes, draws=draws, double=True)
    load(smooth.generator, flat(pair.generator))
    load(smooth.critic, flat(pair.critic))
    tables = _Tables(layout, targets)
    generator = torch.optim.Adam(pair.generator.parameters(), lr=steps.rate, betas=(0.5, 0.9))
    critic = torch.optim.Adam(pair.critic.parameters(), lr=steps.critic_rate, betas=(0.5, 0.9))
    matrix = torch.from_numpy(layout.matrix(rows)).double()
    label = balanced(steps.batch)
    wanted, filled = tensors(pair, only_label(label))
    expected = max(1.0, steps.probability * persons)
    for step in range(steps.first + steps.batches):
        if step >= steps.first:
            batch = poisson_batch(len(matrix), probability=steps.probability, entropy=entropy)
            gradient = gaussian_release(
                clipped_sum(pair.critic, _real, (matrix[batch],), l2=steps.l2),
                l2=steps.l2,
                noise_multiplier=noise_multiplier,
                entropy=entropy,
            )
            gradient = gradient / expected + _of_drawn(pair, targets, steps, rng, draws)
            _descend(pair.critic, critic, gradient)
            _follow(smooth.critic, pair.critic, steps.smoothing)
        generator.zero_grad()
        fake = draw(pair, wanted, filled, draws=draws)
        loss = tables.distance(fake, label)
        if step >= steps.first and steps.judged:
            loss = loss + steps.judged * generator_loss(smooth, fake, wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(pair.generator.parameters(), 5.0)
        generator.step()
        if not bool(torch.isfinite(loss)):
            raise Refused(f"the networks diverged after {step} steps and no corpus can be drawn; lower the rates")
        _follow(smooth.generator, pair.generator, steps.smoothing if step > 20 else 0.5)
    return smooth


def _real(call: Call, row: tuple[Tensor, ...]) -> Tensor:
    return torch.nn.functional.softplus(-call(row[0], row[0][:, :0]))


def _drawn(call: Call, row: tuple[Tensor, ...]) -> Tensor:
    return torch.nn.functional.softplus(call(row[0], row[0][:, :0]))


def _of_drawn(
    pair: Networks, targets: Targets, steps: PrivateSteps, rng: np.random.Generator, draws: torch.Generator
) -> Vector:
    """Return the mean gradient of rows drawn, cut like those of persons so that neither side outweighs the other."""
    label = (rng.random(steps.drawn) < targets.label[1]).astype(np.int64)
    wanted, filled = tensors(pair, only_label(label))
    with torch.no_grad():
        fake = draw(pair, wanted, filled, draws=draws)
    return clipped_sum(pair.critic, _drawn, (fake,), l2=steps.l2) / steps.drawn


def _descend(module: torch.nn.Module, optimiser: torch.optim.Optimizer, gradient: Vector) -> None:
    """Hand a flat gradient to an optimiser and take its step."""
    start = 0
    for weights in module.parameters():
        stop = start + weights.numel()
        weights.grad = torch.from_numpy(gradient[start:stop]).reshape(weights.shape).to(weights.dtype)
        start = stop
    optimiser.step()


def _follow(smooth: torch.nn.Module, module: torch.nn.Module, smoothing: float) -> None:
    with torch.no_grad():
        for kept, new in zip(smooth.parameters(), module.parameters(), strict=True):
            kept.lerp_(new, 1 - smoothing)

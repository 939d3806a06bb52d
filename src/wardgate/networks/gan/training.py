"""Fitting a GAN without a guarantee: adversarial steps, second moments, a smoothed generator, and an early stop.

Beside the critic's judgement the generator is drawn towards the second moments of real rows (feature matching,
Salimans et al. 2016, arXiv:1606.03498): indicators of two columns multiplied are a two-way table, so that the links of
every column to the label and to each other are taught from the first step on.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wardgate.networks.arrays import seeded
from wardgate.networks.gan.conditions import matched
from wardgate.networks.gan.layout import Layout, Rows
from wardgate.networks.gan.networks import Networks, Sizes, build, critic_loss, draw, generator_loss, tensors
from wardgate.records.errors import Invalid, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """How long and how fast to train. Public.

    Attributes:
        most: Steps at most; each is one of the critic and one of the generator.
        batch: Rows of a step.
        rate: Learning rate of both; the generator's falls to a tenth along a cosine.
        moments: Weight of second moments beside the critic's judgement.
        penalty: Weight of the critic's slope on real rows (R1, Mescheder et al. 2018, arXiv:1801.04406).
        smoothing: Share of its own past that the smoothed generator keeps in each step.
        look: Steps between two looks at the tuning persons.
        patience: Looks without a better score before training stops.
    """

    most: int = 1_500
    batch: int = 300
    rate: float = 2e-3
    moments: float = 1.0
    penalty: float = 1.0
    smoothing: float = 0.995
    look: int = 100
    patience: int = 5

    def __post_init__(self) -> None:
        if min(self.most, self.batch, self.look, self.patience) < 1 or not self.rate > 0:
            raise Invalid("steps, batch, look and patience start at 1, and the rate lies above 0")
        if not 0 <= self.smoothing < 1 or self.moments < 0 or self.penalty < 0:
            raise Invalid("smoothing lies in [0, 1), the weights of moments and penalty at 0 or above")


class Moments:
    """Means and second moments of rows on one scale, and how far drawn rows are from them."""

    def __init__(self, rows: Tensor, weights: Tensor) -> None:
        share = weights / weights.sum()
        self.mean = (share[:, None] * rows).sum(dim=0)
        spread = torch.sqrt((share[:, None] * (rows - self.mean) ** 2).sum(dim=0))
        self.scale = 1.0 / spread.clamp_min(0.05)
        found = (rows - self.mean) * self.scale
        self.second = (share[:, None] * found).T @ found

    def distance(self, drawn: Tensor) -> Tensor:
        """Return the squared distance of moments, without the part that a batch owes to chance.

        Two halves of the batch are off by chance independently, so the product of their errors has the distance of
        the generator itself as its mean.
        """
        half = len(drawn) // 2
        errors = []
        for part in (drawn[:half], drawn[half : 2 * half]):
            found = (part - self.mean) * self.scale
            errors.append((found.mean(dim=0), found.T @ found / half - self.second))
        (mean, second), (other_mean, other_second) = errors
        return (mean * other_mean).sum() + (second * other_second).sum() / 2


def train(
    layout: Layout,
    rows: Rows,
    *,
    sizes: Sizes,
    steps: Steps,
    rng: np.random.Generator,
    score: Callable[[Networks], float] | None = None,
) -> tuple[Networks, int]:
    """Train on rows of persons.

    Args:
        score: How good the smoothed generator is, on other persons; larger is better. Without it nothing stops early.

    Returns:
        The best smoothed generator with its critic, and after how many steps it was found.

    Raises:
        Refused: the losses are no longer finite.
    """
    draws = seeded(rng)
    shares = {
        at: np.bincount(rows.codes[:, at], minlength=size) / len(rows.codes) for at, size in enumerate(layout.sizes)
    }
    pair = build(layout, sizes, draws=draws, shares=shares)
    smooth = build(layout, sizes, draws=draws)
    smooth.generator.load_state_dict(pair.generator.state_dict())
    best, best_score, best_step, misses = copy.deepcopy(pair.generator.state_dict()), -np.inf, 0, 0
    matrix = torch.from_numpy(layout.matrix(rows))
    found = matched(layout, rows)
    moments = Moments(matrix, torch.from_numpy(found.weights(rows.codes)).float())
    critic = torch.optim.Adam(pair.critic.parameters(), lr=steps.rate, betas=(0.5, 0.9))
    generator = torch.optim.Adam(pair.generator.parameters(), lr=steps.rate, betas=(0.5, 0.9))
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(generator, steps.most, eta_min=steps.rate / 10)
    batch = steps.batch // (2 * sizes.pack) * 2 * sizes.pack
    for step in range(1, steps.most + 1):
        asked, real = found.draw(batch, rng)
        wanted, filled = tensors(pair, asked)
        slope_weight = 4 * steps.penalty if step % 4 == 1 else 0.0
        fake = draw(pair, wanted, filled, draws=draws)
        judged = _judge(pair, critic, matrix[real], fake.detach(), wanted, slope_weight=slope_weight)
        generator.zero_grad()
        loss = generator_loss(pair, fake, wanted) + steps.moments * moments.distance(fake)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(pair.generator.parameters(), 5.0)
        generator.step()
        falling.step()
        if not (torch.isfinite(loss) and np.isfinite(judged)):
            raise Refused(f"the networks diverged after {step} steps and no corpus can be drawn; lower the rate")
        _follow(smooth, pair, steps.smoothing if step > 20 else 0.5)
        if score is not None and step % steps.look == 0:
            value = score(smooth)
            if value > best_score:
                best, best_score, best_step = copy.deepcopy(smooth.generator.state_dict()), value, step
                misses = 0
            else:
                misses += 1
                if misses >= steps.patience:
                    break
    if score is None:
        best, best_step = smooth.generator.state_dict(), steps.most
    smooth.generator.load_state_dict(best)
    return smooth, best_step


def _judge(
    pair: Networks,
    critic: torch.optim.Optimizer,
    real: Tensor,
    fake: Tensor,
    wanted: Tensor,
    *,
    slope_weight: float,
) -> float:
    """Take one step of the critic and return its loss."""
    critic.zero_grad()
    loss = critic_loss(pair.critic, fake, wanted, real=False).mean()
    real = real.requires_grad_(slope_weight > 0)
    judged = critic_loss(pair.critic, real, wanted, real=True)
    loss = loss + judged.mean()
    if slope_weight:
        (slope,) = torch.autograd.grad(pair.critic(real, wanted).sum(), real, create_graph=True)
        loss = loss + slope_weight / 2 * (slope**2).sum(dim=1).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    critic.step()
    return float(loss.detach())


def _follow(smooth: Networks, pair: Networks, smoothing: float) -> None:
    with torch.no_grad():
        for kept, new in zip(smooth.generator.parameters(), pair.generator.parameters(), strict=True):
            kept.lerp_(new, 1 - smoothing)

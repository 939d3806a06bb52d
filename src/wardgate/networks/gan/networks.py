"""A conditional tabular GAN: generator, critic, and what a step of each costs. CPU, small networks.

How others use it (FedGAN, the private form):

    layout = public_layout(features) or fitted_layout(features, table, ...)       networks/gan/layout.py
    pair = build(layout, Sizes(), draws=seeded(rng)) Networks(generator, critic); double=True for the private form
    wanted, filled = tensors(pair, asked)            what each row is asked to be
    fake = draw(pair, wanted, filled, draws=...)     rows drawn, shape (n, layout.width), differentiable
    critic_loss(pair.critic, rows, wanted, real=...) per row, shape (n,): what the critic minimises
    generator_loss(pair, fake, wanted)               one number: what the generator minimises
    sampled(pair, asked, draws=...) -> Rows          cells and places, for `layout.decode`
    flat(pair.critic), load(pair.critic, vector)     networks/arrays.py: weights as one float64 vector

`asked` comes from networks/gan/conditions.py and `wanted, filled` from `tensors(pair, asked)`, both of shape
(n, layout.indicators). The critic is the only part that ever sees persons. It has linear layers and smooth activations
alone and normalises over no batch, so that with pack=1 one person touches one row's gradient.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wardgate.networks.arrays import Vector, flat, load, start_weights
from wardgate.networks.gan.conditions import Asked, mask
from wardgate.networks.gan.layout import Layout, Rows
from wardgate.records.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Public sizes of both networks.

    Attributes:
        latent: Random numbers that a row is made of.
        hidden: Units of each of two hidden layers.
        pack: Rows that the critic judges together (PacGAN, Lin et al. 2018, arXiv:1712.04086).
        temperature: Of the Gumbel softmax in training; sampling draws from the softmax itself.
        told: Whether the critic is told what a row was asked to be, beside the row itself.
    """

    latent: int = 64
    hidden: int = 128
    pack: int = 1
    temperature: float = 0.5
    told: bool = True

    def __post_init__(self) -> None:
        if min(self.latent, self.hidden, self.pack) < 1 or not self.temperature > 0:
            raise Invalid("sizes of a network start at 1, and its temperature lies above 0")


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a layer whose weights are still to be drawn: torch would draw them from its global generator."""
    found: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
    return found


class Generator(nn.Module):
    """Noise and what is asked for to raw outputs, shape (n, layout.indicators + layout.places)."""

    def __init__(self, layout: Layout, sizes: Sizes) -> None:
        super().__init__()
        inputs, hidden = sizes.latent + layout.indicators, sizes.hidden
        self.first = _linear(inputs, hidden)
        self.second = _linear(hidden + inputs, hidden)
        self.last = _linear(2 * hidden + inputs, layout.indicators + layout.places)

    def forward(self, noise: Tensor, wanted: Tensor) -> Tensor:
        start = torch.cat([noise, wanted], dim=1)
        one = functional.silu(self.first(start))
        two = functional.silu(self.second(torch.cat([one, start], dim=1)))
        found: Tensor = self.last(torch.cat([two, one, start], dim=1))
        return found


class Critic(nn.Module):
    """Packs of rows and what was asked of them to one score each, shape (n / pack,); high means real."""

    def __init__(self, layout: Layout, sizes: Sizes) -> None:
        super().__init__()
        self.told = sizes.told
        self.first = _linear(sizes.pack * (layout.width + sizes.told * layout.indicators), sizes.hidden)
        self.second = _linear(sizes.hidden, sizes.hidden)
        self.last = _linear(sizes.hidden, 1)

    def forward(self, rows: Tensor, wanted: Tensor) -> Tensor:
        start = torch.cat([rows, wanted], dim=1) if self.told else rows
        start = start.reshape(-1, self.first.in_features)
        one = functional.silu(self.first(start))
        two = functional.silu(self.second(one))
        found: Tensor = self.last(two).squeeze(1)
        return found


class Blocks:
    """What torch needs to know of a layout, as constants."""

    def __init__(self, layout: Layout, *, dtype: torch.dtype = torch.float32) -> None:
        columns = np.repeat(np.arange(len(layout.sizes)), layout.sizes)
        self.of = torch.from_numpy(columns)
        self.columns = len(layout.sizes)
        self.starts, self.sizes, self.indicators = layout.starts, layout.sizes, layout.indicators
        self.closed = torch.from_numpy(~np.concatenate([np.asarray(kept) for kept in layout.kept]))
        ranks = np.zeros((layout.indicators, len(layout.numbers)))
        shares = np.zeros((layout.indicators, layout.places))
        for number, (at, middles) in enumerate(zip(layout.numbers, layout.middles, strict=True)):
            start, present = layout.starts[at], layout.domain.columns[at].present
            ranks[start : start + layout.sizes[at], number] = middles
            if layout.placed:
                shares[start : start + present, number] = 1.0 / present
        self.ranks = torch.from_numpy(ranks).to(dtype)
        self.shares = torch.from_numpy(shares).to(dtype)

    def spread(self, by_column: Tensor) -> Tensor:
        """Give every indicator the number of its column, from shape (n, columns) to (n, indicators)."""
        return by_column.index_select(1, self.of)

    def largest(self, logits: Tensor) -> Tensor:
        """Return the largest indicator of each column, spread over it."""
        most = torch.full((len(logits), self.columns), -torch.inf, dtype=logits.dtype)
        most = most.scatter_reduce(1, self.of.expand(len(logits), -1), logits.detach(), "amax")
        return self.spread(most)

    def softmax(self, logits: Tensor) -> Tensor:
        """Return the softmax of each column's block."""
        weights = torch.exp(logits - self.largest(logits))
        total = torch.zeros((len(logits), self.columns), dtype=logits.dtype).index_add(1, self.of, weights)
        return weights / self.spread(total)

    def rows(self, indicators: Tensor, places: Tensor) -> Tensor:
        """Return rows as the critic sees them, from indicators and places."""
        ranks = indicators @ self.ranks
        if places.shape[1]:
            inside = indicators @ self.shares
            places = places * (inside > 0)
            ranks = ranks + places * inside
        return torch.cat([indicators, places, ranks], dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """A generator and a critic of one layout."""

    layout: Layout
    sizes: Sizes
    blocks: Blocks
    generator: Generator
    critic: Critic

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.generator.first.weight.dtype

    def parts(self) -> dict[str, Any]:
        """Return what is kept of a fit: the generator. The critic, which saw patients itself, is not."""
        weights = flat(self.generator)
        return {"layout": self.layout, "sizes": self.sizes, "weights": weights, "double": self.dtype == torch.float64}

    @classmethod
    def of_parts(cls, layout: Layout, sizes: Sizes, weights: Vector, double: bool) -> "Networks":
        """Return networks that draw as those did whose `parts` these are; the critic is a new one.

        Raises:
            Invalid: the weights do not fit the layout.
        """
        found = build(layout, sizes, draws=torch.Generator().manual_seed(0), double=double)
        load(found.generator, weights)
        return found


def build(
    layout: Layout,
    sizes: Sizes,
    *,
    draws: torch.Generator,
    shares: Mapping[int, np.ndarray] | None = None,
    double: bool = False,
) -> Networks:
    """Return new networks.

    Args:
        draws: The starting weights follow from it.
        shares: For some columns, how often each cell occurs: the generator starts from there.
        double: Compute in float64, where a rounded gradient could tell of a person.
    """
    dtype = torch.float64 if double else torch.float32
    generator, critic = Generator(layout, sizes).to(dtype), Critic(layout, sizes).to(dtype)
    start_weights(generator, draws=draws)
    start_weights(critic, draws=draws)
    with torch.no_grad():
        generator.last.weight.mul_(0.1 if shares else 1.0)
        for at, share in (shares or {}).items():
            start = layout.starts[at]
            logits = torch.from_numpy(np.log(np.maximum(np.asarray(share, dtype=np.float64), 1e-4)))
            generator.last.bias[start : start + layout.sizes[at]] = logits.to(dtype)
    return Networks(layout=layout, sizes=sizes, blocks=Blocks(layout, dtype=dtype), generator=generator, critic=critic)


def tensors(pair: Networks, asked: Asked) -> tuple[Tensor, Tensor]:
    """Return what is asked for as indicators, and which blocks they fill."""
    wanted, filled = mask(pair.blocks.starts, pair.blocks.sizes, asked)
    return torch.from_numpy(wanted).to(pair.dtype), torch.from_numpy(filled).to(pair.dtype)


def draw(pair: Networks, wanted: Tensor, filled: Tensor, *, draws: torch.Generator) -> Tensor:
    """Draw rows through which gradients flow: whole indicators forward, their softmax backward.

    Returns:
        Shape (n, layout.width).
    """
    raw, gumbel = _raw(pair, wanted, draws)
    logits = raw[:, : pair.blocks.indicators].masked_fill(pair.blocks.closed, -1e4)
    noisy = (logits + gumbel) / pair.sizes.temperature
    soft = pair.blocks.softmax(noisy)
    hard = (noisy == pair.blocks.largest(noisy)).to(soft.dtype)
    indicators = hard + soft - soft.detach()
    indicators = indicators * (1 - filled) + wanted
    return pair.blocks.rows(indicators, torch.tanh(raw[:, pair.blocks.indicators :]))


def sampled(pair: Networks, asked: Asked, *, draws: torch.Generator) -> Rows:
    """Draw rows as cells and places, exactly from the softmax that the generator gives.

    Raises:
        Invalid: the weights are not finite.
    """
    wanted, filled = tensors(pair, asked)
    with torch.no_grad():
        raw, gumbel = _raw(pair, wanted, draws)
        logits = raw[:, : pair.blocks.indicators].masked_fill(pair.blocks.closed, -1e4)
        noisy = torch.where(filled > 0, wanted * 1e5, logits + gumbel).numpy()
        places = torch.tanh(raw[:, pair.blocks.indicators :]).numpy().astype(np.float32)
    if not bool(np.isfinite(noisy).all()):
        raise Invalid("the generator's weights are not finite; nothing can be drawn from it")
    codes = np.column_stack(
        [
            noisy[:, start : start + size].argmax(axis=1)
            for start, size in zip(pair.layout.starts, pair.layout.sizes, strict=True)
        ]
    )
    return Rows(codes=codes.astype(np.int32), places=places)


def critic_loss(critic: nn.Module, rows: Tensor, wanted: Tensor, *, real: bool) -> Tensor:
    """Return the critic's loss of each pack, shape (n / pack,): log(1 + exp(-score)) where real, else of +score."""
    score = critic(rows, wanted)
    return functional.softplus(-score if real else score)


def generator_loss(pair: Networks, fake: Tensor, wanted: Tensor) -> Tensor:
    """Return the generator's loss, one number: how unreal the critic finds the rows drawn."""
    return functional.softplus(-pair.critic(fake, wanted)).mean()


def _raw(pair: Networks, wanted: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    n = len(wanted)
    noise = torch.randn(n, pair.sizes.latent, generator=draws, dtype=pair.dtype)
    even = torch.rand(n, pair.blocks.indicators, generator=draws, dtype=pair.dtype)
    gumbel = -torch.log(-torch.log(even.clamp(1e-10, 1 - 1e-7)))
    return pair.generator(noise, wanted), gumbel

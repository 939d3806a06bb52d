"""A network that answers with the distribution of any column given any others, and its training on codes.

One network is trained on all orders at once: in every row a random number of columns is shown, and the others are to be
foretold (Uria, Murray and Larochelle 2014, arXiv:1310.1757; Hoogeboom et al. 2022, arXiv:2110.02037). Rows drawn
column by column in any order therefore come from (nearly) one distribution, and columns that are given beforehand are
conditioned on without any loss. The columns' own shares are the start: with no training every column is independent.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from wardgate.networks.arrays import flat, load
from wardgate.networks.tables.bins import Column, basis
from wardgate.networks.tables.pieces import Codes, Vector
from wardgate.records.errors import Invalid

REPEATS = 4
"""Times that every tuning person is asked about, each time with other columns shown."""

LEAST_BATCH = 32

EPOCHS_AVERAGED = 2.0
"""Passes over which weights are averaged (Polyak and Juditsky 1992): single steps are too noisy to sample from."""

LOWER = 0.3
"""What the learning rate is multiplied with when the tuning persons see no gain any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the network is built and trained.

    Attributes:
        width, blocks: Of the hidden layers.
        waves: Cosines that describe the bins of a number.
        dropout: Share of hidden units left out at random in a step.
        weight_decay: Of AdamW, on all weights but biases.
        learning_rate: At the start; it is lowered whenever the tuning persons saw no gain for `patience` passes.
        batch: Persons in a step at most; with few persons it is a tenth of them.
        most_epochs: Passes over the training persons at most.
        patience: Passes without a gain for the tuning persons, after which the rate is lowered.
        lowerings: After so many the training stops, and the best network is kept.
        early_stopping: Off, the rate stays and the network after the last pass is kept, which learns persons by
            heart. It exists to show the gate refusing what comes of it.
    """

    width: int = 128
    blocks: int = 2
    waves: int = 5
    dropout: float = 0.2
    weight_decay: float = 0.01
    learning_rate: float = 3e-3
    batch: int = 256
    most_epochs: int = 200
    patience: int = 3
    lowerings: int = 2
    early_stopping: bool = True

    def __post_init__(self) -> None:
        whole = {"width": self.width, "blocks": self.blocks, "waves": self.waves, "batch": self.batch}
        whole |= {"most_epochs": self.most_epochs, "patience": self.patience, "lowerings": self.lowerings}
        for name, value in whole.items():
            if value < 1:
                raise Invalid(f"expected {name} of at least 1, found {value}")
        if not 0 <= self.dropout < 1:
            raise Invalid(f"expected a dropout from 0 up to below 1, found {self.dropout}")
        if not (self.learning_rate > 0 and self.weight_decay >= 0):
            raise Invalid("expected a learning rate above 0 and a weight decay of at least 0")


class Network(torch.nn.Module):
    """Residual layers between columns described by `bins.basis`."""

    def __init__(self, columns: Sequence[Column], training: Training, generator: torch.Generator) -> None:
        super().__init__()
        self.columns, self.built = tuple(columns), training
        self.bases = [torch.from_numpy(basis(column, training.waves)).float() for column in columns]
        sizes = [one.shape[1] for one in self.bases]
        ends = np.cumsum(sizes)
        self.parts = [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]
        total, width = int(ends[-1]), training.width

        def weights(inputs: int, outputs: int, scale: float = 1.0) -> torch.nn.Parameter:
            drawn = torch.randn(outputs, inputs, generator=generator)
            return torch.nn.Parameter(drawn * scale / math.sqrt(inputs))

        self.width = width
        # The first layer feeds the hidden ones and, from 0 on, the answers directly: plain effects need no depth.
        self.read = torch.nn.Parameter(
            torch.cat([weights(total + len(columns), width).detach(), torch.zeros(total, total + len(columns))])
        )
        self.read_bias = torch.nn.Parameter(torch.zeros(width + total))
        self.inner = torch.nn.ParameterList([weights(width, width, math.sqrt(2)) for _ in range(training.blocks)])
        self.inner_bias = torch.nn.ParameterList([torch.zeros(width) for _ in range(training.blocks)])
        self.outer = torch.nn.ParameterList([weights(width, width, 0.1) for _ in range(training.blocks)])
        self.answer = torch.nn.Parameter(torch.zeros(total, width))
        shares = [torch.from_numpy(column.weight / column.weight.sum()).float() for column in columns]
        self.shares = torch.nn.ParameterList([torch.nn.Parameter(torch.log(share)) for share in shares])
        # An unknown column reads as zeros, which is what the last row of a table is.
        self.tables = [torch.cat([one, torch.zeros(1, one.shape[1])]) for one in self.bases]

    def start(self, codes: torch.Tensor) -> torch.Tensor:
        """Return what the first layer makes of known codes, -1 being unknown, shape (n, width + answers)."""
        seen = [table[codes[:, place]] for place, table in enumerate(self.tables)]
        return functional.linear(torch.cat([*seen, (codes >= 0).float()], dim=1), self.read, self.read_bias)

    def shown(self, start: torch.Tensor, place: int, codes: torch.Tensor) -> torch.Tensor:
        """Return the first layer after one more column became known in every row."""
        told = self.read[:, self.read.shape[1] - len(self.parts) + place]
        return start + functional.linear(self.bases[place][codes], self.read[:, self.parts[place]]) + told

    def hidden(self, start: torch.Tensor, drop: "Drop | None" = None) -> torch.Tensor:
        """Return the last hidden layer and what goes past it, shape (n, width + answers)."""
        state = start[:, : self.width]
        for inner, bias, outer in zip(self.inner, self.inner_bias, self.outer, strict=True):
            inside = functional.relu(functional.linear(functional.layer_norm(state, state.shape[1:]), inner, bias))
            state = state + functional.linear(drop(inside) if drop else inside, outer)
        final = functional.layer_norm(state, state.shape[1:])
        return torch.cat([drop(final) if drop else final, start[:, self.width :]], dim=1)

    def logits(self, hidden: torch.Tensor, place: int) -> torch.Tensor:
        """Return how likely each code of one column is, up to a constant, shape (n, codes)."""
        answer = functional.linear(hidden[:, : self.width], self.answer[self.parts[place]])
        answer = answer + hidden[:, self.width :][:, self.parts[place]]
        return torch.addmm(self.shares[place], answer, self.bases[place].T)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Leaves units out at random, from a generator of its own."""

    share: float
    generator: torch.Generator

    def __call__(self, units: torch.Tensor) -> torch.Tensor:
        """Return the units with some at 0 and the others larger in turn."""
        if self.share == 0:
            return units
        kept = torch.rand(units.shape, generator=self.generator) >= self.share
        return units * kept / (1 - self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained network. It never leaves the ward.

    Attributes:
        epochs: Passes over the training persons.
        loss: Mean over columns of -log of the chance given to a tuning person's value, of the network that was kept.
    """

    network: Network
    epochs: int
    loss: float

    def parts(self) -> dict[str, Any]:
        """Return what is kept of it as plain values."""
        network = self.network
        kept = {"columns": network.columns, "training": network.built, "weights": flat(network)}
        return {**kept, "epochs": self.epochs, "loss": self.loss}

    @classmethod
    def of_parts(
        cls, columns: Sequence[Column], training: Training, weights: Vector, epochs: int, loss: float
    ) -> "Trained":
        """Return the network whose `parts` these are.

        Raises:
            Invalid: the weights do not fit the columns.
        """
        network = Network(columns, training, torch.Generator().manual_seed(0)).requires_grad_(False)
        load(network, weights)
        return cls(network=network, epochs=epochs, loss=loss)

    def conditional(self, known: Codes, place: int) -> Vector:
        """Return P(column | known columns), shape (n, codes).

        Args:
            known: Codes of all columns, -1 where unknown, shape (n, columns).
            place: Which column is asked about.
        """
        with torch.no_grad():
            codes = torch.from_numpy(known.astype(np.int64))
            return chances(self.network, self.network.start(codes), place)


def chances(network: Network, start: torch.Tensor, place: int) -> Vector:
    """Return P(column | what `start` has seen), shape (n, codes)."""
    found: Vector = torch.softmax(network.logits(network.hidden(start), place), dim=1).double().numpy()
    return found


def train(
    columns: Sequence[Column], codes: Codes, tuning: Codes, *, training: Training, rng: np.random.Generator
) -> Trained:
    """Train on persons and stop by others.

    Args:
        columns: At least one, each with at least two codes.
        codes: Of the training persons, shape (n, columns); -1 is neither shown nor asked for.
        tuning: Of the tuning persons.
        rng: Start, order, what is shown and what is dropped.

    Raises:
        Invalid: the loss is no longer a number.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    network = Network(columns, training, generator)
    people, others = (torch.from_numpy(np.ascontiguousarray(one, dtype=np.int64)) for one in (codes, tuning))
    others = others.repeat(REPEATS, 1)
    batch = min(training.batch, max(LEAST_BATCH, len(people) // 10))
    asked = _asked(others, generator)
    free = [*network.inner_bias, *network.shares, network.read_bias]
    bound = [network.read, *network.inner, *network.outer, network.answer]
    optimiser = torch.optim.AdamW(
        [{"params": bound, "weight_decay": training.weight_decay}, {"params": free, "weight_decay": 0.0}],
        lr=training.learning_rate,
    )
    drop = Drop(share=training.dropout, generator=generator)
    averaged = copy.deepcopy(network).requires_grad_(False)
    share = 1 / max(10.0, EPOCHS_AVERAGED * len(people) / batch)
    best, lowest, waited, lowered, epoch = _copy(network), math.inf, 0, 0, 0
    for epoch in range(1, training.most_epochs + 1):
        for rows in torch.split(torch.randperm(len(people), generator=generator), batch):
            some = people[rows]
            loss = _loss(network, some, _asked(some, generator), drop)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
                mean.lerp_(value.detach(), share)
        seen = _tuning_loss(averaged, others, asked)
        if not math.isfinite(seen):
            raise Invalid(f"the loss is no number after {epoch} passes; lower the learning rate")
        if seen < lowest - 1e-4:
            best, lowest, waited = _copy(averaged), seen, 0
            continue
        waited += 1
        if training.early_stopping and waited >= training.patience:
            if lowered == training.lowerings:
                break
            network.load_state_dict(best)
            averaged.load_state_dict(best)
            waited, lowered = 0, lowered + 1
            for group in optimiser.param_groups:
                group["lr"] *= LOWER
    if training.early_stopping:
        averaged.load_state_dict(best)
        seen = lowest
    return Trained(network=averaged, epochs=epoch, loss=seen)


def _copy(network: Network) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _asked(codes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Choose what is not shown: of each row 1 to all columns, every number as likely as any other."""
    rows, columns = codes.shape
    count = torch.randint(1, columns + 1, (rows, 1), generator=generator)
    order = torch.rand(rows, columns, generator=generator).argsort(dim=1).argsort(dim=1)
    return order < count


def _loss(network: Network, codes: torch.Tensor, asked: torch.Tensor, drop: Drop | None = None) -> torch.Tensor:
    hidden = network.hidden(network.start(torch.where(asked, -1, codes)), drop)
    wanted = asked & (codes >= 0)
    losses = torch.stack(
        [
            functional.cross_entropy(network.logits(hidden, place), codes[:, place].clamp(min=0), reduction="none")
            for place in range(codes.shape[1])
        ],
        dim=1,
    )
    return ((losses * wanted).sum(dim=1) / wanted.sum(dim=1).clamp(min=1)).mean()


def _tuning_loss(network: Network, codes: torch.Tensor, asked: torch.Tensor) -> float:
    with torch.no_grad():
        parts = [
            float(_loss(network, some, hidden)) * len(some)
            for some, hidden in zip(torch.split(codes, 4096), torch.split(asked, 4096), strict=True)
        ]
    return sum(parts) / len(codes)

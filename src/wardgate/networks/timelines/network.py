"""An autoregressive network of timelines: the person first, then gap, what is measured, and every value in its turn.

What carries a person through time is handed to the network in plain sight: of every column its last value, its mean
so far, how restless it was, how often and how long ago it was measured. A recurrent memory holds the rest. Values are
bins; each is drawn near the person's last one as far as the network trusts it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wardgate.networks.timelines.bins import Bins
from wardgate.networks.timelines.coding import Coded, Coding, places
from wardgate.networks.timelines.past import SUMMARY, Batch, pasts

POWERS = 5
"""Numbers that tell a value of this row: whether it is known, three polynomials of its rank, and how it changed."""

CHANGE = 4.0
"""By how much changes from the last value are enlarged; they are small where a column belongs to the person."""

BUMPS = 8
"""Soft indicators of a rank, and of a time."""

CLOCK = 2 * BUMPS + BUMPS + 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Widths of the network: of its memory, and of the heads of each column."""

    memory: int = 64
    head: int = 24
    flag: int = 8


class Network(nn.Module):
    """All conditional distributions of a timeline. Built without drawing; `settle` gives it its first weights."""

    def __init__(self, coding: Coding, sizes: Sizes) -> None:
        super().__init__()
        self.span = max(coding.span, 1e-6)
        self.most_rows = coding.most_rows
        features = len(coding.features)
        self.features = features
        known = [_static_table(one.place, one.count, nominal) for one, nominal in _nominal(coding)]
        widths = [table.shape[1] for table in known]
        static = sum(widths)
        bins = [one.count for one in coding.values]
        place = torch.from_numpy(places(coding.values))
        most = place.shape[1]
        memory, head, flag = sizes.memory, sizes.head, sizes.flag
        context = memory + features * SUMMARY + static + CLOCK + 2
        with torch.device("meta"):
            self.static_in = nn.ModuleList([nn.Linear(static, head) for _ in known])
            self.static_out = nn.ModuleList([nn.Linear(head, table.shape[1], bias=False) for table in known])
            self.begin = nn.Linear(static, memory)
            self.start_in = nn.Linear(static, head)
            self.start_out = nn.Linear(head, max(coding.start.count, 1))
            self.row_in = nn.Linear(features * POWERS + CLOCK, memory)
            self.memory = nn.GRU(memory, memory, batch_first=True)
            self.step_in = nn.Linear(context - 1, memory)
            self.step_out = nn.Linear(memory, coding.gap.count + 1)
            self.row_context = nn.Linear(context, memory)
            self.flag_base = nn.Linear(memory + static, features * flag)
            self.value_base = nn.Linear(memory + static + features, features * head)
        self.static_bias = nn.ParameterList([nn.Parameter(torch.empty(len(table))) for table in known])
        self.flag_own = nn.Parameter(torch.empty(features, SUMMARY, flag))
        self.flag_mix = nn.Parameter(torch.empty(features, features, flag))
        self.flag_out = nn.Parameter(torch.empty(features, flag))
        self.flag_bias = nn.Parameter(torch.empty(features))
        self.value_own = nn.Parameter(torch.empty(features, SUMMARY + BUMPS, head))
        self.value_mix = nn.Parameter(torch.empty(features * POWERS, features, head))
        self.value_out = nn.Parameter(torch.empty(features, head, most))
        self.value_bias = nn.Parameter(torch.empty(features, most))
        self.pull_out = nn.Parameter(torch.empty(features, head, 2))
        self.pull_bias = nn.Parameter(torch.empty(features, 2))
        self.widths, self.static_features = widths, static
        self.static_tables = known
        self.place = place
        self.bins = bins
        earlier = torch.ones(features, features).triu(1)
        self.earlier_flags = earlier[:, :, None]
        self.steps = max(coding.start.count, coding.gap.count, 1)
        self.flag_width, self.head_width = flag, head

    def person_weights(self) -> list[nn.Parameter]:
        """Return the weights that `person_nats` needs; `row_nats` needs the others."""
        parts = (self.static_in, self.static_out, self.static_bias, self.start_in, self.start_out)
        return [weight for part in parts for weight in part.parameters()]

    def settle(self, generator: torch.Generator) -> None:
        """Give every weight its first value, from this generator alone: at first nothing hangs on anything."""
        self.to_empty(device="cpu")
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if "bias" in name or "_out" in name:
                    weight.zero_()
                    continue
                fan = weight.shape[-1] if weight.dim() == 2 else weight.shape[-2]
                if name in ("flag_mix", "value_mix"):
                    fan = weight.shape[0]
                bound = 1 / math.sqrt(max(fan, 1))
                weight.uniform_(-bound, bound, generator=generator)

    def prime(self, coded: Coded) -> None:
        """Start from how often each code is seen, so that the first steps need not learn it."""
        here = np.arange(coded.values.shape[1])[None, :] < coded.rows[:, None]
        ahead = np.where(here[:, 1:], coded.steps[:, 1:], 0)[here[:, :-1]] if coded.values.shape[1] > 1 else here[:0, 0]
        with torch.no_grad():
            for at, table in enumerate(self.static_tables):
                self.static_bias[at].copy_(_log_shares(coded.statics[:, at], len(table)))
            self.start_out.bias.copy_(_log_shares(np.maximum(coded.steps[:, 0] - 1, 0), len(self.start_out.bias)))
            self.step_out.bias.copy_(_log_shares(ahead.astype(np.int64), len(self.step_out.bias)))
            for at, bins in enumerate(self.bins):
                codes = coded.values[..., at][here].astype(np.int64)
                share = (np.count_nonzero(codes) + 0.5) / (len(codes) + 1)
                self.flag_bias[at] = math.log(share / (1 - share))
                if bins:
                    self.value_bias[at, :bins] = _log_shares(codes[codes > 0] - 1, bins)

    def known_statics(self, codes: Tensor, upto: int | None = None) -> Tensor:
        """Return the columns of persons as numbers, those from `upto` on as 0, shape (persons, static)."""
        last = len(self.widths) if upto is None else upto
        parts = [
            table[codes[:, at]] if at < last else torch.zeros(len(codes), table.shape[1])
            for at, table in enumerate(self.static_tables)
        ]
        return torch.cat(parts, dim=1) if parts else torch.zeros(len(codes), 0)

    def static_logits(self, at: int, known: Tensor) -> Tensor:
        """Return logits of every code of a column: its shares among all persons, moved along its ranks."""
        hidden = functional.gelu(self.static_in[at](known))
        logits: Tensor = self.static_out[at](hidden) @ self.static_tables[at].T + self.static_bias[at]
        return logits

    def start_logits(self, known: Tensor) -> Tensor:
        logits: Tensor = self.start_out(functional.gelu(self.start_in(known)))
        return logits

    def powers(self, seen: Tensor, place: Tensor, summary: Tensor) -> Tensor:
        """Return what tells each value of a row, shape (..., features, POWERS).

        Without the change from the person's last value, columns that rise together within a person would not.
        """
        change = CHANGE * seen * summary[..., 0] * (place - summary[..., 1])
        return torch.stack((seen, place, seen * (1.5 * place**2 - 0.5), place**3, change), dim=-1)

    def clock(self, hours: Tensor) -> Tensor:
        """Return a time as numbers, shape (..., CLOCK)."""
        share = (hours / self.span).clamp(0, 1)
        slow = torch.log1p(hours.clamp_min(0)) / math.log1p(self.span)
        fine = torch.linspace(0, 1, 2 * BUMPS)
        coarse = torch.linspace(0, 1, BUMPS)
        angle = hours * (2 * math.pi / 24)
        return torch.cat(
            (
                torch.exp(-(((share[..., None] - fine) * 2 * BUMPS) ** 2) / 2),
                torch.exp(-(((slow[..., None] - coarse) * BUMPS) ** 2) / 2),
                torch.stack((share, slow, angle.sin(), angle.cos()), dim=-1),
            ),
            dim=-1,
        )

    def row_input(self, powers: Tensor, clock: Tensor) -> Tensor:
        taken: Tensor = functional.gelu(self.row_in(torch.cat((powers.flatten(-2), clock), dim=-1)))
        return taken

    def step_logits(self, memory: Tensor, summary: Tensor, known: Tensor, clock: Tensor, number: Tensor) -> Tensor:
        """Return logits of the end and of every gap, shape (..., gaps + 1)."""
        joined = torch.cat((memory, summary.flatten(-2), known, clock, number), dim=-1)
        logits: Tensor = self.step_out(functional.gelu(self.step_in(joined)))
        return logits

    def context(
        self, memory: Tensor, summary: Tensor, known: Tensor, clock: Tensor, number: Tensor, gap: Tensor
    ) -> Tensor:
        joined = torch.cat((memory, summary.flatten(-2), known, clock, number, gap), dim=-1)
        found: Tensor = functional.gelu(self.row_context(joined))
        return found

    def flag_start(self, context: Tensor, summary: Tensor) -> Tensor:
        """Return what decides on each column before the row has any, shape (..., features, flag)."""
        base = self.flag_base(context).unflatten(-1, (self.features, self.flag_width))
        own: Tensor = base + torch.einsum("...fs,fsw->...fw", summary, self.flag_own)
        return own

    def flag_logits(self, start: Tensor, seen: Tensor) -> Tensor:
        """Return logits of being measured given the columns before, shape (..., features)."""
        mixed = torch.einsum("...g,gfw->...fw", seen, self.flag_mix * self.earlier_flags)
        return (functional.gelu(start + mixed) * self.flag_out).sum(-1) + self.flag_bias

    def flag_logit(self, at: int, start: Tensor, seen: Tensor) -> Tensor:
        mixed = seen[:, :at] @ self.flag_mix[:at, at]
        return (functional.gelu(start[:, at] + mixed) * self.flag_out[at]).sum(-1) + self.flag_bias[at]

    def value_start(self, context: Tensor, summary: Tensor, seen: Tensor) -> Tensor:
        base: Tensor = self.value_base(torch.cat((context, seen), dim=-1)).unflatten(
            -1, (self.features, self.head_width)
        )
        centres = torch.linspace(-1, 1, BUMPS)
        bumps = torch.exp(-(((summary[..., 1:2] - centres) * BUMPS / 2) ** 2) / 2) * summary[..., :1]
        own = torch.einsum("...fs,fsw->...fw", torch.cat((summary, bumps), dim=-1), self.value_own)
        return base + own

    def value_logits(self, at: int, start: Tensor, last: Tensor, powers: Tensor) -> Tensor:
        """Return logits of the bins of one column given the columns before it.

        The network's own logits, and a pull towards the last value, moved by what the network adds and as strong as
        it trusts it: - trust (rank - centre)^2, of which what is the same for all bins is left out.

        Args:
            start: Of this column, shape (n, head).
            last: Rank of the last value, shape (n,).
            powers: Of all columns, shape (n, features, POWERS).
        """
        hidden = functional.gelu(start + powers[:, :at].flatten(1) @ self.value_mix[: at * POWERS, at])
        pull = hidden @ self.pull_out[at] + self.pull_bias[at]
        trust = torch.exp(pull[:, :1].clamp(-6, 8))
        centre = last[:, None] + pull[:, 1:]
        bins = max(self.bins[at], 1)
        place = self.place[at, :bins]
        table = torch.cat((self.value_out[at, :, :bins], torch.stack((place, -(place**2)))), dim=0)
        joined = torch.cat((hidden, 2 * trust * centre, trust), dim=1)
        return self.value_bias[at, :bins] + joined @ table

    def ranks(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return whether values are known, and their ranks, of codes of shape (..., features)."""
        seen = (codes > 0).float()
        at = torch.arange(self.features).expand(codes.shape)
        return seen, self.place[at, (codes - 1).clamp_min(0)] * seen

    def person_nats(self, batch: Batch) -> Tensor:
        """Return minus the log-likelihood of each person's columns and first hour, shape (persons,)."""
        logits = self.start_logits(self.known_statics(batch.statics))
        loss = functional.cross_entropy(logits, (batch.steps[:, 0] - 1).clamp_min(0), reduction="none")
        for at in range(len(self.widths)):
            logits = self.static_logits(at, self.known_statics(batch.statics, at))
            loss = loss + functional.cross_entropy(logits, batch.statics[:, at], reduction="none")
        return loss

    def row_nats(self, batch: Batch, *, drop: "Drop | None" = None) -> Tensor:
        """Return minus the log-likelihood of each person's rows, given the person, shape (persons,)."""
        keep = drop or (lambda hidden: hidden)
        known = self.known_statics(batch.statics)
        length = batch.values.shape[1]
        seen, place = self.ranks(batch.values)
        past = pasts(seen, place, batch.hours)
        whole = past.at(slice(None), slice(0, length)).summary(batch.hours[..., None], self.span)
        powers, clock = self.powers(seen, place, whole), self.clock(batch.hours)
        inputs = keep(self.row_input(powers, clock))
        first = torch.tanh(self.begin(known))
        remembered, _ = self.memory(inputs, first[None])
        here = torch.arange(length)[None, :] < batch.rows[:, None]
        before = keep(torch.cat((first[:, None], remembered), dim=1))
        number = (torch.log1p(torch.arange(length + 1.0)) / math.log1p(self.most_rows))[:, None]
        person, row = torch.nonzero(here, as_tuple=True)
        hour = batch.hours[here][:, None]
        wide, clock = known[person], clock[here]

        summary = past.at(person, row + 1).summary(hour, self.span)
        logits = self.step_logits(before[person, row + 1], summary, wide, clock, number[row + 1])
        last = row == batch.rows[person] - 1
        ahead = torch.cat((batch.steps[:, 1:], torch.zeros_like(batch.steps[:, :1])), dim=1)[here]
        ahead = torch.where(last, torch.zeros_like(ahead), ahead)
        nats = functional.cross_entropy(logits, ahead, reduction="none") * (~last | batch.ends[person])

        summary, seen, powers = whole[here], seen[here], powers[here]
        gap = batch.steps[here][:, None] / self.steps
        context = keep(self.context(before[person, row], summary, wide, clock, number[row], gap))
        context = torch.cat((context, wide), dim=1)
        flags = self.flag_logits(self.flag_start(context, summary), seen)
        nats = nats + functional.binary_cross_entropy_with_logits(flags, seen, reduction="none").sum(1)
        codes = batch.values[here]
        for at, start in enumerate(self.value_start(context, summary, seen).unbind(1)):
            rows = torch.nonzero(seen[:, at])[:, 0]
            logits = self.value_logits(at, start[rows], summary[rows, at, 1], powers[rows])
            found = functional.cross_entropy(logits, codes[rows, at] - 1, reduction="none")
            nats = nats.index_add(0, rows, found)
        return torch.zeros(len(known)).index_add(0, person, nats)


@dataclass(frozen=True, slots=True)
class Drop:
    """Dropout from a generator of its own."""

    share: float
    generator: torch.Generator

    def __call__(self, hidden: Tensor) -> Tensor:
        kept = torch.empty(hidden.shape).uniform_(generator=self.generator) >= self.share
        return hidden * kept / (1 - self.share)


def _log_shares(codes: NDArray[np.int64], count: int) -> Tensor:
    counts = np.bincount(codes, minlength=count) + 0.5
    return torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))


def _nominal(coding: Coding) -> Iterator[tuple[Bins, bool]]:
    for feature, one in zip(coding.columns, coding.statics, strict=True):
        yield one, feature.type in ("category", "boolean")


def _static_table(place: NDArray[np.float64], count: int, nominal: bool) -> Tensor:
    """Return how each code of a static column is told, shape (count + 1, numbers)."""
    if nominal:
        return torch.eye(count + 1)
    rank = torch.from_numpy(place.astype(np.float32))
    bumps = torch.exp(-(((rank[:, None] - torch.linspace(-1, 1, BUMPS)) * BUMPS / 2) ** 2) / 2)
    rows = torch.cat((torch.zeros(count, 1), rank[:, None], 1.5 * rank[:, None] ** 2 - 0.5, bumps), dim=1)
    missing = torch.zeros(1, rows.shape[1])
    missing[0, 0] = 1.0
    return torch.cat((missing, rows), dim=0)

"""Drawing timelines from the network, many persons at once, row by row; rules are kept while drawing."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wardgate.networks.timelines.bins import Bins
from wardgate.networks.timelines.coding import Coding
from wardgate.networks.timelines.network import POWERS, Network, Sizes
from wardgate.networks.timelines.past import Past
from wardgate.networks.timelines.rules import Broken
from wardgate.networks.timelines.training import Weights, built, one_thread

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Indices = NDArray[np.int64]

TRIES = 10
"""Draws of a row that breaks a rule, before what breaks it is left unmeasured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Rows of persons, one person after the other.

    Attributes:
        rows: Rows of each person, shape (persons,).
        time: Hours, rising within a person, shape (rows,).
        values: NaN where not measured, shape (rows, features).
    """

    rows: Indices
    time: Vector
    values: Matrix


def draw_statics(
    coding: Coding,
    weights: Weights,
    persons: int,
    *,
    sizes: Sizes,
    allowed: tuple[NDArray[np.bool_], ...],
    rng: np.random.Generator,
) -> tuple[Indices, Vector]:
    """Draw the columns of persons, each given those before.

    Args:
        allowed: Of every column, which codes may be drawn, shape (bins + 1,).

    Returns:
        Codes, shape (persons, columns), and how likely the network finds what is allowed, shape (persons,): persons
        drawn in proportion to it are as if drawn freely until all conditions are met.
    """
    network, generator = _ready(coding, weights, sizes, rng)
    codes = torch.zeros((persons, len(coding.columns)), dtype=torch.int64)
    chance = torch.ones(persons)
    with one_thread(), torch.no_grad():
        for at in range(len(coding.columns)):
            logits = network.static_logits(at, network.known_statics(codes, at))
            share = torch.softmax(logits, dim=1) * torch.from_numpy(allowed[at]).float()
            total = share.sum(1)
            chance = chance * total
            share = torch.where(total[:, None] > 0, share, torch.full_like(share, 1.0 / share.shape[1]))
            codes[:, at] = _picked(share, generator)
    return codes.numpy(), chance.numpy().astype(np.float64)


def draw_rows(
    coding: Coding,
    weights: Weights,
    statics: Indices,
    *,
    sizes: Sizes,
    broken: Broken | None = None,
    rng: np.random.Generator,
) -> Drawn:
    """Draw the rows of persons whose columns are known.

    Args:
        statics: Codes, shape (persons, columns).
        broken: Which values break a rule; absent, there are none.
    """
    network, generator = _ready(coding, weights, sizes, rng)
    persons, features = len(statics), len(coding.features)
    whose, when, what = [], [], []
    with one_thread(), torch.no_grad():
        known = network.known_statics(torch.from_numpy(statics))
        memory = torch.tanh(network.begin(known))
        past = Past.empty((persons, features))
        alive = np.arange(persons)
        step = _start(network, coding, known, generator)
        hours = np.maximum(coding.start.decode(step, rng=rng), 0.0) if coding.start.count else np.zeros(persons)
        for number in range(coding.most_rows):
            hour = torch.from_numpy(hours.astype(np.float32))
            count = _number(network, number, len(alive))
            clock = network.clock(hour)
            summary = past.summary(hour[:, None], network.span)
            gap = torch.from_numpy(step)[:, None] / network.steps
            context = torch.cat((network.context(memory, summary, known, clock, count, gap), known), dim=1)
            seen, codes, values = _row(network, coding, context, summary, alive, broken, generator, rng)
            whose.append(alive)
            when.append(hours)
            what.append(values)
            place = network.ranks(codes)[1]
            taken = network.row_input(network.powers(seen, place, summary), clock)
            past = past.after(seen, place, hour[:, None])
            memory = network.memory(taken[:, None], memory[None])[0][:, 0]
            if number + 1 == coding.most_rows:
                break
            summary = past.summary(hour[:, None], network.span)
            logits = network.step_logits(memory, summary, known, clock, _number(network, number + 1, len(alive)))
            step = _picked(torch.softmax(logits, dim=1), generator).numpy()
            later = hours + np.nan_to_num(coding.gap.decode(step, rng=rng))
            going = (step > 0) & (later > hours) & (later <= coding.span + 1e-9)
            stay = torch.from_numpy(going)
            alive, hours, step = alive[going], np.round(later[going], 9), step[going]
            known, memory, past = known[stay], memory[stay], past.at(stay)
            if not len(alive):
                break
    place_of = np.concatenate(whose)
    order = np.argsort(place_of, kind="stable")
    return Drawn(
        rows=np.bincount(place_of, minlength=persons),
        time=np.concatenate(when)[order],
        values=np.concatenate(what)[order],
    )


def _ready(coding: Coding, weights: Weights, sizes: Sizes, rng: np.random.Generator) -> tuple[Network, torch.Generator]:
    return built(coding, weights, sizes=sizes), torch.Generator().manual_seed(int(rng.integers(2**62)))


def _number(network: Network, number: int, persons: int) -> Tensor:
    return torch.full((persons, 1), float(np.log1p(number) / np.log1p(network.most_rows)))


def _start(network: Network, coding: Coding, known: Tensor, generator: torch.Generator) -> Indices:
    if not coding.start.count:
        return np.zeros(len(known), dtype=np.int64)
    return _picked(torch.softmax(network.start_logits(known), dim=1), generator).numpy() + 1


def _picked(shares: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one entry of each row, shape (n,)."""
    steps = shares.cumsum(1)
    point = torch.rand((len(shares), 1), generator=generator) * steps[:, -1:]
    found = torch.searchsorted(steps, point, right=True)[:, 0]
    return torch.minimum(found, _last(shares))


def _last(shares: Tensor) -> Tensor:
    """Return the last entry of each row that has any chance."""
    places = torch.arange(shares.shape[1]).expand(shares.shape)
    return torch.where(shares > 0, places, torch.zeros_like(places)).amax(1)


def _row(
    network: Network,
    coding: Coding,
    context: Tensor,
    summary: Tensor,
    persons: Indices,
    broken: Broken | None,
    generator: torch.Generator,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Matrix]:
    """Draw one row of each person: what is measured, its codes and its values."""
    seen = _flags(network, coding, context, summary, generator)
    codes = _values(network, context, summary, seen, generator)
    values = decoded(coding.values, codes.numpy(), rng=rng)
    if broken is None:
        return seen, codes, values
    for _ in range(TRIES):
        bad = np.flatnonzero(broken(persons, values).any(axis=1))
        if not len(bad):
            return seen, codes, values
        again = torch.from_numpy(bad)
        codes[again] = _values(network, context[again], summary[again], seen[again], generator)
        values[bad] = decoded(coding.values, codes[again].numpy(), rng=rng)
    out = broken(persons, values)
    values[out] = np.nan
    codes[torch.from_numpy(out)] = 0
    return (codes > 0).float(), codes, values


def _flags(network: Network, coding: Coding, context: Tensor, summary: Tensor, generator: torch.Generator) -> Tensor:
    """Draw what is measured; where every training row holds something, every drawn row does."""
    start = network.flag_start(context, summary)
    seen = torch.zeros((len(context), network.features))
    left = torch.arange(len(context))
    for _ in range(TRIES if coding.full else 1):
        drawn = torch.zeros((len(left), network.features))
        for at in range(network.features):
            logit = network.flag_logit(at, start[left], drawn)
            point = torch.rand(len(left), generator=generator)
            drawn[:, at] = (point < torch.sigmoid(logit)).float() * float(coding.values[at].count > 0)
        seen[left] = drawn
        left = left[drawn.sum(1) == 0]
        if not len(left):
            return seen
    if coding.full:
        chance = network.flag_logits(start[left], torch.zeros((len(left), network.features)))
        never = torch.tensor([one.count == 0 for one in coding.values])
        seen[left, chance.masked_fill(never, -torch.inf).argmax(1)] = 1.0
    return seen


def _values(network: Network, context: Tensor, summary: Tensor, seen: Tensor, generator: torch.Generator) -> Tensor:
    """Draw the code of each value that is measured, column after column, shape (n, features)."""
    start = network.value_start(context, summary, seen)
    codes = torch.zeros(seen.shape, dtype=torch.int64)
    powers = torch.zeros((*seen.shape, POWERS))
    for at in range(network.features):
        here = torch.nonzero(seen[:, at])[:, 0]
        if not len(here):
            continue
        logits = network.value_logits(at, start[here, at], summary[here, at, 1], powers[here])
        picked = _picked(torch.softmax(logits, dim=1), generator)
        codes[here, at] = picked + 1
        powers[here, at] = network.powers(torch.ones(len(here)), network.place[at, picked], summary[here, at])
    return codes


def decoded(bins: tuple[Bins, ...], codes: Indices, *, rng: np.random.Generator) -> Matrix:
    """Return a value of each code, shape (n, columns)."""
    return np.column_stack([one.decode(codes[:, at], rng=rng) for at, one in enumerate(bins)])

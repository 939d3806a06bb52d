"""Fitting the network of timelines: small batches of persons, weights averaged, stopped by persons it does not see."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wardgate.networks.timelines.coding import Coded, Coding
from wardgate.networks.timelines.network import Drop, Network, Sizes
from wardgate.networks.timelines.past import Batch
from wardgate.records.errors import NotEvaluable

Weights = dict[str, NDArray[np.float32]]
Nats = Callable[[Batch], Tensor]

AVERAGED = 0.99
"""Share of the averaged weights that a step keeps."""

LARGEST_STEP = 5.0
"""Norm to which gradients are cut."""

PERSON_PASSES = 3
"""Passes over the columns of persons, and patience, for one over their rows; they cost next to nothing."""

LOWERED = 0.95
"""Share of the step size that is gone by the last pass."""

LEAST_GAIN = 2e-4
"""Share of itself by which a tuning loss must fall to count as better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast.

    Attributes:
        epochs: Passes over the training persons at most.
        patience: Passes without a better tuning loss after which fitting stops; 0 never stops and keeps the last
            weights, so that training persons are learnt by heart. That exists to show the gate refusing it.
        batch: Persons in a step.
        rate: Step size at the start; it falls evenly with the passes.
        drop: Share of inner values that are left out at random.
    """

    epochs: int = 14
    patience: int = 3
    batch: int = 64
    rate: float = 4e-3
    drop: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a fit leaves behind, in the ward.

    Attributes:
        weights: By name.
        tuning_loss: Nats a row of tuning persons, of the weights that were kept.
        epochs: Passes that were made.
    """

    weights: Weights
    tuning_loss: float
    epochs: int


def train(
    coding: Coding, training: Coded, tuning: Coded, *, sizes: Sizes, schedule: Schedule, rng: np.random.Generator
) -> Trained:
    """Fit the network. The same `rng` gives the same weights on the same machine.

    Args:
        tuning: Persons that no gradient is taken of.

    Raises:
        NotEvaluable: the loss is no number; nothing was learnt.
    """
    with one_thread():
        return _train(coding, training, tuning, sizes, schedule, rng)


@contextmanager
def one_thread() -> Iterator[None]:
    """Work on one thread: these matrices are too small for more, and the order of additions stays the same."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _train(
    coding: Coding, training: Coded, tuning: Coded, sizes: Sizes, schedule: Schedule, rng: np.random.Generator
) -> Trained:
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    network = Network(coding, sizes)
    network.settle(generator)
    network.prime(training)
    drop = Drop(schedule.drop, generator)
    person = network.person_weights()
    taken = {id(weight) for weight in person}
    rows = [weight for weight in network.parameters() if id(weight) not in taken]
    longer = replace(
        schedule,
        epochs=PERSON_PASSES * schedule.epochs,
        patience=PERSON_PASSES * schedule.patience,
        rate=schedule.rate / 2,
    )
    _descend(network.person_nats, person, training, tuning, longer, rng)
    epochs = _descend(
        lambda batch: network.row_nats(batch, drop=drop), rows, training, tuning, schedule, rng, plain=network.row_nats
    )
    weights = {name: weight.detach().numpy().copy() for name, weight in network.named_parameters()}
    return Trained(weights=weights, tuning_loss=tuning_loss(network, tuning), epochs=epochs)


def _descend(
    nats: Nats,
    weights: Sequence[nn.Parameter],
    training: Coded,
    tuning: Coded,
    schedule: Schedule,
    rng: np.random.Generator,
    *,
    plain: Nats | None = None,
) -> int:
    """Fit some weights, leave the best averaged ones behind, and return how many passes were made.

    Args:
        nats: The loss of each person of a batch.
        plain: The same without dropout, for tuning persons.
    """
    averaged = [weight.detach().clone() for weight in weights]
    kept, best, since, steps = averaged, math.inf, 0, 0
    optimiser = torch.optim.Adam(weights, lr=schedule.rate)
    epoch = 0
    while epoch < schedule.epochs:
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate * (1 - LOWERED * epoch / schedule.epochs)
        epoch += 1
        for chosen in _batches(training, schedule.batch, rng):
            batch = Batch.of(training, chosen)
            loss = nats(batch).sum() / batch.rows.sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            size = torch.nn.utils.clip_grad_norm_(weights, LARGEST_STEP)
            if not bool(torch.isfinite(loss) & torch.isfinite(size)):
                raise NotEvaluable("the loss of the network is no number; lower the rate, or look for odd values")
            optimiser.step()
            steps += 1
            _average(averaged, weights, min(AVERAGED, steps / (steps + 10)))
        found = _loss_with(averaged, weights, plain or nats, tuning)
        if not math.isfinite(found):
            raise NotEvaluable("the loss of the network on tuning persons is no number; look for odd values")
        if best == math.inf or found < best - LEAST_GAIN * abs(best) or not schedule.patience:
            best, since, kept = found, 0, [weight.clone() for weight in averaged]
            continue
        since += 1
        if since >= schedule.patience:
            break
    _put(kept, weights)
    return epoch


def _average(averaged: Sequence[Tensor], weights: Sequence[Tensor], share: float) -> None:
    with torch.no_grad():
        for mean, weight in zip(averaged, weights, strict=True):
            mean.lerp_(weight, 1 - share)


def _put(values: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for value, weight in zip(values, weights, strict=True):
            weight.copy_(value)


def _loss_with(averaged: Sequence[Tensor], weights: Sequence[nn.Parameter], nats: Nats, tuning: Coded) -> float:
    """Return nats a row of tuning persons with the averaged weights in place of the current ones."""
    current = [weight.detach().clone() for weight in weights]
    _put(averaged, weights)
    found = _mean_nats(nats, tuning)
    _put(current, weights)
    return found


def _mean_nats(nats: Nats, coded: Coded) -> float:
    total, rows = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(coded.rows), 512):
            batch = Batch.of(coded, slice(start, start + 512))
            total += float(nats(batch).sum())
            rows += int(batch.rows.sum())
    return total / max(rows, 1)


def _batches(training: Coded, size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return all persons in random batches of about equal length, so that little is computed for padding."""
    persons = len(training.rows)
    order = rng.permutation(persons)
    chunk = size * 8
    batches = []
    for start in range(0, persons, chunk):
        part = order[start : start + chunk]
        part = part[np.argsort(training.rows[part], kind="stable")]
        batches += [part[at : at + size] for at in range(0, len(part), size)]
    return [batches[place] for place in rng.permutation(len(batches))]


def tuning_loss(network: Network, persons: Coded) -> float:
    """Return nats a row of persons, of all that the network says of them."""
    return _mean_nats(network.person_nats, persons) + _mean_nats(network.row_nats, persons)


def built(coding: Coding, weights: Weights, *, sizes: Sizes) -> Network:
    """Return the network with these weights."""
    network = Network(coding, sizes)
    network.to_empty(device="cpu")
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.copy_(torch.from_numpy(weights[name]))
    network.eval()
    return network

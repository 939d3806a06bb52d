"""What a network of timelines is handed: persons in a batch, and the past of every column before a row."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wardgate.networks.timelines.coding import Coded

SUMMARY = 7
"""Numbers that tell the past of one column."""


@dataclass(frozen=True, slots=True)
class Batch:
    """`Coded` timelines as tensors; shapes as there."""

    statics: Tensor
    values: Tensor
    steps: Tensor
    hours: Tensor
    rows: Tensor
    ends: Tensor

    @classmethod
    def of(cls, coded: Coded, persons: NDArray[np.int64] | slice = slice(None)) -> "Batch":
        rows = torch.from_numpy(coded.rows[persons])
        length = int(rows.max())
        return cls(
            torch.from_numpy(coded.statics[persons]),
            torch.from_numpy(coded.values[persons][:, :length].astype(np.int64)),
            torch.from_numpy(coded.steps[persons][:, :length]),
            torch.from_numpy(coded.hours[persons][:, :length]),
            rows,
            torch.from_numpy(coded.ends[persons]),
        )


@dataclass(slots=True)
class Past:
    """What is known of each column before a row; every tensor has shape (..., features)."""

    count: Tensor
    total: Tensor
    unrest: Tensor
    last: Tensor
    hour: Tensor
    newest: Tensor

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> "Past":
        return cls(*(torch.zeros(shape) for _ in range(6)))

    def after(self, seen: Tensor, place: Tensor, hour: Tensor) -> "Past":
        """Return what is known after a row.

        Args:
            seen: 1 where the column was measured, shape (..., features).
            place: Ranks, 0 where it was not.
            hour: Shape (..., 1).
        """
        again = seen * (self.count > 0)
        return Past(
            self.count + seen,
            self.total + place,
            self.unrest + again * (place - self.last).abs(),
            torch.where(seen > 0, place, self.last),
            torch.where(seen > 0, hour, self.hour),
            seen,
        )

    def at(self, *places: Tensor | slice) -> "Past":
        """Return the past at some places of the first axes."""
        return Past(*(part[places] for part in _parts(self)))

    def summary(self, now: Tensor, span: float) -> Tensor:
        """Return numbers for the network, shape (..., features, SUMMARY); `now` in hours, shape (..., 1)."""
        known = (self.count > 0).to(self.count.dtype)
        since = known * torch.log1p((now - self.hour).clamp_min(0)) / math.log1p(span)
        parts = (
            known,
            self.last,
            self.total / self.count.clamp_min(1),
            2 * self.unrest / (self.count - 1).clamp_min(1),
            torch.log1p(self.count) / 3,
            since,
            self.newest,
        )
        return torch.stack(parts, dim=-1)


def pasts(seen: Tensor, place: Tensor, hours: Tensor) -> Past:
    """Return the past before each row and after the last, by stepping through; shape (persons, rows + 1, features)."""
    persons, length, features = seen.shape
    past = Past.empty((persons, features))
    every = [past]
    for row in range(length):
        past = past.after(seen[:, row], place[:, row], hours[:, row, None])
        every.append(past)
    return Past(*(torch.stack(list(parts), dim=1) for parts in zip(*(_parts(one) for one in every), strict=True)))


def _parts(past: Past) -> Iterator[Tensor]:
    yield from (past.count, past.total, past.unrest, past.last, past.hour, past.newest)

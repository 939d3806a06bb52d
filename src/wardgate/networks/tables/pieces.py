"""A number cut into pieces: values that many share, and intervals between them; no piece stands for few persons.

A value is a piece of its own where enough persons share it and it is common or stands out (pressures that end in 0).
All others fall into intervals of at least as many persons, from which values are drawn evenly: a rounded value that
one person has may come up there by chance, neither more nor less often than the ones around it.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wardgate.marginals.levels import even_groups
from wardgate.records.feature import Feature

Codes = NDArray[np.int32]
"""Code of every value, shape (n, columns) or (n,); -1 where it is not known."""

Vector = NDArray[np.float64]

SHARE = 0.01
"""Share of persons from which a value of a number is a piece of its own, and that an interval holds about."""

APART = 3.0
"""Standard errors by which a value must be commoner than its neighbours to be a piece of its own with fewer persons."""

DECIMALS = 4
"""Decimal places up to which a column counts as rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What the bins of a number are made of, sorted by `low`; in units of the last decimal where it is rounded.

    Attributes:
        low, high: Both ends belong to a piece; equal for a single value, shape (p,).
        weight: Persons in each, shape (p,).
        code: The bin of each, shape (p,).
        alone: Which are a value shared by many, shape (p,).
        decimals: Places that values are rounded to; None where they are not.
    """

    low: Vector
    high: Vector
    weight: Vector
    code: Codes
    alone: NDArray[np.bool_]
    decimals: int | None

    def scaled(self, numbers: Vector) -> Vector:
        """Return numbers in the units of the pieces."""
        return numbers if self.decimals is None else np.rint(numbers * 10.0**self.decimals)

    def holding(self, axis: Vector) -> NDArray[np.int64]:
        """Return the piece that holds each number; outside all of them the nearest interval, if there is any."""
        at = np.maximum(np.searchsorted(self.low, axis, side="right") - 1, 0)
        outside = (axis < self.low[at]) | (axis > self.high[at])
        if outside.any():
            wide = np.flatnonzero(~self.alone) if not self.alone.all() else np.arange(len(self.low))
            far = axis[outside, None]
            gap = np.maximum(self.low[wide] - far, far - self.high[wide])
            at[outside] = wide[np.argmin(gap, axis=1)]
        return at


def pieces_of(present: Vector, feature: Feature, *, bins: int, floor: int) -> Pieces:
    """Lay pieces and bins by the numbers of training persons, none of them missing.

    Args:
        bins: Bins at most.
        floor: Least persons of a bin, of a single value and of an interval; with fewer numbers there are no pieces.
    """
    low, high = feature.range or (0.0, 1.0)
    decimals = 0 if feature.type == "integer" else _decimals(present, floor)
    rounded, unit = decimals is not None, 10.0 ** (decimals or 0)
    value, held = np.unique(np.rint(present * unit) if rounded else present, return_counts=True)
    alone = _alone(held, floor, rounded=rounded)
    shared, rest = value[alone], np.repeat(value[~alone], held[~alone])
    least = max(2 * floor, round(SHARE * len(present)))
    limits = low * unit, high * unit
    cells = _cells(rest, limits, least=least, floor=floor, rounded=rounded) if len(rest) >= floor else []
    centres = [*shared, *((start + stop) / 2 for start, stop, _ in cells)]
    persons = np.array([*held[alone], *(weight for *_, weight in cells)], dtype=np.float64)
    order = np.argsort(centres, kind="stable")
    code = np.empty(len(order), dtype=np.int32)
    code[order] = even_groups(persons[order], bins, floor=float(floor)) if len(order) else ()
    found = [
        (float(one), float(one), float(many), int(at), True)
        for one, many, at in zip(shared, held[alone], code[: len(shared)], strict=True)
    ]
    for (start, stop, weight), at in zip(cells, code[len(shared) :], strict=True):
        parts = _around(start, stop, shared[(shared >= start) & (shared <= stop)], rounded)
        lengths = np.array([last - first + rounded for first, last in parts])
        shares = lengths / lengths.sum() if lengths.sum() > 0 else np.full(len(parts), 1 / len(parts))
        found += [
            (first, last, weight * float(part), int(at), False)
            for (first, last), part in zip(parts, shares, strict=True)
        ]
    found.sort()
    return Pieces(
        low=np.array([one[0] for one in found]),
        high=np.array([one[1] for one in found]),
        weight=np.array([one[2] for one in found]),
        code=np.array([one[3] for one in found], dtype=np.int32),
        alone=np.array([one[4] for one in found], dtype=np.bool_),
        decimals=decimals,
    )


def within(pieces: Pieces, low: float, high: float) -> Pieces:
    """Return what is left of the pieces in [low, high], with the persons expected there."""
    if pieces.decimals is not None:
        unit = 10.0**pieces.decimals
        low, high = math.ceil(low * unit - 1e-6), math.floor(high * unit + 1e-6)
    start, stop = np.maximum(pieces.low, low), np.minimum(pieces.high, high)
    share = np.clip(_length(pieces, start, stop) / _length(pieces, pieces.low, pieces.high), 0.0, 1.0)
    share = np.where(start > stop, 0.0, share)
    if low == high and not share.any():
        share = ((pieces.low <= low) & (low <= pieces.high)).astype(np.float64)
    kept = share > 0
    return Pieces(
        low=start[kept],
        high=stop[kept],
        weight=(pieces.weight * share)[kept],
        code=pieces.code[kept],
        alone=pieces.alone[kept],
        decimals=pieces.decimals,
    )


def _decimals(present: Vector, floor: int) -> int | None:
    """Return the places that all but fewer than `floor` persons are rounded to, or None."""
    for places in range(DECIMALS + 1):
        scaled = present * 10.0**places
        if int((np.abs(scaled - np.rint(scaled)) > 1e-6 * np.maximum(1.0, np.abs(scaled))).sum()) < floor:
            return places
    return None


def _alone(held: NDArray[np.int64], floor: int, *, rounded: bool) -> NDArray[np.bool_]:
    """Return which sorted values are pieces of their own."""
    enough = held >= floor
    if not rounded or len(held) < 2:
        return enough
    around = np.convolve(np.pad(held, 2, mode="reflect" if len(held) > 2 else "edge"), (1, 1, 0, 1, 1), "valid") / 4
    stands_out = held - around > APART * np.sqrt(np.maximum(around, 1.0))
    return np.asarray(enough & ((held >= SHARE * held.sum()) | stands_out))


def _cells(
    rest: Vector, limits: tuple[float, float], *, least: int, floor: int, rounded: bool
) -> list[tuple[float, float, float]]:
    """Cut sorted values into intervals of about `least` and no fewer than `floor` persons; (low, high, persons).

    The outer ends are no person's value: an outer interval is as wide as keeps its mean.
    """
    count = max(1, len(rest) // least)
    first = np.searchsorted(rest, rest, side="left")  # equal values lie in one interval
    cell = np.minimum(first * count // len(rest), count - 1)
    starts = [0]
    for at in np.flatnonzero(np.diff(cell)) + 1:
        if at - starts[-1] >= floor and len(rest) - at >= floor:
            starts.append(int(at))
    starts.append(len(rest))
    inner = [(rest[at - 1] + rest[at]) / 2 for at in starts[1:-1]]
    if rounded:
        inner = [math.floor(edge) for edge in inner]
    means = [float(rest[start:stop].mean()) for start, stop in pairwise(starts)]
    if inner:
        outer = 2 * means[0] - inner[0], 2 * means[-1] - inner[-1]
    else:
        reach = math.sqrt(3) * float(rest.std())
        outer = means[0] - reach, means[0] + reach
    lowest, highest = max(limits[0], outer[0]), min(limits[1], outer[1])
    if rounded:
        lowest, highest = math.ceil(lowest), math.floor(highest)
    lows = [min([lowest, *inner[:1]]), *(edge + 1 if rounded else np.nextafter(edge, np.inf) for edge in inner)]
    highs = [*inner, max(highest, lows[-1])]
    sizes = np.diff(starts)
    return [(float(low), float(high), float(size)) for low, high, size in zip(lows, highs, sizes, strict=True)]


def _around(low: float, high: float, taken: Vector, rounded: bool) -> list[tuple[float, float]]:
    """Return what is left of [low, high] beside single values; all of it where nothing is."""
    parts, start = [], low
    for value in taken:
        stop = value - 1 if rounded else np.nextafter(value, -np.inf)
        if start <= stop:
            parts.append((float(start), float(stop)))
        start = value + 1 if rounded else np.nextafter(value, np.inf)
    if start <= high:
        parts.append((float(start), float(high)))
    return parts or [(low, high)]


def _length(pieces: Pieces, low: Vector, high: Vector) -> Vector:
    """Return how many values fit, or how long an interval is; a single value counts as 1."""
    length = high - low + (pieces.decimals is not None)
    return np.where(pieces.high == pieces.low, 1.0, length)


def drawn_from(pieces: Pieces, codes: Codes, rng: np.random.Generator) -> Vector:
    """Return one number for every code: a piece of it by weight, and evenly within."""
    order = np.argsort(pieces.code, kind="stable")
    ends = np.cumsum(pieces.weight[order])
    size = int(pieces.code.max()) + 1
    last = np.searchsorted(pieces.code[order], np.arange(size), side="right") - 1
    first = np.searchsorted(pieces.code[order], np.arange(size), side="left")
    before = np.where(first > 0, ends[first - 1], 0.0)
    point = before[codes] + rng.random(len(codes)) * (ends[last] - before)[codes]
    at = order[np.clip(np.searchsorted(ends, point, side="right"), first[codes], last[codes])]
    low, high = pieces.low[at], pieces.high[at]
    if pieces.decimals is None:
        return low + rng.random(len(codes)) * (high - low)
    units = np.minimum(low + np.floor(rng.random(len(codes)) * (high - low + 1)), high)
    return np.asarray(np.round(units / 10.0**pieces.decimals, pieces.decimals))

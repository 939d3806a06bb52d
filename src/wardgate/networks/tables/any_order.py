"""Rows of codes from a trained network: column by column, each row's given columns first, in random orders."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from wardgate.networks.tables.autoregressive import Trained, chances
from wardgate.networks.tables.pieces import Codes, Vector
from wardgate.records.errors import Invalid

ROWS = 256
"""Rows that share one order of columns, and are in memory at once."""

TRIES = 400
"""Draws, each of as many rows as are wanted, before conditions count as met by nobody."""


def draw_codes(
    trained: Trained,
    columns: int,
    rows: int,
    *,
    given: Mapping[int, int],
    limits: Mapping[int, Vector],
    last: int | None = None,
    rng: np.random.Generator,
) -> Codes:
    """Draw rows given conditions, shape (rows, columns).

    Given codes are shown to the network before anything is drawn. Of columns with limits, the first is drawn within
    them; a row stays with the chance that the next ones, given what is drawn so far, lie within theirs. Thus rows
    come from the network's distribution under all conditions, not from one near it.

    Args:
        given: By column, the code that every row has.
        limits: By column, how much of each code is allowed, shape (codes,).
        last: A column that is drawn when all others are known, for what is to be learnt from the rows: its relation
            with the others is then foretold at once, and no error on the way weakens it.

    Raises:
        Invalid: nobody, or next to nobody, meets the conditions.
    """
    parts = [np.empty((0, columns), dtype=np.int32)]
    parts += [
        _some(trained, columns, min(ROWS, rows - start), given, limits, last, rng) for start in range(0, rows, ROWS)
    ]
    return np.concatenate(parts)


def _some(
    trained: Trained,
    columns: int,
    rows: int,
    given: Mapping[int, int],
    limits: Mapping[int, Vector],
    last: int | None,
    rng: np.random.Generator,
) -> Codes:
    network = trained.network
    with torch.no_grad():
        codes = _within(trained, columns, rows, given, limits, rng)
        start = network.start(torch.from_numpy(codes.astype(np.int64)))
        left = [place for place in range(columns) if place not in given and place not in limits]
        order = [int(place) for place in rng.permutation(left) if place != last] + [
            place for place in left if place == last
        ]
        for place in order:
            codes[:, place] = pick(chances(network, start, place), rng)
            start = network.shown(start, place, torch.from_numpy(codes[:, place].astype(np.int64)))
    return codes


def _within(
    trained: Trained,
    columns: int,
    rows: int,
    given: Mapping[int, int],
    limits: Mapping[int, Vector],
    rng: np.random.Generator,
) -> Codes:
    """Draw the columns with limits, all others unknown but those given."""
    kept: list[Codes] = []
    for _ in range(TRIES):
        codes = np.full((rows, columns), -1, dtype=np.int32)
        for place, code in given.items():
            codes[:, place] = code
        for step, (place, allowed) in enumerate(limits.items()):
            if not len(codes):
                break
            start = trained.network.start(torch.from_numpy(codes.astype(np.int64)))
            weight = chances(trained.network, start, place) * allowed
            inside = weight.sum(axis=1)
            if step:
                stay = rng.random(len(codes)) < inside
                codes, weight = codes[stay], weight[stay]
            elif not inside.all():
                raise Invalid("nobody in the model meets these conditions")
            codes[:, place] = pick(weight, rng)
        kept.append(codes)
        if sum(len(one) for one in kept) >= rows:
            return np.concatenate(kept)[:rows]
    raise Invalid("next to nobody in the model meets these conditions together; widen one of them")


def pick(weights: Vector, rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw one entry for every row by its weights, which need not sum to 1."""
    ends = np.cumsum(weights, axis=1)
    point = rng.random(len(ends)) * ends[:, -1]
    found: NDArray[np.int32] = np.minimum((ends <= point[:, None]).sum(axis=1), weights.shape[1] - 1).astype(np.int32)
    return found

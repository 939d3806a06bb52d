"""Three and more columns together: what pairs cannot show."""

from collections.abc import Sequence

import numpy as np

from wardgate.measures.realism.coding import Codes, Matrix, equal_shares
from wardgate.measures.realism.resampling import beyond_chance, blocks, chance_distance, interval, spread
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

PARTS, LEVELS = 3, 5
"""Parts of a number and categories of a column; finer ones would leave most cells empty."""

ROUNDS = 3
"""How often every column takes part where no group is declared."""

DENSE = 4096
"""Cells up to which a table is counted whole; beyond, only cells that some record falls into."""


def public_groups(columns: int) -> tuple[tuple[int, ...], ...]:
    """Return groups of three columns by a rule that anybody can repeat: every column in each of three shuffles.

    The shuffles depend on the number of columns alone, never on data. Fewer than three columns have no group.
    """
    if columns < 3:
        return ()
    rng = np.random.default_rng(columns)
    found = []
    for _ in range(ROUNDS):
        order = rng.permutation(columns)
        found += [order[start : start + 3] for start in range(0, columns - 2, 3)]
        if columns % 3:
            found.append(order[-3:])
    return tuple(sorted({tuple(sorted(int(place) for place in group)) for group in found}))


def joint_error(
    features: Sequence[Feature],
    groups: Sequence[Sequence[str]],
    real: Matrix,
    synthetic: Matrix,
    *,
    level: float,
    rng: np.random.Generator,
) -> Measured | None:
    """Mean over groups of columns of the total variation of their joint distribution, beyond chance.

    Numbers in thirds of the real persons, missing apart. On a scale where 0 is what two samples of one population
    have by chance and 1 no overlap, so that a fresh sample scores about 0 whatever its size and the number of cells.

    Args:
        groups: Names of columns, at least three each; none for `public_groups`.
        real, synthetic: From `coding.values`, shapes (n, d) and (m, d).

    Returns:
        Nothing where there is no group: fewer than three columns. n is (synthetic rows, real persons).
    """
    place = {feature.name: number for number, feature in enumerate(features)}
    chosen = [tuple(place[name] for name in group) for group in groups] or public_groups(len(features))
    if not chosen:
        return None
    coding = equal_shares(features, real, parts=PARTS, most_levels=LEVELS)
    one, other = coding(real), coding(synthetic)
    by = blocks(len(real), rng=rng)
    errors, drawn = [], []
    for group in chosen:
        cell, width = _cells(np.concatenate((one[:, group], other[:, group])), [coding.widths[at] for at in group])
        held = by.counts(cell[: len(one)], width)
        wanted = np.bincount(cell[len(one) :], minlength=width).astype(np.float64)
        found = held.sum(axis=0)
        chance = chance_distance(found, wanted)
        shares = wanted / len(other)
        errors.append(beyond_chance(float(np.abs(found / len(one) - shares).sum()) / 2, chance))
        again = np.abs(by.shares(held) - shares).sum(axis=1) / 2
        drawn.append(again / max(1e-9, 1 - chance))
    declared = "declared" if groups else "publicly drawn"
    note = f"{len(chosen)} {declared} groups of columns."
    deviation = spread(np.mean(drawn, axis=0))
    value = float(np.mean(errors))
    return interval("realism.joint_error", value, deviation, level=level, n=(len(synthetic), len(real)), note=note)


def _cells(codes: Codes, widths: Sequence[int]) -> tuple[Codes, int]:
    """Return the cell of each record in the joint table, and how many cells there are."""
    cell, width = codes[:, 0], widths[0]
    for place, more in enumerate(widths[1:], start=1):
        cell, width = cell * more + codes[:, place], width * more
        if width > DENSE:
            seen, cell = np.unique(cell, return_inverse=True)
            width = len(seen)
    return cell, width

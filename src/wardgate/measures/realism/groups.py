"""Is every declared group of patients itself, or are some of them others with another name?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.realism.coding import Codes, Matrix, equal_shares
from wardgate.measures.realism.resampling import beyond_chance, blocks, chance_distance, spread, worst
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]

LEAST = 50
"""Real persons that a group needs to be compared."""

PARTS, LEVELS = 5, 10
"""Parts of a number and categories of a column."""


def subgroup_error(
    features: Sequence[Feature],
    groups: Sequence[tuple[Flags, Flags]],
    real: Matrix,
    synthetic: Matrix,
    *,
    level: float,
    rng: np.random.Generator,
) -> Measured | None:
    """The worst group's total variation over columns, root mean square, beyond chance.

    Numbers in fifths of all real persons, missing apart. Squares, so that a few columns that are another group's are
    not lost among many that are alike in all groups. A fresh sample scores about 0, whatever the group's size; a
    group that the corpus does not have at all scores 1. The high end is an honest bound on the worst group's error.

    Args:
        groups: Who belongs to each group, among the real persons, shape (n,), and the synthetic rows, shape (m,).
        real, synthetic: From `coding.values`, shapes (n, d) and (m, d).

    Returns:
        Nothing where no group has `LEAST` real persons. n is (synthetic rows, real persons).
    """
    large = [(one, other) for one, other in groups if int(one.sum()) >= LEAST]
    name, sizes = "realism.subgroup_error", (len(synthetic), len(real))
    if not groups:
        note = "No subgroup is declared."
        return Measured(name=name, value=0, low=0, high=0, level=level, n=sizes, note=note)
    if not large:
        return None
    coding = equal_shares(features, real, parts=PARTS, most_levels=LEVELS)
    known, made = coding(real), coding(synthetic)
    found = [_error(known[one], made[other], coding.widths, rng=rng) for one, other in large]
    few = len(groups) - len(large)
    note = f"{len(large)} of {len(groups)} subgroups; {few} have fewer than {LEAST} real persons." if few else ""
    values, deviations = zip(*found, strict=True)
    return worst(name, values, deviations, level=level, n=sizes, note=note)


def _error(real: Codes, synthetic: Codes, widths: Sequence[int], *, rng: np.random.Generator) -> tuple[float, float]:
    """Return the error over columns and its spread over resampled persons."""
    if not len(synthetic):
        return 1.0, 0.0
    by = blocks(len(real), rng=rng)
    errors, drawn = [], []
    for place, width in enumerate(widths):
        held = by.counts(real[:, place], width)
        wanted = np.bincount(synthetic[:, place], minlength=width).astype(np.float64)
        found, shares = held.sum(axis=0), wanted / len(synthetic)
        chance = chance_distance(found, wanted)
        errors.append(beyond_chance(float(np.abs(found / len(real) - shares).sum()) / 2, chance))
        drawn.append(np.abs(by.shares(held) - shares).sum(axis=1) / 2 / max(1e-9, 1 - chance))
    return float(_together(errors)), spread(_together(drawn))


def _together(errors: Sequence[float] | Sequence[Vector]) -> Vector:
    """Return the root mean square over the first axis."""
    return np.asarray(np.sqrt(np.mean(np.square(errors), axis=0)))

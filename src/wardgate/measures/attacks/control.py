"""Is the holdout a control? Persons on both sides, or sides that differ, make every comparison mean nothing."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from wardgate.measures.attacks.classifier import boosted
from wardgate.measures.attacks.copies import holders
from wardgate.measures.attacks.space import Points
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

Flags = NDArray[np.bool_]

DRAWS, ENOUGH = 1999, 50
"""Random splits at most; once so many of them look like the real one, there is nothing to find."""

MOST = 10_000
"""Persons of either side at most from whom a difference is learned, and on whom it is tried."""


def overlap(
    features: tuple[Feature, ...],
    train: pl.DataFrame,
    holdout: pl.DataFrame,
    *,
    persons: tuple[int, int],
    level: float,
    rng: np.random.Generator,
) -> Measured:
    """Chance that so many holdout persons share a training person's whole record, if nobody is on both sides.

    Records that several persons share happen, among few coarse columns often. If the sides were split by person,
    who of such persons stands where is chance: the null is random splitting, so a value is uniform or larger, however
    common twins are. Persons copied into both sides are pairs that no split ever separates the same way twice.

    Args:
        features: All columns, the outcome among them.
        persons: What is shown of the sizes.
        rng: Random splits; they protect nobody.
    """
    record = holders(features, pl.concat((train, holdout)))
    many = np.bincount(record)
    twins = many[record] > 1
    inside = np.arange(len(record)) < train.height
    _, group = np.unique(record[twins], return_inverse=True)
    found, alike, draws = _on_both(group, inside[twins]), 0, 0
    while found and draws < DRAWS and alike < ENOUGH:
        seen = rng.hypergeometric(len(group), len(record) - len(group), train.height)
        alike += _on_both(group, rng.permutation(len(group)) < seen) >= found
        draws += 1
    value = (1 + alike) / (1 + draws) if alike < ENOUGH else alike / draws
    return _shown("control.overlap", value, "Whole records, outcome included.", persons, level)


def _on_both(group: NDArray[np.int64], inside: Flags) -> int:
    """How many persons outside have a twin inside."""
    if not len(group):
        return 0
    return int(np.sum((np.bincount(group, weights=inside) > 0)[group] & ~inside))


def one_population(
    members: Points,
    others: Points,
    categories: Flags,
    *,
    persons: tuple[int, int],
    level: float,
    rng: np.random.Generator,
) -> Measured:
    """Chance that a model tells training from holdout persons so well, if they came from one population.

    Boosted trees learn the difference on a random half and are tried on the other half. Uniform where the sides were
    split at random. A small value says that they differ in themselves, for instance in calendar time; attacks then
    tell that difference and not who was used.

    Args:
        members: Training persons as `space.plain` gives them, shape (n, d).
        others: Holdout persons, likewise.
        categories: Which columns are categories, shape (d,).
        rng: Halves; they protect nobody.
    """
    sides = [side[rng.permutation(len(side))[:MOST]] for side in (members, others)]
    learned = np.concatenate([side[::2] for side in sides])
    kind = np.concatenate([np.full(len(side[::2]), 1 - place) for place, side in enumerate(sides)])
    model = boosted(learned, kind, categories, seed=int(rng.integers(2**31)))
    inside, outside = (model.decision_function(side[1::2]) for side in sides)
    value = float(mannwhitneyu(inside, outside, alternative="greater").pvalue)
    note = "A model learned on half of them tells training from holdout persons."
    return _shown("control.period", value if np.isfinite(value) else 1.0, note, persons, level)


def _shown(name: str, value: float, note: str, persons: tuple[int, int], level: float) -> Measured:
    return Measured(
        name=name, value=value, low=value, high=value, level=level, n=persons, note=f"The value is a p-value. {note}"
    )

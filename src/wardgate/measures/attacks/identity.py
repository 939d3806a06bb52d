"""Identity disclosure: a person is matched by outwardly known traits, and the match teaches something new.

The closed form of El Emam, Mosquera and Bass: the mean over persons s of

    1 / F_s  x  (1 + lambda_s) / 2  x  I_s  x  R_s

F_s: persons of the population with the traits of s. Taken as the persons whom the hospital holds, which is the
    smallest that it can be; the paper's first term, over the sample, is then never the larger one.
I_s: some synthetic record has the traits of s.
R_s: the matched record teaches something new: in at least a twentieth of the sensitive columns it gives the true
    value of s, and that value is not what most have anyway (a category of share p surprises by (1 - p), which must
    exceed its spread, the root of p (1 - p); so p is below one half). Numbers are right within a tenth of the
    interquartile range, and p is the share of persons within it. The paper's own rule for numbers (clusters, and
    1.48 times the median absolute deviation) calls nearly every match new. Where several records match, the attacker
    takes one at random; the mean over a few such choices is used.
lambda_s: how often a match can be verified and is free of errors in the data. Taken as 1: the attacker verifies
    every match. The paper's discount, up to one half, is not granted.

Reference: El Emam, Mosquera and Bass 2020, Evaluating Identity Disclosure Risk in Fully Synthetic Health Data,
    doi:10.2196/23139. The control group is added here.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.attacks.excess import Contrast, matched

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

LEARNED = 0.05
"""Share of the sensitive columns that a match must teach, at least one column (the paper's L)."""

CHOICES = 4
"""Choices among the matching records that are averaged."""


def risks(
    key: Indices,
    population: Indices,
    targets: Sequence[tuple[Vector, Vector, float]],
    *,
    rng: np.random.Generator,
) -> Vector:
    """Return the risk of each person, shape (n,), each within [0, 1].

    Args:
        key: Combination of outwardly known traits of every person, then of every row; numbers from 0 on.
        population: Persons of the population with each person's combination, at least 1, shape (n,).
        targets: For each sensitive column the values of persons, shape (n,), of rows, shape (m,), and how near a
            guess must be; missing is NaN and teaches nothing.
    """
    persons = len(population)
    mine, rows = key[:persons], key[persons:]
    order = np.argsort(rows, kind="stable")
    start = np.searchsorted(rows[order], mine, side="left")
    size = np.searchsorted(rows[order], mine, side="right") - start
    surprising = [_surprising(values, reach) for values, _, reach in targets]
    needed = max(1.0, LEARNED * len(targets))
    learned = np.zeros(persons)
    for _ in range(CHOICES):
        match = order[np.minimum(start + (rng.random(persons) * size).astype(np.int64), len(order) - 1)]
        right = np.zeros(persons)
        for (values, synthetic, reach), new in zip(targets, surprising, strict=True):
            right += new & (np.abs(synthetic[match] - values) <= reach + 1e-9 * (1.0 + np.abs(values)))
        learned += right >= needed
    return np.where(size > 0, learned / CHOICES, 0.0) / population


def _surprising(values: Vector, reach: float) -> Flags:
    """Whether fewer than half of the persons have this value, or one within reach."""
    present = np.sort(values[~np.isnan(values)])
    near = np.searchsorted(present, values + reach, side="right") - np.searchsorted(present, values - reach, "left")
    return np.asarray(near < 0.5 * len(present)) & ~np.isnan(values)


def identity(risk: Vector, population: Indices, member: Flags) -> Contrast | None:
    """Compare the risk of members with that of strangers whose traits are as rare."""
    return matched(risk, member, np.digitize(population, (2, 3, 5, 9, 17, 33)).astype(np.int64))

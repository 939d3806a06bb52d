"""What an attacker gains by a person's having been used: success on members minus success on matched strangers.

A corpus that is good for anything lets everybody be guessed a little, also persons whom its generator never saw.
So only the difference counts. Members and strangers are compared within strata of equal difficulty, which takes
most of the noise out; where several attacks or targets are tried, the worst counts, less what choosing the worst
of many adds by chance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.intervals import normal
from wardgate.records.errors import Invalid
from wardgate.records.measured import Measured

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

LEAST_STRATUM = 5
"""Members, and strangers, that a stratum needs; smaller strata are thrown together."""

DRAWS = 2_000
"""Draws of the largest of several estimates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One difference between members and strangers.

    Attributes:
        value: Mean success of members minus that of strangers.
        influence: What each person adds to the error, shape (n,); the sum of squares is the variance.
    """

    value: float
    influence: Vector


def matched(success: Vector, member: Flags, stratum: Indices, *, inside: Flags | None = None) -> Contrast | None:
    """Compare members with strangers of the same stratum; strata count by their size.

    An innocent corpus scores 0 on average, whatever the strata, as long as they do not depend on membership.

    Args:
        success: Success of the attack on each person, within [0, 1], shape (n,).
        member: Whose data the generator saw.
        stratum: Numbers from 0 on; persons of one stratum are alike.
        inside: Persons who are compared at all; absent, everybody.

    Returns:
        The difference, or nothing where one side is empty.
    """
    inside = np.ones(len(success), dtype=np.bool_) if inside is None else inside
    stratum = _thrown_together(stratum, member, inside)
    count = int(stratum.max(initial=0)) + 1
    sides = [(inside & side, np.bincount(stratum[inside & side], minlength=count)) for side in (member, ~member)]
    usable = (sides[0][1] > 0) & (sides[1][1] > 0)
    size = np.where(usable, sides[0][1] + sides[1][1], 0)
    if not size.sum():
        return None
    weight = size / size.sum()
    influence = np.zeros(len(success))
    value = 0.0
    for sign, (side, sizes) in zip((1.0, -1.0), sides, strict=True):
        mean = np.bincount(stratum[side], weights=success[side], minlength=count) / np.maximum(sizes, 1)
        value += sign * float(weight @ mean)
        # n - 1 in place of n, so that the squares add up to the unbiased variance of each mean.
        scale = weight / np.maximum(np.sqrt(sizes * np.maximum(sizes - 1.0, 1.0)), 1.0)
        influence[side] = sign * scale[stratum[side]] * (success[side] - mean[stratum[side]])
    return Contrast(value=value, influence=influence)


def _thrown_together(stratum: Indices, member: Flags, inside: Flags) -> Indices:
    count = int(stratum.max(initial=0)) + 1
    least = np.minimum(
        np.bincount(stratum[inside & member], minlength=count), np.bincount(stratum[inside & ~member], minlength=count)
    )
    return np.where(least[stratum] < LEAST_STRATUM, count, stratum)


def worst(contrasts: Sequence[Contrast], *, persons: int, level: float, rng: np.random.Generator) -> Vector:
    """Return the largest of several differences with its interval: value, low, high.

    The largest of many estimates lies above the largest truth by luck. How much is found by drawing all of them anew
    with their joint errors: the largest around what was found, the others around what is left of them after shrinking
    (James and Stein), and taken off. A difference that stands out from the others loses nothing; among many that are
    nought, most of the luck of the luckiest goes.

    Guarantee: with one difference the high end is an ordinary one-sided bound. With several it is one in good
    approximation where the largest truth stands four standard errors above nought, as a limit of 0.09 does from 1,000
    persons a side on: at one-sided 95 % one leak among twenty was missed in 8 %, several in fewer than 3 %.

    Args:
        contrasts: At least one, all over the same persons.
        persons: Of the smaller side; no difference is called more certain than one person in so many.

    Raises:
        Invalid: no difference is given.
    """
    if not contrasts:
        raise Invalid("expected at least one difference to choose the worst of")
    values = np.array([contrast.value for contrast in contrasts])
    influence = np.stack([contrast.influence for contrast in contrasts])
    covariance = influence @ influence.T
    floor = 1.0 / max(1, persons)
    covariance[np.diag_indices_from(covariance)] += np.maximum(0.0, floor**2 - np.diag(covariance))
    if len(values) == 1:
        return np.array([values[0], *normal(float(values[0]), math.sqrt(covariance[0, 0]), level=level)])
    centres = _shrunk(values, np.sqrt(np.diag(covariance)))
    sizes, directions = np.linalg.eigh(covariance)
    root = directions * np.sqrt(np.maximum(sizes, 0.0))
    largest = (centres + rng.normal(size=(DRAWS, len(values))) @ root.T).max(axis=1)
    value = float(values.max() + centres.max() - largest.mean())
    return np.array([value, *normal(value, float(largest.std(ddof=1)), level=level)])


def _shrunk(values: Vector, deviations: Vector) -> Vector:
    """Shrink all but the largest towards nought, by as much as their errors alone explain their size."""
    rest = np.arange(len(values)) != int(np.argmax(values))
    squares = float(np.sum((values[rest] / deviations[rest]) ** 2))
    kept = max(0.0, 1.0 - max(0.0, float(rest.sum()) - 2.0) / squares) if squares > 0 else 0.0
    return np.where(rest, kept * values, values)


def gain(
    name: str,
    contrasts: Sequence[Contrast],
    *,
    persons: tuple[int, int],
    level: float,
    rng: np.random.Generator,
    note: str,
) -> Measured:
    """Report the worst of several differences; n is (members, strangers)."""
    value, low, high = worst(contrasts, persons=min(persons), level=level, rng=rng)
    return Measured(name=name, value=float(value), low=float(low), high=float(high), level=level, n=persons, note=note)

"""k-map: how many persons of the population share a rare combination that the corpus reproduces?

A combination of outwardly known traits names its holder where nobody else of the population has it. How many others
have it is not known from a sample. Every combination has a rate, rates are spread over combinations like a gamma
distribution, and counts are Poisson: then the number of *other* persons with a person's combination is negative
binomial, fitted to all real persons whom the hospital holds, and the posterior mean is the estimate. How small a
share of the population the hospital holds is unknown; the careful assumption is that the population is no larger
than what the hospital holds, so a class is estimated as if drawn anew at that size.

References: Bethlehem, Keller and Pannekoek 1990, Disclosure control of microdata, J. American Statistical
    Association 85; Sweeney 2002, k-anonymity, doi:10.1142/S0218488502001648.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln

from wardgate.measures.attacks.copies import BINS, binned
from wardgate.measures.attacks.excess import Contrast, matched, worst
from wardgate.measures.attacks.space import codes
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

MOST = 1_000.0
"""Largest k that is told: 1,000 stands for 1,000 or more, also where no rare combination is reproduced in excess."""

LEAST_AT_RISK = 250
"""Strangers among the persons at risk; where fewer combinations are rare, the next rarest are looked at too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How the rates of combinations are spread, seen from a person: gamma with this shape and (inverse) scale."""

    shape: float
    inverse_scale: float

    def population(self, further: Vector) -> Vector:
        """Return the estimated persons of the population with a combination that `further` other persons have."""
        return 1.0 + (self.shape + further) / (self.inverse_scale + 1.0)


def fitted(further: Indices) -> Rates:
    """Fit the rates to the number of other persons with each person's combination, shape (n,), by likelihood.

    A person is met in proportion to the rate of their combination, so no empty combinations have to be guessed.
    """
    counts, times = np.unique(further, return_counts=True)

    def loss(logs: Vector) -> float:
        shape, scale = np.exp(np.clip(logs, -12.0, 12.0))
        each = (
            gammaln(counts + shape)
            - gammaln(shape)
            - gammaln(counts + 1.0)
            + shape * np.log(scale / (scale + 1.0))
            - counts * np.log(scale + 1.0)
        )
        return -float(times @ each) / float(times.sum())

    mean = float(np.mean(further)) + 1e-3
    best = minimize(loss, np.log([1.0, 1.0 / mean]), method="Nelder-Mead", options={"maxiter": 200, "xatol": 1e-3})
    shape, scale = np.exp(np.clip(best.x, -12.0, 12.0))
    return Rates(shape=float(shape), inverse_scale=float(scale))


def combinations(features: Sequence[Feature], tables: Sequence[pl.DataFrame]) -> Indices:
    """Return a number for each combination of these columns, numbers in twentieths of their range.

    Returns:
        From 0 on, one for each row of all tables in their order.
    """
    key = np.zeros(sum(table.height for table in tables), dtype=np.int64)
    for feature in features:
        number = feature.type in ("number", "integer")
        place = np.concatenate(
            [binned(feature, table, bins=BINS) if number else codes(feature, table) for table in tables]
        )
        # Renumbered after every column, so that the key stays below rows x values and never overflows.
        key = np.unique(key * (int(place.max(initial=0)) + 1) + place, return_inverse=True)[1].astype(np.int64)
    return key


def others(key: Indices, *, persons: int, frame: int) -> Indices:
    """Return how many other real persons have each one's combination, shape (persons,).

    Args:
        key: Combinations of all real persons, `frame` of them, the first `persons` of whom are asked about.
    """
    held = np.bincount(key[:frame], minlength=int(key.max(initial=0)) + 1)
    return held[key[:persons]] - 1


def at_risk(population: Vector, member: Flags, *, least: int) -> list[Flags]:
    """Mark who has a rare combination: below 2, 4 and `least` persons, where enough persons have one.

    Where fewer than enough have one below `least`, the next rarest are added, so that a handful of chance matches
    decides nothing. Lines are drawn by the size of the combination alone, blind to membership.
    """
    strangers = max(1, int(np.sum(~member)))
    filled = float(np.quantile(population, min(1.0, LEAST_AT_RISK / strangers)))
    groups = [population < line for line in (2.0, 4.0)]
    enough = [group for group in groups if int(np.sum(group & ~member)) >= LEAST_AT_RISK]
    return [*enough, np.asarray((population < least) | (population <= filled))]


def excess_risk(key: Indices, member: Flags, *, frame: int, least: int) -> list[Contrast]:
    """Return how much likelier members at risk are named by a reproduced combination than strangers at risk.

    A reproduced combination names its holder with one over the persons of the population who have it. Combinations
    come up by chance; members and strangers with equally rare ones should see them equally often.

    Args:
        key: Combinations of the persons compared, then of further real persons, `frame` in all, then of every row.
        member: Which of the persons compared were used for training, shape (n,).
        least: Persons below whom a combination is rare.

    Returns:
        One difference for each degree of rarity; none where members and strangers have nothing in common.
    """
    further = others(key, persons=len(member), frame=frame)
    population = fitted(further).population(further.astype(np.float64))
    reproduced = np.isin(key[: len(member)], key[frame:])
    risk = np.where(reproduced, 1.0 / population, 0.0)
    stratum = np.digitize(further, (1, 2, 3, 5, 8, 12, 20, 50)).astype(np.int64)
    groups = at_risk(population, member, least=least)
    found = [matched(risk, member, stratum, inside=group) for group in groups]
    return [contrast for contrast in found if contrast is not None]


def k_map(
    found: Sequence[Contrast], *, persons: tuple[int, int], level: float, rng: np.random.Generator, note: str
) -> Measured:
    """Report one over the worst excess risk: how many people stand behind a combination reproduced in excess.

    An innocent corpus scores far above 11, up to 1,000; one that reproduces combinations of one person scores
    near 1. Judged at its low end. n is (training persons, persons never seen).
    """
    risk, low, high = worst(found, persons=min(persons), level=level, rng=rng)
    k, least, most = (1.0 / max(float(part), 1.0 / MOST) for part in (risk, high, low))
    return Measured(name="disclosure.k_map", value=k, low=least, high=most, level=level, n=persons, note=note)

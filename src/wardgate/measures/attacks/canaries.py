"""Invented, conspicuous records: does a generator that was shown some of them bring them back?

A canary is made from the data dictionary alone, so no patient is in it. Many more are drawn by the same rule than
are planted: the twins, which the generator never saw, say how near to a canary a corpus comes by itself.
"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.attacks.nearest import nearest
from wardgate.measures.attacks.space import spaces
from wardgate.measures.encoding import LABEL
from wardgate.measures.study_rules import rule_breakers
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.feature import ClinicalRule, Feature

EDGE = 0.05
"""The part of a number's range, at either end, where half of all canary values lie."""

LEVEL = 0.01
"""Chance that any canary counts as found in a corpus that brings none back."""

ROUNDS = 200
"""Draws, each as large as what is asked for, before the clinical rules count as leaving no room for canaries."""


def twins_needed(planted: int, *, level: float) -> int:
    """Return how many twins make one canary, nearer than all of them, a finding at `level` / `planted`.

    >>> twins_needed(20, level=0.01)
    2000
    """
    return math.ceil(planted / level)


def invent(
    features: Sequence[Feature], rules: Sequence[ClinicalRule], count: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Draw records that no patient gave: every column by itself, categories evenly, numbers half of the time extreme.

    Evenly drawn columns make rare combinations; nothing is missing; every value lies in the range of the dictionary
    and every record obeys its clinical rules, since a generator that obeys them could not bring others back.

    Args:
        features: All columns, the outcome among them.
        rules: Relations that no real patient breaks.

    Returns:
        A table of `count` rows in the form of `measures.encoding`.

    Raises:
        NotEvaluable: hardly any such record obeys the rules.
    """
    kept: list[pl.DataFrame] = []
    found = 0
    for _ in range(ROUNDS):
        drawn = pl.DataFrame([_column(feature, count, rng) for feature in features])
        drawn = drawn.filter(pl.Series(~rule_breakers(rules, features, drawn)))
        kept.append(drawn)
        found += drawn.height
        if found >= count:
            return pl.concat(kept).head(count)
    raise NotEvaluable("hardly any invented record obeys the clinical rules; no canary can be planted")


def _column(feature: Feature, count: int, rng: np.random.Generator) -> pl.Series:
    if feature.type == "category":
        known = list(feature.values or ())
        return pl.Series(feature.name, [known[place] for place in rng.integers(len(known), size=count)])
    if feature.type == "boolean":
        values = rng.integers(2, size=count).astype(np.float64)
    else:
        if feature.range is None:
            raise Invalid(f"feature '{feature.name}' has no range; a canary cannot be invented for it")
        low, high = feature.range
        edge = EDGE * rng.random(count)
        edge = np.where(rng.random(count) < 0.5, edge, 1 - edge)
        values = low + (high - low) * np.where(rng.random(count) < 0.5, edge, rng.random(count))
        # Three significant digits of the range: what a laboratory would write, and a corpus could write again.
        digits = 0 if feature.type == "integer" else max(0, 2 - math.floor(math.log10(high - low)))
        values = np.round(values, digits)
        values = np.clip(values, math.ceil(low), math.floor(high)) if digits == 0 else np.clip(values, low, high)
    return pl.Series(feature.name, values, dtype=pl.Int8 if feature.name == LABEL else pl.Float64)


def found(
    features: Sequence[Feature],
    *,
    real: pl.DataFrame,
    synthetic: pl.DataFrame,
    planted: pl.DataFrame,
    twins: pl.DataFrame,
    level: float = LEVEL,
) -> int:
    """Return how many planted canaries a corpus brings back, beyond chance.

    Each canary is scored by the distance to its nearest synthetic record over that to its nearest patient. It is
    found if so few twins score as low that the chance, for one canary that was never planted, is at most
    `level` / planted. A corpus that brings none back shows a finding with a chance of at most `level`: planted
    canaries and twins are then exchangeable. What the generator learns of all canaries together (that such values
    occur) helps the twins as much.

    Args:
        features: All columns, the outcome among them.
        real: The patients, without the canaries.
        synthetic: Drawn from a generator fitted to the patients and the planted canaries.
        planted, twins: Drawn together by `invent` and told apart at random.

    Raises:
        Invalid: too few twins for any finding.
    """
    if twins.height + 1 < planted.height / level:
        raise Invalid(f"found {twins.height} twins; {planted.height} canaries need {planted.height / level:.0f}")
    order = real.columns
    everybody = pl.concat((real, planted.select(order), twins.select(order)), how="vertical_relaxed")
    scaled, _ = spaces(features, everybody, synthetic)
    patients, invented = scaled.real[: real.height], scaled.real[real.height :]
    to_synthetic = nearest(invented, scaled.synthetic, 1).distance[:, 0].astype(np.float64)
    to_patient = nearest(invented, patients, 1).distance[:, 0].astype(np.float64)
    grain = 1e-3 * float(np.median(to_patient)) or 1e-3
    score = np.log(to_synthetic + grain) - np.log(to_patient + grain)
    return int(np.sum(chances(score[: planted.height], score[planted.height :]) <= level / planted.height))


def chances(planted: NDArray[np.float64], twins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each planted score the chance of one as low if it were one of the twins, shape (planted,).

    >>> chances(np.array([0.0, 5.0]), np.array([1.0, 2.0, 3.0]))
    array([0.25, 1.  ])
    """
    as_low = np.searchsorted(np.sort(twins), planted, side="right")
    return np.asarray((1 + as_low) / (1 + len(twins)))

"""Rules that no real patient breaks, while timelines are drawn: among columns of persons, and within single rows."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.study_rules import rule_breakers
from wardgate.networks.timelines.coding import Coding
from wardgate.records.feature import ClinicalRule, Feature

Matrix = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

Broken = Callable[[Indices, Matrix], Flags]
"""From persons, shape (n,), and the values of a row of each, shape (n, features), to which values to leave out."""


def broken_persons(rules: Sequence[ClinicalRule], coding: Coding, people: pl.DataFrame) -> Flags:
    """Return which persons break a rule among static columns and the outcome, shape (persons,)."""
    still = {one.name for one in coding.columns}
    return rule_breakers([rule for rule in rules if _named(rule, coding) <= still], coding.columns, people)


def broken_values(rules: Sequence[ClinicalRule], coding: Coding, people: pl.DataFrame) -> Broken | None:
    """Return what says which values of drawn rows break a rule; nothing where no rule speaks of rows.

    Where a rule is broken, its first column that changes is to blame.
    """
    features, columns = coding.features, (*coding.columns, *coding.features)
    place = {feature.name: at for at, feature in enumerate(features)}
    blamed = [
        (rule, next(place[name] for name in (rule.left, rule.right, *rule.when) if name in place))
        for rule in rules
        if _named(rule, coding) & set(place)
    ]

    def broken(persons: Indices, values: Matrix) -> Flags:
        numbers = [_series(feature, values[:, at]) for at, feature in enumerate(features)]
        rows = people[persons.tolist()].with_columns(numbers)
        out = np.zeros(values.shape, dtype=np.bool_)
        for rule, at in blamed:
            out[:, at] |= rule_breakers((rule,), columns, rows)
        return out

    return broken if blamed else None


def _named(rule: ClinicalRule, coding: Coding) -> set[str]:
    known = {one.name for one in (*coding.columns, *coding.features)}
    return {name for name in (rule.left, rule.right, *rule.when) if name in known}


def _series(feature: Feature, values: NDArray[np.float64]) -> pl.Series:
    if feature.type == "category":
        known = feature.values or ()
        texts = [None if np.isnan(value) else known[int(value)] for value in values]
        return pl.Series(feature.name, texts, dtype=pl.String)
    return pl.Series(feature.name, values).fill_nan(None)

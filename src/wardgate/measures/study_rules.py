"""Who breaks a study's own rules: relations between two columns that no real patient breaks."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule, Feature

Vector = NDArray[np.float64]


def rule_breakers(rules: Sequence[ClinicalRule], features: Sequence[Feature], table: pl.DataFrame) -> NDArray[np.bool_]:
    """Return which rows break a rule, shape (n,).

    Raises:
        Invalid: a rule compares what cannot be compared.
    """
    broken = np.zeros(table.height, dtype=np.bool_)
    known = {feature.name: feature for feature in features}
    for rule in rules:
        broken |= _breaks(rule, known, table)
    return broken


_WORDS = {"true": "1", "false": "0"}

_RELATIONS: dict[str, Callable[[Vector, Vector], NDArray[np.bool_]]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


def _breaks(rule: ClinicalRule, known: dict[str, Feature], table: pl.DataFrame) -> NDArray[np.bool_]:
    left = known[rule.left]
    if left.type == "category":
        speaks, holds = _compared_text(rule, known, table)
    else:
        one = _numbers(left, table)
        other = _numbers(known[rule.right], table) if rule.right in known else np.full(len(one), _number(rule))
        speaks = ~np.isnan(one) & ~np.isnan(other)
        holds = _RELATIONS[rule.op](one, other)
    for name, values in rule.when.items():
        speaks &= _is_one_of(known[name], table, values)
    return np.asarray(speaks & ~holds)


def _compared_text(
    rule: ClinicalRule, known: dict[str, Feature], table: pl.DataFrame
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if rule.op not in ("==", "!="):
        raise Invalid(f"rule '{rule.name}' orders categories with '{rule.op}'; only '==' and '!=' compare them")
    left = table[rule.left].cast(pl.String)
    speaks = left.is_not_null()
    if rule.right in known:
        right = table[rule.right].cast(pl.String)
        speaks, equal = speaks & right.is_not_null(), left == right
    else:
        equal = left == rule.right
    found = equal.fill_null(False).to_numpy()
    return speaks.to_numpy().copy(), found if rule.op == "==" else ~found


def _number(rule: ClinicalRule) -> float:
    try:
        return float(_WORDS.get(rule.right.lower(), rule.right))
    except ValueError:
        pass
    raise Invalid(f"rule '{rule.name}' compares a number with something that is neither a feature nor a number")


def _is_one_of(feature: Feature, table: pl.DataFrame, values: Sequence[str]) -> NDArray[np.bool_]:
    if feature.type == "category":
        return table[feature.name].cast(pl.String).is_in(list(values)).fill_null(False).to_numpy()
    try:
        wanted = [float(_WORDS.get(value.lower(), value)) for value in values]
    except ValueError:
        raise Invalid(f"feature '{feature.name}' is a number; a rule limits it to something else") from None
    return np.isin(_numbers(feature, table), wanted)


def _numbers(feature: Feature, table: pl.DataFrame) -> Vector:
    """Return a numeric column; missing and non-finite values are NaN."""
    if feature.name not in table.columns:
        raise Invalid(f"column '{feature.name}' is missing; the study asks for it")
    values = table[feature.name].cast(pl.Float64).to_numpy().astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)

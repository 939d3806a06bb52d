"""Does every row obey what no real patient breaks?"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.attacks.space import numbers
from wardgate.measures.intervals import clopper_pearson
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule, Feature
from wardgate.records.measured import Measured

Vector = NDArray[np.float64]


def clinical_rules(
    rules: Sequence[ClinicalRule], features: Sequence[Feature], synthetic: pl.DataFrame, *, level: float
) -> Measured:
    """Share of rows that break none of the study's rules; a rule does not speak where one of its values is missing.

    Real data scores 1 if the rules are right. n is (rows,). Without rules the share is 1 and the note says so.
    """
    obeyed = int(np.sum(~rule_breakers(rules, features, synthetic)))
    low, high = clopper_pearson(obeyed, synthetic.height, level=level)
    if not rules:
        low = high = 1.0
    return Measured(
        name="realism.clinical_rules",
        value=obeyed / synthetic.height,
        low=low,
        high=high,
        level=level,
        n=(synthetic.height,),
        note="" if rules else "The study names no clinical rule, so none can be broken.",
    )


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
        one = numbers(left, table)
        other = numbers(known[rule.right], table) if rule.right in known else np.full(len(one), _number(rule))
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
    return np.isin(numbers(feature, table), wanted)

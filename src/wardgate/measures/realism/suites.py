"""A suite of clinical rules on a table: which columns its concepts are, and which rows break a rule."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.attacks.space import numbers
from wardgate.records.clinical_rules import Concept, Condition, Suite, SuiteRule, bounds
from wardgate.records.errors import Invalid
from wardgate.records.expression import Expression
from wardgate.records.feature import Feature

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]

_DUST = 1e-9
"""Of a value's size: what conversion between units may add by rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """A feature as a concept: `value * factor + offset` is in the concept's unit."""

    feature: Feature
    concept: Concept
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundRule:
    """A rule whose concepts are all in a table, each as one column."""

    rule: SuiteRule
    suite: Suite
    columns: Mapping[str, Meant]


def meanings(suite: Suite, features: Sequence[Feature]) -> dict[str, tuple[Meant, ...]]:
    """Return the features that mean each concept. A feature whose unit is not convertible means nothing."""
    found: dict[str, tuple[Meant, ...]] = {}
    for name, concept in suite.concepts.items():
        meant = tuple(
            one for feature in features if concept.is_meant_by(feature) and (one := _meant(suite, name, feature))
        )
        if meant:
            found[name] = meant
    return found


def _meant(suite: Suite, name: str, feature: Feature) -> Meant | None:
    concept = suite.concepts[name]
    if concept.type != "number":
        return Meant(feature=feature, concept=concept)
    linear = suite.conversion(feature.unit or "1", name)
    return None if linear is None else Meant(feature=feature, concept=concept, factor=linear[0], offset=linear[1])


def speaking(suite: Suite, features: Sequence[Feature]) -> Iterator[BoundRule]:
    """Yield the rules that speak of a table, bound to its columns; `rising` ones speak of timelines alone.

    A rule of one concept is bound once, to the first column that means it, unless several do: then each column is
    judged under the same name (`breaks` joins them). A rule between concepts needs every concept to be one column
    only: which of two systolic pressures belongs to a diastolic one, nobody can tell from names.
    """
    found = meanings(suite, features)
    for rule in suite.rules:
        if rule.kind == "rising":
            continue
        wanted = rule.concepts
        if rule.kind == "order":
            wanted = tuple(name for name in rule.order if name in found) + tuple(rule.when)
            if sum(name in found for name in rule.order) < 2:
                continue
        if any(name not in found for name in wanted):
            continue
        if any(len(found[name]) > 1 for name in wanted):
            if rule.kind != "range" or len(wanted) != 1:
                continue
            rule_of = rule.of or ""
            yield BoundRule(
                rule=rule, suite=suite, columns={f"{rule_of} {place}": one for place, one in enumerate(found[rule_of])}
            )
            continue
        yield BoundRule(rule=rule, suite=suite, columns={name: found[name][0] for name in wanted})


def breaks(bound: BoundRule, table: pl.DataFrame) -> Flags:
    """Return which rows break a rule, shape (n,). A rule does not speak where a value it needs is missing."""
    rule = bound.rule
    broken = _KINDS[rule.kind](bound, table)
    for name, condition in rule.when.items():
        speaks, holds = _holds(bound.columns[name], condition, table)
        broken &= speaks & holds
    return broken


def values(meant: Meant, table: pl.DataFrame) -> Vector:
    """Return a number in the concept's unit, shape (n,); missing is NaN."""
    return np.asarray(numbers(meant.feature, table) * meant.factor + meant.offset)


def _range(bound: BoundRule, table: pl.DataFrame) -> Flags:
    rule = bound.rule
    linear = bound.suite.conversion(rule.unit or "", rule.of or "")
    if rule.between is None or linear is None:
        raise Invalid(f"rule '{rule.name}' has no range in a known unit; read suites with `parse`")
    low, high = (None if end is None else end * linear[0] + linear[1] for end in rule.between)
    broken = np.zeros(table.height, dtype=np.bool_)
    for meant in (one for name, one in bound.columns.items() if name not in rule.when):
        broken |= _outside(values(meant, table), low, high)
    return broken


def _outside(found: Vector, low: float | None, high: float | None) -> Flags:
    broken = np.zeros(len(found), dtype=np.bool_)
    if low is not None:
        broken |= found < low - _DUST * abs(low)
    if high is not None:
        broken |= found > high + _DUST * abs(high)
    return broken


def _relation(bound: BoundRule, table: pl.DataFrame) -> Flags:
    rule = bound.rule
    left, right = (_computed(side, bound, table) for side in rule.sides)
    slack = rule.tolerance + rule.relative * np.abs(right) + _DUST * (np.abs(left) + np.abs(right))
    with np.errstate(invalid="ignore"):
        gap = left - right
        holds = {
            "<": gap < slack,
            "<=": gap <= slack,
            ">": gap > -slack,
            ">=": gap >= -slack,
            "==": np.abs(gap) <= slack,
        }[rule.op or "=="]
    return np.asarray(np.isfinite(left) & np.isfinite(right) & ~holds)


def _implication(bound: BoundRule, table: pl.DataFrame) -> Flags:
    broken = np.zeros(table.height, dtype=np.bool_)
    for name, condition in bound.rule.then.items():
        speaks, holds = _holds(bound.columns[name], condition, table)
        broken |= speaks & ~holds
    return broken


def _order(bound: BoundRule, table: pl.DataFrame) -> Flags:
    latest = np.full(table.height, -np.inf)
    broken = np.zeros(table.height, dtype=np.bool_)
    for name in bound.rule.order:
        if name in bound.columns:
            time = values(bound.columns[name], table)
            broken |= time < latest - bound.rule.tolerance - _DUST * np.abs(time)
            latest = np.fmax(latest, time)
    return broken


_KINDS: dict[str, Callable[[BoundRule, pl.DataFrame], Flags]] = {
    "range": _range,
    "comparison": _relation,
    "formula": _relation,
    "implication": _implication,
    "order": _order,
}


def _holds(meant: Meant, condition: Condition, table: pl.DataFrame) -> tuple[Flags, Flags]:
    """Return where a condition can be told, and where it holds."""
    if meant.concept.type == "number":
        found = values(meant, table)
        return ~np.isnan(found), ~_outside(found, *bounds(condition))
    if meant.concept.type == "flag":
        found = numbers(meant.feature, table)
        return ~np.isnan(found), np.isin(found, [float(part == "yes") for part in condition])
    known = {spelling: value for value, spellings in meant.concept.values.items() for spelling in (value, *spellings)}
    spelled = {text: known.get(text.lower()) for text in meant.feature.values or ()}
    column = table[meant.feature.name].cast(pl.String)
    told = [text for text, value in spelled.items() if value is not None]
    wanted = [text for text, value in spelled.items() if value in condition]
    return column.is_in(told).fill_null(False).to_numpy(), column.is_in(wanted).fill_null(False).to_numpy()


_TWO: dict[str, Callable[[Vector, Vector], Vector]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
    "min": np.minimum,
    "max": np.maximum,
}
_ONE: dict[str, Callable[[Vector], Vector]] = {
    "negate": np.negative,
    "log10": np.log10,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
}


def _computed(expression: Expression, bound: BoundRule, table: pl.DataFrame) -> Vector:
    """Work an expression out on all rows, shape (n,); what has no value (1 / 0, a logarithm of 0) is not finite."""
    stack: list[Vector] = []
    with np.errstate(all="ignore"):
        for step in expression.steps:
            does = step.word if step.does == "call" else step.does
            if does == "number":
                stack.append(np.full(table.height, step.value))
            elif does == "name":
                stack.append(values(bound.columns[step.word], table))
            elif does in _ONE:
                stack.append(_ONE[does](stack.pop()))
            else:
                second, first = stack.pop(), stack.pop()
                stack.append(_TWO[does](first, second))
    return stack[0]

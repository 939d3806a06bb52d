"""The study's clinical rules on sampled rows."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.records.canonical import number_of
from wardgate.records.errors import Invalid
from wardgate.records.study import ClinicalRule


def broken(rules: Sequence[ClinicalRule], table: pl.DataFrame) -> NDArray[np.bool_]:
    """Return which rows break a rule, shape (n,). A rule about a missing value is not broken.

    Raises:
        Invalid: a rule's right side is neither a column nor a number or category of its left side.
    """
    found = np.zeros(table.height, dtype=bool)
    for rule in rules:
        left = pl.col(rule.left)
        right = _right(rule, table)
        kept = {
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
            "==": left == right,
            "!=": left != right,
        }[rule.op]
        applies = pl.lit(True)
        for name, values in rule.when.items():
            applies = applies & _is_one_of(name, values, table)
        wrong = table.select((applies & ~kept).fill_null(False).alias("wrong"))["wrong"]
        found |= np.resize(wrong.to_numpy(), table.height)
    return found


def _right(rule: ClinicalRule, table: pl.DataFrame) -> pl.Expr:
    if rule.right in table.columns:
        return pl.col(rule.right)
    if table[rule.left].dtype == pl.String:
        return pl.lit(rule.right)
    try:
        return pl.lit(number_of(rule.right))
    except Invalid:
        raise Invalid(f"rule '{rule.name}': '{rule.right}' is neither a feature nor a number") from None


def _is_one_of(name: str, values: Sequence[str], table: pl.DataFrame) -> pl.Expr:
    if table[name].dtype == pl.String:
        return pl.col(name).is_in(list(values))
    try:
        return pl.col(name).is_in([number_of(value) for value in values])
    except Invalid:
        raise Invalid(f"a rule limits '{name}' to a value that is not a number") from None

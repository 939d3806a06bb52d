"""Rules of the dictionary on drawn timelines: a row that breaks one loses a value, as if it had not been measured."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from wardgate.marginals.timelines.people import Shape
from wardgate.measures.encoding import LABEL
from wardgate.measures.study_rules import rule_breakers
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule, Feature

TRIES = 20


def of_people(dictionary: Dictionary, shape: Shape) -> tuple[ClinicalRule, ...]:
    """Return the rules that speak of static columns alone."""
    moving = {feature.name for feature in shape.features} | {LABEL}
    return tuple(rule for rule in dictionary.rules if not moving & {rule.left, rule.right, *rule.when})


def kept_rules(
    drawn: Callable[[int], pl.DataFrame],
    persons: int,
    dictionary: Dictionary,
    *,
    changing: Sequence[Feature],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Draw persons until all their rows keep the rules; after a bounded number of tries, repeat persons who do.

    Raises:
        Invalid: no person keeps the rules.
    """
    person = dictionary.person or ""
    table = _mended(drawn(persons), dictionary, changing)
    for _ in range(TRIES):
        bad = table.filter(rule_breakers(dictionary.rules, dictionary.columns, table))[person].unique()
        if bad.is_empty():
            return table
        table = table.filter(~pl.col(person).is_in(bad.to_list()))
        more = _mended(drawn(len(bad)), dictionary, changing)
        table = _numbered(pl.concat((table, more.with_columns(pl.col(person) + persons))), person)
    bad = table.filter(rule_breakers(dictionary.rules, dictionary.columns, table))[person].unique()
    good = table.filter(~pl.col(person).is_in(bad.to_list()))
    if good.is_empty():
        raise Invalid("no drawn person keeps the dictionary's clinical rules; they contradict the data or each other")
    again = rng.choice(good[person].unique(maintain_order=True).to_numpy(), size=len(bad))
    parts = [
        good.filter(pl.col(person) == one).with_columns(pl.lit(persons + place).alias(person))
        for place, one in enumerate(again)
    ]
    return _numbered(pl.concat((good, *(part.select(good.columns).cast(good.schema) for part in parts))), person)


def _numbered(table: pl.DataFrame, person: str) -> pl.DataFrame:
    return table.with_columns(table[person].rle_id().cast(pl.Int64).alias(person))


def _mended(table: pl.DataFrame, dictionary: Dictionary, changing: Sequence[Feature]) -> pl.DataFrame:
    """Take a value from every row that breaks a rule, where one of the rule's columns may be missing."""
    free = {feature.name for feature in changing if feature.missing == "allowed"}
    for rule in dictionary.rules:
        given = [name for name in (rule.left, rule.right, *rule.when) if name in free and name != LABEL]
        if given:
            broken = pl.Series(rule_breakers((rule,), dictionary.columns, table))
            table = table.with_columns(pl.when(~broken).then(pl.col(given[0])).alias(given[0]))
    return table

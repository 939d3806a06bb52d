"""What the battery compares: real and synthetic persons, one row each, and how strictly."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from wardgate.measures.encoding import LABEL, labels
from wardgate.measures.intervals import two_sided
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.gate_policy import GatePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The persons of one trial, in the table form of `measures.encoding`.

    Attributes:
        dictionary: What the columns mean.
        policy: Levels, tiers, rehearsals.
        train: Persons whom the generator saw.
        tuning: Persons used for nothing here but as reference.
        holdout: Persons whom the generator never saw, neither fitted nor chosen on.
        candidate: The synthetic persons that want to leave.
        attempt: 1 for the first candidate.
        rng: Subsampling, relabelling and rehearsal; it protects nobody.
    """

    dictionary: Dictionary
    policy: GatePolicy
    train: pl.DataFrame
    tuning: pl.DataFrame
    holdout: pl.DataFrame
    candidate: pl.DataFrame
    attempt: int
    rng: np.random.Generator

    @property
    def columns(self) -> tuple[Feature, ...]:
        """All columns, the outcome among them."""
        return self.dictionary.columns

    @property
    def level(self) -> float:
        """Two-sided level of every interval at this attempt."""
        return two_sided(self.policy.bound_level, self.attempt)


def checked(
    *,
    train: pl.DataFrame,
    tuning: pl.DataFrame,
    holdout: pl.DataFrame,
    candidate: pl.DataFrame,
    dictionary: Dictionary,
    policy: GatePolicy,
    attempt: int,
    rng: np.random.Generator,
) -> Tables:
    """Return the tables with the dictionary's columns alone, in its types.

    Raises:
        Invalid: a table lacks a column, holds an infinite number, or the candidate is empty.
    """
    train, tuning, holdout, candidate = (
        _typed(table, dictionary, name)
        for table, name in ((train, "training"), (tuning, "tuning"), (holdout, "holdout"), (candidate, "candidate"))
    )
    if not candidate.height:
        raise Invalid("the candidate has no rows; there is nothing to release")
    return Tables(
        dictionary=dictionary,
        policy=policy,
        train=train,
        tuning=tuning,
        holdout=holdout,
        candidate=candidate,
        attempt=attempt,
        rng=rng,
    )


def _typed(table: pl.DataFrame, dictionary: Dictionary, name: str) -> pl.DataFrame:
    lacking = [column.name for column in dictionary.columns if column.name not in table.columns]
    if lacking:
        raise Invalid(f"the {name} table lacks {', '.join(lacking)}; every table needs all columns of the dictionary")
    if dictionary.label is not None:
        labels(table)
    texts = {feature.name for feature in dictionary.features if feature.type == "category"}
    found = table.select(
        pl.col(column.name).cast(pl.String if column.name in texts else pl.Int8 if column.name == LABEL else pl.Float64)
        for column in dictionary.columns
    )
    for feature in dictionary.features:
        if feature.name not in texts and found[feature.name].is_infinite().any():
            raise Invalid(
                f"column '{feature.name}' of the {name} table holds an infinite number; missing values are null"
            )
    return found

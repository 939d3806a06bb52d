"""Which generator to take, and what to expect of its corpus, before anything is spent."""

import math
from dataclasses import dataclass
from typing import Literal

from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid

Level = Literal["good", "weak", "hopeless"]

USUAL_COLUMNS = 20
"""Columns for which the two limits below were measured."""

HOPELESS = 500.0
"""Persons x epsilon below which single runs on about 20 features lose 0.05 of AUROC and more (benchmarks/synth.py)."""

WEAK = 2_500.0
"""Persons x epsilon below which runs differ from each other by more than they lose."""

FEW_FOR_NETWORKS = 1_000
"""Persons below which a network without a guarantee has little to learn from, and much to learn by heart."""

WIDE = 60
"""Columns beyond which choosing table after table takes minutes, and a spanning tree seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """Advice.

    Attributes:
        generator: Name of the generator, as in studies.
        level: What to expect of its corpus.
        words: The same for people, with the reason.
    """

    generator: str
    level: Level
    words: str


def recommendation(
    persons: int,
    epsilon: float = 1.0,
    *,
    dictionary: Dictionary | None = None,
    columns: int | None = None,
    label: bool | None = None,
    private: bool = True,
    timelines: bool | None = None,
) -> Recommendation:
    """Return which generator suits, by size, kinds of columns and demand for privacy.

    The noise in a count is inverse to epsilon and grows with the root of the columns, so that
    persons x epsilon / sqrt(columns) is what counts.

    Args:
        persons: Training persons.
        epsilon: Budget; only looked at where `private`.
        dictionary: Of the table; it says how many columns there are, whether one is the outcome, and whether persons
            have several rows. What is given beside it goes first.
        columns, label, timelines: The same without a dictionary: 20, yes and no unless told.
        private: Whether differential privacy is demanded. Without it the gate alone decides what leaves.

    Raises:
        Invalid: a number is not positive.
    """
    if persons < 1 or not (math.isfinite(epsilon) and epsilon > 0) or (columns is not None and columns < 1):
        raise Invalid("expected at least one person and one column, and a finite epsilon above 0")
    if dictionary is not None:
        columns = len(dictionary.features) if columns is None else columns
        label = dictionary.label is not None if label is None else label
        timelines = dictionary.time is not None if timelines is None else timelines
    columns = USUAL_COLUMNS if columns is None else columns
    if not private:
        return _without_guarantee(persons, timelines=bool(timelines))
    name = _private_name(columns, label=label is None or label, timelines=bool(timelines))
    signal = persons * epsilon / math.sqrt(max(columns, USUAL_COLUMNS) / USUAL_COLUMNS)
    found = f"{persons} persons at epsilon {epsilon:g} with {columns} columns"
    if signal < HOPELESS:
        return Recommendation(
            generator=name,
            level="hopeless",
            words=f"Hopeless: {found}. The noise is as large as most counts, and a model trained on such a corpus may "
            "teach little. Take part in the joint corpus or in federation instead.",
        )
    if signal < WEAK:
        return Recommendation(
            generator=name,
            level="weak",
            words=f"Weak: {found}. Expect the commonest relations only, and results that differ from run to run. "
            "The joint corpus is better; federation is better still.",
        )
    return Recommendation(
        generator=name,
        level="good",
        words=f"Good: {found} suit {name}. Expect models trained on the corpus to keep most of what real records "
        "teach; the gate measures how much.",
    )


def _private_name(columns: int, *, label: bool, timelines: bool) -> str:
    if timelines:
        return "private-timelines"
    if label:
        return "marginal-tree"
    return "adaptive-marginals" if columns <= WIDE else "spanning-tree"


def _without_guarantee(persons: int, *, timelines: bool) -> Recommendation:
    name = "autoregressive-timelines" if timelines else "autoregressive"
    warning = "It guarantees nothing by itself: the gate attacks the corpus and may refuse it."
    if persons < FEW_FOR_NETWORKS:
        return Recommendation(
            generator=name,
            level="weak",
            words=f"Weak: {persons} persons are few for a network, which may learn them by heart. {warning} "
            "The joint corpus of several hospitals is better.",
        )
    return Recommendation(
        generator=name,
        level="good",
        words=f"Good: {persons} persons without a demand for differential privacy suit {name}. {warning}",
    )

"""Everything that is measured on a candidate corpus. Each part says what it found, or why it could not look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from wardgate.hospital.ward.gate.battery import canaries, copying, disclosure, membership, realism, refreshes, timelines
from wardgate.hospital.ward.gate.battery.refreshes import Earlier
from wardgate.hospital.ward.gate.battery.sample import LEAST, draw
from wardgate.hospital.ward.gate.battery.suite import starter
from wardgate.hospital.ward.gate.battery.tables import Tables, checked
from wardgate.measures.attacks.shadows import Refit
from wardgate.measures.disclosure import coarse, shown
from wardgate.measures.realism.rules import clinical_rules
from wardgate.records.dictionary import Dictionary
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

COMPARED = (*membership.NAMES, *copying.NAMES, *disclosure.NAMES, *refreshes.NAMES)
"""Measures that compare training persons with persons never seen."""

__all__ = ["NAMES", "Refit", "measure"]

NAMES = (*COMPARED, *canaries.NAMES, *realism.NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The rows behind persons with several of them, in the types of `measures.persons.typed`.

    Attributes:
        dictionary: Of the rows, with person and time; the persons' tables have one of their own.
    """

    dictionary: Dictionary
    train: pl.DataFrame
    holdout: pl.DataFrame
    candidate: pl.DataFrame


def measure(
    *,
    train: pl.DataFrame,
    tuning: pl.DataFrame,
    holdout: pl.DataFrame,
    candidate: pl.DataFrame,
    dictionary: Dictionary,
    policy: GatePolicy,
    attempt: int,
    rng: np.random.Generator,
    refit: Refit | None = None,
    earlier: Sequence[Earlier] = (),
    no_control: str = "",
    lines: Lines | None = None,
) -> tuple[tuple[Measured, ...], tuple[Absent, ...]]:
    """Take every measure that the rules for a corpus read.

    Args:
        train: Real persons whom the generator saw, one row each, in the table form of `measures.encoding`.
        tuning: Real persons used for nothing here but as reference.
        holdout: Real persons whom the generator never saw, neither fitted nor chosen on.
        candidate: The synthetic rows that want to leave, with the same columns.
        dictionary: What the columns mean.
        policy: Levels, tiers, rehearsal.
        attempt: 1 for the first candidate; intervals widen and p-values must be higher with each further one.
        rng: Subsampling, relabelling and rehearsal; it protects nobody.
        refit: Fits the candidate's generator anew on other persons, where the gate has it and it is cheap.
        earlier: Corpora of the same population that left before, oldest first.
        no_control: Why the holdout is no control group; attacks that need one are then not run.
        lines: The rows, where persons have several; rules of single rows and of time are judged on them.

    Returns:
        The measures and, by name with a reason, those that could not be taken. Values are rounded to three
        significant digits, intervals outwards, sample sizes down to fifties; nothing stands for one record.

    Raises:
        Invalid: a table lacks a column, holds an unknown category, or the candidate is empty.
    """
    tables = checked(
        train=train,
        tuning=tuning,
        holdout=holdout,
        candidate=candidate,
        dictionary=dictionary,
        policy=policy,
        attempt=attempt,
        rng=rng,
    )
    sample = draw(tables)
    found: list[Measured | Absent] = []
    if sample is None or no_control:
        reason = no_control or f"fewer than {LEAST} training or holdout persons"
        found += [Absent(name=name, reason=reason) for name in COMPARED]
    else:
        found += copying.measures(tables, sample)
        found += membership.measures(tables, sample, refit)
        found += disclosure.measures(tables, sample)
        found += refreshes.measures(tables, sample, earlier)
    found += canaries.measures(tables, refit)
    found += realism.measures(tables) if lines is None else _of_lines(tables, lines)
    return (
        tuple(shown(part) for part in found if isinstance(part, Measured)),
        tuple(part for part in found if isinstance(part, Absent)),
    )


def _of_lines(tables: Tables, lines: Lines) -> Iterator[Measured | Absent]:
    """Yield realism of persons, but clinical rules of their rows, and what only timelines can lose."""
    rows, suite = lines.dictionary, starter()
    yield from (part for part in realism.measures(tables) if part.name != RULES)
    obeyed = clinical_rules(
        rows.rules,
        rows.features,
        lines.candidate,
        level=tables.level,
        suite=suite,
        real=pl.concat((lines.train, lines.holdout), how="diagonal"),
        person=rows.person,
    )
    yield obeyed.model_copy(update={"n": tuple(coarse(size) for size in obeyed.n)})
    yield from timelines.measures(
        real=lines.holdout,
        candidate=lines.candidate,
        dictionary=rows,
        suite=suite,
        level=tables.level,
        rng=tables.rng,
    )


RULES = "realism.clinical_rules"
"""The one measure of realism that speaks of single rows."""

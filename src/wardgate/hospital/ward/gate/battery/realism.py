"""What a corpus is good for, compared with persons whom the generator never saw."""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from wardgate.hospital.ward.gate.battery.sample import LEAST, subgroups
from wardgate.hospital.ward.gate.battery.suite import starter
from wardgate.hospital.ward.gate.battery.tables import Tables
from wardgate.measures.disclosure import coarse
from wardgate.measures.realism import (
    detection,
    fidelity,
    groups,
    joint,
    missingness,
    rare,
    relations,
    usefulness,
)
from wardgate.measures.realism.coding import values
from wardgate.measures.realism.rules import clinical_rules
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

COLUMNS = ("realism.marginal_error", "realism.pairwise_error", "realism.joint_error", "realism.missingness_error")
PERSONS = ("realism.relations", "realism.subgroup_error", "realism.rare_outcome_ratio", "realism.detection")
MODELS = ("realism.tstr_loss", "realism.trts_loss", "realism.slope")
OUTCOMES = "realism.outcomes"
NAMES = (OUTCOMES, "realism.clinical_rules", *COLUMNS, *PERSONS, *MODELS)

MOST_ROWS = 100_000
"""Synthetic rows looked at, but for the clinical rules, which look at all; the note says so. Real persons all count."""


def measures(tables: Tables) -> Iterator[Measured | Absent]:
    """Yield every measure of realism, or why there is none."""
    yield _outcomes(0 if tables.dictionary.label is None else 1, tables.level)
    every, rows = tables.candidate, tables.candidate.height
    chosen = np.sort(tables.rng.permutation(rows)[:MOST_ROWS]) if rows > MOST_ROWS else None
    dictionary = tables.dictionary
    real = pl.concat((tables.train, tables.holdout))
    obeyed = clinical_rules(
        dictionary.rules, dictionary.features, every, level=tables.level, suite=starter(), real=real
    )
    yield _coarse(obeyed)
    if tables.holdout.height < LEAST:
        reason = f"fewer than {LEAST} holdout persons"
        yield from (Absent(name=name, reason=reason) for name in NAMES[2:])
        return
    candidate = every if chosen is None else every[chosen]
    said = "" if chosen is None else f"On {MOST_ROWS} of the synthetic rows, drawn at random."
    for part in (*_distributions(tables, candidate), *_models(tables, candidate)):
        yield _coarse(part, said) if isinstance(part, Measured) else part


def _outcomes(count: int, level: float) -> Measured:
    note = "" if count else "The dictionary names no outcome."
    return Measured(name=OUTCOMES, value=count, low=count, high=count, level=level, note=note)


def _coarse(measured: Measured, said: str = "") -> Measured:
    """Return a measure with shown sample sizes and what was said of the rows."""
    note = f"{measured.note} {said}".strip()
    return measured.model_copy(update={"n": tuple(coarse(size) for size in measured.n), "note": note})


def _distributions(tables: Tables, candidate: pl.DataFrame) -> Iterator[Measured | Absent]:
    columns, level, rng = tables.columns, tables.level, tables.rng
    dictionary, holdout = tables.dictionary, tables.holdout
    yield fidelity.marginal_error(columns, holdout, candidate, level=level, rng=rng)
    yield fidelity.pairwise_error(columns, holdout, candidate, level=level, rng=rng)
    unseen, made = values(columns, holdout), values(columns, candidate)
    real = np.concatenate((unseen, values(columns, tables.train)))
    yield _or_absent(
        "realism.joint_error",
        "fewer than three columns",
        lambda: joint.joint_error(columns, dictionary.joint, unseen, made, level=level, rng=rng),
    )
    yield missingness.missingness_error(columns, unseen, made, level=level, rng=rng)
    yield _or_absent(
        "realism.relations",
        "real persons do not show any of the declared relations so clearly that the corpus must",
        lambda: relations.relations(dictionary.relations, columns, real, made, level=level),
    )
    members = list(zip(subgroups(tables, holdout), subgroups(tables, candidate), strict=True))
    yield _or_absent(
        "realism.subgroup_error",
        f"no declared subgroup has {groups.LEAST} holdout persons",
        lambda: groups.subgroup_error(columns, members, unseen, made, level=level, rng=rng),
    )
    yield _or_absent(
        "realism.rare_outcome_ratio",
        "the outcome and every rare trait are too rare among the real persons",
        lambda: rare.rare_outcome_ratio(columns, real, made, level=level),
    )
    if candidate.height < LEAST:
        yield Absent(name="realism.detection", reason=f"fewer than {LEAST} synthetic rows")
    else:
        yield detection.detection(columns, unseen, made, level=level, rng=rng)


def _models(tables: Tables, candidate: pl.DataFrame) -> Iterator[Measured | Absent]:
    dictionary, level = tables.dictionary, tables.level
    if dictionary.label is None:
        yield from (Absent(name=name, reason="the dictionary names no outcome") for name in MODELS)
        return
    found = usefulness.models(dictionary.features, tables.train, candidate, tables.holdout, ridge=dictionary.ridge)
    if found is None:
        reason = "one outcome only, or nearly so, among training or holdout persons"
        yield from (Absent(name=name, reason=reason) for name in MODELS)
        return
    yield usefulness.tstr_loss(found, level=level)
    yield usefulness.trts_loss(found, level=level)
    yield _or_absent(
        "realism.slope",
        "the model from real persons shows no certain relation with the outcome that could be compared",
        lambda: usefulness.slope(found, level=level),
    )


def _or_absent(name: str, reason: str, measure: Callable[[], Measured | None]) -> Measured | Absent:
    return measure() or Absent(name=name, reason=reason)

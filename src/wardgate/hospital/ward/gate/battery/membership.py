"""Can training persons be told from persons never seen? All attacks are one test, and the test is tested."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.hospital.ward.gate.battery.sample import Sample, subgroups, too_small
from wardgate.hospital.ward.gate.battery.tables import Tables
from wardgate.measures.attacks import control, membership, shadows
from wardgate.measures.attacks.cells import cells
from wardgate.measures.attacks.classifier import classifier
from wardgate.measures.attacks.densities import forest
from wardgate.measures.attacks.nearest import nearest
from wardgate.measures.attacks.rehearsal import rehearse
from wardgate.measures.attacks.shadows import Refit
from wardgate.measures.attacks.space import Points, plain, spaces
from wardgate.records.errors import Invalid, NotEvaluable, Refused
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

CONTROL = ("control.overlap", "control.period")

NAMES = (
    "membership.battery",
    "membership.auc",
    "membership.tpr_at_1_percent",
    "membership.tpr_at_0_1_percent",
    "membership.rehearsal",
    *CONTROL,
)

NO_CONTROL = 0.001
"""Below this chance a holdout is no control, and the note of the battery says so."""


def measures(tables: Tables, sample: Sample, refit: Refit | None = None) -> Iterator[Measured | Absent]:
    """Yield every membership measure, or why there is none.

    Args:
        tables: Real persons and the candidate.
        sample: Who is compared with whom.
        refit: Fits the candidate's generator anew, where that is cheap; without it there is no shadow attack.
    """
    reason = too_small(sample, tables)
    checks = list(_control(tables, sample))
    if reason:
        yield from (Absent(name=name, reason=reason) for name in NAMES if name not in CONTROL)
        yield from checks
        return
    limits, persons, level, rng = tables.policy.membership, sample.persons, tables.level, tables.rng
    reference = {name: space.pool_to_reference.distance for name, space in sample.spaces.items()}
    groups = [membership.unusual(distance) for distance in reference.values()]
    scores = membership.attacks(
        {name: space.pool_to_synthetic.distance for name, space in sample.spaces.items()}, reference
    )
    scores |= _learned(tables, sample)
    refits = (limits.shadows or 0) // 2 * 2 if refit is not None and groups[0].any() else 0
    if refit is not None and refits:
        shadow = _shadow(tables, sample, groups[0], refit, refits)
        if shadow is None:
            refits = 0
        else:
            scores["shadow"] = shadow
    least = 2 * limits.subgroup_min_persons
    groups += [group for group in subgroups(tables, sample.pool) if int(group.sum()) >= least]
    drawn = membership.battery(sample.member, groups, permutations=limits.permutations, rng=rng)
    found, largest = membership.null(scores, drawn)
    yield membership.battery_p(found, persons=persons, level=level, note=_note(sample, checks, refits))
    score = membership.together(scores)
    yield membership.auc(score, sample.member, persons=persons, level=level)
    for rate in membership.RATES:
        share = membership.tpr(score, sample.member, drawn.order, rate=rate, persons=persons, level=level)
        if share is not None:
            yield share
    seen = sample.candidate.height / tables.candidate.height
    yield rehearse(
        sample.spaces,
        drawn,
        largest,
        copied=max(1, round(limits.planted_copy_fraction * tables.train.height * seen)),
        rows=sample.candidate.height,
        draws=limits.rehearsals,
        battery_least=limits.battery_level * tables.attempt,
        near_least=tables.policy.proximity.near_copy_level * tables.attempt,
        persons=persons,
        level=level,
        rng=rng,
    )
    yield from checks


def _control(tables: Tables, sample: Sample) -> Iterator[Measured]:
    """Is the holdout a control at all?"""
    yield control.overlap(
        tables.columns, tables.train, tables.holdout, persons=sample.persons, level=tables.level, rng=tables.rng
    )
    pool, categories = plain(tables.columns, sample.pool)
    yield control.one_population(
        pool[: sample.size],
        pool[sample.size :],
        categories,
        persons=sample.persons,
        level=tables.level,
        rng=tables.rng,
    )


def _learned(tables: Tables, sample: Sample) -> dict[str, NDArray[np.float64]]:
    """Scores of the attacks that learn from synthetic and reference persons."""
    (pool, categories), (reference, _), (synthetic, _) = (
        plain(tables.columns, table) for table in (sample.pool, sample.references, sample.candidate)
    )
    seeds = [int(seed) for seed in tables.rng.integers(2**31, size=3)]
    return {
        "classifier": classifier(
            synthetic=synthetic, reference=reference, pool=pool, categories=categories, seed=seeds[0]
        ),
        "forest": forest(synthetic=synthetic, reference=reference, pool=pool, seed=seeds[1]),
        "cells": cells(synthetic=synthetic, reference=reference, pool=pool, seed=seeds[2]),
    }


def _shadow(
    tables: Tables, sample: Sample, targets: NDArray[np.bool_], refit: Refit, refits: int
) -> NDArray[np.float64] | None:
    """Score the most vulnerable persons by refits with and without them, the others 0; nothing if it will not refit."""
    rng = tables.rng
    inside = shadows.halves(sample.pool.height, refits, rng)
    size = max(0, min(sample.reference, tables.train.height - sample.size))
    found = [_closeness(tables, sample, sample.candidate, targets)]
    for half in inside:
        others = sample.references[rng.choice(sample.reference, size, replace=False)]
        try:
            made = refit(pl.concat((others, sample.pool.filter(half))), rng)
        except (Invalid, NotEvaluable, Refused):
            return None
        if not made.height:
            return None
        found.append(_closeness(tables, sample, made.head(sample.candidate.height), targets))
    score = np.zeros(sample.pool.height)
    score[targets] = shadows.likelihood_ratio(found[0], np.stack(found[1:]), inside[:, targets])
    return score


def _closeness(tables: Tables, sample: Sample, corpus: pl.DataFrame, targets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Log of the nearness of the nearest synthetic record to each target, in a space fixed by the pool."""
    space = spaces(tables.columns, sample.pool, corpus)[0]
    distance = _first(space.real[targets], space.synthetic)
    usual = float(np.median(sample.spaces[space.name].pool_to_reference.distance[targets, 0]))
    return -np.log(distance + (1e-2 * usual or 1e-3))


def _first(queries: Points, points: Points) -> NDArray[np.float64]:
    return nearest(queries, points, 1).distance[:, 0].astype(np.float64)


def _note(sample: Sample, checks: list[Measured], refits: int) -> str:
    shadow = (
        f"{refits} refits for the shadow attack." if refits else "No shadow attack: the generator was not refitted."
    )
    broken = [check.name for check in checks if check.value < NO_CONTROL]
    words = "The holdout is no control: see " + " and ".join(broken) + "." if broken else ""
    return " ".join(part for part in (shadow, sample.note, words) if part)

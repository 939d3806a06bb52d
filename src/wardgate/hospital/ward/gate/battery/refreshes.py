"""Every earlier corpus of the same population is in the attacker's hands: what do all of them tell together?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.hospital.ward.gate.battery.sample import MOST, MOST_ROWS, Sample, subgroups, too_small
from wardgate.hospital.ward.gate.battery.tables import Tables
from wardgate.measures.attacks import membership, refreshes
from wardgate.measures.attacks.copies import p_value
from wardgate.measures.attacks.nearest import nearest
from wardgate.measures.attacks.space import Space, spaces
from wardgate.measures.disclosure import GRID, coarse
from wardgate.records.errors import Invalid
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

NAMES = ("refresh.battery", "refresh.changed")

LEAST_CHANGED = GRID
"""Persons who entered or left at least, if any did, and controls at least: below, the difference is not evaluable."""

Flags = NDArray[np.bool_]
Distances = NDArray[np.float32]


class Was(IntEnum):
    """What a person was when an earlier corpus was made."""

    AWAY = 0
    HELD = 1
    USED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Who was what when an earlier corpus was made; known to the ward alone.

    Attributes:
        train: A `Was` for each row of today's training table.
        holdout: A `Was` for each row of today's holdout table.
        left: Persons who were used then and no longer are, in the columns of today's tables.
    """

    train: NDArray[np.int8]
    holdout: NDArray[np.int8]
    left: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A corpus of the same population that has left before.

    Attributes:
        corpus: Its rows.
        roles: Nothing where it is not known who was used for it; then nothing can be told, and nothing passes.
    """

    corpus: pl.DataFrame
    roles: Roles | None


def measures(tables: Tables, sample: Sample, earlier: Sequence[Earlier]) -> Iterator[Measured | Absent]:
    """Yield both measures, or why there is none. `earlier` stands oldest first.

    Raises:
        Invalid: roles do not fit the tables.
    """
    if not earlier:
        for name in NAMES:
            note = "No corpus of this population has left before."
            yield p_value(name, 1.0, persons=sample.persons, level=tables.level, note=note)
        return
    roles = [_fitting(part.roles, tables) for part in earlier if part.roles is not None]
    reason = _unreadable(tables, earlier)
    if reason or len(roles) < len(earlier):
        reason = reason or "it is not known who was used for an earlier corpus"
        yield from (Absent(name=name, reason=reason) for name in NAMES)
        return
    corpora = [_capped(part.corpus, tables) for part in earlier]
    yield _battery(tables, sample, corpora, roles)
    yield _changed(tables, sample.candidate, corpora, roles)


def _capped(corpus: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Return at most as many rows as are compared of the candidate, drawn at random."""
    if corpus.height <= MOST_ROWS:
        return corpus
    return corpus[np.sort(tables.rng.choice(corpus.height, MOST_ROWS, replace=False))]


def _fitting(roles: Roles, tables: Tables) -> Roles:
    if roles.train.shape != (tables.train.height,) or roles.holdout.shape != (tables.holdout.height,):
        raise Invalid("an earlier corpus says of more or fewer persons what they were; expected one entry a person")
    if not np.isin(np.concatenate((roles.train, roles.holdout)), list(Was)).all():
        raise Invalid("expected every person to have been away (0), held out (1) or used (2)")
    return roles


def _unreadable(tables: Tables, earlier: Sequence[Earlier]) -> str:
    """Return why an earlier corpus cannot be laid beside the candidate, or nothing."""
    smallest = min(tables.candidate.height, *(part.corpus.height for part in earlier))
    if smallest < membership.DEEP:
        return f"a corpus of fewer than {membership.DEEP} rows"
    names = {column.name for column in tables.columns}
    if any(names - set(part.corpus.columns) for part in earlier):
        return "an earlier corpus lacks a column of this one, so the two cannot be laid side by side"
    return ""


def _encoded(tables: Tables, corpora: Sequence[pl.DataFrame], left: pl.DataFrame | None = None) -> list[list[Space]]:
    """Return all spaces of every corpus; the real persons stand alike in all: training, tuning, holdout, left."""
    parts = [tables.train, tables.tuning, tables.holdout]
    if left is not None:
        parts.append(left.select(tables.train.columns))
    real = pl.concat(parts, how="vertical_relaxed")
    return [list(spaces(tables.columns, real, corpus)) for corpus in corpora]


def _battery(
    tables: Tables, sample: Sample, corpora: Sequence[pl.DataFrame], roles: Sequence[Roles]
) -> Measured | Absent:
    name = NAMES[0]
    never = ~np.any([part.holdout == Was.USED for part in roles], axis=0)
    kept = np.flatnonzero(never[sample.others])
    size = coarse(len(kept))
    reason = too_small(sample, tables)
    tiers = tables.policy.membership.tiers
    if not reason and not any(size >= tier.members and size >= tier.non_members for tier in tiers):
        reason = "too few holdout persons who were never used for an earlier corpus"
    if reason:
        return Absent(name=name, reason=reason)
    rows = np.concatenate((np.arange(size), sample.size + kept[:size]))
    pool = np.concatenate((sample.members, tables.train.height + tables.tuning.height + sample.others))
    near: dict[str, list[Distances]] = {}
    for encoded in _encoded(tables, corpora):
        for space in encoded:
            if not np.array_equal(space.real[pool], sample.spaces[space.name].pool):
                raise RuntimeError("the sample and the refreshes encode real persons in different ways")
            near.setdefault(space.name, []).append(
                nearest(space.real[pool[rows]], space.synthetic, membership.DEEP).distance
            )
    for space_name, found in near.items():
        found.append(sample.spaces[space_name].pool_to_synthetic.distance[rows])
    reference = {space_name: sample.spaces[space_name].pool_to_reference.distance[rows] for space_name in near}
    scores = refreshes.together(near, reference)
    persons = sample.pool[rows]
    groups = [membership.unusual(distance) for distance in reference.values()]
    least = 2 * tables.policy.membership.subgroup_min_persons
    groups += [group for group in subgroups(tables, persons) if int(group.sum()) >= least]
    drawn = membership.battery(
        np.asarray(np.arange(2 * size) < size),
        groups,
        permutations=tables.policy.membership.permutations,
        rng=tables.rng,
    )
    found_p, _ = membership.null(scores, drawn)
    return p_value(
        name,
        found_p,
        persons=(size, size),
        level=tables.level,
        note=f"All earlier corpora and this one. {sample.note}".strip(),
    )


def _changed(
    tables: Tables, candidate: pl.DataFrame, corpora: Sequence[pl.DataFrame], roles: Sequence[Roles]
) -> Measured | Absent:
    name = NAMES[1]
    strata: list[refreshes.Stratum] = []
    changed = controls = 0
    for corpus, was in zip(corpora, roles, strict=True):
        pairs = [(was.train == kind, was.holdout == kind) for kind in (Was.AWAY, Was.HELD) if np.any(was.train == kind)]
        alike = [int(control.sum()) for _, control in pairs]
        held = was.holdout == Was.HELD
        if was.left.height:
            alike.append(int(held.sum()))
        moved = sum(int(case.sum()) for case, _ in pairs) + was.left.height
        if not moved:
            continue
        if moved < tables.policy.small_cells.min_count:
            note = "So few entered or left that the difference of the corpora is about them; no signature waives that."
            return p_value(name, 0.0, persons=(0, 0), level=tables.level, note=note)
        if moved < LEAST_CHANGED:
            reason = f"fewer than {LEAST_CHANGED} persons entered or left since an earlier corpus"
            return Absent(name=name, reason=reason)
        if min(alike) < LEAST_CHANGED:
            reason = f"fewer than {LEAST_CHANGED} holdout persons came when those who entered or left did"
            return Absent(name=name, reason=reason)
        changed, controls = max(changed, moved), max(controls, *alike)
        strata += _strata(tables, (corpus, candidate), pairs, was.left, held)
    if not strata:
        return p_value(name, 1.0, persons=(0, 0), level=tables.level, note="Nobody entered or left since.")
    permutations = tables.policy.membership.permutations
    found = refreshes.told(strata, permutations=permutations, rng=tables.rng)
    note = "Persons who entered or left, against holdout persons who came when they did."
    return p_value(name, found, persons=(coarse(changed), coarse(controls)), level=tables.level, note=note)


def _strata(
    tables: Tables,
    corpora: tuple[pl.DataFrame, pl.DataFrame],
    pairs: Sequence[tuple[Flags, Flags]],
    left: pl.DataFrame,
    held: Flags,
) -> Iterator[refreshes.Stratum]:
    """Yield those who entered, by what they were before, and those who left, each beside their controls."""
    before, after = _encoded(tables, corpora, left)
    first_holdout = tables.train.height + tables.tuning.height
    first_left = first_holdout + tables.holdout.height

    def drawn(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows if len(rows) <= MOST else tables.rng.choice(rows, MOST, replace=False)

    def stratum(cases: NDArray[np.int64], control: NDArray[np.int64], sign: float) -> refreshes.Stratum:
        cases, control = drawn(cases), drawn(control)
        rows = np.concatenate((cases, control))
        scores = {}
        for then, now in zip(before, after, strict=True):
            near_then = nearest(then.real[rows], then.synthetic, membership.DEEP).distance
            near_now = nearest(now.real[rows], now.synthetic, membership.DEEP).distance
            for k, score in refreshes.difference(near_then, near_now).items():
                scores[f"{then.name}.{k}"] = sign * score
        return refreshes.Stratum(changed=np.asarray(np.arange(len(rows)) < len(cases)), scores=scores)

    for case, control in pairs:
        yield stratum(np.flatnonzero(case), first_holdout + np.flatnonzero(control), 1.0)
    if left.height:
        yield stratum(first_left + np.arange(left.height), first_holdout + np.flatnonzero(held), -1.0)

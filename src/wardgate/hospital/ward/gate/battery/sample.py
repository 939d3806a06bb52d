"""Who is compared with whom: equally many members and non-members, reference persons, and all distances, taken once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.hospital.ward.gate.battery.tables import Tables
from wardgate.measures.attacks.rehearsal import Surroundings, surroundings
from wardgate.measures.attacks.space import codes, numbers, spaces
from wardgate.measures.disclosure import GRID, coarse

Flags = NDArray[np.bool_]

MOST = 10_000
"""Members compared at most: the highest tier of the policy. More would cost time and change no limit."""

MOST_ROWS = 100_000
"""Synthetic rows compared at most, drawn at random; real persons are never left out for time."""

LEAST = GRID
"""Persons on either side below whom not even a veto is tried."""

LEAST_REFERENCE = 100
"""Reference persons below whom a density is a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Equally many members and non-members, the reference persons, and all distances.

    Attributes:
        members: Rows of the training table.
        others: Rows of the holdout table.
        pool: Members, then non-members.
        references: Further real persons: of the training and tuning tables, or a fifth of both sides.
        candidate: The synthetic rows that are compared.
        spaces: By name, all distances of one space.
        note: What of the tables was looked at, where it is not all of them.
    """

    members: NDArray[np.int64]
    others: NDArray[np.int64]
    pool: pl.DataFrame
    references: pl.DataFrame
    candidate: pl.DataFrame
    spaces: dict[str, Surroundings]
    note: str

    @property
    def size(self) -> int:
        """Members, and as many non-members."""
        return len(self.members)

    @property
    def persons(self) -> tuple[int, int]:
        """Members and non-members."""
        return self.size, self.size

    @property
    def reference(self) -> int:
        """How many reference persons there are."""
        return self.references.height

    @property
    def member(self) -> Flags:
        """Who of the pool was used."""
        return np.asarray(np.arange(2 * self.size) < self.size)


def draw(tables: Tables) -> Sample | None:
    """Draw the sample, or nothing where there are fewer than `LEAST` persons on a side.

    Reference persons are the training persons who are no members, and the tuning persons. Where they are too few, a
    fifth of the training and as many of the holdout persons serve instead, drawn blindly, so members and non-members
    stay alike.
    """
    train, tuning, holdout, rng = tables.train, tables.tuning, tables.holdout, tables.rng
    smaller = min(train.height, holdout.height)
    size = coarse(min(smaller, MOST))
    if size < LEAST:
        return None
    notes = []
    given = 0
    if train.height - size + tuning.height < LEAST_REFERENCE:
        size, given = coarse(min(smaller - smaller // 5, MOST)), smaller // 5
        notes.append("A fifth of the training and of the holdout persons serve as reference.")
        if size < LEAST:
            return None
    seen, unseen = rng.permutation(train.height), rng.permutation(holdout.height)
    members, others = seen[:size], unseen[:size]
    first_holdout = train.height + tuning.height
    spare = seen[size : size + given] if given else seen[size:]
    reference = np.concatenate(
        (spare, np.arange(train.height, first_holdout), first_holdout + unseen[size : size + given])
    )
    chosen = np.concatenate((members, first_holdout + others))
    candidate = tables.candidate
    if candidate.height > MOST_ROWS:
        candidate = candidate[np.sort(rng.choice(candidate.height, MOST_ROWS, replace=False))]
        notes.append(f"{MOST_ROWS:,} synthetic rows, drawn at random, were compared by distance.")
    constant = _constant(tables)
    if constant:
        notes.append(f"{constant} of {len(tables.columns)} columns have one value for every real person.")
    real = pl.concat((train, tuning, holdout))
    placed = spaces(tables.columns, real, candidate)
    distances = {
        space.name: surroundings(
            pool=space.real[chosen],
            train=space.real[: train.height],
            others=space.real[first_holdout:],
            reference=space.real[reference],
            synthetic=space.synthetic,
            crowds=space is placed[0],
        )
        for space in placed
    }
    return Sample(
        members=members,
        others=others,
        pool=real[chosen],
        references=real[reference],
        candidate=candidate,
        spaces=distances,
        note=" ".join(notes),
    )


def _constant(tables: Tables) -> int:
    """How many columns tell no two real persons apart."""
    real = pl.concat((tables.train, tables.tuning, tables.holdout))
    return sum(real[feature.name].n_unique() < 2 for feature in tables.columns)


def too_small(sample: Sample, tables: Tables) -> str:
    """Return why membership cannot be told with this sample, or nothing."""
    tiers = tables.policy.membership.tiers
    if not any(sample.size >= tier.members and sample.size >= tier.non_members for tier in tiers):
        least = min((max(tier.members, tier.non_members) for tier in tiers), default=0)
        return f"too few persons for any tier of the policy; the lowest needs {least} members and non-members"
    if sample.reference < LEAST_REFERENCE:
        return f"fewer than {LEAST_REFERENCE} reference persons beside the members"
    return ""


def subgroups(tables: Tables, persons: pl.DataFrame) -> Iterator[Flags]:
    """Yield the declared subgroups: every category, or every band between cuts."""
    for subgroup in tables.dictionary.subgroups:
        feature = tables.dictionary.feature(subgroup.feature)
        if feature.type in ("number", "integer"):
            values = numbers(feature, persons)
            part = np.where(np.isnan(values), -1, np.digitize(values, subgroup.cuts))
            parts = len(subgroup.cuts) + 1
        else:
            part = codes(feature, persons)
            parts = 2 if feature.type == "boolean" else len(feature.values or ())
        yield from (np.asarray(part == place, dtype=np.bool_) for place in range(parts))

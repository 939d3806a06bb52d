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
        reference: How many further real persons there are.
        references: They.
        spaces: By name, all distances of one space.
    """

    members: NDArray[np.int64]
    others: NDArray[np.int64]
    pool: pl.DataFrame
    references: pl.DataFrame
    spaces: dict[str, Surroundings]

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
    """Draw the sample, or nothing where there are fewer than `LEAST` persons on a side."""
    train, tuning, holdout = tables.train, tables.tuning, tables.holdout
    size = coarse(min(train.height, holdout.height, MOST))
    if size < LEAST:
        return None
    seen, unseen = tables.rng.permutation(train.height), tables.rng.permutation(holdout.height)
    members, others = seen[:size], unseen[:size]
    real = pl.concat((train, tuning, holdout))
    first_holdout = train.height + tuning.height
    reference = np.concatenate((seen[size:], np.arange(train.height, first_holdout)))
    chosen = np.concatenate((members, first_holdout + others))
    distances = {
        space.name: surroundings(
            pool=space.real[chosen],
            train=space.real[: train.height],
            reference=space.real[reference],
            synthetic=space.synthetic,
        )
        for space in spaces(tables.columns, real, tables.candidate)
    }
    return Sample(members=members, others=others, pool=real[chosen], references=real[reference], spaces=distances)


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

"""The ward measures one candidate corpus: membership attacks, copies, realism, and what it would have caught."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures import copies, fidelity, membership
from wardgate.measures.disclosure import GRID, coarse, shown
from wardgate.measures.encoding import LABEL, labels
from wardgate.measures.intervals import two_sided
from wardgate.measures.rehearsal import Surroundings, near_p, rehearse, surroundings
from wardgate.measures.space import codes, numbers, spaces
from wardgate.records.errors import Invalid
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.study import Study
from wardgate.records.verdict import Absent

Flags = NDArray[np.bool_]

MOST = 10_000
"""Members compared at most: the highest tier of the policy. More would cost time and change no limit."""

LEAST = GRID
"""Persons on either side below whom not even a veto is tried."""

LEAST_REFERENCE = 100
"""Reference persons below whom a density is a guess."""

MEMBERSHIP = (
    "membership.battery",
    "membership.auc",
    "membership.tpr_at_1_percent",
    "membership.tpr_at_0_1_percent",
    "membership.rehearsal",
)
COPIES = ("copies.near", "copies.exact", "copies.reused_values", "copies.rare_combinations")
REALISM = ("realism.marginal_error", "realism.pairwise_error", "realism.clinical_rules", "realism.tstr_loss")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Equally many members and non-members, the reference persons, and all distances."""

    members: NDArray[np.int64]
    others: NDArray[np.int64]
    pool: pl.DataFrame
    spaces: dict[str, Surroundings]
    reference: int

    @property
    def size(self) -> int:
        return len(self.members)


def measure(
    *,
    train: pl.DataFrame,
    tuning: pl.DataFrame,
    holdout: pl.DataFrame,
    candidate: pl.DataFrame,
    study: Study,
    policy: GatePolicy,
    attempt: int,
    rng: np.random.Generator,
) -> tuple[tuple[Measured, ...], tuple[Absent, ...]]:
    """Take every measure that the rules for a corpus read.

    Args:
        train: Real persons whom the generator saw, one row each, in the table form of `measures.encoding`.
        tuning: Real persons used for nothing here but as reference.
        holdout: Real persons whom the generator never saw, neither fitted nor chosen on.
        candidate: The synthetic rows that want to leave, with the same columns.
        study: Features, subgroups, rules, ridge.
        policy: Levels, tiers, rehearsal.
        attempt: 1 for the first candidate; intervals widen and p-values must be higher with each further one.
        rng: Subsampling, relabelling and rehearsal; it protects nobody.

    Returns:
        The measures and, by name with a reason, those that could not be taken. Values are rounded to three
        significant digits, intervals outwards, sample sizes down to fifties; nothing stands for one record.

    Raises:
        Invalid: a table lacks a column, holds an unknown category, or the candidate is empty.
    """
    level = two_sided(policy.bound_level, attempt)
    train, tuning, holdout, candidate = (
        _checked(table, study, name)
        for table, name in ((train, "training"), (tuning, "tuning"), (holdout, "holdout"), (candidate, "candidate"))
    )
    if not candidate.height:
        raise Invalid("the candidate has no rows; there is nothing to release")
    measured: list[Measured] = []
    absent: list[Absent] = []
    sample = _sample(train, tuning, holdout, candidate, study, rng=rng)
    if sample is None:
        reason = f"fewer than {LEAST} training or holdout persons"
        absent += [Absent(name=name, reason=reason) for name in (*MEMBERSHIP, *COPIES)]
    else:
        measured += _copies(sample, train, holdout, candidate, study, level=level)
        reason = _too_small(sample, policy)
        if reason:
            absent += [Absent(name=name, reason=reason) for name in MEMBERSHIP]
        else:
            measured += _attacked(sample, train, candidate, study, policy, attempt=attempt, level=level, rng=rng)
    realism = [
        part.model_copy(update={"n": tuple(coarse(size) for size in part.n)})
        for part in _realism(train, holdout, candidate, study, level=level, rng=rng)
    ]
    measured += realism
    missing = set(REALISM) - {part.name for part in realism}
    reason = f"fewer than {LEAST} holdout persons, or one outcome only among training or holdout persons"
    absent += [Absent(name=name, reason=reason) for name in REALISM if name in missing]
    return tuple(shown(part) for part in measured), tuple(absent)


def _checked(table: pl.DataFrame, study: Study, name: str) -> pl.DataFrame:
    wanted = [*(feature.name for feature in study.features), LABEL]
    lacking = [column for column in wanted if column not in table.columns]
    if lacking:
        raise Invalid(f"the {name} table lacks {', '.join(lacking)}; every table needs all features and the label")
    labels(table)
    texts = {feature.name for feature in study.features if feature.type == "category"}
    found = table.select(
        *(pl.col(column).cast(pl.String if column in texts else pl.Float64) for column in wanted[:-1]),
        pl.col(LABEL).cast(pl.Int8),
    )
    for column in wanted[:-1]:
        if column not in texts and found[column].is_infinite().any():
            raise Invalid(f"column '{column}' of the {name} table holds an infinite number; missing values are null")
    return found


def _sample(
    train: pl.DataFrame,
    tuning: pl.DataFrame,
    holdout: pl.DataFrame,
    candidate: pl.DataFrame,
    study: Study,
    *,
    rng: np.random.Generator,
) -> _Sample | None:
    size = coarse(min(train.height, holdout.height, MOST))
    if size < LEAST:
        return None
    seen, unseen = rng.permutation(train.height), rng.permutation(holdout.height)
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
        for space in spaces(study.features, real, candidate)
    }
    return _Sample(members=members, others=others, pool=real[chosen], spaces=distances, reference=len(reference))


def _too_small(sample: _Sample, policy: GatePolicy) -> str:
    if not any(sample.size >= tier.members and sample.size >= tier.non_members for tier in policy.membership.tiers):
        least = min((max(tier.members, tier.non_members) for tier in policy.membership.tiers), default=0)
        return f"too few persons for any tier of the policy; the lowest needs {least} members and non-members"
    if sample.reference < LEAST_REFERENCE:
        return f"fewer than {LEAST_REFERENCE} reference persons beside the members"
    return ""


def _copies(
    sample: _Sample, train: pl.DataFrame, holdout: pl.DataFrame, candidate: pl.DataFrame, study: Study, *, level: float
) -> Iterator[Measured]:
    real = pl.concat((train, holdout))
    member = np.arange(real.height) < train.height
    persons = (coarse(train.height), coarse(holdout.height))
    near = min(1.0, len(sample.spaces) * min(near_p(space) for space in sample.spaces.values()))
    note = "Rows nearest to any person, in the values and in their ranks."
    yield copies.p_value("copies.near", near, persons=(sample.size, sample.size), level=level, note=note)
    exact = copies.exact_matches(study.features, real, candidate, member)
    yield copies.p_value("copies.exact", exact, persons=persons, level=level, note="Whole records, label included.")
    reused, holders = copies.reused_values(study.features, real, candidate, member)
    note = "Numbers that one person alone has." if holders else "No person has a number that nobody else has."
    yield copies.p_value("copies.reused_values", reused, persons=persons, level=level, note=note)
    known = copies.quasi_identifiers(study.features, study.subgroups)
    rare, holders = copies.rare_combinations(known, real, candidate, member)
    note = f"Combinations of {len(known)} traits." if holders else "No combination of traits is rare."
    yield copies.p_value("copies.rare_combinations", rare, persons=persons, level=level, note=note)


def _attacked(
    sample: _Sample,
    train: pl.DataFrame,
    candidate: pl.DataFrame,
    study: Study,
    policy: GatePolicy,
    *,
    attempt: int,
    level: float,
    rng: np.random.Generator,
) -> Iterator[Measured]:
    limits, persons = policy.membership, (sample.size, sample.size)
    reference = {name: space.pool_to_reference.distance for name, space in sample.spaces.items()}
    scores = membership.attacks(
        {name: space.pool_to_synthetic.distance for name, space in sample.spaces.items()}, reference
    )
    groups = [membership.unusual(distance) for distance in reference.values()]
    groups += [group for group in _subgroups(study, sample.pool) if int(group.sum()) >= 2 * limits.subgroup_min_persons]
    member = np.arange(2 * sample.size) < sample.size
    drawn = membership.battery(member, groups, permutations=limits.permutations, rng=rng)
    found, largest = membership.null(scores, drawn)
    yield membership.battery_p(found, persons=persons, level=level)
    score = membership.together(scores)
    yield membership.auc(score, member, persons=persons, level=level)
    for rate in membership.RATES:
        share = membership.tpr(score, member, drawn.order, rate=rate, persons=persons, level=level)
        if share is not None:
            yield share
    yield rehearse(
        sample.spaces,
        drawn,
        largest,
        copied=max(1, round(limits.planted_copy_fraction * train.height)),
        rows=candidate.height,
        draws=limits.rehearsals,
        battery_least=limits.battery_level * attempt,
        near_least=policy.proximity.near_copy_level * attempt,
        persons=persons,
        level=level,
        rng=rng,
    )


def _subgroups(study: Study, pool: pl.DataFrame) -> Iterator[Flags]:
    """Yield the declared subgroups: every category, or every band between cuts."""
    for subgroup in study.subgroups:
        feature = study.feature(subgroup.feature)
        if feature.type in ("number", "integer"):
            values = numbers(feature, pool)
            part = np.where(np.isnan(values), -1, np.digitize(values, subgroup.cuts))
            parts = len(subgroup.cuts) + 1
        else:
            part = codes(feature, pool)
            parts = 2 if feature.type == "boolean" else len(feature.values or ())
        yield from (np.asarray(part == place, dtype=np.bool_) for place in range(parts))


def _realism(
    train: pl.DataFrame,
    holdout: pl.DataFrame,
    candidate: pl.DataFrame,
    study: Study,
    *,
    level: float,
    rng: np.random.Generator,
) -> Iterator[Measured]:
    yield fidelity.clinical_rules(study.rules, study.features, candidate, level=level)
    if holdout.height < LEAST:
        return
    yield fidelity.marginal_error(study.features, holdout, candidate, level=level, rng=rng)
    yield fidelity.pairwise_error(study.features, holdout, candidate, level=level, rng=rng)
    loss = fidelity.tstr_loss(study.features, train, candidate, holdout, ridge=study.model.ridge, level=level)
    if loss is not None:
        yield loss

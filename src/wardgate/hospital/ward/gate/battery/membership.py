"""Can training persons be told from persons never seen? All attacks are one test, and the test is tested."""

from collections.abc import Iterator

from wardgate.hospital.ward.gate.battery.sample import Sample, subgroups, too_small
from wardgate.hospital.ward.gate.battery.tables import Tables
from wardgate.measures.attacks import membership
from wardgate.measures.attacks.rehearsal import rehearse
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

NAMES = (
    "membership.battery",
    "membership.auc",
    "membership.tpr_at_1_percent",
    "membership.tpr_at_0_1_percent",
    "membership.rehearsal",
)


def measures(tables: Tables, sample: Sample) -> Iterator[Measured | Absent]:
    """Yield every membership measure, or why there is none."""
    reason = too_small(sample, tables)
    if reason:
        yield from (Absent(name=name, reason=reason) for name in NAMES)
        return
    limits, persons, level, rng = tables.policy.membership, sample.persons, tables.level, tables.rng
    reference = {name: space.pool_to_reference.distance for name, space in sample.spaces.items()}
    scores = membership.attacks(
        {name: space.pool_to_synthetic.distance for name, space in sample.spaces.items()}, reference
    )
    groups = [membership.unusual(distance) for distance in reference.values()]
    least = 2 * limits.subgroup_min_persons
    groups += [group for group in subgroups(tables, sample.pool) if int(group.sum()) >= least]
    drawn = membership.battery(sample.member, groups, permutations=limits.permutations, rng=rng)
    found, largest = membership.null(scores, drawn)
    yield membership.battery_p(found, persons=persons, level=level)
    score = membership.together(scores)
    yield membership.auc(score, sample.member, persons=persons, level=level)
    for rate in membership.RATES:
        share = membership.tpr(score, sample.member, drawn.order, rate=rate, persons=persons, level=level)
        if share is not None:
            yield share
    yield rehearse(
        sample.spaces,
        drawn,
        largest,
        copied=max(1, round(limits.planted_copy_fraction * tables.train.height)),
        rows=tables.candidate.height,
        draws=limits.rehearsals,
        battery_least=limits.battery_level * tables.attempt,
        near_least=tables.policy.proximity.near_copy_level * tables.attempt,
        persons=persons,
        level=level,
        rng=rng,
    )

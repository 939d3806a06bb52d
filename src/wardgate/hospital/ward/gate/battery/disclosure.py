"""What the corpus tells of one person beyond membership: attributes, links, conditions, identity, rare traits."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.hospital.ward.gate.battery.sample import Flags, Sample, too_small
from wardgate.hospital.ward.gate.battery.tables import Tables
from wardgate.measures.attacks import attribute, identity, k_map, linkage, singling_out
from wardgate.measures.attacks.excess import Contrast, gain
from wardgate.measures.attacks.parts import Part, part, tolerance, values
from wardgate.measures.disclosure import coarse
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

Indices = NDArray[np.int64]

NAMES = (
    "disclosure.attribute",
    "disclosure.linkability",
    "disclosure.singling_out",
    "disclosure.identity",
    "disclosure.k_map",
)

WORK = 5e9
"""Persons x rows x coordinates of one search at most, as long as enough persons are left."""

LEAST_SEARCHED = 1_250
"""Members, and strangers, who are searched for at least, however large the corpus."""

GROUPS, GROUPS_WHEN_LARGE = 6, 3
"""Groups of targets that are hidden from the attacker who knows all the rest; fewer where not all can be searched."""

SPLITS, SPLITS_WHEN_LARGE = 3, 2
"""Seeded splits of the columns between two parties."""

ORDERS = 6
"""Seeded orders of the columns in which conditions are built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """Whom distances are taken for.

    Attributes:
        parts: All columns of these persons and of the corpus, by name.
        member: Members first, then as many strangers.
        groups: Groups of targets to hide.
        splits: Splits of the columns between two parties.
    """

    parts: dict[str, Part]
    member: Flags
    groups: int
    splits: int

    @property
    def persons(self) -> tuple[int, int]:
        """Members and strangers."""
        half = len(self.member) // 2
        return half, half


def measures(tables: Tables, sample: Sample) -> Iterator[Measured | Absent]:
    """Yield every measure of disclosure, or why there is none."""
    if tables.policy.disclosure is None:
        yield from _absent(NAMES, "the policy was signed before disclosure had limits")
        return
    reason = too_small(sample, tables)
    if reason:
        yield from _absent(NAMES, reason)
        return
    searched = _searched(tables, sample)
    yield _attribute(tables, searched)
    yield _linkability(tables, searched)
    yield _singling_out(tables, sample)
    yield from _by_traits(tables, least=tables.policy.disclosure.k_map_min)


def _absent(names: tuple[str, ...], reason: str) -> Iterator[Absent]:
    yield from (Absent(name=name, reason=reason) for name in names)


def _searched(tables: Tables, sample: Sample) -> Searched:
    """Take as many persons as the work allows: the sample is in random order, so the first are a random choice."""
    width = sum(_width(feature.type, feature.values) for feature in tables.columns)
    affordable = coarse(int(WORK / (2 * sample.candidate.height * width)))
    half = min(sample.size, max(LEAST_SEARCHED, affordable))
    persons = pl.concat((sample.pool[:half], sample.pool[sample.size : sample.size + half]))
    return Searched(
        parts={feature.name: part(feature, persons, sample.candidate) for feature in tables.columns},
        member=np.asarray(np.arange(2 * half) < half),
        groups=GROUPS if half == sample.size else GROUPS_WHEN_LARGE,
        splits=SPLITS if half == sample.size else SPLITS_WHEN_LARGE,
    )


def _width(kind: str, categories: tuple[str, ...] | None) -> int:
    return 2 if kind in ("number", "integer") else 3 if kind == "boolean" else len(categories or ()) + 1


def _attribute(tables: Tables, searched: Searched) -> Measured | Absent:
    name = "disclosure.attribute"
    targets = [searched.parts[feature.name] for feature in tables.dictionary.targets]
    wanted = {target.feature.name for target in targets}
    traits = [searched.parts[feature.name] for feature in tables.dictionary.quasi_identifiers]
    known = [trait for trait in traits if trait.feature.name not in wanted]
    found: list[Contrast] = []
    if known and targets:
        found += attribute.by_nearest(known, targets, searched.member, rng=tables.rng)
        found += attribute.by_learning(known, targets, searched.member, rng=tables.rng)
    groups = attribute.hidden_groups(targets, groups=searched.groups, rng=tables.rng) if targets else []
    for hidden in groups:
        names = {target.feature.name for target in hidden}
        rest = [part for part in searched.parts.values() if part.feature.name not in names]
        if rest:
            found += attribute.by_nearest(rest, hidden, searched.member, rng=tables.rng)
    if not found:
        return Absent(name=name, reason="no sensitive column with enough values, or nothing to guess it from")
    note = (
        f"The worst of {len(found)} guesses at {len(targets)} columns, from {len(known)} traits or from all but "
        f"{-(-len(targets) // len(groups))} columns."
    )
    return gain(name, found, persons=searched.persons, level=tables.level, rng=tables.rng, note=note)


def _linkability(tables: Tables, searched: Searched) -> Measured | Absent:
    name = "disclosure.linkability"
    found = linkage.linkage(list(searched.parts.values()), searched.member, splits=searched.splits, rng=tables.rng)
    if not found:
        return Absent(name=name, reason="one column cannot be split between two parties")
    note = f"The worst of {len(found)} splits of {len(searched.parts)} columns into halves."
    return gain(name, found, persons=searched.persons, level=tables.level, rng=tables.rng, note=note)


def _singling_out(tables: Tables, sample: Sample) -> Measured:
    columns = [(values(feature, sample.pool), values(feature, tables.candidate)) for feature in tables.columns]
    found = [
        *singling_out.univariate(columns, sample.member),
        *singling_out.multivariate(columns, sample.member, orders=ORDERS, rng=tables.rng),
    ]
    note = f"Conditions on each of {len(columns)} columns, and on several in {ORDERS} orders."
    return gain("disclosure.singling_out", found, persons=sample.persons, level=tables.level, rng=tables.rng, note=note)


def _by_traits(tables: Tables, *, least: int) -> Iterator[Measured | Absent]:
    """Yield what rests on outwardly known traits alone: identity disclosure and k-map, over all persons."""
    names = ("disclosure.identity", "disclosure.k_map")
    traits = tables.dictionary.quasi_identifiers
    if not traits:
        yield from _absent(names, "the dictionary names no quasi-identifier, and no column could serve as one")
        return
    compared = pl.concat((tables.train, tables.holdout))
    key = k_map.combinations(traits, (compared, tables.tuning, tables.candidate))
    member = np.arange(compared.height) < tables.train.height
    frame = compared.height + tables.tuning.height
    persons = (coarse(tables.train.height), coarse(tables.holdout.height))
    yield _identity(tables, key, compared, member, frame)
    found = k_map.excess_risk(key, member, frame=frame, least=least)
    if not found:
        yield Absent(name=names[1], reason="training and holdout persons have no combination of like rarity")
        return
    note = f"Combinations of {len(traits)} traits. 1,000 stands for 1,000 or more."
    yield k_map.k_map(found, persons=persons, level=tables.level, rng=tables.rng, note=note)


def _identity(tables: Tables, key: Indices, compared: pl.DataFrame, member: Flags, frame: int) -> Measured | Absent:
    name = "disclosure.identity"
    traits = {feature.name for feature in tables.dictionary.quasi_identifiers}
    targets = [feature for feature in tables.dictionary.targets if feature.name not in traits]
    if not targets:
        return Absent(name=name, reason="no sensitive column could be learned by a match")
    population = 1 + k_map.others(key, persons=len(member), frame=frame)
    columns = [
        (mine, values(feature, tables.candidate), tolerance(feature, mine))
        for feature in targets
        for mine in (values(feature, compared),)
    ]
    everybody = np.concatenate((key[: len(member)], key[frame:]))
    risk = identity.risks(everybody, population, columns, rng=tables.rng)
    found = identity.identity(risk, population, member)
    if found is None:
        return Absent(name=name, reason="training and holdout persons have no traits of like rarity")
    note = f"Without the control {float(risk[member].mean()):.2f}, from {len(traits)} traits."
    persons = (coarse(int(member.sum())), coarse(int((~member).sum())))
    return gain(name, [found], persons=persons, level=tables.level, rng=tables.rng, note=note)

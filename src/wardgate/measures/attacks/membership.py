"""Can patients who were used be told from patients who were not? All attacks together are one test.

Every attack gives each person a score, higher meaning more likely a member. Members and non-members are equally
many, one row each. Under no leakage they are exchangeable given the corpus and the reference persons, so random
relabelling gives the exact null of whatever is computed from the scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nbinom, norm, rankdata

from wardgate.measures.intervals import clopper_pearson, delong
from wardgate.records.errors import Invalid
from wardgate.records.measured import Measured

Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]
Distances = NDArray[np.float32]

SHALLOW, DEEP = 1, 5
"""Neighbours whose mean distance stands for the density: one sees copies, five see over-fitting."""

RATES = {0.01: "1_percent", 0.001: "0_1_percent"}
"""False-positive rates at which members are counted, with their names."""


def attacks(to_synthetic: Mapping[str, Distances], to_reference: Mapping[str, Distances]) -> dict[str, Scores]:
    """Return the scores of all attacks, each of shape (n,).

    In every space: the distance to the nearest synthetic record, and the ratio of the densities of synthetic and
    reference records around the person, each density from its 1 or 5 nearest neighbours.

    Args:
        to_synthetic: By space, distances to the nearest synthetic records, shape (n, >= 5), rising.
        to_reference: By space, distances to the nearest reference records, likewise.

    Reference: van Breugel et al. 2023, Membership Inference Attacks against Synthetic Data through Overfitting
        Detection (DOMIAS), arXiv:2302.12580.
    """
    found: dict[str, Scores] = {}
    for space, near in to_synthetic.items():
        usual = to_reference[space]
        found[f"nearest.{space}"] = -near[:, 0].astype(np.float64)
        positive = usual[usual > 0]
        grain = 1e-3 * float(np.median(positive)) if len(positive) else 1e-3
        for k in (SHALLOW, DEEP):
            reference = np.log(usual[:, :k].mean(axis=1, dtype=np.float64) + grain)
            found[f"density.{space}.{k}"] = reference - np.log(near[:, :k].mean(axis=1, dtype=np.float64) + grain)
    return found


def unusual(to_reference: Distances, *, share: float = 0.1) -> Flags:
    """Mark the persons farthest from the reference persons, shape (n,). Blind to who is a member, also in ties.

    Persons equally far are marked together or not at all, so up to twice the share, or nobody where all are alike.
    """
    loneliness = to_reference[:, DEEP - 1]
    most = max(1, int(share * len(loneliness)))
    edge = np.partition(loneliness, len(loneliness) - most)[len(loneliness) - most]
    marked = loneliness >= edge
    return marked if int(marked.sum()) <= 2 * most else np.asarray(loneliness > edge)


def together(scores: Mapping[str, Scores]) -> Scores:
    """Return one score a person: the highest rank that any attack gives, shape (n,)."""
    return np.asarray(np.max([rankdata(score) / len(score) for score in scores.values()], axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """The members, the groups and their random relabellings, drawn once for a candidate and its rehearsals.

    Attributes:
        groups: Shape (g, n); the first is everybody.
        labels: Member flags, shape (1 + b, n): the true ones, then b random relabellings.
        order: A random order of persons that breaks ties, blind to who is a member.
    """

    groups: Flags
    labels: NDArray[np.uint8]
    order: NDArray[np.int64]

    @property
    def member(self) -> Flags:
        return np.asarray(self.labels[0], dtype=np.bool_)


def battery(member: Flags, groups: Sequence[Flags], *, permutations: int, rng: np.random.Generator) -> Battery:
    """Draw the relabellings.

    Args:
        member: Shape (n,), as many members as non-members.
        groups: Flags of shape (n,): deciles and subgroups; everybody is added.

    Raises:
        Invalid: members and non-members differ in number; shares would not be comparable.
    """
    if 2 * int(member.sum()) != len(member):
        raise Invalid("expected as many members as non-members; draw a subsample of the training persons")
    labels = np.empty((1 + permutations, len(member)), dtype=np.uint8)
    labels[0] = member
    labels[1:] = rng.permuted(np.tile(member.astype(np.uint8), (permutations, 1)), axis=1)
    everybody = np.ones(len(member), dtype=np.bool_)
    return Battery(groups=np.stack((everybody, *groups)), labels=labels, order=rng.permutation(len(member)))


def ordered(score: Scores, tie_break: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return persons from the highest score down; ties in the random order of `tie_break`."""
    return np.lexsort((tie_break, -score))


def successes(scores: Mapping[str, Scores], drawn: Battery, *, rows: slice = slice(None)) -> Scores:
    """Return the standardised success of every attack in every group, shape (labellings, statistics).

    Success is the AUROC above and below guessing (a generator that avoids its training rows gives them away as
    well), and the members found at each false-positive rate. All are on the scale of a standard normal under
    random labels, so that one maximum over them is fair to each.
    """
    labels = drawn.labels[rows]
    members = float(drawn.member.mean())
    centred, columns = [], []
    for group in drawn.groups:
        for score in scores.values():
            ranks = np.zeros(len(score))
            ranks[group] = rankdata(score[group]) - (int(group.sum()) + 1) / 2
            spread = np.sqrt(members * (1 - members) * np.sum(ranks**2) * len(ranks) / (len(ranks) - 1))
            centred.append(ranks / (spread or np.inf))
            inside = ordered(score, drawn.order)
            inside = inside[group[inside]]
            for rate in RATES:
                allowed = int(rate * (1 - members) * len(inside))
                if allowed:
                    columns.append(_found(labels, inside, allowed))
    above = labels.astype(np.float32) @ np.stack(centred).astype(np.float32).T
    return np.column_stack((above, -above, *columns))


def _found(labels: NDArray[np.uint8], inside: NDArray[np.int64], allowed: int) -> Scores:
    """Members above the `allowed`-th non-member, as the normal score of a negative binomial's tail."""
    top = inside[: 10 * allowed + 60]
    strangers = np.cumsum(1 - labels[:, top].astype(np.int16), axis=1)
    found = np.sum(strangers < allowed, axis=1) - (allowed - 1)
    return np.asarray(_normal_scores(allowed, len(top))[np.maximum(found, 0)])


@lru_cache(maxsize=256)
def _normal_scores(allowed: int, most: int) -> Scores:
    counts = np.arange(most + 1)
    tail = nbinom.sf(counts, allowed, 0.5) + 0.5 * nbinom.pmf(counts, allowed, 0.5)
    return np.asarray(norm.isf(np.clip(tail, 1e-300, 1.0)))


def null(scores: Mapping[str, Scores], drawn: Battery) -> tuple[float, Scores]:
    """Return the p-value of the battery, and the largest success of each relabelling, shape (b,), rising.

    Reference: the maximum statistic of Westfall and Young 1993, Resampling-Based Multiple Testing.
    """
    largest = successes(scores, drawn).max(axis=1)
    reference = np.sort(largest[1:])
    return probability(float(largest[0]), reference), reference


def probability(largest: float, reference: Scores) -> float:
    """Return the chance of a largest success like this one under random labels; never 0."""
    above = len(reference) - int(np.searchsorted(reference, largest - 1e-6, side="left"))
    return (1 + above) / (1 + len(reference))


def battery_p(probability: float, *, persons: tuple[int, int], level: float, note: str = "") -> Measured:
    """Report the battery's p-value. An innocent corpus scores uniformly between 0 and 1."""
    return Measured(
        name="membership.battery",
        value=probability,
        low=probability,
        high=probability,
        level=level,
        n=persons,
        note=f"The value is a p-value: the chance of such success if no member could be told. {note}".rstrip(),
    )


def auc(score: Scores, member: Flags, *, persons: tuple[int, int], level: float) -> Measured:
    """AUROC of members against non-members. An innocent corpus scores 0.5.

    Wrong when members and non-members differ in anything but having been used, for instance in calendar time.
    """
    value, low, high = delong(member, score, level=level)
    return Measured(name="membership.auc", value=value, low=low, high=high, level=level, n=persons)


def tpr(
    score: Scores, member: Flags, tie_break: NDArray[np.int64], *, rate: float, persons: tuple[int, int], level: float
) -> Measured | None:
    """Share of members above the non-member at the false-positive rate. An innocent corpus scores about the rate.

    Returns:
        The share with its Clopper-Pearson interval, given the threshold; nothing where the rate is less than one
        non-member. The interval leaves out that the threshold is estimated; the limits of the policy allow for it.
    """
    allowed = int(rate * int(np.sum(~member)))
    if not allowed:
        return None
    rank = np.cumsum(~member[ordered(score, tie_break)])
    found = int(np.sum(rank < allowed)) - (allowed - 1)
    members = int(member.sum())
    low, high = clopper_pearson(found, members, level=level)
    return Measured(
        name=f"membership.tpr_at_{RATES[rate]}", value=found / members, low=low, high=high, level=level, n=persons
    )

"""Which candidate weights of a network would do harm to this hospital's own persons; one bounded vote for each."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.network_votes import Harm, NetworkVotes
from wardgate.hospital.ward.cohort.part import Part
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.layers.forward import logits
from wardgate.measures.subgroups import subgroup_masks
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.network import Architecture
from wardgate.sums.shape import Bounded

Vector = NDArray[np.float64]

LARGEST_LOSS = 10.0
"""Of one person, so that no single one decides."""

RATES = (0.02, 0.98)
"""Between which a hospital's own outcome rate is taken."""

PRIOR = 0.5
"""Variance of losses that is assumed of one person beyond what is seen, so that a handful do not look certain."""


def answer(asked: NetworkVotes, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend.

    Raises:
        Invalid: network or weights do not fit the study.
    """
    shape, architecture = asked.shape(bench.study), asked.over(bench.study)
    part, train = bench.part(split), bench.part("train")
    persons = len(part.y)
    if not persons:
        return Bounded(vector=np.zeros(shape.entries), shape=shape, persons=0).checked()
    rate = float(np.clip(np.mean(train.y), *RATES)) if len(train.y) else 0.5
    floor = np.maximum(
        losses_of(architecture, asked.anchor, part), np.where(part.y > 0, -np.log(rate), -np.log1p(-rate))
    )
    reference = losses_of(architecture, asked.reference, part)
    own = None
    if asked.harm.own is not None:
        own = np.minimum(LARGEST_LOSS, _log_loss(part.x @ bench.local_model(), part.y))
    kept = bench.kept.get(NetworkVotes.name)
    if kept is None or kept[0] != split:
        kept = bench.kept[NetworkVotes.name] = (split, [mask for _, mask in subgroup_masks(bench.study, part.table)])
    masks = kept[1]
    counts_for = min(1.0, persons / asked.harm.full)
    able = [1.0, 1.0, *(() if own is None else (1.0,)), float(np.any(part.y == 0)), float(np.any(part.y > 0))]
    able += [float(mask.any()) for mask in masks]
    found = []
    for weights in asked.candidates:
        try:
            losses = losses_of(architecture, weights, part)
        except Invalid:
            # Weights with which this hospital's persons leave the range of a number are harmful to all of them.
            found.append(np.array(able))
            continue
        votes = list(_votes(losses, part, reference=reference, floor=floor, own=own, masks=masks, harm=asked.harm))
        found.append(np.array(votes, dtype=np.float64))
    vector = counts_for * np.concatenate([*found, np.array(able)])
    return Bounded(vector=vector, shape=shape, persons=persons).checked()


def losses_of(architecture: Architecture, weights: Vector, part: Part) -> Vector:
    """Return each person's log-loss, cut at `LARGEST_LOSS`, shape (n,).

    Raises:
        Invalid: the log-odds leave the range of a double.
    """
    return np.minimum(LARGEST_LOSS, _log_loss(logits(architecture, weights, part.x[:, 1:]), part.y))


def harmful(gaps: Vector, *, margin: float, errors: float, prior: float = PRIOR) -> bool:
    """Say whether losses rose by more than `margin` and `errors` standard errors beyond it.

    Args:
        gaps: How much each person's loss rose, shape (n,).
        prior: Variance added, as of one person.
    """
    if not len(gaps):
        return False
    error = np.sqrt((np.var(gaps) + prior / len(gaps)) / len(gaps))
    return bool(np.mean(gaps) > margin + errors * error)


def _votes(
    losses: Vector,
    part: Part,
    *,
    reference: Vector,
    floor: Vector,
    own: Vector | None,
    masks: list[NDArray[np.bool_]],
    harm: Harm,
) -> Iterator[bool]:
    # A candidate differs little from the reference, so the gap's own variance is believed.
    yield harmful(losses - reference, margin=harm.reference, errors=harm.errors, prior=0.0)
    above = losses - floor
    yield harmful(above, margin=harm.floor, errors=harm.errors)
    if own is not None and harm.own is not None:
        yield harmful(losses - own, margin=harm.own, errors=harm.errors)
    for mask in (part.y == 0, part.y > 0):
        yield harmful(above[mask], margin=harm.outcome, errors=harm.errors)
    for mask in masks:
        yield harmful(above[mask], margin=harm.subgroup, errors=harm.errors)


def _log_loss(log_odds: Vector, y: NDArray[np.int8]) -> Vector:
    return np.asarray(np.logaddexp(0.0, np.where(y > 0, -log_odds, log_odds)), dtype=np.float64)

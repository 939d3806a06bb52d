"""Which candidate weights of a network would do harm to this hospital's own persons; one bounded vote for each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.network_votes import NetworkVotes
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
    masks = np.array([np.ones(persons), part.y == 0, part.y > 0, *kept[1]], dtype=np.float64).T
    losses = np.zeros((len(asked.candidates), persons))
    beyond = np.zeros(len(asked.candidates), dtype=np.bool_)
    for place, weights in enumerate(asked.candidates):
        try:
            losses[place] = losses_of(architecture, weights, part)
        except Invalid:
            # Weights with which this hospital's persons leave the range of a number are harmful to all of them.
            beyond[place] = True
    harm, whole = asked.harm, masks[:, :1]
    # A candidate differs little from the reference, so the gap's own variance is believed.
    columns = [harmful(losses - reference, whole, margins=[harm.reference], errors=harm.errors, prior=0.0)]
    margins = [harm.floor, harm.outcome, harm.outcome, *([harm.subgroup] * len(kept[1]))]
    floors = harmful(losses - floor, masks, margins=margins, errors=harm.errors)
    columns.append(floors[:, :1])
    if own is not None and harm.own is not None:
        columns.append(harmful(losses - own, whole, margins=[harm.own], errors=harm.errors))
    votes = np.concatenate([*columns, floors[:, 1:]], axis=1).astype(np.float64)
    able = np.concatenate([np.ones(len(columns)), np.asarray(masks.max(axis=0))[1:]])
    votes[beyond] = able
    counts_for = min(1.0, persons / harm.full)
    vector = counts_for * np.concatenate([votes.ravel(), able])
    return Bounded(vector=vector, shape=shape, persons=persons).checked()


def losses_of(architecture: Architecture, weights: Vector, part: Part) -> Vector:
    """Return each person's log-loss, cut at `LARGEST_LOSS`, shape (n,).

    Raises:
        Invalid: the log-odds leave the range of a double.
    """
    return np.minimum(LARGEST_LOSS, _log_loss(logits(architecture, weights, part.x[:, 1:]), part.y))


def harmful(
    gaps: Vector, masks: Vector, *, margins: Sequence[float], errors: float, prior: float = PRIOR
) -> NDArray[np.bool_]:
    """Say for each candidate and kind of persons whether losses rose by more than a margin and chance, shape (k, s).

    Args:
        gaps: How much each person's loss rose, shape (k, n).
        masks: 1 where a person is of a kind, else 0, shape (n, s).
        margins: By kind.
        errors: Standard errors beyond the margin.
        prior: Variance added, as of one person.
    """
    count = masks.sum(axis=0)
    persons = np.maximum(count, 1.0)
    mean = gaps @ masks / persons
    variance = np.maximum(0.0, gaps**2 @ masks / persons - mean**2)
    error = np.sqrt((variance + prior / persons) / persons)
    return np.asarray((count > 0) & (mean > np.asarray(margins) + errors * error), dtype=np.bool_)


def _log_loss(log_odds: Vector, y: NDArray[np.int8]) -> Vector:
    return np.asarray(np.logaddexp(0.0, np.where(y > 0, -log_odds, log_odds)), dtype=np.float64)

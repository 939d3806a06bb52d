"""The plan of one asked sum, worked out alike by the hub and by every ward from the same signed question."""

import math
from functools import lru_cache

from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.messages import SumTerms
from wardgate.sums.batch import Batch, Slot, batch_for
from wardgate.sums.graph import FULL_UP_TO
from wardgate.sums.plan import SumPlan
from wardgate.sums.shape import Shape

SLOTS = 8
"""Sums that one batch serves."""


@lru_cache(maxsize=64)
def drop_outs(sites: int, drop_out: float) -> tuple[int, int]:
    """Return how many of `sites` may vanish from a sum, and how many may at the same time collude with the hub.

    The share of the study, rounded down; then a third of the sites up to 50 and a tenth beyond, where every further
    colluder needs many more mask partners; or fewer where both cannot be covered together.

    Raises:
        Unsupported: the share is too large whoever colludes.
    """
    dropouts = math.floor(drop_out * sites + 1e-9)
    roster = tuple(f"{place:09}" for place in range(sites))
    for colluders in range(sites // 3 if sites <= FULL_UP_TO else sites // 10, -1, -1):
        try:
            batch_for(roster, context=b"-", slots=1, coin=bytes(32), dropouts=dropouts, colluders=colluders)
        except Unsupported:
            continue
        return dropouts, colluders
    raise Unsupported(f"{dropouts} of {sites} sites cannot drop out of a sum; state a smaller share")


def degree_of(sites: int, drop_out: float) -> int:
    """Return the mask partners of a site in a batch over so many sites."""
    roster = tuple(f"{place:09}" for place in range(sites))
    return agreed_batch(roster, drop_out=drop_out, question_sha256="00", coin="00" * 32).degree


@lru_cache(maxsize=16)
def agreed_batch(roster: tuple[str, ...], *, drop_out: float, question_sha256: str, coin: str) -> Batch:
    """Return the batch of slots that a signed question prepares.

    Args:
        roster: Sorted sites that are asked to prepare.
        drop_out: Share of sites that may vanish, by the locked study.
        question_sha256: Digest of the signed question.
        coin: Of the study, in hexadecimal.
    """
    dropouts, colluders = drop_outs(len(roster), drop_out)
    return batch_for(
        roster,
        context=bytes.fromhex(question_sha256),
        slots=SLOTS,
        coin=bytes.fromhex(coin),
        dropouts=dropouts,
        colluders=colluders,
    )


def least_survivors(sites: int, drop_out: float, *, minimum: int) -> int:
    """Return how many of the sites of a batch must survive for its sums to open."""
    return max(minimum, sites - drop_outs(sites, drop_out)[0])


def tolerated_in(roster: int, *, batch: Batch | None, least: int | None, local: bool) -> int:
    """Return how many missing shares of its noise a sum survives.

    A third of the sites, and as many as may drop out of it; all but one where each site adds the whole noise.

    Args:
        roster: Sites in the sum.
        batch, least: Of its slot; None for a sum that needs everybody.
        local: Whether the study asks for the whole noise of every site.
    """
    if local:
        return roster - 1
    if batch is None or least is None:
        return roster // 3
    return min(roster - 1, max(roster // 3, batch.colluders) + max(roster - least, 0))


def agreed_plan(terms: SumTerms, shape: Shape, *, question_sha256: str, batch: Batch | None = None) -> SumPlan:
    """Return the plan. The question's digest is the context, so no two questions share a mask.

    Args:
        terms: As the question states them.
        shape: As the computation's public parameters give it; never taken from the question.
        question_sha256: Digest of the signed question.
        batch: The batch that the terms' slot names.

    Raises:
        Invalid: the terms name a slot and no batch was prepared for it, or the plan does not hold.
    """
    slot: Slot | None = None
    if terms.slot is not None:
        if batch is None or batch.context.hex() != terms.slot.batch_sha256:
            raise Invalid("the sum names a slot of a batch that was not prepared here; ask with another")
        slot = Slot(batch=batch, index=terms.slot.index, least=terms.slot.least)
    return _plan(terms, tuple(shape.bound.tolist()), shape.l2, question_sha256, slot)


@lru_cache(maxsize=16)
def _plan(terms: SumTerms, bound: tuple[float, ...], l2: float, question_sha256: str, slot: Slot | None) -> SumPlan:
    return SumPlan(
        roster=terms.roster,
        entries=terms.entries,
        persons=terms.persons,
        bound=bound,
        l2=l2 if terms.noise_multiplier is not None else None,
        noise_multiplier=terms.noise_multiplier,
        tolerated=terms.tolerated,
        context=bytes.fromhex(question_sha256),
        coin=bytes.fromhex(terms.coin),
        bits=terms.bits or 64,
        slot=slot,
    )


def noise_of(terms: SumTerms, *, l2: float, survivors: int) -> float:
    """Return the standard deviation of the noise in each entry of an opened sum; 0 for an exact one.

    Each site's share is larger than 1/n, so that the promise survives the tolerated colluders and drop-outs.

    Args:
        l2: Norm of one person's vector.
        survivors: Sites in the sum.
    """
    if terms.noise_multiplier is None:
        return 0.0
    return terms.noise_multiplier * l2 * math.sqrt(survivors / (len(terms.roster) - terms.tolerated))

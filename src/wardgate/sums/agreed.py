"""The plan of one asked sum, worked out alike by the hub and by every ward from the same signed question."""

from functools import lru_cache

from wardgate.records.messages import SumTerms
from wardgate.sums.plan import SumPlan
from wardgate.sums.shape import Shape


def agreed_plan(terms: SumTerms, shape: Shape, *, question_sha256: str) -> SumPlan:
    """Return the plan. The question's digest is the context, so no two questions share a mask.

    Args:
        terms: As the question states them.
        shape: As the computation's public parameters give it; never taken from the question.
        question_sha256: Digest of the signed question.
    """
    return _plan(terms, tuple(shape.bound.tolist()), shape.l2, question_sha256)


@lru_cache(maxsize=16)
def _plan(terms: SumTerms, bound: tuple[float, ...], l2: float, question_sha256: str) -> SumPlan:
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
    )

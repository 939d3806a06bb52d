"""Every opened sum again, from the masked answers alone; and what all exact sums together give away."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.menu import read
from wardgate.records.errors import Broken
from wardgate.records.messages import OpenedSum, Question, SplitName, SumTerms
from wardgate.records.parcel import VectorRef, pack_vector, unpack_vector
from wardgate.records.study import Study
from wardgate.sums.agreed import agreed_plan
from wardgate.sums.incidence import isolates, thin
from wardgate.sums.plan import total
from wardgate.sums.shape import Shape

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A sum that was recomputed bit for bit.

    Attributes:
        noise: Standard deviation of the noise in each entry, by the signed terms; 0 for an exact sum.
    """

    question: Question
    total: Vector
    noise: float = 0.0


def recount(
    record: OpenedSum,
    *,
    question: Question,
    stated: bytes | None,
    blobs: Sequence[bytes],
    masked: Mapping[str, tuple[VectorRef, bytes]],
    study: Study,
) -> Opened:
    """Recompute a sum and compare it bit for bit.

    Args:
        stated: Raw bytes of the hub's total.
        blobs: What travelled beside the question.
        masked: Each site's masked vector, as it was signed and as it lies in the run.

    Raises:
        Broken: the hub states another total than the masked answers give.
    """
    shape = read(question, blobs).shape(study)
    if question.sum is None or question.sum.entries != shape.entries:
        raise Broken(
            f"question {question.number} states another number of entries than the {shape.entries} it asks for"
        )
    plan = agreed_plan(question.sum, shape, question_sha256=record.question_sha256)
    vectors = {site: np.asarray(unpack_vector(ref, data)) for site, (ref, data) in masked.items()}
    found = total(plan, vectors)
    ref, data = pack_vector("total", found)
    if ref != record.total or (stated is not None and data != stated):
        raise Broken(f"the total of question {question.number} is not the sum of its {len(vectors)} masked answers")
    return Opened(question=question, total=found, noise=_noise(question.sum, shape))


def _noise(terms: SumTerms, shape: Shape) -> float:
    """Each site's share is larger than 1/n, so that the promise survives the tolerated colluders."""
    if terms.noise_multiplier is None:
        return 0.0
    sites = len(terms.roster)
    return terms.noise_multiplier * shape.l2 * math.sqrt(sites / (sites - terms.tolerated))


def check_span(opened: Sequence[Opened], *, persons: Mapping[str, float], study: Study) -> dict[str, str]:
    """Return, by split, which sites the exact sums give away together; empty where they give away nobody.

    No combination of exact sums may rest on fewer than three sites, or on fewer persons than the policy's smallest
    count.

    Args:
        persons: Persons at least of each site, by what it signed.
    """
    given_away: dict[str, str] = {}
    exact: dict[SplitName, set[frozenset[str]]] = {}
    for one in opened:
        terms = one.question.sum
        if terms is not None and terms.noise_multiplier is None:
            exact.setdefault(one.question.split, set()).add(frozenset(terms.roster))
    for split, rosters in sorted(exact.items()):
        share = getattr(study.splits, split)
        minimum = study.gate.small_cells.min_count / share
        found = isolates(tuple(rosters)) or thin(tuple(rosters), persons=persons, minimum=minimum)
        if found is not None:
            given_away[split] = ", ".join(sorted(found))
    return given_away

"""Every opened sum again, from the masked answers alone; and what all exact sums together give away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.menu import read
from wardgate.hub.intake.admit import masked_vector
from wardgate.records.errors import Broken
from wardgate.records.messages import OpenedSum, Question, SplitName
from wardgate.records.parcel import VectorRef, pack_vector, unpack_vector
from wardgate.records.study import Study
from wardgate.sums.agreed import agreed_plan, noise_of
from wardgate.sums.batch import Batch
from wardgate.sums.incidence import isolates, thin
from wardgate.sums.plan import SumPlan
from wardgate.sums.ring import Ring

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A sum that was recomputed bit for bit.

    Attributes:
        sites: Whose sum it is.
        noise: Standard deviation of the noise in each entry, by the signed terms; 0 for an exact sum.
    """

    question: Question
    total: Vector
    sites: frozenset[str]
    noise: float = 0.0


def plan_of(
    question: Question, *, question_sha256: str, blobs: Sequence[bytes], batch: Batch | None, study: Study
) -> SumPlan:
    """Return the plan of a summed question, as every ward works it out.

    Args:
        blobs: What travelled beside the question.
        batch: That the sum's slot names, if it has one.

    Raises:
        Broken: the question states another number of entries than its computation gives.
        Invalid: its parameters describe no computation, or the plan does not hold.
    """
    shape = read(question, blobs).shape(study)
    if question.sum is None or question.sum.entries != shape.entries:
        raise Broken(
            f"question {question.number} states another number of entries than the {shape.entries} it asks for"
        )
    return agreed_plan(question.sum, shape, question_sha256=question_sha256, batch=batch)


def recounted(record: OpenedSum, found: Vector, *, question: Question, stated: bytes | None, l2: float) -> Opened:
    """Compare a total that was opened again with the one that the hub signed, bit for bit.

    Args:
        stated: Raw bytes of the hub's total.
        l2: L2 norm of one person's vector.

    Raises:
        Broken: the hub states another total than the masked answers give.
    """
    ref, data = pack_vector("total", found)
    if ref != record.total or (stated is not None and data != stated):
        count = len(record.answers)
        raise Broken(f"the total of question {question.number} is not the sum of its {count} masked answers")
    noise = 0.0
    if question.sum is not None:
        noise = noise_of(question.sum, l2=l2, survivors=len(record.answers))
    return Opened(question=question, total=found, sites=frozenset(record.answers), noise=noise)


def unmasked(plan: SumPlan, masked: Mapping[str, tuple[VectorRef, bytes]]) -> dict[str, Ring]:
    """Return each site's masked vector, as it was signed and as it lies in the run.

    Raises:
        Broken: another length or dtype than the plan gives.
    """
    return {site: masked_vector(unpack_vector(ref, data), plan, site=site) for site, (ref, data) in masked.items()}


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
            exact.setdefault(one.question.split, set()).add(one.sites)
    for split, rosters in sorted(exact.items()):
        share = getattr(study.splits, split)
        minimum = study.gate.small_cells.min_count / share
        found = isolates(tuple(rosters)) or thin(tuple(rosters), persons=persons, minimum=minimum)
        if found is not None:
            given_away[split] = ", ".join(sorted(found))
    return given_away

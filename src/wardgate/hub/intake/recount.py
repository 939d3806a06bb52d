"""Every opened sum again, from the masked answers alone; and what all exact sums together give away."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.marginals.domain import domain_of
from wardgate.marginals.workload import Workload
from wardgate.measures.encoding import design_columns
from wardgate.records.canonical import number_of
from wardgate.records.errors import Broken
from wardgate.records.messages import OpenedSum, Question, SplitName, SumTerms
from wardgate.records.parcel import VectorRef, pack_vector, unpack_vector
from wardgate.records.study import Study
from wardgate.sums.agreed import agreed_plan
from wardgate.sums.incidence import isolates, thin
from wardgate.sums.plan import total
from wardgate.sums.shape import Shape, counts_shape, newton_shape, score_bins_shape

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


def shape_of(question: Question, *, study: Study, beta: bytes | None) -> Shape:
    """Return the public shape of a summed question, as the ward works it out.

    Args:
        beta: Raw bytes of the coefficients that came with the question.

    Raises:
        Broken: the computation is not summed, or its coefficients are missing.
        Invalid: its parameters describe no such computation.
    """
    given = question.parameters
    if question.computation == "newton":
        ref = next((ref for ref in question.vectors if ref.name == "beta"), None)
        columns = len(design_columns(study.features))
        if ref is None or beta is None or ref.shape != (columns,) or ref.dtype != "<f8":
            raise Broken(f"a Newton step needs {columns} coefficients beside the question")
        clip = given.get("clip")
        l1 = float(np.abs(unpack_vector(ref, beta)).sum())
        return newton_shape(columns=columns, l1_of_beta=l1, clip=None if clip is None else number_of(clip))
    if question.computation == "score_bins":
        return score_bins_shape(
            bins=int(given["bins"]), subgroups=int(given["subgroups"]), subgroup_bins=int(given["subgroup_bins"])
        )
    if question.computation == "marginals":
        workload = Workload.from_parameters(given["workload"], domain=domain_of(study.features))
        return counts_shape(entries=workload.size, l2=workload.l2)
    raise Broken(f"'{question.computation}' is answered by no sum")


def recount(
    record: OpenedSum,
    *,
    question: Question,
    stated: bytes | None,
    beta: bytes | None,
    masked: Mapping[str, tuple[VectorRef, bytes]],
    study: Study,
) -> Opened:
    """Recompute a sum and compare it bit for bit.

    Args:
        stated: Raw bytes of the hub's total.
        masked: Each site's masked vector, as it was signed and as it lies in the run.

    Raises:
        Broken: the hub states another total than the masked answers give.
    """
    shape = shape_of(question, study=study, beta=beta)
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

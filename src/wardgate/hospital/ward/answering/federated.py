"""Summed answers: which computation, on whose persons, within which bound."""

import polars as pl

from wardgate.hospital.ward.answering.bench import Bench, Vector
from wardgate.hospital.ward.gate.candidate import Summed
from wardgate.hospital.ward.learning.marginals import marginals
from wardgate.hospital.ward.learning.newton import Newton
from wardgate.hospital.ward.learning.score_bins import ScoreBins
from wardgate.hospital.ward.transfer.groups import subgroup_masks
from wardgate.marginals.domain import domain_of
from wardgate.marginals.workload import Workload
from wardgate.measures.calibration import recalibrate
from wardgate.measures.logistic import linear
from wardgate.records.canonical import number_of
from wardgate.records.errors import Refused
from wardgate.records.messages import Question, SplitName
from wardgate.records.opening import check_listed
from wardgate.records.parcel import Parcel, unpack_vector
from wardgate.sums.shape import Bounded

ALLOWED: dict[str, tuple[SplitName, ...]] = {
    "newton": ("train",),
    "marginals": ("train",),
    "score_bins": ("holdout", "locked_test"),
}
"""Which persons each computation may touch. What is not listed is refused."""


def summed(bench: Bench, question: Question, parcel: Parcel) -> Summed:
    """Compute this site's addend.

    Raises:
        Refused: the computation may not touch that split, or the locked test's openings are used up.
    """
    if question.split not in ALLOWED.get(question.computation, ()):
        raise Refused(f"'{question.computation}' may not touch the split '{question.split}'")
    opening = open_if_locked(bench, question)
    if question.computation == "newton":
        bounded = _newton(bench, question, parcel)
    elif question.computation == "marginals":
        bounded = _marginals(bench, question)
    else:
        bounded = _score_bins(bench, question, parcel)
    terms = question.sum
    if terms is None:
        raise Refused(f"'{question.computation}' is answered inside a secure sum, and the question names none")
    introduced = bench.rosters.get(terms.roster_sha256 or "")
    if introduced is None:
        raise Refused("the sum names no roster that was introduced to this site")
    unknown = set(terms.roster) - introduced.keys()
    if unknown:
        raise Refused(f"the sum holds '{min(unknown)}', which its roster has not introduced to this site")
    if terms.coin != bench.coin:
        raise Refused("the sum's coin is not the one that the study and its sites' keys give")
    share = getattr(bench.study.splits, question.split)
    persons = sum(introduced[site] for site in terms.roster)
    return Summed(
        split=question.split,
        bounded=bounded,
        pair_secrets=bench.pair_secrets,
        persons_of=bench.least,
        share=share,
        persons_at_least=int(persons * share),
        opening=opening,
    )


def open_if_locked(bench: Bench, question: Question) -> int | None:
    """Open the locked test for the question's fixed list of models, if it asks for that split."""
    if question.split != "locked_test":
        return None
    models = check_listed(question)
    return bench.door.ledger.open_locked_test(models, limit=bench.study.acceptance.locked_test_opens)


def beta_of(bench: Bench, question: Question, parcel: Parcel, name: str = "beta") -> Vector:
    """Return the public coefficients that came with a question.

    Raises:
        Refused: they are absent, of another length, or not finite.
    """
    for ref, blob in zip(question.vectors, parcel.blobs, strict=True):
        if ref.name == name:
            beta = unpack_vector(ref, blob).astype(float)
            columns = bench.part("train").x.shape[1]
            if beta.shape != (columns,) or not bool(pl.Series(beta).is_finite().all()):
                raise Refused(f"'{name}' must hold {columns} finite coefficients")
            return beta
    raise Refused(f"the question names no vector '{name}'")


def _newton(bench: Bench, question: Question, parcel: Parcel) -> Bounded:
    train = bench.part("train")
    clip = question.parameters.get("clip")
    step = Newton(beta=beta_of(bench, question, parcel), clip=None if clip is None else number_of(clip))
    return step(train.x, train.y)


def _marginals(bench: Bench, question: Question) -> Bounded:
    workload = Workload.from_parameters(question.parameters["workload"], domain=domain_of(bench.study.features))
    return marginals(workload, bench.part("train").table)


def _score_bins(bench: Bench, question: Question, parcel: Parcel) -> Bounded:
    part, parameters = bench.part(question.split), question.parameters
    beta = bench.local_model() if parameters["model"] == "local" else beta_of(bench, question, parcel)
    bins = ScoreBins(
        bins=int(parameters["bins"]),
        subgroup_bins=int(parameters["subgroup_bins"]),
        low=number_of(parameters["low"]),
        high=number_of(parameters["high"]),
    )
    logits = linear(part.x, beta)
    if "prior_deviation" in parameters:
        logits = logits + _shift(bench, beta, number_of(parameters["prior_deviation"]))
    masks = subgroup_masks(bench.study, part.table)[: int(parameters["subgroups"])]
    return bins(logits, part.y, [mask for _, mask in masks])


def _shift(bench: Bench, beta: Vector, prior_deviation: float) -> float:
    """Return this site's own intercept shift, from a few training records. It leaves only inside a sum."""
    train, records = bench.part("train"), bench.study.recalibration_records
    return recalibrate(train.y[:records], linear(train.x[:records], beta), prior_deviation=prior_deviation).value

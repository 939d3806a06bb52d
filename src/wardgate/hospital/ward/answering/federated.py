"""Summed answers: which computation, on whose persons, within which bound."""

import numpy as np

from wardgate.computations.class_moments import ClassMoments
from wardgate.computations.cox import Cox
from wardgate.computations.critic import Critic
from wardgate.computations.glm import Glm
from wardgate.computations.menu import MENU, OF_THE_CHAIN, read
from wardgate.computations.network_gradient import NetworkGradient
from wardgate.computations.network_update import NetworkUpdate, check_sitting_out
from wardgate.computations.tables import Tables
from wardgate.hospital.ward.answering.bench import Bench, Vector
from wardgate.hospital.ward.gate.candidate import Summed
from wardgate.hospital.ward.learning.menu import ANSWERS
from wardgate.records.errors import Refused
from wardgate.records.messages import Question
from wardgate.records.opening import check_listed
from wardgate.records.parcel import Parcel, unpack_vector


def summed(bench: Bench, question: Question, parcel: Parcel) -> Summed:
    """Compute this site's addend; everything that can be refused without looking at a person is refused before.

    Raises:
        Refused: the study lists no such analysis, the computation may not touch that split, the locked test's openings
            are used up, or the sum's terms are not those that this site can work out itself.
        Invalid: the parameters describe no such computation.
    """
    if question.computation not in {*OF_THE_CHAIN, *bench.study.analyses} and not _noisy_fit(bench, question):
        raise Refused(f"the locked study lists no '{question.computation}' under 'analyses'")
    if question.split not in MENU[question.computation].splits:
        raise Refused(f"'{question.computation}' may not touch the split '{question.split}'")
    asked = read(question, parcel.blobs)
    expected = asked.shape(bench.study)
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
    if terms.noise_multiplier is not None and isinstance(asked, Glm | Cox):
        asked.check_noise()
    if isinstance(asked, ClassMoments | Critic | NetworkUpdate | NetworkGradient):
        asked.check_noise(terms.noise_multiplier)
    if terms.noise_multiplier is None and isinstance(asked, Tables | NetworkUpdate):
        asked.check_exact(bench.study, persons_at_least=int(persons * share))
    opening = open_if_locked(bench, question)
    bounded = ANSWERS[question.computation].answer(asked, bench=bench, split=question.split)
    if bounded.shape.l2 > expected.l2 or not np.array_equal(bounded.shape.bound, expected.bound):
        raise Refused(f"'{question.computation}' answered within another bound than its question gives")
    check_sitting_out(bounded.said, sites=len(terms.roster), least=bench.study.gate.min_sites_in_sum)
    return Summed(
        split=question.split,
        bounded=bounded,
        pair_secrets=bench.pair_secrets,
        persons_of=bench.least,
        share=share,
        persons_at_least=int(persons * share),
        opening=opening,
        said=bounded.said if terms.noise_multiplier is None else {},
    )


def _noisy_fit(bench: Bench, question: Question) -> bool:
    """Whether this is a step of the chain's own fit in a study that asks for noise in it."""
    noisy = question.sum is not None and question.sum.noise_multiplier is not None
    return question.computation == Glm.name and noisy and bench.study.budget.fit != "exact"


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
            if beta.shape != (columns,) or not bool(np.all(np.isfinite(beta))):
                raise Refused(f"'{name}' must hold {columns} finite coefficients")
            return beta
    raise Refused(f"the question names no vector '{name}'")

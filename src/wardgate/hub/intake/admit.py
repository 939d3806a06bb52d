"""Verify an answer, decide again on its evidence, and admit or refuse it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.hub.intake.evidence import check_kind
from wardgate.policy.decision import decide
from wardgate.records.canonical import sha256
from wardgate.records.certificate_file import open_certificate
from wardgate.records.errors import Broken
from wardgate.records.messages import Answer, Question, open_answer
from wardgate.records.parcel import Parcel, unpack_vector
from wardgate.records.study import Study
from wardgate.sums.plan import SumPlan
from wardgate.sums.ring import Ring


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A verified answer."""

    envelope: bytes
    answer: Answer
    blobs: tuple[bytes, ...]

    def blob(self, name: str) -> bytes:
        """Return the bytes called `name`.

        Raises:
            Broken: the answer names no such blob.
        """
        for ref, data in zip(self.answer.vectors, self.blobs, strict=True):
            if ref.name == name:
                return data
        raise Broken(f"the answer of {self.answer.site} holds no '{name}'")

    def named_blobs(self) -> dict[str, bytes]:
        """Return all blobs by name."""
        return {ref.name: data for ref, data in zip(self.answer.vectors, self.blobs, strict=True)}

    def vector(self, name: str) -> NDArray[np.generic]:
        """Return the vector called `name`."""
        ref = next((ref for ref in self.answer.vectors if ref.name == name), None)
        if ref is None:
            raise Broken(f"the answer of {self.answer.site} holds no '{name}'")
        return unpack_vector(ref, self.blob(name))


def masked_of(one: Admitted, plan: SumPlan) -> Ring:
    """Return a site's masked vector.

    Raises:
        Broken: it has another length or dtype than the plan gives.
    """
    return masked_vector(one.vector("masked"), plan, site=one.answer.site)


def masked_vector(vector: NDArray[np.generic], plan: SumPlan, *, site: str) -> Ring:
    """Return a masked vector as the plan has it.

    Raises:
        Broken: it has another length or dtype.
    """
    if vector.dtype != plan.dtype or vector.shape != (plan.length,):
        raise Broken(
            f"{site}: expected {plan.length} masked numbers of {plan.dtype}, found {vector.dtype} {vector.shape}"
        )
    return vector.astype(np.uint64) if plan.bits == 64 else vector.astype(np.uint32)


def admit(
    parcel: Parcel,
    *,
    site: str,
    key: bytes,
    question: Question,
    question_sha256: str,
    study: Study,
    study_sha256: str,
    unsafe_accept_test_noise: bool = False,
) -> Admitted:
    """Return a verified answer.

    Checked: the site's signature; study, question, site and computation; every blob's digest; that the evidence is
    of the kind that the question asks for, and that the policy decides the same on it; that nothing but refusals
    comes without a passing verdict; and that a released corpus carries a certificate of the same site, verdict and
    bytes.

    Raises:
        Broken: any of these fails. The message names what.
    """
    answer = open_answer(parcel.envelope, site_key=key)
    expected = {
        "study": (answer.study_sha256, study_sha256),
        "question": (answer.question_sha256, question_sha256),
        "site": (answer.site, site),
        "computation": (answer.computation, question.computation),
    }
    for what, (found, wanted) in expected.items():
        if found != wanted:
            raise Broken(f"{site}: the answer names another {what} ({found[:16]}) than was asked ({wanted[:16]})")
    if len(answer.vectors) != len(parcel.blobs):
        raise Broken(f"{site}: the answer names {len(answer.vectors)} blobs, {len(parcel.blobs)} came")
    for ref, blob in zip(answer.vectors, parcel.blobs, strict=True):
        if sha256(blob) != ref.sha256:
            raise Broken(f"{site}: blob '{ref.name}' does not match its signed digest")
    admitted = Admitted(envelope=parcel.envelope, answer=answer, blobs=parcel.blobs)
    if answer.evidence is not None:
        check_kind(answer.evidence, question)
    _decide_again(admitted, study, unsafe_accept_test_noise)
    if answer.computation == "corpus" and answer.evidence is not None:
        _check_certificate(admitted, key)
    return admitted


def _decide_again(admitted: Admitted, study: Study, accept_test_noise: bool) -> None:
    answer = admitted.answer
    if answer.verdict == "not_judged" or answer.evidence is None:
        if answer.outcome != "refused" or answer.vectors:
            raise Broken(f"{answer.site}: something left without the gate's judgement")
        return
    verdict = decide(answer.evidence, study.gate, unsafe_accept_test_noise=accept_test_noise)
    if answer.policy_sha256 != verdict.policy_sha256:
        raise Broken(f"{answer.site}: judged under another policy than the study's")
    if verdict.outcome != answer.verdict:
        raise Broken(
            f"{answer.site}: policy re-decided on '{answer.computation}' gives {verdict.outcome}, not {answer.verdict}"
        )
    if (verdict.outcome == "pass") != (answer.outcome == "released"):
        raise Broken(f"{answer.site}: {answer.outcome} in spite of the verdict {verdict.outcome}")


def _check_certificate(admitted: Admitted, key: bytes) -> None:
    answer = admitted.answer
    if answer.evidence is None:
        raise Broken(f"{answer.site}: the corpus comes without evidence")
    certificate = open_certificate(admitted.blob("certificate"), keys=(key,))
    if certificate.certificate.evidence.plain() != answer.evidence.plain():
        raise Broken(f"{answer.site}: the certificate speaks of other evidence than the answer")
    if answer.outcome == "released":
        subject = dict(certificate.subjects).get("corpus.parquet")
        if subject != sha256(admitted.blob("corpus")):
            raise Broken(f"{answer.site}: the certificate is for another corpus")

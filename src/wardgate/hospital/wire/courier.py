"""The wire's whole work: check that a parcel is a signed record of the running study, and carry it.

It cannot read a patient (no data mount, no readers) and cannot forge a release (no signing key).
"""

from dataclasses import dataclass

from wardgate.hospital.spool import Spool
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.messages import open_answer, open_question
from wardgate.records.parcel import Parcel, VectorRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Courier:
    """Carries questions in and answers out.

    Attributes:
        site: The hospital's id.
        study_sha256: Only records of this study pass.
        hub_key: The hub's public key.
        ward_key: This hospital's public key.
        spool: What it shares with the ward.
    """

    site: str
    study_sha256: str
    hub_key: bytes
    ward_key: bytes
    spool: Spool

    def bring(self, parcel: Parcel) -> str:
        """Check a question from the hub, put it into the spool and return its name there.

        Raises:
            Broken: not a question of this study signed by the hub, or its blobs are not those it names.
        """
        question = open_question(parcel.envelope, hub_key=self.hub_key)
        self._check_study(question.study_sha256)
        check_blobs(question.vectors, parcel)
        return self.spool.put("questions", parcel)

    def fetch(self, name: str) -> Parcel:
        """Take an answer out of the spool, check it and return it for the hub.

        Raises:
            Broken: not a signed release record of this site and study, or its blobs are not those it names.
        """
        parcel = self.spool.take("answers", name)
        answer = open_answer(parcel.envelope, site_key=self.ward_key)
        self._check_study(answer.study_sha256)
        if answer.site != self.site:
            raise Broken(f"an answer of site {answer.site} lies in the spool of {self.site}")
        check_blobs(answer.vectors, parcel)
        return parcel

    def _check_study(self, found: str) -> None:
        if found != self.study_sha256:
            raise Broken(f"a record of another study ({found[:16]}); this is {self.study_sha256[:16]}")


def check_blobs(refs: tuple[VectorRef, ...], parcel: Parcel) -> None:
    """Check that exactly the named blobs are there.

    Raises:
        Broken: a blob is missing, altered, or nobody declared it.
    """
    if len(refs) != len(parcel.blobs):
        raise Broken(f"the record names {len(refs)} blobs, the parcel holds {len(parcel.blobs)}")
    for ref, blob in zip(refs, parcel.blobs, strict=True):
        if sha256(blob) != ref.sha256:
            raise Broken(f"blob '{ref.name}' does not match its signed digest")

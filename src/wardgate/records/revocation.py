"""A certificate taken back: signed by the site that issued it, and told to everybody who holds the corpus."""

from wardgate.records.approval import Date
from wardgate.records.envelope import Signer, Statement, seal, unseal
from wardgate.records.errors import Broken, Invalid
from wardgate.records.record import Digest, Stated

REVOCATION = "revocation/v1"


class Revocation(Stated):
    """What a site says when it takes a certificate back.

    Attributes:
        certificate_sha256: Of the certificate's envelope.
        reason: For people. It names no patient.
        at: From when on the certificate no longer holds.
    """

    certificate_sha256: Digest
    reason: str
    at: Date


def seal_revocation(revocation: Revocation, *, signer: Signer) -> bytes:
    """Sign a revocation with the site's key."""
    subjects = (("certificate", revocation.certificate_sha256),)
    return seal(Statement(predicate_type=REVOCATION, predicate=revocation.plain(), subjects=subjects), signer)


def open_revocation(envelope: bytes, *, keys: tuple[bytes, ...]) -> tuple[Revocation, str]:
    """Return a revocation and the id of the key that signed it.

    Raises:
        Broken: not signed by one of `keys`, or not a revocation.
    """
    statement = unseal(envelope, keys=keys)
    if statement.predicate_type != REVOCATION:
        raise Broken(f"expected a revocation, found {statement.predicate_type}")
    try:
        return Revocation.from_plain(statement.predicate), statement.key_id
    except Invalid as error:
        raise Broken(f"a signed revocation that is none: {error}") from error

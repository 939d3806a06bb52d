"""The file form of a certificate: a signed envelope. Those of version 1 stay readable."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from wardgate.records.canonical import sha256
from wardgate.records.certificate import DISCLAIMER, Certificate, Opened, stated
from wardgate.records.certificate_parts import (
    Attempts,
    GeneratorNamed,
    Noise,
    PolicyNamed,
    Restrictions,
    SiteNamed,
    Source,
    Spent,
    Splits,
    StudyNamed,
    Tool,
)
from wardgate.records.claim import Claim
from wardgate.records.envelope import Signer, Statement, seal, unseal
from wardgate.records.errors import Broken, Invalid
from wardgate.records.messages import CERTIFICATE, CERTIFICATE_1
from wardgate.records.verdict import Evidence, Verdict

FORMS: Mapping[str, Literal[1, 2]] = {CERTIFICATE_1: 1, CERTIFICATE: 2}


def seal_certificate(certificate: Certificate, *, subjects: Sequence[tuple[str, str]], signer: Signer) -> bytes:
    """Sign a certificate for the files whose (name, SHA-256) are given.

    Raises:
        Invalid: it names another key than the one that signs, or no file.
    """
    if certificate.site.key_id != signer.key_id:
        raise Invalid("the certificate names another key as its issuer's than the one that is to sign it")
    if not subjects:
        raise Invalid("a certificate speaks of at least one file")
    statement = Statement(predicate_type=CERTIFICATE, predicate=certificate.plain(), subjects=tuple(subjects))
    return seal(statement, signer)


def open_certificate(envelope: bytes, *, keys: Sequence[bytes]) -> Opened:
    """Verify who signed a certificate and return what it says.

    Raises:
        Broken: not signed by one of `keys`, not a certificate, or one that names another issuer than its signer.
    """
    opened = read_certificate(unseal(envelope, keys=keys), envelope=envelope)
    if opened.certificate.site.key_id != opened.key_id:
        raise Broken("the certificate names another issuer than the key that signed it")
    return opened


def read_certificate(statement: Statement, *, envelope: bytes) -> Opened:
    """Return the certificate that a statement holds, of either version.

    Raises:
        Broken: it is something else, or a field is missing, unknown or of another type.
    """
    version = FORMS.get(statement.predicate_type)
    if version is None:
        raise Broken(f"expected a certificate, found {statement.predicate_type}")
    try:
        certificate = Certificate.from_plain(statement.predicate) if version == 2 else _version_1(statement.predicate)
    except Invalid as error:
        raise Broken(f"not a certificate that can be read: {error}") from error
    return Opened(
        certificate=certificate,
        subjects=statement.subjects,
        key_id=statement.key_id or certificate.site.key_id,
        sha256=sha256(envelope),
        version=version,
    )


def _version_1(said: Mapping[str, Any]) -> Certificate:
    """Read the form of Wardgate 0.1 and 0.2. What it did not say is absent with that reason."""
    try:
        dp = dict(said["dp"])
        cumulative = dp.pop("cumulative")
        evidence, verdict = Evidence.from_plain(said["evidence"]), Verdict.from_plain(said["verdict"])
        study, source = said["study"], said["source"]
        splits = said.get("splits")
        fields: dict[str, Any] = {
            "study": StudyNamed(id=study["id"], version=study["version"], protocol_sha256=study["sha256"]),
            "site": SiteNamed(id=said["site"]["id"], key_id=said["site"]["keyId"]),
            "policy": PolicyNamed(profile=said["policy"]["profile"], sha256=said["policy"]["sha256"]),
            "source": Source(persons_band=source["personsBand"], sites=tuple(source.get("sites", ()))),
            "splits": None if splits is None else Splits(commitments=splits["commitments"]),
            "generator": GeneratorNamed(
                name=said["generator"]["name"],
                version=said["generator"]["version"],
                weights_leave_site=said["generator"]["weightsLeaveSite"],
            ),
            "dp": Noise(claim=Claim.from_plain(dp), study=Spent(epsilon=cumulative["epsilon"], of=cumulative["of"])),
            "attempts": Attempts(number=said["attempts"]["number"], of=said["attempts"]["of"]),
            "evidence": evidence,
            "verdict": verdict,
            "clinician_review": None,
            "restrictions": Restrictions(),
            "subgroups": None,
            "residual_risks": tuple(said["residualRisks"]),
            "claim": said["claim"] if said["claim"].endswith(DISCLAIMER) else f"{said['claim']} {DISCLAIMER}",
            "terms": None,
            "exact_sums_also_released": said["exactSumsAlsoReleased"],
            "issued_on": said.get("issuedOn"),
            "valid_until": said.get("validUntil"),
            "revocation": None,
            "tool": Tool(name=said["tool"]["name"], version=said["tool"]["version"]),
            "log": None,
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"not a certificate of version 1: {type(error).__name__} in its form") from None
    approvals = "version 1 named a simulated key that approved, without a signature of its own"
    otherwise = "certificates of version 1 did not say it"
    return stated(fields, reasons={"approvals": approvals}, otherwise=otherwise)

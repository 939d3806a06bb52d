"""The wire's TLS identity: a key that is made here and never leaves, and the certificate that the hub gave for it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from wardgate.hospital.premises import Premises
from wardgate.records.enrolment_file import SiteResponse, open_response, peek_key
from wardgate.records.errors import Broken, Invalid, Refused
from wardgate.road.whole import write_file

KEY_BITS = 3072


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the engine needs to speak to the hub.

    Attributes:
        response: Where the hub is, its key and its name.
        key: Path of the private key, PEM.
        certificate, root: PEM.
        not_after: When the certificate ends.
    """

    response: SiteResponse
    key: Path
    certificate: bytes
    root: bytes
    not_after: datetime


def new_key() -> RSAPrivateKey:
    """Make a private key of 3072 bits; RSA, because the engine signs with nothing else."""
    return generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def make_identity(premises: Premises, site: str, *, tls_key: Callable[[], RSAPrivateKey] = new_key) -> str:
    """Make the wire's key, in a file of its owner alone, and return the signing request for it, PEM.

    Where a key is there already, the new one waits beside it until its certificate is installed; until then the
    wire goes on with the old one.

    Raises:
        OSError: no room, or no right to write.
    """
    key = tls_key()
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, site)]))
        .sign(key, hashes.SHA256())
    )
    place = _next(premises) if premises.tls_key.exists() else premises.tls_key
    write_file(
        place,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        mode=0o600,
    )
    _as_its_folder(place)
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def install(premises: Premises, envelope: bytes, *, site: str, now: datetime) -> Identity:
    """Check the certificate in a hub's response and keep the response; nothing changes unless all of it holds.

    Whether the response answers this hospital's request, and whose key signed it, the caller has checked.

    Raises:
        Broken: the certificate is for another key, site or use, or not signed by the consortium it names.
        Refused: it has expired, or is not valid yet.
        Invalid: this hospital has no key; it was not initialised here.
    """
    response = open_response(envelope, claimed=peek_key(envelope, field="hub_key"))
    certificate, root = _pair(response)
    keys = {path: _public(path) for path in (premises.tls_key, _next(premises)) if path.exists()}
    if not keys:
        raise Invalid("this hospital has no TLS key; make its folder with `wardgate site init`")
    mine = next((path for path, key in keys.items() if key == certificate.public_key()), None)
    if mine is None:
        raise Broken("the certificate is for another key than this hospital's; ask the hub to answer the request again")
    _check(certificate, root, site=site, now=now)
    if mine != premises.tls_key:
        mine.replace(premises.tls_key)
    write_file(premises.response, envelope, mode=0o644)
    return _identity(premises, response, certificate)


def read_identity(premises: Premises, *, site: str, now: datetime) -> Identity:
    """Return the installed identity, checked again: files may have been exchanged, and time has passed.

    Raises:
        Invalid: this hospital is not enrolled yet.
        Broken, Refused: see `install`.
    """
    try:
        envelope = premises.response.read_bytes()
    except OSError:
        raise Invalid("this hospital is not enrolled: give the hub's response to `wardgate site enrol`") from None
    response = open_response(envelope, claimed=peek_key(envelope, field="hub_key"))
    certificate, root = _pair(response)
    if not premises.tls_key.exists() or _public(premises.tls_key) != certificate.public_key():
        raise Broken("the wire's TLS key is not the one in its certificate: enrol again with the latest response")
    _check(certificate, root, site=site, now=now)
    return _identity(premises, response, certificate)


def _identity(premises: Premises, response: SiteResponse, certificate: x509.Certificate) -> Identity:
    return Identity(
        response=response,
        key=premises.tls_key,
        certificate=response.certificate.encode(),
        root=response.root.encode(),
        not_after=certificate.not_valid_after_utc,
    )


def _pair(response: SiteResponse) -> tuple[x509.Certificate, x509.Certificate]:
    try:
        (certificate,) = x509.load_pem_x509_certificates(response.certificate.encode())
        (root,) = x509.load_pem_x509_certificates(response.root.encode())
    except ValueError:
        raise Broken("the response holds no readable certificates (one of the site, one of the authority)") from None
    return certificate, root


def _check(certificate: x509.Certificate, root: x509.Certificate, *, site: str, now: datetime) -> None:
    names = [part.value for part in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [site]:
        raise Broken(f"the certificate does not name site '{site}'; ask the hub to answer this hospital's own request")
    for what, one in (("certificate", certificate), ("consortium's authority", root)):
        begins, ends = one.not_valid_before_utc, one.not_valid_after_utc
        if now < begins:
            raise Refused(
                f"the {what} is valid from {begins:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M} here: set this"
                " machine's clock, or the hub's"
            )
        if now >= ends:
            raise Refused(
                f"the {what} expired on {ends:%Y-%m-%d}, and it is {now:%Y-%m-%d} here: ask the hub to renew it, or set"
                " this machine's clock"
            )
    try:
        PolicyBuilder().store(Store([root])).time(now).build_client_verifier().verify(certificate, [])
    except VerificationError as error:
        raise Broken(
            f"the certificate is not one for a member, signed by the consortium's authority ({error})"
        ) from None
    except ValueError:
        raise Broken("the certificates cannot be checked: one of them is damaged") from None


def _public(path: Path) -> object:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Invalid(
            f"the wire's key {path.name} cannot be opened ({type(error).__name__}): run this as its user, or as root"
        ) from None
    try:
        return serialization.load_pem_private_key(data, password=None).public_key()
    except (ValueError, TypeError):
        raise Broken(f"the wire's key {path.name} is damaged; ask for a certificate of a new key") from None


def _next(premises: Premises) -> Path:
    """Where a new key waits for its certificate."""
    return premises.tls_key.with_name(f"{premises.tls_key.name}.next")


def _as_its_folder(path: Path) -> None:
    """Give a file to the user who owns its folder, where root writes for another user."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)

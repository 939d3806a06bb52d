"""Certificates as FLARE 2.9 reads them, signed by the consortium's own authority (RFC 5280). Values in, values out.

FLARE signs its tokens and jobs with RSA-PSS under the keys of these certificates, so all keys are RSA. Common name is
the participant, organisation the participant's own, unstructured name the role. A hospital's certificate is for
clients alone: no member can pass for the hub.

RSA keys and serial numbers come from OpenSSL and `cryptography`, which take no generator as an argument.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, Refused
from wardgate.records.member_file import Issued

KEY_BITS = 3072
"""112 bits of RSA 2048 end in 2030 (NIST SP 800-57); a root lasts ten years."""

ROOT_YEARS = 10
LEAF_YEARS = 2
BACKDATED = timedelta(days=2)
"""Certificates begin before they are made: a machine whose clock is a day slow accepts them at once."""

LEAD = "lead"
"""Role of the hub's coordinator, which may submit jobs."""

SITE = "site"
"""Role of a hospital. The engine's authorisation names no such role, so it may command nothing."""


def new_key() -> RSAPrivateKey:
    """Make a private key of 3072 bits."""
    return generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def key_pem(key: RSAPrivateKey) -> bytes:
    """Return a private key as it lies in a file of mode 0600, in the form that FLARE reads."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(data: bytes) -> RSAPrivateKey:
    """Read what `key_pem` wrote.

    Raises:
        Broken: it is none. The message quotes nothing of it.
    """
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        raise Broken("a private key of the hub's certificate authority is damaged; bring it back from a copy") from None
    if not isinstance(key, RSAPrivateKey):
        raise Broken("a private key of the hub's certificate authority is no RSA key; bring it back from a copy")
    return key


def pem_of(certificate: x509.Certificate) -> bytes:
    """Return a certificate's PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def tls_key_id(key: RSAPublicKey) -> str:
    """Return the SHA-256 of a public key's DER form."""
    return sha256(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def moment(at: datetime) -> str:
    """Return a time as records hold it, UTC to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_root(consortium: str, key: RSAPrivateKey, *, now: datetime) -> x509.Certificate:
    """Make the consortium's own authority, valid for ten years. It signs leaves and no further authority."""
    name = _name(consortium)
    return (
        _builder(name, name, key.public_key(), key.public_key(), now=now, years=ROOT_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True, digital_signature=True), critical=True)
        .sign(key, hashes.SHA256())
    )


class Authority:
    """The consortium's certificate authority, able to sign.

    Raises:
        Broken: key and certificate do not belong together.
    """

    def __init__(self, certificate: x509.Certificate, key: RSAPrivateKey) -> None:
        if certificate.public_key() != key.public_key():
            raise Broken(
                "the certificate authority's key is not the one in its certificate; bring both back from a copy"
            )
        self.certificate = certificate
        self._key = key

    def for_server(
        self, consortium: str, identity: str, key: RSAPublicKey, *, reached_at: Sequence[str], now: datetime
    ) -> x509.Certificate:
        """Certify the hub's TLS server under every name and address at which hospitals reach it."""
        names = x509.SubjectAlternativeName([_general_name(text) for text in reached_at])
        use = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
        return self._leaf(_name(identity, consortium), key, names, use, now=now)

    def for_coordinator(self, consortium: str, name: str, key: RSAPublicKey, *, now: datetime) -> x509.Certificate:
        """Certify the hub's own right to submit jobs to the engine."""
        names = x509.SubjectAlternativeName([x509.RFC822Name(name)])
        return self._leaf(_name(name, consortium, LEAD), key, names, (ExtendedKeyUsageOID.CLIENT_AUTH,), now=now)

    def for_site(self, site: str, key: RSAPublicKey, *, now: datetime) -> x509.Certificate:
        """Certify a hospital's wire, as a client only."""
        names = x509.SubjectAlternativeName([x509.DNSName(site)])
        return self._leaf(_name(site, site, SITE), key, names, (ExtendedKeyUsageOID.CLIENT_AUTH,), now=now)

    def _leaf(
        self,
        subject: x509.Name,
        key: RSAPublicKey,
        names: x509.SubjectAlternativeName,
        use: Sequence[x509.ObjectIdentifier],
        *,
        now: datetime,
    ) -> x509.Certificate:
        ends = self.certificate.not_valid_after_utc
        if now >= ends:
            raise Refused(
                f"the consortium's certificate authority expired on {ends:%Y-%m-%d}: nothing can be signed any more;"
                " found a new hub folder and let every hospital join it"
            )
        return (
            _builder(
                subject,
                self.certificate.subject,
                key,
                self._key.public_key(),
                now=now,
                years=LEAF_YEARS,
                ends=ends,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(use), critical=False)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def issued(certificate: x509.Certificate) -> Issued:
    """Return what the hub remembers of a certificate that it issued."""
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise Broken("a certificate of this consortium holds a key that is not RSA")
    return Issued(
        serial=f"{certificate.serial_number:x}",
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        tls_key=tls_key_id(key),
        not_before=moment(certificate.not_valid_before_utc),
        not_after=moment(certificate.not_valid_after_utc),
        pem=pem_of(certificate).decode(),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: RSAPublicKey,
    signing: RSAPublicKey,
    *,
    now: datetime,
    years: int,
    ends: datetime | None = None,
) -> x509.CertificateBuilder:
    not_after = (now + timedelta(days=365 * years)).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before((now - BACKDATED).replace(microsecond=0))
        .not_valid_after(min(not_after, ends) if ends else not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing), critical=False)
    )


def _name(common: str, organisation: str = "", role: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    if role:
        parts.append(x509.NameAttribute(NameOID.UNSTRUCTURED_NAME, role))
    return x509.Name(parts)


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(**allowed: bool) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{word: allowed.get(word, False) for word in every})

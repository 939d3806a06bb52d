"""Whether a hospital's request to join holds: its signatures, its names, its keys. Bytes in, values out."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

from wardgate.records.canonical import sha256
from wardgate.records.enrolment_file import SiteRequest, check_protocol, open_request, peek_key
from wardgate.records.errors import Broken, Invalid, Refused
from wardgate.records.member_file import check_contact, check_site_name

LARGEST = 64 * 1024
LEAST_BITS, MOST_BITS = 2048, 8192
HASHES = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request whose signatures hold. Who stands behind its key, people compare.

    Attributes:
        sha256: Digest of the request's bytes.
        tls_key: The wire's public key; whoever asks holds its private half.
    """

    request: SiteRequest
    sha256: str
    tls_key: RSAPublicKey


def check_request(data: bytes) -> Asked:
    """Check everything about a request that can be told from its own bytes.

    Raises:
        Broken: damaged or altered, a signature does not hold, or its signing request is of another hospital.
        Invalid: too large, or a name that no member can bear.
        Unsupported: of another protocol; the message says who has to upgrade.
        Refused: a key that is too weak or of another kind, or a wish for rights that no member has.
    """
    if len(data) > LARGEST:
        raise Invalid(f"the file has {len(data)} bytes; a request to join has at most {LARGEST}: is it another file?")
    check_protocol(data)
    request = open_request(data, claimed=peek_key(data, field="public_key"))
    check_site_name(request.site)
    check_contact(request.contact)
    return Asked(request=request, sha256=sha256(data), tls_key=_check_csr(request.csr, site=request.site))


def _check_csr(pem: str, *, site: str) -> RSAPublicKey:
    try:
        csr = x509.load_pem_x509_csr(pem.encode())
        names = [(part.oid, part.value) for part in csr.subject]
        extensions, key, method = list(csr.extensions), csr.public_key(), csr.signature_hash_algorithm
        holds = csr.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, TypeError):
        raise Broken("the request holds no readable signing request for a certificate (PKCS#10, PEM)") from None
    if not holds:
        raise Broken("the signing request is not signed by its own key: whoever sends it does not hold the key")
    if not isinstance(key, RSAPublicKey):
        raise Refused("the signing request holds a key that is not RSA; the engine signs with RSA alone")
    numbers = key.public_numbers()
    if not LEAST_BITS <= key.key_size <= MOST_BITS or numbers.e != 65537:
        raise Refused(
            f"the signing request holds an RSA key of {key.key_size} bits and exponent {numbers.e}; expected"
            f" {LEAST_BITS} to {MOST_BITS} bits and 65537: make a new one with `wardgate site init`"
        )
    if method is None or method.name not in HASHES:
        raise Refused(f"the signing request is signed with a weak digest; expected one of {', '.join(HASHES)}")
    if names != [(NameOID.COMMON_NAME, site)]:
        raise Broken(f"the signing request is not for site '{site}' alone: its certificate would name somebody else")
    if extensions:
        raise Refused(
            f"the signing request asks for {len(extensions)} extensions (such as to be an authority, or other names);"
            " a member's certificate has those that the hub gives, and no other"
        )
    return key

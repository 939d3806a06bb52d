"""How a hospital joins a consortium: a request with a signing request for its certificate, and the hub's response.

Keys are made at the hospital. The request is signed by the ward's key, the response by the hub's; both are files that
people carry, and both have a fingerprint that people compare by another road.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from wardgate import __version__
from wardgate.records.envelope import Signer, Statement, seal, unseal
from wardgate.records.errors import Broken, Invalid, Unsupported
from wardgate.records.keyring import Hex32
from wardgate.records.mail import PROTOCOL
from wardgate.records.record import Name, Record

R = TypeVar("R", bound=Record)

REQUEST = "site-request/v1"
RESPONSE = "site-response/v1"


class SiteRequest(Record):
    """What leaves a hospital that wants to join.

    Attributes:
        site: Its name in studies.
        public_key: Of the ward; signs every release.
        csr: PEM of the PKCS#10 request for the wire's TLS certificate (RFC 2986); common name is the site.
        contact: A person or role to call, to compare fingerprints.
    """

    site: Name
    public_key: Hex32
    csr: str
    contact: str = ""
    wardgate: str
    protocol: int = PROTOCOL


class SiteResponse(Record):
    """What a hub gives back.

    Attributes:
        request_sha256: Digest of the request's envelope.
        consortium: Its name.
        hub_key: Signs every question.
        host, port: Where the wire connects to, outbound only.
        identity: Common name of the hub's TLS certificate.
        certificate: PEM of the wire's certificate.
        root: PEM of the consortium's own certificate authority.
    """

    request_sha256: str
    site: Name
    consortium: Name
    hub_key: Hex32
    host: str
    port: int
    identity: Name
    certificate: str
    root: str
    wardgate: str
    protocol: int = PROTOCOL


def seal_request(request: SiteRequest, signer: Signer) -> bytes:
    """Sign a request with the ward's key, which it names itself."""
    subjects = (("site", request.fingerprint()),)
    return seal(Statement(predicate_type=REQUEST, predicate=request.plain(), subjects=subjects), signer)


def seal_response(response: SiteResponse, signer: Signer) -> bytes:
    """Sign a response with the hub's key, which it names itself."""
    subjects = (("request", response.request_sha256),)
    return seal(Statement(predicate_type=RESPONSE, predicate=response.plain(), subjects=subjects), signer)


def open_request(envelope: bytes, *, claimed: bytes) -> SiteRequest:
    """Return a request that holds the key that signed it.

    Args:
        claimed: The public key that it names, read without trust (`peek_key`).

    Raises:
        Broken: not signed by that key, or another kind of file.
    """
    request = _open(envelope, claimed, REQUEST, SiteRequest)
    if request.public_key != claimed.hex():
        raise Broken("the request names another key than the one that signed it")
    return request


def open_response(envelope: bytes, *, claimed: bytes) -> SiteResponse:
    """Return a response that holds the key that signed it. Whose key it is, people compare by its fingerprint.

    Raises:
        Broken: not signed by that key, or another kind of file.
    """
    response = _open(envelope, claimed, RESPONSE, SiteResponse)
    if response.hub_key != claimed.hex():
        raise Broken("the response names another key than the one that signed it")
    return response


def peek(envelope: bytes) -> Mapping[str, Any]:
    """Return what a request or response says, without any trust: to find the key that it claims, or its version.

    Raises:
        Broken: no envelope with a record inside.
    """
    try:
        predicate = json.loads(base64.b64decode(json.loads(envelope)["payload"], validate=True))["predicate"]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        predicate = None
    if not isinstance(predicate, dict):
        raise Broken("not a request or response to join a consortium: its form is damaged, or it is another file")
    return predicate


def peek_key(envelope: bytes, *, field: str) -> bytes:
    """Return the 32 bytes of the key that a file claims in `public_key` or `hub_key`, without any trust.

    Raises:
        Broken: it claims none.
    """
    claimed = peek(envelope).get(field)
    try:
        key = bytes.fromhex(claimed) if isinstance(claimed, str) else b""
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Broken(f"the file names no key in '{field}': it is damaged, or another kind of file")
    return key


def check_protocol(envelope: bytes) -> None:
    """Check that both ends speak the same protocol, before anything else is read from the file.

    Raises:
        Unsupported: they do not; the message says who has to upgrade.
    """
    said = peek(envelope)
    theirs, version = said.get("protocol"), said.get("wardgate")
    if isinstance(theirs, int) and theirs != PROTOCOL:
        older, where = ("the sender", "there") if theirs < PROTOCOL else ("this machine", "here")
        shown = version[:20] if isinstance(version, str) and version.isprintable() else "of unknown version"
        raise Unsupported(
            f"the file was written for protocol {str(theirs)[:20]} (Wardgate {shown}), this is protocol {PROTOCOL}"
            f" (Wardgate {__version__}): {older} has to upgrade; install the newer Wardgate {where} and begin again"
        )


def _open(envelope: bytes, key: bytes, expected: str, kind: type[R]) -> R:
    statement = unseal(envelope, keys=(key,))
    if statement.predicate_type != expected:
        raise Broken(f"expected a {expected}, found {statement.predicate_type}")
    try:
        return kind.from_plain(statement.predicate)
    except Invalid as error:
        raise Broken(f"a signed file that is none: {error}") from error

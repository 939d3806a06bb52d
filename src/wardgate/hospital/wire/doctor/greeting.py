"""The TLS handshake with the hub: who answers there, and does the hub take our certificate?

The handshake is made twice. First without any trust, to see which certificate is presented; then as the engine makes
it. A device that opens TLS on its way shows itself in the first, by an issuer that is not the consortium's.
"""

import socket
import ssl
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from wardgate.hospital.premises import Premises
from wardgate.records.enrolment_file import SiteResponse
from wardgate.records.examination import Check, State

ALPN = ["h2"]
"""gRPC speaks HTTP/2 and ends a connection that did not agree on it."""


def presented(line: socket.socket, host: str) -> x509.Certificate | str:
    """Return the certificate that the other end presents, whoever issued it; or why there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(ALPN)
    try:
        with context.wrap_socket(line, server_hostname=host) as secured:
            shown = secured.getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(shown) if shown else "the other end shows no certificate"
    except ssl.SSLError as error:
        return f"the TLS handshake fails ({_reason(error)})"
    except TimeoutError:
        return "the other end says nothing in a TLS handshake"
    except OSError as error:
        return f"the connection ends in the TLS handshake ({(error.strerror or type(error).__name__).lower()})"
    except ValueError:
        return "the certificate that is shown cannot be read"


def check_presented(found: x509.Certificate | str, response: SiteResponse, *, now: datetime) -> Check:
    """Judge who answers at the hub's port."""
    place = f"{response.host}:{response.port}"
    if isinstance(found, str):
        do = (
            f"something else may listen at {place}, or a device between breaks TLS connections; ask the hub whether it"
            " runs, then the network team whether TLS is inspected"
        )
        return _presented("fail", found, do)
    root = x509.load_pem_x509_certificate(response.root.encode())
    try:
        found.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return _presented(
            "fail",
            f"a device between here and the hub replaces the certificate; issuer: {name_of(found.issuer)}",
            f"ask the network team to exempt {place} from TLS inspection; message signatures still protect what is"
            " carried, but the connection will be refused",
        )
    if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
        return _presented(
            "fail",
            f"the hub's certificate is valid from {found.not_valid_before_utc:%Y-%m-%d} to"
            f" {found.not_valid_after_utc:%Y-%m-%d}; this machine's clock says {now:%Y-%m-%d}",
            "set this machine's clock; where it is right, the hub has to renew its certificate",
        )
    if response.host not in _names(found):
        return _presented(
            "fail",
            f"the hub's certificate is not for {response.host}; it is for {', '.join(_names(found)) or 'nobody'}",
            "the hub has to make a certificate for this name ('hub init' with --address), or send a new response",
        )
    return _presented("ok", f"issued by the consortium's own authority, {name_of(root.subject)}")


def check_accepted(line: socket.socket, premises: Premises, response: SiteResponse) -> Check:
    """Make the handshake with our certificate, and listen whether the hub takes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=response.root)
    context.set_alpn_protocols(ALPN)
    certificate = premises.wire / "doctor.crt"
    try:
        certificate.write_text(response.certificate, encoding="ascii")
        context.load_cert_chain(certificate, premises.tls_key)
    except (OSError, ssl.SSLError) as error:
        do = f"run this as the wire's user; {premises.tls_key.name} must be the key of the certificate in hub.response"
        return _accepted("fail", f"our own certificate and key cannot be used ({_reason(error)})", do)
    finally:
        certificate.unlink(missing_ok=True)
    try:
        with context.wrap_socket(line, server_hostname=response.host) as secured:
            said = secured.recv(1)
    except TimeoutError:
        return _accepted("ok", "the handshake with our certificate holds; the hub said nothing more in time")
    except (ssl.SSLError, OSError) as error:
        do = (
            "ask the hub whether this hospital is admitted and not revoked, and compare the clocks; then 'site renew',"
            " 'hub admit' and 'site enrol' give a new certificate"
        )
        return _accepted("fail", f"the hub ends the connection at our certificate ({_reason(error)})", do)
    if not said:
        return _accepted("fail", "the hub closes the connection without a word", "look at the hub's own log")
    return _accepted("ok", "the hub takes our certificate and answers")


def name_of(name: x509.Name) -> str:
    """Return a certificate's name for people: what it says of itself, without line breaks, at most 120 letters."""
    parts = [*name.get_attributes_for_oid(NameOID.COMMON_NAME), *name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    text = ", ".join(str(part.value) for part in parts) or name.rfc4514_string() or "without a name"
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:120]


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = found.get_values_for_type(x509.DNSName)
    return (*names, *(str(address) for address in found.get_values_for_type(x509.IPAddress)))


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no reason given").replace("_", " ").lower()
    return (error.strerror or type(error).__name__).lower()


def _presented(state: State, found: str, do: str = "") -> Check:
    return Check(name="who answers there", side="wire", state=state, found=found, do=do)


def _accepted(state: State, found: str, do: str = "") -> Check:
    return Check(name="our certificate at the hub", side="wire", state=state, found=found, do=do)

"""A hospital's folder and a TLS server that plays the hub, or a device that stands in its way."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wardgate.hospital.premises import Premises
from wardgate.records.canonical import sha256
from wardgate.records.enrolment_file import SiteRequest, SiteResponse, seal_request, seal_response
from wardgate.records.envelope import Signer
from wardgate.records.keyring import KeyFile

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
WARD_SEED, HUB_SEED = bytes(31) + b"\1", bytes(31) + b"\2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority of the tests."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A certificate and its key, both as PEM."""

    certificate: str
    key: str


def authority(name: str) -> Authority:
    """Make an authority that is valid for years around NOW."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    made = _builder(subject, subject, key.public_key(), NOW - 5 * YEAR, NOW + 5 * YEAR)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Authority(certificate=made.sign(key, hashes.SHA256()), key=key)


def leaf(by: Authority, name: str, *names: str, begins: datetime = NOW - YEAR, ends: datetime = NOW + YEAR) -> Leaf:
    """Issue a certificate for names and addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = _builder(by.certificate.subject, _name(name), key.public_key(), begins, ends)
    made = made.add_extension(x509.SubjectAlternativeName([_general(text) for text in (name, *names)]), critical=False)
    pem = made.sign(by.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Leaf(certificate=pem, key=key.private_bytes(*form).decode())


def _builder(issuer, subject, public_key, begins: datetime, ends: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


@contextmanager
def listening(
    folder: Path, shown: Leaf, *, asks_for: Authority | None = None, address: str = "127.0.0.1"
) -> Iterator[int]:
    """Run a TLS server and yield its port.

    Args:
        asks_for: Takes only clients with a certificate of this authority, as the hub does.
    """
    (folder / "server.pem").write_text(shown.certificate + shown.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.set_alpn_protocols(["h2"])
    if asks_for is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=asks_for.pem)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        threading.Thread(target=_serve, args=(server, context), daemon=True).start()
        yield server.getsockname()[1]


def _serve(server: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            line, _ = server.accept()
        except OSError:
            return
        try:
            with line, context.wrap_socket(line, server_side=True) as secured:
                secured.sendall(b"settings")
                secured.settimeout(2)
                secured.recv(1)
        except OSError:
            continue


def hospital(
    root: Path, consortium: Authority, *, host: str, port: int, own: Leaf | None = None, protocol: int = 1
) -> Premises:
    """Write a hospital's folder that is enrolled at a hub."""
    premises = Premises(root)
    for folder in (root, premises.ward, premises.wire, premises.spool):
        folder.mkdir(mode=0o700)
    for box in ("questions", "answers"):
        (premises.spool / box).mkdir(mode=0o700)
    own = own or leaf(consortium, "north")
    ward, hub = Signer(WARD_SEED), Signer(HUB_SEED)
    sealed = seal_request(
        SiteRequest(site="north", public_key=ward.public_key.hex(), csr="none", wardgate="0.3.0"), ward
    )
    (root / "site.request").write_bytes(sealed)
    response = SiteResponse(
        request_sha256=sha256(sealed),
        site="north",
        consortium="testers",
        hub_key=hub.public_key.hex(),
        host=host,
        port=port,
        identity="hub",
        certificate=own.certificate,
        root=consortium.pem,
        wardgate="0.3.0",
        protocol=protocol,
    )
    premises.response.write_bytes(seal_response(response, hub))
    premises.tls_key.write_text(own.key)
    key = KeyFile(name="north", role="site", seed=WARD_SEED.hex())
    premises.ward_key.write_bytes(key.to_bytes())
    premises.salt.write_bytes(bytes(32))
    for path in (premises.tls_key, premises.ward_key, premises.salt):
        path.chmod(0o600)
    data = root.parent / "data"
    data.mkdir(exist_ok=True)
    (data / "hospital.yaml").write_text("id: north\nnote: made up by the tests\n")
    (data / "patients.csv").write_text("person,age,worse\nCANARY-1,71,1\n")
    (data / "mapping.yaml").write_text(
        "schema: wardgate/mapping/1\nfiles: [patients.csv]\nperson: {column: person}\n"
        "fields: {age: {column: age, unit: a}}\n"
        'labels: {worse: {column: worse, positive: ["1"], negative: ["0"]}}\n'
    )
    premises.site_file.write_text(f"schema: wardgate/site/1\nsite: north\nsource: {data}\n")
    return premises

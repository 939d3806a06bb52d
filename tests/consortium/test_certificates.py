"""What the certificates are good for: mutual TLS between hub and members, FLARE's own checks, and nothing else."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID
from made_consortium import Founded, cached_key, founded

from wardgate.hospital.wire.identity import new_key as new_site_key
from wardgate.hospital.wire.identity import read_identity
from wardgate.hub.consortium.certificates import Authority, key_pem, make_root, new_key, pem_of
from wardgate.hub.consortium.founding import read_authority, read_certificate

TODAY = datetime.now(UTC)


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """A consortium of this day: TLS asks the machine's own clock."""
    return founded(
        tmp_path_factory.mktemp("today"),
        sites=("uk", "it"),
        addresses=("hub.example.org", "2001:db8::7"),
        now=TODAY,
    )


def shake(client: ssl.SSLObject, server: ssl.SSLObject, wires: tuple[ssl.MemoryBIO, ...]) -> None:
    """Let two ends shake hands in memory.

    Raises:
        ssl.SSLError: one of them does not accept the other.
    """
    into_client, from_client, into_server, from_server = wires
    done = {client: False, server: False}
    for _ in range(10):
        for end in (client, server):
            if not done[end]:
                try:
                    end.do_handshake()
                    done[end] = True
                except ssl.SSLWantReadError:
                    pass
            into_server.write(from_client.read())
            into_client.write(from_server.read())
    # In TLS 1.3 a client hears only afterwards that its certificate was refused.
    server.write(b"welcome")
    into_client.write(from_server.read())
    assert client.read() == b"welcome"


def handshake(
    *, client: tuple[Path, Path], server: tuple[Path, Path], root: Path, server_root: Path | None = None, host: str
) -> None:
    """Shake hands with certificate and key of both ends, mutually checked.

    Raises:
        ssl.SSLError: one of them does not accept the other.
    """
    outer = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outer.load_verify_locations(root)
    outer.load_cert_chain(*client)
    inner = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inner.load_verify_locations(server_root or root)
    inner.load_cert_chain(*server)
    inner.verify_mode = ssl.CERT_REQUIRED
    wires = tuple(ssl.MemoryBIO() for _ in range(4))
    shake(
        outer.wrap_bio(wires[0], wires[1], server_hostname=host),
        inner.wrap_bio(wires[2], wires[3], server_side=True),
        wires,
    )


def pair_of(made: Founded, site: str) -> tuple[Path, Path]:
    identity = read_identity(made.sites[site], site=site, now=TODAY)
    path = made.home.root.parent / f"{site}.crt"
    path.write_bytes(identity.certificate)
    return path, identity.key


def hub_pair(made: Founded, name: str = "server") -> tuple[Path, Path]:
    return made.home.authority / f"{name}.crt", made.home.authority / f"{name}.key"


@pytest.mark.parametrize("host", ["127.0.0.1", "hub.example.org", "2001:db8::7"])
def test_a_member_and_the_hub_shake_hands_at_every_address(today: Founded, host: str) -> None:
    root = today.home.authority / "root.crt"
    handshake(client=pair_of(today, "uk"), server=hub_pair(today), root=root, host=host)


def test_the_hub_is_not_taken_for_another_host(today: Founded) -> None:
    root = today.home.authority / "root.crt"
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(client=pair_of(today, "uk"), server=hub_pair(today), root=root, host="evil.example.org")


@pytest.mark.parametrize("name", ["it", "127.0.0.1"])
def test_a_member_cannot_pass_for_the_hub(today: Founded, name: str) -> None:
    """Neither under its own name nor anywhere: its certificate is for clients alone."""
    root = today.home.authority / "root.crt"
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unsuitable certificate purpose|IP address mismatch"):
        handshake(client=pair_of(today, "uk"), server=pair_of(today, "it"), root=root, host=name)


def test_the_coordinator_cannot_pass_for_the_hub(today: Founded) -> None:
    root = today.home.authority / "root.crt"
    with pytest.raises(ssl.SSLCertVerificationError, match=r"purpose|mismatch"):
        handshake(client=pair_of(today, "uk"), server=hub_pair(today, "coordinator"), root=root, host="127.0.0.1")


def made_pair(folder: Path, certificate: x509.Certificate, key: int) -> tuple[Path, Path]:
    (folder / "made.crt").write_bytes(pem_of(certificate))
    (folder / "made.key").write_bytes(key_pem(cached_key(key)))
    return folder / "made.crt", folder / "made.key"


def test_a_client_of_another_authority_does_not_come_in(today: Founded, tmp_path: Path) -> None:
    """Same names, same consortium, another root."""
    other = Authority(make_root("testing", cached_key(60), now=TODAY), cached_key(60))
    pair = made_pair(tmp_path, other.for_site("uk", cached_key(61).public_key(), now=TODAY), 61)
    with pytest.raises(ssl.SSLError, match=r"CERTIFICATE_VERIFY_FAILED|UNKNOWN_CA|certificate"):
        handshake(client=pair, server=hub_pair(today), root=today.home.authority / "root.crt", host="127.0.0.1")


@pytest.mark.parametrize("days", [-731, 3])
def test_an_expired_or_future_certificate_does_not_come_in(today: Founded, tmp_path: Path, days: int) -> None:
    made_at = TODAY + timedelta(days=days)
    certificate = read_authority(today.home).for_site("uk", cached_key(61).public_key(), now=made_at)
    with pytest.raises(ssl.SSLError, match=r"CERTIFICATE_VERIFY_FAILED|certificate"):
        handshake(
            client=made_pair(tmp_path, certificate, 61),
            server=hub_pair(today),
            root=today.home.authority / "root.crt",
            host="127.0.0.1",
        )


def test_a_certificate_made_by_a_hub_whose_clock_is_a_day_fast_comes_in(today: Founded, tmp_path: Path) -> None:
    certificate = read_authority(today.home).for_site("uk", cached_key(61).public_key(), now=TODAY + timedelta(days=1))
    handshake(
        client=made_pair(tmp_path, certificate, 61),
        server=hub_pair(today),
        root=today.home.authority / "root.crt",
        host="127.0.0.1",
    )


def test_a_member_cannot_admit_others(today: Founded, tmp_path: Path) -> None:
    certificate, key = pair_of(today, "it")
    issuer = x509.load_pem_x509_certificate(certificate.read_bytes())
    signer = serialization.load_pem_private_key(key.read_bytes(), password=None)
    below = Authority(issuer, signer).for_site("fr", cached_key(61).public_key(), now=TODAY)  # type: ignore[arg-type]
    (tmp_path / "chain.crt").write_bytes(pem_of(below) + pem_of(issuer))
    (tmp_path / "made.key").write_bytes(key_pem(cached_key(61)))
    with pytest.raises(ssl.SSLError, match=r"CERTIFICATE_VERIFY_FAILED|certificate"):
        handshake(
            client=(tmp_path / "chain.crt", tmp_path / "made.key"),
            server=hub_pair(today),
            root=today.home.authority / "root.crt",
            host="127.0.0.1",
        )


def test_keys_are_of_3072_bits_where_nobody_asks_for_others() -> None:
    assert new_key().key_size == new_site_key().key_size == 3072


def test_serials_are_never_the_same(today: Founded) -> None:
    authority = read_authority(today.home)
    made = [authority.for_site("uk", cached_key(61).public_key(), now=TODAY).serial_number for _ in range(20)]
    assert len(set(made)) == 20


@pytest.mark.slow
def test_the_engine_accepts_every_certificate_by_its_own_checks(today: Founded) -> None:
    pytest.importorskip("nvflare")
    from nvflare.fuel.sec.admin_cert import validate_admin_leaf_cert
    from nvflare.private.fed.utils.identity_utils import IdentityAsserter, IdentityVerifier, TokenVerifier

    verifier = IdentityVerifier(str(today.home.authority / "root.crt"))
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    ends = {
        "hub": (hub_pair(today), server),
        "coordinator@testing.hub": (hub_pair(today, "coordinator"), client),
        "uk": (pair_of(today, "uk"), client),
    }
    for name, ((certificate, key), use) in ends.items():
        asserter = IdentityAsserter(private_key_file=str(key), cert_file=str(certificate))
        assert asserter.cn == name
        said = {"nonce": "n", "asserter_cert": asserter.cert, "intermediate_certs": [], "expected_eku": use}
        assert verifier.verify_common_name(asserted_cn=name, signature=asserter.sign_common_name("n"), **said)
    hub = IdentityAsserter(*map(str, reversed(hub_pair(today))))
    assert TokenVerifier(hub.cert).verify("uk", "token", hub.sign("uk" + "token", return_str=True))
    validate_admin_leaf_cert(read_certificate(today.home, "coordinator.crt"))


def test_the_engine_refuses_a_member_that_says_it_is_the_hub_or_another(today: Founded) -> None:
    pytest.importorskip("nvflare")
    from nvflare.private.fed.utils.identity_utils import (
        CNMismatch,
        IdentityAsserter,
        IdentityVerifier,
        InvalidAsserterCert,
    )

    verifier = IdentityVerifier(str(today.home.authority / "root.crt"))
    certificate, key = pair_of(today, "uk")
    asserter = IdentityAsserter(private_key_file=str(key), cert_file=str(certificate))
    said = {"nonce": "n", "asserter_cert": asserter.cert, "intermediate_certs": []}
    with pytest.raises(CNMismatch):
        verifier.verify_common_name(
            asserted_cn="it", signature=asserter.sign_common_name("n"), expected_eku=None, **said
        )
    with pytest.raises(InvalidAsserterCert, match="extendedKeyUsage"):
        verifier.verify_common_name(
            asserted_cn="uk",
            signature=asserter.sign_common_name("n"),
            expected_eku=ExtendedKeyUsageOID.SERVER_AUTH,
            **said,
        )


def test_the_engine_signs_with_rsa_and_nothing_else(today: Founded) -> None:
    """Why these keys are not elliptic, which would be shorter."""
    pytest.importorskip("nvflare")
    from cryptography.hazmat.primitives.asymmetric import ec
    from nvflare.lighter.utils import sign_content

    with pytest.raises(TypeError):
        sign_content("job", ec.generate_private_key(ec.SECP256R1()))
    signature = sign_content("job", cached_key(1), return_str=False)
    key = cached_key(1).public_key()
    assert isinstance(key, RSAPublicKey)
    key.verify(
        signature,
        b"job",
        padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH),
        hashes.SHA256(),
    )

"""A hub's folder appears whole or not at all, under any address, and its certificates are what the engine reads."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from made_consortium import NOW, Founded, Keys

from wardgate.entropy import UnsafeEntropy
from wardgate.federation.consortium import hub_code, hub_init, hub_members, hub_renew_own
from wardgate.hub.consortium.founding import found, read_certificate, read_hub
from wardgate.hub.home import Home
from wardgate.records.errors import Broken, Invalid, Refused, Unsupported


def init(home: Home, **changed: object) -> None:
    said = {"consortium": "testing", "host": "hub.example.org", "port": 8443, "now": NOW} | changed
    found(home, entropy=UnsafeEntropy("hub"), tls_key=Keys(), **said)  # type: ignore[arg-type]


def test_keys_are_their_owners_alone(standing: Founded) -> None:
    secret = [path for path in standing.home.root.rglob("*") if path.suffix == ".key" or path.name == "key.json"]
    assert len(secret) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    assert stat.S_IMODE(standing.home.root.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("127.0.0.1", x509.IPAddress),
        ("::1", x509.IPAddress),
        ("[2001:DB8::7]", x509.IPAddress),
        ("hub.Example.org.", x509.DNSName),
        ("localhost", x509.DNSName),
        ("xn--bcher-kva.example", x509.DNSName),
    ],
)
def test_the_server_is_certified_for_the_address_that_hospitals_use(tmp_path: Path, host: str, kept: type) -> None:
    init(Home(tmp_path / "hub"), host=host, addresses=("10.0.0.9", "other.example.org"))
    names = read_certificate(Home(tmp_path / "hub"), "server.crt").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert isinstance(next(iter(names.value)), kept)
    assert len(list(names.value)) == 3
    assert read_hub(Home(tmp_path / "hub")).host == host.strip("[].").lower()


@pytest.mark.parametrize(
    "changed",
    [
        {"host": "0.0.0.0"},
        {"host": "::"},
        {"host": "fe80::1%eth0"},
        {"host": "256.1.1.1"},
        {"host": "hub example"},
        {"host": "https://hub.example.org"},
        {"host": "hub.example.org:8443"},
        {"host": "büro.example.org"},
        {"host": ""},
        {"host": "-hub.example.org"},
        {"host": "a" * 64 + ".org"},
        {"addresses": ("ok.example.org", "224.0.0.1")},
        {"port": 0},
        {"port": 65536},
        {"consortium": "two words"},
        {"consortium": "plus+sign"},
        {"consortium": "dot.ted"},
        {"consortium": "x" * 41},
        {"consortium": "new\nline"},
        {"consortium": ""},
    ],
)
def test_what_no_hospital_could_reach_or_no_certificate_bear_is_said(tmp_path: Path, changed: dict) -> None:
    with pytest.raises(Invalid, match=r"expected|Input should be"):
        init(Home(tmp_path / "hub"), **changed)
    assert list(tmp_path.iterdir()) == []


def test_a_hub_that_is_known_by_an_ipv6_address_alone_is_told_to_take_a_name(tmp_path: Path) -> None:
    home = Home(tmp_path / "hub")
    said = {"consortium": "testing", "port": 8443, "now": NOW, "entropy": UnsafeEntropy("hub"), "tls_key": Keys()}
    with pytest.raises(Unsupported, match="give the hub a name"):
        hub_init(home, host="[2001:db8::7]", **said)
    assert not home.root.exists()
    hub_init(home, host="hub.example.org", addresses=("2001:db8::7",), **said)


def test_a_hub_is_founded_once(fresh: Founded) -> None:
    before = {path: path.read_bytes() for path in fresh.home.root.rglob("*") if path.is_file()}
    with pytest.raises(Invalid, match="exists already"):
        init(fresh.home)
    assert {path: path.read_bytes() for path in fresh.home.root.rglob("*") if path.is_file()} == before


def test_an_empty_folder_is_no_place_for_a_hub_either(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    with pytest.raises(Invalid, match="exists already"):
        init(Home(tmp_path / "hub"))


def test_a_clock_wrong_by_a_day_does_no_harm_and_certificates_do_end(standing: Founded) -> None:
    root, server = (read_certificate(standing.home, name) for name in ("root.crt", "server.crt"))
    for certificate in (root, server):
        assert certificate.not_valid_before_utc <= NOW - timedelta(days=1)
    assert server.not_valid_after_utc == NOW + timedelta(days=730)
    assert root.not_valid_after_utc == NOW + timedelta(days=3650)


def test_the_authority_may_sign_leaves_and_leaves_may_sign_nothing(standing: Founded) -> None:
    said = {
        name: read_certificate(standing.home, name).extensions.get_extension_for_class(x509.BasicConstraints).value
        for name in ("root.crt", "server.crt", "coordinator.crt")
    }
    assert (said["root.crt"].ca, said["root.crt"].path_length) == (True, 0)
    assert not said["server.crt"].ca
    assert not said["coordinator.crt"].ca


def test_the_hub_renews_its_own_certificates_under_the_same_keys_and_its_new_address(fresh: Founded) -> None:
    before = read_certificate(fresh.home, "server.crt")
    text = fresh.home.hub_file.read_text()
    fresh.home.hub_file.write_text(text.replace('host: "127.0.0.1"', 'host: "moved.example.org"'))
    later = NOW + timedelta(days=700)
    assert {one.name for one in hub_members(fresh.home, now=later).expiring} == {
        "hub server",
        "hub coordinator",
        "uk",
        "it",
    }
    hub_renew_own(fresh.home, now=later)
    after = read_certificate(fresh.home, "server.crt")
    assert after.public_key() == before.public_key()
    assert after.not_valid_after_utc == later + timedelta(days=730)
    names = after.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["moved.example.org", "localhost"]
    assert {one.name for one in hub_members(fresh.home, now=later).expiring} == {"uk", "it"}


def test_no_certificate_outlives_its_authority(fresh: Founded) -> None:
    late = NOW + timedelta(days=3650 - 100)
    hub_renew_own(fresh.home, now=late)
    assert read_certificate(fresh.home, "server.crt").not_valid_after_utc == NOW + timedelta(days=3650)
    with pytest.raises(Refused, match="authority expired"):
        hub_renew_own(fresh.home, now=NOW + timedelta(days=3651))


def test_a_consortium_cannot_change_its_name(fresh: Founded) -> None:
    text = fresh.home.hub_file.read_text()
    fresh.home.hub_file.write_text(text.replace("testing", "another"))
    with pytest.raises(Invalid, match="cannot change"):
        hub_renew_own(fresh.home, now=NOW)


def test_the_coordinator_is_a_lead_and_a_client(standing: Founded) -> None:
    certificate = read_certificate(standing.home, "coordinator.crt")
    said = {part.oid: part.value for part in certificate.subject}
    assert said == {
        NameOID.COMMON_NAME: "coordinator@testing.hub",
        NameOID.ORGANIZATION_NAME: "testing",
        NameOID.UNSTRUCTURED_NAME: "lead",
    }
    use = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(use) == [ExtendedKeyUsageOID.CLIENT_AUTH]


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("hub.yaml", b"\xff\xfe", Invalid),
        ("hub.yaml", b"schema: wardgate/hub/2\nconsortium: a\nhost: b\nport: 1\n", Invalid),
        ("hub.yaml", b"schema: wardgate/hub/1\nconsortium: testing\nhost: nowhere at all\nport: 1\n", Invalid),
        ("key.json", b"{}", Invalid),
        ("key.json", b"not json", Invalid),
        ("ca/root.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Broken),
        ("ca/root.key", b"garbage", Broken),
        ("ca/server.key", b"garbage", Broken),
    ],
)
def test_a_damaged_hub_says_which_file(fresh: Founded, name: str, data: bytes, error: type[Exception]) -> None:
    (fresh.home.root / name).write_bytes(data)
    with pytest.raises(error):
        if name == "key.json":
            hub_code(fresh.home)
        else:
            hub_renew_own(fresh.home, now=NOW)


def test_an_authority_with_the_key_of_another_is_found(fresh: Founded, tmp_path: Path) -> None:
    init(Home(tmp_path / "another"))
    key = (tmp_path / "another" / "ca" / "server.key").read_bytes()
    (fresh.home.authority / "root.key").write_bytes(key)
    with pytest.raises(Broken, match="not the one in its certificate"):
        hub_renew_own(fresh.home, now=NOW)

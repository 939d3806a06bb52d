"""What stands in a hospital's way is named, with what to do about it; each fault is really there."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import tls_hub
from tls_hub import NOW, authority, hospital, leaf, listening

from wardgate import __version__
from wardgate.federation.doctor import examine as examine_all
from wardgate.hospital.premises import Premises
from wardgate.hospital.ward.porter.health import health
from wardgate.hospital.wire.doctor.examine import examine
from wardgate.hospital.wire.doctor.own import check_disk
from wardgate.hospital.wire.doctor.proxies import proxy_for
from wardgate.hospital.wire.greeted import keep_greeting
from wardgate.records.examination import Check

CONSORTIUM, INSPECTOR = authority("testers"), authority("Northern Trust TLS inspection")
HUB = leaf(CONSORTIUM, "localhost", "127.0.0.1", "::1")
NEEDED = {"disk of the spool", "versions", "clock"}
"""Depend on the machine of the tests, or on a greeting."""


def _wire(premises: Premises, *, now=NOW, environment=None) -> dict[str, Check]:
    found = examine(premises, now=now, environment=environment or {}, timeout_seconds=2)
    return {check.name: check for check in found.checks}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def _enrolled(tmp_path: Path, *, shown=HUB, asks_for=CONSORTIUM, address="127.0.0.1", **more) -> Iterator[Premises]:
    with listening(tmp_path, shown, asks_for=asks_for, address=address) as port:
        yield hospital(tmp_path / "north", CONSORTIUM, **({"host": address, "port": port} | more))


def test_a_hospital_in_order_passes(tmp_path: Path) -> None:
    with _enrolled(tmp_path, host="localhost") as premises:
        found = _wire(premises)
    assert {name: check.found for name, check in found.items() if check.state != "ok" and name not in NEEDED} == {}
    assert not any(check.do for check in found.values() if check.state == "ok")


def test_the_rule_to_ask_for_names_host_and_port(tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="hub.example.org", port=8443)
    rule = examine(premises, now=NOW, environment={}, timeout_seconds=0.5).rule
    assert f"outbound TCP from {socket.gethostname()} to hub.example.org port 8443" in rule
    assert "mutual certificates" in rule
    assert "No inbound" in rule


def test_a_device_that_replaces_the_certificate_is_named_by_its_issuer(tmp_path: Path) -> None:
    shown = leaf(INSPECTOR, "localhost", "127.0.0.1")
    with _enrolled(tmp_path, shown=shown, asks_for=None) as premises:
        found = _wire(premises)
    check = found["who answers there"]
    assert check.state == "fail"
    assert "issuer: Northern Trust TLS inspection" in check.found
    assert "exempt 127.0.0.1:" in check.do
    assert "message signatures still protect" in check.do
    assert found["our certificate at the hub"].state == "not checked"


def test_a_certificate_of_another_authority_under_the_same_name_is_not_taken(tmp_path: Path) -> None:
    twin = leaf(authority("testers"), "localhost", "127.0.0.1")
    with _enrolled(tmp_path, shown=twin) as premises:
        assert _wire(premises)["who answers there"].state == "fail"


def test_a_port_where_nobody_listens_is_told_as_refused(tmp_path: Path) -> None:
    found = _wire(hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=_free_port()))
    assert found["connection to the hub"].state == "fail"
    assert "connection refused" in found["connection to the hub"].found
    assert found["who answers there"].state == "not checked"


def test_a_listener_that_says_nothing_is_not_taken_for_the_hub(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = _wire(hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=silent.getsockname()[1]))
    assert found["connection to the hub"].state == "ok"
    assert found["who answers there"].state == "fail"


def test_a_name_without_an_address_is_told_for_both_families(tmp_path: Path) -> None:
    found = _wire(hospital(tmp_path / "north", CONSORTIUM, host="hub.invalid", port=8443))
    assert found["name of the hub"].state == "fail"
    for family in ("IPv4", "IPv6"):
        assert f"{family}: n" in found["name of the hub"].found  # none, or no answer in time
    assert "hosts file" in found["name of the hub"].do
    assert found["connection to the hub"].state == "not checked"


def test_a_hub_with_an_ipv6_address_alone_is_reached(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with _enrolled(tmp_path, address="::1") as premises:
        found = _wire(premises)
    assert "IPv4: none" in found["name of the hub"].found
    assert found["our certificate at the hub"].state == "ok"


def test_an_expired_certificate_of_ours_is_told_with_its_dates(tmp_path: Path) -> None:
    own = leaf(CONSORTIUM, "north", begins=NOW - timedelta(days=800), ends=NOW - timedelta(days=70))
    with _enrolled(tmp_path, own=own) as premises:
        check = _wire(premises)["our certificate"]
    assert check.state == "fail"
    assert "expired" in check.found
    assert "site renew" in check.do


def test_a_certificate_that_ends_soon_is_a_warning(tmp_path: Path) -> None:
    own = leaf(CONSORTIUM, "north", ends=NOW + timedelta(days=20, hours=1))
    check = _wire(hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=_free_port(), own=own))
    assert check["our certificate"].state == "warning"
    assert "20 days left" in check["our certificate"].found


def test_a_certificate_that_the_hub_does_not_take_is_told_as_its_alert(tmp_path: Path) -> None:
    with _enrolled(tmp_path, own=leaf(INSPECTOR, "north")) as premises:
        check = _wire(premises)["our certificate at the hub"]
    assert check.state == "fail"
    assert "unknown ca" in check.found


def test_an_expired_certificate_of_the_hub_is_told(tmp_path: Path) -> None:
    old = leaf(CONSORTIUM, "localhost", "127.0.0.1", begins=NOW - 2 * tls_hub.YEAR, ends=NOW - timedelta(days=1))
    with _enrolled(tmp_path, shown=old) as premises:
        check = _wire(premises)["who answers there"]
    assert check.state == "fail"
    assert "the hub has to renew" in check.do


def test_a_certificate_for_another_name_is_told(tmp_path: Path) -> None:
    with _enrolled(tmp_path, shown=leaf(CONSORTIUM, "other.example.org")) as premises:
        check = _wire(premises)["who answers there"]
    assert check.state == "fail"
    assert "it is for other.example.org" in check.found


@pytest.mark.parametrize(("days", "word"), [(-1, "behind"), (1, "ahead of")])
def test_a_clock_wrong_by_a_day_is_told(days: int, word: str, tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=_free_port())
    now = NOW + timedelta(days=days)
    said = {"clock": int(NOW.timestamp()), "wardgate": "0.3.0", "protocol": 1}
    keep_greeting(premises, said, now=now.timestamp())
    check = _wire(premises, now=now)["clock"]
    assert check.state == "warning"
    assert f"24 hours {word}" in check.found
    assert "time server" in check.do


def test_a_clock_before_our_certificate_is_told_without_any_greeting(tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=_free_port())
    found = _wire(premises, now=NOW - 2 * tls_hub.YEAR)
    assert found["clock"].state == "fail"
    assert found["our certificate"].state == "fail"


def test_another_protocol_says_who_upgrades(tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=_free_port())
    keep_greeting(premises, {"clock": 1, "wardgate": "9.0.0", "protocol": 2}, now=1)
    check = _wire(premises)["versions"]
    assert check.state == "fail"
    assert "this hospital has to upgrade" in check.do
    assert __version__ in check.found


def test_a_key_that_others_can_read_is_told(tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=_free_port())
    premises.tls_key.chmod(0o644)
    check = _wire(premises)["our certificate"]
    assert check.state == "fail"
    assert "chmod 600" in check.do


def test_a_hospital_that_is_not_enrolled_is_told_what_to_do(tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=1)
    premises.response.unlink()
    found = _wire(premises)
    assert found["enrolment"].state == "fail"
    assert "site enrol" in found["enrolment"].do


# Proxies.


@contextmanager
def _proxy(status: bytes, *, to: int = 0) -> Iterator[int]:
    """A proxy for one connection after another: it answers CONNECT with a status, and passes on where it is 200."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, sink):
                one.close()

    def serve() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += line.recv(1)
            line.sendall(b"HTTP/1.1 " + status + b" so\r\nX: y\r\n\r\n")
            if status != b"200":
                line.close()
                continue
            far = socket.create_connection(("127.0.0.1", to))
            for ends in ((line, far), (far, line)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def test_a_proxy_that_tunnels_is_a_warning_and_the_hub_is_reached_through_it(tmp_path: Path) -> None:
    with listening(tmp_path, HUB, asks_for=CONSORTIUM) as port, _proxy(b"200", to=port) as proxy:
        premises = hospital(tmp_path / "north", CONSORTIUM, host="localhost", port=port)
        found = _wire(premises, environment={"https_proxy": f"http://user:secret@127.0.0.1:{proxy}"})
    assert found["proxy"].state == "warning"
    assert "opened a tunnel" in found["connection to the hub"].found
    assert found["our certificate at the hub"].state == "ok"
    assert "secret" not in str(found)


def test_a_proxy_that_refuses_tunnels_is_named(tmp_path: Path) -> None:
    with _proxy(b"403") as proxy:
        premises = hospital(tmp_path / "north", CONSORTIUM, host="hub.invalid", port=8443)
        found = _wire(premises, environment={"grpc_proxy": f"127.0.0.1:{proxy}"})
    assert found["connection to the hub"].state == "fail"
    assert "status 403" in found["connection to the hub"].found
    assert "no_proxy=hub.invalid" in found["connection to the hub"].do


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:1"}, None),
        ({"http_proxy": "http://c:3", "https_proxy": "http://b:2", "grpc_proxy": "http://a:1"}, "a"),
        ({"http_proxy": "http://c:3", "https_proxy": "http://b:2"}, "b"),
        ({"https_proxy": "http://b:2", "no_proxy": "localhost, .example.org"}, None),
        ({"https_proxy": "http://b:2", "no_proxy": "localhost", "no_grpc_proxy": "other"}, "b"),
        ({"https_proxy": "http://b:nonsense"}, None),
    ],
)
def test_the_proxy_is_the_one_that_the_transport_takes(environment: dict[str, str], expected: str | None) -> None:
    found = proxy_for("hub.example.org", environment)
    assert (found.host if found else None) == expected


def test_an_address_inside_an_excepted_network_needs_no_proxy() -> None:
    assert proxy_for("10.1.2.3", {"https_proxy": "http://b:2", "no_proxy": "10.0.0.0/8"}) is None


# Disk, and the ward's side.


def _mounted(folder: Path, *options: str) -> bool:
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "none", folder], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("options", ["size=64k", "size=2g,nr_inodes=50"], ids=["no room", "no inodes"])
def test_a_full_disk_is_told(options: str, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    if not _mounted(folder, "-o", options):
        pytest.skip("this system lets nobody mount a small disk")
    try:
        check = check_disk(folder)
    finally:
        subprocess.run(["umount", folder], check=True)
    assert check.state == "fail"
    assert "make room" in check.do


def test_a_spool_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=_free_port())
    (premises.spool / "answers").rmdir()
    assert _wire(premises)["spool"].state == "fail"


def _ward(premises: Premises) -> dict[str, Check]:
    return {check.name: check for check in health(premises)}


def test_a_ward_in_order_passes_and_says_nothing_of_its_patients(tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=1)
    found = _ward(premises)
    assert {check.state for name, check in found.items() if not name.startswith("disk")} <= {"ok", "warning"}
    assert found["data"].found == "readable: one table with a mapping"
    assert "one user" in found["ward's folder"].found
    assert "CANARY" not in str(found)


@pytest.mark.parametrize(
    "text", ["person,age\nCANARY-1,71\nCANARY-2\n", "CANARY-1,71,1\n", "", "person,age,worse\n\0CANARY-1,1,1\n"]
)
def test_data_that_cannot_be_read_are_told_without_a_value(text: str, tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=1)
    (tmp_path / "data" / "patients.csv").write_text(text)
    assert "CANARY" not in str(_ward(premises))


def test_missing_data_are_told(tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=1)
    (tmp_path / "data" / "patients.csv").unlink()
    found = _ward(premises)["data"]
    assert found.state == "fail"
    assert "patients.csv" in found.found


def test_a_ward_that_others_may_look_into_is_told(tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=1)
    premises.ward.chmod(0o755)
    found = _ward(premises)["ward's folder"]
    assert found.state == "fail"
    assert "chmod 700" in found.do


@pytest.mark.parametrize("text", ["schema: wardgate/site/1\n", "[", ""])
def test_a_damaged_site_file_is_told_and_nothing_breaks(text: str, tmp_path: Path) -> None:
    premises = hospital(tmp_path / "north", CONSORTIUM, host="127.0.0.1", port=1)
    premises.site_file.write_text(text)
    found = _ward(premises)
    assert found["site, keys and floor"].state == "fail"
    assert found["data"].state == "not checked"


def test_the_wire_leaves_the_wards_folder_alone(tmp_path: Path) -> None:
    """As root nothing is closed, so the folder is taken away altogether."""
    with _enrolled(tmp_path) as premises:
        before = _wire(premises)
        premises.ward.rename(tmp_path / "elsewhere")
        after = _wire(premises)
    assert {name: check.state for name, check in after.items()} == {name: check.state for name, check in before.items()}


def test_both_sides_are_told_together_and_one_alone_where_asked(tmp_path: Path) -> None:
    with _enrolled(tmp_path) as premises:
        both = examine_all(premises.root, now=NOW, environment={})
        ward = examine_all(premises.root, now=NOW, environment={}, sides=("ward",))
    assert both.site == "north"
    assert {check.side for check in both.checks} == {"wire", "ward"}
    assert {check.side for check in ward.checks} == {"ward"}
    assert "outbound TCP" in both.rule
    assert [check.name for check in both.checks if check.name == "our certificate at the hub" and check.state == "ok"]
    assert not any(check.do for check in both.checks if check.state == "ok")

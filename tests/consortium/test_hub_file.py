"""`hub.yaml` is read as it was written, and what is wrong in it is said with its line."""

import pytest

from wardgate.records.errors import Invalid
from wardgate.records.hub_file import HubFile, parse, text_of

WELL = "schema: wardgate/hub/1\nconsortium: testing\nhost: hub.example.org\nport: 443\n"


@pytest.mark.parametrize(
    "hub",
    [
        HubFile(consortium="testing", host="hub.example.org", port=443),
        HubFile(consortium="no", host="::1", port=8443, addresses=("127.0.0.1", "::1", "localhost")),
        HubFile(consortium="007", host="10.0.0.1", port=1, addresses=("2001:db8::7",)),
    ],
)
def test_what_is_written_is_read(hub: HubFile) -> None:
    assert parse(text_of(hub)) == hub


def test_every_address_stands_once_with_the_host_first() -> None:
    hub = HubFile(consortium="a", host="[::1]", port=1, addresses=("LOCALHOST", "0:0:0:0:0:0:0:1", "localhost"))
    assert hub.reached_at == ("::1", "localhost")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty file"),
        ("[]", "something other than fields"),
        (WELL.replace("hub/1", "hub/2"), r"hub\.yaml:1: schema"),
        (WELL.replace("testing", "two words"), r"hub\.yaml:2: consortium: .*1 to 40 letters"),
        (WELL.replace("hub.example.org", "0.0.0.0"), r"hub\.yaml:3: host: .*can connect to"),
        (WELL.replace("hub.example.org", "https://hub"), r"hub\.yaml:3: host: .*an IPv4 or IPv6 address"),
        (WELL.replace("443", "https"), r"hub\.yaml:4: port"),
        (WELL.replace("443", "70000"), r"hub\.yaml:4: port: .*65535"),
        (WELL + "addresses: [ok.example.org, 'not ok']\n", r"hub\.yaml:5: addresses\[1\]"),
        (WELL + "adresses: []\n", r"hub\.yaml:5: .*'addresses'"),
        (WELL + "port: 444\n", "a second time"),
        (WELL.replace("port: 443\n", ""), "port: found nothing"),
        ("a: &x 1\nb: *x\n", "alias"),
    ],
)
def test_a_mistake_is_found_at_its_line(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        parse(text)

"""The museum: files that are no request and no response, each with a clear message and a documented exit code."""

import base64
import json

import pytest
from made_consortium import NOW, Founded

from wardgate.federation.consortium import hub_admit, site_enrol
from wardgate.records.canonical import canonical
from wardgate.records.envelope import PAYLOAD_TYPE, Signer, Statement, seal
from wardgate.records.errors import WardgateError


def unsigned(predicate: object) -> bytes:
    payload = base64.b64encode(canonical({"predicate": predicate})).decode()
    signature = {"keyid": "00" * 32, "sig": base64.b64encode(b"\x00" * 64).decode()}
    return canonical({"payload": payload, "payloadType": PAYLOAD_TYPE, "signatures": [signature]})


def signed(predicate_type: str, **predicate: object) -> bytes:
    signer = Signer(b"m" * 32)
    said = {"public_key": signer.public_key.hex(), "hub_key": signer.public_key.hex(), **predicate}
    return seal(Statement(predicate_type=predicate_type, predicate=said, subjects=(("site", "ab" * 32),)), signer)


MUSEUM: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 4),
    "a blank": (b" ", 4),
    "a zero": (b"\x00" * 100, 4),
    "not text": (b"\xff\xfe\x00\x01", 4),
    "not JSON": (b"schema: wardgate/study/1\n", 4),
    "a list": (b"[]", 4),
    "a number": (b"17", 4),
    "a text": (b'"payload"', 4),
    "null": (b"null", 4),
    "an empty object": (b"{}", 4),
    "a list without end": (b"[" * 60_000, 4),
    "an object without end": (b'{"payload":' * 5_000, 4),
    "a payload that is a number": (b'{"payload": 5}', 4),
    "a payload that is no base64": (b'{"payload": "***"}', 4),
    "a payload that is no JSON": (b'{"payload": "AAAA"}', 4),
    "a payload that is a list": (json.dumps({"payload": base64.b64encode(b"[]").decode()}).encode(), 4),
    "a payload without a record": (json.dumps({"payload": base64.b64encode(b"{}").decode()}).encode(), 4),
    "a record that is a text": (unsigned("hello"), 4),
    "no key": (unsigned({}), 4),
    "a key that is a number": (unsigned({"public_key": 7, "hub_key": 7}), 4),
    "a short key": (unsigned({"public_key": "ab", "hub_key": "ab"}), 4),
    "a key that is no hexadecimal": (unsigned({"public_key": "zz" * 32, "hub_key": "zz" * 32}), 4),
    "a key of zeros": (unsigned({"public_key": "00" * 32, "hub_key": "00" * 32}), 4),
    "a protocol that is a text": (unsigned({"public_key": "ab" * 32, "hub_key": "ab" * 32, "protocol": "1"}), 4),
    "a protocol of the far future": (unsigned({"protocol": 2**50, "wardgate": "99"}), 5),
    "a version that paints the terminal": (unsigned({"protocol": 2, "wardgate": "\x1b[31m"}), 5),
    "another signed file": (signed("decision/v1"), 4),
    "a request with nothing in it": (signed("site-request/v1"), 4),
    "a response with nothing in it": (signed("site-response/v1"), 4),
    "a field too many": (signed("site-request/v1", surprise="x"), 4),
    "a site that is a list": (signed("site-request/v1", site=["uk"], csr="", wardgate="1", protocol=1), 4),
    "PEM alone": (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", 4),
    "huge": (b"x" * (64 * 1024 + 1), 5),
}


@pytest.mark.parametrize("name", MUSEUM)
def test_a_hub_says_what_is_wrong_with_a_request(standing: Founded, name: str) -> None:
    data, code = MUSEUM[name]
    with pytest.raises(WardgateError) as caught:
        hub_admit(standing.home, data, now=NOW)
    assert caught.value.exit_code == code
    assert str(caught.value).isprintable()
    assert 20 < len(str(caught.value)) < 400


@pytest.mark.parametrize("name", MUSEUM)
def test_a_hospital_says_what_is_wrong_with_a_response(standing: Founded, name: str) -> None:
    data, code = MUSEUM[name]
    before = standing.sites["uk"].response.read_bytes()
    with pytest.raises(WardgateError) as caught:
        site_enrol(standing.sites["uk"], data, hub_code=standing.code, now=NOW)
    assert caught.value.exit_code == code
    assert str(caught.value).isprintable()
    assert 20 < len(str(caught.value)) < 400
    assert standing.sites["uk"].response.read_bytes() == before


@pytest.mark.parametrize(
    "csr",
    [
        "",
        "garbage",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "\x00",
        "ü" * 100,
    ],
)
def test_a_signed_request_around_garbage_is_refused(standing: Founded, csr: str) -> None:
    request = signed("site-request/v1", site="at", csr=csr, wardgate="0.3.0", protocol=1, contact="")
    plain = json.loads(base64.b64decode(json.loads(request)["payload"]))["predicate"]
    plain.pop("hub_key")
    signer = Signer(b"m" * 32)
    request = seal(Statement(predicate_type="site-request/v1", predicate=plain, subjects=()), signer)
    with pytest.raises(WardgateError, match="no readable signing request") as caught:
        hub_admit(standing.home, request, now=NOW)
    assert caught.value.exit_code == 4

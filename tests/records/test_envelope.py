"""Signed envelopes, against plain Ed25519 over hand-made DSSE bytes, and against every kind of tampering."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wardgate.records.canonical import canonical, sha256
from wardgate.records.envelope import Signer, Statement, seal, unseal
from wardgate.records.errors import Broken, Invalid
from wardgate.records.messages import open_answer, open_question

SEED = bytes(range(32))
SIGNER = Signer(SEED)
STRANGER = Signer(bytes(32))
STATEMENT = Statement(
    predicate_type="question/v1", predicate={"number": 1, "words": "caf\u00e9"}, subjects=(("study", "ab" * 32),)
)
ENVELOPE = seal(STATEMENT, SIGNER)


def pae(payload: bytes, kind: str = "application/vnd.in-toto+json") -> bytes:
    """DSSE v1, by hand: what is signed."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def outer(**changes: Any) -> bytes:
    """The envelope's canonical bytes with fields replaced."""
    return canonical(json.loads(ENVELOPE) | changes)


def signed(payload: bytes, signer: Signer = SIGNER) -> bytes:
    """Any payload under a good signature."""
    sig = base64.b64encode(signer.sign(pae(payload))).decode()
    return outer(payload=base64.b64encode(payload).decode(), signatures=[{"keyid": signer.key_id, "sig": sig}])


def refused(envelope: bytes, words: str = ".") -> None:
    with pytest.raises(Broken, match=words):
        unseal(envelope, keys=(SIGNER.public_key,))


def test_anybody_can_check_an_envelope_with_plain_ed25519() -> None:
    plain = json.loads(ENVELOPE)
    payload = base64.b64decode(plain["payload"])
    (signature,) = plain["signatures"]
    key = Ed25519PublicKey.from_public_bytes(SIGNER.public_key)
    key.verify(base64.b64decode(signature["sig"]), pae(payload))
    assert plain["payloadType"] == "application/vnd.in-toto+json"
    assert signature["keyid"] == sha256(SIGNER.public_key)
    assert json.loads(payload) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "study", "digest": {"sha256": "ab" * 32}}],
        "predicateType": "https://wardgate.org/attest/question/v1",
        "predicate": {"number": 1, "words": "caf\u00e9"},
    }


def test_an_envelope_made_by_hand_opens() -> None:
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    payload = canonical(json.loads(base64.b64decode(json.loads(ENVELOPE)["payload"])))
    by_hand = outer(signatures=[{"keyid": SIGNER.key_id, "sig": base64.b64encode(key.sign(pae(payload))).decode()}])
    assert by_hand == ENVELOPE
    opened = unseal(by_hand, keys=(STRANGER.public_key, SIGNER.public_key))
    assert (opened.predicate_type, opened.predicate, opened.subjects) == (
        STATEMENT.predicate_type,
        STATEMENT.predicate,
        STATEMENT.subjects,
    )
    assert opened.key_id == SIGNER.key_id


def test_one_altered_byte_at_any_place_fails() -> None:
    for place in range(len(ENVELOPE)):
        for change in (1, 128):
            altered = bytearray(ENVELOPE)
            altered[place] ^= change
            refused(bytes(altered))


def test_an_envelope_cut_short_or_lengthened_fails() -> None:
    for length in range(len(ENVELOPE)):
        refused(ENVELOPE[:length])
    for more in (b" ", b"\n", b"\x00", b"{}", ENVELOPE):
        refused(ENVELOPE + more)
        refused(more + ENVELOPE)


def test_another_key_fails_even_under_the_right_name() -> None:
    with pytest.raises(Broken, match="not expected here"):
        unseal(ENVELOPE, keys=(STRANGER.public_key,))
    with pytest.raises(Broken, match="not expected here"):
        unseal(ENVELOPE, keys=())
    payload = base64.b64decode(json.loads(ENVELOPE)["payload"])
    sig = base64.b64encode(STRANGER.sign(pae(payload))).decode()
    refused(outer(signatures=[{"keyid": SIGNER.key_id, "sig": sig}]), "does not hold")


def test_no_signature_two_signatures_or_a_doubled_one_fail() -> None:
    (one,) = json.loads(ENVELOPE)["signatures"]
    for signatures in ([], [one, one], [one, {**one, "keyid": STRANGER.key_id}], {"0": one}, None, one):
        refused(outer(signatures=signatures))
    refused(outer(signatures=[{**one, "extra": "1"}]))


def test_the_signature_binds_the_payload_type() -> None:
    payload = base64.b64decode(json.loads(ENVELOPE)["payload"])
    sig = base64.b64encode(SIGNER.sign(pae(payload, "text/plain"))).decode()
    refused(outer(signatures=[{"keyid": SIGNER.key_id, "sig": sig}]), "does not hold")
    refused(outer(payloadType="text/plain"), "not canonical")
    bare = base64.b64encode(SIGNER.sign(payload)).decode()
    refused(outer(signatures=[{"keyid": SIGNER.key_id, "sig": bare}]), "does not hold")


def test_base64_that_says_the_same_in_other_letters_fails() -> None:
    payload = json.loads(ENVELOPE)["payload"]
    (one,) = json.loads(ENVELOPE)["signatures"]
    assert one["sig"].endswith("==")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = letters.index(one["sig"][-3])
    for other in range(last + 1, min(last + 16, 64)):
        twin = one["sig"][:-3] + letters[other] + "=="
        if base64.b64decode(twin) == base64.b64decode(one["sig"]):
            refused(outer(signatures=[{**one, "sig": twin}]), "not canonical")
            break
    else:
        pytest.fail("found no second spelling of the signature")
    for spelled in (payload + "\n", payload + "=", payload.replace("e", "e\n", 1), " " + payload):
        refused(outer(payload=spelled))


def test_json_that_says_the_same_in_another_form_fails() -> None:
    plain = json.loads(ENVELOPE)
    refused(json.dumps(plain).encode(), "not canonical")
    refused(b'{"payload":"x",' + ENVELOPE[1:], "not canonical")
    refused(ENVELOPE[:-1] + b',"unsigned":1}', "not canonical")
    refused(ENVELOPE.replace(b"keyid", b"key\\u0069d"), "not canonical")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"\xff",
        b'{"_type":"https://in-toto.io/Statement/v1"}',
        b'{"a":1.5}',
        b"[" * 100_000,
    ],
    ids=["empty", "null", "list", "object", "text", "not-utf-8", "half", "float", "deep"],
)
def test_a_signed_payload_that_is_no_statement_fails(payload: bytes) -> None:
    refused(signed(payload), "damaged|not canonical")


def test_a_signed_statement_in_another_form_or_of_another_type_fails() -> None:
    inner = json.loads(base64.b64decode(json.loads(ENVELOPE)["payload"]))
    refused(signed(json.dumps(inner).encode()), "not canonical")
    refused(signed(canonical(inner | {"_type": "https://in-toto.io/Statement/v0.1"})), "not an in-toto Statement v1")
    refused(signed(canonical(inner | {"predicateType": "https://elsewhere.org/question/v1"})), "unknown predicate type")
    refused(signed(canonical(inner | {"subject": [{"name": "study"}]})), "damaged")


@pytest.mark.parametrize("broken", [b"", b"null", b"[]", b"{}", b"0", b"\xff", b"[" * 100_000, b'{"payload":1}'])
def test_what_is_no_envelope_fails(broken: bytes) -> None:
    refused(broken, "not a signed envelope")


def test_a_float_cannot_be_signed() -> None:
    with pytest.raises(Invalid):
        seal(Statement(predicate_type="answer/v1", predicate={"auroc": 0.8}, subjects=()), SIGNER)


def test_a_question_is_no_answer_and_the_other_way_round() -> None:
    """Both are signed; what one key may say in one kind of record must not count as another."""
    answer = seal(Statement(predicate_type="answer/v1", predicate={}, subjects=()), SIGNER)
    with pytest.raises(Broken, match="expected an answer"):
        open_answer(ENVELOPE, site_key=SIGNER.public_key)
    with pytest.raises(Broken, match="expected a question"):
        open_question(answer, hub_key=SIGNER.public_key)


@pytest.mark.parametrize("predicate", [{}, {"number": "x"}, {"words": "caf\u00e9"}], ids=["empty", "type", "unknown"])
def test_a_signed_question_or_answer_that_is_malformed_is_broken(predicate: dict[str, Any]) -> None:
    question = seal(Statement(predicate_type="question/v1", predicate=predicate, subjects=()), SIGNER)
    answer = seal(Statement(predicate_type="answer/v1", predicate=predicate, subjects=()), SIGNER)
    with pytest.raises(Broken):
        open_question(question, hub_key=SIGNER.public_key)
    with pytest.raises(Broken):
        open_answer(answer, site_key=SIGNER.public_key)

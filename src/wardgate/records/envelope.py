"""Signed envelopes: in-toto statements in DSSE, Ed25519, canonical bytes on disk.

Reference: DSSE v1 (secure-systems-lab/dsse), in-toto Attestation Framework, Statement v1.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope

from wardgate.records.canonical import canonical, sha256
from wardgate.records.errors import Broken, Invalid

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATES = "https://wardgate.org/attest/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What an envelope says.

    Attributes:
        predicate_type: The kind of record, without the common prefix, e.g. `answer/v1`.
        predicate: The record's plain form.
        subjects: (name, SHA-256) of what the record speaks of.
        key_id: SHA-256 of the public key that signed it; filled when opened.
    """

    predicate_type: str
    predicate: Mapping[str, Any]
    subjects: tuple[tuple[str, str], ...]
    key_id: str = ""


class Signer:
    """An Ed25519 key that never leaves the side that made it.

    Args:
        seed: 32 bytes from `wardgate.entropy`.
    """

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()
        self.key_id = sha256(self.public_key)

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature of `data`."""
        return self._key.sign(data)


def seal(statement: Statement, signer: Signer) -> bytes:
    """Sign a statement and return the canonical bytes of its envelope."""
    payload = canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in statement.subjects],
            "predicateType": PREDICATES + statement.predicate_type,
            "predicate": statement.predicate,
        }
    )
    signature = signer.sign(_pae(payload))
    return canonical(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": signer.key_id, "sig": base64.b64encode(signature).decode()}],
        }
    )


def unseal(envelope: bytes, *, keys: Sequence[bytes]) -> Statement:
    """Verify an envelope and return what it says.

    Args:
        envelope: Bytes written by `seal`.
        keys: Raw Ed25519 public keys, one of which must have signed.

    Raises:
        Broken: not the canonical bytes of an envelope with one valid signature by one of `keys`.
    """
    try:
        outer = json.loads(envelope)
        payload = base64.b64decode(outer["payload"], validate=True)
        (signature,) = outer["signatures"]
        key_id, sig = signature["keyid"], base64.b64decode(signature["sig"], validate=True)
        canonical_form = canonical(
            {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": key_id, "sig": base64.b64encode(sig).decode()}],
            }
        )
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error, Invalid) as error:
        raise Broken("not a signed envelope: its form is damaged") from error
    if canonical_form != envelope:
        raise Broken("not a signed envelope: the bytes are not canonical, so something was altered")
    key = next((key for key in keys if sha256(key) == key_id), None)
    if key is None:
        raise Broken(f"signed by a key that is not expected here (key id {str(key_id)[:16]})")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(sig, _pae(payload))
    except InvalidSignature:
        raise Broken(f"the signature does not hold (key id {key_id[:16]})") from None
    return _read(payload, key_id)


def _read(payload: bytes, key_id: str) -> Statement:
    try:
        inner = json.loads(payload)
        if canonical(inner) != payload or inner["_type"] != STATEMENT_TYPE:
            raise Broken("the signed statement is not canonical or not an in-toto Statement v1")
        predicate_type = inner["predicateType"]
        if not predicate_type.startswith(PREDICATES):
            raise Broken(f"unknown predicate type {predicate_type}")
        return Statement(
            predicate_type=predicate_type.removeprefix(PREDICATES),
            predicate=inner["predicate"],
            subjects=tuple((item["name"], item["digest"]["sha256"]) for item in inner["subject"]),
            key_id=key_id,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Invalid) as error:
        raise Broken("the signed statement is damaged") from error


def _pae(payload: bytes) -> bytes:
    return bytes(Envelope(payload, PAYLOAD_TYPE, {}).pae())

"""Whose keys a reader trusts, and one person's own key as it lies in a file."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from wardgate.records.approval import ROLES, Role
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer
from wardgate.records.errors import Invalid
from wardgate.records.record import Name, Record

KEYS = "wardgate/keys/1"
KEY = "wardgate/key/1"

Holder = Literal["hub", "site", "privacy_officer", "second_person"]

Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes in lower-case hexadecimal."""


class Enrolled(Record):
    """One public key, whose it is and what it may sign. `simulated` keys bind nobody."""

    name: Name
    role: Holder
    public_key: Hex32
    simulated: bool = False

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the public key."""
        return bytes.fromhex(self.public_key)

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key."""
        return sha256(self.raw)


class Keyring(Record):
    """The keys that a reader trusts, known from elsewhere than the certificate."""

    schema_: Literal["wardgate/keys/1"] = Field(default="wardgate/keys/1", alias="schema")
    keys: tuple[Enrolled, ...]

    @property
    def issuers(self) -> tuple[bytes, ...]:
        """Keys that may issue certificates: those of sites and hubs."""
        return tuple(key.raw for key in self.keys if key.role in ("site", "hub"))

    @property
    def approvers(self) -> Mapping[Role, tuple[bytes, ...]]:
        """Keys that may approve, by role."""
        return {role: tuple(key.raw for key in self.keys if key.role == role) for role in ROLES}

    def find(self, key_id: str) -> tuple[Enrolled, ...]:
        """Return every entry of one key."""
        return tuple(key for key in self.keys if key.key_id == key_id)


def read_keyring(data: bytes) -> Keyring:
    """Read a keyring, or the roster of a run (`evidence/roster.json`).

    Raises:
        Invalid: neither of them, or a key stands in it under two names.
    """
    plain = _json(data, what="a file of keys")
    if isinstance(plain, dict) and "parties" in plain:
        plain = {"schema": KEYS, "keys": plain["parties"]}
    ring = Keyring.from_plain(plain)
    names: dict[str, str] = {}
    for key in ring.keys:
        if names.setdefault(key.public_key, key.name) != key.name:
            raise Invalid(
                f"the key {key.key_id[:16]} is enrolled under two names, '{names[key.public_key]}' and"
                f" '{key.name}'; everybody has a key of their own"
            )
    return ring


class KeyFile(Record):
    """A private key as it lies in a file that its owner alone can read. It is never printed or logged.

    Attributes:
        seed: The 32 secret bytes, in hexadecimal.
    """

    schema_: Literal["wardgate/key/1"] = Field(default="wardgate/key/1", alias="schema")
    name: Name
    role: Holder
    seed: Hex32 = Field(repr=False)
    simulated: bool = False

    @property
    def signer(self) -> Signer:
        """The key, ready to sign."""
        return Signer(bytes.fromhex(self.seed))

    @property
    def public(self) -> Enrolled:
        """What others enrol."""
        return Enrolled(
            name=self.name, role=self.role, public_key=self.signer.public_key.hex(), simulated=self.simulated
        )


def read_key(data: bytes) -> KeyFile:
    """Read a private key.

    Raises:
        Invalid: it is none. The message quotes nothing of it.
    """
    return KeyFile.from_plain(_json(data, what="a private key"))


def _json(data: bytes, *, what: str) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Invalid(f"expected {what} in JSON; found something else") from None

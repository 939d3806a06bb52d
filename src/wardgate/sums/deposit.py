"""What a site deposits before a batch of sums: locked pair seeds, commitments, and sealed shares for its partners.

    deposit  = magic | batch digest (32) | salt (16) | commitments | locks | packets
    commitments: for each slot, SHA-256 over label, slot name, site and self seed (32)
    locks:       for each slot, the pair seeds with all partners (16 each) under the lock key, with its tag (16)
    packets:     for each partner: for each slot its shares of self seed (16) and lock key (16); one tag (16)

Partners stand in the order of `Batch.partners`, slots in theirs. All sealing is ChaCha20-Poly1305 (RFC 8439) with
nonce zero under a key that seals once.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from wardgate.records.errors import Broken, Invalid
from wardgate.sums.batch import Batch, slot_name
from wardgate.sums.shamir import SHARE_BYTES, from_bytes

MAGIC = b"WGDEPOS1"
SEED_BYTES = 16
SALT_BYTES = 16
_TAG_BYTES = 16
_DIGEST_BYTES = 32
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """One site's deposit, read.

    Attributes:
        salt: Makes the keys of the packets new in every deposit.
        commitments: To the self seed, for each slot.
        locks: Sealed pair seeds, for each slot.
        packets: Sealed shares, by partner.
    """

    salt: bytes
    commitments: tuple[bytes, ...]
    locks: tuple[bytes, ...]
    packets: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a site holds of one partner in one slot: a share of its self seed, and one of its lock key."""

    self_share: int
    lock_share: int


def pair_seed(secret: bytes, *, slot: bytes) -> bytes:
    """Return the 16-byte seed of a pair of sites in one slot: HMAC-SHA256 under their secret, cut to 128 bits."""
    return hmac.digest(secret, b"wardgate/pair-seed/1\x00" + slot, hashlib.sha256)[:SEED_BYTES]


def self_key(seed: bytes, *, site: str, context: bytes) -> bytes:
    """Return the key of a site's self mask under one plan: HMAC-SHA256 under its self seed."""
    return hmac.digest(seed, b"wardgate/self-mask/1\x00" + context + site.encode(), hashlib.sha256)


def commitment(seed: bytes, *, site: str, slot: bytes) -> bytes:
    """Return the public commitment to a self seed, by which a reconstructed one is known to be right."""
    return hashlib.sha256(b"wardgate/self-seed/1\x00" + slot + site.encode() + b"\x00" + seed).digest()


def lock(seeds: Sequence[bytes], *, key: bytes, site: str, slot: bytes) -> bytes:
    """Seal a site's pair seeds of one slot under its lock key."""
    return ChaCha20Poly1305(_lock_key(key, site, slot)).encrypt(_NONCE, b"".join(seeds), slot)


def unlock(sealed: bytes, *, key: bytes, site: str, slot: bytes) -> list[bytes] | None:
    """Return the pair seeds, or None if the key is not the one."""
    try:
        data = ChaCha20Poly1305(_lock_key(key, site, slot)).decrypt(_NONCE, sealed, slot)
    except InvalidTag:
        return None
    return [data[start : start + SEED_BYTES] for start in range(0, len(data), SEED_BYTES)]


def seal(shares: Sequence[Held], *, secret: bytes, salt: bytes, batch: Batch, sender: str, recipient: str) -> bytes:
    """Seal one partner's shares of all slots."""
    data = b"".join(
        one.self_share.to_bytes(SHARE_BYTES, "little") + one.lock_share.to_bytes(SHARE_BYTES, "little")
        for one in shares
    )
    return ChaCha20Poly1305(_packet_key(secret, salt, batch, sender, recipient)).encrypt(_NONCE, data, batch.digest)


def unseal(packet: bytes, *, secret: bytes, batch: Batch, sender: str, recipient: str) -> tuple[Held, ...]:
    """Open a packet, as `packet_for` cuts it out of a deposit.

    Raises:
        Broken: it was not sealed by `sender` for `recipient` in this batch, or it holds no shares.
    """
    salt, sealed = packet[:SALT_BYTES], packet[SALT_BYTES:]
    try:
        data = ChaCha20Poly1305(_packet_key(secret, salt, batch, sender, recipient)).decrypt(
            _NONCE, sealed, batch.digest
        )
        numbers = [from_bytes(data[start : start + SHARE_BYTES]) for start in range(0, len(data), SHARE_BYTES)]
    except (InvalidTag, Invalid, ValueError) as error:
        raise Broken(
            f"the shares of '{sender}' for '{recipient}' do not open: another key, batch or roster was used, or they"
            " were altered; compare the enrolments, or leave the sender out"
        ) from error
    if len(numbers) != 2 * batch.slots:
        raise Broken(f"'{sender}' sealed {len(numbers)} shares, expected {2 * batch.slots}; leave it out")
    return tuple(Held(self_share=numbers[2 * index], lock_share=numbers[2 * index + 1]) for index in range(batch.slots))


def deposit_size(batch: Batch) -> int:
    """Return the bytes of a deposit."""
    each_slot = _DIGEST_BYTES + _lock_size(batch)
    return len(MAGIC) + _DIGEST_BYTES + SALT_BYTES + batch.slots * each_slot + batch.holders * _packet_size(batch)


def write_deposit(batch: Batch, deposit: Deposit, *, site: str) -> bytes:
    """Return the bytes of a deposit."""
    packets = [deposit.packets[other] for other in batch.partners(site)]
    return b"".join([MAGIC, batch.digest, deposit.salt, *deposit.commitments, *deposit.locks, *packets])


def read_deposit(batch: Batch, data: bytes, *, site: str) -> Deposit:
    """Read a site's deposit.

    Raises:
        Broken: not a deposit of this batch.
    """
    if data[: len(MAGIC)] != MAGIC or len(data) != deposit_size(batch):
        raise Broken(f"the deposit of '{site}' has {len(data)} bytes, expected {deposit_size(batch)}; leave it out")
    place = len(MAGIC) + _DIGEST_BYTES
    if data[len(MAGIC) : place] != batch.digest:
        raise Broken(f"the deposit of '{site}' is for another batch; leave it out")
    salt = data[place : place + SALT_BYTES]
    place += SALT_BYTES
    commitments = _cut(data, place, _DIGEST_BYTES, batch.slots)
    place += batch.slots * _DIGEST_BYTES
    locks = _cut(data, place, _lock_size(batch), batch.slots)
    place += batch.slots * _lock_size(batch)
    packets = _cut(data, place, _packet_size(batch), batch.holders)
    return Deposit(
        salt=salt,
        commitments=commitments,
        locks=locks,
        packets=dict(zip(batch.partners(site), packets, strict=True)),
    )


def packet_for(batch: Batch, data: bytes, *, sender: str, recipient: str) -> bytes:
    """Cut out of the sender's deposit what its partner `recipient` must get: the salt and the sealed shares.

    Raises:
        Broken: not a deposit of this batch.
        Invalid: the two are no partners.
    """
    deposit = read_deposit(batch, data, site=sender)
    if recipient not in deposit.packets:
        raise Invalid(f"'{recipient}' is no mask partner of '{sender}'")
    return deposit.salt + deposit.packets[recipient]


def _cut(data: bytes, start: int, size: int, count: int) -> tuple[bytes, ...]:
    return tuple(data[start + size * index : start + size * (index + 1)] for index in range(count))


def _lock_size(batch: Batch) -> int:
    return batch.holders * SEED_BYTES + _TAG_BYTES


def _packet_size(batch: Batch) -> int:
    return batch.slots * 2 * SHARE_BYTES + _TAG_BYTES


def _lock_key(key: bytes, site: str, slot: bytes) -> bytes:
    return hmac.digest(key, b"wardgate/pair-lock/1\x00" + slot + site.encode(), hashlib.sha256)


def _packet_key(secret: bytes, salt: bytes, batch: Batch, sender: str, recipient: str) -> bytes:
    label = b"wardgate/share-packet/1\x00" + salt + batch.digest
    names = b"".join(len(name.encode()).to_bytes(4, "big") + name.encode() for name in (sender, recipient))
    return hmac.digest(secret, label + names, hashlib.sha256)


def all_slots(batch: Batch) -> list[bytes]:
    """Return the names of the batch's slots."""
    return [slot_name(batch, index) for index in range(batch.slots)]

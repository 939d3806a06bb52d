"""The append-only Merkle log of one party, and its signed head.

A leaf is the canonical JSON of one event and holds digests only. Reference: RFC 9162, section 2.1
(hashing, inclusion and consistency proofs); the head follows the C2SP checkpoint layout (origin, size, root).
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from wardgate.records.errors import Broken, Invalid


def leaf_hash(leaf: bytes) -> bytes:
    """Return SHA-256(0x00 || leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash of leaf hashes (RFC 9162, 2.1.1). The empty tree hashes the empty string."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    peaks: list[tuple[int, bytes]] = []
    for item in hashes:
        size, value = 1, item
        while peaks and peaks[-1][0] == size:
            value = _node(peaks.pop()[1], value)
            size *= 2
        peaks.append((size, value))
    value = peaks.pop()[1]
    while peaks:
        value = _node(peaks.pop()[1], value)
    return value


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the audit path of leaf `index` (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < len(hashes):
        raise Invalid(f"the log has {len(hashes)} leaves; there is no leaf {index}")
    if len(hashes) == 1:
        return ()
    k = _split(len(hashes))
    if index < k:
        return (*inclusion_proof(hashes[:k], index), root(hashes[k:]))
    return (*inclusion_proof(hashes[k:], index - k), root(hashes[:k]))


def check_inclusion(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], head: bytes) -> None:
    """Check an audit path (RFC 9162, 2.1.3.2).

    Raises:
        Broken: the leaf is not at `index` in the tree of `size` leaves with root `head`.
    """
    if not 0 <= index < size:
        raise Broken("log inclusion: the index lies outside the tree")
    fn, sn, value = index, size - 1, leaf_hash(leaf)
    for part in proof:
        if sn == 0:
            raise Broken("log inclusion: the proof is too long")
        if fn & 1 or fn == sn:
            value = _node(part, value)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            value = _node(value, part)
        fn >>= 1
        sn >>= 1
    if sn != 0 or value != head:
        raise Broken("log inclusion: the record is not in the log under this head")


def consistency_proof(hashes: Sequence[bytes], earlier: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of `earlier` leaves is a prefix of this one (RFC 9162, 2.1.4.1)."""
    if not 0 < earlier <= len(hashes):
        raise Invalid(f"expected an earlier size from 1 to {len(hashes)}, found {earlier}")

    def sub(part: Sequence[bytes], m: int, whole: bool) -> tuple[bytes, ...]:
        if m == len(part):
            return () if whole else (root(part),)
        k = _split(len(part))
        if m <= k:
            return (*sub(part[:k], m, whole), root(part[k:]))
        return (*sub(part[k:], m - k, False), root(part[:k]))

    return sub(hashes, earlier, True)


def check_consistency(*, earlier: int, earlier_head: bytes, size: int, head: bytes, proof: Sequence[bytes]) -> None:
    """Check that a log only grew (RFC 9162, 2.1.4.2).

    Raises:
        Broken: the earlier head is not a prefix of the later one.
    """
    broken = Broken("log consistency: the log was rewritten between the two heads")
    if not 0 < earlier <= size:
        raise broken
    if earlier == size:
        if proof or earlier_head != head:
            raise broken
        return
    path = list(proof)
    if earlier & (earlier - 1) == 0:
        path.insert(0, earlier_head)
    if not path:
        raise broken
    fn, sn = earlier - 1, size - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    first = second = path[0]
    for part in path[1:]:
        if sn == 0:
            raise broken
        if fn & 1 or fn == sn:
            first, second = _node(part, first), _node(part, second)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            second = _node(second, part)
        fn >>= 1
        sn >>= 1
    if sn != 0 or first != earlier_head or second != head:
        raise broken


@dataclass(slots=True)
class MerkleLog:
    """A growing log. Append-only: nothing here removes or replaces a leaf."""

    origin: str
    leaves: list[bytes] = field(default_factory=list)
    _hashes: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> int:
        """Add a leaf and return its index."""
        self.leaves.append(leaf)
        self._hashes.append(leaf_hash(leaf))
        return len(self.leaves) - 1

    @property
    def hashes(self) -> Sequence[bytes]:
        """All leaf hashes, oldest first."""
        return self._hashes

    def checkpoint(self) -> str:
        """Return the unsigned head: origin, size and root, one a line (C2SP tlog-checkpoint)."""
        return f"{self.origin}\n{len(self.leaves)}\n{base64.b64encode(root(self._hashes)).decode()}\n"

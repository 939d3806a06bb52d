"""Masks: uniform for everybody else, and zero in the sum."""

from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from wardgate.sums.keys import sum_key
from wardgate.sums.ring import Ring, Word

_NONCE = bytes(16)
"""Constant: every key is used for one sum only."""

_CHUNK = 2**17
"""Bytes of key stream at a time: they stay in the cache, so a mask of a million entries makes no large copy."""

_ZEROS = memoryview(bytes(_CHUNK))


def keystream(key: bytes, *, entries: int, word: Word = "<u8") -> Ring:
    """Expand a 32-byte key to uniform ring elements: ChaCha20 from block 0, little-endian words. Shape (entries,)."""
    total = np.zeros(entries, dtype=word)
    add_stream(total, key)
    return total


def add_stream(total: Ring, key: bytes, *, negative: bool = False) -> None:
    """Add the key's stream to `total` in place, or subtract it."""
    flat = total.view(np.uint8)
    room = bytearray(min(_CHUNK, len(flat)))
    stream = Cipher(ChaCha20(key, _NONCE), mode=None).encryptor()
    view, words = memoryview(room), np.frombuffer(room, dtype=total.dtype)
    combine = np.subtract if negative else np.add
    for start in range(0, len(flat), _CHUNK):
        count = min(_CHUNK, len(flat) - start)
        stream.update_into(_ZEROS[:count], view[:count])
        part = total[start // total.itemsize : (start + count) // total.itemsize]
        combine(part, words[: len(part)], out=part)


def add_masks(total: Ring, *, site: str, pair_secrets: Mapping[str, bytes], context: bytes) -> None:
    """Add to `total`, in place, what `site` adds to its vector; see `net_mask`."""
    for other, secret in pair_secrets.items():
        add_stream(total, sum_key(secret, context=context), negative=site > other)


def net_mask(*, site: str, pair_secrets: Mapping[str, bytes], context: bytes, entries: int) -> NDArray[np.uint64]:
    """Return what `site` adds to its vector: + for each partner later in the alphabet, - for each earlier one.

    Over all sites of a graph these masks cancel. Never use one `context` for two vectors: their difference
    would lie open.

    Args:
        site: Who masks.
        pair_secrets: The secret with each partner, and with nobody else.
        context: Bytes that name this sum and no other.
        entries: Length of the vector.

    Returns:
        Shape (entries,), modulo 2^64.
    """
    total = np.zeros(entries, dtype=np.uint64)
    add_masks(total, site=site, pair_secrets=pair_secrets, context=context)
    return total

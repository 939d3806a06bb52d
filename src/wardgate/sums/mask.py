"""Pairwise masks: uniform for everybody else, and zero in the sum."""

from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from wardgate.sums.keys import sum_key

_NONCE = bytes(16)
"""Constant: every key is used for one sum only."""


def keystream(key: bytes, *, entries: int) -> NDArray[np.uint64]:
    """Expand a 32-byte key to uniform ring elements: ChaCha20 from block 0, little-endian words. Shape (entries,)."""
    stream = Cipher(ChaCha20(key, _NONCE), mode=None).encryptor().update(bytes(8 * entries))
    return np.frombuffer(stream, dtype="<u8")


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
    for other, secret in pair_secrets.items():
        stream = keystream(sum_key(secret, context=context), entries=entries)
        if site < other:
            np.add(total, stream, out=total)
        else:
            np.subtract(total, stream, out=total)
    return total

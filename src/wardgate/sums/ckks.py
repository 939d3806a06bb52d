"""The one door to TenSEAL: integers on a grid in, CKKS ciphertexts out, and back.

A vector is cut into blocks of 2,048 entries, one ciphertext each:
    blob = magic | for each block: its length (4 bytes, big-endian) | the ciphertext as TenSEAL writes it
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid, Refused, Unsupported

DEGREE = 4096
MODULI_BITS = (36, 36, 37)
"""109 bits, the most that the homomorphic encryption standard allows for 128-bit security at degree 4096."""

SLOTS = DEGREE // 2
SCALE = 2.0**30
"""Of the encoding. Totals of 2^40 grid steps times 2^30 stay within half of the 72 bits of the data modulus."""

GRID_BITS = 40
"""A total has at most 2^40 grid steps, so that float64 in encoding and decoding stays far below half of one."""

LARGEST_ERROR = 0.25
"""In grid steps; expected are below 2^-8. Beyond, rounding might depend on the encryption noise: nothing leaves."""

MAGIC = b"WGCKKS01"

Grid = NDArray[np.int64]


def new_context() -> Any:
    """Make parameters with a fresh secret key.

    Encryption is symmetric: there is no public key, and whoever lacks the secret key cannot even encrypt.

    Raises:
        Unsupported: the extra `he` is not installed.
    """
    library = tenseal()
    return library.context(
        library.SCHEME_TYPE.CKKS,
        poly_modulus_degree=DEGREE,
        coeff_mod_bit_sizes=list(MODULI_BITS),
        encryption_type=library.ENCRYPTION_TYPE.SYMMETRIC,
    )


def context_bytes(context: Any, *, secret: bool) -> bytes:
    """Write the parameters, with or without the secret key; with no other key."""
    return bytes(
        context.serialize(save_public_key=False, save_secret_key=secret, save_galois_keys=False, save_relin_keys=False)
    )


def read_context(data: bytes) -> Any:
    """Read what `context_bytes` wrote.

    Raises:
        Invalid: it cannot be read.
        Unsupported: the extra `he` is not installed.
    """
    library = tenseal()
    try:
        return library.context_from(data)
    except (ValueError, RuntimeError, TypeError):
        raise Invalid("the study's encryption parameters cannot be read; have them sent again") from None


def encrypt(context: Any, steps: Grid) -> bytes:
    """Encrypt integers of at most 2^40, shape (entries,)."""
    library = tenseal()
    blocks = (steps[start : start + SLOTS].astype(np.float64).tolist() for start in range(0, len(steps), SLOTS))
    return _join(library.ckks_vector(context, block, SCALE) for block in blocks)


def add(context: Any, blobs: Sequence[bytes], *, entries: int) -> bytes:
    """Add ciphertexts. The same blobs in the same order give the same bytes, with and without the secret key.

    Raises:
        Invalid: one cannot be read, has another length, or another scale.
    """
    summed: list[Any] = []
    for blob in blobs:
        blocks = _blocks(context, blob, entries)
        try:
            summed = [one + other for one, other in zip(summed, blocks, strict=True)] if summed else blocks
        except (ValueError, RuntimeError):
            raise Invalid("two ciphertexts have different scales; one was not made by this protocol") from None
    return _join(summed)


def decrypt(context: Any, blob: bytes, *, entries: int) -> Grid:
    """Decrypt and round: exact integers, which say nothing of the encryption noise.

    Raises:
        Refused: an entry is not clearly next to an integer.
        Invalid: it cannot be read.
    """
    found = np.concatenate([np.asarray(block.decrypt(), dtype=np.float64) for block in _blocks(context, blob, entries)])
    steps = np.rint(found)
    if not np.all(np.isfinite(found)) or float(np.max(np.abs(found - steps))) > LARGEST_ERROR:
        raise Refused("the total is too noisy to round, so an addend was not made by this protocol; nothing leaves")
    return np.asarray(steps, dtype=np.int64)


def _join(blocks: Iterable[Any]) -> bytes:
    written = (bytes(block.serialize()) for block in blocks)
    return MAGIC + b"".join(len(one).to_bytes(4, "big") + one for one in written)


def _blocks(context: Any, blob: bytes, entries: int) -> list[Any]:
    library = tenseal()
    found = []
    place = len(MAGIC)
    for start in range(0, entries, SLOTS):
        length = int.from_bytes(blob[place : place + 4], "big")
        place += 4 + length
        try:
            block = library.ckks_vector_from(context, blob[place - length : place])
            whole = list(block.shape) == [min(SLOTS, entries - start)] and len(block.ciphertext()) == 1
        except (ValueError, RuntimeError, TypeError):
            whole = False
        if not whole:
            raise Invalid(f"a ciphertext cannot be read; expected {entries} entries in blocks of {SLOTS}")
        found.append(block)
    if blob[: len(MAGIC)] != MAGIC or place != len(blob):
        raise Invalid(f"ciphertexts of another form or length than {entries} entries give")
    return found


def tenseal() -> Any:
    """Return the library, imported when first needed, so that the core works without it.

    Raises:
        Unsupported: the extra `he` is not installed.
    """
    try:
        import tenseal as library  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise Unsupported("encrypted sums need the extra 'he'; install 'wardgate[he]', or sum with masks") from None
    return library

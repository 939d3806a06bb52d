"""A model's canonical JSON as a vector: it travels, is signed and is listed for an opening like any coefficients."""

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.records.errors import Invalid

BYTES = 6
"""Bytes in one double: integers below 2^48, all of which a double holds exactly."""

MOST_BYTES = 64 * 2**20


def carried(data: bytes) -> Vector:
    """Return the length, then the bytes in little-endian groups of six, as doubles.

    Raises:
        Invalid: nothing to carry, or more than 64 MiB.
    """
    if not 1 <= len(data) <= MOST_BYTES:
        raise Invalid(f"expected a model of 1 to {MOST_BYTES} bytes, found {len(data)}")
    padded = data + bytes(-len(data) % BYTES)
    groups = np.frombuffer(padded, dtype=np.uint8).reshape(-1, BYTES).astype(np.float64)
    return np.concatenate([[float(len(data))], groups @ 256.0 ** np.arange(BYTES)])


def unloaded(vector: Vector) -> bytes:
    """Return the bytes that `carried` made a vector of.

    Raises:
        Invalid: the vector carries no bytes.
    """
    whole = vector.ndim == 1 and len(vector) > 1 and bool(np.all((vector == np.rint(vector)) & (vector >= 0)))
    if not whole or not 1 <= vector[0] <= MOST_BYTES or bool(np.any(vector[1:] >= 256.0**BYTES)):
        raise Invalid("the vector beside the question carries no model")
    length = int(vector[0])
    if len(vector) - 1 != -(-length // BYTES):
        raise Invalid("the model beside the question is cut short or too long")
    groups = vector[1:].astype(np.uint64)[:, None] >> (8 * np.arange(BYTES, dtype=np.uint64)) & np.uint64(255)
    flat = groups.astype(np.uint8).tobytes()
    if any(flat[length:]):
        raise Invalid("the model beside the question is followed by other bytes")
    return flat[:length]

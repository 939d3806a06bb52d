"""What travels: one signed envelope and the raw bytes it speaks of, content-addressed."""

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.record import Digest, Record

_MAGIC = b"WGPARCEL1"

MOST_ENVELOPE = 64 * 2**20
"""Bytes of an envelope; what is larger travels as a blob beside it."""


MOST_PARTS = 2**16
"""Envelope and blobs of one parcel: a frame that names more would cost its reader more than its sender."""


class VectorRef(Record):
    """A raw little-endian vector beside the record: digest, dtype and shape are signed, the bytes travel raw."""

    name: str
    sha256: Digest
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Parcel:
    """An envelope and its blobs, in the order in which the signed record names them."""

    envelope: bytes
    blobs: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that cross the wall."""
        return len(self.envelope) + sum(len(blob) for blob in self.blobs)

    def to_bytes(self) -> bytes:
        """Return one framed byte string."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """Yield the framed byte string in pieces, so that a large parcel is not copied."""
        yield _MAGIC + struct.pack("<I", 1 + len(self.blobs))
        for part in (self.envelope, *self.blobs):
            yield struct.pack("<Q", len(part))
            yield part

    @classmethod
    def from_bytes(cls, data: bytes) -> "Parcel":
        """Read what `to_bytes` wrote.

        Raises:
            Broken: truncated, too long, or not a parcel.
        """
        if data[: len(_MAGIC)] != _MAGIC or len(data) < len(_MAGIC) + 4:
            raise Broken("not a parcel: the first bytes are wrong")
        (count,) = struct.unpack_from("<I", data, len(_MAGIC))
        if count > MOST_PARTS:
            raise Broken(f"a parcel says that it has {count} parts; none has more than {MOST_PARTS}")
        position, parts = len(_MAGIC) + 4, []
        for _ in range(count):
            if position + 8 > len(data):
                raise Broken("a parcel is truncated")
            (length,) = struct.unpack_from("<Q", data, position)
            position += 8
            if position + length > len(data):
                raise Broken("a parcel is truncated")
            parts.append(data[position : position + length])
            position += length
        if position != len(data) or not parts:
            raise Broken("a parcel has bytes that nobody declared")
        return cls(parts[0], tuple(parts[1:]))


def read_envelope(stream: BinaryIO) -> bytes:
    """Return the envelope of a parcel that may be large, and read nothing else of it.

    Raises:
        Broken: truncated, or not a parcel.
    """
    start = stream.read(len(_MAGIC) + 12)
    if start[: len(_MAGIC)] != _MAGIC or len(start) < len(_MAGIC) + 12:
        raise Broken("not a parcel: the first bytes are wrong")
    (length,) = struct.unpack_from("<Q", start, len(_MAGIC) + 4)
    if length > MOST_ENVELOPE:
        raise Broken(f"a parcel's envelope says that it has {length} bytes; none is longer than {MOST_ENVELOPE}")
    envelope = stream.read(length)
    if len(envelope) != length:
        raise Broken("a parcel is truncated")
    return envelope


def check_frame(stream: BinaryIO, *, size: int) -> bytes:
    """Check that a parcel's parts fill a file exactly, without reading its blobs; return its envelope.

    Args:
        stream: At the beginning of the parcel; can be sought.
        size: Of the file, in bytes.

    Raises:
        Broken: `from_bytes` would not read it, or its envelope is too long.
    """
    start = stream.read(len(_MAGIC) + 4)
    if start[: len(_MAGIC)] != _MAGIC or len(start) < len(_MAGIC) + 4:
        raise Broken("not a parcel: the first bytes are wrong")
    (count,) = struct.unpack_from("<I", start, len(_MAGIC))
    if not 1 <= count <= MOST_PARTS:
        raise Broken(f"a parcel says that it has {count} parts; expected 1 to {MOST_PARTS}")
    position = len(start)
    for _ in range(count):
        stream.seek(position)
        header = stream.read(8)
        if len(header) < 8 or position + 8 + int.from_bytes(header, "little") > size:
            raise Broken("a parcel is truncated")
        position += 8 + int.from_bytes(header, "little")
    if position != size:
        raise Broken("a parcel has bytes that nobody declared")
    stream.seek(0)
    return read_envelope(stream)


def check_blobs(named: Sequence[tuple[str, str]], parcel: Parcel) -> None:
    """Check that exactly the named blobs are there, in their order.

    Args:
        named: (name, SHA-256) of each, as the signed record has them.

    Raises:
        Broken: a blob is missing, altered, or nobody declared it.
    """
    if len(named) != len(parcel.blobs):
        raise Broken(f"the record names {len(named)} blobs, the parcel holds {len(parcel.blobs)}")
    for (name, digest), blob in zip(named, parcel.blobs, strict=True):
        if sha256(blob) != digest:
            raise Broken(f"blob '{name}' does not match its signed digest")


def pack_vector(name: str, vector: NDArray[np.generic]) -> tuple[VectorRef, bytes]:
    """Return the signed reference and the raw little-endian bytes of a vector."""
    little = np.asarray(vector, dtype=vector.dtype.newbyteorder("<"), order="C")
    data = little.tobytes()
    return VectorRef(name=name, sha256=sha256(data), dtype=little.dtype.str, shape=tuple(little.shape)), data


def pack_bytes(name: str, data: bytes) -> tuple[VectorRef, bytes]:
    """Return the signed reference of an opaque blob."""
    return VectorRef(name=name, sha256=sha256(data), dtype="|u1", shape=(len(data),)), data


def unpack_vector(ref: VectorRef, data: bytes) -> NDArray[np.generic]:
    """Return the vector.

    Raises:
        Broken: the bytes do not match the signed digest, dtype or shape.
    """
    if sha256(data) != ref.sha256:
        raise Broken(f"vector '{ref.name}': the bytes do not match the signed digest")
    if ref.dtype not in ("<f8", "<u8", "<u4", "<i8", "|u1"):
        raise Broken(f"vector '{ref.name}': unexpected dtype {ref.dtype}")
    count = math.prod(ref.shape)
    if min(ref.shape, default=0) < 0 or len(data) != count * np.dtype(ref.dtype).itemsize:
        raise Broken(f"vector '{ref.name}': the bytes do not match the signed shape")
    return np.frombuffer(data, dtype=ref.dtype).reshape(ref.shape)

"""What two ends of the road say to each other: one request, one reply, read strictly and never trusted.

A frame is `WGR1`, the kind (one byte), the length of the head (uint32, little endian), the head (canonical JSON) and
the raw bytes up to the end. Greetings keep this form in all versions to come, so that two ends can always tell each
other who has to upgrade.
"""

import json
import struct
import zlib
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from wardgate.records.canonical import LARGEST_INTEGER, canonical
from wardgate.records.errors import Broken, Invalid
from wardgate.records.record import Digest, Record

LONGEST = 4 * 1024 * 1024
"""Bytes of a parcel in one frame, after decompression."""

HEAD = 64 * 1024
"""Bytes of a head."""

WORDS = 600
"""Characters of a reason."""

_START = struct.Struct("<4sBI")
_MAGIC = b"WGR1"
_WORTH = 0.95
_SAMPLE = 4096

_Size = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
_Offset = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]


class _Head(Record):
    model_config = ConfigDict(strict=True)


class Greeting(_Head):
    """What one end says of itself. Texts, integers, lists and mappings; what is in it, the two ends agree."""

    said: dict[str, Any]


class Piece(_Head):
    """Bytes of a parcel. With length 0 it only asks from where the other end wants it.

    Attributes:
        name: SHA-256 of the whole parcel.
        size: Of the whole parcel, in bytes.
        offset: Where the piece begins.
        length: Of the piece, before it was packed.
        packed: Whether the raw bytes are compressed (RFC 1950).
    """

    name: Digest
    size: _Size
    offset: _Offset
    length: Annotated[int, Field(ge=0, le=LONGEST)]
    packed: bool


class Want(_Head):
    """Not whole yet: go on from here."""

    name: Digest
    offset: _Offset


class Taken(_Head):
    """Whole, and safe at the other end: the sender may forget it."""

    name: Digest


class Declined(_Head):
    """Not taken, in words for people."""

    words: Annotated[str, Field(max_length=WORDS)]


class Later(Declined):
    """Not taken now, above all for want of room; the sender keeps the parcel."""


class Malformed(Declined):
    """The request was no frame that this end reads."""


Frame = Greeting | Piece | Want | Taken | Declined | Later | Malformed

_KINDS: tuple[type[Frame], ...] = (Greeting, Piece, Want, Taken, Declined, Later, Malformed)


def write(frame: Frame, raw: bytes = b"") -> bytes:
    """Return the bytes of a frame.

    Raises:
        Invalid: a greeting holds something that canonical JSON cannot say, or is too long.
    """
    head = frame.to_bytes()
    if len(head) > HEAD:
        raise Invalid(f"a greeting of {len(head)} bytes; expected at most {HEAD}")
    return _START.pack(_MAGIC, _KINDS.index(type(frame)), len(head)) + head + raw


def read(message: bytes) -> tuple[Frame, bytes]:
    """Return a frame and the raw bytes behind it; for a piece, those are its own, unpacked.

    Raises:
        Broken: truncated, too long, of an unknown kind, or its head is not canonical.
    """
    if len(message) < _START.size:
        raise Broken(f"a message of {len(message)} bytes is too short for a frame")
    magic, kind, length = _START.unpack_from(message)
    if magic != _MAGIC:
        raise Broken("a message that is no frame of the road: its first bytes are wrong")
    if kind >= len(_KINDS):
        raise Broken(f"a frame of the unknown kind {kind}")
    if length > HEAD or len(message) < _START.size + length:
        raise Broken("a frame whose head is truncated or too long")
    head, raw = message[_START.size : _START.size + length], message[_START.size + length :]
    try:
        plain = json.loads(head)
        if canonical(plain) != head:
            raise Broken("a frame whose head is not canonical")
        frame = _KINDS[kind].from_plain(plain)
    except (ValueError, RecursionError, Invalid) as error:
        raise Broken("a frame whose head has another form than its kind says") from error
    if isinstance(frame, Piece):
        return frame, _unpacked(frame, raw)
    if raw:
        raise Broken(f"a frame with {len(raw)} bytes that nobody declared")
    return frame, b""


def pack(data: bytes) -> tuple[bytes, bool]:
    """Compress where that saves 5 % of a piece, and say whether it did. Masked vectors are noise and stay as they are.

    A sample from four places decides, so that noise costs no time.
    """
    if len(data) > 8 * _SAMPLE:
        step = len(data) // 4
        sample = b"".join(data[start : start + _SAMPLE] for start in range(0, 4 * step, step))
        if len(zlib.compress(sample, 1)) > _WORTH * len(sample):
            return data, False
    packed = zlib.compress(data, 6)
    return (packed, True) if len(packed) <= _WORTH * len(data) else (data, False)


def _unpacked(piece: Piece, raw: bytes) -> bytes:
    if piece.offset + piece.length > piece.size:
        raise Broken("a piece reaches beyond its parcel")
    if not piece.packed:
        if len(raw) != piece.length:
            raise Broken(f"a piece of {len(raw)} bytes declared {piece.length}")
        return raw
    if len(raw) >= piece.length:
        raise Broken("a packed piece is not shorter than it was")
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(raw, piece.length + 1)
    except zlib.error as error:
        raise Broken("a packed piece does not unpack") from error
    if len(data) != piece.length or not unpacking.eof or unpacking.unused_data:
        raise Broken("a packed piece is not what it declared")
    return data

"""A hospital's own numbers of one network, as the bytes that it keeps from round to round. No torch here.

A round may be asked twice: its sum stayed closed, say, and the hub asks again. So a state says after which round it
stood, and holds what that round began with too.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Broken

Vector = NDArray[np.float64]

MAGIC = b"wardgate/own/1\n\0"
HEAD = struct.Struct("<16sQQB7x")
"""Magic, round, numbers, and whether there are numbers from before that round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Numbers after a round, and those that the round began with.

    Attributes:
        number: Of the round.
        before: What it began with, shape (n,); None where it began anew.
        now: What it left, shape (n,).
    """

    number: int
    before: Vector | None
    now: Vector

    def begins(self, number: int) -> Vector | None:
        """Return what a round begins with.

        Round 0 is a new run and begins anew. The round of this state, asked again, begins where it began. Any other one
        goes on from here: a later one because rounds were missed, an earlier one because the hub took up an older
        checkpoint.
        """
        if number == 0:
            return None
        return self.before if number == self.number else self.now

    def to_bytes(self) -> bytes:
        """Return it as a head of 40 bytes and little-endian float64 numbers."""
        head = HEAD.pack(MAGIC, self.number, len(self.now), self.before is not None)
        return head + b"".join(one.astype("<f8").tobytes() for one in (self.before, self.now) if one is not None)

    @classmethod
    def from_bytes(cls, raw: bytes) -> "State":
        """Read what `to_bytes` wrote, and nothing else.

        Raises:
            Broken: another format, another length, or a number that is not finite.
        """
        if len(raw) < HEAD.size:
            raise Broken("what this hospital kept of a network is cut short; remove it and train anew from round 0")
        magic, number, count, two = HEAD.unpack_from(raw)
        if magic != MAGIC or two not in (0, 1) or raw[: HEAD.size] != HEAD.pack(magic, number, count, two):
            raise Broken("what this hospital kept of a network is of another format; remove it and train anew")
        if len(raw) != HEAD.size + 8 * count * (1 + two):
            raise Broken(f"what this hospital kept of a network has {len(raw)} bytes, not those of {count} numbers")
        found = np.frombuffer(raw, dtype="<f8", offset=HEAD.size).astype(np.float64).reshape(1 + two, count)
        if not bool(np.isfinite(found).all()):
            raise Broken("what this hospital kept of a network holds a number that is not finite")
        return cls(number=number, before=found[0] if two else None, now=found[-1])

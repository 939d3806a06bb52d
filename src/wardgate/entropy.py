"""The one door to the operating system's generator.

Noise and keys that protect people come from here and are handed in as an argument
everywhere else. Seeds that only make a run repeatable never pass this door.
"""

import hashlib
import secrets
from typing import Protocol


class Entropy(Protocol):
    """A source of random bytes."""

    @property
    def name(self) -> str:
        """`system`, or a name that says why it must not protect anybody."""
        ...

    def bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""
        ...


class SystemEntropy:
    """The operating system's cryptographic generator. The only one that protects people."""

    name = "system"

    def bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


class UnsafeEntropy:
    """A repeatable stream for tests. Claims made with it say `unsafe-test` and no gate accepts them.

    Args:
        seed: Any text; the same seed gives the same bytes (SHAKE-256 in counter mode).
    """

    name = "unsafe-test"

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._calls = 0

    def bytes(self, count: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(self._seed + self._calls.to_bytes(8, "big")).digest(count)


def source(*, unsafe_seed: str | None = None) -> Entropy:
    """Return the system's generator, or in tests the repeatable stream of `unsafe_seed`."""
    return SystemEntropy() if unsafe_seed is None else UnsafeEntropy(unsafe_seed)

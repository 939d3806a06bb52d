"""Shamir's sharing of a 127-bit secret: any `threshold` shares give it back, fewer say nothing about it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from math import prod
from operator import mul

from wardgate.entropy import Entropy
from wardgate.records.errors import Invalid

PRIME = 2**127 - 1
"""Secrets and shares are numbers below this Mersenne prime, which matches the 128 bits of X25519."""

SHARE_BYTES = 16


def element(*, entropy: Entropy) -> int:
    """Draw a uniform number below the prime."""
    return elements(1, entropy=entropy)[0]


def elements(count: int, *, entropy: Entropy) -> list[int]:
    """Draw `count` independent uniform numbers below the prime: 127 random bits each, drawn again if all are ones."""
    drawn: list[int] = []
    while len(drawn) < count:
        data = entropy.bytes(SHARE_BYTES * (count - len(drawn)))
        for start in range(0, len(data), SHARE_BYTES):
            number = int.from_bytes(data[start : start + SHARE_BYTES], "little") & PRIME
            if number != PRIME:
                drawn.append(number)
    return drawn


def to_bytes(number: int) -> bytes:
    """Write a number below the prime as 16 little-endian bytes."""
    return number.to_bytes(SHARE_BYTES, "little")


def from_bytes(data: bytes) -> int:
    """Read a number below the prime.

    Raises:
        Invalid: not 16 bytes, or not below the prime; nothing that this package writes looks so.
    """
    if len(data) != SHARE_BYTES:
        raise Invalid(f"expected a share of {SHARE_BYTES} bytes, found {len(data)}")
    number = int.from_bytes(data, "little")
    if number >= PRIME:
        raise Invalid("a share is not a number below 2^127 - 1; ask its sender again")
    return number


def split(secret: int, *, holders: int, threshold: int, entropy: Entropy) -> list[int]:
    """Return the shares of holders 1 to `holders`: values of a random polynomial that is `secret` at 0.

    Args:
        secret: A number below the prime.
        holders: How many shares.
        threshold: How many of them give the secret back.
        entropy: For the other threshold - 1 coefficients, uniform and independent.

    Raises:
        Invalid: a secret out of range, or a threshold that is not from 1 to holders.
    """
    if not 0 <= secret < PRIME:
        raise Invalid("expected a secret from 0 to 2^127 - 2")
    if not 1 <= threshold <= holders:
        raise Invalid(f"expected a threshold from 1 to {holders}, found {threshold}")
    return evaluate([secret, *elements(threshold - 1, entropy=entropy)], holders=holders)


def evaluate(coefficients: Sequence[int], *, holders: int) -> list[int]:
    """Return the polynomial's values at 1 to `holders`, modulo the prime."""
    return [sum(map(mul, coefficients, powers)) % PRIME for powers in _powers(holders, len(coefficients))]


def combine(shares: Mapping[int, int], *, at: int = 0) -> int:
    """Return the value at `at` of the polynomial through these shares; at 0 it is the secret.

    All given shares are used, so give exactly `threshold` of them. A wrong share gives a wrong secret: check it
    against a commitment.

    Args:
        shares: Value by holder, holders counted from 1.

    Raises:
        Invalid: no share, a holder below 1 or a value that is not below the prime.
    """
    if not shares:
        raise Invalid("expected at least one share, found none")
    if min(shares) < 1 or not all(0 <= value < PRIME for value in shares.values()):
        raise Invalid("expected holders from 1 and shares below 2^127 - 1")
    weighted: int = sum(map(mul, shares.values(), _lagrange(tuple(shares), at)))
    return weighted % PRIME


@lru_cache(maxsize=16)
def _powers(holders: int, count: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(pow(point, power, PRIME) for power in range(count)) for point in range(1, holders + 1))


@lru_cache(maxsize=1024)
def _lagrange(points: tuple[int, ...], at: int) -> tuple[int, ...]:
    """Return each point's weight: the product of (at - other) / (point - other) over all others."""
    if at in points:
        return tuple(int(point == at) for point in points)
    whole = prod(at - point for point in points)
    below = [(at - point) * prod(point - other for other in points if other != point) % PRIME for point in points]
    return tuple(whole * inverse % PRIME for inverse in _inverses(below))


def _inverses(numbers: Sequence[int]) -> list[int]:
    """Return all inverses modulo the prime, at the price of one (Montgomery)."""
    ahead = list(accumulate(numbers, lambda product, number: product * number % PRIME))
    inverse = pow(ahead[-1], -1, PRIME)
    found = [0] * len(numbers)
    for place in range(len(numbers) - 1, 0, -1):
        found[place] = inverse * ahead[place - 1] % PRIME
        inverse = inverse * numbers[place] % PRIME
    found[0] = inverse
    return found

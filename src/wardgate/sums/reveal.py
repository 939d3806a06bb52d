"""What a survivor reveals at the end of a sum: one share of each partner.

    reveal = magic | digest of the plan (32) | digest of the survivors (32) | shares (16 each)

Shares stand in the order of the site's partners in the plan's roster. Which secret a share is of follows from the
list of survivors: of the self seed of a partner that survived, of the lock key of one that did not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from wardgate.records.errors import Broken, Invalid
from wardgate.sums.plan import SumPlan, partners
from wardgate.sums.shamir import SHARE_BYTES, from_bytes

MAGIC = b"WGREVEA1"
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Reveal:
    """One survivor's reveal.

    Attributes:
        plan: Digest of the plan.
        survivors: Digest of the list of survivors.
        shares: 16 bytes, by partner.
    """

    plan: bytes
    survivors: bytes
    shares: Mapping[str, bytes]


def write_reveal(reveal: Reveal) -> bytes:
    """Return the bytes of a reveal."""
    shares = [reveal.shares[other] for other in sorted(reveal.shares)]
    return b"".join([MAGIC, reveal.plan, reveal.survivors, *shares])


def read_reveal(plan: SumPlan, data: bytes, *, site: str, survivors: bytes) -> dict[str, int]:
    """Return the shares that `site` reveals, by partner.

    Args:
        survivors: Digest of the list that the sum is opened for.

    Raises:
        Broken: not a reveal, or for another plan or list of survivors.
    """
    around = partners(plan, site=site)
    start = len(MAGIC) + 2 * _DIGEST_BYTES
    if data[: len(MAGIC)] != MAGIC or len(data) != start + SHARE_BYTES * len(around):
        raise Broken(f"'{site}' revealed {len(data)} bytes, expected {start + SHARE_BYTES * len(around)}; ask it again")
    if data[len(MAGIC) : start] != plan.digest + survivors:
        raise Broken(f"'{site}' revealed shares for another plan or another list of survivors")
    try:
        return {
            other: from_bytes(data[start + SHARE_BYTES * place : start + SHARE_BYTES * (place + 1)])
            for place, other in enumerate(around)
        }
    except Invalid as error:
        raise Broken(f"'{site}' revealed something that is no share: {error}") from error

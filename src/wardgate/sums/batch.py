"""What all sites agree on before a batch of sums that survive drop-outs: who, how many slots, which threshold."""

import hashlib
import math
from dataclasses import dataclass, field
from functools import lru_cache

from wardgate.records.canonical import canonical
from wardgate.records.errors import Invalid, Unsupported
from wardgate.sums.graph import DEGREE, FULL_UP_TO, MIN_COIN_BYTES, neighbours

MIN_SITES = 3
MAX_SLOTS = 1024
COLLUSION_FAILURE_BITS = 40
"""Beyond a full graph, some site has more colluding partners than assumed with a probability below 2^-40."""

DROPOUT_FAILURE_BITS = 20
"""And drop-outs at random leave some site with too few partners with a probability below 2^-20: then a sum fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The public terms of one batch of slots; each slot serves one sum.

    Attributes:
        roster: Names of the sites, sorted; at least 3.
        context: Bytes that name this batch and no other, e.g. the digest of the signed question that asks for it.
        slots: How many sums it serves, 1 to 1024.
        threshold: Shares that give a secret back. A lying hub that tells one half of a site's partners that it
            dropped out and the other half that it survived needs threshold honest-or-colluding shares twice, so
            2 x threshold must exceed partners + colluding partners; enforced.
        colluders: How many sites may collude with the hub.
        degree: Mask partners of a site, where the roster is larger than 50 and than this.
        coin: Public bytes that draw the graph beyond 50 sites.
        digest: SHA-256 of all of the above. Not an argument.

    Raises:
        Invalid: a field is missing or out of range, or the threshold would let a lying hub have both secrets.
    """

    roster: tuple[str, ...]
    context: bytes
    slots: int
    threshold: int
    colluders: int = 0
    degree: int = DEGREE
    coin: bytes = b""
    digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.roster) < MIN_SITES or list(self.roster) != sorted(set(self.roster)):
            raise Invalid(f"expected a sorted roster of at least {MIN_SITES} different sites, found {len(self.roster)}")
        if not self.context:
            raise Invalid("expected a context that names this batch, found none")
        if not 1 <= self.slots <= MAX_SLOTS:
            raise Invalid(f"expected 1 to {MAX_SLOTS} slots, found {self.slots}")
        if not 0 <= self.colluders <= len(self.roster) - 2:
            raise Invalid(f"expected 0 to {len(self.roster) - 2} colluders, found {self.colluders}")
        if self.degree < 2 or self.degree % 2:
            raise Invalid(f"expected an even number of mask partners of at least 2, found {self.degree}")
        if len(self.roster) > FULL_UP_TO and len(self.coin) < MIN_COIN_BYTES:
            raise Invalid(f"beyond {FULL_UP_TO} sites a batch needs a public coin of at least {MIN_COIN_BYTES} bytes")
        least = least_threshold(sites=len(self.roster), degree=self.degree, colluders=self.colluders)
        if not least <= self.threshold <= self.holders:
            raise Invalid(
                f"expected a threshold from {least} to {self.holders}, found {self.threshold}: with fewer shares a"
                " lying hub could have both secrets of a site, more do not exist"
            )
        object.__setattr__(self, "digest", self._digest())

    @property
    def holders(self) -> int:
        """Mask partners of a site, who hold shares of its secrets."""
        return partners_each(sites=len(self.roster), degree=self.degree)

    def partners(self, site: str) -> tuple[str, ...]:
        """Return the mask partners of `site`, sorted; holder i of its shares is the i-th of them, from 1.

        Raises:
            Invalid: the site is not in the roster.
        """
        around = neighbours(self.roster, coin=self.coin, degree=self.degree)
        if site not in around:
            raise Invalid(f"'{site}' is not in the roster of {len(self.roster)} sites")
        return around[site]

    def _digest(self) -> bytes:
        return hashlib.sha256(
            canonical(
                {
                    "schema": "wardgate/batch/1",
                    "roster": list(self.roster),
                    "context": self.context.hex(),
                    "slots": self.slots,
                    "threshold": self.threshold,
                    "colluders": self.colluders,
                    "degree": self.degree,
                    "coin": self.coin.hex(),
                }
            )
        ).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One slot of a batch, for one sum.

    Attributes:
        batch: The batch it belongs to.
        index: Which slot, from 0.
        least: Survivors below which nobody reveals anything; at least 3.

    Raises:
        Invalid: an index outside the batch, or fewer than 3 survivors.
    """

    batch: Batch
    index: int
    least: int = MIN_SITES

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.batch.slots:
            raise Invalid(f"expected a slot from 0 to {self.batch.slots - 1}, found {self.index}")
        if self.least < MIN_SITES:
            raise Invalid(f"expected at least {MIN_SITES} survivors, found {self.least}")

    @property
    def name(self) -> bytes:
        """32 bytes that name this slot and no other."""
        return slot_name(self.batch, self.index)

    def check_roster(self, roster: tuple[str, ...], *, coin: bytes) -> None:
        """Check that the batch serves a sum over `roster`: those of its sites that prepared, or some of them.

        Raises:
            Invalid: a site that is not in the batch, another coin, or a site with fewer partners in the roster than
                the threshold, who could not give its secrets back.
        """
        strangers = sorted(set(roster) - set(self.batch.roster))
        if strangers:
            raise Invalid(f"'{strangers[0]}' is not in the batch; prepare one for this roster")
        if len(roster) > FULL_UP_TO and coin != self.batch.coin:
            raise Invalid("the batch was drawn with another coin; a study has one")
        if self.least > len(roster):
            raise Invalid(f"expected at least {self.least} survivors of a roster of {len(roster)}")
        site, around = _fewest_partners(self.batch, roster)
        if around < self.batch.threshold:
            raise Invalid(
                f"'{site}' has {around} partners in this roster, fewer than the threshold of {self.batch.threshold};"
                " prepare a batch for this roster"
            )


@lru_cache(maxsize=64)
def _fewest_partners(batch: Batch, roster: tuple[str, ...]) -> tuple[str, int]:
    present = set(roster)
    counts = {site: sum(other in present for other in batch.partners(site)) for site in roster}
    fewest = min(roster, key=lambda site: counts[site])
    return fewest, counts[fewest]


def slot_name(batch: Batch, index: int) -> bytes:
    """Return the 32 bytes that name slot `index` of a batch."""
    return hashlib.sha256(b"wardgate/slot/1\x00" + batch.digest + index.to_bytes(4, "big")).digest()


def partners_each(*, sites: int, degree: int) -> int:
    """Return how many mask partners a site has: everybody up to 50 sites, `degree` of a larger roster."""
    return sites - 1 if sites <= FULL_UP_TO else min(degree, sites - 1)


def least_threshold(*, sites: int, degree: int, colluders: int) -> int:
    """Return the least threshold at which a lying hub cannot have both secrets of a site.

    It splits a site's k partners in two and tells each half another story. The h honest ones answer one of them each,
    the c colluding ones both: both thresholds t are reached only if 2 t <= h + 2 c = k + c. Beyond a full graph c is
    what a random circle puts beside any site except with probability 2^-40.
    """
    holders = partners_each(sites=sites, degree=degree)
    nearby = most_nearby(sites=sites, degree=holders, marked=colluders, failure_bits=COLLUSION_FAILURE_BITS)
    return (holders + nearby) // 2 + 1


def batch_for(
    roster: tuple[str, ...], *, context: bytes, slots: int, coin: bytes, dropouts: int, colluders: int = 0
) -> Batch:
    """Return a batch that survives `dropouts` sites vanishing in all, with the least threshold that is safe.

    Up to 50 sites any set of so many may vanish. Beyond, the number of mask partners grows from 32 until drop-outs
    at random stop a sum with a probability below 2^-20.

    Raises:
        Unsupported: so many drop-outs and colluders cannot be covered together.
        Invalid: as for `Batch`, or a negative number of drop-outs.
    """
    sites = len(roster)
    if not 0 <= dropouts <= sites:
        raise Invalid(f"expected 0 to {sites} drop-outs, found {dropouts}")
    for degree in range(DEGREE, max(sites, DEGREE + 1) + 2, 16):
        holders = partners_each(sites=sites, degree=degree)
        threshold = least_threshold(sites=sites, degree=degree, colluders=colluders)
        lost = most_nearby(sites=sites, degree=holders, marked=dropouts, failure_bits=DROPOUT_FAILURE_BITS)
        if threshold <= holders - lost:
            return Batch(
                roster=roster,
                context=context,
                slots=slots,
                threshold=threshold,
                colluders=colluders,
                degree=degree,
                coin=coin,
            )
    raise Unsupported(
        f"{dropouts} drop-outs and {colluders} colluders among {sites} sites cannot be covered together;"
        " state fewer of one of them"
    )


@lru_cache(maxsize=256)
def most_nearby(*, sites: int, degree: int, marked: int, failure_bits: int) -> int:
    """Return how many of `marked` sites a random graph puts among the partners of any one site, at most.

    The least m such that sites x P(hypergeometric > m) < 2^-failure_bits; all of them in a full graph.
    """
    if degree >= sites - 1:
        return min(marked, degree)
    marked = min(marked, sites - 1)
    whole = math.comb(sites - 1, degree)
    beyond = 0
    for count in range(min(degree, marked), 0, -1):
        beyond += math.comb(marked, count) * math.comb(sites - 1 - marked, degree - count)
        if (beyond * sites) << failure_bits >= whole:
            return count
    return 0

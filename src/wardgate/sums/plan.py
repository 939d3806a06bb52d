"""One sum: what every site must agree on beforehand, and the verbs that make and read it."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wardgate.entropy import Entropy
from wardgate.records.canonical import canonical, text_of
from wardgate.records.claim import GaussianEvent, SampledGaussianEvent
from wardgate.records.errors import Invalid, Unsupported
from wardgate.sums import ring
from wardgate.sums.batch import MIN_SITES, Slot
from wardgate.sums.graph import FULL_UP_TO, MIN_COIN_BYTES, neighbours
from wardgate.sums.mask import add_masks
from wardgate.sums.scale import NoiseScale
from wardgate.sums.shares import noise, share_sigma


@dataclass(frozen=True, slots=True, kw_only=True)
class SumPlan:
    """What all sites of one sum agree on. Public; its digest is in every mask, so two plans never unmask.

    Attributes:
        roster: Names of the sites, sorted; at least 3.
        entries: Length of the vector.
        persons: Public upper bound on the persons in the whole sum.
        bound: Largest size of one person's entry; one number, or one for each entry.
        context: Bytes that name this sum and no other, e.g. study digest, computation, round and attempt. A site
            must never contribute twice under one context: the difference of both vectors would lie open.
        l2: Largest L2 norm of one person's vector; needed with noise.
        noise_multiplier: Standard deviation of the promised noise over the sensitivity; None for an exact sum.
        tolerated: How many colluding sites the promise of noise survives.
        coin: Public bytes that draw the mask graph beyond 50 sites; the same for all sums of a study.
        bits: Of the ring: 64, or 32 for a sum with noise, which halves bytes and masks. See `narrowest`.
        slot: The slot of a prepared batch, for a sum that survives drop-outs; None for one that needs everybody.
        digest: SHA-256 of all of the above.
        exponents: Each entry is scaled by 2^exponent; one common scale where there is noise. Not an argument.
        sigma: Parameter of the promised noise in ring units, None for an exact sum. Not an argument.

    Raises:
        Invalid: a field is missing, out of range or could overflow the ring.
        Unsupported: the ring is too coarse for the noise asked for.
    """

    roster: tuple[str, ...]
    entries: int
    persons: int
    bound: ring.Bound
    context: bytes
    l2: float | None = None
    noise_multiplier: float | None = None
    tolerated: int = 0
    coin: bytes = b""
    bits: ring.Bits = 64
    slot: Slot | None = None
    digest: bytes = field(init=False, repr=False)
    exponents: NDArray[np.int64] = field(init=False, repr=False, compare=False)
    sigma: float | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.roster) < MIN_SITES or list(self.roster) != sorted(set(self.roster)):
            raise Invalid(f"expected a sorted roster of at least {MIN_SITES} different sites, found {len(self.roster)}")
        if not self.context:
            raise Invalid("expected a context that names this sum, found none")
        if len(self.roster) > FULL_UP_TO and len(self.coin) < MIN_COIN_BYTES:
            raise Invalid(f"beyond {FULL_UP_TO} sites a plan needs a public coin of at least {MIN_COIN_BYTES} bytes")
        if not 0 <= self.tolerated <= len(self.roster) - 1:
            raise Invalid(f"expected 0 to {len(self.roster) - 1} tolerated colluders, found {self.tolerated}")
        for name, number in (("l2", self.l2), ("noise_multiplier", self.noise_multiplier)):
            if number is not None and not (math.isfinite(number) and number > 0):
                raise Invalid(f"expected a finite {name} above 0, found {number}")
        if self.noise_multiplier is not None and self.l2 is None:
            raise Invalid("a sum with noise needs l2, the largest norm of one person's vector")
        if self.bits not in (32, 64) or (self.bits == 32 and self.noise_multiplier is None):
            raise Invalid(f"expected a ring of 64 bits, or of 32 for a sum with noise, found {self.bits}")
        if self.slot is not None:
            self.slot.check_roster(self.roster, coin=self.coin)
            kept = self.slot.least - self.slot.batch.colluders
            if self.noise_multiplier is not None and kept < len(self.roster) - self.tolerated:
                raise Invalid(
                    f"{self.slot.least} survivors less {self.slot.batch.colluders} colluders give {kept} shares of"
                    f" noise, and {len(self.roster) - self.tolerated} are promised; tolerate drop-outs plus colluders"
                )
        bounds = np.asarray(self.bound, dtype=np.float64)
        object.__setattr__(self, "bound", tuple(map(float, bounds)) if bounds.ndim == 1 else float(bounds))
        object.__setattr__(self, "exponents", self._exponents())
        object.__setattr__(self, "sigma", self._sigma())
        object.__setattr__(self, "digest", self._digest())

    @property
    def dtype(self) -> np.dtype[np.uint64] | np.dtype[np.uint32]:
        """Of the masked vectors."""
        return np.dtype(np.uint64) if self.bits == 64 else np.dtype(np.uint32)

    @property
    def length(self) -> int:
        """Of the masked vectors: a sum that survives drop-outs carries 8 bytes more, whose total must be 0."""
        return self.entries + (0 if self.slot is None else 64 // self.bits)

    def _exponents(self) -> NDArray[np.int64]:
        found = ring.exponents(persons=self.persons, bound=self.bound, entries=self.entries)
        scale = self._scale()
        if scale is not None:
            found = np.full_like(found, min(int(found.min()), scale.finest(bits=self.bits)))
        found.setflags(write=False)
        return found

    def _sigma(self) -> float | None:
        scale = self._scale()
        return None if scale is None else scale.sigma(int(self.exponents[0]))

    def _scale(self) -> NoiseScale | None:
        if self.noise_multiplier is None or self.l2 is None:
            return None
        return NoiseScale(
            largest=self.persons * float(np.max(self.bound)),
            l2=self.l2,
            noise_multiplier=self.noise_multiplier,
            entries=self.entries,
            sites=len(self.roster),
            tolerated=self.tolerated,
        )

    def _digest(self) -> bytes:
        bounds = np.atleast_1d(np.asarray(self.bound, dtype=np.float64)).tolist()
        said: dict[str, object] = {
            "schema": "wardgate/sum/1",
            "roster": list(self.roster),
            "entries": self.entries,
            "persons": self.persons,
            "bound": [text_of(bound) for bound in bounds],
            "l2": None if self.l2 is None else text_of(self.l2),
            "noise_multiplier": None if self.noise_multiplier is None else text_of(self.noise_multiplier),
            "tolerated": self.tolerated,
            "coin": self.coin.hex(),
            "context": self.context.hex(),
        }
        if self.bits == 32:
            said["bits"] = 32
        if self.slot is not None:
            said["slot"] = {
                "batch": self.slot.batch.digest.hex(),
                "index": self.slot.index,
                "least": self.slot.least,
            }
        return hashlib.sha256(canonical(said)).digest()


def narrowest(plan: SumPlan) -> SumPlan:
    """Return the plan in a ring of 32 bits where that is large enough, else in one of 64.

    It is where the plan has noise, signal and noise stay within 2^31 except with a probability below 2^-100, a share
    of the noise has at least 2^10 ring units, and rounding raises the noise by at most a tenth.
    """
    if plan.noise_multiplier is None:
        return plan
    try:
        return replace(plan, bits=32)
    except Unsupported:
        return replace(plan, bits=64)


def partners(plan: SumPlan, *, site: str) -> tuple[str, ...]:
    """Return with whom `site` shares masks in this plan.

    Raises:
        Invalid: the site is not in the roster.
    """
    check_site(plan, site)
    if plan.slot is None:
        return neighbours(plan.roster, coin=plan.coin)[site]
    around = plan.slot.batch.partners(site)
    if len(plan.roster) == len(plan.slot.batch.roster):
        return around
    present = set(plan.roster)
    return tuple(other for other in around if other in present)


def signal(plan: SumPlan, *, site: str, vector: ArrayLike, persons_here: int, entropy: Entropy) -> ring.Ring:
    """Return what `site` masks: its vector, rounded, with its share of the noise if the plan has noise.

    Whoever sees it sees the site. Shape (plan.length,); what is beyond the entries is 0.

    Raises:
        Invalid: as in `contribute`.
    """
    check_site(plan, site)
    encoded = _encode(plan, vector, persons_here)
    if plan.sigma is not None:
        share = share_sigma(sigma=plan.sigma, sites=len(plan.roster), tolerated=plan.tolerated)
        np.add(encoded, noise(sigma=share, entries=plan.entries, entropy=entropy, bits=plan.bits), out=encoded)
    if plan.length == plan.entries:
        return encoded
    checked = np.zeros(plan.length, dtype=plan.dtype)
    checked[: plan.entries] = encoded
    return checked


def contribute(
    plan: SumPlan,
    *,
    site: str,
    vector: ArrayLike,
    persons_here: int,
    pair_secrets: Mapping[str, bytes],
    entropy: Entropy,
) -> ring.Ring:
    """Return the site's masked vector: rounded, with its share of the noise if the plan has noise, masked.

    To everybody without its pair secrets the result is uniform and independent of the vector.

    Args:
        vector: Sums over the site's persons, each clipped to the plan's bound and l2; shape (entries,).
        persons_here: Persons in `vector`.
        pair_secrets: At least the secrets with this site's partners (sums.keys).
        entropy: For the noise.

    Returns:
        Shape (entries,), of the plan's dtype.

    Raises:
        Invalid: a site outside the roster, a missing secret, more persons than the plan, or a vector that breaks
            the plan. The message names entries, never values. Or a plan with a slot: `Seat.contribute` serves it.
    """
    if plan.slot is not None:
        raise Invalid("the plan has a slot for drop-outs; contribute from the seat that prepared it")
    around = partners(plan, site=site)
    missing = [other for other in around if other not in pair_secrets]
    if missing:
        raise Invalid(f"'{site}' has no secret with {len(missing)} of its partners, first '{missing[0]}'; enrol again")
    masked = signal(plan, site=site, vector=vector, persons_here=persons_here, entropy=entropy)
    add_masks(masked, site=site, pair_secrets={other: pair_secrets[other] for other in around}, context=plan.digest)
    return masked


def total(plan: SumPlan, contributions: Mapping[str, ring.Ring]) -> NDArray[np.float64]:
    """Return the sum over all sites. One missing or altered contribution leaves nothing but noise.

    Raises:
        Invalid: a site of the roster is missing, a stranger answered, or a vector has another shape or dtype; or the
            plan has a slot, and `recover_total` serves it.
    """
    if plan.slot is not None:
        raise Invalid("the plan has a slot for drop-outs; open it with what the survivors revealed")
    missing = sorted(set(plan.roster) - set(contributions))
    if missing:
        raise Invalid(f"{len(missing)} sites did not contribute, first '{missing[0]}'; start again with a new context")
    return ring.decode(add_up(plan, contributions, sites=plan.roster), exponents=plan.exponents)


def add_up(plan: SumPlan, contributions: Mapping[str, ring.Ring], *, sites: tuple[str, ...]) -> ring.Ring:
    """Add the masked vectors of `sites`, modulo the ring.

    Raises:
        Invalid: somebody else contributed, or a vector has another shape or dtype.
    """
    strangers = sorted(set(contributions) - set(sites))
    if strangers:
        raise Invalid(f"'{strangers[0]}' contributed but is not in the roster; leave it out")
    summed = np.zeros(plan.length, dtype=plan.dtype)
    for site in sites:
        vector = contributions[site]
        if not isinstance(vector, np.ndarray) or vector.dtype != plan.dtype or vector.shape != (plan.length,):
            found = f"{vector.dtype} {vector.shape}" if isinstance(vector, np.ndarray) else type(vector).__name__
            raise Invalid(f"expected {plan.dtype} ({plan.length},) from '{site}', found {found}; ask it again")
        np.add(summed, vector, out=summed)
    return summed


def contribute_alone(
    plan: SumPlan, *, site: str, vector: ArrayLike, persons_here: int, entropy: Entropy
) -> NDArray[np.float64]:
    """Return the site's vector with the whole promised noise and no mask: the local alternative.

    It is readable by itself and keeps the promise of `claim_event` by itself, whoever colludes.

    Raises:
        Invalid: the plan has no noise (the vector would lie open), or as in `contribute`.
    """
    check_site(plan, site)
    if plan.sigma is None:
        raise Invalid("an unmasked vector needs noise; give the plan a noise_multiplier, or mask")
    alone = _encode(plan, vector, persons_here)
    np.add(alone, noise(sigma=plan.sigma, entries=plan.entries, entropy=entropy, bits=plan.bits), out=alone)
    return ring.decode(alone, exponents=plan.exponents)


def claim_event(plan: SumPlan, *, what: str = "sum", probability: float = 1.0) -> GaussianEvent | SampledGaussianEvent:
    """Return what the plan promises, for the budget and the claim.

    It holds against the hub with up to `tolerated` colluding sites, for the persons of all other sites.

    Args:
        probability: With which every person of a site, in secret, fell into its addend.

    Raises:
        Invalid: the plan has no noise; count it as an exact answer.
    """
    if plan.noise_multiplier is None:
        raise Invalid("an exact sum has no Gaussian event; count it as an exact answer")
    if probability < 1:
        return SampledGaussianEvent(noise_multiplier=plan.noise_multiplier, probability=probability, count=1, what=what)
    return GaussianEvent(noise_multiplier=plan.noise_multiplier, count=1, what=what)


def check_site(plan: SumPlan, site: str) -> None:
    """Raise Invalid if `site` is not in the roster."""
    if site not in plan.roster:
        raise Invalid(f"'{site}' is not in the roster of {len(plan.roster)} sites")


def _encode(plan: SumPlan, vector: ArrayLike, persons_here: int) -> ring.Ring:
    if persons_here > plan.persons:
        raise Invalid("the site has more persons than the plan allows for the whole sum; plan with a larger number")
    encoded = ring.encode(
        vector,
        exponents=plan.exponents,
        bound=plan.bound,
        persons_here=persons_here,
        bits=plan.bits,
    )
    if plan.l2 is not None:
        norm = float(np.linalg.norm(np.asarray(vector, dtype=np.float64)))
        if norm > persons_here * plan.l2 * (1 + ring.ROUNDING_SLACK):
            raise Invalid("the vector exceeds persons x l2; clip each person")
    return encoded

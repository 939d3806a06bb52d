"""One sum: what every site must agree on beforehand, and the verbs that make and read it."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wardgate.entropy import Entropy
from wardgate.records.canonical import canonical, text_of
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import Invalid, Unsupported
from wardgate.sums import ring
from wardgate.sums.graph import FULL_UP_TO, MIN_COIN_BYTES, neighbours
from wardgate.sums.mask import net_mask
from wardgate.sums.shares import noise, promised_sigma, ring_sensitivity, share_sigma

MIN_SITES = 3
NOISE_BITS = 38
"""A noisy sum is scaled so that multiplier x l2 is at most 2^38 ring units, well inside the sampler's range."""

MAX_OVERHEAD = 1.1
"""A plan whose noise must grow by more than a tenth to cover rounding is refused rather than made useless."""


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
        bounds = np.asarray(self.bound, dtype=np.float64)
        object.__setattr__(self, "bound", tuple(map(float, bounds)) if bounds.ndim == 1 else float(bounds))
        object.__setattr__(self, "exponents", self._exponents())
        object.__setattr__(self, "sigma", self._sigma())
        object.__setattr__(self, "digest", self._digest())

    def _exponents(self) -> NDArray[np.int64]:
        found = ring.exponents(persons=self.persons, bound=self.bound, entries=self.entries)
        if self.noise_multiplier is not None and self.l2 is not None:
            finest = NOISE_BITS - math.frexp(self.noise_multiplier * self.l2)[1]
            found = np.full_like(found, min(int(found.min()), finest))
        found.setflags(write=False)
        return found

    def _sigma(self) -> float | None:
        if self.noise_multiplier is None or self.l2 is None:
            return None
        sensitivity = ring_sensitivity(
            l2=self.l2,
            exponent=int(self.exponents[0]),
            entries=self.entries,
            largest=self.persons * float(np.max(self.bound)),
        )
        if sensitivity > MAX_OVERHEAD * math.ldexp(self.l2, int(self.exponents[0])):
            raise Unsupported(
                f"rounding and float64 sums would need over {MAX_OVERHEAD - 1:.0%} additional noise: l2 is too small"
                " beside persons x bound and the number of entries; state tighter bounds or split the sum"
            )
        sigma = promised_sigma(noise_multiplier=self.noise_multiplier, sensitivity=sensitivity)
        share_sigma(sigma=sigma, sites=len(self.roster), tolerated=self.tolerated)
        return sigma

    def _digest(self) -> bytes:
        bounds = np.atleast_1d(np.asarray(self.bound, dtype=np.float64)).tolist()
        return hashlib.sha256(
            canonical(
                {
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
            )
        ).digest()


def partners(plan: SumPlan, *, site: str) -> tuple[str, ...]:
    """Return with whom `site` shares masks in this plan.

    Raises:
        Invalid: the site is not in the roster.
    """
    _check_site(plan, site)
    return neighbours(plan.roster, coin=plan.coin)[site]


def contribute(
    plan: SumPlan,
    *,
    site: str,
    vector: ArrayLike,
    persons_here: int,
    pair_secrets: Mapping[str, bytes],
    entropy: Entropy,
) -> NDArray[np.uint64]:
    """Return the site's masked vector: rounded, with its share of the noise if the plan has noise, masked.

    To everybody without its pair secrets the result is uniform and independent of the vector.

    Args:
        vector: Sums over the site's persons, each clipped to the plan's bound and l2; shape (entries,).
        persons_here: Persons in `vector`.
        pair_secrets: At least the secrets with this site's partners (sums.keys).
        entropy: For the noise.

    Raises:
        Invalid: a site outside the roster, a missing secret, more persons than the plan, or a vector that breaks
            the plan. The message names entries, never values.
    """
    around = partners(plan, site=site)
    missing = [other for other in around if other not in pair_secrets]
    if missing:
        raise Invalid(f"'{site}' has no secret with {len(missing)} of its partners, first '{missing[0]}'; enrol again")
    signal = _encode(plan, vector, persons_here)
    if plan.sigma is not None:
        share = share_sigma(sigma=plan.sigma, sites=len(plan.roster), tolerated=plan.tolerated)
        signal = signal + noise(sigma=share, entries=plan.entries, entropy=entropy)
    secrets = {other: pair_secrets[other] for other in around}
    return signal + net_mask(site=site, pair_secrets=secrets, context=plan.digest, entries=plan.entries)


def total(plan: SumPlan, contributions: Mapping[str, NDArray[np.uint64]]) -> NDArray[np.float64]:
    """Return the sum over all sites. One missing or altered contribution leaves nothing but noise.

    Raises:
        Invalid: a site of the roster is missing, a stranger answered, or a vector has another shape or dtype.
    """
    missing = sorted(set(plan.roster) - set(contributions))
    if missing:
        raise Invalid(f"{len(missing)} sites did not contribute, first '{missing[0]}'; start again with a new context")
    strangers = sorted(set(contributions) - set(plan.roster))
    if strangers:
        raise Invalid(f"'{strangers[0]}' contributed but is not in the roster; leave it out")
    summed = np.zeros(plan.entries, dtype=np.uint64)
    for site in plan.roster:
        vector = contributions[site]
        if not isinstance(vector, np.ndarray) or vector.dtype != np.uint64 or vector.shape != (plan.entries,):
            found = f"{vector.dtype} {vector.shape}" if isinstance(vector, np.ndarray) else type(vector).__name__
            raise Invalid(f"expected uint64 ({plan.entries},) from '{site}', found {found}; ask it again")
        np.add(summed, vector, out=summed)
    return ring.decode(summed, exponents=plan.exponents)


def contribute_alone(
    plan: SumPlan, *, site: str, vector: ArrayLike, persons_here: int, entropy: Entropy
) -> NDArray[np.float64]:
    """Return the site's vector with the whole promised noise and no mask: the local alternative.

    It is readable by itself and keeps the promise of `claim_event` by itself, whoever colludes.

    Raises:
        Invalid: the plan has no noise (the vector would lie open), or as in `contribute`.
    """
    _check_site(plan, site)
    if plan.sigma is None:
        raise Invalid("an unmasked vector needs noise; give the plan a noise_multiplier, or mask")
    signal = _encode(plan, vector, persons_here)
    return ring.decode(
        signal + noise(sigma=plan.sigma, entries=plan.entries, entropy=entropy), exponents=plan.exponents
    )


def claim_event(plan: SumPlan, *, what: str = "sum") -> GaussianEvent:
    """Return what the plan promises, for the budget and the claim.

    It holds against the hub with up to `tolerated` colluding sites, for the persons of all other sites.

    Raises:
        Invalid: the plan has no noise; count it as an exact answer.
    """
    if plan.noise_multiplier is None:
        raise Invalid("an exact sum has no Gaussian event; count it as an exact answer")
    return GaussianEvent(noise_multiplier=plan.noise_multiplier, count=1, what=what)


def _check_site(plan: SumPlan, site: str) -> None:
    if site not in plan.roster:
        raise Invalid(f"'{site}' is not in the roster of {len(plan.roster)} sites")


def _encode(plan: SumPlan, vector: ArrayLike, persons_here: int) -> NDArray[np.uint64]:
    if persons_here > plan.persons:
        raise Invalid("the site has more persons than the plan allows for the whole sum; plan with a larger number")
    encoded = ring.encode(
        vector,
        exponents=plan.exponents,
        bound=plan.bound,
        persons_here=persons_here,
    )
    if plan.l2 is not None:
        norm = float(np.linalg.norm(np.asarray(vector, dtype=np.float64)))
        if norm > persons_here * plan.l2 * (1 + ring.ROUNDING_SLACK):
            raise Invalid("the vector exceeds persons x l2; clip each person")
    return encoded

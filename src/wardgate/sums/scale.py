"""The common scale of a noisy sum: fine enough for the noise, coarse enough for the ring."""

import math
from dataclasses import dataclass

from wardgate.records.errors import Unsupported
from wardgate.sums.ring import MAX_BOUND_BITS, Bits
from wardgate.sums.shares import promised_sigma, ring_sensitivity, share_sigma

NOISE_BITS = 38
"""A noisy sum is scaled so that multiplier x l2 is at most 2^38 ring units, well inside the sampler's range."""

MAX_OVERHEAD = 1.1
"""A plan whose noise must grow by more than a tenth to cover rounding is refused rather than made useless."""

OVERFLOW_BITS = 100
"""In a ring of 32 bits the noise makes any entry leave the ring with a probability below 2^-100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseScale:
    """What decides the scale.

    Attributes:
        largest: persons x the largest bound.
        l2: Largest L2 norm of one person's vector.
        noise_multiplier: Promised standard deviation over the sensitivity.
        entries: Length of the vector.
        sites: Sites in the roster.
        tolerated: Of which this many may be missing from the noise.
    """

    largest: float
    l2: float
    noise_multiplier: float
    entries: int
    sites: int
    tolerated: int

    def finest(self, *, bits: Bits) -> int:
        """Return the largest exponent that leaves room for signal and noise.

        Raises:
            Unsupported: none does in a ring of 32 bits.
        """
        exponent = NOISE_BITS - math.frexp(self.noise_multiplier * self.l2)[1]
        if bits == 64:
            return exponent
        exponent = min(exponent, 31 - math.frexp(self.largest)[1])
        while exponent >= -MAX_BOUND_BITS:
            if math.ldexp(self.largest, exponent) + self.sites + self.largest_noise(exponent) < 2.0**31:
                return exponent
            exponent -= 1
        raise Unsupported("a ring of 32 bits is too small for this sum; use 64")

    def largest_noise(self, exponent: int) -> float:
        """Return what the noise of the total does not pass in any entry, but with a probability below 2^-100.

        Discrete Gaussians are subgaussian with their parameter, so a sum of them is with the root of the summed
        squares; 2 x entries x exp(-z^2 / 2) = 2^-100.

        Reference: Canonne, Kamath, Steinke (2020), The Discrete Gaussian for Differential Privacy,
            arXiv:2004.00010.
        """
        z = math.sqrt(2 * math.log(2) * (OVERFLOW_BITS + 1 + math.log2(self.entries)))
        return z * self._promised(exponent) * math.sqrt(self.sites / (self.sites - self.tolerated))

    def sigma(self, exponent: int) -> float:
        """Return the parameter of the promised noise in ring units, where entries are scaled by 2^exponent.

        Raises:
            Unsupported: rounding would raise the noise by more than a tenth, or a share is too small for the ring.
        """
        if self._sensitivity(exponent) > MAX_OVERHEAD * math.ldexp(self.l2, exponent):
            raise Unsupported(
                f"rounding and float64 sums would need over {MAX_OVERHEAD - 1:.0%} additional noise: l2 is too small"
                " beside persons x bound and the number of entries; state tighter bounds or split the sum"
            )
        sigma = self._promised(exponent)
        share_sigma(sigma=sigma, sites=self.sites, tolerated=self.tolerated)
        return sigma

    def _promised(self, exponent: int) -> float:
        return promised_sigma(noise_multiplier=self.noise_multiplier, sensitivity=self._sensitivity(exponent))

    def _sensitivity(self, exponent: int) -> float:
        return ring_sensitivity(l2=self.l2, exponent=exponent, entries=self.entries, largest=self.largest)

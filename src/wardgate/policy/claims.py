"""Is a claim what it says? The cost is recomputed from the events; a claim may overstate it, never understate it."""

import math
from functools import lru_cache

from wardgate.privacy import accountant
from wardgate.records.claim import Claim, ExponentialEvent, GaussianEvent, SampledGaussianEvent
from wardgate.records.errors import WardgateError

SLACK = 1e-6
"""Relative difference between two accountants' roundings that is not a lie."""


def claim_fault(claim: Claim, *, accept_test_noise: bool) -> str:
    """Return what is wrong with a claim, in words, or an empty text.

    Args:
        claim: Of any kind.
        accept_test_noise: Accept the repeatable stream of tests as noise.
    """
    if claim.noise_source != "system" and not (accept_test_noise and claim.noise_source == "unsafe-test"):
        return f"noise comes from '{claim.noise_source}'; only the operating system's generator protects people"
    if claim.kind == "dp":
        return _dp_fault(claim)
    if claim.kind not in ("exact", "none"):
        return "the claim is of an unknown kind"
    if claim.epsilon is not None or claim.delta is not None or claim.random:
        return f"a claim of kind '{claim.kind}' has neither epsilon nor noise; say 'dp' or leave them out"
    return ""


def _dp_fault(claim: Claim) -> str:
    if claim.epsilon is None or claim.delta is None:
        return "a DP claim needs epsilon and delta"
    if not (math.isfinite(claim.epsilon) and claim.epsilon > 0):
        return "epsilon must be a positive number"
    if not (math.isfinite(claim.delta) and 0 < claim.delta < 1):
        return "delta must lie between 0 and 1"
    if not claim.random:
        return "a DP claim names at least one event; without noise there is no claim"
    if any(not (event.noise_multiplier > 0 and event.count > 0) for event in claim.gaussian):
        return "a Gaussian event needs a positive noise multiplier and count"
    if any(not (event.epsilon > 0 and event.count > 0) for event in claim.exponential):
        return "an exponential event needs a positive epsilon and count"
    if any(not (e.noise_multiplier > 0 and e.count > 0 and 0 < e.probability <= 1) for e in claim.sampled):
        return "a sampled Gaussian event needs a positive noise multiplier and count, and a probability in (0, 1]"
    cost = recomputed(claim.gaussian, claim.exponential, claim.sampled, claim.delta)
    if math.isnan(cost):
        return "the cost of the events cannot be computed"
    if claim.epsilon < cost * (1 - SLACK):
        return f"the events cost epsilon {cost:.4g}; the claim states {claim.epsilon:.4g}"
    return ""


@lru_cache(maxsize=256)
def recomputed(
    gaussian: tuple[GaussianEvent, ...],
    exponential: tuple[ExponentialEvent, ...],
    sampled: tuple[SampledGaussianEvent, ...],
    delta: float,
) -> float:
    """Return the epsilon of all events together; NaN where the accountant knows no answer."""
    try:
        return float(accountant.epsilon_of(gaussian=gaussian, exponential=exponential, sampled=sampled, delta=delta))
    except (WardgateError, ValueError, OverflowError):
        return math.nan

"""What claims cost: the joint privacy loss distribution of everything random that touched a person.

Everything is stated for one person added or removed. Gaussian releases without sampling compose exactly into
one Gaussian release, so a claim of any length costs one discretisation, not one for each event.

The noise of `privacy.noise` and `sums.shares` is discrete Gaussian and is accounted as Gaussian of the same
multiplier. That is sound because of how it is made: inputs are integers on a lattice on which the standard
deviation is at least 2^10 steps, and the variance is (multiplier x reach)^2 + 4, reach being the L2 sensitivity
of the rounded input. A Gaussian release of variance (multiplier x reach)^2, rounded at random by a discrete
Gaussian of variance 4 centred on it, has the distribution of that release up to a factor within 1e-30 of 1 in
each entry (convolution theorem for discrete Gaussians), and post-processing costs nothing. Sums of n discrete
Gaussian shares of at least 2^10 steps each differ from one discrete Gaussian by a factor closer to 1 still.

References: Peikert (2010), An Efficient and Parallel Gaussian Sampler for Lattices, IACR ePrint 2010/088;
    Kairouz, Liu, Steinke (2021), The Distributed Discrete Gaussian Mechanism, arXiv:2102.06387;
    Doroshenko et al. (2022), Connect the Dots, arXiv:2207.04380; Balle, Wang (2018), arXiv:1805.06530.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from dp_accounting.pld import common, privacy_loss_distribution
from scipy.optimize import brentq
from scipy.special import log_ndtr

from wardgate.records.claim import Claim, ExponentialEvent, GaussianEvent, NoiseSource, SampledGaussianEvent
from wardgate.records.errors import Invalid

INTERVAL = 1e-4
"""Discretisation of the privacy loss, dp-accounting's own default. Coarsened by doubling for large losses."""

STEPS = 10_000
"""Reported epsilons are rounded up to the next 1/10,000."""

MARGIN = 1e-5
"""Added before rounding up, so that no order of composing the same events in dp-accounting exceeds our figure."""


def epsilon_of(
    *,
    gaussian: Sequence[GaussianEvent] = (),
    exponential: Sequence[ExponentialEvent] = (),
    sampled: Sequence[SampledGaussianEvent] = (),
    delta: float,
) -> float:
    """Return what all events together cost at `delta`: 0.0 for none, infinity if one has no noise.

    Composed as one privacy loss distribution by dp-accounting with pessimistic estimates, then rounded up to
    four decimals: for every epsilon below 100 never below dp-accounting's own figure, and above it by at most
    0.00012 plus its discretisation (another 0.0001 for each choice). A choice is accounted as any pure-DP
    mechanism of its epsilon; a noisy batch as a Poisson-sampled Gaussian, for the worse of adding and removing.

    Raises:
        Invalid: `delta` is not in (0, 1), a count is negative, an epsilon is negative, or a probability is none.
    """
    _check_delta(delta)
    return _epsilon(_inverse_variance(gaussian), _choices(exponential), _batches(sampled), delta)


def noise_multiplier_for(
    *, epsilon: float, delta: float, count: int = 1, exponential: Sequence[ExponentialEvent] = ()
) -> float:
    """Return the smallest noise multiplier for `count` Gaussian releases and the given choices.

    `epsilon_of` for these events with the returned multiplier is at most `epsilon`, and no more than its own
    resolution of 0.0001 below it. One count of n and n events of count 1 cost the same.

    Raises:
        Invalid: `epsilon` is not finite or below 0.001, `delta` is not in (0, 1), `count` is below 1, or the choices
            alone cost more than `epsilon`.
    """
    _check_delta(delta)
    if not (math.isfinite(epsilon) and epsilon >= 10 / STEPS):
        raise Invalid(f"expected a finite epsilon of at least {10 / STEPS}, found {epsilon}")
    if count < 1:
        raise Invalid(f"expected a count of at least 1, found {count}")
    # One part in 10^12 above the root, since the claim adds the releases up again in another order.
    return _multiplier(epsilon, delta, _choices(exponential)) * math.sqrt(count) * (1 + 1e-12)


def sampled_multiplier_for(
    *,
    epsilon: float,
    delta: float,
    probability: float,
    count: int,
    gaussian: Sequence[GaussianEvent] = (),
    exponential: Sequence[ExponentialEvent] = (),
) -> float:
    """Return a noise multiplier for `count` releases over Poisson-sampled batches beside other events.

    Everything together costs at most `epsilon`, and with a multiplier smaller by 0.1 % it would cost more.

    Raises:
        Invalid: as `epsilon_of` and `noise_multiplier_for`, or the other events alone cost more than `epsilon`.
    """
    _check_delta(delta)
    if not (math.isfinite(epsilon) and epsilon >= 10 / STEPS) or count < 1:
        raise Invalid(f"expected a finite epsilon of at least {10 / STEPS} and a count of at least 1")

    def cost(multiplier: float) -> float:
        event = SampledGaussianEvent(noise_multiplier=multiplier, probability=probability, count=count, what="batches")
        return epsilon_of(gaussian=gaussian, exponential=exponential, sampled=(event,), delta=delta)

    alone = epsilon_of(gaussian=gaussian, exponential=exponential, delta=delta)
    if alone >= epsilon:
        raise Invalid(f"the other events alone cost {alone}, nothing of epsilon {epsilon} is left for noise")
    low, high = 0.3, 0.6
    while cost(high) > epsilon:
        low, high = high, high * 2
        if high > 1e6:
            raise Invalid(f"no noise brings {count} batches to epsilon {epsilon}; ask for fewer, or for smaller ones")
    while high > low * 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if cost(middle) <= epsilon else (middle, high)
    return high


def dp_claim(
    *,
    gaussian: Sequence[GaussianEvent] = (),
    exponential: Sequence[ExponentialEvent] = (),
    sampled: Sequence[SampledGaussianEvent] = (),
    delta: float,
    covers: Iterable[str],
    excludes: Iterable[str],
    noise_source: NoiseSource,
) -> Claim:
    """Return the claim of these events with its epsilon.

    Args:
        noise_source: `Entropy.name` of the source that was used.

    Raises:
        Invalid: there are no events, or one of them has no noise: that is not a DP claim.
    """
    epsilon = epsilon_of(gaussian=gaussian, exponential=exponential, sampled=sampled, delta=delta)
    if not (gaussian or exponential or sampled) or not math.isfinite(epsilon):
        raise Invalid("a DP claim needs at least one event, and noise in each; use an exact claim or none instead")
    return Claim(
        kind="dp",
        epsilon=epsilon,
        delta=delta,
        gaussian=tuple(gaussian),
        exponential=tuple(exponential),
        sampled=tuple(sampled) or None,
        covers=tuple(covers),
        excludes=tuple(excludes),
        noise_source=noise_source,
    )


def noise_source(name: str) -> NoiseSource:
    """Return the name of a source of entropy as a claim states it.

    Raises:
        Invalid: it is none that a claim knows.
    """
    if name == "system":
        return "system"
    if name == "unsafe-test":
        return "unsafe-test"
    raise Invalid(f"unknown source of noise '{name}'")


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise Invalid(f"expected 0 < delta < 1, found {delta}")


def _inverse_variance(gaussian: Sequence[GaussianEvent]) -> float:
    """Return the sum of count / multiplier^2: the composition as one Gaussian release."""
    parts = []
    for event in gaussian:
        if event.count < 0:
            raise Invalid(f"expected a count of at least 0, found {event.count}")
        if event.count and event.noise_multiplier <= 0:
            return math.inf
        if event.count:
            parts.append(event.count / event.noise_multiplier**2)
    return math.fsum(parts)


def _choices(exponential: Sequence[ExponentialEvent]) -> tuple[tuple[float, int], ...]:
    counts: Counter[float] = Counter()
    for event in exponential:
        if event.count < 0 or event.epsilon < 0:
            raise Invalid(f"expected a choice of epsilon and count at least 0, found {event.epsilon}, {event.count}")
        if event.count and event.epsilon > 0:
            counts[event.epsilon] += event.count
    return tuple(sorted(counts.items()))


def _batches(sampled: Sequence[SampledGaussianEvent]) -> tuple[tuple[float, float, int], ...]:
    counts: Counter[tuple[float, float]] = Counter()
    for event in sampled:
        if event.count < 0 or not 0 < event.probability <= 1:
            raise Invalid(
                f"expected a batch of probability in (0, 1] and count at least 0, found {event.probability}"
                f" and {event.count}"
            )
        if event.count:
            counts[event.noise_multiplier, event.probability] += event.count
    return tuple((*kind, count) for kind, count in sorted(counts.items()))


@lru_cache(maxsize=4096)
def _epsilon(
    inverse_variance: float,
    choices: tuple[tuple[float, int], ...],
    batches: tuple[tuple[float, float, int], ...],
    delta: float,
) -> float:
    if inverse_variance == 0 and not choices and not batches:
        return 0.0
    if any(noise <= 0 for noise, _, _ in batches):
        return math.inf
    if not math.isfinite(inverse_variance):
        return math.inf
    pure = math.fsum(epsilon * count for epsilon, count in choices)
    # Losses reach about pure + v/2 + 10 sqrt(v); a grid of at most 2^18 points or so keeps this quick.
    # A batch loses no more than its Gaussian would without sampling, and about probability^2 as much.
    spread = inverse_variance + math.fsum(count * (share / noise) ** 2 for noise, share, count in batches)
    span = pure + spread / 2 + 10 * math.sqrt(spread)
    interval = INTERVAL * 2 ** max(0, math.ceil(math.log2(span / (2**17 * INTERVAL)))) if span > 0 else INTERVAL
    joint: Any = privacy_loss_distribution.identity(value_discretization_interval=interval)
    for epsilon, count in choices:
        one = privacy_loss_distribution.from_privacy_parameters(
            common.DifferentialPrivacyParameters(epsilon, 0.0), value_discretization_interval=interval
        )
        joint = joint.compose(one.self_compose(count))
    for noise, share, count in batches:
        one = privacy_loss_distribution.from_gaussian_mechanism(
            noise, sampling_prob=share, value_discretization_interval=interval
        )
        joint = joint.compose(one.self_compose(count))
    if inverse_variance > 0:
        joint = joint.compose(
            privacy_loss_distribution.from_gaussian_mechanism(
                1 / math.sqrt(inverse_variance), value_discretization_interval=interval
            )
        )
    found = float(joint.get_epsilon_for_delta(delta))
    if not math.isfinite(found):
        return math.inf
    return math.ceil((found + MARGIN) * STEPS) / STEPS


@lru_cache(maxsize=1024)
def _multiplier(epsilon: float, delta: float, choices: tuple[tuple[float, int], ...]) -> float:
    """Return the least multiplier of one Gaussian release beside `choices`, to one step of epsilon."""
    alone = _epsilon(0.0, choices, (), delta)
    if alone >= epsilon:
        raise Invalid(f"the choices alone cost {alone}, nothing of epsilon {epsilon} is left for noise; choose less")
    target = (math.floor(epsilon * STEPS + 1e-6) - 0.5) / STEPS
    low, high = 0.0, math.inf
    guess, slope = _analytic_multiplier(target, delta), -1.1
    before: tuple[float, float] | None = None
    while True:
        found = _epsilon(1 / guess**2, choices, (), delta)
        if found <= epsilon and found >= target:
            return guess
        low, high = (low, guess) if found <= epsilon else (guess, high)
        if high <= low * (1 + 1e-7):
            return high
        here = (math.log(guess), math.log(found - 0.5 / STEPS))
        if before is not None and here[0] != before[0] and here[1] != before[1]:
            slope = min(-0.1, (here[1] - before[1]) / (here[0] - before[0]))
        before = here
        guess *= math.exp((math.log(target) - here[1]) / slope)
        if not low < guess < high:
            guess = math.sqrt(low * high) if low > 0 and math.isfinite(high) else (low * 2 or high / 2)


def _analytic_multiplier(epsilon: float, delta: float) -> float:
    """Return the exact multiplier of one Gaussian release, by the closed form of its privacy profile."""

    def excess(log_multiplier: float) -> float:
        mu = math.exp(-log_multiplier)
        upper = log_ndtr(mu / 2 - epsilon / mu)
        lower = epsilon + log_ndtr(-mu / 2 - epsilon / mu)
        return float(upper + math.log1p(-math.exp(min(lower - upper, -1e-15)))) - math.log(delta)

    return math.exp(float(brentq(excess, math.log(1e-4), math.log(1e9))))

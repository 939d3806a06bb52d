"""What was done to protect people, kept apart from what it costs (privacy/accountant.py)."""

from typing import Literal

from pydantic import Field

from wardgate.records.record import Number, Record

NoiseSource = Literal["system", "unsafe-test"]
"""Where noise came from: the operating system, or a test's repeatable stream, which every gate refuses."""


class GaussianEvent(Record):
    """One discrete Gaussian release.

    Attributes:
        noise_multiplier: Standard deviation of the noise over the L2 sensitivity of one person.
        count: How many times, adaptively composed.
        what: What was measured, in words.
    """

    noise_multiplier: Number
    count: int
    what: str


class SampledGaussianEvent(Record):
    """Gaussian releases over random batches, as DP-SGD makes them; the batches are drawn in secret.

    Attributes:
        noise_multiplier: Standard deviation of the noise over the L2 bound of one person.
        probability: With which every person, independently of all others, falls into a batch (Poisson sampling).
        count: How many batches, adaptively composed.
        what: What was measured, in words.
    """

    noise_multiplier: Number
    probability: Number
    count: int
    what: str


class ExponentialEvent(Record):
    """One choice by the exponential mechanism.

    Attributes:
        epsilon: Pure-DP cost of one choice.
        count: How many choices, adaptively composed.
        what: What was chosen, in words.
    """

    epsilon: Number
    count: int
    what: str


class Claim(Record):
    """The privacy statement of one release, after NIST SP 800-226.

    Attributes:
        kind: `dp` (differentially private), `exact` (true values, small-cell rules only), `none`
            (a generator without a guarantee). Never absent.
        epsilon: Total of all events at `delta` by `accountant`; only with `dp`.
        delta: Only with `dp`.
        gaussian, exponential, sampled: Everything random that touched patients, so that others can recompose the
            cost; `sampled` absent where nothing was.
        covers: Decisions on raw data that the claim includes (bounds, categories, bins, missingness, choice).
        excludes: What it does not cover, in words.
        noise_source: `system`, or `unsafe-test`, which every gate refuses.
    """

    kind: Literal["dp", "exact", "none"]
    epsilon: Number | None = None
    delta: Number | None = None
    unit: Literal["person"] = "person"
    neighbour: Literal["add-or-remove"] = "add-or-remove"
    accountant: Literal["pld"] = "pld"
    gaussian: tuple[GaussianEvent, ...] = ()
    exponential: tuple[ExponentialEvent, ...] = ()
    sampled_: tuple[SampledGaussianEvent, ...] | None = Field(default=None, alias="sampled")
    covers: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    noise_source: NoiseSource = "system"

    @property
    def sampled(self) -> tuple[SampledGaussianEvent, ...]:
        """Noisy releases over random batches."""
        return self.sampled_ or ()

    @property
    def random(self) -> bool:
        """Whether it names any random event."""
        return bool(self.gaussian or self.exponential or self.sampled)

"""How one budget is spent: rounds of noisy counts, and a choice of pairs before the last one."""

import math
from dataclasses import dataclass
from typing import Literal

from wardgate.marginals.domain import Domain
from wardgate.privacy.accountant import epsilon_of, noise_multiplier_for
from wardgate.records.claim import ExponentialEvent, GaussianEvent
from wardgate.records.errors import Invalid

Structure = Literal["chosen", "summed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What a question is worth beside others: its noise variance is inverse to its weight. Public.

    Attributes:
        histogram: One column alone.
        link: One column, those with the outcome less those without.
        pair: Two features.
        structure: Share of the whole budget for choosing which pairs are counted.
    """

    histogram: float = 1.0
    link: float = 2.0
    pair: float = 0.5
    structure: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The noise of each round, fixed before a person is looked at.

    Attributes:
        structure: `chosen` by the exponential mechanism (one table at hand), or `summed` signed pairs (many sites).
        histograms, links, signs, pairs: Noise multiplier of each round; infinite where there is none.
        choice: Pure epsilon of one choice of an edge; 0 where there is none.
        choices: How many are paid for.
    """

    structure: Structure
    epsilon: float
    delta: float
    histograms: float
    links: float
    signs: float
    pairs: float
    choice: float
    choices: int

    @property
    def gaussian(self) -> tuple[GaussianEvent, ...]:
        """The Gaussian releases that the claim names."""
        rounds = (
            ("persons, label, and a histogram of each column", self.histograms),
            ("difference that the label makes to each column", self.links),
            ("signed pairs of features, to choose which are counted", self.signs),
            ("pairs of features", self.pairs),
        )
        return tuple(
            GaussianEvent(noise_multiplier=multiplier, count=1, what=what)
            for what, multiplier in rounds
            if math.isfinite(multiplier)
        )

    @property
    def exponential(self) -> tuple[ExponentialEvent, ...]:
        """The choices that the claim names."""
        if not self.choices:
            return ()
        return (ExponentialEvent(epsilon=self.choice, count=self.choices, what="which pairs of features to count"),)


def plan(domain: Domain, *, epsilon: float, delta: float, structure: Structure, weights: Weights | None = None) -> Plan:
    """Split one budget over the rounds, so that all of it together costs at most `epsilon` at `delta`.

    Raises:
        Invalid: the budget is not positive, or a weight is not.
    """
    weights = weights or Weights()
    if not 0 <= weights.structure < 1 or min(weights.histogram, weights.link, weights.pair) <= 0:
        raise Invalid("weights must be above 0, and the share for the structure in [0, 1)")
    features = domain.features
    numbers = sum(column.kind != "nominal" for column in domain.columns)
    edges = features - 1 if weights.structure > 0 else 0
    alone = noise_multiplier_for(epsilon=epsilon, delta=delta)
    choice, choices = 0.0, 0
    if structure == "chosen" and edges:
        choices = edges
        choice = math.sqrt(weights.structure / choices) / alone
    exponential = (ExponentialEvent(epsilon=choice, count=choices, what="structure"),) if choices else ()
    total = noise_multiplier_for(epsilon=epsilon, delta=delta, exponential=exponential)
    parts = {
        "histograms": (features + 2) * weights.histogram,
        "links": (features + numbers) * weights.link,
        "pairs": edges * weights.pair,
    }
    summed = structure == "summed" and edges > 0
    parts["signs"] = sum(parts.values()) * weights.structure / (1 - weights.structure) if summed else 0.0
    whole = sum(parts.values())
    multipliers = {
        name: total * math.sqrt(whole / part) * (1 + 1e-12) if part > 0 else math.inf for name, part in parts.items()
    }
    found = Plan(structure=structure, epsilon=epsilon, delta=delta, choice=choice, choices=choices, **multipliers)
    cost = epsilon_of(gaussian=found.gaussian, exponential=found.exponential, delta=delta)
    if cost > epsilon:
        raise RuntimeError(f"the plan costs {cost}, more than the {epsilon} asked for")
    return found

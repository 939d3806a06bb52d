"""How one budget is spent where all columns are equals: histograms, links to a label if there is one, chosen tables."""

import math
from dataclasses import dataclass

from wardgate.privacy.accountant import epsilon_of, noise_multiplier_for
from wardgate.records.claim import ExponentialEvent, GaussianEvent
from wardgate.records.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What the parts of a budget are worth, in inverse variance; public. They need not add up to 1.

    Attributes:
        alone: Every column by itself.
        links: Every column beside the label, where there is one.
        tables: The chosen tables.
        choice: Choosing them.
    """

    alone: float = 0.25
    links: float = 0.35
    tables: float = 0.35
    choice: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualPlan:
    """The noise of each round, fixed before a person is looked at.

    Attributes:
        alone, links, table: Noise multipliers; `links` is infinite where there is no such round, and `table` is that
            of each of `rounds` releases.
        rounds: Releases of chosen tables.
        choice: Pure epsilon of one choice.
        choices: How many are paid for.
    """

    delta: float
    alone: float
    links: float
    table: float
    rounds: int
    choice: float
    choices: int

    @property
    def gaussian(self) -> tuple[GaussianEvent, ...]:
        """The Gaussian releases that the claim names."""
        parts = (
            ("persons, and a histogram of each column", self.alone, 1),
            ("each column beside the label", self.links, 1),
            ("chosen tables of columns", self.table, self.rounds),
        )
        return tuple(
            GaussianEvent(noise_multiplier=multiplier, count=count, what=what)
            for what, multiplier, count in parts
            if math.isfinite(multiplier) and count
        )

    @property
    def exponential(self) -> tuple[ExponentialEvent, ...]:
        """The choices that the claim names."""
        if not self.choices:
            return ()
        return (ExponentialEvent(epsilon=self.choice, count=self.choices, what="which tables to count"),)


def equal_plan(*, epsilon: float, delta: float, shares: Shares, rounds: int, choices: int, linked: bool) -> EqualPlan:
    """Split one budget, so that all of it together costs at most `epsilon` at `delta`.

    Args:
        rounds: Releases of chosen tables; 0 where there is nothing to choose.

    Raises:
        Invalid: the budget or a share is not positive.
    """
    if min(shares.alone, shares.links, shares.tables, shares.choice) <= 0:
        raise Invalid("expected shares of the budget above 0")
    parts = {"alone": shares.alone, "links": shares.links if linked else 0.0, "table": shares.tables if rounds else 0.0}
    picking = shares.choice if choices else 0.0
    share = picking / (sum(parts.values()) + picking)
    choice = math.sqrt(share / choices) / noise_multiplier_for(epsilon=epsilon, delta=delta) if choices else 0.0
    exponential = (ExponentialEvent(epsilon=choice, count=choices, what="structure"),) if choices else ()
    whole = noise_multiplier_for(epsilon=epsilon, delta=delta, exponential=exponential)
    total = sum(parts.values())
    each = {name: whole * math.sqrt(total / part) * (1 + 1e-12) if part else math.inf for name, part in parts.items()}
    found = EqualPlan(
        delta=delta,
        alone=each["alone"],
        links=each["links"],
        table=each["table"] * math.sqrt(max(rounds, 1)) * (1 + 1e-12),
        rounds=rounds,
        choice=choice,
        choices=choices,
    )
    cost = epsilon_of(gaussian=found.gaussian, exponential=found.exponential, delta=delta)
    if cost > epsilon:
        raise RuntimeError(f"the plan costs {cost}, more than the {epsilon} asked for")
    return found

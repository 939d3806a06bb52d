"""How one budget is spent on timelines: fixed before anybody is looked at, from public figures alone."""

import math
from dataclasses import dataclass, fields, replace

from wardgate.marginals.domain import Domain
from wardgate.marginals.tree.plan import Plan, Weights, plan
from wardgate.privacy.accountant import epsilon_of, noise_multiplier_for
from wardgate.records.claim import ExponentialEvent, GaussianEvent
from wardgate.records.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What each step takes of the budget, in inverse variance. Public.

    Attributes:
        scales: Histograms of numbers over persons.
        people: Persons' own rows, by the marginal family.
        levels: How persons' levels go together.
        gaps: Hours between rows.
        courses: How values move and go together within persons.
        measurements: When features are measured.
        categories: Where changing categories stay.
    """

    scales: float = 0.12
    people: float = 0.63
    levels: float = 0.04
    gaps: float = 0.06
    courses: float = 0.10
    measurements: float = 0.03
    categories: float = 0.02


_WHAT = {
    "scales": "histogram of each number, a person spread over their measurements",
    "levels": "products of ranks of each person's levels",
    "gaps": "hours between rows by pace, a person spread over their gaps",
    "courses": "normalised sums over each person's transitions: spread, drift, one value after another, two in a row",
    "measurements": "normalised sums over each person's rows: what is measured, again and together",
    "categories": "where each person's changing categories are and whether they stay",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePlan:
    """The noise of each step; infinite where there is nothing to ask.

    Attributes:
        people: Rounds of the marginal family.
        scales, levels, gaps, courses, measurements, categories: Noise multipliers.
    """

    epsilon: float
    delta: float
    people: Plan
    scales: float
    levels: float
    gaps: float
    courses: float
    measurements: float
    categories: float

    @property
    def gaussian(self) -> tuple[GaussianEvent, ...]:
        """The Gaussian releases that the claim names."""
        own = tuple(
            GaussianEvent(noise_multiplier=getattr(self, name), count=1, what=what)
            for name, what in _WHAT.items()
            if math.isfinite(getattr(self, name))
        )
        return (*self.people.gaussian, *own)

    @property
    def exponential(self) -> tuple[ExponentialEvent, ...]:
        """The choices that the claim names."""
        return self.people.exponential


def timeline_plan(
    domain: Domain,
    *,
    epsilon: float,
    delta: float,
    shares: Shares,
    weights: Weights,
    numbers: bool,
    tracks: bool,
    categories: bool,
) -> TimelinePlan:
    """Split one budget, so that all of it together costs at most `epsilon` at `delta`.

    Args:
        domain: Of persons' own rows.
        numbers, tracks, categories: Whether any changing feature is one; what is not asked costs nothing.

    Raises:
        Invalid: the budget is not positive, or a share is not.
    """
    wanted = {one.name: float(getattr(shares, one.name)) for one in fields(shares)}
    if min(wanted.values()) <= 0:
        raise Invalid("every share of the budget must be above 0")
    wanted["scales"] *= numbers
    wanted["levels"] *= tracks
    wanted["courses"] *= tracks
    wanted["categories"] *= categories
    whole = sum(wanted.values())
    part = wanted.pop("people") / whole
    # The summed plan splits noise over the same rounds and needs no accounting of choices, which is slow.
    base = plan(domain, epsilon=epsilon, delta=delta, structure="summed", weights=weights)
    choices = domain.features - 1 if weights.structure > 0 else 0
    alone = noise_multiplier_for(epsilon=epsilon, delta=delta)
    choice = math.sqrt(weights.structure * part / choices) / alone if choices else 0.0
    people = replace(base, structure="chosen", signs=math.inf, choice=choice, choices=choices)
    total = noise_multiplier_for(epsilon=epsilon, delta=delta, exponential=people.exponential) * (1 + 1e-9)
    rounds = [name for name in ("histograms", "links", "pairs") if math.isfinite(getattr(base, name))]
    factor = total * math.sqrt(sum(getattr(base, name) ** -2.0 for name in rounds) / part)
    people = replace(people, **{name: getattr(base, name) * factor for name in rounds})
    own = {name: total * math.sqrt(whole / share) if share > 0 else math.inf for name, share in wanted.items()}
    found = TimelinePlan(epsilon=epsilon, delta=delta, people=people, **own)
    cost = epsilon_of(gaussian=found.gaussian, exponential=found.exponential, delta=delta)
    if cost > epsilon:
        raise RuntimeError(f"the plan costs {cost}, more than the {epsilon} asked for")
    return found

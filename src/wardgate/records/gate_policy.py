"""The consortium's floor for everything that leaves. A site may only tighten it.

Every default has its source in docs/gate.md: cited rules (11 persons, 0.09) and engineering choices.
"""

from typing import Literal

from pydantic import Field

from wardgate.records.record import Number, Record

Profile = Literal["public-open", "commons-controlled", "internal-only"]


class SmallCells(Record):
    """Counts of people. Source: CMS cell-size policy (2024), the same rule as a risk of 0.09."""

    min_count: int = 11
    rounding: Number = 0.01
    max_numbers_per_person: Number = 0.33


class Tier(Record):
    """A low-false-positive limit that holds from these sample sizes on."""

    members: int
    non_members: int
    tpr_at_1_percent: Number
    tpr_at_0_1_percent: Number | None = None


def _tiers() -> tuple[Tier, ...]:
    return (
        Tier(members=10_000, non_members=10_000, tpr_at_1_percent=0.02, tpr_at_0_1_percent=0.003),
        Tier(members=2_000, non_members=2_000, tpr_at_1_percent=0.022, tpr_at_0_1_percent=0.006),
        Tier(members=500, non_members=1_000, tpr_at_1_percent=0.03),
    )


class Membership(Record):
    """One test over attacks, subgroups and the most unusual decile, plus limits by tier.

    Attributes:
        battery_level: The battery fails where its p-value is below this, times the attempt.
        permutations: Member labels drawn for the null of the battery.
        subgroup_min_persons: Members and non-members that a declared subgroup needs to be tested apart.
        rehearsals: Draws of planted copies that measure what the battery would have caught.
    """

    battery_level: Number = 0.01
    permutations: int = Field(default=999, ge=199)
    subgroup_min_persons: int = Field(default=200, ge=50)
    rehearsals: int = Field(default=50, ge=10)
    auc_max: Number = 0.55
    tiers: tuple[Tier, ...] = Field(default_factory=_tiers)
    planted_copy_fraction: Number = 0.02
    min_detect_probability: Number = 0.90


class Proximity(Record):
    """Distances may only veto; passing them proves nothing."""

    exact_match_level: Number = 0.01
    near_copy_level: Number = 0.01
    reused_values_level: Number = 0.01
    rare_combinations_level: Number = 0.01


class Realism(Record):
    """What a corpus must be good for."""

    marginal_error_max: Number = 0.15
    pairwise_error_max: Number = 0.25
    clinical_rules_min: Number = 0.99
    tstr_loss_max: Number = 0.08


class DifferentialPrivacy(Record):
    """When noise counts as protection."""

    required: bool = False
    epsilon_claim_max: Number = 1.0
    exact_sums: Literal["allow", "deny"] = "allow"
    exact_sum_ration: int = 200


class GatePolicy(Record):
    """All rules of one gate. An absent rule is not a permission: unknown evidence is refused.

    Attributes:
        bound_level: One-sided confidence of every bound that a rule judges, at the first attempt.
    """

    profile: Profile = "commons-controlled"
    max_attempts: int = 3
    min_sites_in_sum: int = 3
    bound_level: Number = Field(default=0.95, ge=0.8, lt=1.0)
    small_cells: SmallCells = Field(default_factory=SmallCells)
    dp: DifferentialPrivacy = Field(default_factory=DifferentialPrivacy)
    membership: Membership = Field(default_factory=Membership)
    proximity: Proximity = Field(default_factory=Proximity)
    realism: Realism = Field(default_factory=Realism)

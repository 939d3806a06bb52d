"""The consortium's floor for everything that leaves. A site may only tighten it.

Every default has its source in docs/gate.md: cited rules (11 persons, 0.09) and engineering choices.

A limit that came with a later version is optional by type alone: written by hand it always has its default, and only
in a policy that was signed before it existed is it absent. Such a policy sets no such limit.
"""

from typing import Any, Literal, get_args

from pydantic import Field, ValidationInfo, model_validator

from wardgate.records.record import Number, Record

Profile = Literal["public-open", "commons-controlled", "internal-only"]


class Section(Record):
    """A part of the policy. What a stored policy leaves out was not known when it was signed, and stays absent."""

    @model_validator(mode="before")
    @classmethod
    def _as_signed(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict) or not (info.context or {}).get("stored"):
            return value
        later = {name for name, field in cls.model_fields.items() if type(None) in get_args(field.annotation)}
        return {**dict.fromkeys(later), **value}


class SmallCells(Section):
    """Counts of people. Source: CMS cell-size policy (2024), the same rule as a risk of 0.09."""

    min_count: int = 11
    rounding: Number = 0.01
    max_numbers_per_person: Number = 0.33


class Tier(Section):
    """A low-false-positive limit that holds from these sample sizes on."""

    members: int
    non_members: int
    tpr_at_1_percent: Number
    tpr_at_0_1_percent: Number | None = None


def _tiers() -> tuple[Tier, ...]:
    return (
        Tier(members=10_000, non_members=10_000, tpr_at_1_percent=0.02, tpr_at_0_1_percent=0.003),
        Tier(members=2_000, non_members=2_000, tpr_at_1_percent=0.024, tpr_at_0_1_percent=0.007),
        Tier(members=500, non_members=1_000, tpr_at_1_percent=0.03),
    )


class Membership(Section):
    """One test over attacks, subgroups and the most unusual decile, plus limits by tier.

    Attributes:
        battery_level: The battery fails where its p-value is below this, times the attempt.
        permutations: Member labels drawn for the null of the battery.
        subgroup_min_persons: Members and non-members that a declared subgroup needs to be tested apart.
        shadows: Refits of a cheap generator for shadow attacks, where the gate can refit it.
        rehearsals: Draws of planted copies that measure what the battery would have caught.
    """

    battery_level: Number = 0.01
    permutations: int = Field(default=999, ge=199)
    subgroup_min_persons: int = Field(default=200, ge=50)
    rehearsals: int = Field(default=50, ge=10)
    auc_max: Number = 0.55
    tiers: tuple[Tier, ...] = Field(default_factory=_tiers)
    shadows: int | None = Field(default=4, ge=0, le=64)
    planted_copy_fraction: Number = 0.02
    min_detect_probability: Number = 0.90


class Proximity(Section):
    """Distances may only veto; passing them proves nothing."""

    exact_match_level: Number = 0.01
    near_copy_level: Number = 0.01
    reused_values_level: Number = 0.01
    rare_combinations_level: Number = 0.01
    crowded_level: Number | None = 0.01


class Disclosure(Section):
    """What the corpus tells of one person. Source: 0.09 of EMA Policy 0070 and Health Canada; see docs/gate.md.

    Each limit but `k_map_min` is an excess over a control: what an attacker gains by a person's having been used.

    Attributes:
        attribute_max: Of guessing a sensitive column from the quasi-identifiers.
        linkability_max: Of joining two halves of one record.
        singling_out_max: Of a predicate that holds for exactly one person.
        identity_max: Identity disclosure of El Emam et al. 2020, as a probability.
        k_map_min: Persons of the population at least behind a reproduced combination, at risk 1 / k.
    """

    attribute_max: Number = 0.09
    linkability_max: Number = 0.09
    singling_out_max: Number = 0.09
    identity_max: Number = 0.09
    k_map_min: int = 11


class Refreshes(Section):
    """All earlier corpora of the same population are in the attacker's hands.

    Attributes:
        battery_level: As for membership, with all corpora together.
        changed_level: For the persons who entered or left since an earlier corpus.
    """

    battery_level: Number = 0.01
    changed_level: Number = 0.01


class Canaries(Section):
    """Invented, conspicuous records planted in a rehearsal fit."""

    count: int = Field(default=20, ge=1)
    found_max: int = 0


class Realism(Section):
    """What a corpus must be good for."""

    marginal_error_max: Number = 0.15
    pairwise_error_max: Number = 0.25
    clinical_rules_min: Number = 0.99
    tstr_loss_max: Number = 0.08
    missingness_error_max: Number | None = 0.15
    joint_error_max: Number | None = 0.10
    relations_min: Number | None = 0.8
    detection_auc_max: Number | None = 1.0
    trts_loss_max: Number | None = 0.22
    slope: tuple[Number, Number] | None = (0.4, 3.0)
    subgroup_error_max: Number | None = 0.20
    rare_outcome_ratio: tuple[Number, Number] | None = (0.25, 4.0)


class Timelines(Section):
    """What a corpus of timelines must keep.

    Attributes:
        visits_max: Kolmogorov-Smirnov distance of the number of rows a person.
        gaps_max: The same of the hours between two rows.
        order_violations_max: Share of persons with an order that no real patient has.
        within_person_max: Largest difference of a within-person correlation from that of real persons.
        time_to_event_max: Largest difference of the Kaplan-Meier curves.
    """

    visits_max: Number = 0.10
    gaps_max: Number = 0.10
    order_violations_max: Number = 0.001
    within_person_max: Number = 0.20
    time_to_event_max: Number = 0.10


class Models(Section):
    """Released models. Sources: SACRO-ML and ACRO for structure; membership limits are engineering choices.

    Attributes:
        min_leaf: Training persons at least behind every leaf or cell of a model.
        overfit_gap_max: AUROC on training minus AUROC on persons never seen.
        memorising_types: Models that keep training records (nearest neighbours, support vectors, Gaussian processes).
        parameters_per_person_max: Free parameters for each training person.
    """

    auc_max: Number = 0.60
    tpr_at_1_percent: Number = 0.03
    min_leaf: int = 11
    overfit_gap_max: Number = 0.05
    memorising_types: Literal["deny"] = "deny"
    parameters_per_person_max: Number = 0.33


class Aggregates(Section):
    """Tables of counts, sums and means. Source: ACRO defaults; CMS for the least count.

    Attributes:
        min_degrees_of_freedom: Residual degrees of freedom of a regression.
        dominance_largest, dominance_share: The largest n contributors hold less than this share of a cell.
        p_ratio: What is left of a cell without its two largest contributors, over the largest: at least this.
        zeros: Whether a cell of 0 may be shown (CMS allows it; ACRO treats it as disclosive).
        rounding_base: Counts are shown as multiples of this.
        complementary: Whether further cells are hidden so that no small one can be worked out.
        differing_min: Persons by which two cohorts that were ever answered for must differ, if they differ at all.
    """

    min_degrees_of_freedom: int = 10
    dominance_largest: int = 2
    dominance_share: Number = 0.90
    p_ratio: Number = 0.10
    zeros: Literal["show", "hide"] = "hide"
    rounding_base: int = Field(default=5, ge=1)
    complementary: Literal["require"] = "require"
    differing_min: int = 11


class Images(Section):
    """Synthetic images. Distances are calibrated on held-out patients; engineering choices."""

    near_copy_level: Number = 0.01
    copied_level: Number = 0.01
    membership_level: Number = 0.01
    auc_max: Number = 0.55


class Population(Section):
    """What one population may lose over all studies, releases and refreshes of a period.

    Attributes:
        epsilon_total: Joint PLD over everything stored, at `delta`.
        months: Length of the period.
    """

    epsilon_total: Number = 10.0
    delta: Number = 1e-6
    months: int = Field(default=24, ge=1)


class DifferentialPrivacy(Section):
    """When noise counts as protection."""

    required: bool = False
    epsilon_claim_max: Number = 1.0
    exact_sums: Literal["allow", "deny"] = "allow"
    exact_sum_ration: int = 200


class GatePolicy(Section):
    """All rules of one gate. An absent rule is not a permission: unknown evidence is refused.

    Attributes:
        bound_level: One-sided confidence of every bound that a rule judges, at the first attempt.
    """

    profile: Profile = "commons-controlled"
    max_attempts: int = Field(default=3, ge=1)
    min_sites_in_sum: int = 3
    bound_level: Number = Field(default=0.95, ge=0.8, lt=1.0)
    small_cells: SmallCells = Field(default_factory=SmallCells)
    dp: DifferentialPrivacy = Field(default_factory=DifferentialPrivacy)
    membership: Membership = Field(default_factory=Membership)
    proximity: Proximity = Field(default_factory=Proximity)
    realism: Realism = Field(default_factory=Realism)
    disclosure: Disclosure | None = Field(default_factory=Disclosure)
    refreshes: Refreshes | None = Field(default_factory=Refreshes)
    canaries: Canaries | None = Field(default_factory=Canaries)
    timelines: Timelines | None = Field(default_factory=Timelines)
    models: Models | None = Field(default_factory=Models)
    aggregates: Aggregates | None = Field(default_factory=Aggregates)
    images: Images | None = Field(default_factory=Images)
    population: Population | None = Field(default_factory=Population)
    certificate_months: int | None = Field(default=12, ge=1, le=60)

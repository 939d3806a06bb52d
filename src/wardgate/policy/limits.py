"""Every limit of a policy: which way is stricter, what it says, and where it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from wardgate.policy.rule import CHOICE
from wardgate.records.gate_policy import GatePolicy, Tier
from wardgate.records.record import Record

Direction = Literal["lower", "higher", "inside", "same"]

CMS = "CMS cell-size policy, January 2024: no cell of 1 to 10; the same rule as a risk of 0.09"
EMA = "EMA Policy 0070 and Health Canada: a risk of at most 0.09"
ACRO = "ACRO's defaults"
DATASHIELD = "DataSHIELD nfilter.glm: 0.33"
POWER = CHOICE + ", from the power tables in docs/gate/membership.md"

ORDERED: dict[str, tuple[Any, ...]] = {
    "profile": ("internal-only", "commons-controlled", "public-open"),
    "dp.required": (False, True),
    "dp.exact_sums": ("allow", "deny"),
    "models.memorising_types": ("deny",),
    "aggregates.zeros": ("show", "hide"),
    "aggregates.complementary": ("require",),
}
"""Limits that are words, from loose to strict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of a policy.

    Attributes:
        stricter: Which way a site may move it; `inside` for a range, `same` for what is ordered by `ORDERED`.
        words: What it says.
        source: Where its default comes from.
    """

    stricter: Direction
    words: str
    source: str = CHOICE


def _limit(stricter: Direction, words: str, source: str = CHOICE) -> Limit:
    return Limit(stricter=stricter, words=words, source=source)


LIMITS: dict[str, Limit] = {
    "profile": _limit("same", "who may see what leaves: internal-only, commons-controlled or public-open"),
    "max_attempts": _limit(
        "lower", "candidates that one protocol may show to the gate", CHOICE + ", after ReconSyn, arXiv:2312.05114"
    ),
    "min_sites_in_sum": _limit("higher", "hospitals at least in a sum: with two, each learns the other's part"),
    "bound_level": _limit("higher", "one-sided confidence of every bound, at the first attempt"),
    "certificate_months": _limit("lower", "months for which a certificate holds"),
    "small_cells.min_count": _limit("higher", "persons at least behind any figure", CMS),
    "small_cells.rounding": _limit("higher", "step to which one hospital's own figures are rounded"),
    "small_cells.max_numbers_per_person": _limit("lower", "numbers asked for each person in an exact sum", DATASHIELD),
    "dp.required": _limit("same", "whether nothing leaves without noise that counts"),
    "dp.epsilon_claim_max": _limit(
        "lower", "epsilon up to which noise is called protection: at 1 a belief of 50 % rises to 73 % at most"
    ),
    "dp.exact_sums": _limit("same", "whether sums without noise may leave"),
    "dp.exact_sum_ration": _limit("lower", "exact answers that one split of a study may give"),
    "membership.battery_level": _limit("higher", "chance of such an attack's success, if nobody could be told"),
    "membership.permutations": _limit("higher", "random relabellings behind the battery's chance"),
    "membership.subgroup_min_persons": _limit("lower", "persons on each side from which on a subgroup is tested apart"),
    "membership.rehearsals": _limit("higher", "draws of planted copies"),
    "membership.shadows": _limit("higher", "refits for shadow attacks, where the gate can refit a generator"),
    "membership.auc_max": _limit("lower", "how well members may be sorted before others; 0.5 is guessing", POWER),
    "membership.tiers": _limit("inside", "members found at low false-positive rates, by sample size", POWER),
    "membership.planted_copy_fraction": _limit("lower", "share of training persons copied in a rehearsal"),
    "membership.min_detect_probability": _limit("higher", "how surely a rehearsal must be noticed"),
    "proximity.exact_match_level": _limit("higher", "chance of so many whole records reproduced"),
    "proximity.near_copy_level": _limit("higher", "chance of so many training persons nearest to the nearest rows"),
    "proximity.reused_values_level": _limit("higher", "chance of so many lone numbers re-used"),
    "proximity.rare_combinations_level": _limit("higher", "chance of so many rare combinations reproduced"),
    "proximity.crowded_level": _limit("higher", "chance of so many rows around one training person"),
    "disclosure.attribute_max": _limit("lower", "gain in guessing a sensitive column, over the control", EMA),
    "disclosure.linkability_max": _limit("lower", "gain in joining two halves of a record, over the control", EMA),
    "disclosure.singling_out_max": _limit("lower", "gain in singling a person out, over the control", EMA),
    "disclosure.identity_max": _limit("lower", "identity disclosure, El Emam et al. 2020", EMA),
    "disclosure.k_map_min": _limit("higher", "persons of the population behind a reproduced combination", CMS),
    "refreshes.battery_level": _limit("higher", "as the battery's level, with all earlier corpora in hand"),
    "refreshes.changed_level": _limit("higher", "the same for persons who entered or left since"),
    "canaries.count": _limit("higher", "invented records planted in a rehearsal fit"),
    "canaries.found_max": _limit("lower", "of them found again beyond chance"),
    "realism.marginal_error_max": _limit("lower", "mean total variation of single columns"),
    "realism.pairwise_error_max": _limit("lower", "mean total variation of pairs of columns"),
    "realism.clinical_rules_min": _limit("higher", "share of rows that break no clinical rule"),
    "realism.tstr_loss_max": _limit("lower", "AUROC lost when a model learns from the corpus"),
    "realism.missingness_error_max": _limit("lower", "error of the patterns of missing values"),
    "realism.joint_error_max": _limit("lower", "total variation of three and more columns together"),
    "realism.relations_min": _limit("higher", "share of known relations that hold"),
    "realism.detection_auc_max": _limit("lower", "how well boosted trees tell rows from patients; 1 reports only"),
    "realism.trts_loss_max": _limit("lower", "AUROC lost when a model from patients is tried on the corpus"),
    "realism.slope": _limit("inside", "calibration slope on patients, of the corpus's model over the patients' model"),
    "realism.subgroup_error_max": _limit("lower", "error of single columns in the worst subgroup, a root mean square"),
    "realism.rare_outcome_ratio": _limit("inside", "rare outcomes in the corpus over rare outcomes in patients"),
    "timelines.visits_max": _limit("lower", "Kolmogorov-Smirnov distance of the rows a person"),
    "timelines.gaps_max": _limit("lower", "the same of the hours between rows"),
    "timelines.order_violations_max": _limit("lower", "share of persons with an impossible order"),
    "timelines.within_person_max": _limit("lower", "largest error of a correlation within persons"),
    "timelines.time_to_event_max": _limit("lower", "largest distance of the Kaplan-Meier curves"),
    "models.auc_max": _limit("lower", "how well a model tells its training persons from others"),
    "models.tpr_at_1_percent": _limit("lower", "training persons found at one false alarm in a hundred"),
    "models.min_leaf": _limit("higher", "training persons at least behind every leaf", CMS),
    "models.overfit_gap_max": _limit("lower", "AUROC on training minus AUROC on persons never seen"),
    "models.memorising_types": _limit("same", "models that keep training records are refused", "SACRO-ML"),
    "models.parameters_per_person_max": _limit("lower", "free parameters for each training person", DATASHIELD),
    "aggregates.min_degrees_of_freedom": _limit("higher", "residual degrees of freedom of a regression", ACRO),
    "aggregates.dominance_largest": _limit("higher", "largest contributors counted together", ACRO),
    "aggregates.dominance_share": _limit("lower", "their largest share of a cell", ACRO),
    "aggregates.p_ratio": _limit("higher", "rest of a cell over its largest contributor", ACRO),
    "aggregates.zeros": _limit("same", "whether a cell of 0 may be shown", "CMS shows zeros, ACRO hides them"),
    "aggregates.rounding_base": _limit("higher", "counts are multiples of this", "OpenSAFELY rounds to 5"),
    "aggregates.complementary": _limit("same", "further cells hidden, so that no small one follows", CMS),
    "aggregates.differing_min": _limit("higher", "persons by which two cohorts differ, if at all", CMS),
    "images.near_copy_level": _limit("higher", "chance of so many training patients nearest to the nearest images"),
    "images.copied_level": _limit("higher", "chance of so many copies under shift, flip and noise"),
    "images.membership_level": _limit("higher", "chance of such an attack's success on images"),
    "images.auc_max": _limit("lower", "how well members' images may be sorted before others"),
    "population.epsilon_total": _limit("lower", "epsilon of one population over all studies of a period"),
    "population.delta": _limit("lower", "delta of that epsilon"),
    "population.months": _limit("higher", "months of that period"),
}


def limits_of(policy: GatePolicy) -> Iterator[tuple[str, Any]]:
    """Yield every limit of a policy with its dotted name; what the policy does not know is None."""
    yield from _inside(policy, "")


def _inside(section: Record, prefix: str) -> Iterator[tuple[str, Any]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Record):
            yield from _inside(value, f"{prefix}{name}.")
        elif value is None and not prefix and not any(known == name for known in LIMITS):
            yield from ((known, None) for known in LIMITS if known.startswith(f"{name}."))
        else:
            yield f"{prefix}{name}", value


def weaker_than(policy: GatePolicy, floor: GatePolicy) -> tuple[str, ...]:
    """Return every limit in which a site's policy is weaker than its consortium's floor, in words; none is well.

    A limit that only one of the two knows counts as weaker where the floor has it. Limits that only the site has are
    tighter.
    """
    ours = dict(limits_of(policy))
    return tuple(
        f"{name}: found {_shown(ours.get(name))}, the floor asks for {_asked(name, wanted)}"
        for name, wanted in limits_of(floor)
        if wanted is not None and _weaker(name, ours.get(name), wanted)
    )


def tighter_than(policy: GatePolicy, floor: GatePolicy) -> tuple[str, ...]:
    """Return the names of the limits in which a site's policy differs from the floor without being weaker."""
    theirs = dict(limits_of(floor))
    return tuple(
        name
        for name, value in limits_of(policy)
        if value is not None and value != theirs.get(name) and not _weaker(name, value, theirs.get(name))
    )


def _weaker(name: str, found: Any, wanted: Any) -> bool:
    if wanted is None:
        return False
    if found is None or name not in LIMITS:
        return True
    if name in ORDERED:
        order = ORDERED[name]
        return found not in order or order.index(found) < order.index(wanted)
    if name == "membership.tiers":
        return _tiers_weaker(found, wanted)
    match LIMITS[name].stricter:
        case "lower":
            return not found <= wanted
        case "higher":
            return not found >= wanted
        case _:
            return not (wanted[0] <= found[0] <= found[1] <= wanted[1])


def _tiers_weaker(found: tuple[Tier, ...], wanted: tuple[Tier, ...]) -> bool:
    """Whether at some sample size the found tiers allow what the wanted ones do not."""
    sizes = {(tier.members, tier.non_members) for tier in (*found, *wanted)}
    return any(
        _looser(_reached(found, *size), _reached(wanted, *size))
        for size in {(one, other) for one, _ in sizes for _, other in sizes}
    )


def _reached(tiers: tuple[Tier, ...], members: int, non_members: int) -> Tier | None:
    return next((tier for tier in tiers if members >= tier.members and non_members >= tier.non_members), None)


def _looser(found: Tier | None, wanted: Tier | None) -> bool:
    if found is None:
        return False
    if wanted is None or found.tpr_at_1_percent > wanted.tpr_at_1_percent:
        return True
    if wanted.tpr_at_0_1_percent is None:
        return False
    return found.tpr_at_0_1_percent is None or found.tpr_at_0_1_percent > wanted.tpr_at_0_1_percent


def _asked(name: str, wanted: Any) -> str:
    if name in ORDERED:
        return f"{_shown(wanted)} or stricter"
    return {"lower": "at most ", "higher": "at least ", "inside": "within ", "same": ""}[
        LIMITS[name].stricter if name in LIMITS else "same"
    ] + _shown(wanted)


def _shown(value: Any) -> str:
    if value is None:
        return "no such limit"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, tuple) and value and isinstance(value[0], Tier):
        return "; ".join(
            f"{t.members}/{t.non_members}: {t.tpr_at_1_percent:g}, {_shown(t.tpr_at_0_1_percent)}" for t in value
        )
    return "[" + ", ".join(_shown(one) for one in value) + "]" if isinstance(value, tuple) else str(value)

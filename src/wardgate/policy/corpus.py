"""Rules for synthetic corpora: membership attacks, copies, realism."""

from collections.abc import Callable

from wardgate.policy.rule import Case, Judge, Judgement, Kind, Rule, bounded, missing, probable, sound
from wardgate.records.gate_policy import GatePolicy, Tier

CHOICE = "engineering choice"
JOINT_OPTIONAL: tuple[Kind, ...] = ("joint-corpus",)


def tier_of(policy: GatePolicy, *, members: int, non_members: int) -> Tier | None:
    """Return the first tier that these sample sizes reach, or nothing below the lowest."""
    for tier in policy.membership.tiers:
        if members >= tier.members and non_members >= tier.non_members:
            return tier
    return None


def _tier_of(case: Case, name: str) -> tuple[Tier | None, str]:
    measured, _ = case.find(name)
    if measured is None or len(measured.n) != 2:
        return None, "the measure does not say how many members and non-members were compared"
    members, non_members = measured.n
    tier = tier_of(case.policy, members=members, non_members=non_members)
    return tier, "" if tier else "too few persons for any tier of the policy"


def _tiered(name: str, judge: Judge) -> Judge:
    """Judge an attack only where its sample reaches a tier; below, no answer counts as a pass."""

    def judged(case: Case) -> Judgement | None:
        measured, _ = case.find(name)
        if measured is not None and sound(measured):
            tier, reason = _tier_of(case, name)
            if tier is None:
                return Judgement(outcome=case.untested, limit="enough persons", measured=measured, reason=reason)
        return judge(case)

    return judged


def _tpr(name: str, limit_of: Callable[[Tier], float | None]) -> Judge:
    def judge(case: Case) -> Judgement | None:
        measured, _ = case.find(name)
        if measured is None:
            return _unlimited(case, name, limit_of)
        tier, _ = _tier_of(case, name)
        ceiling = limit_of(tier) if tier else None
        if ceiling is None:
            return None if tier else missing(case, name, "enough persons", attack=True)
        found = bounded(name, most=lambda _: ceiling)(case)
        if found is None or tier is None:
            return found
        return Judgement(
            outcome=found.outcome,
            limit=f"{found.limit} (tier {tier.members}/{tier.non_members})",
            measured=found.measured,
            reason=found.reason,
            detects=_detects(case),
        )

    return judge


def _unlimited(case: Case, name: str, limit_of: Callable[[Tier], float | None]) -> Judgement | None:
    """Rule on an absent low-false-positive measure: left out where the tier of the battery sets no such limit."""
    tier, _ = _tier_of(case, "membership.battery")
    if tier is not None and limit_of(tier) is None:
        return None
    return missing(case, name, "the limit of the tier", attack=True)


def _detects(case: Case) -> str:
    rehearsal, _ = case.find("membership.rehearsal")
    if rehearsal is None or not sound(rehearsal):
        return ""
    share = case.policy.membership.planted_copy_fraction
    return f"{share:.1%} planted copies in {rehearsal.value:.0%} of rehearsals (at least {rehearsal.low:.0%})"


def _with_power(judge: Judge) -> Judge:
    def judged(case: Case) -> Judgement | None:
        found = judge(case)
        if found is None:
            return None
        return Judgement(
            outcome=found.outcome,
            limit=found.limit,
            measured=found.measured,
            reason=found.reason,
            detects=_detects(case),
        )

    return judged


def _rehearsal(case: Case) -> Judgement:
    name = "membership.rehearsal"
    least = case.policy.membership.min_detect_probability
    limit = f"planted copies caught with probability at least {least:g}"
    measured, _ = case.find(name)
    if measured is None:
        return missing(case, name, limit, attack=True)
    if not sound(measured):
        return Judgement(outcome="fail", limit=limit, measured=measured, reason="the measure is not a number")
    if measured.level < case.interval_level - 1e-9:
        return Judgement(outcome="fail", limit=limit, measured=measured, reason="the interval is too narrow")
    if measured.low >= least:
        return Judgement(outcome="pass", limit=limit, measured=measured, detects=_detects(case))
    reason = "the attacks are too weak on such data to call their silence a pass"
    return Judgement(outcome=case.untested, limit=limit, measured=measured, reason=reason, detects=_detects(case))


_SEES_CORPUS = "The corpus, one patient's whole record, and records of similar patients who took no part."

RULES: tuple[Rule, ...] = (
    Rule(
        name="membership.battery",
        kinds=("corpus", "joint-corpus"),
        tests="One test over all attacks, the most unusual tenth of patients and every declared subgroup: the largest "
        "standardised success, against random relabelling of members and non-members.",
        attacker=_SEES_CORPUS,
        meaning="A small value says that some attack tells patients who were used from patients who were not, "
        "better than chance explains.",
        source=CHOICE,
        judge=_with_power(
            _tiered(
                "membership.battery", probable("membership.battery", lambda policy: policy.membership.battery_level)
            )
        ),
    ),
    Rule(
        name="membership.auc",
        kinds=("corpus", "joint-corpus"),
        tests="How well the attacks together sort members before non-members; 0.5 is guessing.",
        attacker=_SEES_CORPUS,
        meaning="At 0.55 an attacker who must choose between a used and an unused patient is right 55 times in 100.",
        source=CHOICE + ", with the power computed in docs/gate.md",
        judge=_tiered(
            "membership.auc", bounded("membership.auc", most=lambda policy: policy.membership.auc_max, attack=True)
        ),
    ),
    Rule(
        name="membership.tpr_at_1_percent",
        kinds=("corpus", "joint-corpus"),
        tests="Share of members named by the attacks together when 1 in 100 non-members is wrongly named.",
        attacker=_SEES_CORPUS,
        meaning="0.01 is guessing; at 0.02 a patient is found twice as often as chance would.",
        source=CHOICE + ", by sample size (power table in docs/gate.md)",
        judge=_tiered(
            "membership.tpr_at_1_percent", _tpr("membership.tpr_at_1_percent", lambda tier: tier.tpr_at_1_percent)
        ),
    ),
    Rule(
        name="membership.tpr_at_0_1_percent",
        kinds=("corpus", "joint-corpus"),
        tests="Share of members named when 1 in 1,000 non-members is wrongly named: the few who stand out most.",
        attacker=_SEES_CORPUS,
        meaning="0.001 is guessing; averages miss the few patients whom this finds.",
        source=CHOICE + ", by sample size (power table in docs/gate.md)",
        judge=_tiered(
            "membership.tpr_at_0_1_percent",
            _tpr("membership.tpr_at_0_1_percent", lambda tier: tier.tpr_at_0_1_percent),
        ),
    ),
    Rule(
        name="membership.rehearsal",
        kinds=("corpus", "joint-corpus"),
        tests="Copies of training patients are planted in the candidate; how often do attacks and distances notice?",
        attacker=_SEES_CORPUS,
        meaning="A test that would not notice copied patients says nothing by staying silent.",
        source=CHOICE,
        judge=_rehearsal,
    ),
    Rule(
        name="copies.near",
        kinds=("corpus", "joint-corpus"),
        tests="Veto: among the rows nearest to any patient, is the nearest one suspiciously often a training patient?",
        attacker="The corpus and one patient's whole record.",
        meaning="A small value says that rows lie closer to the patients used than to patients never seen. "
        "Passing proves nothing.",
        source=CHOICE,
        judge=probable("copies.near", lambda policy: policy.proximity.near_copy_level),
    ),
    Rule(
        name="copies.exact",
        kinds=("corpus", "joint-corpus"),
        tests="Veto: are whole records reproduced more often for training patients than for patients never seen?",
        attacker="The corpus and one patient's whole record.",
        meaning="Identical rows happen by chance among common patients; more of them than chance are copies.",
        source=CHOICE,
        judge=probable("copies.exact", lambda policy: policy.proximity.exact_match_level),
    ),
    Rule(
        name="copies.reused_values",
        kinds=("corpus", "joint-corpus"),
        tests="Veto: numbers that one person alone has: do the training patients' turn up more often than others'?",
        attacker="The corpus and one laboratory value of a patient.",
        meaning="A value that only one patient has can name that patient, even when the rest of the row is invented.",
        source=CHOICE,
        judge=probable("copies.reused_values", lambda policy: policy.proximity.reused_values_level),
    ),
    Rule(
        name="copies.rare_combinations",
        kinds=("corpus", "joint-corpus"),
        tests="Veto: combinations of outwardly known traits held by 1 to 10 persons: are the training patients' "
        "reproduced more often than others'?",
        attacker="The corpus and what a neighbour knows: age, sex, region.",
        meaning="A reproduced rare combination tells that somebody like this was a patient here.",
        source="1 to 10 persons: CMS cell-size policy (2024); level: " + CHOICE,
        judge=probable("copies.rare_combinations", lambda policy: policy.proximity.rare_combinations_level),
    ),
    Rule(
        name="realism.marginal_error",
        kinds=("corpus", "joint-corpus"),
        tests="Mean distance (total variation) between real and synthetic columns, missing values included.",
        attacker="Nothing; this is about use, not privacy.",
        meaning="At 0.15, fifteen in a hundred values would have to change to match reality.",
        source=CHOICE,
        judge=bounded(
            "realism.marginal_error", most=lambda policy: policy.realism.marginal_error_max, optional=JOINT_OPTIONAL
        ),
    ),
    Rule(
        name="realism.pairwise_error",
        kinds=("corpus", "joint-corpus"),
        tests="The same over all pairs of columns.",
        attacker="Nothing; this is about use, not privacy.",
        meaning="Low values say that findings which go together in patients go together in the corpus.",
        source=CHOICE,
        judge=bounded(
            "realism.pairwise_error", most=lambda policy: policy.realism.pairwise_error_max, optional=JOINT_OPTIONAL
        ),
    ),
    Rule(
        name="realism.clinical_rules",
        kinds=("corpus", "joint-corpus"),
        tests="Share of rows that break none of the study's clinical rules.",
        attacker="Nothing; this is about use, not privacy.",
        meaning="Rows that no real patient could be teach a model nonsense.",
        source=CHOICE,
        judge=bounded(
            "realism.clinical_rules", least=lambda policy: policy.realism.clinical_rules_min, optional=JOINT_OPTIONAL
        ),
    ),
    Rule(
        name="realism.tstr_loss",
        kinds=("corpus", "joint-corpus"),
        tests="AUROC lost on patients never seen by a model trained on the corpus instead of on the training patients.",
        attacker="Nothing; this is about use, not privacy.",
        meaning="At 0.08 a model learned from the corpus ranks 8 pairs in 100 worse than one learned from patients.",
        source=CHOICE,
        judge=bounded("realism.tstr_loss", most=lambda policy: policy.realism.tstr_loss_max, optional=JOINT_OPTIONAL),
    ),
)

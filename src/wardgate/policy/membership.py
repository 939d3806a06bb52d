"""Rules for synthetic corpora: can a patient who was used be told from one who was not?"""

from collections.abc import Callable

from wardgate.policy.rule import CHOICE, Case, Judge, Judgement, Rule, bounded, missing, probable, sound
from wardgate.records.gate_policy import GatePolicy, Tier


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


NO_CONTROL = 0.001
"""A holdout less likely than this is no control. It says nothing of the candidate, so attempts do not change it."""


def _control(name: str) -> Judge:
    def judge(case: Case) -> Judgement | None:
        if case.policy.membership.shadows is None:  # signed before controls were looked at
            return None
        limit = f"chance of at least {NO_CONTROL:g} of such a split"
        measured, _ = case.find(name)
        if measured is None:
            return missing(case, name, limit, attack=True)
        if not sound(measured) or not 0 <= measured.low <= measured.high <= 1:
            return Judgement(outcome="fail", limit=limit, measured=measured, reason="the measure is not a probability")
        if measured.low >= NO_CONTROL:
            return Judgement(outcome="pass", limit=limit, measured=measured)
        reason = "the holdout is no control, so no attack on it shows anything; split again, by person and at random"
        return Judgement(outcome=case.untested, limit=limit, measured=measured, reason=reason)

    return judge


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
        name="control.overlap",
        kinds=("corpus", "joint-corpus"),
        tests="Are holdout persons in the training table as well, beyond the twins that coarse columns bring?",
        attacker="Nothing; this is about the test itself.",
        meaning="Where a patient stands on both sides, no comparison can show that the patient was used.",
        source=CHOICE,
        judge=_control("control.overlap"),
    ),
    Rule(
        name="control.period",
        kinds=("corpus", "joint-corpus"),
        tests="Can a model tell training from holdout persons though it never saw the corpus, for instance because "
        "they are of another year?",
        attacker="Nothing; this is about the test itself.",
        meaning="Where the two sides differ in themselves, an attack that tells them apart has not found a patient, "
        "and one that fails has not shown safety.",
        source=CHOICE,
        judge=_control("control.period"),
    ),
)

"""Rules for synthetic corpora: are they good for anything?"""

from collections.abc import Callable

from wardgate.policy.rule import CHOICE, Case, Judge, Judgement, Rule, bounded, missing, sound, where_set
from wardgate.records.gate_policy import Realism
from wardgate.records.verdict import Kind

KINDS: tuple[Kind, ...] = ("corpus", "joint-corpus")
JOINT_OPTIONAL: tuple[Kind, ...] = ("joint-corpus",)
OUTCOMES = "realism.outcomes"
NOBODY = "Nothing; this is about use, not privacy."


def _most(name: str, limit: Callable[[Realism], float | None]) -> Judge:
    """Judge the high end; a policy from before this limit sets none."""
    judged = bounded(name, most=lambda policy: limit(policy.realism) or 0.0, optional=JOINT_OPTIONAL)
    return where_set(judged, lambda policy: limit(policy.realism))


def _least(name: str, limit: Callable[[Realism], float | None]) -> Judge:
    """Judge the low end; a policy from before this limit sets none."""
    judged = bounded(name, least=lambda policy: limit(policy.realism) or 0.0, optional=JOINT_OPTIONAL)
    return where_set(judged, lambda policy: limit(policy.realism))


def _with_outcome(judged: Judge) -> Judge:
    """Leave a rule out where the evidence says that the tables have no outcome; whoever knows better refuses that."""

    def judge(case: Case) -> Judgement | None:
        said, _ = case.find(OUTCOMES)
        return None if said is not None and said.low == said.value == said.high == 0 else judged(case)

    return judge


def _outcomes(case: Case) -> Judgement | None:
    if case.policy.realism.slope is None or (case.evidence.kind in JOINT_OPTIONAL and not _there(case, OUTCOMES)):
        return None
    limit = "said, 0 or 1"
    said, reason = case.find(OUTCOMES)
    if said is None or not sound(said) or not said.low == said.value == said.high or said.value not in (0, 1):
        return Judgement(outcome="fail", limit=limit, measured=said, reason=reason or "no count of 0 or 1")
    reason = "" if said.value else "the tables have no outcome, so no model was tried on them"
    return Judgement(outcome="pass", limit=limit, measured=said, reason=reason)


def _within(name: str, limits: Callable[[Realism], tuple[float, float] | None]) -> Judge:
    """Judge both ends of an interval against a range."""

    def judge(case: Case) -> Judgement | None:
        asked = limits(case.policy.realism)
        if asked is None or (case.evidence.kind in JOINT_OPTIONAL and not _there(case, name)):
            return None
        least, most = asked
        limit = f"from {least:g} to {most:g}"
        measured, _ = case.find(name)
        if measured is None:
            return missing(case, name, limit, attack=False)
        if not sound(measured):
            return Judgement(outcome="fail", limit=limit, measured=measured, reason="the measure is not a number")
        if measured.level < case.interval_level - 1e-9:
            reason = f"the interval has level {measured.level:g}; this attempt needs {case.interval_level:g}"
            return Judgement(outcome="fail", limit=limit, measured=measured, reason=reason)
        if least <= measured.low and measured.high <= most:
            return Judgement(outcome="pass", limit=limit, measured=measured)
        reason = f"the interval reaches from {measured.low:g} to {measured.high:g}"
        return Judgement(outcome="fail", limit=limit, measured=measured, reason=reason)

    return judge


def _there(case: Case, name: str) -> bool:
    return any(part.name == name for part in case.evidence.measured)


def _rule(name: str, judge: Judge, *, tests: str, meaning: str) -> Rule:
    return Rule(name=name, kinds=KINDS, tests=tests, attacker=NOBODY, meaning=meaning, source=CHOICE, judge=judge)


RULES: tuple[Rule, ...] = (
    _rule(
        OUTCOMES,
        _outcomes,
        tests="Whether the tables have an outcome, on which a model learned from the corpus could be tried.",
        meaning="Without an outcome nobody knows what a model would learn from the corpus.",
    ),
    _rule(
        "realism.marginal_error",
        _most("realism.marginal_error", lambda limits: limits.marginal_error_max),
        tests="Mean distance (total variation) between real and synthetic columns, missing values included.",
        meaning="At 0.15, fifteen in a hundred values would have to change to match reality.",
    ),
    _rule(
        "realism.pairwise_error",
        _most("realism.pairwise_error", lambda limits: limits.pairwise_error_max),
        tests="The same over all pairs of columns.",
        meaning="Low values say that findings which go together in patients go together in the corpus.",
    ),
    _rule(
        "realism.joint_error",
        _most("realism.joint_error", lambda limits: limits.joint_error_max),
        tests="The same over groups of three and more columns, beyond chance: those that the study declares, else "
        "groups drawn by a public rule.",
        meaning="Low values say that whole patterns of findings, not only pairs, are as in patients.",
    ),
    _rule(
        "realism.missingness_error",
        _most("realism.missingness_error", lambda limits: limits.missingness_error_max),
        tests="Are values missing as often as in patients, together with the same other values, and for the same "
        "patients?",
        meaning="Who is not tested says something about a patient; a corpus that fills everything in hides it.",
    ),
    _rule(
        "realism.clinical_rules",
        _least("realism.clinical_rules", lambda limits: limits.clinical_rules_min),
        tests="Share of rows that break none of the study's clinical rules.",
        meaning="Rows that no real patient could be teach a model nonsense.",
    ),
    _rule(
        "realism.relations",
        _least("realism.relations", lambda limits: limits.relations_min),
        tests="Share of the relations known from medicine that the corpus shows with the right sign and size, among "
        "those that the real patients show clearly.",
        meaning="A relation turned round would teach a model to treat the wrong patients.",
    ),
    _rule(
        "realism.subgroup_error",
        _most("realism.subgroup_error", lambda limits: limits.subgroup_error_max),
        tests="Mean distance between real and synthetic columns, beyond chance, in the worst declared subgroup.",
        meaning="Low values say that no group of patients is invented, or filled with those of another group.",
    ),
    _rule(
        "realism.rare_outcome_ratio",
        _within("realism.rare_outcome_ratio", lambda limits: limits.rare_outcome_ratio),
        tests="How often the outcome and rare traits occur in the corpus, over how often in patients; the worst.",
        meaning="At 0.5, half of those with a rare trait have vanished: a model cannot learn to see them.",
    ),
    _rule(
        "realism.detection",
        _most("realism.detection", lambda limits: limits.detection_auc_max),
        tests="How well boosted trees tell synthetic rows from patients never seen; 0.5 is guessing.",
        meaning="High values say that something differs; it may be harmless. At a limit of 1 it is told, not judged.",
    ),
    _rule(
        "realism.tstr_loss",
        _with_outcome(_most("realism.tstr_loss", lambda limits: limits.tstr_loss_max)),
        tests="AUROC lost on patients never seen by a model trained on the corpus instead of on the training patients.",
        meaning="At 0.08 a model learned from the corpus ranks 8 pairs in 100 worse than one learned from patients.",
    ),
    _rule(
        "realism.trts_loss",
        _with_outcome(_most("realism.trts_loss", lambda limits: limits.trts_loss_max)),
        tests="AUROC that a model learned from patients loses when it is tried on the corpus instead of on patients "
        "never seen.",
        meaning="High values say that outcomes in the corpus do not follow from its records as they do in patients.",
    ),
    _rule(
        "realism.slope",
        _with_outcome(_within("realism.slope", lambda limits: limits.slope)),
        tests="Calibration slope, on patients never seen, of a model learned from the corpus, over that of a model "
        "learned from patients.",
        meaning="At 0.5 the corpus teaches risks twice as extreme as they are; at 2, half as extreme.",
    ),
)

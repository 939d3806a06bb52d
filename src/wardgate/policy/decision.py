"""Evidence x policy -> verdict. Pure: whoever receives a release runs it again and must agree."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Literal

from wardgate.policy import (
    aggregates,
    answers,
    canaries,
    common,
    copies,
    disclosure,
    images,
    membership,
    models,
    realism,
    refreshes,
    timelines,
)
from wardgate.policy.claims import claim_fault
from wardgate.policy.rule import Case, Judgement, Rule
from wardgate.records.errors import Invalid, Refused
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.verdict import Evidence, Ruling, Verdict

Final = Literal["pass", "pass_with_exceptions", "fail", "not_evaluable"]

WAIVABLE = ("realism.", "timelines.")
"""Rules of use, whose failure two persons may accept. A failed rule of privacy stays a failure."""

RULES: tuple[Rule, ...] = (
    *common.RULES,
    *membership.RULES,
    *copies.RULES,
    *disclosure.RULES,
    *refreshes.RULES,
    *canaries.RULES,
    *realism.RULES,
    *timelines.RULES,
    *models.RULES,
    *images.RULES,
    *aggregates.RULES,
    *answers.RULES,
)


def decide(
    evidence: Evidence,
    policy: GatePolicy,
    *,
    waived: Collection[str] = (),
    unsafe_accept_test_noise: bool = False,
    rules: Sequence[Rule] = RULES,
) -> Verdict:
    """Judge one piece of evidence by all rules.

    Args:
        evidence: What the ward measured.
        policy: The limits.
        waived: Rules that two persons waived for this very evidence, each with a reason; their signatures are
            checked before (records/approval.py). Only what cannot be evaluated, and realism, can be waived.
        unsafe_accept_test_noise: Accept claims whose noise is a repeatable stream; for tests alone.
        rules: All rules; a subset is for tests of single rules.

    Returns:
        All rulings, also those that passed. `pass` only if every ruling passed or is covered by a DP claim.

    Raises:
        Refused: there are no rules, or a rule is waived that no signature can waive. Nothing is allowed by default.
    """
    if not rules:
        raise Refused("the gate has no rules, so nothing may leave; use the rules of wardgate.policy")
    case = Case(
        evidence=evidence,
        policy=policy,
        accept_test_noise=unsafe_accept_test_noise,
        claim_fault=claim_fault(evidence.claim, accept_test_noise=unsafe_accept_test_noise),
    )
    applying = [rule for rule in rules if evidence.kind in rule.kinds] or list(common.RULES)
    found = [ruling for rule in applying if (ruling := _ruling(rule, case)) is not None]
    rulings = tuple(_waive(ruling) if ruling.rule in waived else ruling for ruling in found)
    strange = set(waived) - {ruling.rule for ruling in found}
    if strange:
        raise Refused(f"'{min(strange)}' was waived, but no such rule spoke on this evidence")
    return Verdict(
        outcome=_outcome(rulings),
        rulings=rulings,
        policy_sha256=policy_digest(policy),
        evidence_sha256=evidence.fingerprint(),
    )


@lru_cache(maxsize=256)
def policy_digest(policy: GatePolicy) -> str:
    """Return the SHA-256 of a policy's canonical bytes."""
    return policy.fingerprint()


def _outcome(rulings: Sequence[Ruling]) -> Final:
    outcomes = {ruling.outcome for ruling in rulings}
    if "fail" in outcomes or not rulings:
        return "fail"
    if "not_evaluable" in outcomes:
        return "not_evaluable"
    return "pass_with_exceptions" if "waived" in outcomes else "pass"


def _waive(ruling: Ruling) -> Ruling:
    """Return a ruling as waived; one that passed needs no waiver and keeps its outcome.

    Raises:
        Refused: a privacy rule failed; no signature makes that a pass.
    """
    if ruling.outcome in ("pass", "covered_by_dp"):
        return ruling
    if ruling.outcome == "fail" and not ruling.rule.startswith(WAIVABLE):
        raise Refused(f"rule {ruling.rule} failed; only what cannot be evaluated, and realism, can be waived")
    return ruling.model_copy(update={"outcome": "waived", "reason": f"waived by two persons; {ruling.reason}"})


def _ruling(rule: Rule, case: Case) -> Ruling | None:
    found = rule.judge(case)
    if found is None:
        return None
    return _written(rule, found)


def _written(rule: Rule, found: Judgement) -> Ruling:
    return Ruling(
        rule=rule.name,
        outcome=found.outcome,
        limit=found.limit,
        meaning=rule.meaning,
        measured=found.measured,
        reason=found.reason,
        detects=found.detects,
    )


def explain(rule_name: str) -> str:
    """Return what a rule tests, whom it fears, what it means for one patient and where its limit comes from.

    Raises:
        Invalid: there is no such rule.
    """
    for rule in RULES:
        if rule.name == rule_name:
            return f"{rule.tests} An attacker is assumed to know: {rule.attacker} {rule.meaning} Limit: {rule.source}."
    raise Invalid(f"no rule is called '{rule_name}'; expected one of {', '.join(rule.name for rule in RULES)}")

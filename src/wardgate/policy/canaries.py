"""Rules for invented records that were planted in a rehearsal fit of the candidate's generator.

A corpus may come without its generator; then nothing can be planted, and that must not block it for ever. So the
evidence says how many canaries were planted. Said to be none, with the reason, `canaries.found` does not apply and the
verdict shows it. Silence is a failure, and so is evidence that says two things.
"""

from wardgate.policy.rule import CHOICE, Case, Judgement, Rule, counted, missing, sound
from wardgate.records.gate_policy import Canaries
from wardgate.records.measured import Measured

PLANTED, FOUND = "canaries.planted", "canaries.found"


def _said(case: Case) -> Measured | None:
    """Return how many canaries the evidence says were planted, if it is a count."""
    planted, _ = case.find(PLANTED)
    if planted is None or not sound(planted) or not planted.low == planted.high >= 0:
        return None
    return planted


def _planted(case: Case) -> Judgement | None:
    limits = case.policy.canaries
    if limits is None:
        return None
    limit = f"at least {limits.count}, or none for a corpus that came without its generator"
    planted = _said(case)
    if planted is None:
        reason = f"the evidence does not say how many canaries were planted (no count '{PLANTED}')"
        return Judgement(outcome="fail", limit=limit, reason=reason)
    if planted.value == 0:
        return _none(case, planted, limit)
    if planted.value < limits.count:
        reason = "fewer canaries than the policy asks for"
        return Judgement(outcome="fail", limit=limit, measured=planted, reason=reason)
    return Judgement(outcome="pass", limit=limit, measured=planted)


def _none(case: Case, planted: Measured, limit: str) -> Judgement:
    if not case.is_absent(FOUND):
        reason = f"none was planted, yet the evidence does not say that '{FOUND}' is absent"
        return Judgement(outcome="fail", limit=limit, measured=planted, reason=reason)
    reason = "none was planted, so nothing is known of what the generator memorises"
    return Judgement(outcome="pass", limit=limit, measured=planted, reason=reason)


def _found(case: Case) -> Judgement | None:
    limits = case.policy.canaries
    if limits is None:
        return None
    planted = _said(case)
    if planted is not None and planted.value == 0:
        return None
    return _counted(case, limits)


def _counted(case: Case, limits: Canaries) -> Judgement | None:
    if case.is_absent(FOUND):
        return missing(case, FOUND, f"at most {limits.found_max:g}", attack=True)
    return counted(FOUND, most=lambda _: limits.found_max)(case)


_KNOWS_CANARY = "The corpus, and one unusual record as a whole."

RULES: tuple[Rule, ...] = (
    Rule(
        name=PLANTED,
        kinds=("corpus",),
        tests="Whether invented records were planted in a rehearsal fit, or why none could be.",
        attacker=_KNOWS_CANARY,
        meaning="Without canaries, what the generator memorises of the most unusual patient was not tried out.",
        source=CHOICE,
        judge=_planted,
    ),
    Rule(
        name=FOUND,
        kinds=("corpus",),
        tests="How many invented, conspicuous records the generator brings back after it was shown them, beyond what "
        "the same kind of record shows that it never saw.",
        attacker=_KNOWS_CANARY,
        meaning="A generator that brings back one invented record would bring back an unusual patient as well.",
        source=CHOICE,
        judge=_found,
    ),
)

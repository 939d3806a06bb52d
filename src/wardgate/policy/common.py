"""Rules that hold for everything that wants to leave."""

import math

from wardgate.policy.rule import KINDS, Case, Judgement, Rule, sound

HIGHEST_BAND = 10_000_000
"""Persons assumed where a band has no upper end; the delta of a claim is held against it."""


def _kind(case: Case) -> Judgement:
    limit = "one of " + ", ".join(KINDS)
    if case.evidence.kind in KINDS:
        return Judgement(outcome="pass", limit=limit)
    return Judgement(outcome="fail", limit=limit, reason="the kind of release is unknown, so no rule can judge it")


def _numbers(case: Case) -> Judgement:
    limit = "every number finite, every interval around its value"
    for measured in case.evidence.measured:
        if not sound(measured):
            reason = f"'{measured.name}' is not a number, or its interval does not hold it"
            return Judgement(outcome="fail", limit=limit, measured=measured, reason=reason)
    if not math.isfinite(case.evidence.cumulative_epsilon) or case.evidence.cumulative_epsilon < 0:
        return Judgement(outcome="fail", limit=limit, reason="the cumulative epsilon is not a finite cost")
    names = [part.name for part in case.evidence.measured] + [part.name for part in case.evidence.absent]
    if len(set(names)) != len(names):
        return Judgement(outcome="fail", limit=limit, reason="a measure stands twice in the evidence")
    return Judgement(outcome="pass", limit=limit)


def _attempts(case: Case) -> Judgement:
    most, attempt = case.policy.max_attempts, case.evidence.attempt
    limit = f"attempt 1 to {most}"
    if 1 <= attempt <= most:
        return Judgement(outcome="pass", limit=limit, reason=f"attempt {attempt} of {most}")
    return Judgement(outcome="fail", limit=limit, reason=f"this is attempt {attempt}")


def _sound(case: Case) -> Judgement:
    limit = "noise from the operating system; the stated epsilon covers the listed events"
    if case.claim_fault:
        return Judgement(outcome="fail", limit=limit, reason=case.claim_fault)
    return Judgement(outcome="pass", limit=limit)


def _fitting(case: Case) -> Judgement:
    claim, policy = case.evidence.claim, case.policy
    allowed = {
        "corpus": ("dp", "none"),
        "joint-corpus": ("dp",),
        "summed": ("dp", "exact"),
        "sited": ("dp", "exact"),
        "record": ("exact",),
        "model": ("dp", "exact", "none"),
        "aggregate": ("dp", "exact"),
        "images": ("dp", "none"),
    }.get(case.evidence.kind, ())
    limit = "claim of kind " + " or ".join(allowed) if allowed else "no claim fits an unknown release"
    if claim.kind not in allowed:
        return Judgement(outcome="fail", limit=limit, reason=f"the claim is of kind '{claim.kind}'")
    if case.evidence.kind != "record" and (policy.dp.required or policy.profile == "public-open"):
        limit = f"a DP claim with epsilon at most {policy.dp.epsilon_claim_max:g}"
        protects = case.dp_covers if "corpus" in case.evidence.kind else case.noise_protects
        if not protects:
            return Judgement(outcome="fail", limit=limit, reason="this profile lets nothing leave without such noise")
    return Judgement(outcome="pass", limit=limit)


def _cumulative(case: Case) -> Judgement | None:
    claim = case.evidence.claim
    if claim.kind != "dp" or claim.epsilon is None:
        return None
    limit = f"cumulative epsilon at least {claim.epsilon:g}, the cost of this release alone"
    if case.evidence.cumulative_epsilon >= claim.epsilon * (1 - 1e-9):
        return Judgement(outcome="pass", limit=limit, reason=f"cumulative {case.evidence.cumulative_epsilon:.4g}")
    return Judgement(outcome="fail", limit=limit, reason=f"cumulative {case.evidence.cumulative_epsilon:.4g}")


def _delta(case: Case) -> Judgement | None:
    claim = case.evidence.claim
    if claim.kind != "dp" or claim.delta is None:
        return None
    persons = most_persons(case.evidence.persons_train)
    if persons is None:
        reason = "the band of training persons cannot be read"
        return Judgement(outcome="fail", limit="at most 1 / (10 x persons)", reason=reason)
    limit = f"at most {1 / (10 * persons):.3g}, one in ten of 1 / persons"
    if 0 < claim.delta <= 1 / (10 * persons):
        return Judgement(outcome="pass", limit=limit, reason=f"delta {claim.delta:g}")
    return Judgement(outcome="fail", limit=limit, reason=f"delta {claim.delta:g}")


def most_persons(band: str) -> int | None:
    """Return the largest number of persons a band can mean, or nothing for a text that is no band.

    >>> most_persons("1000-1999"), most_persons("<11"), most_persons("many")
    (1999, 10, None)
    """
    if band.startswith("<") and band[1:].isascii() and band[1:].isdigit():
        return max(1, int(band[1:]) - 1)
    if band.endswith("+") and band[:-1].isascii() and band[:-1].isdigit():
        return max(HIGHEST_BAND, int(band[:-1]))
    low, dash, high = band.partition("-")
    if dash and all(part.isascii() and part.isdigit() for part in (low, high)) and 0 < int(low) <= int(high):
        return int(high)
    return None


RULES: tuple[Rule, ...] = (
    Rule(
        name="evidence.kind",
        kinds=KINDS,
        tests="Whether the gate knows what kind of thing wants to leave.",
        attacker="Nothing.",
        meaning="What the gate does not know it cannot judge, and then nobody's data leaves.",
        source="engineering choice: unknown means no",
        judge=_kind,
    ),
    Rule(
        name="evidence.numbers",
        kinds=KINDS,
        tests="Whether every measure is a finite number inside its own interval, and stands once.",
        attacker="Nothing.",
        meaning="A measure that failed says nothing about a patient's risk, so it never counts as safe.",
        source="engineering choice: no rule passes on NaN",
        judge=_numbers,
    ),
    Rule(
        name="attempts",
        kinds=KINDS,
        tests="How often a candidate of this protocol version was shown to the gate.",
        attacker="Could learn from the gate's yes and no, or try until chance says yes.",
        meaning="Each further try is one more chance for a leak to slip through, so tries are few and limits tighten.",
        source="engineering choice, after ReconSyn (arXiv:2312.05114)",
        judge=_attempts,
    ),
    Rule(
        name="claim.sound",
        kinds=KINDS,
        tests="Whether the privacy claim holds together: real randomness, events listed, epsilon recomputed by PLD.",
        attacker="Everything but one patient's record.",
        meaning="An epsilon is a promise to one patient only if the noise it speaks of was really drawn.",
        source="NIST SP 800-226",
        judge=_sound,
    ),
    Rule(
        name="claim.kind",
        kinds=KINDS,
        tests="Whether this kind of claim may protect this kind of release under the profile.",
        attacker="Everything but one patient's record.",
        meaning="Public releases carry noise for every patient; rows that no hospital can test carry it as well.",
        source="engineering choice; epsilon above 1 is reported but not called protection (docs/gate.md)",
        judge=_fitting,
    ),
    Rule(
        name="claim.cumulative",
        kinds=KINDS,
        tests="Whether the running total of the population includes this release.",
        attacker="Collects all releases of one population.",
        meaning="What one patient loses adds up over releases; a total below its part would hide that.",
        source="engineering choice",
        judge=_cumulative,
    ),
    Rule(
        name="claim.delta",
        kinds=KINDS,
        tests="Whether delta, the chance that the promise fails altogether, is small against the number of persons.",
        attacker="Everything but one patient's record.",
        meaning="With a delta of 1 / persons, publishing one whole record would be within the promise.",
        source="engineering choice: 1 / (10 x persons), ten times below the usual 1 / persons",
        judge=_delta,
    ),
)

"""A rule: what it asks, in words and as a function, and what it looks at."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Evidence, Kind, Outcome

KINDS: tuple[Kind, ...] = get_args(Kind)

CHOICE = "engineering choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a rule may look at.

    Attributes:
        evidence: What the ward measured.
        policy: The limits.
        accept_test_noise: Only in tests and in runs marked as unsafe: noise of a repeatable stream counts.
        claim_fault: What is wrong with the claim, in words, or nothing.
    """

    evidence: Evidence
    policy: GatePolicy
    accept_test_noise: bool
    claim_fault: str

    @property
    def dp_covers(self) -> bool:
        """Whether noise alone is protection: a sound DP claim whose cumulative epsilon the policy accepts."""
        evidence = self.evidence
        return (
            evidence.claim.kind == "dp"
            and not self.claim_fault
            and evidence.cumulative_epsilon <= self.policy.dp.epsilon_claim_max
        )

    @property
    def untested(self) -> Outcome:
        """The outcome of an attack that could not be run: covered by noise, or not evaluable. Never a pass."""
        return "covered_by_dp" if self.dp_covers else "not_evaluable"

    @property
    def noise_protects(self) -> bool:
        """Whether the noise of this one answer is protection; above the limit it is spent and reported, no more."""
        claim = self.evidence.claim
        return (
            claim.kind == "dp"
            and not self.claim_fault
            and claim.epsilon is not None
            and claim.epsilon <= self.policy.dp.epsilon_claim_max
        )

    @property
    def interval_level(self) -> float:
        """Two-sided confidence that an interval needs at this attempt (Bonferroni over attempts)."""
        return 1 - 2 * (1 - self.policy.bound_level) / max(1, self.evidence.attempt)

    def find(self, name: str) -> tuple[Measured | None, str]:
        """Return the one measure called `name`, or nothing and why."""
        found = [measured for measured in self.evidence.measured if measured.name == name]
        reasons = [absent.reason for absent in self.evidence.absent if absent.name == name]
        if len(found) == 1 and not reasons:
            return found[0], ""
        if found:
            return None, f"'{name}' is in the evidence more than once, or both measured and absent"
        return None, reasons[0] if reasons else ""

    def mentions(self, name: str) -> bool:
        """Whether the evidence speaks of `name` at all."""
        return any(measured.name == name for measured in self.evidence.measured) or self.is_absent(name)

    def is_absent(self, name: str) -> bool:
        """Whether the evidence says, with a reason, that `name` could not be taken."""
        return any(absent.name == name for absent in self.evidence.absent) and not any(
            measured.name == name for measured in self.evidence.measured
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a judge said: the ruling without the words that come from the rule."""

    outcome: Outcome
    limit: str
    measured: Measured | None = None
    reason: str = ""
    detects: str = ""


Judge = Callable[[Case], Judgement | None]
"""`None` says that the policy sets no such limit for this evidence; the ruling is then left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of the gate.

    Attributes:
        name: As it stands in the verdict, e.g. `membership.battery`.
        kinds: The releases it judges.
        tests: What is tested.
        attacker: What an attacker would know.
        meaning: What the number means for one patient.
        source: Where the limit comes from: a citation, or `engineering choice`.
        judge: The function that rules.
    """

    name: str
    kinds: tuple[Kind, ...]
    tests: str
    attacker: str
    meaning: str
    source: str
    judge: Judge


def where_set(judge: Judge, limit: Callable[[GatePolicy], object]) -> Judge:
    """Judge only where the policy sets this limit; one that was signed before it existed sets none."""

    def judged(case: Case) -> Judgement | None:
        return None if limit(case.policy) is None else judge(case)

    return judged


def sound(measured: Measured) -> bool:
    """Whether every number is finite, the interval holds the value and the level is a level."""
    numbers = (measured.value, measured.low, measured.high, measured.level)
    return (
        all(math.isfinite(number) for number in numbers)
        and measured.low <= measured.value <= measured.high
        and 0 < measured.level < 1
    )


def missing(case: Case, name: str, limit: str, *, attack: bool) -> Judgement:
    """Rule on a measure that is not there: a pass is impossible.

    An attack on a joint corpus is never there: no ward holds the rows behind it.
    """
    _, reason = case.find(name)
    if attack and case.evidence.kind == "joint-corpus" and not case.mentions(name):
        return Judgement(outcome=case.untested, limit=limit, reason="no hospital holds the rows to attack it with")
    if not case.is_absent(name):
        return Judgement(outcome="fail", limit=limit, reason=reason or f"the evidence holds no '{name}'")
    return Judgement(outcome=case.untested if attack else "not_evaluable", limit=limit, reason=reason)


def bounded(
    name: str,
    *,
    most: Callable[[GatePolicy], float] | None = None,
    least: Callable[[GatePolicy], float] | None = None,
    attack: bool = False,
    optional: tuple[Kind, ...] = (),
) -> Judge:
    """Judge the pessimistic end of an interval: its high end against `most`, its low end against `least`."""

    def judge(case: Case) -> Judgement | None:
        ceiling = most(case.policy) if most else math.inf
        floor = least(case.policy) if least else -math.inf
        limit = f"at most {ceiling:g}" if most else f"at least {floor:g}"
        measured, _ = case.find(name)
        if measured is None:
            if case.evidence.kind in optional and not any(part.name == name for part in case.evidence.measured):
                return None
            return missing(case, name, limit, attack=attack)
        if not sound(measured):
            return Judgement(outcome="fail", limit=limit, measured=measured, reason="the measure is not a number")
        if measured.level < case.interval_level - 1e-9:
            reason = f"the interval has level {measured.level:g}; this attempt needs {case.interval_level:g}"
            return Judgement(outcome="fail", limit=limit, measured=measured, reason=reason)
        if measured.high <= ceiling and measured.low >= floor:
            return Judgement(outcome="pass", limit=limit, measured=measured)
        end = measured.high if most else measured.low
        reason = f"the pessimistic end of the interval is {end:g}"
        return Judgement(outcome="fail", limit=limit, measured=measured, reason=reason)

    return judge


def probable(name: str, level: Callable[[GatePolicy], float], *, attack: bool = True) -> Judge:
    """Judge a p-value: it must reach the level times the attempt, so that retrying never helps a leak."""

    def judge(case: Case) -> Judgement:
        least = level(case.policy) * max(1, case.evidence.attempt)
        limit = f"chance of at least {least:g} under no leak"
        measured, _ = case.find(name)
        if measured is None:
            return missing(case, name, limit, attack=attack)
        if not sound(measured) or not 0 <= measured.low <= measured.high <= 1:
            return Judgement(outcome="fail", limit=limit, measured=measured, reason="the measure is not a probability")
        if measured.low >= least:
            return Judgement(outcome="pass", limit=limit, measured=measured)
        reason = f"a corpus that leaks nobody would look like this with a chance of {measured.low:g} only"
        return Judgement(outcome="fail", limit=limit, measured=measured, reason=reason)

    return judge


def counted(
    name: str,
    *,
    most: Callable[[GatePolicy], float] | None = None,
    least: Callable[[GatePolicy], float] | None = None,
) -> Judge:
    """Judge a count that has no sampling error."""

    def judge(case: Case) -> Judgement:
        ceiling = most(case.policy) if most else math.inf
        floor = least(case.policy) if least else -math.inf
        limit = f"at most {ceiling:g}" if most else f"at least {floor:g}"
        measured, _ = case.find(name)
        if measured is None:
            return missing(case, name, limit, attack=False)
        if not sound(measured) or measured.value < 0:
            return Judgement(outcome="fail", limit=limit, measured=measured, reason="the measure is not a count")
        if measured.high <= ceiling and measured.low >= floor:
            return Judgement(outcome="pass", limit=limit, measured=measured)
        return Judgement(outcome="fail", limit=limit, measured=measured, reason="outside the limit")

    return judge

"""Rules for tables and fits made inside one hospital: nobody stands alone in them, or beside earlier ones."""

from collections.abc import Callable

from wardgate.policy.rule import CHOICE, Case, Judge, Judgement, Rule, counted
from wardgate.records.gate_policy import Aggregates, GatePolicy

ELEVEN = "CMS cell-size policy (2024): no count of 1 to 10; the same rule as a risk of 0.09"
ACRO = "ACRO's defaults"

_SEES = "The table, earlier tables over the same patients, and what a neighbour knows."


def _limit(limit: Callable[[Aggregates], float]) -> Callable[[GatePolicy], float]:
    return lambda policy: limit(policy.aggregates or Aggregates())


def _form(case: Case) -> Judgement:
    limit = "a table or a fit, under a policy with limits for aggregates"
    if case.policy.aggregates is None:
        reason = "the policy was signed before aggregates could be judged; sign one with limits for aggregates"
        return Judgement(outcome="fail", limit=limit, reason=reason)
    said = [_number(case, name) for name in ("aggregate.tables", "aggregate.regressions")]
    if None in said or not sum(one or 0 for one in said) > 0:
        return Judgement(outcome="fail", limit=limit, reason="the evidence does not say what it is")
    return Judgement(outcome="pass", limit=limit)


def _number(case: Case, name: str) -> float | None:
    measured, _ = case.find(name)
    return None if measured is None or not measured.low >= 0 else measured.high


def _judged(judge: Judge, *, form: str | None) -> Judge:
    """Judge where the policy has limits and the answer has this form; where no safe form was found noise may cover."""

    def judged(case: Case) -> Judgement | None:
        if case.policy.aggregates is None or (form is not None and _number(case, form) == 0):
            return None
        found = judge(case)
        if found is not None and found.outcome == "not_evaluable" and case.noise_protects:
            return Judgement(outcome="covered_by_dp", limit=found.limit, reason=found.reason)
        return found

    return judged


def _protection(case: Case) -> Judgement | None:
    if case.policy.aggregates is None:
        return None
    limit = "noise that counts, or true values where the policy allows them"
    if case.noise_protects:
        return Judgement(outcome="pass", limit=limit)
    if case.policy.dp.exact_sums == "allow" and case.policy.profile != "public-open":
        return Judgement(outcome="pass", limit=limit, reason="without noise that counts; the certificate says so")
    reason = "without noise that counts, and the policy denies exact answers"
    return Judgement(outcome="fail", limit=limit, reason=reason)


TABLES, FITS = "aggregate.tables", "aggregate.regressions"

RULES: tuple[Rule, ...] = (
    Rule(
        name="aggregate.form",
        kinds=("aggregate",),
        tests="Whether the evidence says what the answer is: a table, or a fit.",
        attacker="Nothing.",
        meaning="What the gate cannot name it cannot judge.",
        source=CHOICE,
        judge=_form,
    ),
    Rule(
        name="aggregate.protection",
        kinds=("aggregate",),
        tests="Whether the answer carries noise that counts, or true values are allowed.",
        attacker="Sees the figures of one hospital, and knows everybody in them but one.",
        meaning="Without noise, who knows all others can compute the last patient.",
        source=CHOICE,
        judge=_protection,
    ),
    Rule(
        name="aggregate.smallest_count",
        kinds=("aggregate",),
        tests="Persons at least behind every shown entry, margins included.",
        attacker=_SEES,
        meaning="A figure over fewer than eleven patients says much about each of them.",
        source=ELEVEN,
        judge=_judged(
            counted("aggregate.smallest_count", least=lambda policy: policy.small_cells.min_count), form=TABLES
        ),
    ),
    Rule(
        name="aggregate.dominance",
        kinds=("aggregate",),
        tests="The largest share of a shown sum or mean that the few largest contributors hold.",
        attacker="One of the large contributors, who takes away their own part.",
        meaning="A sum that two patients nearly fill tells each of them the other's value.",
        source=ACRO,
        judge=_judged(counted("aggregate.dominance", most=_limit(lambda limits: limits.dominance_share)), form=TABLES),
    ),
    Rule(
        name="aggregate.p_ratio",
        kinds=("aggregate",),
        tests="What is left of a shown sum without its two largest contributors, over the largest one.",
        attacker="The second largest contributor, who takes away their own part.",
        meaning="At 0.10 the best guess of the largest patient's value is at least a tenth too high.",
        source=ACRO,
        judge=_judged(counted("aggregate.p_ratio", least=_limit(lambda limits: limits.p_ratio)), form=TABLES),
    ),
    Rule(
        name="aggregate.complementary",
        kinds=("aggregate",),
        tests="Whether a hidden entry can be worked out from what is shown, by linear programming over all margins.",
        attacker="Solves for the hidden entries.",
        meaning="A hidden count of three patients helps nobody where the row's total gives it away.",
        source=ELEVEN,
        judge=_judged(counted("aggregate.complementary", most=lambda _: 0), form=TABLES),
    ),
    Rule(
        name="aggregate.degrees_of_freedom",
        kinds=("aggregate",),
        tests="Persons behind a fit less its fitted numbers.",
        attacker="Solves the fit's equations.",
        meaning="A fit with as many numbers as patients is the patients, written otherwise.",
        source=ACRO,
        judge=_judged(
            counted("aggregate.degrees_of_freedom", least=_limit(lambda limits: limits.min_degrees_of_freedom)),
            form=FITS,
        ),
    ),
    Rule(
        name="aggregate.unrounded",
        kinds=("aggregate",),
        tests="Shown figures with more digits than allowed: counts off the base, values beyond three digits.",
        attacker="Compares exact figures before and after one patient.",
        meaning="Rounding hides the small step that one patient makes.",
        source="OpenSAFELY rounds counts to 5; three digits: " + CHOICE,
        judge=_judged(counted("aggregate.unrounded", most=lambda _: 0), form=None),
    ),
    Rule(
        name="aggregate.differencing",
        kinds=("aggregate",),
        tests="Whether this answer and earlier ones over the same patients, added and subtracted, leave a few alone.",
        attacker="Keeps every answer that ever left, and subtracts.",
        meaning="Two harmless tables can give the one patient between them away.",
        source=ELEVEN,
        judge=_judged(counted("aggregate.differencing", most=lambda _: 0), form=None),
    ),
)

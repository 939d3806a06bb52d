"""A verdict in a terminal: every ruling with its value, interval and limit, then what may be done."""

from collections.abc import Sequence
from textwrap import wrap

from wardgate.policy.remedies import Remedy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Evidence, Ruling, Verdict

SAID = {
    "pass": "PASS",
    "pass_with_exceptions": "PASS WITH EXCEPTIONS",
    "fail": "FAIL",
    "not_evaluable": "NOT EVALUABLE",
}

MARKS = {
    "pass": "pass",
    "fail": "FAIL",
    "not_evaluable": "cannot tell",
    "covered_by_dp": "by noise",
    "waived": "waived",
}


def verdict_text(evidence: Evidence, verdict: Verdict, remedies: Sequence[Remedy], *, held_back: Sequence[str]) -> str:
    """Return the verdict for a terminal, at most 110 characters wide."""
    claim = evidence.claim
    protected = f"noise, epsilon {claim.epsilon:g} at delta {claim.delta:g}" if claim.epsilon else "no noise"
    lines = [
        f"{SAID[verdict.outcome]}: {evidence.kind}, {evidence.persons_train} training persons, attempt"
        f" {evidence.attempt}, {protected}",
    ]
    lines += [f"  held back: {words}" for words in held_back]
    lines += ["", f"  {'rule':<32} {'':<12} {'found':<28} limit"]
    lines += [_line(ruling) for ruling in verdict.rulings]
    against = [ruling for ruling in verdict.rulings if ruling.outcome in ("fail", "not_evaluable")]
    for ruling in against:
        lines += ["", f"{ruling.rule}: {MARKS[ruling.outcome]}"]
        lines += wrap(f"{ruling.reason}. {ruling.meaning}", 106, initial_indent="  ", subsequent_indent="  ")
        for remedy in remedies:
            if remedy.rule == ruling.rule:
                lines += wrap(f"{remedy.way}: {remedy.words}", 106, initial_indent="  - ", subsequent_indent="    ")
    lines += [
        "",
        "Risk below the stated limits under the listed attacks, where it passes. Not a legal finding of anonymity.",
        "What a rule means: wardgate gate explain RULE",
    ]
    return "\n".join(lines)


def _line(ruling: Ruling) -> str:
    found = "" if ruling.measured is None else _found(ruling.measured)
    return f"  {ruling.rule:<32} {MARKS[ruling.outcome]:<12} {found:<28} {ruling.limit}".rstrip()


def _found(measured: Measured) -> str:
    if measured.high - measured.low <= 0.01 * abs(measured.value):  # a count or a chance, known without error
        return f"{measured.value:g}"
    return f"{measured.value:g} ({measured.low:g} to {measured.high:g})"

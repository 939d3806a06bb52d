"""A population's budget for people: in a terminal, as JSON-ready data, and on one page."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from wardgate.papers.page import page
from wardgate.papers.words import belief, chance, measure, number
from wardgate.privacy.forecast import State, Step
from wardgate.records.canonical import text_of

EXACT_APART = (
    "Exact answers were also released. They have no epsilon: every epsilon here covers the noised releases"
    " alone, and says nothing of what exact answers tell."
)

LIFETIME = "What left the window still tells what it told; the limit holds what a patient loses within the window."


def believed(epsilon: float) -> str:
    """Return the belief column: what an attacker can believe at most, delta aside.

    >>> believed(1.0)
    '50 % to 73 %, 1 % to 2.7 %'
    """
    return f"50 % to {chance(belief(epsilon, 0.5))}, 1 % to {chance(belief(epsilon, 0.01))}"


def state_text(found: State) -> str:
    """Return one population's budget for a terminal, at most 110 characters wide."""
    limits = found.limits
    lines = [
        f"Population '{found.population}' on {found.on}: epsilon {found.epsilon:.4g} of {limits.epsilon_total:g} at"
        f" delta {limits.delta:g}, over the last {limits.months} months",
        f"  belief that a given person took part rises at most from {believed(found.epsilon)}",
        f"  ever written down: epsilon {found.lifetime:.4g}, belief from {believed(found.lifetime)}",
        f"  {LIFETIME}",
        f"  room today for {number(found.room, 'further corpus', 'further corpora')} of epsilon 1",
        "",
        f"  {'study':<14}{'days':<25}{'epsilon':>8}  {'belief at most':<36}released",
    ]
    for line in found.lines:
        days = line.first if line.first == line.last else f"{line.first} to {line.last}"
        released = ", ".join(f"{count} x {kind}" for kind, count in line.releases)
        gone = "" if line.counts else "; out of the window"
        lines.append(
            f"  {(line.study or 'by itself')[:12]:<14}{days:<25}{line.epsilon:>8.4g}  {believed(line.epsilon):<36}"
            f"{released}{gone}"
        )
    if found.freed:
        lines += ["", "  what time gives back, if nothing more is spent:"]
        lines += [f"    from {day} epsilon {left:.4g}, belief from {believed(left)}" for day, left in found.freed]
    if found.exact:
        lines += ["", *_wrapped(f"{number(found.exact, 'exact answer')}, apart. {EXACT_APART}")]
    return "\n".join(lines)


def forecast_text(steps: Sequence[Step], found: State) -> str:
    """Return a plan for a terminal."""
    lines = [
        f"Population '{found.population}' on {found.on}: epsilon {found.epsilon:.4g} of {found.limits.epsilon_total:g},"
        f" belief from {believed(found.epsilon)}",
        "",
        f"  {'planned':<28}{'alone':>8}{'total':>9}  {'belief at most':<36}allowed",
    ]
    for step in steps:
        if step.allowed:
            allowed = "yes" if not step.exact else "yes, but no epsilon covers it"
        else:
            allowed = f"no; from {step.allowed_on} on" if step.allowed_on else "no, never: release less"
        alone = "exact" if step.exact else f"{step.alone:.4g}"
        lines.append(f"  {step.words:<28}{alone:>8}{step.total:>9.4g}  {believed(step.total):<36}{allowed}")
    lines += [
        "",
        f"  room today for {number(found.room, 'further corpus', 'further corpora')} of epsilon 1, before the plan",
    ]
    if found.exact or any(step.exact for step in steps):
        lines += ["", *_wrapped(EXACT_APART)]
    return "\n".join(lines)


def state_plain(found: State) -> dict[str, Any]:
    """Return a population's budget as JSON-ready data, numbers as text."""
    return {
        "population": found.population,
        "on": found.on,
        "limits": found.limits.plain(),
        **_cost(found.epsilon),
        "lifetime": _cost(found.lifetime),
        "exactAnswers": found.exact,
        "epsilonCoversExactAnswers": False,
        "roomForCorporaOfEpsilon1": found.room,
        "runs": [
            {
                "study": line.study,
                "first": line.first,
                "last": line.last,
                "releases": dict(line.releases),
                **_cost(line.epsilon),
                "exactAnswers": line.exact,
                "counts": line.counts,
            }
            for line in found.lines
        ],
        "freed": [{"on": day, **_cost(left)} for day, left in found.freed],
    }


def forecast_plain(steps: Sequence[Step], found: State) -> dict[str, Any]:
    """Return a plan as JSON-ready data, numbers as text."""
    return {
        "population": found.population,
        "on": found.on,
        "limits": found.limits.plain(),
        "now": _cost(found.epsilon),
        "roomForCorporaOfEpsilon1": found.room,
        "steps": [
            {
                "planned": step.words,
                "alone": text_of(step.alone),
                "exactAnswers": step.exact,
                "total": _cost(step.total),
                "allowed": step.allowed,
                "allowedOn": step.allowed_on,
            }
            for step in steps
        ],
    }


def budget_html(found: Sequence[State]) -> str:
    """Return the budgets of a hospital's populations as one self-contained page. Pure."""
    return page(
        "budget.html", helpers={"believed": believed}, states=found, exact_apart=EXACT_APART, lifetime_words=LIFETIME
    )


def _wrapped(text: str) -> list[str]:
    return wrap(text, 106, initial_indent="  ", subsequent_indent="  ")


def _cost(epsilon: float) -> dict[str, str]:
    return {
        "epsilon": text_of(epsilon),
        "beliefFrom50Percent": measure(belief(epsilon, 0.5)),
        "beliefFrom1Percent": measure(belief(epsilon, 0.01)),
    }

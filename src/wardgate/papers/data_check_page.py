"""A hospital's data check on one page: verdict, requirements, cohort flow, features, units."""

from collections import Counter

from wardgate.papers.page import page
from wardgate.records.data_check import DataCheck
from wardgate.records.results import FlowStep

LOOKS = {"pass": "pass", "pass with exceptions": "warn", "fail": "fail", "not evaluated": "none"}
"""Chip of each state; every chip says its state in words and has a shape of its own."""

WORST_FIRST = ("fail", "not evaluated", "pass with exceptions", "pass")


def data_check_page(check: DataCheck) -> str:
    """Return the check as one self-contained HTML page.

    Pure: equal records give equal bytes. It shows what the record holds and nothing else, so it may leave with it.
    """
    return page(
        "data_check.html",
        helpers={"percent": percent},
        check=check,
        looks=LOOKS,
        counts=Counter(one.state for one in check.requirements),
        rows=sorted(check.requirements, key=lambda one: WORST_FIRST.index(one.state)),
        flow=tuple(zip(check.flow, flow_shares(check.flow), strict=True)),
        digest=check.fingerprint(),
    )


def percent(share: float | None) -> str:
    """Return a share as whole per cent, or that it is not shown.

    >>> percent(0.07), percent(1.0), percent(None)
    ('7 %', '100 %', 'not shown')
    """
    return "not shown" if share is None else f"{100 * share:.0f} %"


def flow_shares(flow: tuple[FlowStep, ...]) -> tuple[float | None, ...]:
    """Return each step's count as a share of the first; None where it is not told as a count."""
    counts = [int(step.persons) if step.persons.isdecimal() else None for step in flow]
    first = next((count for count in counts if count), None)
    return tuple(None if count is None or first is None else min(1.0, count / first) for count in counts)

"""Rulings for people: what was found beside what is allowed, on one scale, and what it means."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from wardgate.papers.one_patient import for_one_patient
from wardgate.papers.svg import Axis, even_axis, picture, tag
from wardgate.papers.words import measure
from wardgate.policy.decision import RULES
from wardgate.policy.rule import Rule
from wardgate.records.measured import Measured
from wardgate.records.verdict import Evidence, Ruling, Verdict

Side = Literal["most", "least", "within"]

WIDTH, HEIGHT, EDGE = 250.0, 46.0, 9.0
"""Of one bar, in the units of its picture."""

ROOM = 48.0
"""Width that the words of a limit may take."""

FAMILIES: Mapping[str, str] = {
    "privacy": "Can a patient be found in it?",
    "use": "Is it good enough to be used?",
    "form": "Was everything in order?",
}

_FORM = ("evidence", "attempts", "claim", "control", "sum", "sited", "record")
_USE = ("realism", "timelines")

_SUCCESS = ("membership.auc", "membership.tpr", "disclosure.", "membership.rehearsal", "model.auc", "images.auc")
"""Rules whose number is a success of an attacker, and not a chance under no leak."""

_ONE_SIDED = re.compile(r"(at most|at least) (-?\d[\d.]*(?:e[-+]?\d+)?)")
_RANGE = re.compile(r"(-?\d[\d.]*) (?:to|and) (-?\d[\d.]*)")

_RULES: Mapping[str, Rule] = {rule.name: rule for rule in RULES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A value with its interval and its limit on one axis; `low` and `high` bound what is allowed."""

    axis: Axis
    value: float
    low: float
    high: float
    allowed_low: float
    allowed_high: float

    @property
    def edges(self) -> tuple[float, ...]:
        """The limits, without the open side."""
        return tuple(edge for edge in (self.allowed_low, self.allowed_high) if math.isfinite(edge))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One ruling, ready for a page.

    Attributes:
        found: The value in words.
        interval: Its interval in words, or nothing where the value has none.
        persons: Sample sizes in words.
        bar: None where there is no number or no limit that is one.
        one_patient: What the number means for one patient, or nothing.
        tests, attacker, source: The rule's own words; empty for a rule that this version does not know.
    """

    ruling: Ruling
    found: str
    interval: str
    persons: str
    bar: Bar | None
    one_patient: str
    tests: str
    attacker: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Rulings that answer one question."""

    name: str
    title: str
    rows: tuple[Row, ...]


def families(verdict: Verdict) -> tuple[Family, ...]:
    """Return all rulings by the question that they answer, those that did not pass first."""
    found = []
    for name, title in FAMILIES.items():
        rows = [row_of(ruling) for ruling in verdict.rulings if family_of(ruling.rule) == name]
        rows.sort(key=lambda row: row.ruling.outcome in ("pass", "covered_by_dp"))
        if rows:
            found.append(Family(name=name, title=title, rows=tuple(rows)))
    return tuple(found)


def family_of(rule: str) -> str:
    """Return which question a rule answers."""
    head = rule.split(".")[0]
    return "form" if head in _FORM else "use" if head in _USE else "privacy"


def row_of(ruling: Ruling) -> Row:
    """Return one ruling with its words and its bar."""
    measured, rule = ruling.measured, _RULES.get(ruling.rule)
    spread = measured is not None and measured.low < measured.high
    return Row(
        ruling=ruling,
        found=_found(ruling),
        interval=_interval(measured) if spread and measured else "",
        persons="" if measured is None else " / ".join(f"{n:,}" if n >= 11 else "<11" for n in measured.n),
        bar=bar_of(ruling),
        one_patient=for_one_patient(ruling),
        tests=rule.tests if rule else "",
        attacker=rule.attacker if rule else "",
        source=rule.source if rule else "",
    )


def _found(ruling: Ruling) -> str:
    if ruling.measured is not None:
        return measure(ruling.measured.value)
    return "in order" if ruling.outcome == "pass" else "not measured"


def _interval(measured: Measured) -> str:
    return f"{measure(measured.low)} to {measure(measured.high)}"


def bar_of(ruling: Ruling) -> Bar | None:
    """Return value, interval and limit on one axis, or None where one of them is no number."""
    found, allowed = ruling.measured, limits_in(ruling.limit)
    if found is None or allowed is None or not all(math.isfinite(end) for end in (found.value, found.low, found.high)):
        return None
    low, high = allowed
    edges = [edge for edge in allowed if math.isfinite(edge)]
    axis = (
        _chances(found.low, edges[0])
        if ruling.limit.startswith("chance of")
        else even_axis((found.low, found.high), floor=-1e12, ceiling=1e12, must=_room(found, edges))
    )
    return Bar(axis=axis, value=found.value, low=found.low, high=found.high, allowed_low=low, allowed_high=high)


def _room(found: Measured, edges: Sequence[float]) -> tuple[float, ...]:
    """Return values that the axis must hold, so that the limit stands inside and not at its end."""
    ends = (found.low, found.high, *edges)
    reach = (max(ends) - min(ends)) or abs(max(ends)) or 1.0
    return (*edges, *(edge - 0.15 * reach for edge in edges if edge <= found.low), *(e + 0.15 * reach for e in edges))


def limits_in(words: str) -> tuple[float, float] | None:
    """Return the limits that a ruling states, as (low, high) of what is allowed.

    >>> limits_in("at most 0.03 (tier 500/1000)"), limits_in("chance of at least 0.01 under no leak")
    ((-inf, 0.03), (0.01, inf))
    """
    one = _ONE_SIDED.search(words)
    if one:
        edge = float(one[2])
        return (-math.inf, edge) if one[1] == "at most" else (edge, math.inf)
    two = _RANGE.search(words)
    return (float(two[1]), float(two[2])) if two else None


def _chances(low: float, edge: float) -> Axis:
    """A logarithmic axis of chances up to 1."""
    least = 10.0 ** math.floor(math.log10(max(min(low, edge / 5), 1e-6)))
    ticks = tuple((10.0**k, f"{10.0**k:g}") for k in range(round(math.log10(least)), 1))
    return Axis(low=least, high=1.0, ticks=ticks, transform=lambda value: math.log10(max(value, least)))


def drawn(row: Row, *, name: str) -> Markup:
    """Return the bar of a row as a picture; `name` must be unique in the page."""
    bar = row.bar
    if bar is None:
        return Markup("")
    place = bar.axis.onto(EDGE, WIDTH - EDGE)
    shapes = [tag("rect", x=EDGE, y=10, width=WIDTH - 2 * EDGE, height=16, class_="g-room")]
    for start, end in ((bar.axis.low, bar.allowed_low), (bar.allowed_high, bar.axis.high)):
        if math.isfinite(start) and math.isfinite(end) and place(end) - place(start) > 0.5:
            left, right = place(start), place(end)
            shapes.append(tag("rect", x=left, y=10, width=right - left, height=16, class_="g-beyond"))
    shapes += [tag("line", x1=place(e), x2=place(e), y1=5, y2=31, class_="g-limit") for e in bar.edges]
    low, high = place(bar.low), place(bar.high)
    shapes.append(tag("line", x1=low, x2=high, y1=18, y2=18, class_="g-spread"))
    shapes += [tag("line", x1=end, x2=end, y1=14, y2=22, class_="g-spread") for end in {low, high} if high - low > 1]
    shapes.append(tag("circle", cx=place(bar.value), cy=18, r=4.2, class_="g-value"))
    shapes += [tag("text", measure(e), x=place(e), y=43, class_=f"tick strong {_side(place(e))}") for e in bar.edges]
    for at, text in (bar.axis.ticks[0], bar.axis.ticks[-1]):
        if all(abs(place(at) - place(edge)) > ROOM for edge in bar.edges):
            shapes.append(tag("text", text, x=place(at), y=43, class_=f"tick {_side(place(at))}"))
    said = f"{row.ruling.rule}: found {row.found}"
    spread = f", interval {row.interval}" if row.interval else ""
    return picture(
        name,
        *shapes,
        title=f"{said}; limit: {row.ruling.limit}",
        description=f"{said}{spread}. Allowed: {row.ruling.limit}.",
        width=WIDTH,
        height=HEIGHT,
        class_=f"g-bar g-{row.ruling.outcome}",
    )


def _side(x: float) -> str:
    """How a text stands at its place, so that it stays inside the picture."""
    return "" if x < 2 * EDGE else "end" if x > WIDTH - 2 * EDGE else "mid"


def attackers(evidence: Evidence, verdict: Verdict) -> tuple[str, ...]:
    """Return what the attackers were given who were tried, each once."""
    tried = {one.name for one in evidence.measured}
    known = [
        _RULES[ruling.rule].attacker
        for ruling in verdict.rulings
        if ruling.rule in _RULES and ruling.rule in tried and family_of(ruling.rule) == "privacy"
    ]
    return tuple(dict.fromkeys(known))


def in_numbers(verdict: Verdict) -> tuple[str, ...]:
    """Return what every measured success of an attacker means for one patient."""
    rulings = [ruling for ruling in verdict.rulings if ruling.rule.startswith(_SUCCESS)]
    return tuple(dict.fromkeys(told for ruling in rulings if (told := for_one_patient(ruling))))


def untested(evidence: Evidence, verdict: Verdict) -> tuple[tuple[str, str, str], ...]:
    """Return (name, what became of it, why) of everything that was not measured or not decided."""
    reasons = {one.name: one.reason for one in evidence.absent}
    rulings = {
        ruling.rule: ruling for ruling in verdict.rulings if ruling.outcome in ("not_evaluable", "covered_by_dp")
    }
    words = {"not_evaluable": "not decided", "covered_by_dp": "covered by noise"}
    found = [(r.rule, words[r.outcome], r.reason or reasons.get(r.rule, "")) for r in rulings.values()]
    return (*found, *((name, "not measured", why) for name, why in reasons.items() if name not in rulings))

"""A cohort and its outcome in events: what enters, when the index date is, who stays in, and what happens after."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from wardgate.records.concepts import TableName
from wardgate.records.record import Name, Number, Record

FOREVER_DAYS = 73_000
"""Two hundred years: a window that is open on this side."""


class Criterion(Record):
    """So many events of a concept set in a window around an entry.

    Attributes:
        name: Of the step in the cohort flow; only the outermost rules need one.
        concepts: A concept set of the study, or `death`.
        table: Only events recorded there.
        anchor: What the window is relative to: the entry's start, the index date, or where that is the end, the end.
        window_days: [from, to] in days after the anchor, both ends included; negative is before. Days are of 24 hours.
            On no account does the window reach beyond the index date: who enters may not depend on the future.
        calendar_days: Count days of the calendar instead: from midnight at the start of the anchor's day + `from` to
            the last moment of the anchor's day + `to`, so that [0, 0] is the anchor's own day; still not beyond the
            index date. OHDSI definitions count so.
        at_least, at_most: How many events; `at_most: 0` excludes.
        first: Only the person's first event of the set counts.
        value: Only events whose number lies in [low, high], in `unit`.
        unit: UCUM unit of `value`.
        same_visit: Only events of the entry's own visit.
    """

    name: Name | None = None
    meaning: str = ""
    concepts: Name
    table: TableName | None = None
    anchor: Literal["start", "end", "index"] = "start"
    window_days: tuple[int, int] = (-FOREVER_DAYS, 0)
    calendar_days: bool = False
    at_least: int = Field(default=1, ge=0)
    at_most: int | None = Field(default=None, ge=0)
    first: bool = False
    value: tuple[Number, Number] | None = None
    unit: str | None = None
    same_visit: bool = False

    @model_validator(mode="before")
    @classmethod
    def _none_at_most(cls, given: object) -> object:
        """`at_most` alone asks for no event at all below it."""
        if isinstance(given, dict) and given.get("at_most") is not None and given.get("at_least") is None:
            return {**given, "at_least": 0}
        return given

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.window_days[0] > self.window_days[1]:
            raise ValueError(f"expected window_days [from, to] with from <= to, found {list(self.window_days)}")
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError("at_most is below at_least")
        if (self.value is None) != (self.unit is None):
            raise ValueError("a value needs its unit, and a unit its value")
        return self


class Group(Record):
    """Rules joined: of `rules`, at least `at_least` and at most `at_most` hold; all of them where neither is given."""

    name: Name | None = None
    meaning: str = ""
    rules: tuple[Rule, ...] = Field(min_length=1)
    at_least: int | None = Field(default=None, ge=0)
    at_most: int | None = Field(default=None, ge=0)


Rule = Criterion | Group
"""What must hold for an entry to stay."""


class Entry(Record):
    """Which events enter the cohort, and when the model would be asked.

    Attributes:
        concepts: The concept sets whose events enter; each such event is one entry.
        table: Only events recorded there.
        first: Only the person's first event ever of these sets may enter.
        index: The index date is the entry's start or end ...
        index_hours: ... so many hours later. The model is asked then, and sees nothing of what comes after.
        lasting: The entry must last to the index date, with the person alive.
        age_years: [from, to], completed years at the index date, both included.
        prior_observation_days: How long a person must have been observed before the entry's start.
        follow_up_days: How long a person must stay observed after it. A rule on the future of who may enter, kept for
            imported definitions; the label's own `follow_up` is the honest way.
        washout_days: No other entry event in so many days before.
        shortest_hours: How long an entry must last.
        rules: What else must hold, each a step of the cohort flow, in this order.
    """

    concepts: tuple[Name, ...] = Field(min_length=1)
    table: TableName | None = None
    first: bool = False
    index: Literal["start", "end"] = "start"
    index_hours: Number = Field(default=0.0, ge=0)
    lasting: bool = False
    age_years: tuple[int, int] | None = None
    prior_observation_days: int = Field(default=0, ge=0)
    follow_up_days: int = Field(default=0, ge=0)
    washout_days: int = Field(default=0, ge=0)
    shortest_hours: Number | None = Field(default=None, gt=0)
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _named(self) -> Self:
        names = [rule.name for rule in self.rules]
        if any(name is None for name in names) or len(set(names)) != len(names):
            raise ValueError("every rule of an entry needs a name of its own, for the cohort flow")
        if self.index == "start" and any("end" in _anchors(rule) for rule in self.rules):
            raise ValueError(
                "a window around the entry's end knows when it ends, which a model asked after its start cannot; use "
                "'anchor: start' or 'index', or 'index: end'"
            )
        return self


class Outcome(Record):
    """The label as an event after the index date.

    The window of the label is (index + from days, index + to days]: an event at the very index date is no outcome.

    Attributes:
        concepts: The concept sets whose events are the outcome; `death` is one of them.
        table: Only events recorded there.
        until: `window` looks to the end of the label's window; `entry-end` also no further than the entry's end.
        competing: Concept sets (often `death`) after whose event the outcome can no longer happen.
        competing_counts: What a person is whose competing event came first: `negative`, or `unknown` and left out.
        follow_up: `required`: without an event, a person whose observation ends inside the window is unknown
            (censored) and left out. `assumed`: such a person counts as without the event.
    """

    concepts: tuple[Name, ...] = Field(min_length=1)
    table: TableName | None = None
    until: Literal["window", "entry-end"] = "window"
    competing: tuple[Name, ...] = ()
    competing_counts: Literal["negative", "unknown"] = "negative"
    follow_up: Literal["required", "assumed"] = "required"


def _anchors(rule: Rule) -> set[str]:
    """What the windows of a rule, and of the rules in it, are relative to."""
    return {rule.anchor} if isinstance(rule, Criterion) else {one for part in rule.rules for one in _anchors(part)}


Group.model_rebuild()
Entry.model_rebuild()

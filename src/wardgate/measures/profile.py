"""What one hospital's records hold, in plain counts: persons, events over time, codes, and each concept set's values.

True counts, for the hospital's own eyes: nothing here was checked for small cells. Values come grouped, to three
significant digits, so that a source of any size has a profile of a few thousand numbers.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The quantiles that are told of every number."""

DIGITS = 3
"""Significant digits to which values are grouped."""

MOST_UNITS = 8
"""So many units of one concept set are told apart; more of them are spellings."""

_BARS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many of one kind."""

    name: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """Values grouped to three significant digits, ascending, and how many each stands for."""

    values: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """How many values."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts between even edges, one edge more than counts; a value on an edge lies above it.

    Attributes:
        below, above: How many lie outside the edges.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int
    above: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitProfile:
    """The values of one concept set in one unit.

    Attributes:
        unit: As the source says; None where it says none.
        quantiles: At LEVELS, to three significant digits.
    """

    unit: str | None
    values: int
    quantiles: tuple[float, ...]
    histogram: Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a study expects of a number."""

    feature: str
    unit: str
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SetProfile:
    """The events of one concept set, or of one code.

    Attributes:
        codes: Codes of the source that it stands for; None where it is one code.
        numbers: Events with a number.
        without_unit: Of them, those without a unit.
        units: Most frequent first, at most MOST_UNITS of them.
        other_units, other_values: How many further units there are, and their values.
        by_year: Calendar year and events, ascending.
        expected: What features of the study expect of its numbers.
    """

    name: str
    meaning: str
    codes: int | None
    events: int
    persons: int
    numbers: int
    without_unit: int
    units: tuple[UnitProfile, ...]
    other_units: int
    other_values: int
    by_year: tuple[tuple[int, int], ...]
    expected: tuple[Expected, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeProfile:
    """One code among the most frequent."""

    code: str
    events: int
    persons: int
    numbers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Months:
    """Events of one table by calendar month.

    Attributes:
        counts: By months since year 0 (12 x year + month - 1).
    """

    table: str
    counts: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something in the source that is not as it should be."""

    what: str
    count: int
    of: int
    where: tuple[str, ...]
    lost: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one source holds. Raw counts: for the hospital's own eyes.

    Attributes:
        source, kind: Which source, and of which form.
        study: Title of the study whose concept sets are profiled; empty where the most frequent codes are.
        persons: Everybody who has any event.
        born: Of them, those whose birth is known.
        dead: Of them, those who are known to have died.
        timeless: Of them, those without any event but birth and death.
        ages: Completed years at the first event that is not birth, death or an observed time.
        sexes: Persons by code of sex, most frequent first; who has none stands under an empty name.
        observed_years: Quantiles at LEVELS of the years that a person is observed.
        observed: Persons who are observed at all.
        events: All events.
        different: How many codes they have.
        months: By table, most events first.
        codes: The most frequent codes.
        sets: The concept sets of the study, or the most frequent codes that have numbers.
        remarks: What the source noticed while it was read.
    """

    source: str
    kind: str
    study: str
    persons: int
    born: int
    dead: int
    timeless: int
    ages: Histogram
    sexes: tuple[Count, ...]
    observed: int
    observed_years: tuple[float, ...]
    events: int
    different: int
    months: tuple[Months, ...]
    codes: tuple[CodeProfile, ...]
    sets: tuple[SetProfile, ...]
    remarks: tuple[Remark, ...]


def digest(grouped: Iterable[tuple[float, int]]) -> Digest:
    """Return values and their counts, ascending; equal values are added up."""
    found: dict[float, int] = {}
    for value, count in grouped:
        found[value] = found.get(value, 0) + count
    values = sorted(found)
    return Digest(values=tuple(values), counts=tuple(found[value] for value in values))


def quantiles(of: Digest, levels: Sequence[float] = LEVELS) -> tuple[float, ...]:
    """Return the smallest values that at least a share `level` of all values do not exceed; none of no values.

    >>> quantiles(Digest(values=(1.0, 2.0, 9.0), counts=(5, 4, 1)), (0.5, 0.51, 0.9, 0.99))
    (1.0, 2.0, 2.0, 9.0)
    """
    found, seen, at = [], 0, -1
    for level in sorted(levels) if of.total else ():
        while seen < level * of.total - 1e-9 or at < 0:
            at += 1
            seen += of.counts[at]
        found.append(of.values[at])
    return tuple(found)


def even_step(span: float, *, most: int = _BARS) -> float:
    """Return the smallest of 1, 2, 2.5 and 5 times a power of ten that parts `span` into at most `most`.

    >>> even_step(100.0, most=24), even_step(0.7, most=24), even_step(0.0)
    (5.0, 0.05, 1.0)
    """
    if span <= 0:
        return 1.0
    raw = span / most
    power = 10.0 ** math.floor(math.log10(raw))
    return next(times * power for times in (1.0, 2.0, 2.5, 5.0, 10.0) if times * power >= raw * (1 - 1e-9))


def histogram(of: Digest, *, low: float | None = None, high: float | None = None) -> Histogram:
    """Return even bars from `low` to `high`, else over the middle 98 % of the values.

    Bars begin at multiples of a round step that is no finer than the values are grouped, so that whole numbers do not
    make a comb.
    """
    if not of.total:
        return Histogram(edges=(0.0, 1.0), counts=(0,), below=0, above=0)
    first, last = quantiles(of, (LEVELS[0], LEVELS[-1]))
    first, last = first if low is None else low, last if high is None else high
    near = [after - before for before, after in zip(of.values, of.values[1:], strict=False) if first <= before < last]
    step = even_step(last - first) if last > first else even_step(abs(first) / 2)
    if near and step < min(near):
        step = even_step(min(near), most=1)
    start = math.floor(first / step + 1e-9)
    stop = max(math.floor(last / step + 1e-9) + 1, start + 1)
    counts = [0] * (stop - start)
    below = above = 0
    for value, count in zip(of.values, of.counts, strict=True):
        at = math.floor(value / step + 1e-9) - start
        if at < 0:
            below += count
        elif at >= len(counts):
            above += count
        else:
            counts[at] += count
    edges = tuple(round(step * at, 12) for at in range(start, stop + 1))
    return Histogram(edges=edges, counts=tuple(counts), below=below, above=above)


def by_calendar(months: Mapping[int, int], *, first: int, last: int, each: int = 1) -> tuple[tuple[int, int], ...]:
    """Return (month, events) for every `each` months from `first` to `last`, those without events as 0."""
    found: dict[int, int] = dict.fromkeys(range(first // each * each, last + 1, each), 0)
    for month, count in months.items():
        at = month // each * each
        if at in found:
            found[at] += count
    return tuple(found.items())


def span_of(tables: Sequence[Months], *, share: float = 0.999) -> tuple[int, int, int, int]:
    """Return the first and last month that matter, and how many events lie before and after.

    Single events with impossible dates would leave no room for the rest, so of all events at most 1 - `share` are cut
    away, half on either side.
    """
    total: dict[int, int] = {}
    for table in tables:
        for month, count in table.counts.items():
            total[month] = total.get(month, 0) + count
    events = sum(total.values())
    if not events:
        return 0, 0, 0, 0
    room = events * (1 - share) / 2
    ordered = sorted(total)

    def cut(months: Sequence[int]) -> tuple[int, int]:
        lost = 0
        for month in months:
            if lost + total[month] > room:
                return month, lost
            lost += total[month]
        return months[-1], lost

    first, before = cut(ordered)
    last, after = cut(ordered[::-1])
    return first, last, before, after

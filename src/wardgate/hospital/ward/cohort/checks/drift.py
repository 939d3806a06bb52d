"""What is recorded changes over calendar time: codes that vanish, codes that replace others, values that move."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import ibis
import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.hospital.ward.cohort.checks.errors import SHARES
from wardgate.hospital.ward.cohort.checks.mixups import ENOUGH, gaps, others
from wardgate.hospital.ward.cohort.checks.numbers import QUARTER, Measured
from wardgate.hospital.ward.cohort.checks.sample import PARTS, Sample, month, month_named
from wardgate.hospital.ward.cohort.checks.words import say, titled
from wardgate.hospital.ward.source.events import EventSource, Expression, Pick
from wardgate.measures.changes import Moved, Stretch, fallen, moved
from wardgate.measures.modes import NEAREST, median
from wardgate.records.concepts import Concept
from wardgate.records.results import Requirement

GONE, LESS = 0.2, 0.6
"""Shares of what was recorded before: below the first a set counts as gone, below the second as recorded less."""

AWAY = 0.25
"""Values have moved where one from after a day lies above one from before in surely over 75 %, or under 25 %."""

FEWEST_STEPS = 12
FEWEST_PERSONS = 200
"""Below either, time is too short or persons too few to tell a change from chance."""

MOST_STEPS = 150
"""Longer times are cut into longer steps: months, quarters, years."""

_ANY = -1
"""Stands for whatever happened."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Persons by time step.

    Attributes:
        first: Month of the first step, counted from the year 0.
        months: Of one step: 1, 3 or 12.
        active: Persons with a visit or any event asked for, shape (t,).
        had: By pick, persons with an event of it, shape (t,).
        part: By pick and place of one of its concepts, persons with an event of that; only where it has several.
        weight: How many persons of the source each person of the sample stands for.
    """

    first: int
    months: int
    active: Ints
    had: Mapping[int, Ints]
    part: Mapping[tuple[int, int], Ints]
    weight: float

    def named(self, step: int) -> str:
        """Return the month in which a step begins."""
        return month_named(self.first + step * self.months)


def calendar(source: EventSource, picks: Sequence[Pick], *, parts: int) -> Calendar | None:
    """Count persons by month in one pass over the events; None where nothing has a time.

    Args:
        parts: Of 1,024 parts of the persons, how many are looked at.
    """
    concepts = [(place, number) for place, pick in enumerate(picks) for number in _parts(pick)]
    asked = [*picks, *(_part(picks[place], number) for place, number in concepts)]
    sample = Sample.of(source, asked).only(parts)
    months = _months(sample)
    counts = sample.run(months.group_by(["pick", "month"]).aggregate(n=months.count()))
    active = counts.filter(pl.col("pick") == _ANY)
    if not active.height:
        return None
    first, last = _span(active)
    length = next(size for size in (1, 3, 12, last - first + 1) if (last - first + 1) / size <= MOST_STEPS)
    steps = math.ceil((last - first + 1) / length)

    def series(rows: pl.DataFrame) -> Ints:
        inside = rows.filter(pl.col("month").is_between(first, last))
        found = np.zeros(steps, dtype=np.int64)
        np.add.at(found, (inside["month"].to_numpy() - first) // length, inside["n"].to_numpy())
        return found

    by = {place: series(counts.filter(pl.col("pick") == place)) for place in range(len(asked))}
    return Calendar(
        first=first,
        months=length,
        active=series(active),
        had={place: by[place] for place in range(len(picks))},
        part={key: by[len(picks) + at] for at, key in enumerate(concepts)},
        weight=PARTS / parts,
    )


def _months(sample: Sample) -> Expression:
    """Distinct persons by pick and month; whoever had any event or visit stands under `_ANY` too."""
    events, visits = sample.events(), sample.visits()
    rows = events.select(pick=events.pick.cast("int64"), subject_id=events.subject_id, month=month(events.time))
    rows = rows.distinct()
    seen = ibis.union(
        rows.select("subject_id", "month"), visits.select("subject_id", month=month(visits.start)), distinct=True
    )
    anybody = seen.select(pick=ibis.literal(_ANY, type="int64"), subject_id=seen.subject_id, month=seen.month)
    return ibis.union(rows, anybody, distinct=False)


def _parts(pick: Pick) -> range:
    """Places of the concepts of a set that has several."""
    many = len(_kept(pick))
    return range(many) if many > 1 else range(0)


def _kept(pick: Pick) -> list[Concept]:
    return [one for one in pick.concepts if not one.exclude]


def _code(concept: Concept) -> str:
    return str(concept.concept_id) if concept.code is None else f"{concept.vocabulary}/{concept.code}"


def _part(pick: Pick, number: int) -> Pick:
    out = tuple(one for one in pick.concepts if one.exclude)
    return Pick(name=pick.name, concepts=(_kept(pick)[number], *out), table=pick.table)


def _span(active: pl.DataFrame) -> tuple[int, int]:
    """First and last month, without the rare ones at both ends: a date of 1900 or 2100 makes no century."""
    rows = active.sort("month")
    share = rows["n"].cum_sum() / rows["n"].sum()
    kept = rows.filter((share > 0.002) & (share.shift(1, fill_value=0.0) < 0.998))
    return int(kept["month"][0]), int(kept["month"][-1])


def judge_calendar(found: Calendar | None, picks: Sequence[Pick]) -> Iterator[Requirement]:
    """Judge whether concept sets, or single codes of them, are recorded all the time.

    Finds: a stretch of time, at an end or in the middle, in which surely fewer persons have an event of a set than at
    other times; a code of a set that goes while the set stays.
    """
    if found is None or len(found.active) < FEWEST_STEPS or found.active.sum() < FEWEST_PERSONS:
        yield say("calendar", "not evaluated", "too few persons or too short a time to tell a change from chance")
        return
    wrong = set()
    for place, pick in enumerate(picks):
        name = f"calendar of {titled(pick)}"
        reason = _set(found, place, len(picks)) or _codes(found, place, pick)
        if reason is not None:
            wrong.add(name)
            yield say(name, reason[0], reason[1])  # type: ignore[arg-type]
    yield say("calendar", "pass", f"{len(picks) - len(wrong)} of {len(picks)} concept sets are recorded all the time")


def _set(found: Calendar, place: int, tests: int) -> tuple[str, str] | None:
    had = np.minimum(found.had[place], found.active)
    season = 12 // found.months if found.months < 12 else None
    for ratio in (GONE, LESS):
        stretch = fallen(had, found.active, ratio=ratio, error=SHARES["calendar"] / (2 * tests), season=season)
        if stretch is None:
            continue
        when, steps = _when(found, stretch), len(found.active)
        if ratio == GONE and stretch.start > 0:
            return "fail", (
                f"hardly recorded {when}, though persons were seen then; look for codes that changed with an upgrade, "
                "and map them"
            )
        words = "hardly recorded" if ratio == GONE else f"recorded {round(100 * stretch.ratio)} % as often"
        told = "" if stretch.stop < steps else " and since"
        return "pass with exceptions", (
            f"{words} {when}{told}; check whether practice changed, or codes or departments are missing there"
        )
    return None


def _when(found: Calendar, stretch: Stretch) -> str:
    if stretch.stop == len(found.active):
        return f"from {found.named(stretch.start)} on"
    if stretch.start == 0:
        return f"before {found.named(stretch.stop)}"
    return f"from {found.named(stretch.start)} to before {found.named(stretch.stop)}"


def _codes(found: Calendar, place: int, pick: Pick) -> tuple[str, str] | None:
    """A code of the set that goes, while the set stays."""
    parts = [number for at, number in found.part if at == place]
    tests = max(1, len(found.part))
    for number in parts:
        had = np.minimum(found.part[place, number], found.had[place])
        stretch = fallen(had, found.had[place], ratio=GONE, error=SHARES["codes"] / tests)
        if stretch is not None and had.sum() >= 0.1 * found.had[place].sum():
            return "pass with exceptions", (
                f"{_code(_kept(pick)[number])} is hardly recorded {_when(found, stretch)}, and other codes of the set "
                "stand for it; check that they mean the same"
            )
    return None


def judge_levels(measured: Sequence[Measured], found: Calendar | None, picks: Sequence[Pick]) -> Iterator[Requirement]:
    """Judge whether values, converted to one unit, move from some day on: a unit changed and its name did not."""
    tried = [one for one in measured if sum(unit.total for unit in one.units if unit.linear is not None) >= ENOUGH]
    wrong = 0
    for one in tried:
        persons = None if found is None else found.had[picks.index(one.pick)]
        cells = _by_quarter(one)
        if cells is None or persons is None or found is None:
            continue
        first, values, counts = cells
        share = min(1.0, float(persons.sum()) * found.weight / max(1, int(counts.sum())))
        effective = counts.sum(axis=1) * share
        change = moved(counts, effective=effective, away=AWAY, error=SHARES["levels"] / len(tried))
        if change is not None:
            wrong += 1
            yield _moved_words(one, change, first, values, counts)
    if not measured:
        yield say("levels", "pass", "no feature reads numbers")
    elif not tried or found is None:
        yield say("levels", "not evaluated", "no concept set has enough numbers to compare over time")
    else:
        yield say("levels", "pass", f"{len(tried) - wrong} of {len(tried)} numeric concept sets stay where they are")


def _by_quarter(one: Measured) -> tuple[int, NDArray[np.float64], Ints] | None:
    """First quarter, the values of the classes in rising order, and counts by quarter and class."""
    parts = [unit for unit in one.units if unit.linear is not None and unit.total]
    quarters = np.concatenate([unit.quarters for unit in parts])
    values = np.concatenate(
        [unit.recorded * unit.linear.factor + unit.linear.offset for unit in parts if unit.linear is not None]
    )
    n = np.concatenate([unit.counts for unit in parts])
    if not len(n):
        return None
    inside = np.bincount(quarters - quarters.min(), weights=n)
    share = np.cumsum(inside) / inside.sum()
    low = int(quarters.min()) + int(np.argmax(share > 0.002))
    high = int(quarters.min()) + int(np.argmax(share >= 0.998))
    kept = (quarters >= low) & (quarters <= high)
    classes, place = np.unique(values[kept], return_inverse=True)
    counts = np.zeros((high - low + 1, len(classes)), dtype=np.int64)
    np.add.at(counts, (quarters[kept] - low, place), n[kept])
    return low, classes, counts


def _moved_words(one: Measured, change: Moved, first: int, values: NDArray[np.float64], counts: Ints) -> Requirement:
    before = median(values, counts[: change.start].sum(axis=0))
    after = median(values, counts[change.start :].sum(axis=0))
    when = month_named((first + change.start) * QUARTER)
    name = f"levels of {titled(one.pick)}"
    if before > 0 and after > 0 and abs(math.log(after / before)) >= NEAREST:
        gap = math.log(after / before)
        unit = next((unit for unit in one.units if unit.linear is not None), None)
        ways = [] if unit is None else [(other, gaps(unit, other, before)) for other in others(one, unit)]
        for other, moves in ways:
            if any(abs(gap - way) <= max(0.1, 0.12 * abs(way)) for way in moves):
                size = f"{math.exp(abs(gap)):.3g} times as {'large' if gap > 0 else 'small'}"
                return say(
                    name,
                    "fail",
                    f"from {when} on values are {size}, as a change to or from '{other.unit}' makes them; give the "
                    "values from then on their own unit",
                )
    direction = "higher" if change.above > 0.5 else "lower"
    return say(
        name,
        "pass with exceptions",
        f"from {when} on values are mostly {direction} than before; check for another method, device or department",
    )

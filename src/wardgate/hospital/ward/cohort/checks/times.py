"""The order of times: births, deaths, visits and events; and clocks that are hours off."""

from collections.abc import Iterator, Mapping, Sequence

import ibis
import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.hospital.ward.cohort.checks.errors import SHARES
from wardgate.hospital.ward.cohort.checks.sample import Sample, dated, seconds
from wardgate.hospital.ward.cohort.checks.words import State, listed, say, surely_above, titled
from wardgate.hospital.ward.cohort.findings import FEW, share
from wardgate.hospital.ward.source.events import Expression, Pick
from wardgate.records.concepts import DEATH
from wardgate.records.results import Requirement

HALF_HOUR_SECONDS, REACH = 1_800, 28
"""Clocks are compared in half hours, up to 14 hours to either side: no zone is further from another hospital's."""

LATER_DAYS = 31
"""What is recorded of a dead person so much later is no result that came late and no bill."""

ENOUGH = 50
"""Fewer events, or fewer of the dead, are not judged."""

OUTSIDE, REPAIRED = 0.01, 0.8
"""A clock is off where surely more than the first share of events lie outside their visits, and one step of half hours
would bring at least the second share of those inside, on balance."""

ORDERS = (
    ("before birth", "events", 0.001, 0.02, "lie before the person's year of birth; check how births are exported"),
    ("after death", "events of the dead", 0.02, 0.10, f"lie over {LATER_DAYS} days after it; check dates of death"),
    ("ends before starts", "events", 0.001, 0.02, "end more than a day before they start; check the export of ends"),
    (
        "deaths before visits",
        "dead persons",
        0.005,
        0.02,
        "have a visit that starts after their death; check dates of death, and whether two persons are joined",
    ),
)
"""Name, of what, share that is tolerated, share from which it fails, and what to do. Choices of engineering."""


def judge_order(sample: Sample, picks: Sequence[Pick]) -> Iterator[Requirement]:
    """Judge whether events, visits, births and deaths come in an order that lives have."""
    found = sample.run(_events_order(sample, picks)).row(0, named=True)
    visits = sample.run(_visits_order(sample)).row(0, named=True)
    deaths = sample.run(_deaths(sample)).row(0, named=True)
    counts = {
        "before birth": (_sum(found, visits, "early"), _sum(found, visits, "born")),
        "after death": (int(found["late"] or 0), int(found["dead"] or 0)),
        "ends before starts": (_sum(found, visits, "reversed"), _sum(found, visits, "ended")),
        "deaths before visits": (int(deaths["before"] or 0), int(deaths["dead"] or 0)),
    }
    for name, what, tolerated, wrong, words in ORDERS:
        yield say(f"time order: {name}", *_ordered(*counts[name], what, tolerated, wrong, words))


def _sum(one: Mapping[str, int | None], other: Mapping[str, int | None], part: str) -> int:
    return int(one[part] or 0) + int(other[part] or 0)


def _ordered(part: int, whole: int, what: str, tolerated: float, wrong: float, words: str) -> tuple[State, str]:
    error = SHARES["order"] / len(ORDERS)
    if not whole:
        return "pass", f"the source has no {what} to compare"
    if part >= FEW and surely_above(part, whole, tolerated, error=error):
        state: State = "fail" if surely_above(part, whole, wrong, error=error) else "pass with exceptions"
        return state, f"{share(part, whole)} of the {what} {words}"
    return "pass", "as lives have it" if not part else f"fewer {what} are out of order than any hospital has"


def _events_order(sample: Sample, picks: Sequence[Pick]) -> Expression:
    """Of all events that are not deaths: with a birth, before it; of the dead, long after; with an end, reversed."""
    alive = [pick for pick in picks if pick.name != DEATH]
    events, persons = sample.events(alive), sample.persons().rename(person="subject_id")
    joined = events.inner_join(persons, events.subject_id == persons.person)
    early = (joined.time < joined.birth - ibis.interval(days=1)) & (joined.time.year() < joined.birth.year())
    return joined.aggregate(
        born=joined.birth.notnull().sum(),
        early=early.sum(),
        dead=joined.death.notnull().sum(),
        late=(joined.time > joined.death + ibis.interval(days=LATER_DAYS)).sum(),
        ended=joined.end.notnull().sum(),
        reversed=(joined.end < joined.time - ibis.interval(days=1)).sum(),
    )


def _visits_order(sample: Sample) -> Expression:
    visits, persons = sample.visits(), sample.persons().rename(person="subject_id")
    joined = visits.inner_join(persons, visits.subject_id == persons.person)
    early = (joined.start < joined.birth - ibis.interval(days=1)) & (joined.start.year() < joined.birth.year())
    return joined.aggregate(
        born=joined.birth.notnull().sum(),
        early=early.sum(),
        ended=joined.end.notnull().sum(),
        reversed=(joined.end < joined.start - ibis.interval(days=1)).sum(),
    )


def _deaths(sample: Sample) -> Expression:
    """Of the dead with a visit: those whose last visit starts more than a day after their death."""
    visits, persons = sample.visits(), sample.persons()
    last = visits.group_by("subject_id").aggregate(last=visits.start.max()).rename(person="subject_id")
    dead = persons.filter(persons.death.notnull())
    joined = dead.inner_join(last, dead.subject_id == last.person)
    return joined.aggregate(dead=joined.count(), before=(joined.last > joined.death + ibis.interval(days=1)).sum())


def judge_clock(sample: Sample, picks: Sequence[Pick]) -> Requirement:
    """Judge whether events lie inside the visits that they name, and if not, whether another clock would explain it.

    Dates without a time are left out. A clock that is off by less than visits have room for shows in the events near
    their ends alone, so that many are needed.
    """
    rows = sample.run(_gaps(sample, picks))
    found: dict[float, list[str]] = {}
    stray, judged = [], 0
    for place, pick in enumerate(picks):
        mine = rows.filter(pl.col("pick") == place)
        total = int(mine["n"].sum())
        if total < ENOUGH or pick.name == DEATH:
            continue
        judged += 1
        inside = _inside(mine)
        outside = total - int(inside[REACH])
        if outside < FEW or not surely_above(outside, total, OUTSIDE, error=SHARES["clock"] / len(picks)):
            continue
        best = min(np.flatnonzero(inside == inside.max()), key=lambda place: abs(int(place) - REACH))
        if inside[best] - inside[REACH] >= REPAIRED * outside:
            found.setdefault((REACH - best) / 2, []).append(titled(pick))
        elif outside > 0.5 * total:
            stray.append(titled(pick))
    if not judged:
        return say("clock", "not evaluated", "no concept set has enough timed events that name their visit")
    if found:
        parts = [f"{listed(names)} {_late(hours)}" for hours, names in sorted(found.items())]
        return say(
            "clock",
            "fail",
            f"moved by that, nearly all events would lie inside their visits: {'; '.join(parts)}. Check the time zone "
            "of the system that they come from",
        )
    if stray:
        reason = f"most events of {listed(stray)} lie outside the visits that they name, by no constant time"
        return say("clock", "pass with exceptions", f"{reason}; check how they are linked")
    return say("clock", "pass", "events lie inside the visits that they name")


def _late(hours: float) -> str:
    return f"{abs(hours):g} hours {'late' if hours > 0 else 'early'}"


def _inside(rows: pl.DataFrame) -> NDArray[np.int64]:
    """How many events would lie inside their visits, moved by -14 to 14 hours in half hours."""
    since, until, n = (rows[name].to_numpy().astype(np.int64) for name in ("since", "until", "n"))
    steps = range(-REACH, REACH + 1)
    return np.array([int(n[(since + step >= 0) & (until - step >= 0)].sum()) for step in steps], dtype=np.int64)


def _gaps(sample: Sample, picks: Sequence[Pick]) -> Expression:
    """By pick: half hours since the visit's start and until its end, cut at 14 hours, of timed events."""
    events, visits = sample.events(picks), sample.visits()
    visits = visits.filter(visits.end >= visits.start).rename(person="subject_id", named="visit")
    timed = events.filter(events.visit.notnull() & ~dated(events.time))
    met = (timed.visit == visits.named) & (timed.subject_id == visits.person)
    joined = timed.inner_join(visits, met)
    at, start, end = seconds(joined.time), seconds(joined.start), seconds(joined.end)
    gaps = joined.select("pick", since=_halves(at - start), until=_halves(end - at))
    return gaps.group_by(["pick", "since", "until"]).aggregate(n=gaps.count())


def _halves(gap: Expression) -> Expression:
    halves = (gap.cast("float64") / HALF_HOUR_SECONDS).floor().cast("int64")
    return ibis.greatest(ibis.least(halves, REACH), -REACH - 1)

"""The order of times: births, deaths, visits and events; and clocks that are hours off."""

from collections.abc import Iterator, Sequence

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


def judge_times(sample: Sample) -> Iterator[Requirement]:
    """Judge whether events, visits, births and deaths come in an order that lives have, and whether clocks agree."""
    events, visits = sample.run(_events(sample)), sample.run(_visits(sample))
    for name, what, tolerated, wrong, words in ORDERS:
        part, whole = _COUNTED[name]
        sums = [int(rows[column].sum()) for column in (part, whole) for rows in (events, visits) if column in rows]
        half = len(sums) // 2
        counts = sum(sums[:half]), sum(sums[half:])
        yield say(f"time order: {name}", *_ordered(*counts, what, tolerated, wrong, words))
    yield _clock(events, sample.picks)


_COUNTED = {
    "before birth": ("early", "born"),
    "after death": ("late", "dead"),
    "ends before starts": ("reversed", "ended"),
    "deaths before visits": ("before", "gone"),
}
"""Columns that count what is out of order, and among how many."""


def _ordered(part: int, whole: int, what: str, tolerated: float, wrong: float, words: str) -> tuple[State, str]:
    error = SHARES["order"] / len(ORDERS)
    if not whole:
        return "pass", f"the source has no {what} to compare"
    if part >= FEW and surely_above(part, whole, tolerated, error=error):
        state: State = "fail" if surely_above(part, whole, wrong, error=error) else "pass with exceptions"
        return state, f"{share(part, whole)} of the {what} {words}"
    return "pass", "as lives have it" if not part else f"fewer {what} are out of order than any hospital has"


def _events(sample: Sample) -> Expression:
    """By pick and gaps: events, and which of them are out of order.

    The gaps are half hours since the start of the event's visit and until its end, cut at 14 hours; null where the
    event names no visit, or has a date alone. Deaths are no events here.
    """
    living = [place for place, pick in enumerate(sample.picks) if pick.name != DEATH]
    events = sample.events()
    events = events.filter(events.pick.isin(living))
    persons = sample.persons().rename(person="subject_id")
    visits = sample.visits().rename(owner="subject_id", named="visit")
    visits = visits.filter(visits.end >= visits.start)
    joined = events.left_join(persons, events.subject_id == persons.person)
    joined = joined.left_join(visits, (joined.visit == visits.named) & (joined.subject_id == visits.owner)).select(
        pick=joined.pick.cast("int64"),
        since=ibis.ifelse(dated(joined.time), None, _halves(seconds(joined.time) - seconds(visits.start))),
        until=ibis.ifelse(dated(joined.time), None, _halves(seconds(visits.end) - seconds(joined.time))),
        **_order(joined, joined.time, joined.end),
        late=joined.time > joined.death + ibis.interval(days=LATER_DAYS),
        dead=joined.death.notnull(),
    )
    return joined.group_by(["pick", "since", "until"]).aggregate(
        n=joined.count(), **{name: joined[name].sum().fill_null(0) for name in (*_ORDERED, "late", "dead")}
    )


def _visits(sample: Sample) -> Expression:
    """Visits that are out of order, and of the dead with a visit those whose last starts over a day after death."""
    visits, persons = sample.visits(), sample.persons().rename(person="subject_id")
    joined = visits.inner_join(persons, visits.subject_id == persons.person)
    rows = joined.select("person", "death", "start", **_order(joined, joined.start, joined.end))
    by = rows.group_by("person").aggregate(
        last=rows.start.max(), death=rows.death.min(), **{name: rows[name].sum().fill_null(0) for name in _ORDERED}
    )
    return by.aggregate(
        **{name: by[name].sum().fill_null(0) for name in _ORDERED},
        gone=by.death.notnull().sum().fill_null(0),
        before=(by["last"] > by.death + ibis.interval(days=1)).sum().fill_null(0),
    )


_ORDERED = ("early", "born", "reversed", "ended")


def _order(rows: Expression, start: Expression, end: Expression) -> dict[str, Expression]:
    day = ibis.interval(days=1)
    return {
        "early": (start < rows.birth - day) & (start.year() < rows.birth.year()),
        "born": rows.birth.notnull(),
        "reversed": end < start - day,
        "ended": end.notnull(),
    }


def _clock(rows: pl.DataFrame, picks: Sequence[Pick]) -> Requirement:
    """Judge whether events lie inside the visits that they name, and if not, whether another clock would explain it.

    Dates without a time are left out. A clock that is off by less than visits have room for shows in the events near
    their ends alone, so that many are needed.
    """
    rows = rows.filter(pl.col("since").is_not_null() & pl.col("until").is_not_null())
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
    size = abs(hours)
    return f"{size:g} hour{'' if size == 1 else 's'} {'late' if hours > 0 else 'early'}"


def _inside(rows: pl.DataFrame) -> NDArray[np.int64]:
    """How many events would lie inside their visits, moved by -14 to 14 hours in half hours."""
    since, until, n = (rows[name].to_numpy().astype(np.int64) for name in ("since", "until", "n"))
    steps = range(-REACH, REACH + 1)
    return np.array([int(n[(since + step >= 0) & (until - step >= 0)].sum()) for step in steps], dtype=np.int64)


def _halves(gap: Expression) -> Expression:
    halves = (gap.cast("float64") / HALF_HOUR_SECONDS).floor().cast("int64")
    return ibis.greatest(ibis.least(halves, REACH), -REACH - 1)

"""Rules on entries: how many events of a concept set lie in a window around an entry, and how rules are joined."""

from collections.abc import Iterator, Sequence

import ibis

from wardgate.hospital.ward.cohort.from_events import sight
from wardgate.hospital.ward.cohort.from_events.asked import KEY, Asked, beside, double
from wardgate.hospital.ward.cohort.from_events.decimals import in_steps, measured
from wardgate.hospital.ward.cohort.from_events.picks import criteria, distinct, pick_of
from wardgate.hospital.ward.cohort.from_events.readings import reading_of_criterion
from wardgate.hospital.ward.cohort.from_events.survey import Survey
from wardgate.hospital.ward.source.events import Expression
from wardgate.records.entry import Criterion, Rule
from wardgate.records.study import Study


def counted(entries: Expression, asked: Asked, study: Study, units: Survey) -> Expression:
    """Return the entries with one column a criterion, `count<i>` in reading order: how many events it finds.

    Args:
        entries: With `subject_id`, `start`, `end`, `index` and `visit`.
        units: What `survey` found; a value in a unit without a known conversion fulfils nothing.
    """
    asks = criteria(study)
    picks = distinct([pick_of(study, one.concepts, one.table) for one in asks])
    events = asked.events(picks)
    if any(one.first for one in asks):
        per_set = ibis.window(group_by=[events.subject_id, events.pick])
        events = events.mutate(first_time=events.time.min().over(per_set))
    events = events.rename(visit_of_event="visit").drop("end")
    joined = sight.seen(entries.select(*KEY, "end", "index", "visit").inner_join(events, "subject_id"))
    counts = {}
    for place, one in enumerate(asks):
        pick = pick_of(study, one.concepts, one.table)
        met = (joined.pick == picks.index(pick)) & _in_window(joined, one)
        if one.first:
            met = met & (joined.time.isnull() | (joined.time == joined.first_time))
        if one.same_visit:
            met = met & (joined.visit_of_event == joined.visit)
        if one.value is not None:
            met = met & _in_range(joined, one, study, units)
        counts[f"count{place}"] = joined.count(where=met.fill_null(False))
    found = joined.group_by(KEY).aggregate(**counts)
    both = beside(entries, found)
    return both.mutate(**{name: both[name].fill_null(0) for name in counts})


def holds(entries: Expression, rules: Sequence[Rule]) -> tuple[Expression, ...]:
    """Return for each rule whether it holds, from the counts of its criteria."""
    places = iter(range(10**6))
    return tuple(_holds(entries, rule, places) for rule in rules)


def _holds(entries: Expression, rule: Rule, places: Iterator[int]) -> Expression:
    if isinstance(rule, Criterion):
        count = entries[f"count{next(places)}"]
        low, high = rule.at_least, rule.at_most
    else:
        parts = [_holds(entries, part, places) for part in rule.rules]
        count = sum((ibis.ifelse(part, 1, 0) for part in parts), ibis.literal(0, type="int64"))
        everything = rule.at_least is None and rule.at_most is None
        low, high = len(parts) if everything else rule.at_least or 0, rule.at_most
    return (count >= low) if high is None else (count >= low) & (count <= high)


def _in_window(joined: Expression, one: Criterion) -> Expression:
    """Whether an event lies in a criterion's window; what never changes always does."""
    anchor = {
        "start": joined.start,
        "end": ibis.coalesce(joined.end, joined.start),
        "index": joined["index"],
    }[one.anchor]
    first, last = one.window_days
    if one.calendar_days:
        day = anchor.truncate("D")
        inside = (joined.time >= day + ibis.interval(days=first)) & (joined.time < day + ibis.interval(days=last + 1))
        return joined.time.isnull() | inside
    low, high = (ibis.interval(days=days) for days in (first, last))
    return joined.time.isnull() | ((joined.time >= anchor + low) & (joined.time <= anchor + high))


def _in_range(joined: Expression, one: Criterion, study: Study, units: Survey) -> Expression:
    """Whether an event's number, converted, lies in a criterion's range."""
    pick = pick_of(study, one.concepts, one.table)
    reading = reading_of_criterion(one, pick)
    inside = ibis.literal(False)
    for used in units.get(pick, ()):
        linear = reading.conversion(used.unit)
        if linear is None:
            continue
        number = in_steps(
            measured(joined.value),
            factor=double(linear.factor),
            offset=double(linear.offset),
            up=double(reading.steps.up),
            down=double(reading.steps.down),
        )
        own = joined.unit.nullif("").isnull() if used.unit is None else joined.unit == used.unit
        within = number.between(reading.steps.low, reading.steps.high)
        inside = inside | (own & within).fill_null(False)
    return inside

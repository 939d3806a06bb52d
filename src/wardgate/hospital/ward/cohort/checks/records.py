"""All checks of a hospital's records for one study, before a model is fitted.

Each kind of check gives one requirement that says what passed, and one for each concept set in which it found
something. Their chance of finding anything in records without errors is at most `errors.TOTAL` together.
"""

from collections.abc import Iterator, Sequence

from wardgate.hospital.ward.cohort.checks.drift import calendar, judge_calendar, judge_levels
from wardgate.hospital.ward.cohort.checks.duplicates import judge_events, judge_persons
from wardgate.hospital.ward.cohort.checks.mixups import judge_units, judge_values
from wardgate.hospital.ward.cohort.checks.numbers import counted, measured
from wardgate.hospital.ward.cohort.checks.sample import Sample, fitting
from wardgate.hospital.ward.cohort.checks.times import judge_times
from wardgate.hospital.ward.cohort.checks.words import listed, say
from wardgate.hospital.ward.cohort.findings import share
from wardgate.hospital.ward.source.events import EventSource, Noticed, Pick
from wardgate.records.results import Requirement
from wardgate.records.study import Study

MOST_EVENTS = 10_000_000
"""What a check that looks at persons may read; of more events, it looks at a share of the persons."""

MOST_ROWS = 1_000_000
"""The same for the search for repeated events, which has to hold them."""

LOST, ODD = 0.01, 0.05
"""Share of lost lines, or cells, from which a source fails; share of doubtful ones from which that is said."""


def check_records(source: EventSource, study: Study, picks: Sequence[Pick]) -> tuple[Requirement, ...]:
    """Check the records that a study asks for.

    The engine adds up; what comes back are histograms and monthly counts. All events of the picks are read once, and
    those of at most about `MOST_EVENTS` a few times more.

    Args:
        picks: Everything that the study asks of a source.

    Returns:
        Requirements in four states; no reason holds a count below 11.

    Raises:
        Invalid: the source cannot be read to its end.
    """
    everybody = Sample.of(source, picks)
    cells = counted(everybody)
    total = int(cells["n"].sum()) if cells.height else 0
    parts = fitting(total, most=MOST_EVENTS)
    numbers = measured(study, picks, cells)
    months = calendar(source, picks, parts=parts)
    return (
        _source(source.noticed()),
        *judge_times(everybody.only(parts)),
        judge_persons(everybody),
        judge_events(everybody.only(fitting(total, most=MOST_ROWS))),
        *judge_units(numbers),
        *judge_values(numbers),
        *judge_calendar(months, picks),
        *judge_levels(numbers, months, picks),
    )


def _source(noticed: Sequence[Noticed]) -> Requirement:
    """Judge what was lost or doubtful in the reading."""
    whole = [one for one in noticed if one.of <= 1 and one.count]
    noticed = [one for one in noticed if one.of > 1]
    lost = [one for one in noticed if one.harm == "lost" and one.count]
    odd = [one for one in noticed if one.harm == "odd" and one.count > ODD * max(one.of, 1)]
    worst = [one for one in lost if one.count > LOST * max(one.of, 1)]
    if worst:
        return say("source", "fail", f"{listed(_noticed(worst))}; export the source again")
    if lost:
        return say("source", "pass with exceptions", f"{listed(_noticed(lost))}; the rest was read")
    if odd:
        return say("source", "pass with exceptions", listed(_noticed(odd)))
    return say("source", "pass", f"everything was read{''.join(f'; {one.what}' for one in whole[:5])}")


def _noticed(some: Sequence[Noticed]) -> Iterator[str]:
    for one in some:
        yield f"{one.what} ({share(one.count, max(one.of, one.count))})"

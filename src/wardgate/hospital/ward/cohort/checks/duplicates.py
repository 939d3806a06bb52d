"""Persons who are there twice under two numbers, and events that are there twice."""

import ibis

from wardgate.hospital.ward.cohort.checks.errors import SHARES
from wardgate.hospital.ward.cohort.checks.sample import DAY_SECONDS, Sample, seconds
from wardgate.hospital.ward.cohort.checks.words import say, surely_above
from wardgate.hospital.ward.cohort.findings import FEW, share
from wardgate.hospital.ward.source.events import Expression
from wardgate.records.results import Requirement

LEAST_EVENTS = 3
"""Persons with fewer different times of events are not compared: chance could make them alike."""

TOLERATED, WRONG = 0.0005, 0.01
"""Share of persons who are there again that is tolerated, and from which it fails: a twin in training and in test."""

REPEATED = 0.05
"""Share of exact repeats among numbers that is tolerated: devices and interfaces send again."""

_P, _Q = 1_000_003, 999_983


MOST_PERSONS = 400_000
"""Of more persons, those of some birthdays are compared: doubles share one."""


def judge_persons(sample: Sample) -> Requirement:
    """Judge how many persons are there again: with the same birth and the same events at the same seconds."""
    persons = sample.persons()
    many = int(sample.run(persons.aggregate(n=persons.count()))["n"][0])
    found = sample.run(_again(sample, days=1 + many // MOST_PERSONS)).row(0, named=True)
    persons, again = int(found["persons"] or 0), int(found["again"] or 0)
    name = "persons twice"
    if not persons:
        return say(name, "not evaluated", "nobody has enough events to be compared with others")
    if again >= FEW and surely_above(again, persons, TOLERATED, error=SHARES["twice"] / 2):
        wrong = surely_above(again, persons, WRONG, error=SHARES["twice"] / 2)
        return say(
            name,
            "fail" if wrong else "pass with exceptions",
            f"{share(again, persons)} of the persons with events are there again under another number, with the same "
            "birth and the same events; join their records, or export one of them",
        )
    return say(name, "pass", "no two persons share birth and events" if not again else "hardly anybody is there twice")


def _again(sample: Sample, *, days: int) -> Expression:
    """Persons with events, and those who have the signature of a person counted before; of every so many birthdays."""
    events, persons = sample.events(), sample.persons()
    if days > 1:
        persons = persons.filter((seconds(persons.birth) / DAY_SECONDS).floor().cast("int64") % days == 0)
        events = events.semi_join(persons, "subject_id")
    at, kind = seconds(events.time), events.pick.cast("int64") + 1
    size = ibis.least(ibis.coalesce(events.value.abs(), 0.0), 1e9)
    marks = events.select(
        "subject_id",
        at=at,
        first=((at % _P) + 1) * kind,
        second=(at % _Q) * (at % _Q),
        third=(size * 100.0).round().cast("int64") % _P,
    )
    by = marks.group_by("subject_id").aggregate(
        n=marks.count(),
        opens=marks["at"].min(),
        closes=marks["at"].max(),
        one=marks["first"].sum().cast("float64"),
        two=marks["second"].sum().cast("float64"),
        three=marks["third"].sum().cast("float64"),
    )
    by = by.filter((by.n >= LEAST_EVENTS) & (by.closes > by.opens))
    born = persons.select(person="subject_id", birth="birth")
    known = by.inner_join(born, by.subject_id == born.person)
    alike = known.group_by(["birth", "n", "opens", "closes", "one", "two", "three"]).aggregate(of=known.count())
    return alike.aggregate(persons=alike.of.sum(), again=(alike.of - 1).sum())


def judge_events(sample: Sample) -> Requirement:
    """Judge how many numbers are exact repeats: same person, concept set, second, value and unit."""
    events = sample.events()
    numbers = events.filter(events.value.notnull())
    by = numbers.group_by(["subject_id", "pick", "time", "value", "unit"]).aggregate(of=numbers.count())
    found = sample.run(by.aggregate(numbers=by.of.sum(), again=(by.of - 1).sum())).row(0, named=True)
    total, again = int(found["numbers"] or 0), int(found["again"] or 0)
    name = "events twice"
    if again >= FEW and surely_above(again, total, REPEATED, error=SHARES["twice"] / 2):
        return say(
            name,
            "pass with exceptions",
            f"{share(again, total)} of the numbers repeat one of the same person, second and value; counts and means "
            "weigh them twice. Export each result once",
        )
    return say(name, "pass", "numbers do not repeat more than interfaces send them")

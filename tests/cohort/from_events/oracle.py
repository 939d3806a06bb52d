"""The same cohort the slow way: one person after the other, in plain Python, from the words of the study language."""

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from plain_source import DEATH_CODE, Records

from wardgate.hospital.ward.cohort.units import conversion
from wardgate.records.concepts import DEATH
from wardgate.records.entry import Criterion, Rule
from wardgate.records.feature import Feature
from wardgate.records.study import Study

Event = dict[str, Any]
EARLIEST = datetime(1, 1, 1)


@dataclass(kw_only=True)
class Expected:
    """What a cohort should be: rows by (subject, start), and entries and persons after each step."""

    rows: dict[tuple[int, datetime], dict[str, Any]] = field(default_factory=dict)
    entries: Counter[str] = field(default_factory=Counter)
    persons: dict[str, set[int]] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)

    def count(self, step: str, subject: int) -> None:
        """Count one entry."""
        self.entries[step] += 1
        self.persons.setdefault(step, set()).add(subject)


@dataclass(kw_only=True)
class Person:
    """One person's records."""

    subject: int
    study: Study
    events: list[Event]
    birth: datetime | None
    death: datetime | None
    periods: list[tuple[datetime, datetime]]

    def of(self, name: str, table: str | None) -> list[Event]:
        """The events of a concept set."""
        codes = {DEATH_CODE}
        if name != DEATH:
            codes = {f"{one.vocabulary}/{one.code}" for one in (self.study.concept_sets or {})[name].concepts}
        return [one for one in self.events if one["code"] in codes and table in (None, one["table"])]


def cohort(records: Records, study: Study) -> Expected:
    """Judge everybody."""
    expected = Expected()
    for row in records.persons:
        subject = row["subject_id"]
        person = Person(
            subject=subject,
            study=study,
            events=[one for one in records.events if one["subject_id"] == subject],
            birth=row["birth"],
            death=row["death"],
            periods=[(one["start"], one["end"]) for one in records.periods if one["subject_id"] == subject],
        )
        _judge(person, study, expected)
    return expected


def _judge(person: Person, study: Study, expected: Expected) -> None:
    asks = study.cohort.events
    assert asks is not None
    entries: dict[datetime, dict[str, Any]] = {}
    for event in [one for name in asks.concepts for one in person.of(name, asks.table)]:
        start, end = event["time"], event["end"]
        if start is None:
            continue
        entry = entries.setdefault(start, {"start": start, "end": None, "visit": None})
        if end is not None and end >= start and (entry["end"] is None or end > entry["end"]):
            entry["end"] = end
        if event["visit"] is not None and (entry["visit"] is None or event["visit"] < entry["visit"]):
            entry["visit"] = event["visit"]
    kept = []
    for place, start in enumerate(sorted(entries)):
        entry = entries[start]
        end = entry["end"]
        base = start if asks.index == "start" or end is None else end
        index = base + timedelta(hours=asks.index_hours)
        entry["index"], entry["age"] = index, _age(person.birth, index)
        expected.count("an entry event", person.subject)
        before = [other for other in entries if other < start]
        covering = [(low, high) for low, high in person.periods if low <= start <= high]
        days = timedelta(days=1)
        answers: list[tuple[str, bool]] = []
        if asks.first or study.cohort.entries == "first":
            answers.append(("first entry event of each person", place == 0))
        if asks.lasting:
            there = (end is None or end > index) and (person.death is None or person.death > index)
            answers.append(("alive and still there at the index date", there))
        if asks.age_years:
            low, high = asks.age_years
            answers.append((f"{low} to {high} years old", entry["age"] is not None and low <= entry["age"] <= high))
        if asks.prior_observation_days:
            need = start - asks.prior_observation_days * days
            name = f"observed for {asks.prior_observation_days} days before"
            answers.append((name, any(low <= need for low, _ in covering)))
        if asks.follow_up_days:
            need = start + asks.follow_up_days * days
            name = f"observed for {asks.follow_up_days} days after"
            answers.append((name, any(high >= need for _, high in covering)))
        if asks.washout_days:
            name = f"no other entry event in {asks.washout_days} days before"
            answers.append((name, all(other < start - asks.washout_days * days for other in before)))
        if asks.shortest_hours is not None:
            lasted = end is not None and end - start >= timedelta(hours=asks.shortest_hours)
            answers.append((f"lasting {asks.shortest_hours:g} hours or longer", lasted))
        answers += [(rule.name or "", _holds(person, entry, rule)) for rule in asks.rules]
        passed = True
        for name, answer in answers:
            passed = passed and answer
            if passed:
                expected.count(name, person.subject)
        if passed:
            kept.append(entry)
    if study.cohort.entries == "first-eligible" and kept:
        kept = kept[:1]
        expected.count("first entry that fulfils all of this", person.subject)
    for entry in kept:
        row = {feature.name: _feature(person, entry, feature) for feature in study.features}
        refused = [feature.name for feature in study.features if feature.missing == "refused"]
        if any(row[name] is None for name in refused):
            continue
        if refused:
            expected.count("everything known that may not be missing", person.subject)
        state, at, label = _outcome(person, entry, study)
        if label is None:
            continue
        expected.count("outcome known", person.subject)
        days_after = max((at - entry["index"]) / timedelta(microseconds=1) / 86_400_000_000, 0.0)
        expected.rows[(person.subject, entry["start"])] = row | {"label": label, "state": state, "days": days_after}


def _age(birth: datetime | None, index: datetime) -> int | None:
    if birth is None:
        return None
    return index.year - birth.year - ((index.month, index.day) < (birth.month, birth.day))


def _seen(events: list[Event], index: datetime) -> list[Event]:
    return [one for one in events if one["time"] is None or one["time"] <= index]


def _holds(person: Person, entry: dict[str, Any], rule: Rule) -> bool:
    if isinstance(rule, Criterion):
        n = _count(person, entry, rule)
        return n >= rule.at_least and (rule.at_most is None or n <= rule.at_most)
    n = sum(_holds(person, entry, part) for part in rule.rules)
    if rule.at_least is None and rule.at_most is None:
        return n == len(rule.rules)
    return n >= (rule.at_least or 0) and (rule.at_most is None or n <= rule.at_most)


def _count(person: Person, entry: dict[str, Any], rule: Criterion) -> int:
    events = person.of(rule.concepts, rule.table)
    timed = [one["time"] for one in events if one["time"] is not None]
    anchor = {"start": entry["start"], "end": entry["end"] or entry["start"], "index": entry["index"]}[rule.anchor]
    low, high = (anchor + timedelta(days=days) for days in rule.window_days)
    if rule.calendar_days:
        low, high = (day.replace(hour=0, minute=0, second=0, microsecond=0) for day in (low, high))
        high += timedelta(days=1, microseconds=-1)
    n = 0
    for one in _seen(events, entry["index"]):
        time = one["time"]
        if time is not None and not low <= time <= high:
            continue
        if rule.first and time is not None and time != min(timed):
            continue
        if rule.same_visit and (one["visit"] is None or one["visit"] != entry["visit"]):
            continue
        if rule.value is not None:
            meant = Feature(name=rule.concepts, type="number", unit=rule.unit, range=rule.value)
            if _steps(one, meant, rule.value, whole=False)[1] is None:
                continue
        n += 1
    return n


def _scale(bounds: tuple[float, float]) -> tuple[float, float]:
    largest = max(abs(bounds[0]), abs(bounds[1]))
    exponent = math.floor(math.log10(largest))
    return (10.0 ** (8 - exponent), 1.0) if exponent <= 8 else (1.0, 10.0 ** (exponent - 8))


def _steps(one: Event, feature: Feature, bounds: tuple[float, float], *, whole: bool) -> tuple[bool, int | None]:
    """Whether an event has a number in a known unit, and its usable value in whole steps."""
    value = one["numeric_value"]
    linear = conversion(one["unit"] or "", feature)
    if value is None or math.isnan(value) or abs(value) > 1e100 or linear is None:
        return False, None
    value = 0.0 if abs(value) < 1e-100 else value
    up, down = _scale(bounds)
    steps = [
        math.floor(number * up / down + 0.5)
        for number in (value * linear.factor + linear.offset, bounds[0] - 0.5 * whole, bounds[1] + 0.5 * whole)
    ]
    inside = steps[1] < steps[0] < steps[2] if whole else steps[1] <= steps[0] <= steps[2]
    return True, steps[0] if inside else None


def _feature(person: Person, entry: dict[str, Any], feature: Feature) -> float | str | None:
    index = entry["index"]
    low, high = (index + timedelta(hours=hours) for hours in feature.window_hours)
    if feature.built_in == "age":
        return _plausible(entry["age"], feature)
    if feature.categories is not None:
        best: tuple[datetime, int] | None = None
        for order, value in enumerate(feature.values or ()):
            for one in _inside(person.of(feature.categories[value], feature.table), low, high, index):
                key = (_second(one["time"]), -order)
                best = key if best is None else max(best, key)
        return None if best is None else (feature.values or ())[-best[1]]
    events = _inside(person.of(feature.concepts or "", feature.table), low, high, index)
    if feature.aggregation == "any":
        return float(bool(events))
    if feature.aggregation == "count":
        return _plausible(float(len(events)), feature)
    bounds = feature.value_range or feature.range or (0.0, 1.0)
    up, down = _scale(bounds)
    found = []
    for one in events:
        _, steps = _steps(one, feature, bounds, whole=feature.type == "integer")
        if steps is not None:
            found.append((one["time"], steps))
    if feature.aggregation == "slope":
        return _slope([(time, steps) for time, steps in found if time is not None], index, feature, up, down)
    if not found:
        return None
    values = [steps for _, steps in found]
    times = [_second(time) for time, _ in found]
    chosen = {
        "mean": lambda: float(sum(values)) / len(values),
        "min": lambda: float(min(values)),
        "max": lambda: float(max(values)),
        "last": lambda: float(max(s for t, s in zip(times, values, strict=True) if t == max(times))),
        "first": lambda: float(max(s for t, s in zip(times, values, strict=True) if t == min(times))),
    }[feature.aggregation]()
    return _plausible(chosen * down / up, feature)


def _inside(events: list[Event], low: datetime, high: datetime, index: datetime) -> list[Event]:
    return [one for one in _seen(events, index) if one["time"] is None or low <= one["time"] <= high]


def _second(time: datetime | None) -> datetime:
    return EARLIEST if time is None else time.replace(microsecond=0)


def _slope(
    points: list[tuple[datetime, int]], index: datetime, feature: Feature, up: float, down: float
) -> float | None:
    xs = [int((_second(time) - _second(index)).total_seconds()) for time, _ in points]
    ys = [steps for _, steps in points]
    n, x, y = len(xs), sum(xs), sum(ys)
    spread = n * sum(one * one for one in xs) - x * x
    if not spread:
        return None
    rise = n * sum(a * b for a, b in zip(xs, ys, strict=True)) - x * y
    return _plausible(float(rise) / float(spread) * 3600.0 * down / up, feature)


def _plausible(value: float | None, feature: Feature) -> float | None:
    if value is None or feature.range is None:
        return None
    if feature.type == "integer":
        value = math.copysign(math.floor(abs(value) + 0.5), value)
    return float(value) if feature.range[0] <= value <= feature.range[1] else None


def _outcome(person: Person, entry: dict[str, Any], study: Study) -> tuple[int, datetime, int | None]:
    """State (0 none, 1 event, 2 competing, 3 censored), when, and label."""
    asks, index = study.label.events, entry["index"]
    assert asks is not None
    low, until = (index + timedelta(days=days) for days in study.label.window_days)
    if asks.until == "entry-end" and entry["end"] is not None:
        until = min(until, entry["end"])
    if person.death is not None and person.death <= index:
        return 3, index, None
    own = [one["time"] for name in asks.concepts for one in person.of(name, asks.table)]
    own = [time for time in own if time is not None and max(low, index) < time <= until]
    other = [one["time"] for name in asks.competing for one in person.of(name, None)]
    other = [time for time in other if time is not None and index < time <= until]
    if own and (not other or min(own) <= min(other)):
        return 1, min(own), 1
    if other:
        return 2, min(other), 0 if asks.competing_counts == "negative" else None
    seen_to = max((last for first, last in person.periods if first <= index <= last), default=index)
    if person.death is not None:
        seen_to = min(seen_to, person.death)
    if seen_to < until:
        return 3, seen_to, None if asks.follow_up == "required" else 0
    return 0, until, 0

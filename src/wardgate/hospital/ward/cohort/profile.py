"""What one hospital's records hold, counted by the source's own engine, for the hospital's own eyes.

Every question is a sum over groups; what comes back is some thousands of numbers, however many events there are. Where
persons must be counted apart, a few sets are asked at a time, so that memory stays bounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import ibis
import polars as pl

from wardgate.hospital.ward.source.events import BIRTH, DEATH, OBSERVED, SEX, EventSource, Expression, Pick
from wardgate.measures.profile import (
    DIGITS,
    MOST_UNITS,
    CodeProfile,
    Count,
    Digest,
    Expected,
    Histogram,
    Months,
    Profile,
    Remark,
    SetProfile,
    UnitProfile,
    digest,
    histogram,
    quantiles,
)
from wardgate.records.study import Study

MOST_CODES = 24
"""So many of the most frequent codes are told."""

_TOGETHER = 12
_YEAR_SECONDS = 31_557_600
_OLDEST = 110
_LARGEST = 1e30

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    name: str
    meaning: str
    codes: int | None
    expected: tuple[Expected, ...] = ()


def profile(source: EventSource, *, study: Study | None = None) -> Profile:
    """Count what a source holds.

    Args:
        study: Its concept sets are profiled; without one, the most frequent codes that have numbers are.

    Raises:
        Invalid: the source cannot be read to its end, or changed while it was read.
    """
    every = source.every()
    events, different, codes = _codes(source, every)
    if study is not None and study.concept_sets:
        sets = tuple(_study_sets(source, study))
    else:
        numeric = [one.code for one in codes if one.numbers]
        sets = tuple(_code_sets(source, every, numeric))
    persons, ages = _persons(source, every)
    observed = _observed(source)
    found = Profile(
        source=source.name,
        kind=source.kind,
        study="" if study is None else study.title,
        persons=persons["persons"],
        born=persons["born"],
        dead=persons["dead"],
        timeless=persons["timeless"],
        ages=ages,
        sexes=tuple(_sexes(source, every, persons["persons"])),
        observed=observed.total,
        observed_years=quantiles(observed),
        events=events,
        different=different,
        months=tuple(_months(source, every)),
        codes=codes,
        sets=sets,
        remarks=tuple(
            Remark(what=one.what, count=one.count, of=one.of, where=one.where, lost=one.harm == "lost")
            for one in source.noticed()
        ),
    )
    source.check_unchanged()
    return found


def _persons(source: EventSource, every: Expression) -> tuple[dict[str, int], Histogram]:
    """Persons in all, and their ages at the first event."""
    timed = every.filter(every.time.notnull() & every.code.notin([BIRTH, DEATH, OBSERVED]))
    firsts = timed.group_by("subject_id").aggregate(first=timed.time.min()).rename(who="subject_id")
    persons = source.persons()
    joined = persons.left_join(firsts, persons.subject_id == firsts.who).select("birth", "death", "first")
    first = joined["first"]
    told = joined.select(
        age=((first.epoch_seconds() - joined.birth.epoch_seconds()) / float(_YEAR_SECONDS)).floor().cast("int64"),
        born=joined.birth.notnull(),
        dead=joined.death.notnull(),
        timed=first.notnull(),
    )
    groups = _rows(source, told.group_by(["age", "born", "dead", "timed"]).aggregate(n=told.count()))
    counts = {
        "persons": sum(int(one["n"]) for one in groups),
        "born": sum(int(one["n"]) for one in groups if one["born"]),
        "dead": sum(int(one["n"]) for one in groups if one["dead"]),
        "timeless": sum(int(one["n"]) for one in groups if not one["timed"]),
    }
    ages = digest((float(one["age"]), int(one["n"])) for one in groups if one["age"] is not None)
    return counts, histogram(ages, low=0.0, high=_OLDEST - 1.0)


def _sexes(source: EventSource, every: Expression, persons: int) -> Iterator[Count]:
    """Persons by code of sex; the few who have several count once, as such."""
    told = every.filter(every.code.startswith(f"{SEX}/"))
    each = told.group_by("subject_id").aggregate(low=told.code.min(), high=told.code.max())
    each = each.select(code=ibis.ifelse(each.low == each.high, each.low, "several"))
    groups = _rows(source, each.group_by("code").aggregate(n=each.count()))
    for one in sorted(groups, key=lambda one: (-int(one["n"]), str(one["code"]))):
        yield Count(name=str(one["code"]), count=int(one["n"]))
    without = persons - sum(int(one["n"]) for one in groups)
    if without:
        yield Count(name="", count=without)


def _observed(source: EventSource) -> Digest:
    """The years that each person is observed, to a hundredth."""
    periods = source.periods()
    seconds = (periods.end.epoch_seconds() - periods.start.epoch_seconds()).sum()
    each = periods.group_by("subject_id").aggregate(seconds=seconds)
    each = each.mutate(hundredths=_rounded(each.seconds / (_YEAR_SECONDS / 100)))
    groups = _rows(source, each.group_by("hundredths").aggregate(n=lambda t: t.count()))
    return digest((int(one["hundredths"]) / 100, int(one["n"])) for one in groups)


def _months(source: EventSource, every: Expression) -> Iterator[Months]:
    timed = every.filter(every.time.notnull() & every.code.notin([BIRTH, OBSERVED]))
    timed = timed.select("table", month=timed.time.year().cast("int64") * 12 + timed.time.month().cast("int64") - 1)
    counts: dict[str, dict[int, int]] = {}
    for one in _rows(source, timed.group_by(["table", "month"]).aggregate(n=lambda t: t.count())):
        counts.setdefault(one["table"] or "", {})[int(one["month"])] = int(one["n"])
    for table in sorted(counts, key=lambda name: (-sum(counts[name].values()), name)):
        yield Months(table=table, counts=dict(sorted(counts[table].items())))


def _codes(source: EventSource, every: Expression) -> tuple[int, int, tuple[CodeProfile, ...]]:
    """All events, how many codes they have, and the most frequent of these; observed times are no finding."""
    counted = every.group_by("code").aggregate(n=every.count(), numbers=every.numeric_value.count())
    frames = [batch.select("code", "n", "numbers") for batch in source.engine.batches(counted)]
    counts = (
        pl.concat(frames) if frames else pl.DataFrame(schema={"code": pl.String, "n": pl.Int64, "numbers": pl.Int64})
    )
    events = int(counts["n"].sum())
    known = counts.filter(~pl.col("code").is_in([BIRTH, OBSERVED]))
    most = known.sort("n", "code", descending=[True, False]).head(MOST_CODES)
    persons: dict[str, int] = {}
    for some in _some(most["code"].to_list()):
        chosen = every.filter(every.code.isin(some))
        for one in _rows(source, chosen.group_by("code").aggregate(n=chosen.subject_id.nunique())):
            persons[str(one["code"])] = int(one["n"])
    profiles = tuple(
        CodeProfile(code=code, events=n, persons=persons[code], numbers=numbers)
        for code, n, numbers in most.iter_rows()
    )
    return events, known.height, profiles


def _study_sets(source: EventSource, study: Study) -> Iterator[SetProfile]:
    """The concept sets of a study, in its order, each beside what the features expect."""
    picks = [Pick(name=name, concepts=one.concepts) for name, one in (study.concept_sets or {}).items()]
    codes = source.codes(picks)
    for some in _some(picks):
        sets = [
            _Set(
                name=pick.name,
                meaning=(study.concept_sets or {})[pick.name].meaning,
                codes=codes[pick.name],
                expected=tuple(_expected(study, pick.name)),
            )
            for pick in some
        ]
        yield from _sets(source, source.picked(some), sets)


def _code_sets(source: EventSource, every: Expression, codes: Sequence[str]) -> Iterator[SetProfile]:
    for some in _some(codes):
        chosen = every.filter(every.code.isin(some))
        place = ibis.cases(*((chosen.code == code, at) for at, code in enumerate(some)))
        events = chosen.select("subject_id", "time", "unit", pick=place, value=chosen.numeric_value)
        yield from _sets(source, events, [_Set(name=code, meaning="", codes=None) for code in some])


def _expected(study: Study, name: str) -> Iterator[Expected]:
    for feature in study.features:
        unit, limits = feature.value_unit or feature.unit, feature.value_range or feature.range
        numeric = feature.type in ("number", "integer") and feature.aggregation != "count"
        if feature.concepts == name and numeric and unit is not None and limits is not None:
            yield Expected(feature=feature.name, unit=unit, low=limits[0], high=limits[1])


def _sets(source: EventSource, events: Expression, sets: Sequence[_Set]) -> Iterator[SetProfile]:
    """Profile the events of some sets; `pick` is the place in `sets`."""
    lone = events.value.notnull() & events.unit.isnull()
    asked = events.select("pick", "value", year=events.time.year(), lone=ibis.ifelse(lone, 1, 0))
    counted = asked.group_by(["pick", "year"]).aggregate(
        n=asked.count(), numbers=asked.value.count(), lone=asked.lone.sum()
    )
    years = _by_pick(source, counted)
    persons = _by_pick(source, events.group_by("pick").aggregate(n=events.subject_id.nunique()))
    values = _by_pick(source, _grouped(events))
    for at, one in enumerate(sets):
        each = years.get(at, [])
        units = _units(values.get(at, []))
        yield SetProfile(
            name=one.name,
            meaning=one.meaning,
            codes=one.codes,
            events=sum(int(row["n"]) for row in each),
            persons=sum(int(row["n"]) for row in persons.get(at, [])),
            numbers=sum(int(row["numbers"]) for row in each),
            without_unit=sum(int(row["lone"]) for row in each),
            units=tuple(units[:MOST_UNITS]),
            other_units=len(units[MOST_UNITS:]),
            other_values=sum(unit.values for unit in units[MOST_UNITS:]),
            by_year=tuple(sorted((int(row["year"]), int(row["n"])) for row in each if row["year"] is not None)),
            expected=one.expected,
        )


def _grouped(events: Expression) -> Expression:
    """Values by pick and unit, to three significant digits: `mantissa` times ten to the `power`."""
    finite = events.filter(events.value.notnull() & (events.value.abs() <= _LARGEST))
    tiny = finite.value.abs() < 1 / _LARGEST
    finite = finite.select("pick", "unit", value=ibis.ifelse(tiny, 0.0, finite.value))
    power = finite.value.abs().nullif(0.0).log10().floor().fill_null(0.0) - (DIGITS - 1)
    finite = finite.mutate(power=power.cast("int64"))
    finite = finite.mutate(mantissa=_rounded(finite.value / (ibis.literal(10.0) ** finite.power)))
    return finite.group_by(["pick", "unit", "power", "mantissa"]).aggregate(n=lambda t: t.count())


def _rounded(number: Expression) -> Expression:
    """A whole number, half up in every engine: they disagree on `round`."""
    return (number + 0.5).floor().cast("int64")


def _units(rows: Sequence[Mapping[str, Any]]) -> list[UnitProfile]:
    """One profile for each unit, most values first."""
    grouped: dict[str | None, list[tuple[float, int]]] = {}
    for row in rows:
        value = float(f"{int(row['mantissa'])}e{int(row['power'])}")
        grouped.setdefault(row["unit"], []).append((value, int(row["n"])))
    found = []
    for unit, pairs in grouped.items():
        one = digest(pairs)
        found.append(UnitProfile(unit=unit, values=one.total, quantiles=quantiles(one), histogram=histogram(one)))
    return sorted(found, key=lambda one: (-one.values, one.unit or ""))


def _by_pick(source: EventSource, expression: Expression) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in _rows(source, expression):
        found.setdefault(int(row["pick"]), []).append(row)
    return found


def _rows(source: EventSource, expression: Expression) -> list[dict[str, Any]]:
    return [row for batch in source.engine.batches(expression) for row in batch.to_dicts()]


def _some(whole: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(whole), _TOGETHER):
        yield whole[at : at + _TOGETHER]

"""Simulated hospital records as OMOP CDM 5.4 tables, with known truth: see `simulate/records/course.py`.

Records have the blemishes that honest ones have, at small rates: numbers without a unit, results that arrive after the
patient has left, slipped decimal points. Nothing else is wrong with them; `simulate/records/plant.py` adds what is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from wardgate.simulate.records.course import DAY, HOUR, Course, Floats, Ints, Site, course
from wardgate.simulate.records.forms import frame, moments, texts
from wardgate.simulate.records.vocabulary import (
    AWAKE,
    CHRONIC,
    CONDITIONS,
    DRUGS,
    EHR,
    EMERGENCY,
    FEMALE,
    INPATIENT,
    INTENSIVE,
    MALE,
    MEASURES,
    OUTPATIENT,
    PROCEDURES,
    RESPONSIVENESS,
    SMOKING,
    TOBACCO,
    UNITS,
    Coded,
    vocabulary,
)

Tables = dict[str, pl.DataFrame]

NO_UNIT, LATE, SLIPPED = 0.003, 0.002, 0.0005
"""Shares of measurements without a unit, reported up to six hours after the stay, and ten times too large."""

IDS_PER_PERSON = 10_000
"""Row ids of a person's records begin at the person's number times this, so that chunks of persons never share one."""

_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Events:
    """Events of one kind: person's place, visit (0 for none), time, and which one of the vocabulary."""

    person: Ints
    visit: Ints
    time: Ints
    which: Ints


def records(
    persons: int,
    rng: np.random.Generator,
    *,
    site: Site | None = None,
    start_year: int = 2016,
    years: int = 6,
    first_person: int = 1,
) -> Tables:
    """Draw the records of one hospital.

    Args:
        persons: How many.
        site: How the hospital differs from others.
        start_year, years: The calendar years that its data cover.
        first_person: Number of the first person, for hospitals drawn in chunks.

    Returns:
        OMOP tables by name, with all columns of CDM 5.4; no device is ever used. The same rng state gives
        the same tables.
    """
    site = site or Site()
    return written(
        course(persons, rng, site=site, start_year=start_year, years=years),
        rng,
        site=site,
        ends=date(start_year + years, 1, 1),
        first_person=first_person,
    )


def written(truth: Course, rng: np.random.Generator, *, site: Site, ends: date, first_person: int = 1) -> Tables:
    """Write down what happened, as a hospital does. See `records`."""
    people, stays = truth.people, truth.stays
    ids = first_person + np.arange(len(people.male), dtype=np.int64)
    base = first_person * IDS_PER_PERSON
    emergency = np.flatnonzero(rng.random(len(stays.person)) < 0.6)
    arrival = stays.start[emergency] - rng.integers(40, 360, len(emergency)) * 60
    visits = {
        "person": np.concatenate([stays.person, truth.clinic_person, stays.person[emergency]]),
        "start": np.concatenate([stays.start, truth.clinic_start, arrival]),
        "end": np.concatenate([stays.end, truth.clinic_start + 1_200, stays.start[emergency]]),
        "concept": np.repeat(
            [INPATIENT, OUTPATIENT, EMERGENCY], [len(stays.person), len(truth.clinic_person), len(emergency)]
        ),
    }
    number = base + np.arange(len(visits["person"]), dtype=np.int64)
    stay_visit, clinic_visit = number[: len(stays.person)], number[len(stays.person) :][: len(truth.clinic_person)]
    deaths = np.flatnonzero(people.death)
    tables = {
        "person": frame(
            "person",
            person_id=ids,
            gender_concept_id=np.where(people.male, MALE, FEMALE),
            **_birth(people.birth),
            race_concept_id=np.zeros(len(ids), dtype=np.int64),
            ethnicity_concept_id=np.zeros(len(ids), dtype=np.int64),
            person_source_value=pl.Series(ids).cast(pl.String),
            gender_source_value=texts(["F", "M"], people.male.astype(np.int64)),
        ),
        "observation_period": frame(
            "observation_period",
            observation_period_id=ids,
            person_id=ids,
            **_dates("observation_period_start", people.observed_from, time=False),
            **_dates("observation_period_end", people.observed_until, time=False),
            period_type_concept_id=EHR,
        ),
        "visit_occurrence": frame(
            "visit_occurrence",
            visit_occurrence_id=number,
            person_id=ids[visits["person"]],
            visit_concept_id=visits["concept"],
            **_dates("visit_start", visits["start"]),
            **_dates("visit_end", visits["end"]),
            visit_type_concept_id=EHR,
        ),
        "visit_detail": _intensive_care(truth, ids, stay_visit, base),
        "condition_occurrence": _conditions(truth, rng, ids, stay_visit, clinic_visit, base),
        "drug_exposure": _drugs(truth, rng, ids, stay_visit, clinic_visit, base),
        "procedure_occurrence": _procedures(truth, rng, ids, stay_visit, base),
        "device_exposure": frame("device_exposure", device_exposure_id=_NONE),
        "measurement": _measurements(truth, rng, ids, stay_visit, clinic_visit, base, site),
        "observation": _observations(truth, rng, ids, stay_visit, clinic_visit, base, site),
        "death": frame(
            "death",
            person_id=ids[deaths],
            **_dates("death", people.death[deaths]),
            death_type_concept_id=EHR,
        ),
        "cdm_source": frame(
            "cdm_source",
            cdm_source_name=[f"Simulated hospital {site.id}"],
            cdm_source_abbreviation=[site.id],
            cdm_holder=["Nobody: simulated"],
            source_description=[site.note],
            source_release_date=pl.Series([ends]),
            cdm_release_date=pl.Series([ends]),
            cdm_version=["5.4"],
            cdm_version_concept_id=756_265,
            vocabulary_version=["Wardgate simulation"],
        ),
    }
    return tables | vocabulary()


def events(tables: Mapping[str, pl.DataFrame]) -> int:
    """Return how many clinical events the tables hold: rows of all that happens to persons."""
    return sum(tables[name].height for name in CLINICAL if name in tables)


CLINICAL = (
    "visit_occurrence",
    "visit_detail",
    "condition_occurrence",
    "drug_exposure",
    "procedure_occurrence",
    "measurement",
    "observation",
    "death",
)
"""Tables whose rows are events."""


def _dates(name: str, seconds: Ints, *, time: bool = True) -> dict[str, pl.Series]:
    """A date column and its time: `condition_start` gives `condition_start_date` and `condition_start_datetime`."""
    moment = moments(seconds)
    both = {f"{name}_date": moment.cast(pl.Date)}
    return both | {f"{name}_datetime": moment} if time else both


def _birth(birth: Ints) -> dict[str, pl.Series]:
    moment = moments(birth)
    return {
        "year_of_birth": moment.dt.year().cast(pl.Int64),
        "month_of_birth": moment.dt.month().cast(pl.Int64),
        "day_of_birth": moment.dt.day().cast(pl.Int64),
        "birth_datetime": moment,
    }


def _intensive_care(truth: Course, ids: Ints, stay_visit: Ints, base: int) -> pl.DataFrame:
    stays = truth.stays
    at = np.flatnonzero(stays.intensive)
    start = stays.start[at]
    return frame(
        "visit_detail",
        visit_detail_id=base + np.arange(len(at)),
        person_id=ids[stays.person[at]],
        visit_detail_concept_id=INTENSIVE,
        **_dates("visit_detail_start", start),
        **_dates("visit_detail_end", np.minimum(stays.end[at], start + 3 * DAY)),
        visit_detail_type_concept_id=EHR,
        visit_occurrence_id=stay_visit[at],
    )


def _joined(parts: Sequence[_Events]) -> _Events:
    return _Events(
        **{
            name: np.concatenate([_NONE, *(getattr(part, name) for part in parts)])
            for name in ("person", "visit", "time", "which")
        }
    )


def _same(values: Ints, which: int) -> Ints:
    return np.full(len(values), which, dtype=np.int64)


def _conditions(
    truth: Course, rng: np.random.Generator, ids: Ints, stay_visit: Ints, clinic_visit: Ints, base: int
) -> pl.DataFrame:
    """Chronic diseases are coded at some visits, the reason of a stay at its start."""
    stays, parts = truth.stays, []
    for which, one in enumerate(CHRONIC):
        has = truth.people.diseases[one.name]
        for person, visit, start, often in (
            (stays.person, stay_visit, stays.start, 0.75),
            (truth.clinic_person, clinic_visit, truth.clinic_start, 0.35),
        ):
            at = np.flatnonzero(has[person] & (rng.random(len(person)) < often))
            parts.append(_Events(person=person[at], visit=visit[at], time=start[at], which=_same(at, which)))
    acute = np.array([9, 10, 11, 3, 6])[stays.reason]
    at = np.flatnonzero(rng.random(len(stays.person)) < 0.95)
    time = np.minimum(stays.start[at] + rng.integers(30, 600, len(at)) * 60, stays.end[at])
    parts.append(_Events(person=stays.person[at], visit=stay_visit[at], time=time, which=acute[at]))
    all_of = _joined(parts)
    return frame(
        "condition_occurrence",
        condition_occurrence_id=base + np.arange(len(all_of.which)),
        person_id=ids[all_of.person],
        condition_concept_id=_ids(CONDITIONS)[all_of.which],
        **_dates("condition_start", all_of.time),
        condition_type_concept_id=EHR,
        visit_occurrence_id=all_of.visit,
        condition_source_value=texts([one.source_code for one in CONDITIONS], all_of.which),
        condition_source_concept_id=np.array([one.source_id for one in CONDITIONS])[all_of.which],
    )


def _ids(coded: Sequence[Coded]) -> Ints:
    return np.array([one.concept_id for one in coded], dtype=np.int64)


def _drugs(
    truth: Course, rng: np.random.Generator, ids: Ints, stay_visit: Ints, clinic_visit: Ints, base: int
) -> pl.DataFrame:
    """What chronic diseases need is prescribed at visits; in stays, drugs are given every day."""
    stays, sick = truth.stays, truth.people.diseases
    diabetes, infected = sick["type_2_diabetes"], stays.reason <= 1
    wants = {0: diabetes, 1: sick["type_1_diabetes"], 2: sick["heart_failure"], 3: sick["hypertension"]}
    wants |= {4: sick["fibrillation"], 5: diabetes | sick["hypertension"], 6: sick["heart_failure"]}
    chances = {which: 0.6 * has[stays.person] for which, has in wants.items()}
    chances |= {7: np.full(len(stays.person), 0.5), 8: 0.5 * infected, 9: 0.25 * infected, 10: 0.2 * infected}
    chances[11] = 0.5 * stays.intensive
    parts = []
    for which, chance in chances.items():
        at = np.flatnonzero(rng.random(len(chance)) < chance)
        days = 1 + (stays.end[at] - stays.start[at]) // DAY
        at, day = np.repeat(at, days), _counting(days)
        time = stays.start[at] + 2 * HOUR + day * DAY
        inside = time <= stays.end[at]
        at, time = at[inside], time[inside]
        parts.append(_Events(person=stays.person[at], visit=stay_visit[at], time=time, which=_same(at, which)))
    for which, has in wants.items():
        at = np.flatnonzero(has[truth.clinic_person] & (rng.random(len(truth.clinic_person)) < 0.4))
        person, time = truth.clinic_person[at], truth.clinic_start[at] + 900
        parts.append(_Events(person=person, visit=clinic_visit[at], time=time, which=_same(at, which)))
    all_of = _joined(parts)
    return frame(
        "drug_exposure",
        drug_exposure_id=base + np.arange(len(all_of.which)),
        person_id=ids[all_of.person],
        drug_concept_id=np.array([drug[2] for drug in DRUGS])[all_of.which],
        **_dates("drug_exposure_start", all_of.time),
        **_dates("drug_exposure_end", all_of.time),
        drug_type_concept_id=EHR,
        visit_occurrence_id=all_of.visit,
        drug_source_value=texts([drug[0] for drug in DRUGS], all_of.which),
    )


def _counting(counts: Ints) -> Ints:
    """0, 1, ... for each count: (2, 3) gives 0 1 0 1 2."""
    return np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)


def _procedures(truth: Course, rng: np.random.Generator, ids: Ints, stay_visit: Ints, base: int) -> pl.DataFrame:
    stays, parts = truth.stays, []
    kidneys = truth.people.diseases["kidney_disease"][stays.person]
    for which, chance in enumerate((0.25 + 0.4 * (stays.reason == 0), 0.35 * stays.intensive, 0.06 * kidneys)):
        at = np.flatnonzero(rng.random(len(stays.person)) < chance)
        time = np.minimum(stays.start[at] + rng.integers(30, 1_200, len(at)) * 60, stays.end[at])
        parts.append(_Events(person=stays.person[at], visit=stay_visit[at], time=time, which=_same(at, which)))
    all_of = _joined(parts)
    return frame(
        "procedure_occurrence",
        procedure_occurrence_id=base + np.arange(len(all_of.which)),
        person_id=ids[all_of.person],
        procedure_concept_id=_ids(PROCEDURES)[all_of.which],
        **_dates("procedure", all_of.time),
        procedure_type_concept_id=EHR,
        visit_occurrence_id=all_of.visit,
        procedure_source_value=texts([one.name for one in PROCEDURES], all_of.which),
    )


def _rounds(truth: Course, hours: Sequence[int], rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Rounds of a ward, as (stay, time): one soon after admission, then at fixed hours give or take forty minutes."""
    stays = truth.stays
    midnight = stays.start // DAY * DAY
    slots = (stays.end // DAY * DAY - midnight) // DAY * len(hours) + len(hours)
    stay, slot = np.repeat(np.arange(len(slots)), slots), _counting(slots)
    hour = np.array(hours, dtype=np.int64)[slot % len(hours)]
    time = midnight[stay] + slot // len(hours) * DAY + hour * HOUR + rng.integers(-40, 41, len(stay)) * 60
    inside = (time > stays.start[stay] + 3 * HOUR) & (time < stays.end[stay])
    soon = np.minimum(stays.start + rng.integers(10, 170, len(slots)) * 60, stays.end)
    return np.concatenate([np.arange(len(slots)), stay[inside]]), np.concatenate([soon, time[inside]])


def _measurements(
    truth: Course, rng: np.random.Generator, ids: Ints, stay_visit: Ints, clinic_visit: Ints, base: int, site: Site
) -> pl.DataFrame:
    stays = truth.stays
    rounds = {True: _rounds(truth, site.vital_hours, rng), False: _rounds(truth, site.laboratory_hours, rng)}
    parts: list[_Events] = []
    values: list[Floats] = []
    for which, measure in enumerate(MEASURES):
        stay, time = rounds[measure.vital]
        at = rng.random(len(stay)) < 1.0 - np.minimum(1.0, (1.0 - measure.often) * site.missing)
        stay, time = stay[at], time[at]
        clinic = np.flatnonzero(rng.random(len(clinic_visit)) < measure.clinic)
        days = (time - stays.start[stay]) / DAY
        first, usual = stays.first_day[measure.name][stay], np.full(len(clinic), measure.centre)
        if measure.log:
            first = measure.centre * (first / measure.centre) ** np.exp(-0.04 * days)
            value = np.concatenate([first, usual]) * np.exp(rng.normal(0.0, measure.within, len(stay) + len(clinic)))
        else:
            first = measure.centre + (first - measure.centre) * np.exp(-0.04 * days)
            value = np.concatenate([first, usual]) + rng.normal(0.0, measure.within, len(stay) + len(clinic))
        value, decimals = np.clip(value, measure.low, measure.high), measure.decimals
        if measure.other is not None and measure.name in site.others:
            value, decimals = value * measure.other.factor + measure.other.offset, measure.other.decimals
        values.append(value.round(decimals))
        parts.append(
            _Events(
                person=np.concatenate([stays.person[stay], truth.clinic_person[clinic]]),
                visit=np.concatenate([stay_visit[stay], clinic_visit[clinic]]),
                time=np.concatenate([time, truth.clinic_start[clinic] + 600]),
                which=np.full(len(value), which, dtype=np.int64),
            )
        )
    all_of, value = _joined(parts), np.concatenate([np.empty(0), *values])
    count = len(value)
    late = np.flatnonzero((rng.random(count) < LATE) & (truth.people.death[all_of.person] == 0))
    all_of.time[late] += _to_the_end(truth, all_of, stay_visit, late) + rng.integers(1, 360, len(late)) * 60
    value[rng.random(count) < SLIPPED] *= 10.0
    other = [one.other if one.name in site.others else None for one in MEASURES]
    names = [one.unit if two is None else two.unit for one, two in zip(MEASURES, other, strict=True)]
    concepts = [one.concept_id if two is None else two.concept_id for one, two in zip(MEASURES, other, strict=True)]
    bare = rng.random(count) < NO_UNIT
    unit = np.where(bare, len(names), all_of.which)
    return frame(
        "measurement",
        measurement_id=base + np.arange(count),
        person_id=ids[all_of.person],
        measurement_concept_id=np.array(concepts)[all_of.which],
        **_dates("measurement", all_of.time),
        measurement_type_concept_id=EHR,
        value_as_number=value,
        unit_concept_id=np.array([UNITS[name] for name in names] + [0])[unit],
        visit_occurrence_id=all_of.visit,
        measurement_source_value=texts([one.name for one in MEASURES], all_of.which),
        unit_source_value=texts([*names, None], unit),
    )


def _to_the_end(truth: Course, all_of: _Events, stay_visit: Ints, late: Ints) -> Ints:
    """Seconds from some events to the end of their stay; none for events of clinic visits."""
    if not len(stay_visit):
        return np.zeros(len(late), dtype=np.int64)
    stay = all_of.visit[late] - stay_visit[0]
    inside = stay < len(stay_visit)
    end = truth.stays.end[np.where(inside, stay, 0)]
    return np.where(inside, end - all_of.time[late], 0)


def _observations(
    truth: Course, rng: np.random.Generator, ids: Ints, stay_visit: Ints, clinic_visit: Ints, base: int, site: Site
) -> pl.DataFrame:
    """How awake patients are, soon after admission; whether they smoke, at some clinic visits."""
    stays = truth.stays
    score = stays.severity + rng.logistic(0.0, 0.8, len(stays.person))
    awake = np.searchsorted([1.9, 3.3, 4.3], score)
    at = np.flatnonzero(rng.random(len(awake)) < 1.0 - 0.05 * site.missing)
    time = np.minimum(stays.start[at] + rng.integers(10, 170, len(at)) * 60, stays.end[at])
    smokes = rng.choice(3, len(ids), p=[0.5, 0.3, 0.2])
    asked = np.flatnonzero(rng.random(len(clinic_visit)) < 0.2)
    all_of = _joined(
        [
            _Events(person=stays.person[at], visit=stay_visit[at], time=time, which=awake[at]),
            _Events(
                person=truth.clinic_person[asked],
                visit=clinic_visit[asked],
                time=truth.clinic_start[asked] + 300,
                which=len(AWAKE) + smokes[truth.clinic_person[asked]],
            ),
        ]
    )
    about = np.where(all_of.which < len(AWAKE), RESPONSIVENESS.concept_id, TOBACCO.concept_id)
    answers = (*AWAKE, *SMOKING)
    return frame(
        "observation",
        observation_id=base + np.arange(len(all_of.which)),
        person_id=ids[all_of.person],
        observation_concept_id=about,
        **_dates("observation", all_of.time),
        observation_type_concept_id=EHR,
        value_as_string=texts([one.meaning for one in answers], all_of.which),
        value_as_concept_id=_ids(answers)[all_of.which],
        visit_occurrence_id=all_of.visit,
        observation_source_value=texts(
            [RESPONSIVENESS.name, TOBACCO.name], (all_of.which >= len(AWAKE)).astype(np.int64)
        ),
    )

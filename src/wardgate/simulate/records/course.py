"""The truth behind the simulated records: who persons are, which stays they have, and who dies of what.

All arrays are plain columns; a stay names its person by the person's place. Times are seconds since 1970, local.
"""

from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from wardgate.simulate.records.vocabulary import CHRONIC, MEASURES, Measure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HOUR, DAY = 3_600, 86_400
APART_DAYS = 60
"""Two stays of a person begin at least so far apart, so that no stay's thirty days hold another stay."""

CENTRES = {
    "age": 65.0,
    "heart_rate": 86.0,
    "systolic": 131.0,
    "respiratory_rate": 18.5,
    "saturation": 95.6,
    "creatinine": 1.05,
    "lactate": 1.5,
}
"""The patient, a woman without chronic diseases, at whom a site's intercept is the log odds of death."""

COEFFICIENTS = {
    "age": 0.04,
    "sex=male": 0.15,
    "heart_rate": 0.008,
    "systolic": -0.012,
    "respiratory_rate": 0.06,
    "saturation": -0.06,
    "creatinine": 0.35,
    "lactate": 0.35,
    "heart_failure": 0.4,
    "cancer": 0.7,
}
"""Log odds of death in the 30 days after the first 24 hours of a stay, per unit of the vocabulary, same everywhere."""

_HOURS = np.array([2, 1, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 9, 9, 8, 8, 7, 6, 6, 5, 5, 4, 3, 3], dtype=np.float64)
"""How many stays begin at each hour of the day, in proportion."""

_PREVALENCE = {
    "type_2_diabetes": (-1.7, 0.5),
    "type_1_diabetes": (-4.6, -0.2),
    "hypertension": (-0.6, 0.8),
    "heart_failure": (-2.4, 0.9),
    "kidney_disease": (-2.2, 0.8),
    "fibrillation": (-2.3, 0.9),
    "copd": (-2.3, 0.4),
    "breast_cancer": (-3.9, 0.3),
    "colon_cancer": (-4.0, 0.5),
}
"""Log odds of each chronic disease, and their change per 16 years of age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """How one simulated hospital differs from the others, and how much it writes down.

    Attributes:
        intercept: Log odds of death of the patient at `CENTRES`.
        older, sicker: Shifts of the case mix, in standard deviations.
        missing: How much is not measured; 1 is the usual share.
        others: Measures that this hospital reports in the vocabulary's other unit.
        stays_per_year, clinics_per_year: Rates of a person of mean frailty.
        vital_hours, laboratory_hours: Hours of the day at which rounds are made.
    """

    id: str = "simulated"
    note: str = "Simulated; no patient behind it"
    intercept: float = -3.0
    older: float = 0.0
    sicker: float = 0.0
    missing: float = 1.0
    others: tuple[str, ...] = ()
    stays_per_year: float = 0.24
    clinics_per_year: float = 1.5
    vital_hours: tuple[int, ...] = (14,)
    laboratory_hours: tuple[int, ...] = (6,)


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Persons, one entry each. `observed_until` is the end of the data, of the person's stay in it, or of life."""

    male: Bools
    birth: Ints
    observed_from: Ints
    observed_until: Ints
    death: Ints
    """Time of a death that the hospital knows of; 0 for others."""
    diseases: dict[str, Bools]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stays:
    """Inpatient stays in the order of persons and time.

    Attributes:
        person: Place of the person.
        severity: Standard normal at an average hospital.
        first_day: True values of the first day by measure, in the vocabulary's units.
        chance: True probability of death in the 30 days after the first 24 hours.
        died: Whether that happens; the records may end before.
    """

    person: Ints
    start: Ints
    end: Ints
    severity: Floats
    first_day: dict[str, Floats]
    chance: Floats
    died: Bools
    intensive: Bools
    reason: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What truly happened at one hospital."""

    people: People
    stays: Stays
    clinic_person: Ints = field(repr=False)
    clinic_start: Ints = field(repr=False)


def course(persons: int, rng: np.random.Generator, *, site: Site, start_year: int, years: int) -> Course:
    """Draw what happens to persons over some calendar years, without seasons and without trend.

    Truth: a stay of more than a day is followed by death within the 30 days after its first 24 hours with log odds
    `site.intercept` plus `COEFFICIENTS` times the true values of its first day minus `CENTRES`.
    """
    opens, closes = (int((date(year, 1, 1) - date(1970, 1, 1)).days) * DAY for year in (start_year, start_year + years))
    old = np.clip(rng.normal(site.older, 1.0, persons), -2.9, 2.3)
    age = 65.0 + 16.0 * old
    middle = (opens + closes) // 2
    birth = _whole((middle - age * 365.25 * DAY), DAY)
    male = rng.random(persons) < 0.49
    diseases = {
        name: rng.random(persons) < _chance(start + slope * old) for name, (start, slope) in _PREVALENCE.items()
    }
    diseases["breast_cancer"] &= ~male
    diseases["type_1_diabetes"] &= ~diseases["type_2_diabetes"]
    since = _whole(opens + np.maximum(0.0, rng.uniform(-0.6, 0.5, persons)) * (closes - opens), DAY)
    leaves = rng.random(persons) < 0.1
    until = np.where(leaves, since + _whole(rng.uniform(0.2, 1.0, persons) * (closes - since), DAY), closes) - 1
    stays = _stays(rng, site=site, old=old, male=male, birth=birth, diseases=diseases, since=since, until=until)
    stays, death, until = _ended(stays, until, rng)
    clinic_person, clinic_start = _clinics(stays, rng, site=site, old=old, since=since, until=until)
    return Course(
        people=People(
            male=male, birth=birth, observed_from=since, observed_until=until, death=death, diseases=diseases
        ),
        stays=stays,
        clinic_person=clinic_person,
        clinic_start=clinic_start,
    )


def cancer(diseases: dict[str, Bools]) -> Bools:
    """Return who has any cancer."""
    return diseases["breast_cancer"] | diseases["colon_cancer"]


def _whole(values: Floats, unit: int) -> Ints:
    return (np.floor(values / unit) * unit).astype(np.int64)


def _chance(log_odds: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-log_odds))


def _stays(
    rng: np.random.Generator, *, site: Site, old: Floats, male: Bools, birth: Ints, diseases: dict[str, Bools],
    since: Ints, until: Ints,
) -> Stays:  # fmt: skip
    observed_years = (until - since) / (365.25 * DAY)
    ill = sum((diseases[one.name].astype(np.float64) for one in CHRONIC), start=np.zeros(len(old)))
    counts = rng.poisson(site.stays_per_year * observed_years * np.exp(0.12 * (ill - 1.5) + 0.1 * old))
    person = np.repeat(np.arange(len(old)), counts)
    days = (until - since)[person] // DAY - 2
    day = 1 + np.floor(rng.random(len(person)) * np.maximum(days, 0)).astype(np.int64)
    hour = rng.choice(24, len(person), p=_HOURS / _HOURS.sum())
    start = since[person] + day * DAY + hour * HOUR + rng.integers(0, 60, len(person)) * 60
    order = np.lexsort((start, person))
    person, start, roomy = person[order], start[order], (days > 0)[order]
    kept = roomy & (np.diff(start, prepend=0) > APART_DAYS * DAY) | roomy & (np.diff(person, prepend=-1) != 0)
    person, start = person[kept], start[kept]
    severity = rng.normal(site.sicker, 1.0, len(person))
    first_day = {one.name: _first_day(one, severity, old, diseases, person, rng) for one in MEASURES}
    age = (start - birth[person]) / (365.25 * DAY)
    odds = site.intercept + COEFFICIENTS["age"] * (age - CENTRES["age"]) + COEFFICIENTS["sex=male"] * male[person]
    for name in list(CENTRES)[1:]:
        odds += COEFFICIENTS[name] * (first_day[name] - CENTRES[name])
    odds += COEFFICIENTS["heart_failure"] * diseases["heart_failure"][person]
    odds += COEFFICIENTS["cancer"] * cancer(diseases)[person]
    length = np.exp(rng.normal(1.25 + 0.22 * severity, 0.7))
    end = start + (np.clip(length, 0.3, 45.0) * DAY).astype(np.int64) // 60 * 60
    chance = _chance(odds)
    return Stays(
        person=person,
        start=start,
        end=np.minimum(end, until[person]),
        severity=severity,
        first_day=first_day,
        chance=chance,
        died=rng.random(len(person)) < chance,
        intensive=rng.random(len(person)) < _chance(-3.0 + 1.1 * severity),
        reason=rng.choice(5, len(person), p=[0.25, 0.12, 0.13, 0.25, 0.25]),
    )


def _first_day(
    measure: Measure, severity: Floats, old: Floats, diseases: dict[str, Bools], person: Ints, rng: np.random.Generator
) -> Floats:
    shift = measure.severity * severity + measure.age * old[person] + rng.normal(0.0, measure.spread, len(person))
    if measure.name == "creatinine":
        shift += 0.45 * diseases["kidney_disease"][person]
    elif measure.name == "glucose":
        shift += 0.35 * (diseases["type_2_diabetes"] | diseases["type_1_diabetes"])[person]
    value = measure.centre * np.exp(shift) if measure.log else measure.centre + shift
    return np.clip(value, measure.low, measure.high)


def _ended(stays: Stays, until: Ints, rng: np.random.Generator) -> tuple[Stays, Ints, Ints]:
    """Let persons die: nothing happens to them afterwards, and a stay ends with its patient."""
    persons = len(until)
    wait = -9.0 * np.log1p(-rng.random(len(stays.person)) * (1.0 - np.exp(-30.0 / 9.0)))
    moment = stays.start + DAY + (wait * DAY).astype(np.int64) // 60 * 60 + 60
    fatal = stays.died & (stays.end - stays.start > DAY)
    death = np.full(persons, np.iinfo(np.int64).max)
    np.minimum.at(death, stays.person[fatal], moment[fatal])
    alive = stays.start < death[stays.person]
    end = np.minimum(stays.end, death[stays.person])
    known = death <= until
    return (
        Stays(
            person=stays.person[alive],
            start=stays.start[alive],
            end=end[alive],
            severity=stays.severity[alive],
            first_day={name: values[alive] for name, values in stays.first_day.items()},
            chance=stays.chance[alive],
            died=fatal[alive],
            intensive=stays.intensive[alive],
            reason=stays.reason[alive],
        ),
        np.where(known, death, 0),
        np.where(known, death, until),
    )


def _clinics(
    stays: Stays, rng: np.random.Generator, *, site: Site, old: Floats, since: Ints, until: Ints
) -> tuple[Ints, Ints]:
    """Clinic visits by day, outside all stays."""
    observed_years = (until - since) / (365.25 * DAY)
    person = np.repeat(np.arange(len(since)), rng.poisson(site.clinics_per_year * observed_years * np.exp(0.1 * old)))
    days = np.maximum((until - since)[person] // DAY, 1)
    start = since[person] + np.floor(rng.random(len(person)) * days).astype(np.int64) * DAY
    start += rng.integers(8 * 60, 17 * 60, len(person)) * 60
    order = np.lexsort((start, person))
    person, start = person[order], start[order]
    keys = stays.person * np.int64(10**11) + stays.start
    before = np.searchsorted(keys, person * np.int64(10**11) + start + 12 * HOUR, side="right") - 1
    if len(keys):
        busy = (before >= 0) & (stays.person[before] == person) & (stays.end[before] + 12 * HOUR > start)
    else:
        busy = np.zeros(len(person), dtype=np.bool_)
    free = ~busy & (start + HOUR < until[person])
    return person[free], start[free]

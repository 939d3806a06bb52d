"""Random records and random studies that ask everything the study language can, small enough to be followed by hand."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from plain_source import DEATH_CODE, Records, event

from wardgate.records.study import Study

START = datetime(2021, 3, 1)
DAYS = 40
SETS = {
    "stay": ["stay"],
    "visit": ["stay", "call"],
    "lab": ["lab"],
    "score": ["score"],
    "illness": ["ill", "worse"],
    "worse": ["worse"],
    "female": ["female"],
    "male": ["male"],
    "other": ["ward-a"],
    "another": ["ward-b"],
}
UNITS = ("mg/dL", "umol/L", "mg/L", None, "drops", "")
TABLES = ("condition", "measurement", "visit", "observation")


def records(rng: Random, *, persons: int = 6) -> Records:
    """Records of a few persons, with everything that may be odd in them."""
    found = Records()
    for subject in rng.sample(range(-3, 200), persons):
        birth = rng.choice([None, datetime(rng.randint(1930, 2010), rng.randint(1, 12), rng.randint(1, 28))])
        death = _time(rng) if rng.random() < 0.4 else None
        found.persons.append({"subject_id": subject, "birth": birth, "death": death})
        if death is not None:
            found.events.append(event(subject, DEATH_CODE, death, table="death"))
        for _ in range(rng.randint(0, 2)):
            first = _time(rng) - timedelta(days=rng.randint(0, 30))
            last = first + timedelta(days=rng.randint(0, 60))
            found.periods.append({"subject_id": subject, "start": first, "end": last})
        if rng.random() < 0.8:
            found.events.append(event(subject, f"V/{rng.choice(['female', 'male'])}", None, table="observation"))
        for _ in range(rng.randint(0, 25)):
            made = _event(rng, subject)
            found.events.extend([made] * (2 if rng.random() < 0.05 else 1))
    return found


def _time(rng: Random) -> datetime:
    day = START + timedelta(days=rng.randint(0, DAYS))
    kind = rng.random()
    if kind < 0.2:
        return day + timedelta(hours=23, minutes=59, seconds=59)
    if kind < 0.3:
        return day + timedelta(microseconds=rng.randint(0, 86_399_999_999))
    return day + timedelta(hours=rng.randint(0, 23))


def _event(rng: Random, subject: int) -> dict[str, Any]:
    code = rng.choice(["stay", "stay", "call", "lab", "lab", "lab", "score", "ill", "worse", "ward-a", "ward-b"])
    time = _time(rng)
    more: dict[str, Any] = {"table": rng.choice(TABLES), "visit": rng.choice([None, 1, 2, 3])}
    if code in ("stay", "call"):
        more["end"] = rng.choice([None, time + timedelta(hours=rng.randint(-5, 200))])
    if code in ("lab", "score"):
        more["unit"] = rng.choice(UNITS)
        odd = [None, float("nan"), float("inf"), -1e200, 1e-310, 1e18, 0.0, -3.3, 250.5]
        plain = round(rng.uniform(0, 12), rng.choice([0, 1, 2, 7]))
        more["numeric_value"] = rng.choice(odd) if rng.random() < 0.1 else plain
    return event(subject, f"V/{code}", time, **more)


def study(rng: Random) -> Study:
    """A random study over these records."""
    return Study.model_validate(
        {
            "schema": "wardgate/study/1",
            "id": "random",
            "version": 1,
            "title": "A random study",
            "question": "Does the fast reading agree with the slow one?",
            "concept_sets": {
                name: {"concepts": [{"vocabulary": "V", "code": code} for code in codes]}
                for name, codes in SETS.items()
            },
            "cohort": {
                "entry": "whatever",
                "entries": rng.choice(["first", "first-eligible", "all", "all"]),
                "events": _entry(rng),
                "requires": [],
            },
            "index_date": "as the entry says",
            "label": _label(rng),
            "features": _features(rng),
            "acceptance": {"auroc_min": 0.5, "worst_site_auroc_min": 0.5},
            "sites": ["a"],
        }
    )


def _entry(rng: Random) -> dict[str, Any]:
    index = rng.choice(["start", "start", "end"])
    several = range(rng.choice([0, 0, 1, 2]))
    anchors = ["start", "index"] if index == "start" else ["start", "end", "index"]
    entry: dict[str, Any] = {
        "concepts": rng.choice([["stay"], ["visit"], ["illness"], ["stay", "illness"]]),
        "index": index,
        "index_hours": rng.choice([0, 0, 24, 0.5, 100]),
        "rules": [{**_rule(rng, anchors, depth=0), "name": f"rule-{place}"} for place in several],
    }
    options: dict[str, Any] = {
        "table": rng.choice(TABLES),
        "first": True,
        "lasting": True,
        "age_years": [rng.randint(0, 40), rng.randint(50, 90)],
        "prior_observation_days": rng.randint(1, 20),
        "follow_up_days": rng.randint(1, 20),
        "washout_days": rng.randint(1, 10),
        "shortest_hours": rng.choice([1, 24, 60.5]),
    }
    return entry | {name: value for name, value in options.items() if rng.random() < 0.15}


def _rule(rng: Random, anchors: list[str], *, depth: int) -> dict[str, Any]:
    if depth < 2 and rng.random() < 0.3:
        group: dict[str, Any] = {"rules": [_rule(rng, anchors, depth=depth + 1) for _ in range(rng.randint(1, 3))]}
        if rng.random() < 0.5:
            group[rng.choice(["at_least", "at_most"])] = rng.randint(0, 2)
        return group
    rule: dict[str, Any] = {
        "concepts": rng.choice([*SETS, "death"]),
        "anchor": rng.choice(anchors),
        "window_days": sorted(rng.choice([-400, -10, -3, -1, 0, 1, 5, 30]) for _ in range(2)),
    }
    if rng.random() < 0.3:
        rule["at_most"] = rng.randint(0, 2)
    elif rng.random() < 0.2:
        rule["at_least"] = rng.randint(0, 2)
    if rng.random() < 0.3:
        rule["first"] = True
    if rng.random() < 0.3:
        rule["calendar_days"] = True
    if rng.random() < 0.15:
        rule["same_visit"] = True
    if rng.random() < 0.1:
        rule["table"] = rng.choice(TABLES)
    if rng.random() < 0.3:
        rule |= {"concepts": "lab", "unit": rng.choice(["mg/dL", "mg/L"]), "value": rng.choice([[0, 5], [2.5, 100.25]])}
    return rule


def _label(rng: Random) -> dict[str, Any]:
    low = rng.choice([0, 0, 0, 2])
    events: dict[str, Any] = {
        "concepts": rng.choice([["death"], ["worse"], ["worse", "death"], ["illness"]]),
        "until": rng.choice(["window", "entry-end"]),
        "competing": rng.choice([[], ["death"], ["call"], ["death", "score"]]),
        "competing_counts": rng.choice(["negative", "unknown"]),
        "follow_up": rng.choice(["required", "assumed"]),
    }
    events["competing"] = [name for name in events["competing"] if name in (*SETS, "death")]
    if rng.random() < 0.1:
        events["table"] = rng.choice(TABLES)
    return {"name": "bad", "meaning": "bad", "window_days": [low, low + rng.randint(0, 20)], "events": events}


def _window(rng: Random) -> list[int]:
    return sorted([rng.choice([-1000, -240, -48, -24, -5, 0]), rng.choice([-24, -1, 0, 0, 0])])


def _features(rng: Random) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {"name": "age", "type": "integer", "unit": "a", "range": [18, 80], "built_in": "age"},
        {
            "name": "sex",
            "type": "category",
            "values": ["female", "male"],
            "categories": {"female": "female", "male": "male"},
        },
    ]
    kinds = ["last", "first", "mean", "min", "max", "slope", "count", "any", "ward"]
    for place in range(rng.randint(1, 6)):
        made.append(_feature(rng, f"f{place}", rng.choice(kinds)))
    for one in made:
        one["window_hours"] = _window(rng)
        if rng.random() < 0.1:
            one["missing"] = "refused"
    return [one for one in made if rng.random() < 0.9] or made


def _feature(rng: Random, name: str, kind: str) -> dict[str, Any]:
    table = {"table": rng.choice(TABLES)} if rng.random() < 0.1 else {}
    if kind == "ward":
        values = rng.choice([["a", "b", "call"], ["call", "b", "a"]])
        sets = {"a": "other", "b": "another", "call": "visit"}
        return {"name": name, "type": "category", "values": values, "categories": sets, **table}
    if kind == "any":
        return {
            "name": name,
            "type": "boolean",
            "aggregation": "any",
            "concepts": rng.choice([*SETS, "death"]),
            **table,
        }
    if kind == "count":
        counted = {"type": "integer", "unit": "1", "range": rng.choice([[0, 3], [0, 100]]), "aggregation": "count"}
        return {"name": name, "concepts": rng.choice(["lab", "illness", "visit"]), **counted, **table}
    numeric = {"name": name, "concepts": rng.choice(["lab", "lab", "score"]), "aggregation": kind, **table}
    if kind == "slope":
        bounds = {"unit": "mg/L/h", "range": [-5, 5], "value_unit": rng.choice(["mg/L", "1"]), "value_range": [0, 100]}
        return {"type": "number", **numeric, **bounds}
    unit, bounds = rng.choice([("mg/dL", [0, 10]), ("mg/L", [0.5, 99.9]), ("1", [-4, 300]), ("g/L", [0, 0.05])])
    whole = unit != "g/L" and rng.random() < 0.3
    return {"type": "integer" if whole else "number", **numeric, "unit": unit, "range": bounds}

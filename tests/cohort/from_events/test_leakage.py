"""What happens after the index date changes the label and nothing else, whatever it is."""

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from plain_source import Records, duck_source, event
from random_studies import records, study

from wardgate.hospital.ward.cohort.from_events import sight
from wardgate.hospital.ward.cohort.from_events.asked import KEY, Asked
from wardgate.hospital.ward.cohort.from_events.entries import chosen, judged
from wardgate.hospital.ward.cohort.from_events.features import gathered, units_read
from wardgate.hospital.ward.cohort.from_events.slots import slots_of
from wardgate.hospital.ward.cohort.from_events.survey import survey
from wardgate.hospital.ward.cohort.from_events.wide import wide
from wardgate.records.entry import Entry
from wardgate.records.study import Study

ENTRY_CODES = ("V/stay",)
FUTURE_CODES = ("V/lab", "V/score", "V/ill", "V/worse", "V/ward-a", "V/ward-b", "V/call")


def asked(seed: int) -> Study:
    """A random study whose entries are stays, and which asks nothing of the future of who may enter."""
    plain = study(Random(seed)).model_dump(mode="json", by_alias=True, exclude_none=True)
    entry = plain["cohort"]["events"]
    entry |= {"concepts": ["stay"], "index": "start", "index_hours": 24.0}
    for unwanted in ("follow_up_days", "shortest_hours", "table", "first"):
        entry.pop(unwanted, None)
    entry["rules"] = [
        {"name": "some-lab", "concepts": "lab", "anchor": "index", "window_days": [-5, 30]},
        {"name": "no-illness-later", "concepts": "worse", "anchor": "start", "window_days": [0, 30], "at_most": 2},
    ]
    plain["cohort"]["entries"] = "all"
    window = {"window_hours": [-1000, 0]}
    plain["features"] = [
        {**one, **window, "missing": "allowed"} if "built_in" not in one else one for one in plain["features"]
    ]
    lab = {"concepts": "lab", "type": "number", "unit": "mg/dL", "range": [0, 20], **window}
    plain["features"] += [{"name": f"lab-{how}", "aggregation": how, **lab} for how in ("last", "max", "mean")]
    plain["features"] += [
        {"name": "labs", "concepts": "lab", "type": "integer", "unit": "1", "range": [0, 99], **window}
        | {"aggregation": "count"}
    ]
    return Study.model_validate(plain)


def known_at_index(records_: Records, study_: Study) -> tuple[Any, Any, Any]:
    """Who may enter, and what is known of them; and the index date of every entry."""
    whole = Asked(source=duck_source(records_))
    units = survey(whole, study_)
    entries = judged(whole, study_, units)
    slots = slots_of(study_)
    rows = whole.run(entries.table).drop("end", "death", "observed_until").sort(KEY)
    found = whole.run(gathered(chosen(entries, study_), whole, slots, units_read(slots, units)))
    kept = whole.run(chosen(entries, study_)).sort(KEY)
    return rows, kept.select(*KEY), wide(kept, found, study_, slots).table


def altered(given: Records, rng: Random, study_: Study) -> Records:
    """The records with everything after each person's last index date changed, left out, or added to.

    What was recorded on the index day by its date alone lies at the day's last second, and is of the future too.
    """
    last: dict[int, Any] = {}
    for one in given.events:
        if one["code"] in ENTRY_CODES and one["time"] is not None:
            index = one["time"] + timedelta(hours=24)
            last[one["subject_id"]] = max(last.get(one["subject_id"], index), index)
    kept = []
    for one in given.events:
        cut = last.get(one["subject_id"])
        if one["code"] in ENTRY_CODES and one["end"] is not None and one["end"] > one["time"] + timedelta(hours=24):
            kept.append(one | {"end": one["end"] + timedelta(days=rng.randint(0, 3))})
        elif cut is None or one["time"] is None or one["time"] <= cut or one["code"] in (*ENTRY_CODES, "death"):
            kept.append(one)
        elif rng.random() < 0.5:
            kept.append(one | {"numeric_value": rng.uniform(0, 20), "unit": "mg/dL"})
    for subject, cut in last.items():
        at_end_of_day = cut.replace(hour=23, minute=59, second=59, microsecond=0)
        for code in FUTURE_CODES:
            for time in (cut + timedelta(microseconds=1), cut + timedelta(days=rng.randint(0, 20), seconds=1)):
                kept.append(event(subject, code, time, numeric_value=3.0, unit="mg/dL", visit=1))
            if at_end_of_day > cut:
                kept.append(event(subject, code, at_end_of_day, numeric_value=19.0, unit="mg/dL", visit=1))
    return Records(events=kept, persons=given.persons, periods=given.periods)


def leaks(seed: int) -> bool:
    """Whether anything known at the index date changes with the future."""
    rng = Random(seed)
    given, asks = records(rng, persons=30), asked(seed)
    before, after = known_at_index(given, asks), known_at_index(altered(given, rng, asks), asks)
    assert before[0].height
    return not all(one.equals(other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("seed", range(2))
def test_the_future_changes_nothing_that_is_known_at_the_index_date(seed: int) -> None:
    assert not leaks(seed)


def test_without_the_filter_the_future_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "seen", lambda joined: joined)
    assert leaks(0)


def test_a_feature_that_looks_past_the_index_date_is_refused() -> None:
    plain = asked(0).model_dump(mode="json", by_alias=True, exclude_none=True)
    plain["features"][-1]["window_hours"] = [-24, 1]
    with pytest.raises(ValueError, match="the feature would see the future"):
        Study.model_validate(plain)


def test_a_window_around_the_end_needs_an_index_date_at_the_end() -> None:
    inside = {"rules": [{"concepts": "ill", "anchor": "end", "window_days": [-5, 0]}], "name": "ill"}
    assert Entry.model_validate({"concepts": ["stay"], "index": "end", "rules": [inside]}).rules
    with pytest.raises(ValueError, match="knows when it ends"):
        Entry.model_validate({"concepts": ["stay"], "rules": [inside]})

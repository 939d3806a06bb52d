"""What has to be gathered for the features: each concept set and window once, however many features use it.

`creatinine_mean`, `creatinine_max` and `creatinine_last` of one window read one slot.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wardgate.hospital.ward.cohort.from_events.picks import by_number, pick_of, picks_of_feature
from wardgate.hospital.ward.cohort.from_events.readings import Reading, reading_of_feature
from wardgate.hospital.ward.source.events import Pick
from wardgate.records.feature import Feature
from wardgate.records.study import Study

Way = tuple[tuple[Pick, ...], tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Events of one window, gathered once.

    Attributes:
        picks: The concept set, or one for each category.
        window_hours: From and to, relative to the index date.
        reading: How numbers are read; None where only their being there counts.
        categories: Whether an event's category is its value.
    """

    picks: tuple[Pick, ...]
    window_hours: tuple[int, int]
    reading: Reading | None = None
    categories: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """All slots of a study.

    Attributes:
        every: In order; a slot's number is its place.
        of: By feature's name, the number of the slot that it reads; what is built in reads none.
        slopes: Whether any feature is a slope.
    """

    every: tuple[Slot, ...]
    of: dict[str, int]
    slopes: bool


def slots_of(study: Study) -> Slots:
    """Return the slots of a study's features. What only counts events shares the slot of a number where it can."""
    every: list[Slot] = []
    of: dict[str, int] = {}
    asked = [feature for feature in study.features if feature.built_in is None]
    for feature in sorted(asked, key=lambda one: not by_number(one)):  # numbers first, so that counts can share
        of[feature.name] = _place(every, feature, study)
    return Slots(every=tuple(every), of=of, slopes=any(one.aggregation == "slope" for one in asked))


def _place(every: list[Slot], feature: Feature, study: Study) -> int:
    if feature.categories is not None:
        picks = tuple(pick_of(study, feature.categories[value], feature.table) for value in feature.values or ())
        slot = Slot(picks=picks, window_hours=feature.window_hours, categories=True)
        return _found(every, slot, [slot == other for other in every])
    picks = picks_of_feature(study, feature)
    if by_number(feature):
        reading = reading_of_feature(feature, picks[0])
        slot = Slot(picks=picks, window_hours=feature.window_hours, reading=reading)
        return _found(every, slot, [_way(slot) == _way(other) and _alike(reading, other.reading) for other in every])
    slot = Slot(picks=picks, window_hours=feature.window_hours)
    return _found(every, slot, [_way(slot) == _way(other) and not other.categories for other in every])


def _found(every: list[Slot], slot: Slot, same: Sequence[bool]) -> int:
    """The place of the first slot that serves, else of the new one."""
    if True not in same:
        every.append(slot)
    return list(same).index(True) if True in same else len(every) - 1


def _way(slot: Slot) -> Way:
    return slot.picks, slot.window_hours


def _alike(one: Reading, other: Reading | None) -> bool:
    """Whether two features read a value alike. The name may say the analyte, so it has to agree on the conversions."""
    if other is None:
        return False
    mine, others = one.target, other.target
    return (mine.unit, mine.range, mine.type, one.analyte) == (others.unit, others.range, others.type, other.analyte)

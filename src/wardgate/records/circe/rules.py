"""Circe groups and windows -> rules of an entry."""

from collections.abc import Mapping

from wardgate.records.circe.events import Asked, asked, sexes_of, years
from wardgate.records.circe.reading import Block, Reading, says
from wardgate.records.circe.sets import Named
from wardgate.records.entry import FOREVER_DAYS, Criterion, Group, Rule

_GROUP = ("Type", "Count", "CriteriaList", "DemographicCriteriaList", "Groups")
_LINKED = ("Criteria", "StartWindow", "EndWindow", "Occurrence", "RestrictVisit", "IgnoreObservationPeriod")
_DEEPEST = 20
_FUTURE = "end the window at the entry (0 days), or ask the model later (index_hours of the entry)"


def rule(reading: Reading, path: str, given: object, sets: Mapping[int, Named], *, depth: int = 0) -> Rule | None:
    """Read a group of criteria; None where it always holds, or was refused.

    Ages that a whole definition must fulfil (outermost, all of the group) are kept in `reading.ages` instead.
    """
    block = reading.block(path, given)
    reading.only(path, block, _GROUP)
    if depth > _DEEPEST:
        reading.refuse(path, f"groups nested more than {_DEEPEST} deep", "simplify the definition")
        return None
    kind = str(block.get("Type", "")).upper()
    listed = reading.items(f"{path}.CriteriaList", block.get("CriteriaList"))
    persons = reading.items(f"{path}.DemographicCriteriaList", block.get("DemographicCriteriaList"))
    groups = reading.items(f"{path}.Groups", block.get("Groups"))
    size = len(listed) + len(persons) + len(groups)
    if not size:
        return None
    outermost = not depth and kind == "ALL"
    people = [
        _person(reading, f"{path}.DemographicCriteriaList[{index}]", one, outermost=outermost)
        for index, one in enumerate(persons)
    ]
    rules: list[Rule | None] = [
        *people,
        *(_linked(reading, f"{path}.CriteriaList[{index}]", one, sets) for index, one in enumerate(listed)),
    ]
    for index, one in enumerate(groups):
        inner = rule(reading, f"{path}.Groups[{index}]", one, sets, depth=depth + 1)
        if inner is None and not _empties(one):
            continue
        if inner is None and kind != "ALL":
            reading.refuse(f"{path}.Groups[{index}]", "an empty group, which always holds", "remove it")
        rules.append(inner)
    kept = tuple(one for one in rules if one is not None)
    return _joined(reading, path, kind, block, kept)


def _empties(given: object) -> bool:
    return isinstance(given, dict) and not any(says(given.get(name)) for name in _GROUP[2:])


def _joined(reading: Reading, path: str, kind: str, block: Block, rules: tuple[Rule, ...]) -> Rule | None:
    if kind in ("AT_LEAST", "AT_MOST"):
        count = reading.whole(f"{path}.Count", block.get("Count"))
        if count is None or not rules:
            return None
        if count < 0:
            reading.refuse(f"{path}.Count", "a count below 0", "correct the count")
            return None
        return Group(rules=rules, at_least=count) if kind == "AT_LEAST" else Group(rules=rules, at_most=count)
    if kind not in ("ALL", "ANY"):
        reading.refuse(f"{path}.Type", f"'{kind}' is not supported", "use ALL, ANY, AT_LEAST or AT_MOST")
        return None
    if len(rules) <= 1:
        return rules[0] if rules else None
    return Group(rules=rules) if kind == "ALL" else Group(rules=rules, at_least=1)


def _person(reading: Reading, path: str, given: object, *, outermost: bool) -> Criterion | None:
    """Read what is asked of a person: the sex as a rule, an age only where the whole definition asks for it."""
    block = reading.block(path, given)
    reading.only(path, block, ("Age", "Gender"))
    if says(block.get("Age")) and not outermost:
        reading.refuse(f"{path}.Age", "an age as one rule among others", "ask for it in a group of type ALL of its own")
    elif says(block.get("Age")):
        found = years(reading, f"{path}.Age", block["Age"])
        if found is not None:
            reading.ages.append(found)
    name = sexes_of(reading, f"{path}.Gender", block["Gender"]) if says(block.get("Gender")) else None
    return None if name is None else Criterion(concepts=name)


def _linked(reading: Reading, path: str, given: object, sets: Mapping[int, Named]) -> Criterion | None:
    """Read one criterion with its window and count."""
    block = reading.block(path, given)
    reading.only(path, block, _LINKED)
    before = len(reading.refusals)
    events = asked(reading, f"{path}.Criteria", block.get("Criteria"), sets)
    if events is not None and events.age is not None:
        reading.refuse(f"{path}.Criteria", "an age at the event of a rule", "ask for the age at the entry")
    if events is not None and events.sexes is not None:
        reading.refuse(f"{path}.Criteria", "a sex with the event of a rule", "ask for it in DemographicCriteriaList")
    window = _window(reading, f"{path}.StartWindow", block.get("StartWindow"))
    _end_window(reading, f"{path}.EndWindow", block.get("EndWindow"))
    low, high = _occurrence(reading, f"{path}.Occurrence", block.get("Occurrence"))
    if events is None or window is None or len(reading.refusals) > before:
        return None
    if not says(block.get("IgnoreObservationPeriod")):
        reading.note("rules also see events outside the observation period of the entry, which Circe leaves out")
    return criterion(events, window=window, at_least=low, at_most=high, same_visit=says(block.get("RestrictVisit")))


def criterion(
    events: Asked, *, window: tuple[int, int], at_least: int, at_most: int | None = None, same_visit: bool = False
) -> Criterion:
    """Return a rule on events in a window of calendar days around the entry."""
    return Criterion(
        concepts=events.concepts,
        table=events.table,
        window_days=window,
        calendar_days=True,
        at_least=at_least,
        at_most=at_most,
        first=events.first,
        value=events.value,
        unit=events.unit,
        same_visit=same_visit,
    )


def _window(reading: Reading, path: str, given: object) -> tuple[int, int] | None:
    block = reading.block(path, given)
    if not block:
        reading.refuse(path, "no window, so that events after the entry count", _FUTURE)
        return None
    reading.only(path, block, ("Start", "End", "UseIndexEnd", "UseEventEnd"))
    if says(block.get("UseEventEnd")):
        reading.refuse(f"{path}.UseEventEnd", "the window counts from where events end", "use where they start")
    if says(block.get("UseIndexEnd")):
        reading.refuse(
            f"{path}.UseIndexEnd", "the window counts from the entry's end, after the index date", "use its start"
        )
    start = _days(reading, f"{path}.Start", block.get("Start"))
    end = _days(reading, f"{path}.End", block.get("End"))
    if start is None or end is None:
        return None
    if end > 0:
        reading.refuse(
            f"{path}.End", "the window reaches beyond the entry: who enters would depend on the future", _FUTURE
        )
        return None
    if start > end:
        reading.refuse(path, "the window ends before it starts", "correct the window")
        return None
    return start, end


def _days(reading: Reading, path: str, given: object) -> int | None:
    block = reading.block(path, given)
    reading.only(path, block, ("Days", "Coeff", "TimeUnit", "TimeUnitValue"))
    unit = str(block.get("TimeUnit") or "day").lower()
    if unit != "day":
        reading.refuse(f"{path}.TimeUnit", f"'{unit}' is not supported", "count days")
        return None
    direction = reading.whole(f"{path}.Coeff", block.get("Coeff"))
    if direction not in (-1, 1):
        if direction is not None:
            reading.refuse(f"{path}.Coeff", f"found {direction}, expected -1 or 1", "export the definition again")
        return None
    if block.get("Days") is None:
        return direction * FOREVER_DAYS
    days = reading.whole(f"{path}.Days", block["Days"])
    return None if days is None else max(-FOREVER_DAYS, min(FOREVER_DAYS, direction * days))


def _end_window(reading: Reading, path: str, given: object) -> None:
    if not says(given):
        return
    block = reading.block(path, given)
    start, end = reading.block(f"{path}.Start", block.get("Start")), reading.block(f"{path}.End", block.get("End"))
    if start.get("Days") is None and end.get("Days") is None and start.get("Coeff") == -1 and end.get("Coeff") == 1:
        return
    reading.refuse(path, "a window on where events end", "use the window on where they start alone")


def _occurrence(reading: Reading, path: str, given: object) -> tuple[int, int | None]:
    block = reading.block(path, given)
    reading.only(path, block, ("Type", "Count", "IsDistinct", "CountColumn"))
    kind = reading.whole(f"{path}.Type", block.get("Type"))
    count = reading.whole(f"{path}.Count", block.get("Count"))
    if kind is None or count is None:
        return 0, None
    if kind not in (0, 1, 2) or count < 0:
        reading.refuse(path, "expected exactly (0), at most (1) or at least (2), of a count from 0", "correct it")
        return 0, None
    if says(block.get("IsDistinct")) and not (count == 0 or (kind == 2 and count == 1)):
        reading.refuse(f"{path}.IsDistinct", "only distinct events are counted", "count all of them")
    return (0, count) if kind == 1 else (count, count if kind == 0 else None)

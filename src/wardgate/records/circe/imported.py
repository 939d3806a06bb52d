"""A whole Circe definition -> entry, concept sets and which entries count, or every reason why not.

Reference: OHDSI circe-be, the JSON form of cohort expressions that ATLAS exports.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from wardgate.records.circe.events import OLDEST, Asked, asked
from wardgate.records.circe.limits import Entries, which
from wardgate.records.circe.reading import Block, Reading, says, slug
from wardgate.records.circe.rules import criterion, rule
from wardgate.records.circe.sets import By, Named, chosen, concept_sets
from wardgate.records.concepts import ConceptSets
from wardgate.records.entry import Criterion, Entry, Rule
from wardgate.records.errors import Invalid

_MAX_CHARACTERS = 20_000_000
_VALUE, _SEX = "value-of-entry", "sex-of-person"
_TOP = (
    "Title",
    "ConceptSets",
    "PrimaryCriteria",
    "AdditionalCriteria",
    "QualifiedLimit",
    "ExpressionLimit",
    "InclusionRules",
    "EndStrategy",
    "CensoringCriteria",
    "CollapseSettings",
    "CensorWindow",
    "cdmVersionRange",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A definition in the words of a study.

    Attributes:
        name: What the definition is called.
        entry: For `cohort.events`.
        concept_sets: For `concept_sets`; those that the entry names.
        entries: For `cohort.entries`.
        notes: Where a hospital's cohort may differ from the one that ATLAS builds, and why.
    """

    name: str
    entry: Entry
    concept_sets: ConceptSets
    entries: Entries
    notes: tuple[str, ...]


def read_circe(text: str, *, name: str, by: By = "concept_id") -> Imported:
    """Read a cohort definition as ATLAS exports it.

    Who enters is the same as in Circe but for what `notes` says. Nothing is dropped: what a study cannot say is
    refused, all of it at once. How long people stay in the cohort (end strategy, censoring events, gaps between eras)
    does not decide who enters, and is noted.

    Args:
        text: JSON, the expression alone or as WebAPI wraps it.
        name: Of the definition, for messages and as the sets' source.
        by: Name concepts by `concept_id` (OMOP), or by vocabulary and `code`, which MEDS and FHIR know as well.

    Raises:
        Invalid: no Circe JSON; or one line for everything that a study cannot say, with its JSON path and what to do.
    """
    whole = _expression(_parsed(text, name), name)
    reading = Reading(name=name)
    reading.only("", whole, _TOP)
    sets = concept_sets(reading, whole.get("ConceptSets"))
    primary = reading.block("PrimaryCriteria", whole.get("PrimaryCriteria"))
    reading.only("PrimaryCriteria", primary, ("CriteriaList", "ObservationWindow", "PrimaryCriteriaLimit"))
    events = _events(reading, primary, sets)
    prior, post = _observation(reading, primary.get("ObservationWindow"))
    rules = list(_rules(reading, whole, sets))
    judged = bool(rules or reading.ages)
    early = _early(reading, events)
    entries = which(reading, whole, primary, judged=judged, early=bool(early.rules or early.age or prior or post))
    _rest(reading, whole)
    used = chosen(reading, sets, by=by)
    reading.finish()
    ages = [*reading.ages, *([] if early.age is None else [early.age])]
    tables = {one.table for one in events}
    if len(tables) > 1:
        reading.note("entries are of several tables: an event of any table counts where its concept set names it")
    if not prior and not post:
        reading.note("entries outside every observation period count, which Circe leaves out")
    if post:
        reading.note(f"who enters depends on {post} days of observation after the entry, as the definition asks")
    found: Entry | None = None
    problem = ""
    try:
        found = Entry(
            concepts=tuple(dict.fromkeys(one.concepts for one in events)),
            table=next(iter(tables)) if len(tables) == 1 else None,
            first=events[0].first,
            age_years=_within(ages),
            prior_observation_days=prior,
            follow_up_days=post,
            rules=(*early.rules, *rules),
        )
    except ValidationError as error:
        problem = "; ".join(str(item["msg"]) for item in error.errors(include_url=False))
    if found is None:
        raise Invalid(f"{name} asks for what a study cannot say: {problem}")
    return Imported(
        name=str(whole.get("Title") or name),
        entry=found,
        concept_sets=used,
        entries=entries,
        notes=tuple(reading.notes),
    )


def _parsed(text: str, name: str) -> Mapping[str, Any]:
    problem = f"{name} is no JSON object, expected a cohort definition as ATLAS exports it"
    if len(text) > _MAX_CHARACTERS:
        raise Invalid(f"{name} has {len(text)} characters, expected at most {_MAX_CHARACTERS}")
    found: Any = None
    try:
        found = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        problem = f"{name}:{error.lineno}: no JSON ({error.msg}), expected a cohort definition as ATLAS exports it"
    except (ValueError, RecursionError):
        pass
    if isinstance(found, dict):
        return found
    raise Invalid(problem)


def _expression(found: Mapping[str, Any], name: str) -> Block:
    """Take the expression out of what WebAPI wraps around it."""
    inner = found.get("expression")
    if "PrimaryCriteria" not in found and inner is not None:
        found = _parsed(inner, name) if isinstance(inner, str) else inner if isinstance(inner, dict) else {}
    if not isinstance(found.get("PrimaryCriteria"), dict):
        raise Invalid(f"{name} has no 'PrimaryCriteria', expected a Circe cohort definition as ATLAS exports it")
    return found


def _events(reading: Reading, primary: Block, sets: Mapping[int, Named]) -> list[Asked]:
    path = "PrimaryCriteria.CriteriaList"
    listed = reading.items(path, primary.get("CriteriaList"))
    if not listed:
        reading.refuse(path, "no event enters", "name one")
    found = [asked(reading, f"{path}[{index}]", one, sets) for index, one in enumerate(listed)]
    events = [one for one in found if one is not None]
    if len(listed) > 1 and any(one.first for one in events):
        reading.refuse(
            path,
            "'First' on one of several events: here the first of all of them would enter, in Circe the first of each",
            "make it one event with one concept set, or leave 'First' to the limits",
        )
    return events


def _observation(reading: Reading, given: object) -> tuple[int, int]:
    path = "PrimaryCriteria.ObservationWindow"
    block = reading.block(path, given)
    reading.only(path, block, ("PriorDays", "PostDays"))
    days = [reading.whole(f"{path}.{end}", block.get(end, 0)) or 0 for end in ("PriorDays", "PostDays")]
    if min(days) < 0:
        reading.refuse(path, "a number of days below 0", "correct it")
    return days[0], days[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Early:
    """What the entry's own events must fulfil before any limit."""

    rules: tuple[Rule, ...]
    age: tuple[int, int] | None


def _early(reading: Reading, events: list[Asked]) -> _Early:
    ages, sexes = {one.age for one in events}, {one.sexes for one in events}
    path = "PrimaryCriteria.CriteriaList"
    if len(ages) > 1 or len(sexes) > 1:
        reading.refuse(path, "events with different ages or sexes", "give all the same, or make it an inclusion rule")
    if len(events) > 1 and any(one.value is not None for one in events):
        reading.refuse(path, "a value of one of several events", "make it a definition of its own")
    rules: list[Rule] = []
    for one in events[:1]:
        if one.value is not None:
            reading.note(
                "the value of the entry's own event is a rule of its own: an event of the set at the very same time"
            )
            own = criterion(one, window=(0, 0), at_least=1)
            rules.append(own.model_copy(update={"name": _VALUE, "calendar_days": False, "first": False}))
        if one.sexes is not None:
            rules.append(Criterion(name=_SEX, concepts=one.sexes))
    return _Early(rules=tuple(rules), age=next(iter(ages), None))


def _rules(reading: Reading, whole: Block, sets: Mapping[int, Named]) -> Iterator[Rule]:
    taken = {_VALUE, _SEX}
    given = whole.get("AdditionalCriteria")
    found = rule(reading, "AdditionalCriteria", given, sets) if says(given) else None
    if found is not None:
        taken.add("additional-criteria")
        yield found.model_copy(update={"name": "additional-criteria", "meaning": "Restricts the initial events"})
    for index, one in enumerate(reading.items("InclusionRules", whole.get("InclusionRules"))):
        path = f"InclusionRules[{index}]"
        block = reading.block(path, one)
        reading.only(path, block, ("name", "description", "expression"))
        found = rule(reading, f"{path}.expression", block.get("expression"), sets)
        if found is None:
            continue
        title = str(block.get("name") or f"rule {index + 1}")
        name = slug(title, otherwise=f"rule-{index + 1}", taken=taken)
        taken.add(name)
        words = ": ".join(part for part in (title, str(block.get("description") or "")) if part)
        yield found.model_copy(update={"name": name, "meaning": words})


def _rest(reading: Reading, whole: Block) -> None:
    """Note what decides how long people stay, and refuse what cuts the calendar."""
    for name in ("EndStrategy", "CensoringCriteria"):
        if says(whole.get(name)):
            reading.note(f"{name} was left out: it says how long a person stays in the cohort, not who enters")
    pad = reading.block("CollapseSettings", whole.get("CollapseSettings")).get("EraPad")
    if says(pad) and pad != 0:
        reading.note("CollapseSettings.EraPad was left out: it joins stays in the cohort that are near to each other")
    window = reading.block("CensorWindow", whole.get("CensorWindow"))
    for name, value in window.items():
        if says(value):
            do = "give a source that holds those years alone"
            reading.refuse(f"CensorWindow.{name}", "the cohort is cut at a date of the calendar", do)
    reading.note("windows count days of the calendar, but see nothing after the time of the entry on its own day")


def _within(ages: list[tuple[int, int]]) -> tuple[int, int] | None:
    if not ages:
        return None
    low, high = max(low for low, _ in ages), min(high for _, high in ages)
    if low > high:
        raise Invalid("the definition asks for ages that no person has together; correct its age rules")
    return low, min(high, OLDEST)

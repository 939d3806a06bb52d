"""Circe concept sets -> concept sets of a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wardgate.records.circe.reading import Reading, says, slug
from wardgate.records.concepts import DEATH, Concept, ConceptSet

By = Literal["concept_id", "code"]

_ITEM = ("concept", "isExcluded", "includeDescendants", "includeMapped")
_MOST_CONCEPTS = 20_000
_SEXES = ("sex-m", "sex-f", "sex-m-or-f", "sex-f-or-m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A concept set as it stands in the definition, under the name that the study gives it."""

    name: str
    title: str
    path: str
    items: tuple[Any, ...]


def concept_sets(reading: Reading, given: object) -> dict[int, Named]:
    """Find all concept sets, by Circe's number."""
    found: dict[int, Named] = {}
    for index, one in enumerate(reading.items("ConceptSets", given)):
        path = f"ConceptSets[{index}]"
        block = reading.block(path, one)
        number = reading.whole(f"{path}.id", block.get("id"))
        if number is None:
            continue
        if number in found:
            reading.refuse(f"{path}.id", f"a second concept set has the id {number}", "export the definition again")
            continue
        title = str(block.get("name") or f"set {number}")
        taken = {DEATH, *_SEXES, *(named.name for named in found.values())}
        name = slug(title, otherwise=f"set-{number}", taken=taken)
        where = f"{path}.expression.items"
        items = reading.items(where, reading.block(f"{path}.expression", block.get("expression")).get("items"))
        found[number] = Named(name=name, title=title, path=where, items=tuple(items))
    return found


def chosen(reading: Reading, found: Mapping[int, Named], *, by: By) -> dict[str, ConceptSet]:
    """Return the concept sets that the definition uses, by name; the others are noted."""
    sets: dict[str, ConceptSet] = {}
    for number, named in found.items():
        if number not in reading.used:
            reading.note(f"concept set '{named.name}' is defined and never used; it was left out")
            continue
        one = _set(reading, named, by)
        if one is not None:
            sets[named.name] = one
    return sets | reading.sexes


def _set(reading: Reading, named: Named, by: By) -> ConceptSet | None:
    concepts: list[Concept] = []
    words: list[str] = []
    if not 0 < len(named.items) <= _MOST_CONCEPTS:
        found = f"{len(named.items)} concepts, expected 1 to {_MOST_CONCEPTS}"
        reading.refuse(named.path, found, "give the set concepts, with descendants where they are many")
        return None
    for index, one in enumerate(named.items):
        where = f"{named.path}[{index}]"
        item = reading.block(where, one)
        reading.only(where, item, _ITEM)
        if says(item.get("includeMapped")):
            reading.note(
                "includeMapped was left out: it adds source codes that map to a concept, and events are compared by "
                "their standard concept"
            )
        concept = _concept(reading, f"{where}.concept", item, by)
        if concept is not None:
            concepts.append(concept)
            label = str(reading.block(where, item.get("concept")).get("CONCEPT_NAME") or "")
            words.append(f"without {label}" if concept.exclude else label)
    if not concepts:
        return None
    if all(concept.exclude for concept in concepts):
        reading.refuse(named.path, "every concept of the set is excluded", "name one that is not")
        return None
    listed = "; ".join(word for word in words if word)
    return ConceptSet(
        meaning=f"{named.title}: {listed}" if listed else named.title,
        concepts=tuple(dict.fromkeys(concepts)),
        source=f"OHDSI Circe, {reading.name}",
    )


def _concept(reading: Reading, path: str, item: Any, by: By) -> Concept | None:
    held = reading.block(path, item.get("concept"))
    number = reading.whole(f"{path}.CONCEPT_ID", held.get("CONCEPT_ID"))
    if number is None or number < 1:
        if number is not None:
            reading.refuse(f"{path}.CONCEPT_ID", f"concept {number} means 'no concept'", "name a standard concept")
        return None
    if held.get("STANDARD_CONCEPT") == "N":
        reading.note(f"concept {number} was not standard when the definition was exported; it may meet no event")
    flags = {"descendants": says(item.get("includeDescendants")), "exclude": says(item.get("isExcluded"))}
    if by == "concept_id":
        return Concept(concept_id=number, **flags)
    vocabulary, code = held.get("VOCABULARY_ID"), held.get("CONCEPT_CODE")
    if (
        not isinstance(vocabulary, str)
        or not isinstance(code, str)
        or not 0 < len(vocabulary) <= 60
        or not 0 < len(code) <= 200
    ):
        reading.refuse(path, f"concept {number} has no vocabulary and code", "export it with them, or import by id")
        return None
    return Concept(vocabulary=vocabulary, code=code, **flags)

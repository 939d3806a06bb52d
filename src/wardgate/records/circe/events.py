"""Circe criteria -> which events they ask for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from wardgate.records.circe.reading import Block, Reading, says
from wardgate.records.circe.sets import Named
from wardgate.records.concepts import DEATH, Concept, ConceptSet, TableName

TABLES: Mapping[str, TableName] = {
    "ConditionOccurrence": "condition",
    "DrugExposure": "drug",
    "ProcedureOccurrence": "procedure",
    "Measurement": "measurement",
    "Observation": "observation",
    "DeviceExposure": "device",
    "VisitOccurrence": "visit",
    "Death": "death",
}

OLDEST = 150
_DIGITS = 9
_LARGEST = 1e12
_GENDERS: Mapping[object, str] = {8507: "M", 8532: "F"}
_ERAS = {"ConditionEra": "ConditionOccurrence", "DrugEra": "DrugExposure", "DoseEra": "DrugExposure"}
_ELSEWHERE = {
    "CorrelatedCriteria": "make it an inclusion rule of its own, relative to the entry",
    "OccurrenceStartDate": "give a source that holds those years alone",
    "OccurrenceEndDate": "give a source that holds those years alone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The events of one criterion.

    Attributes:
        concepts: Name of the concept set, or `death`.
        age: Lowest and highest age in years at the event.
        value: Lowest and highest number, in `unit`.
        sexes: Name of the concept set of the sexes that it asks for.
    """

    concepts: str
    table: TableName | None
    first: bool
    age: tuple[int, int] | None = None
    value: tuple[float, float] | None = None
    unit: str | None = None
    sexes: str | None = None


def asked(reading: Reading, path: str, wrapped: object, sets: Mapping[int, Named]) -> Asked | None:
    """Read one criterion, e.g. `{"ConditionOccurrence": {...}}`; None where it was refused."""
    block = reading.block(path, wrapped)
    if len(block) != 1:
        reading.refuse(path, f"{len(block)} kinds of event, expected one", "export the definition again")
        return None
    kind = next(iter(block))
    path = f"{path}.{kind}"
    if kind not in TABLES:
        instead = _ERAS.get(kind)
        reading.refuse(path, f"'{kind}' is not supported", f"use {instead}" if instead else "use another kind of event")
        return None
    if kind == "VisitOccurrence":
        reading.note(
            "visits are those of visit_occurrence and visit_detail; Circe's VisitOccurrence leaves out details"
        )
    held = reading.block(path, block[kind])
    before = len(reading.refusals)
    _refuse_others(reading, path, held)
    concepts = _concepts(reading, path, kind, held, sets)
    age = years(reading, f"{path}.Age", held["Age"]) if says(held.get("Age")) else None
    value, unit = _value(reading, path, kind, held)
    sexes = sexes_of(reading, f"{path}.Gender", held["Gender"]) if says(held.get("Gender")) else None
    if concepts is None or len(reading.refusals) > before:
        return None
    return Asked(
        concepts=concepts,
        table=None if concepts == DEATH else TABLES[kind],
        first=says(held.get("First")),
        age=age,
        value=value,
        unit=unit,
        sexes=sexes,
    )


def years(reading: Reading, path: str, given: object) -> tuple[int, int] | None:
    """Read a range of ages in whole years."""
    found = _range(reading, path, given)
    if found is None:
        return None
    reading.note(
        "age counts completed years at the index date; Circe takes the year of birth from the year of the event, which "
        "makes a person up to one year older"
    )
    above, below = math.floor(found.value) + 1, math.ceil(found.value) - 1
    low, high = {
        "gt": (above, OLDEST),
        "gte": (math.ceil(found.value), OLDEST),
        "lt": (0, below),
        "lte": (0, math.floor(found.value)),
    }.get(found.op, (math.ceil(found.value), math.floor(found.extent)))
    first, last = max(0, low), min(OLDEST, high)
    if first > last:
        reading.refuse(path, "no age lies in this range", "correct the range")
        return None
    return first, last


def sexes_of(reading: Reading, path: str, given: object) -> str | None:
    """Read the sexes that are asked for, as a concept set of their own, and return its name."""
    codes = []
    for index, one in enumerate(reading.items(path, given)):
        code = _GENDERS.get(reading.block(f"{path}[{index}]", one).get("CONCEPT_ID"))
        if code is None:
            reading.refuse(f"{path}[{index}]", "a gender other than male (8507) and female (8532)")
        elif code not in codes:
            codes.append(code)
    if not codes:
        return None
    name = "sex-" + "-or-".join(codes).lower()
    concepts = tuple(Concept(vocabulary="Gender", code=code) for code in codes)
    reading.sexes[name] = ConceptSet(meaning=f"Sex: {' or '.join(codes)}", concepts=concepts)
    return name


def _refuse_others(reading: Reading, path: str, held: Block) -> None:
    known = ("CodesetId", "First", "Age", "Gender", "ValueAsNumber", "Unit")
    for name, value in held.items():
        if name in known or not says(value):
            continue
        if name in _ELSEWHERE:
            reading.refuse(f"{path}.{name}", f"'{name}' is not supported", _ELSEWHERE[name])
        elif name.endswith("SourceConcept"):
            do = "put the source codes into the concept set, with 'source: true'"
            reading.refuse(f"{path}.{name}", f"'{name}' is not supported", do)
        else:
            reading.refuse(f"{path}.{name}", f"'{name}' is not supported")


def _concepts(reading: Reading, path: str, kind: str, held: Block, sets: Mapping[int, Named]) -> str | None:
    if held.get("CodesetId") is None:
        if kind == "Death":
            return DEATH
        reading.refuse(path, f"any {kind} whatever, without a concept set, is asked for", "name a concept set")
        return None
    if kind == "Death":
        reading.refuse(f"{path}.CodesetId", "deaths of one cause are asked for", "ask for death of any cause")
        return None
    number = reading.whole(f"{path}.CodesetId", held["CodesetId"])
    if number is None:
        return None
    if number not in sets:
        reading.refuse(f"{path}.CodesetId", f"concept set {number} is not defined", "export the definition again")
        return None
    reading.used.add(number)
    return sets[number].name


def _value(reading: Reading, path: str, kind: str, held: Block) -> tuple[tuple[float, float] | None, str | None]:
    given, units = held.get("ValueAsNumber"), held.get("Unit")
    if not says(given):
        if says(units):
            reading.refuse(f"{path}.Unit", "a unit without a value is asked for", "give ValueAsNumber as well")
        return None, None
    if kind not in ("Measurement", "Observation"):
        reading.refuse(f"{path}.ValueAsNumber", f"a number of a {kind} is asked for")
        return None, None
    found = _range(reading, f"{path}.ValueAsNumber", given)
    named = reading.items(f"{path}.Unit", units)
    if len(named) != 1:
        reading.refuse(f"{path}.Unit", f"{len(named)} units, expected one", "give the value in one UCUM unit")
        return None, None
    unit = reading.block(f"{path}.Unit[0]", named[0])
    code = unit.get("CONCEPT_CODE")
    if unit.get("VOCABULARY_ID") != "UCUM" or not isinstance(code, str) or not code:
        reading.refuse(f"{path}.Unit[0]", "the unit is not of UCUM", "choose the UCUM unit, with its CONCEPT_CODE")
        return None, None
    reading.note(
        "values in other units are converted and then compared; Circe compares only those recorded in the unit named"
    )
    return (None if found is None else _numbers(reading, found)), code


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """A Circe range: the comparison, its number, and the second one of `bt`."""

    op: str
    value: float
    extent: float


def _range(reading: Reading, path: str, given: object) -> _Range | None:
    block = reading.block(path, given)
    reading.only(path, block, ("Value", "Extent", "Op"))
    op = block.get("Op")
    value = _figure(reading, f"{path}.Value", block.get("Value"))
    extent = _figure(reading, f"{path}.Extent", block.get("Extent")) if op == "bt" else value
    if value is None or extent is None:
        return None
    if not isinstance(op, str) or op not in ("gt", "gte", "lt", "lte", "eq", "bt"):
        reading.refuse(f"{path}.Op", f"the comparison '{op}' is not supported", "use gt, gte, lt, lte, eq or bt")
        return None
    if extent < value:
        reading.refuse(path, "no value lies in this range", "correct the range")
        return None
    return _Range(op=op, value=value, extent=extent)


def _numbers(reading: Reading, found: _Range) -> tuple[float, float]:
    """Return a range of measured values as [low, high], both ends included.

    A study has no open range, and compares numbers to nine digits of its larger end. So an open side ends where two
    digits more than the definition writes are still told apart: 1.5 up to 900,000, in steps of 0.001.
    """
    if found.op in ("eq", "bt"):
        return found.value, found.extent
    reading.note(
        "a range of values that is open on one side ends at a bound, see the rule's 'value'; numbers are compared to a "
        "hundredth of the last digit that the definition writes"
    )
    written = Decimal(repr(found.value)).normalize()
    last = min(0, int(written.as_tuple().exponent))
    power = max(last - 2 + _DIGITS - 1, written.adjusted() + 2 if written else 0)
    bound, step = float(Decimal(9).scaleb(power)), Decimal(1).scaleb(power - _DIGITS + 1)
    if found.op in ("gt", "gte"):
        return float(written + step if found.op == "gt" else written), bound
    return -bound, float(written - step if found.op == "lt" else written)


def _figure(reading: Reading, path: str, value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return float(value)
    reading.refuse(path, "expected a number here", "export the definition again")
    return None

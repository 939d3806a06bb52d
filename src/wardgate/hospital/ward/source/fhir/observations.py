"""Observations of FHIR R4 -> events: numbers with their unit, coded values, texts, and components of their own."""

from wardgate.hospital.ward.source.fhir.context import Context, Resource, inside, number, visit
from wardgate.hospital.ward.source.fhir.held import Event

_LEFT_OUT = ("entered-in-error", "cancelled", "registered")
_MEASURED = ("laboratory", "vital-signs")
_UCUM = ("http://unitsofmeasure.org", "urn:oid:2.16.840.1.113883.6.8")

_KINDS = "Quantity CodeableConcept String Boolean Integer Range Ratio SampledData Time DateTime Period"
_VALUES = frozenset(f"value{kind}" for kind in _KINDS.split())

Value = tuple[float | None, str | None, str | None, str | None]
"""Number, text, code of the value, unit."""


def observation(resource: Resource, context: Context) -> list[Event]:
    """The observation's own value and each component's, at the time it holds for.

    Of a period it is the end: a collection over a day is not known before. Measurements are what has the category
    laboratory or vital-signs, or a number; anything else is in the table of observations.
    """
    status = inside(resource, "status", str)
    if status in _LEFT_OUT:
        context.note(f"resources that are {status}, left out")
        return []
    if status == "preliminary":
        context.note("resources that are preliminary, kept", harm="odd")
    subject = context.person(resource)
    if subject is None:
        return []
    at = _time(resource, context)
    if at is None:
        context.note("resources without a time, left out")
        return []
    measured = _measured(resource)
    components = [part for part in inside(resource, "component", list) or [] if isinstance(part, dict)]
    held = [part for part in (resource, *components) if _holds(part)]
    if not held and not components and not _panel(resource) and "dataAbsentReason" not in resource:
        held = [resource]
    if not held:
        context.note("observations without a value, left out", harm="odd")
    events: list[Event] = []
    for part in held:
        code, recorded, _ = context.named(part.get("code"))
        if code is None:
            continue
        figure, text, value_code, unit = _value(part, code, recorded, context)
        table = "measurement" if measured or figure is not None else "observation"
        events.append((subject, at, None, code, recorded, figure, text, value_code, unit, visit(resource), table))
    return events


def _time(resource: Resource, context: Context) -> int | None:
    period = inside(resource, "effectivePeriod", dict)
    if period is not None:
        at = context.time(period.get("end"))
        return at if at is not None else context.time(period.get("start"))
    for name in ("effectiveDateTime", "effectiveInstant", "issued"):
        at = context.time(resource.get(name))
        if at is not None:
            return at
    return None


def _measured(resource: Resource) -> bool:
    for category in inside(resource, "category", list) or []:
        for coding in inside(category, "coding", list) or []:
            if inside(coding, "code", str) in _MEASURED:
                return True
    return False


def _panel(resource: Resource) -> bool:
    """Whether the values are observations of their own."""
    return bool(inside(resource, "hasMember", list))


def _holds(part: Resource) -> bool:
    return not _VALUES.isdisjoint(part)


def _value(part: Resource, code: str, recorded: str | None, context: Context) -> Value:
    if "valueQuantity" in part:
        return _quantity(part["valueQuantity"], code, recorded, context)
    if "valueCodeableConcept" in part:
        concept = part["valueCodeableConcept"]
        chosen = context.codes(concept)[0]
        text = inside(concept, "text", str)
        if chosen is None and text is None:
            context.note("coded values without a code, kept without a value")
        return None, text, chosen, None
    for name in ("valueString", "valueTime", "valueDateTime"):
        if name in part:
            return None, inside(part, name, str), None, None
    if "valueInteger" in part:
        return number(part["valueInteger"]), None, None, context.unit(None, code, recorded)
    if "valueBoolean" in part:
        return None, "true" if part["valueBoolean"] is True else "false", None, None
    if _holds(part):
        context.note("values that are ranges, ratios, periods or sampled data, kept without a value")
    return None, None, None, None


def _quantity(quantity: object, code: str, recorded: str | None, context: Context) -> Value:
    figure = number(quantity.get("value")) if isinstance(quantity, dict) else None
    if figure is None:
        context.note("quantities without a number, kept without a value")
        return None, None, None, None
    if inside(quantity, "comparator", str) is not None:
        context.note("numbers with a comparator (<, >), taken as the number itself", harm="odd")
    ucum = inside(quantity, "code", str) if inside(quantity, "system", str) in _UCUM else None
    unit = ucum or inside(quantity, "unit", str) or inside(quantity, "code", str)
    return figure, None, None, context.unit(unit or None, code, recorded)

"""Resources of FHIR R4 -> events, each type by one function. What is left out is counted.

Reference: HL7 FHIR R4 (4.0.1), hl7.org/fhir/R4.
"""

from collections.abc import Callable, Mapping

from wardgate.hospital.ward.source.events import BIRTH, DEATH, SEX
from wardgate.hospital.ward.source.fhir.codings import NOTHING, Codes
from wardgate.hospital.ward.source.fhir.context import Context, Resource, inside, reference, visit
from wardgate.hospital.ward.source.fhir.held import Event, number_of
from wardgate.hospital.ward.source.fhir.instants import birth
from wardgate.hospital.ward.source.fhir.observations import observation

_SEX = {"male": f"{SEX}/M", "female": f"{SEX}/F", "other": f"{SEX}/O"}

_VISITS = {
    "ActCode/AMB": "Visit/OP",
    "ActCode/EMER": "Visit/ER",
    "ActCode/IMP": "Visit/IP",
    "ActCode/ACUTE": "Visit/IP",
    "ActCode/NONAC": "Visit/IP",
}
"""Classes of encounters as OMOP names visits; any other stays `ActCode/...` as recorded."""

_ORDERS = ("order", "original-order", "reflex-order", "filler-order", "instance-order")
_DOUBTFUL = ("unconfirmed", "provisional", "differential")


def patient(resource: Resource, context: Context) -> list[Event]:
    """Birth, death and sex."""
    subject = number_of("Patient", resource["id"])
    events: list[Event] = []
    born, doubt = birth(resource["birthDate"], context.zone) if "birthDate" in resource else (None, None)
    if doubt is not None:
        context.note(doubt, harm="odd" if born is not None else "lost")
    if born is None:
        context.note("persons without a date of birth", harm="odd")
    else:
        events.append((subject, born, None, BIRTH, None, None, None, None, None, None, None))
    died = context.time(resource.get("deceasedDateTime"))
    if died is not None:
        events.append((subject, died, None, DEATH, None, None, None, None, None, None, "death"))
    elif resource.get("deceasedBoolean") is True or "deceasedDateTime" in resource:
        context.note("deaths without a date, left out")
    gender = inside(resource, "gender", str)
    if gender in _SEX:
        events.append((subject, None, None, _SEX[gender], _SEX[gender], None, None, None, None, None, None))
    return events


def encounter(resource: Resource, context: Context) -> list[Event]:
    """A visit with start and end."""
    if _status(resource, context, ("entered-in-error", "cancelled", "planned")):
        return []
    subject = context.person(resource)
    if subject is None:
        return []
    start, end = _period(inside(resource, "period", dict), context)
    if start is None:
        context.note("resources without a time, left out")
        return []
    named, recorded, _ = context.named({"coding": [resource.get("class")]})
    if named is None:
        return []
    code = _VISITS.get(named, named)
    if code == recorded:
        context.note(
            "encounters that are neither AMB, EMER nor IMP, ACUTE, NONAC, kept under their own class", harm="odd"
        )
    number = number_of("Encounter", resource["id"])
    return [(subject, start, end, code, recorded, None, None, None, None, number, "visit")]


def condition(resource: Resource, context: Context) -> list[Event]:
    """A diagnosis, from its onset; where that is no date, from when it was recorded."""
    verified = (context.codes(resource.get("verificationStatus"))[0] or "").rpartition("/")[2]
    if verified in ("entered-in-error", "refuted"):
        context.note(f"resources that are {verified}, left out")
        return []
    if verified in _DOUBTFUL:
        context.note(f"resources that are {verified}, kept", harm="odd")
    subject = context.person(resource)
    codes = context.named(resource.get("code"))
    if subject is None or codes[0] is None:
        return []
    onset, _ = _period(inside(resource, "onsetPeriod", dict), context)
    start = onset if onset is not None else context.time(resource.get("onsetDateTime"))
    if start is None:
        start = context.time(resource.get("recordedDate"))
        if start is not None:
            context.note("conditions without an onset, taken from when they were recorded", harm="odd")
    if start is None:
        context.note("resources without a time, left out")
        return []
    gone = context.time(resource.get("abatementDateTime"))
    if gone is None:
        gone = _period(inside(resource, "abatementPeriod", dict), context)[1]
    return [(subject, start, gone, codes[0], codes[1], None, None, None, None, visit(resource), "condition")]


def medication_request(resource: Resource, context: Context) -> list[Event]:
    """A prescription, when it was written."""
    if _status(resource, context, ("entered-in-error", "cancelled", "draft")):
        return []
    intent = inside(resource, "intent", str)
    if intent not in _ORDERS or resource.get("doNotPerform") is True:
        context.note("requests that are no orders, left out")
        return []
    subject = context.person(resource)
    codes = _medication(resource, context)
    if subject is None or codes[0] is None:
        return []
    start = context.time(resource.get("authoredOn"))
    if start is None:
        context.note("resources without a time, left out")
        return []
    return [(subject, start, None, codes[0], codes[1], None, None, None, None, visit(resource), "drug")]


def procedure(resource: Resource, context: Context) -> list[Event]:
    """What was done, from its start."""
    if _status(resource, context, ("entered-in-error", "not-done", "preparation")):
        return []
    subject = context.person(resource)
    codes = context.named(resource.get("code"))
    if subject is None or codes[0] is None:
        return []
    start, end = _period(inside(resource, "performedPeriod", dict), context)
    if start is None:
        start = context.time(resource.get("performedDateTime"))
    if start is None:
        context.note("resources without a time, left out")
        return []
    return [(subject, start, end, codes[0], codes[1], None, None, None, None, visit(resource), "procedure")]


def medication(resource: Resource, context: Context) -> list[Event]:
    """No event: the codes of a medication that requests refer to."""
    number = number_of("Medication", resource["id"])
    known = context.medications.get(number)
    if known is None or context.updated >= known[0]:
        context.medications[number] = (context.updated, context.codes(resource.get("code")))
    return []


def _medication(resource: Resource, context: Context) -> Codes:
    """Codes of what was prescribed: given there, contained, or of a Medication of the export."""
    if "medicationCodeableConcept" in resource:
        return context.named(resource["medicationCodeableConcept"])
    pointer = resource.get("medicationReference")
    text = inside(pointer, "reference", str) or ""
    if text.startswith("#"):
        parts = inside(resource, "contained", list) or []
        found = next((part for part in parts if inside(part, "id", str) == text[1:]), None)
        return context.named(inside(found, "code", dict))
    identity = reference(pointer, "Medication")
    held = None if identity is None else context.medications.get(number_of("Medication", identity))
    if held is None:
        context.note("requests of a medication that is not in the export, left out")
        return NOTHING
    if held[1][0] is None:
        context.note("resources without any code, left out")
    return held[1]


def _status(resource: Resource, context: Context, left_out: tuple[str, ...]) -> bool:
    """Whether its status says that it did not happen; then it is counted."""
    status = inside(resource, "status", str)
    if status in left_out:
        context.note(f"resources that are {status}, left out")
        return True
    return False


def _period(period: Resource | None, context: Context) -> tuple[int | None, int | None]:
    if period is None:
        return None, None
    return context.time(period.get("start")), context.time(period.get("end"))


READERS: Mapping[str, Callable[[Resource, Context], list[Event]]] = {
    "Medication": medication,
    "Patient": patient,
    "Encounter": encounter,
    "Condition": condition,
    "Observation": observation,
    "MedicationRequest": medication_request,
    "Procedure": procedure,
}
"""The resource types that are read, in this order: what others refer to comes first."""

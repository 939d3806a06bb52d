"""What one export says beside its resources: its clock, its units, who is in it, and what was amiss."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from wardgate.hospital.ward.source.fhir.codings import Codes, codes_of
from wardgate.hospital.ward.source.fhir.held import number_of
from wardgate.hospital.ward.source.fhir.instants import moment
from wardgate.hospital.ward.source.fhir.tally import Harm, Tally
from wardgate.records.code_map import CodeLine

Resource = dict[str, Any]
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Context:
    """Filled while an export is read, one resource type after the other.

    Attributes:
        kind: The resource type that is being read.
        maps: The hospital's code maps: codes as recorded, or as chosen, to standard ones.
        units: UCUM unit of numbers without one, by code.
        unit_names: The export's own spellings, to UCUM.
        persons: Numbers of all Patients, known before anything else is read.
        updated: When the resource that is being read was last updated, in microseconds; 0 where it does not say.
        medications: When each Medication was last updated and its codes, by number.
    """

    tally: Tally
    zone: ZoneInfo | None
    maps: Mapping[str, CodeLine]
    units: Mapping[str, str]
    unit_names: Mapping[str, str]
    kind: str = ""
    persons: set[int] = field(default_factory=set)
    updated: int = 0
    medications: dict[int, tuple[int, Codes]] = field(default_factory=dict)

    def note(self, what: str, *, harm: Harm = "lost") -> None:
        """Count something about the resource that is being read."""
        self.tally.note(self.kind, what, harm=harm)

    def time(self, written: object) -> int | None:
        """Return a time in microseconds; None where there is none or it cannot be read, which is counted."""
        if written is None:
            return None
        at, doubt = moment(written, self.zone)
        if doubt is not None:
            self.note(doubt, harm="odd" if at is not None else "lost")
        return at

    def person(self, resource: Resource) -> int | None:
        """Return the number of the person that a resource is about; None where nobody is, which is counted."""
        identity = reference(resource.get("subject"), "Patient")
        if identity is None:
            self.note("resources that name no person of the export, left out")
            return None
        number = number_of("Patient", identity)
        if number not in self.persons:
            self.note("resources of persons who are not in the export, left out")
            return None
        return number

    def codes(self, concept: object) -> Codes:
        """Return the codes of a CodeableConcept, as the code maps say; further codings are counted."""
        code, recorded, more = codes_of(concept)
        if more:
            self.note("codings beyond a standard and a recorded one", harm="odd")
        line = self._line(code, recorded)
        return (line.standard if line is not None else code), recorded, more

    def named(self, concept: object) -> Codes:
        """Return the codes of what a resource is about; where there are none, that is counted."""
        found = self.codes(concept)
        if found[0] is None:
            self.note("resources without any code, left out")
        return found

    def unit(self, found: str | None, code: str, recorded: str | None) -> str | None:
        """Return the unit of a number, after what source.yaml and the code maps say."""
        if found is not None:
            return self.unit_names.get(found.strip(), found.strip())
        line = self._line(None, recorded)
        given = line.unit if line is not None and line.unit else None
        return given or self.units.get(code) or self.units.get(recorded or code)

    def _line(self, code: str | None, recorded: str | None) -> CodeLine | None:
        applied = self.maps
        return applied.get(recorded or "") or applied.get(code or "")


def number(value: object) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def inside(holder: object, name: str, kind: type[T]) -> T | None:
    """Return a field where it has the type that FHIR gives it, else None."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, kind) else None


def reference(held: object, resource_type: str) -> str | None:
    """Return the id that a Reference points to; None where it is none, conditional, or of another type.

    Relative (`Patient/7`), absolute (`https://server/fhir/Patient/7`), versioned (`Patient/7/_history/2`) and
    `urn:uuid:` references are read.
    """
    text = inside(held, "reference", str)
    if text is None:
        return None
    if text.startswith("urn:uuid:"):
        return text.removeprefix("urn:uuid:") or None
    parts = text.partition("/_history/")[0].split("/")
    if len(parts) < 2 or parts[-2] != resource_type or "?" in parts[-1]:
        return None
    return parts[-1] or None


def visit(resource: Resource) -> int | None:
    """Return the number of the encounter of a resource, whether or not it is in the export."""
    identity = reference(resource.get("encounter"), "Encounter")
    return None if identity is None else number_of("Encounter", identity)

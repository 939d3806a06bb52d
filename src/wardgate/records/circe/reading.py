"""What is gathered while a definition is read: everything that cannot be said here, and what to know of the rest."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from wardgate.records.concepts import ConceptSet
from wardgate.records.errors import Invalid

Block = Mapping[str, Any]

SOURCES = "the study language has no such rule; leave it out of the definition, or apply it at the source"
_MOST_REFUSALS = 100


@dataclass(slots=True, kw_only=True)
class Reading:
    """Refusals with the JSON path of each, and notes, in the order of the file.

    Attributes:
        name: Of the definition, for messages.
        ages: Lowest and highest age that rules outside the entry's own events ask for.
        used: Numbers of the concept sets that criteria name.
        sexes: Concept sets of sexes that criteria ask for, by name.
    """

    name: str
    refusals: list[str] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    ages: list[tuple[int, int]] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    sexes: dict[str, ConceptSet] = field(default_factory=dict)

    def refuse(self, path: str, found: str, do: str = SOURCES) -> None:
        """Say what cannot be said, where, and what to do."""
        self.refusals.append(f"{path}: {found}; {do}")

    def note(self, text: str) -> None:
        """Keep something that whoever uses the definition should know; once."""
        self.notes[text] = None

    def block(self, path: str, value: object) -> Block:
        """Return an object; anything else is refused and read as empty."""
        if isinstance(value, dict):
            return value
        if value is not None:
            self.refuse(path, "expected an object here", "export the definition again")
        return {}

    def items(self, path: str, value: object) -> list[Any]:
        """Return a list; anything else is refused and read as empty."""
        if isinstance(value, list):
            return value
        if value is not None:
            self.refuse(path, "expected a list here", "export the definition again")
        return []

    def whole(self, path: str, value: object) -> int | None:
        """Return a whole number; anything else is refused."""
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9:
            return value
        self.refuse(path, "expected a whole number here", "export the definition again")
        return None

    def only(self, path: str, block: Block, known: Collection[str], *, do: str = SOURCES) -> None:
        """Refuse every other field that says anything."""
        for name, value in block.items():
            if name not in known and says(value):
                self.refuse(f"{path}.{name}" if path else name, f"'{name}' is not supported", do)

    def finish(self) -> None:
        """Stop where anything was refused.

        Raises:
            Invalid: with one line a refusal.
        """
        if self.refusals:
            more = len(self.refusals) - _MOST_REFUSALS
            rest = [f"and {more} more"] if more > 0 else []
            found = "\n".join([*self.refusals[:_MOST_REFUSALS], *rest])
            raise Invalid(f"{self.name} asks for what a study cannot say:\n{found}")


def says(value: object) -> bool:
    """Whether a field says anything: absent, null, false and empty do not."""
    return value is not None and value is not False and value not in ("", [], {})


def slug(text: str, *, otherwise: str, taken: Collection[str]) -> str:
    """Return a name of letters, digits and hyphens that nobody has yet.

    >>> slug("[PL294] Multiple Myeloma - history of", otherwise="set", taken=())
    'pl294-multiple-myeloma-history-of'
    """
    base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-") or otherwise
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name

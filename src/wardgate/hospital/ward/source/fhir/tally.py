"""What was amiss in an export: counted by resource and kind, with the first places."""

from dataclasses import dataclass, field
from typing import Literal

from wardgate.hospital.ward.source.events import Noticed

MOST_PLACES = 5

Harm = Literal["lost", "odd"]


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts, filled while an export is read.

    Attributes:
        place: File and line that are being read.
        seen: Lines read, by resource type.
        bad: Of them, those that could not be read as such a resource.
    """

    place: str = ""
    seen: dict[str, int] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)
    _places: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _harm: dict[tuple[str, str], Harm] = field(default_factory=dict)

    def note(self, kind: str, what: str, *, harm: Harm = "lost", count: int = 1, placed: bool = True) -> None:
        """Count something at the place that is being read."""
        key = (kind, what)
        self._counts[key] = self._counts.get(key, 0) + count
        self._harm[key] = harm
        places = self._places.setdefault(key, [])
        if placed and len(places) < MOST_PLACES:
            places.append(self.place)

    def spoilt(self, kind: str, what: str) -> None:
        """Count a line that is no such resource at all."""
        self.bad[kind] = self.bad.get(kind, 0) + 1
        self.note(kind, what)

    def places(self, kind: str) -> tuple[str, ...]:
        """Return the first places of what was lost of a resource type."""
        return tuple(
            place
            for key, some in self._places.items()
            if key[0] == kind and self._harm[key] == "lost"
            for place in some
        )[:MOST_PLACES]

    def noticed(self) -> tuple[Noticed, ...]:
        """Return all counts."""
        return tuple(
            Noticed(
                what=f"{kind}: {what}" if kind else what,
                count=count,
                of=self.seen.get(kind, count),
                where=tuple(self._places[kind, what]),
                harm=self._harm[kind, what],
            )
            for (kind, what), count in self._counts.items()
        )

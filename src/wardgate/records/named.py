"""A hospital named before training: what it means otherwise than the others, with the evidence."""

from typing import Literal

from wardgate.records.record import Name, Number, Record

Kind = Literal["outcome", "prevalence", "unit", "contradiction", "centre", "strength", "coverage"]

EXCLUDES: frozenset[Kind] = frozenset({"outcome", "unit", "contradiction"})
"""Kinds that no honest case mix explains: such a site stays out of exact sums. The others warn."""


class Named(Record):
    """One finding: a site, what about it, and the evidence.

    Attributes:
        subject: `outcome`, or the feature; a category as `feature=category`.
        kind: `outcome` (runs backwards), `prevalence`, `unit` (its numbers are a known factor away), `contradiction`
            (goes with the outcome the other way round), `centre`, `strength`, `coverage`.
        evidence: In words, with the figures of this site and of the others.
        chance: Of something as odd at a clean site, before it is set against the number of tests.
        unit: The unit that it is probably in.
    """

    site: Name
    subject: str
    kind: Kind
    evidence: str
    chance: Number
    unit: str | None = None

    @property
    def excludes(self) -> bool:
        """Whether the site stays out of exact sums."""
        return self.kind in EXCLUDES

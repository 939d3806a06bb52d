"""How checks speak: four states, and reasons that hold no count below 11 and no rare text of a hospital."""

from collections.abc import Iterable
from typing import Literal

from wardgate.hospital.ward.source.events import Pick
from wardgate.measures.intervals import clopper_pearson
from wardgate.records.results import Requirement

State = Literal["pass", "pass with exceptions", "fail", "not evaluated"]

FEWEST = 11
"""A unit that fewer values carry is not named: it may be a slip that tells of one person."""

LONGEST = 24


def say(name: str, state: State, reason: str) -> Requirement:
    """Return a requirement."""
    return Requirement(name=name, state=state, reason=reason)


def unit_shown(unit: str | None, values: int) -> str:
    """Return a unit in quotes where enough values carry it, else words.

    >>> unit_shown("mg/dL", 400), unit_shown("see note of Dr X", 2), unit_shown(None, 400)
    ("'mg/dL'", 'a rare unit', 'no unit')
    """
    if unit is None:
        return "no unit"
    return f"'{unit}'" if values >= FEWEST and len(unit) <= LONGEST else "a rare unit"


def listed(names: Iterable[str], *, most: int = 5) -> str:
    """Return names in words, the first few of them.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed("abcdefgh")
    ('a', 'a, b and c', 'a, b, c, d, e and 3 more')
    """
    given = list(names)
    if len(given) > most:
        given = [*given[:most], f"{len(given) - most} more"]
    return given[0] if len(given) == 1 else f"{', '.join(given[:-1])} and {given[-1]}"


def surely_above(part: int, whole: int, limit: float, *, error: float) -> bool:
    """Whether a share lies above a limit, with at most the given chance of saying so where it does not."""
    return whole > 0 and part > 0 and clopper_pearson(part, whole, level=1 - 2 * error)[0] > limit


def titled(pick: Pick) -> str:
    """Return how requirements call what a study asks for."""
    return pick.name if pick.table is None else f"{pick.name} ({pick.table})"

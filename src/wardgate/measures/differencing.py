"""Do answers over nearly the same persons give away, by additions and subtractions, the few between them?

Every answer is a list of sets of persons: everybody it speaks of first, then every group whose count, sum or mean it
shows. A reader adds and subtracts. Looked at are, for every two answers, all pairs of sets that either of them shows
or that follow from it in one step (a set and the rest of everybody; two sets that share nobody, together; a set less
one inside it); and, over all answers, every linear combination of the sets of everybody.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Shown = tuple[frozenset[bytes], ...]
"""The sets of one answer: everybody first."""

MOST_PAIRED = 64
"""Sets of one answer up to which unions of two are looked at; beyond, only sets and the rest of everybody."""

Rows = NDArray[np.float32]


def nearly_same(new: Shown, earlier: Sequence[Shown], *, minimum: int) -> bool:
    """Return whether a set of the new answer and one of an earlier differ by 1 to `minimum` - 1 persons.

    Equal sets tell nothing new, clearly different ones nothing of a few, and sets that share nobody nothing beyond
    what each tells. A set counts as different by those who
    are in one of both, on either side: the difference of two sums is then a signed sum over these few.

    Raises:
        Invalid: an answer has no set, or one with persons who are not among everybody.
    """
    for shown in (new, *earlier):
        if not shown or any(not part <= shown[0] for part in shown[1:]):
            raise Invalid("expected everybody first, and every further set within it")
    place: dict[bytes, int] = {}
    for shown in (new, *earlier):
        for person in shown[0]:
            place.setdefault(person, len(place))
    ours = _one_step(_rows(new, place), minimum)
    sizes = ours.sum(axis=1)
    for shown in dict.fromkeys(earlier):
        theirs = _one_step(_rows(shown, place), minimum)
        common = ours @ theirs.T
        apart = sizes[:, None] + theirs.sum(axis=1)[None, :] - 2 * common
        if np.any((common > 0.5) & (apart > 0.5) & (apart < minimum - 0.5)):
            return True
    return False


def everybody(answers: Sequence[Shown]) -> tuple[list[frozenset[str]], dict[str, float]]:
    """Return the sets of everybody over atoms, and the persons of each: what the search for combinations takes.

    An atom holds the persons who are in the same answers; no combination of answers can tell them apart.
    """
    totals = list(dict.fromkeys(shown[0] for shown in answers))
    atoms: dict[tuple[bool, ...], int] = {}
    for person in frozenset().union(*totals):
        inside = tuple(person in total for total in totals)
        atoms[inside] = atoms.get(inside, 0) + 1
    names = {inside: str(number) for number, inside in enumerate(sorted(atoms))}
    rosters = [frozenset(name for inside, name in names.items() if inside[number]) for number in range(len(totals))]
    return rosters, {names[inside]: float(count) for inside, count in atoms.items()}


def _rows(shown: Shown, place: dict[bytes, int]) -> Rows:
    rows = np.zeros((len(shown), len(place)), dtype=np.float32)
    for number, part in enumerate(shown):
        rows[number, [place[person] for person in part]] = 1.0
    return rows


def _one_step(rows: Rows, minimum: int) -> Rows:
    """Return the sets and what follows in one step; a small rest within one answer is that answer's business."""
    if len(rows) == 1:
        return rows
    found = [rows[0] - rows[1:]]
    if len(rows) <= MOST_PAIRED:
        common = rows @ rows.T
        sizes = rows.sum(axis=1)
        first, second = np.triu_indices(len(rows), k=1)
        apart = common[first, second] == 0
        found.append(rows[first[apart]] + rows[second[apart]])
        for one, other in ((first, second), (second, first)):
            inside = (common[one, other] == sizes[other]) & (sizes[one] > sizes[other])
            found.append(rows[one[inside]] - rows[other[inside]])
    steps = np.concatenate(found)
    return np.asarray(np.unique(np.concatenate([rows, steps[steps.sum(axis=1) >= minimum]]), axis=0))

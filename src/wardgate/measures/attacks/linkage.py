"""Linkability: two parties hold different columns of the same persons and join them through the corpus.

For one person's half record the attacker takes the nearest synthetic record, then looks among the other party's
half records for those that are nearest to the same synthetic record. If the person is among them, a guess is right
with one over their number. Distance-based record linkage, with the corpus as the bridge.

Reference: Domingo-Ferrer and Torra 2003, Disclosure risk assessment in statistical microdata protection via advanced
    record linkage.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.attacks.excess import Contrast, matched
from wardgate.measures.attacks.parts import Part, known_class, nearest_class

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]


def linked(one: Sequence[Part], other: Sequence[Part], *, rng: np.random.Generator) -> Vector:
    """Return the chance that each person's two halves are joined rightly, shape (n,).

    Rows that are alike in a half cannot be told apart there; the attacker takes one of them at random.
    """
    first, row_class = known_class(one, rng=rng)
    mine = nearest_class(one, first)
    other_first, other_row_class = known_class(other, rng=rng)
    theirs = nearest_class(other, other_first)
    width = len(other_first)
    pairs, counts = np.unique(row_class * width + other_row_class, return_counts=True)
    wanted = mine * width + theirs
    place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    common = np.where(pairs[place] == wanted, counts[place], 0)
    candidates = np.bincount(theirs, minlength=width)[theirs]
    return np.asarray(common / np.bincount(row_class)[mine] / candidates)


def linkage(parts: Sequence[Part], member: Flags, *, splits: int, rng: np.random.Generator) -> list[Contrast]:
    """Return the gain in joining two halves of a record, for several seeded splits of the columns.

    An innocent corpus gains 0 on average. One column alone cannot be split: nothing comes back.
    """
    found = []
    for _ in range(splits if len(parts) > 1 else 0):
        order = rng.permutation(len(parts))
        half = len(parts) // 2
        success = linked([parts[at] for at in order[:half]], [parts[at] for at in order[half:]], rng=rng)
        contrast = matched(success, member, np.zeros(len(member), dtype=np.int64))
        found += [contrast] if contrast is not None else []
    return found

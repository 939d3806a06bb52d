"""Which width of the menu fits this hospital: its posterior, and nothing else of it."""

import hashlib

import numpy as np

from wardgate.computations.likeness import Likeness
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.layers.head import seen_by_head
from wardgate.measures.logistic import statistics
from wardgate.measures.personal import MENU, Updated, others_of, updated
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: Likeness, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend; zeros where it has no persons.

    Raises:
        Invalid: the parameters do not fit the study.
    """
    shape, part = asked.shape(bench.study), bench.part(split)
    persons = len(part.y)
    if persons == 0:
        return Bounded(vector=np.zeros(shape.entries), shape=shape, persons=0).checked()
    if asked.wants == "curvature":
        sums = statistics(rows(asked, bench=bench, split=split), part.y, asked.beta)
        triangle = sums.hessian[np.triu_indices(len(asked.beta))]
        vector = np.concatenate([sums.gradient, triangle, [sums.log_likelihood]])
    else:
        vector = _menu(asked, bench=bench, split=split).weights(asked.shares)
    return Bounded(vector=vector, shape=shape, persons=persons).checked()


def rows(asked: Likeness, *, bench: Bench, split: SplitName) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return this hospital's persons in the columns that a question means, shape (n, p)."""
    x, seen = bench.part(split).x, asked.seen
    if not seen.network:
        return x
    return seen_by_head(bench.study.networks[seen.network], seen.weights, x[:, 1:])


def _menu(asked: Likeness, *, bench: Bench, split: SplitName) -> Updated:
    """Return what the menu makes of these persons, worked out once for a common model: shares alone change."""
    inside = bench.site in asked.fitted
    brought = [asked.beta, asked.hessian, asked.seen.weights, np.array([asked.ridge, float(inside), float(len(MENU))])]
    digest = hashlib.sha256(b"".join(array.tobytes() for array in brought) + split.encode()).hexdigest()
    kept = bench.kept.get(Likeness.name)
    if kept is None or kept[0] != digest:
        x, y = rows(asked, bench=bench, split=split), bench.part(split).y
        kept = bench.kept[Likeness.name] = (digest, updated(x, y, others_of(asked.joint, x, y, inside=inside)))
    found: Updated = kept[1]
    return found

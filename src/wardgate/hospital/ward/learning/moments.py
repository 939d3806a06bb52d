"""First and second moments of the design, as a sum over persons."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.computations.moments import Moments
from wardgate.hospital.ward.cohort.part import Part
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.summaries import joint_sums
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Bounded


def answer(asked: Moments, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's sums."""
    return moments(asked, bench.part(split), study=bench.study)


def moments(asked: Moments, part: Part, *, study: Study) -> Bounded:
    """Return the sums of one part's persons; who is left out for a missing value adds nothing."""
    shape = asked.shape(study)
    x = part.x[:, list(asked.places(study))]
    if asked.rows == "complete":
        x = x[_complete(part.table, asked.behind(study))]
    vector = joint_sums(x, asked.centre, asked.reach(study), order=asked.order)
    return Bounded(vector=vector, shape=shape, persons=len(part.y)).checked()


def _complete(table: pl.DataFrame, features: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return who has all of these features."""
    kept = np.ones(table.height, dtype=np.bool_)
    for name in features:
        column = table[name]
        gone = column.is_null() | column.is_nan() if column.dtype.is_float() else column.is_null()
        kept &= ~gone.fill_null(True).to_numpy()
    return kept

"""Counts of one stage of the joint corpus, as a sum over persons."""

import numpy as np
import polars as pl

from wardgate.marginals.workload import Workload, count
from wardgate.sums.shape import Bounded, counts_shape


def marginals(workload: Workload, table: pl.DataFrame) -> Bounded:
    """Return the counts that the workload asks for.

    One person adds at most 1 to an entry and `workload.l2` to the whole vector.
    """
    return Bounded(
        vector=count(workload, table).astype(np.float64),
        shape=counts_shape(entries=workload.size, l2=workload.l2),
        persons=table.height,
    ).checked()

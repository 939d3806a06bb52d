"""Counts of one stage of the joint corpus, as a sum over persons."""

import numpy as np
import polars as pl

from wardgate.computations.marginals import Marginals
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.marginals.sites.model import SITE
from wardgate.marginals.workload import Workload, count
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded, counts_shape


def answer(asked: Marginals, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend. Its persons stand in its own cells alone, whoever asks."""
    table = bench.part(split).table
    if bench.study.joint_site is not None:
        table = table.with_columns(pl.lit(bench.site).alias(SITE))
    return counted(asked.over(bench.study), table)


def counted(workload: Workload, table: pl.DataFrame) -> Bounded:
    """Return the counts that the workload asks for.

    One person adds at most 1 to an entry and `workload.l2` to the whole vector.
    """
    return Bounded(
        vector=count(workload, table).astype(np.float64),
        shape=counts_shape(entries=workload.size, l2=workload.l2),
        persons=table.height,
    ).checked()

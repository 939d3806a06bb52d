"""Counts of persons in tables, as a sum over persons."""

from math import prod

import numpy as np
import polars as pl

from wardgate.computations.tables import Tables
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.grain import place
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Bounded


def answer(asked: Tables, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's counts."""
    return tables(asked, bench.part(split).table, study=bench.study)


def tables(asked: Tables, table: pl.DataFrame, *, study: Study) -> Bounded:
    """Return the counts of one table of persons."""
    shape, sizes = asked.shape(study), asked.sizes(study)
    codes = {name: place(cells, table) for name, cells in asked.cells(study).items()}
    parts = []
    for columns, size in zip(asked.tables, sizes, strict=True):
        flat = np.zeros(table.height, dtype=np.int64)
        for column, cells in zip(columns, size, strict=True):
            flat = flat * cells + codes[column]
        parts.append(np.bincount(flat, minlength=prod(size)).astype(np.float64))
    return Bounded(vector=np.concatenate(parts), shape=shape, persons=table.height).checked()

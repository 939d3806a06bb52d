"""The subgroups in which a model is judged apart, as the study locks them."""

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.subgroups import group_names
from wardgate.records.study import Study


def subgroup_masks(study: Study, table: pl.DataFrame) -> tuple[tuple[str, NDArray[np.bool_]], ...]:
    """Return (name, membership mask of shape (n,)) of every group; a missing value is in no group."""
    masks: list[NDArray[np.bool_]] = []
    for subgroup in study.subgroups:
        feature = study.feature(subgroup.feature)
        column = table[subgroup.feature]
        if subgroup.cuts:
            values = column.cast(pl.Float64).to_numpy()
            edges = (-np.inf, *subgroup.cuts, np.inf)
            masks += [(values >= low) & (values < high) for low, high in pairwise(edges)]
        elif feature.type == "boolean":
            masks += [_equal(column.cast(pl.Float64), value) for value in (0.0, 1.0)]
        else:
            masks += [_equal(column.cast(pl.String), value) for value in feature.values or ()]
    return tuple(zip(group_names(study), masks, strict=True))


def _equal(column: pl.Series, value: float | str) -> NDArray[np.bool_]:
    return np.asarray((column == value).fill_null(False).to_numpy(), dtype=np.bool_)

"""The subgroups in which a model is judged apart, as the study locks them."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.subgroups import group_names
from wardgate.records.study import Study


def subgroup_masks(study: Study, table: pl.DataFrame) -> tuple[tuple[str, NDArray[np.bool_]], ...]:
    """Return (name, membership mask of shape (n,)) of every group; a missing value is in no group."""
    masks = []
    names = iter(group_names(study))
    for subgroup in study.subgroups:
        feature = study.feature(subgroup.feature)
        column = table[subgroup.feature]
        if subgroup.cuts:
            values = column.cast(pl.Float64).to_numpy()
            edges = (-np.inf, *subgroup.cuts, np.inf)
            for low, high in zip(edges, edges[1:], strict=False):
                masks.append((next(names), np.asarray((values >= low) & (values < high))))
        elif feature.type == "boolean":
            for value in (0.0, 1.0):
                masks.append((next(names), (column.cast(pl.Float64) == value).fill_null(False).to_numpy()))
        else:
            for value in feature.values or ():
                masks.append((next(names), (column.cast(pl.String) == value).fill_null(False).to_numpy()))
    return tuple(masks)

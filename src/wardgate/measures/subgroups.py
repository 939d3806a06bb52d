"""The subgroups in which a model is judged apart, in the one order that hub and wards share."""

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.records.canonical import text_of
from wardgate.records.dictionary import Dictionary
from wardgate.records.study import Study


def group_names(study: Study | Dictionary) -> tuple[str, ...]:
    """Return the name of every group, e.g. `sex=F` or `age>=65,<80`."""
    names = []
    for subgroup in study.subgroups:
        feature = study.feature(subgroup.feature)
        if subgroup.cuts:
            cuts = [text_of(cut) for cut in subgroup.cuts]
            names.append(f"{feature.name}<{cuts[0]}")
            names += [f"{feature.name}>={low},<{high}" for low, high in pairwise(cuts)]
            names.append(f"{feature.name}>={cuts[-1]}")
        elif feature.type == "boolean":
            names += [f"{feature.name}=no", f"{feature.name}=yes"]
        else:
            names += [f"{feature.name}={value}" for value in feature.values or ()]
    return tuple(names)


def subgroup_masks(study: Study | Dictionary, table: pl.DataFrame) -> tuple[tuple[str, NDArray[np.bool_]], ...]:
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

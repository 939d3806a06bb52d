"""The persons of one split, encoded once."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.encoding import design_matrix, labels
from wardgate.records.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The persons of one split.

    Attributes:
        table: Study features and `label`; no identifier.
        x: Design, shape (n, p).
        y: Labels, shape (n,).
    """

    table: pl.DataFrame
    x: NDArray[np.float64]
    y: NDArray[np.int8]


def part_of(study: Study, table: pl.DataFrame) -> Part:
    """Encode the persons of one split."""
    kept = table.select([*(feature.name for feature in study.features), "label"])
    return Part(table=kept, x=design_matrix(study.features, kept), y=labels(kept))

"""Public cells of columns: categories as the study names them, numbers cut on a coarse public grain.

Every cut lies on the grain of its feature, a round number near a thousandth of its range (an integer's is at least 1).
However many tables are asked for, together they say no more of a number than its histogram on the grain.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.encoding import LABEL, labels
from wardgate.records.canonical import text_of
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

MOST_CUTS = 5_000


def grain(feature: Feature) -> int:
    """Return the power of ten of a number's grain: the range has 1,000 to 10,000 steps, an integer's at most that.

    Raises:
        Invalid: the feature is no number.
    """
    if feature.range is None:
        raise Invalid(f"'{feature.name}' is no number; it is counted by its values and has no cuts")
    power = math.floor(math.log10(feature.range[1] - feature.range[0]) + 1e-9) - 3
    return max(power, 0) if feature.type == "integer" else power


def value_of(feature: Feature, step: int) -> float:
    """Return the double nearest to `step` grains, so that a cut at 5.6 is the same 5.6 as everywhere."""
    power = grain(feature)
    return float(step * 10**power) if power >= 0 else step / 10.0**-power


def step_of(feature: Feature, value: float) -> int:
    """Return how many grains a value is.

    Raises:
        Invalid: it does not lie on the grain.
    """
    power = grain(feature)
    if not math.isfinite(value):
        raise Invalid(f"a cut of '{feature.name}' is not finite")
    step = round(value / 10**power) if power >= 0 else round(value * 10.0**-power)
    if value_of(feature, step) != value:
        raise Invalid(
            f"cuts of '{feature.name}' must be multiples of {text_of(value_of(feature, 1))}, its public grain"
        )
    return step


def outer_steps(feature: Feature) -> tuple[int, int]:
    """Return the grains that no value of a number lies below, and that every value lies below."""
    if feature.range is None:
        raise Invalid(f"'{feature.name}' is no number; it has no range")
    power = grain(feature)
    low, high = (int(np.floor(end / 10.0**power + 1e-6)) for end in feature.range)
    while value_of(feature, low) > feature.range[0]:
        low -= 1
    while value_of(feature, high) <= feature.range[1]:
        high += 1
    return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The cells of one column.

    Attributes:
        names: What each cell stands for, for people.
        values: Categories, or 0 and 1; empty for a number.
        cuts: Cell k of a number holds cuts[k - 1] <= value < cuts[k]; the outer cells are open.
        missing: Whether the last cell is for missing values.
    """

    column: str
    names: tuple[str, ...]
    values: tuple[str, ...] | tuple[float, ...] = ()
    cuts: tuple[float, ...] = ()
    missing: bool = False

    @property
    def size(self) -> int:
        """How many cells."""
        return len(self.names)

    @property
    def present(self) -> int:
        """Cells that hold a value."""
        return self.size - int(self.missing)


def cells_of(column: str, features: Sequence[Feature], steps: Mapping[str, Sequence[int]]) -> Cells:
    """Return the cells of a feature or of the label.

    Args:
        steps: For every number that is counted, its cuts in grains, rising.

    Raises:
        Invalid: no such feature, a number without cuts, too many cuts, or cuts that do not rise.
    """
    if column == LABEL:
        return Cells(column=column, names=("no", "yes"), values=(0.0, 1.0))
    feature = next((feature for feature in features if feature.name == column), None)
    if feature is None:
        raise Invalid(f"'{column[:80]}' is neither a feature of the study nor '{LABEL}'")
    missing = feature.missing == "allowed"
    last = ("missing",) if missing else ()
    if feature.type == "category":
        values = feature.values or ()
        return Cells(column=column, names=(*values, *last), values=values, missing=missing)
    if feature.type == "boolean":
        return Cells(column=column, names=("no", "yes", *last), values=(0.0, 1.0), missing=missing)
    found = steps.get(column, ())
    if not 1 <= len(found) <= MOST_CUTS:
        raise Invalid(f"'{column}' is a number and needs 1 to {MOST_CUTS} cuts to be counted, found {len(found)}")
    if any(left >= right for left, right in pairwise(found)):
        raise Invalid(f"cuts of '{column}' must rise from one to the next")
    cuts = tuple(value_of(feature, step) for step in found)
    shown = [text_of(cut) for cut in cuts]
    names = (
        f"<{shown[0]}",
        *(f"{low} to <{high}" for low, high in pairwise(shown)),
        f">={shown[-1]}",
    )
    return Cells(column=column, names=(*names, *last), cuts=cuts, missing=missing)


def place(cells: Cells, table: pl.DataFrame) -> NDArray[np.int64]:
    """Return the cell of every person, shape (n,).

    Raises:
        Invalid: the column is absent, holds what the study does not name, or lacks values where the study refuses that.
    """
    if cells.column == LABEL:
        return labels(table).astype(np.int64)
    if cells.column not in table.columns:
        raise Invalid(f"column '{cells.column}' is missing; the study asks for it")
    series = table[cells.column]
    if cells.values and isinstance(cells.values[0], str):
        text = series.cast(pl.String)
        gone = text.is_null().to_numpy()
        found = np.full(len(series), -1, dtype=np.int64)
        for number, value in enumerate(cells.values):
            found[(text == value).fill_null(False).to_numpy()] = number
    else:
        numbers = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        gone = np.isnan(numbers)
        edges = cells.cuts or (1.0,)
        found = np.searchsorted(np.asarray(edges), np.where(gone, edges[0], numbers), side="right").astype(np.int64)
        if cells.values and not bool(np.isin(numbers[~gone], (0.0, 1.0)).all()):
            raise Invalid(f"column '{cells.column}' is a boolean; expected 0, 1 or missing")
    if bool(np.any((found < 0) & ~gone)):
        raise Invalid(f"column '{cells.column}' holds a category that the study does not name")
    if not cells.missing and bool(gone.any()):
        raise Invalid(f"column '{cells.column}' lacks values; the study refuses persons without it")
    return np.where(gone, cells.present, found)

"""Tables as numbers and as a few codes a column: what every comparison of two tables starts from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.attacks.space import codes, numbers
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Codes = NDArray[np.int64]
Matrix = NDArray[np.float64]

OTHER = "(all others)"
"""The category that stands for the rare ones where a column has too many."""


def values(features: Sequence[Feature], table: pl.DataFrame) -> Matrix:
    """Return all columns as numbers, shape (n, d): a category as its place among the study's, missing as NaN.

    A number outside its plausible range is missing, as it is for a cohort.

    Raises:
        Invalid: a column is absent or holds an unknown category, or a number has no range.
    """
    found = np.empty((table.height, len(features)))
    for place, feature in enumerate(features):
        if feature.type in ("number", "integer"):
            if feature.range is None:
                raise Invalid(f"feature '{feature.name}' has no range; it cannot be compared")
            low, high = feature.range
            column = numbers(feature, table)
            found[:, place] = np.where((column >= low) & (column <= high), column, np.nan)
        else:
            known = 2 if feature.type == "boolean" else len(feature.values or ())
            code = codes(feature, table)
            found[:, place] = np.where(code < known, code, np.nan)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How each column becomes 0 to width - 1; the last code is missing.

    Attributes:
        cuts: By column, the inner cuts of a number; a value equal to a cut lies above it.
        levels: By column, the code of every category.
        widths: Codes of each column, missing among them.
        lumped: Columns in which the rarer categories are one.
    """

    cuts: tuple[Matrix | None, ...]
    levels: tuple[Codes | None, ...]
    widths: tuple[int, ...]
    lumped: int

    def __call__(self, table: Matrix) -> Codes:
        """Return the codes of a table, shape (n, d)."""
        found = np.empty(table.shape, dtype=np.int64)
        for place, (cuts, levels, width) in enumerate(zip(self.cuts, self.levels, self.widths, strict=True)):
            column = table[:, place]
            missing = np.isnan(column)
            if levels is not None:
                code = levels[np.where(missing, 0, column).astype(np.int64)]
            else:
                code = np.searchsorted(cuts if cuts is not None else np.empty(0), column, side="right")
            found[:, place] = np.where(missing, width - 1, code)
        return found


def equal_parts(features: Sequence[Feature], real: Matrix, *, parts: int, most_levels: int | None = None) -> Coding:
    """Return a coding that cuts every number into equal parts of its public range.

    Args:
        real: The table whose most frequent categories are kept, shape (n, d).
        parts: Parts of a range.
        most_levels: Categories kept at most beside one for all others; absent, all are.
    """
    cuts = [np.linspace(*feature.range, parts + 1)[1:-1] if feature.range else None for feature in features]
    return _coding(features, real, cuts, most_levels)


def equal_shares(features: Sequence[Feature], real: Matrix, *, parts: int, most_levels: int) -> Coding:
    """Return a coding that cuts every number into parts of equal numbers of real persons, as far as ties allow.

    The cuts come from the real persons and stay in the ward; only the error that they lead to is told.
    """
    shares = np.arange(1, parts) / parts
    cuts: list[Matrix | None] = []
    for place, feature in enumerate(features):
        column = real[:, place]
        present = column[~np.isnan(column)]
        inner = np.unique(np.quantile(present, shares)) if len(present) else np.empty(0)
        cuts.append(inner if feature.range is not None else None)
    return _coding(features, real, cuts, most_levels)


def _coding(
    features: Sequence[Feature], real: Matrix, cuts: Sequence[Matrix | None], most_levels: int | None
) -> Coding:
    levels: list[Codes | None] = []
    widths, lumped = [], 0
    for place, feature in enumerate(features):
        inner = cuts[place]
        if inner is not None:
            levels.append(None)
            widths.append(len(inner) + 2)
            continue
        known = 2 if feature.type == "boolean" else len(feature.values or ())
        code = np.arange(known)
        if most_levels is not None and known > most_levels:
            column = real[:, place]
            held = np.bincount(column[~np.isnan(column)].astype(np.int64), minlength=known)
            code = np.full(known, most_levels - 1)
            code[np.argsort(-held, kind="stable")[: most_levels - 1]] = np.arange(most_levels - 1)
            lumped += 1
        levels.append(code)
        widths.append(int(code.max()) + 2)
    return Coding(cuts=tuple(cuts), levels=tuple(levels), widths=tuple(widths), lumped=lumped)


def indicators(codes: Codes, widths: Sequence[int]) -> NDArray[np.float32]:
    """Return every code of every column as an indicator, shape (n, all codes)."""
    starts = np.concatenate(([0], np.cumsum(widths)))
    hot = np.zeros((len(codes), int(starts[-1])), dtype=np.float32)
    hot[np.arange(len(codes))[:, None], codes + starts[:-1]] = 1.0
    return hot


def lumping(coding: Coding) -> str:
    """Return the sentence that says in how many columns rare categories were taken together, or nothing."""
    return f"In {coding.lumped} columns the rarer categories count as one." if coding.lumped else ""


def narrowed(
    features: Sequence[Feature], tables: Sequence[pl.DataFrame], *, most_levels: int
) -> tuple[tuple[Feature, ...], tuple[pl.DataFrame, ...], int]:
    """Return features and tables in which no category has more than `most_levels` values, and how many were cut.

    The most frequent values of the first table are kept, the rest becomes one value.
    """
    short, changed = list(features), list(tables)
    wide = [
        place for place, feature in enumerate(features) if feature.type == "category" and _many(feature, most_levels)
    ]
    for place in wide:
        feature = features[place]
        held = tables[0][feature.name].drop_nulls().cast(pl.String).value_counts()
        often = dict(held.iter_rows())
        order = sorted(feature.values or (), key=lambda value: -often.get(value, 0))
        kept = order[: most_levels - 1]
        rest = OTHER
        while rest in kept:
            rest += "'"
        short[place] = feature.model_copy(update={"values": (*kept, rest)})
        for number, table in enumerate(changed):
            text = table[feature.name].cast(pl.String)
            lumped = pl.when(text.is_in(kept) | text.is_null()).then(text).otherwise(pl.lit(rest))
            changed[number] = table.with_columns(lumped.alias(feature.name))
    return tuple(short), tuple(changed), len(wide)


def _many(feature: Feature, most_levels: int) -> bool:
    return len(feature.values or ()) > most_levels

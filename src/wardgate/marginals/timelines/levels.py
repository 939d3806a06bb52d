"""How persons' levels go together: one correlation for every pair, where a forest has an edge for few of them.

The marginal family gets every level right beside the label. A severe patient is severe in all of them, and a model that
is trained on levels that look independent counts the same news many times. So one more release says how levels go
together among persons of one label; drawn levels are then exchanged among drawn persons of one label until they do,
which leaves every level alone as it was.

Reference: Iman and Conover 1982, A distribution-free approach to inducing rank correlation,
doi:10.1080/03610918208812265.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr

from wardgate.marginals.timelines.people import VISITS, Shape, middle
from wardgate.marginals.timelines.transitions import Parts, Ratios
from wardgate.measures.encoding import LABEL

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

MOST_VALUES = 8
"""Categories of more values than this say nothing of levels here."""

HIGHEST = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruler:
    """Columns of persons' rows as standard scores among persons of one label, cut from drawn persons.

    Attributes:
        anchors: Columns that stay as they are: a name, and the category where it is one value of one.
        levels: Columns whose values are exchanged.
        mean, spread: By label, shape (2, anchors + levels).
    """

    anchors: tuple[tuple[str, str | None], ...]
    levels: tuple[str, ...]
    mean: Matrix
    spread: Matrix

    def scores(self, table: pl.DataFrame) -> Matrix:
        """Return standard scores, NaN where missing, shape (persons, anchors + levels)."""
        outcome = table[LABEL].to_numpy().astype(np.int64)
        return np.asarray((_columns(table, self.anchors, self.levels) - self.mean[outcome]) / self.spread[outcome])


def ruler(shape: Shape, drawn: pl.DataFrame) -> Ruler:
    """Return the ruler that persons drawn from the private model suggest."""
    own = [feature for feature in shape.columns if feature.name in (VISITS, *(one.name for one in shape.statics))]
    modes = [str(middle(one)["name"]) for one in shape.features if one.type == "category"]
    levels = tuple(str(middle(one)["name"]) for one in shape.features if one.type != "category")
    anchors: list[tuple[str, str | None]] = []
    for feature in (*own, *(one for one in shape.columns if one.name in modes)):
        if feature.type != "category":
            anchors.append((feature.name, None))
        elif len(feature.values or ()) <= MOST_VALUES:
            anchors.extend((feature.name, value) for value in (feature.values or ())[1:])
    found = _columns(drawn, anchors, levels)
    outcome = drawn[LABEL].to_numpy()
    mean, spread = np.zeros((2, found.shape[1])), np.ones((2, found.shape[1]))
    for label in (0, 1):
        for column in range(found.shape[1]):
            part = found[outcome == label, column]
            part = part[~np.isnan(part)]
            if len(part) > 1:
                mean[label, column], spread[label, column] = part.mean(), max(float(part.std()), 1e-6)
    return Ruler(anchors=tuple(anchors), levels=levels, mean=mean, spread=spread)


def _columns(table: pl.DataFrame, anchors: Sequence[tuple[str, str | None]], levels: Sequence[str]) -> Matrix:
    found = []
    for name, value in (*anchors, *((name, None) for name in levels)):
        column = table[name] if value is None else table[name] == value
        found.append(column.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    return np.column_stack(found)


def together(table: pl.DataFrame, by: Ruler) -> Parts:
    """Return what every person says of each pair with a level in it: a product of ranks, 0 where one is missing."""
    point = 2 * ndtr(by.scores(table)) - 1
    left, right = pairs(by)
    both = ~(np.isnan(point[:, left]) | np.isnan(point[:, right]))
    known = np.nan_to_num(point)
    return {"levels": (np.where(both, known[:, left] * known[:, right], 0.0), both.astype(np.float64))}


def pairs(by: Ruler) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of columns of which at least one is a level."""
    left, right = np.triu_indices(len(by.anchors) + len(by.levels), k=1)
    kept = right >= len(by.anchors)
    return left[kept].astype(np.int64), right[kept].astype(np.int64)


def correlation(by: Ruler, found: Ratios, drawn: pl.DataFrame) -> Matrix:
    """Return the correlation of all columns: released for pairs with a level, drawn for pairs of anchors.

    The mean product of two ranks in [-1, 1] is a third of their rank correlation. Noise pulls it towards 0.
    """
    rank, away = 3 * found.mean["levels"], 3 * found.deviation["levels"]
    square = rank**2
    kept = np.where(np.isfinite(away), square / np.maximum(square + np.nan_to_num(away, posinf=0.0) ** 2, 1e-12), 0.0)
    normal = 2 * np.sin(np.pi * np.clip(rank * kept, -1, 1) / 6)
    size = len(by.anchors) + len(by.levels)
    whole = np.eye(size)
    left, right = pairs(by)
    whole[left, right] = whole[right, left] = np.clip(normal, -HIGHEST, HIGHEST)
    fixed = np.nan_to_num(by.scores(drawn)[:, : len(by.anchors)])
    between = np.clip(fixed.T @ fixed / len(fixed), -HIGHEST, HIGHEST)
    np.fill_diagonal(between, 1.0)
    whole[: len(by.anchors), : len(by.anchors)] = between
    values, vectors = np.linalg.eigh(whole)
    whole = (vectors * np.maximum(values, 1e-3)) @ vectors.T
    scale = np.sqrt(np.diag(whole))
    return np.asarray(whole / np.outer(scale, scale))


def joined(table: pl.DataFrame, by: Ruler, related: Matrix, rng: np.random.Generator) -> pl.DataFrame:
    """Exchange levels among drawn persons of one label, so that they go together; no value comes or goes."""
    if not by.levels or not table.height:
        return table
    count = len(by.anchors)
    fixed = np.clip(np.nan_to_num(by.scores(table)[:, :count]), -3.0, 3.0)
    slope = (
        np.linalg.solve(related[:count, :count], related[:count, count:]) if count else np.zeros((0, len(by.levels)))
    )
    rest = related[count:, count:] - related[count:, :count] @ slope
    values, vectors = np.linalg.eigh(rest)
    noise = rng.normal(size=(table.height, len(by.levels))) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    wish = fixed @ slope + noise
    outcome = table[LABEL].to_numpy()
    found = []
    for place, name in enumerate(by.levels):
        column = table[name].cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
        for label in (0, 1):
            here = np.flatnonzero((outcome == label) & ~np.isnan(column))
            column[here[np.argsort(wish[here, place], kind="stable")]] = np.sort(column[here])
        found.append(pl.Series(name, column, nan_to_null=True))
    return table.with_columns(found)

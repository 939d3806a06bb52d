"""More of the few: who is wanted how often, how many rows that adds, and how a model is told that they were added.

Rows are only ever added. Which rows, and what shares their groups had before and have now, is the design; whoever
trains on the table corrects for it, so that a model learns from more of the rare and still foretells their true risk.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import linprog

from wardgate.measures.encoding import LABEL
from wardgate.records.dictionary import OUTCOME
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Value = str | float | int | None | tuple[float, float]
Conditions = Mapping[str, Value]
"""Conditions on columns: a category, a number, None for missing, or (low, high) with both ends."""

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]

MOST = 10
"""Rows added for each one there was, at most: beyond, the table tells of little but the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One request: `factor` times as many of a group, or a `share` of all rows.

    Attributes:
        where: Who is meant; all conditions hold together.
    """

    where: Conditions
    factor: float | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if not self.where:
            raise Invalid("a request names no condition; say who is wanted, e.g. sex=female")
        if (self.factor is None) == (self.share is None):
            raise Invalid(f"the request for {self.words} needs either a factor or a share, and not both")
        if self.factor is not None and not 1 < self.factor < math.inf:
            raise Invalid(f"the request for {self.words} has factor {self.factor}; expected a number above 1")
        if self.share is not None and not 0 < self.share < 1:
            raise Invalid(f"the request for {self.words} has share {self.share}; expected a number between 0 and 1")

    @property
    def words(self) -> str:
        """The conditions in words."""
        return ", ".join(f"{name}={_words(value)}" for name, value in self.where.items())


def _words(value: Value) -> str:
    if value is None:
        return "missing"
    if isinstance(value, tuple):
        return f"{value[0]:g} to {value[1]:g}"
    return value if isinstance(value, str) else f"{value:g}"


def check(wanted: Sequence[Wanted], features: Sequence[Feature], *, labelled: bool) -> None:
    """Look a list of requests over before anything is drawn.

    Raises:
        Invalid: there is no request, two have the same conditions, shares leave nobody else any room, or a condition
            names a column or value that the dictionary does not have.
    """
    if not wanted:
        raise Invalid("nobody is wanted: expected at least one request")
    if len({tuple(sorted(one.where.items(), key=str)) for one in wanted}) < len(wanted):
        raise Invalid("two requests have the same conditions; make them one")
    shares = sum(one.share or 0.0 for one in wanted)
    if shares >= 1:
        raise Invalid(f"the shares asked for add up to {shares:g}; expected less than 1, so that others keep a place")
    known = {feature.name: feature for feature in (*features, *([OUTCOME] if labelled else []))}
    for one in wanted:
        for name, value in one.where.items():
            if name not in known:
                raise Invalid(f"a condition names '{name}', which is no column; expected one of {', '.join(known)}")
            _check(known[name], value)


def _check(feature: Feature, value: Value) -> None:
    name = feature.name
    if value is None:
        if feature.missing == "refused":
            raise Invalid(f"a condition wants '{name}' missing, and the dictionary refuses persons without it")
    elif feature.type == "category":
        if not isinstance(value, str) or value not in (feature.values or ()):
            raise Invalid(f"a condition on '{name}' expects one of {', '.join(feature.values or ())}")
    elif feature.type == "boolean":
        if isinstance(value, str | tuple) or value not in (0, 1):
            raise Invalid(f"a condition on '{name}' expects 0 or 1")
    else:
        low, high = value if isinstance(value, tuple) else (value, value)
        if isinstance(low, str) or isinstance(high, str) or not (math.isfinite(low) and math.isfinite(high)):
            raise Invalid(f"a condition on '{name}' expects a number, or (low, high)")
        if low > high:
            raise Invalid(f"a condition on '{name}' expects (low, high) with low <= high")


def meets(where: Conditions, table: pl.DataFrame) -> Flags:
    """Return which rows meet all conditions, shape (n,). A missing value meets none but its own."""
    found = np.ones(table.height, dtype=np.bool_)
    for name, value in where.items():
        column = table[name]
        if value is None:
            numeric = column.dtype.is_float()
            hit = column.is_null() | column.is_nan().fill_null(False) if numeric else column.is_null()
        elif isinstance(value, str):
            hit = column.cast(pl.String) == value
        elif isinstance(value, tuple):
            hit = column.cast(pl.Float64).is_between(value[0], value[1])
        else:
            hit = column.cast(pl.Float64) == float(value)
        found &= hit.fill_null(False).to_numpy()
    return found


def members(wanted: Sequence[Wanted], table: pl.DataFrame) -> Flags:
    """Return who meets each request, shape (n, requests)."""
    return np.column_stack([meets(one.where, table) for one in wanted])


def applicable(wanted: Sequence[Wanted], member: Flags) -> tuple[Wanted, ...]:
    """Return the requests that have something to do among these rows: none for a group with nobody to multiply, none
    for a share that is there already."""
    held = member.sum(axis=0)
    return tuple(
        one
        for place, one in enumerate(wanted)
        if (held[place] > 0 if one.share is None else held[place] < one.share * len(member))
    )


def additions(wanted: Sequence[Wanted], member: Flags) -> tuple[int, ...]:
    """Return how many rows to add for each request: the fewest with which every group reaches its target.

    Groups overlap: rows that are added for one request also count for the others, as often as the natural rows of that
    group do. So a group may end above its target where another request brings it there.

    Args:
        member: Who of the natural rows meets each request, shape (n, requests).

    Raises:
        Invalid: a factor for a group that no row is in, a group that already has the share asked for, requests that
            no additions meet together, or more than `MOST` times as many rows.
    """
    n, held = len(member), member.sum(axis=0).astype(np.float64)
    together = member.T.astype(np.float64) @ member
    given = np.divide(together, held, out=np.eye(len(wanted)), where=held > 0)  # P(row request | column request)
    system, aim = np.empty_like(given), np.empty(len(wanted))
    for place, one in enumerate(wanted):
        if one.share is not None:
            if held[place] >= one.share * n:
                raise Invalid(
                    f"{one.words} already holds {held[place] / max(n, 1):.0%} of the rows, not less than the "
                    f"{one.share:.0%} asked for; rows are only added: ask for a larger share, or leave it out"
                )
            system[place], aim[place] = given[place] - one.share, one.share * n - held[place]
        else:
            if held[place] == 0:
                raise Invalid(f"none of {n} rows meets {one.words}: there is nobody to multiply; ask for a share")
            system[place], aim[place] = given[place], ((one.factor or 1.0) - 1.0) * held[place]
    # Of two ways to the same number of rows the one through the larger group: it distorts the others least.
    cost = 1.0 + 1e-3 * (1.0 - held / max(n, 1))
    found = linprog(cost, A_ub=-system, b_ub=-aim, bounds=(0, None), method="highs")
    if not found.success:
        raise Invalid("no added rows meet all requests together; ask for smaller shares, or for fewer at once")
    if not float(found.x.sum()) <= MOST * n:
        raise Invalid(f"the requests add more than {MOST} rows for each of {n}; ask for less")
    return tuple(int(count) for count in np.rint(found.x))


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How a table differs from the population on purpose: the shares of its cells, before and after.

    A cell is who meets the same requests; its code has one bit for each, the first being the lowest.

    Attributes:
        natural, rebalanced: Rows of each cell by its code.
    """

    wanted: tuple[Wanted, ...]
    natural: Mapping[int, int]
    rebalanced: Mapping[int, int]

    def ratio(self, codes: NDArray[np.int64]) -> Vector:
        """Return by how much the cell of each row is over-represented; half a row is added to every count."""
        before, after = sum(self.natural.values()), sum(self.rebalanced.values())
        found = {
            int(code): ((self.rebalanced.get(int(code), 0) + 0.5) / (after + 0.5))
            / ((self.natural.get(int(code), 0) + 0.5) / (before + 0.5))
            for code in np.unique(codes)
        }
        return np.array([found[int(code)] for code in codes], dtype=np.float64)

    @property
    def correlated(self) -> bool:
        """Whether the outcome takes part in a request, so that training without correction would shift risks."""
        return any(LABEL in one.where for one in self.wanted)


def cells(member: Flags) -> NDArray[np.int64]:
    """Return the code of each row's cell, shape (n,)."""
    return np.asarray(member.astype(np.int64) @ (1 << np.arange(member.shape[1], dtype=np.int64)))


def design_of(wanted: Sequence[Wanted], natural: pl.DataFrame, rebalanced: pl.DataFrame) -> Design:
    """Return the design that leads from one table to the other."""
    return Design(
        wanted=tuple(wanted),
        natural=_counted(cells(members(wanted, natural))),
        rebalanced=_counted(cells(members(wanted, rebalanced))),
    )


def _counted(codes: NDArray[np.int64]) -> dict[int, int]:
    return {int(code): int(count) for code, count in zip(*np.unique(codes, return_counts=True), strict=True)}


def weights(design: Design, table: pl.DataFrame) -> Vector:
    """Return what each row of the rebalanced table counts for, so that cells have their natural shares, shape (n,)."""
    return 1.0 / design.ratio(cells(members(design.wanted, table)))


def offsets(design: Design, table: pl.DataFrame) -> Vector:
    """Return the known part of each row's log-odds that the design put there, shape (n,); 0 without the outcome.

    Over-representation r(x, y) turns the log-odds of x into themselves plus log r(x, 1) - log r(x, 0). A model fitted
    with that as its offset, and used without it, has natural risks: the correction of case-control designs, for cells
    of features and outcome. Unlike weights it does not make the natural rows count less.

    Reference: Prentice and Pyke 1979, doi:10.1093/biomet/66.3.403 (logistic regression in case-control studies).
    """
    if not design.correlated:
        return np.zeros(table.height)
    yes, no = (table.with_columns(pl.lit(value, dtype=pl.Int8).alias(LABEL)) for value in (1, 0))
    event, non_event = (design.ratio(cells(members(design.wanted, each))) for each in (yes, no))
    return np.asarray(np.log(event) - np.log(non_event))

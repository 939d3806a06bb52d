"""Tables of counts, sums and means, and fitted figures, as they may be shown: grouped by person, hidden, rounded.

Arguments are called as in ACRO where it has them (`safe_threshold`, `safe_dof_threshold`, `safe_nk_n`, `safe_nk_k`,
`safe_pratio_p`). Every contributor is a person, however many rows they have.

References: Hundepool et al. 2012, Statistical Disclosure Control, chapters 4 and 5; CMS cell-size policy (2024).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.suppression import Hidden, Table, hide
from wardgate.records.errors import Invalid, NotEvaluable, Unsupported

Statistic = Literal["count", "sum", "mean"]
Places = NDArray[np.int64]

MOST_COLUMNS = 3
"""Group columns of one table."""

OTHER, ALL = "(other)", "(all)"
"""Levels that too few persons have, joined; and the margin."""

DIGITS = 3
"""Significant digits of sums, means and fitted figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a shown entry must hold.

    Attributes:
        safe_threshold: Persons at least.
        safe_nk_n, safe_nk_k: The n largest contributors hold less than the share k of it.
        safe_pratio_p: What is left without the two largest, over the largest: at least this.
        zeros: Whether an entry of nobody is hidden.
        rounding_base: Counts are multiples of this.
    """

    safe_threshold: int
    safe_nk_n: int
    safe_nk_k: float
    safe_pratio_p: float
    zeros: Literal["show", "hide"]
    rounding_base: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """One person a row.

    Attributes:
        columns: Group columns.
        levels: Names of the levels of each.
        places: Level of each person in each column, shape (n, columns).
        values: What each person contributes, shape (n,); None for counts.
        persons: Who, as the source names them, in the same order.
    """

    columns: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    places: Places
    values: Table | None
    persons: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Levels of each column."""
        return tuple(len(names) for names in self.levels)

    def members(self) -> Iterator[tuple[tuple[int, ...], Places]]:
        """Yield every entry that holds persons, margins included, with the rows of its persons."""
        for size in range(len(self.columns) + 1):
            for kept in combinations(range(len(self.columns)), size):
                keys = np.array(self.shape)[None, :].repeat(len(self.persons), axis=0)
                keys[:, list(kept)] = self.places[:, list(kept)]
                found, inverse = np.unique(keys, axis=0, return_inverse=True)
                order = np.argsort(inverse, kind="stable")
                starts = np.searchsorted(inverse[order], np.arange(len(found) + 1))
                for number, key in enumerate(found):
                    yield tuple(int(place) for place in key), order[starts[number] : starts[number + 1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeTable:
    """What may be shown of a table, its margins in the last place of each axis; NaN is hidden.

    Attributes:
        counts: Persons, rounded.
        values: Sums or means, rounded; None for counts.
        hidden: Which entries are hidden.
        members: Rows of the persons behind every shown entry; the first is everybody.
        smallest: Persons behind the smallest shown entry.
        dominance: The largest share that the n largest contributors hold of a shown entry.
        p_ratio: The smallest ratio of what is left without the two largest to the largest.
        exposed: Whether a hidden entry can be worked out.
        unrounded: Shown figures that are not rounded.
    """

    columns: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    statistic: Statistic
    counts: Table
    values: Table | None
    hidden: Hidden
    members: tuple[Places, ...]
    smallest: int
    dominance: float
    p_ratio: float
    exposed: bool
    unrounded: int

    def frame(self) -> pl.DataFrame:
        """Return one row an entry: its labels, `persons` and, where there is one, the statistic; null is hidden."""
        names = [(*levels, ALL) for levels in self.levels]
        places = list(np.ndindex(*self.counts.shape))
        data: dict[str, list[object]] = {
            column: [names[axis][place[axis]] for place in places] for axis, column in enumerate(self.columns)
        }
        data["persons"] = [_shown(float(self.counts[place])) for place in places]
        if self.values is not None:
            data[self.statistic] = [_shown(float(self.values[place])) for place in places]
        return pl.DataFrame(data, strict=False)


def grouped(
    table: pl.DataFrame,
    *,
    by: Sequence[str],
    person: str | None,
    value: str | None = None,
    safe_threshold: int,
) -> Grouped:
    """Return one row a person: where they stand and what they contribute.

    Persons without a value in a group column or without the value are left out. Levels that fewer than
    `safe_threshold` persons have are joined to one, so that no name shows that somebody rare is there.

    Args:
        by: Group columns, at most three; none for everybody together.
        person: Column of the contributor; None where every row is another person.
        value: Column whose values are added up within a person; None for counts.

    Raises:
        Invalid: an unknown column, one named twice, or a value that is not a finite number.
        Unsupported: more than three columns, or a person who stands in two cells: margins would count them twice.
        NotEvaluable: fewer than `safe_threshold` persons.
    """
    wanted = [*by, *([person] if person else []), *([value] if value else [])]
    lacking = [name for name in wanted if name not in table.columns]
    if lacking or len(set(wanted)) != len(wanted):
        raise Invalid(f"expected different columns of the table; found {', '.join(lacking) or 'one named twice'}")
    if len(by) > MOST_COLUMNS:
        raise Unsupported(f"a table by more than {MOST_COLUMNS} columns cannot be proved safe here; ask for fewer")
    rows = table.select(
        *(pl.col(name).cast(pl.String) for name in by),
        (pl.col(person).cast(pl.String) if person else pl.int_range(pl.len()).cast(pl.String)).alias("\0person"),
        *([pl.col(value).cast(pl.Float64).alias("\0value")] if value else []),
    ).drop_nulls()
    if value and not rows["\0value"].is_finite().all():
        raise Invalid(f"column '{value}' holds a number that is not finite; missing values are null")
    what = [pl.col("\0value").sum()] if value else []
    one = rows.group_by([*by, "\0person"]).agg(what).sort("\0person")
    if one["\0person"].n_unique() != one.height:
        raise Unsupported("a person stands in two cells; group by what a person has once, or keep one row a person")
    if one.height < safe_threshold:
        raise NotEvaluable(f"the table holds fewer than {safe_threshold} persons")
    coded = [_levels(one[name], safe_threshold) for name in by]
    return Grouped(
        columns=tuple(by),
        levels=tuple(names for names, _ in coded),
        places=np.stack([place for _, place in coded], axis=1) if coded else np.zeros((one.height, 0), dtype=np.int64),
        values=one["\0value"].to_numpy() if value else None,
        persons=tuple(one["\0person"].to_list()),
    )


def _levels(column: pl.Series, least: int) -> tuple[tuple[str, ...], Places]:
    """Name the levels that enough persons have, and join the rest."""
    counts: Mapping[str, int] = dict(column.value_counts().iter_rows())
    rare = {name for name, count in counts.items() if count < least}
    joined = sum(counts[name] for name in rare)
    for name in sorted(set(counts) - rare, key=lambda one: (counts[one], one)):
        if joined and joined < least:
            rare.add(name)
            joined += counts[name]
    names = (*sorted(set(counts) - rare), *([OTHER] if rare else []))
    place = {name: len(names) - 1 if name in rare else names.index(name) for name in counts}
    return names, np.array([place[name] for name in column.to_list()], dtype=np.int64)


def safe_table(of: Grouped, *, statistic: Statistic, limits: Limits, complementary: bool = True) -> SafeTable:
    """Return what may be shown of a table, and what it still tells.

    Hidden are entries of too few persons, of too few who matter (dominance, p-ratio), and those that would give them
    away. Sums and means stand under one mask with the counts, since a mean and its count give the sum.

    Args:
        complementary: Off only in attack tests.

    Raises:
        Invalid: a sum or mean without values, or a count with them.
        NotEvaluable: the table as a whole is too small or dominated.
        Unsupported: an entry cannot be hidden in it.
    """
    if (of.values is None) != (statistic == "count"):
        raise Invalid("a sum or a mean needs a value column, a count takes none")
    size = tuple(length + 1 for length in of.shape)
    counts, sums = np.zeros(size), np.zeros(size)
    share, ratio, largest = np.zeros(size), np.ones(size), np.zeros(size)
    members: dict[tuple[int, ...], Places] = {}
    for place, rows in of.members():
        members[place] = rows
        counts[place] = len(rows)
        part = np.ones(len(rows)) if of.values is None else of.values[rows]
        sums[place] = part.sum()
        share[place], ratio[place], largest[place] = concentration(part, safe_nk_n=limits.safe_nk_n)
    empty = largest == 0
    if limits.zeros == "show":
        share, ratio = np.where(empty, 0.0, share), np.where(empty, 1.0, ratio)
    sensitive = (counts > 0) & ((share > limits.safe_nk_k) | (ratio < limits.safe_pratio_p))
    inner = tuple(slice(0, -1) for _ in size)
    typical = 0.0 if of.values is None else float(np.abs(of.values).mean())
    mask = hide(
        np.asarray(counts[inner]),
        minimum=limits.safe_threshold,
        zeros=limits.zeros == "hide",
        sensitive=sensitive,
        values=None if of.values is None else np.asarray(sums[inner]),
        needed=limits.safe_pratio_p * np.maximum(largest, typical),
        complementary=complementary,
    )
    seen = ~mask.mask
    filled = seen & (counts > 0)
    shown_counts = np.where(seen, rounded_to(counts, base=limits.rounding_base), np.nan)
    shown_values = None
    if of.values is not None:
        true = sums if statistic == "sum" else sums / np.maximum(counts, 1)
        shown_values = np.where(seen, few_digits(true), np.nan)
    places = sorted((place for place in members if filled[place]), key=lambda place: place != tuple(of.shape))
    return SafeTable(
        columns=of.columns,
        levels=of.levels,
        statistic=statistic,
        counts=shown_counts,
        values=shown_values,
        hidden=mask,
        members=tuple(members[place] for place in places),
        smallest=int(counts[filled].min()),
        dominance=float(share[filled].max()),
        p_ratio=float(ratio[filled].min()),
        exposed=mask.exposed,
        unrounded=unrounded_counts(shown_counts, base=limits.rounding_base)
        + (0 if shown_values is None else unrounded_values(shown_values)),
    )


def concentration(contributions: Table, *, safe_nk_n: int) -> tuple[float, float, float]:
    """Return the share of the n largest contributors, the p-ratio, and the largest contribution.

    By absolute value, so that negative contributions hide nobody. Where all are 0 the sum tells what everybody has:
    the share is 1 and the ratio 0.
    """
    sizes = np.sort(np.abs(contributions))[::-1]
    total, largest = float(sizes.sum()), float(sizes[0])
    if largest == 0:
        return 1.0, 0.0, 0.0
    return float(sizes[:safe_nk_n].sum()) / total, max(0.0, float(sizes[2:].sum())) / largest, largest


def rounded_to(counts: Table, *, base: int) -> Table:
    """Return counts as multiples of `base`, halves upwards."""
    return np.asarray(np.floor(counts / base + 0.5) * base)


def few_digits(values: Table) -> Table:
    """Return values with three significant digits."""
    flat = [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else value for value in values.ravel()]
    return np.array(flat, dtype=np.float64).reshape(values.shape)


def unrounded_counts(counts: Table, *, base: int) -> int:
    """Return how many shown counts are no multiples of `base`."""
    seen = counts[np.isfinite(counts)]
    return int(np.sum(np.abs(seen - np.rint(seen / base) * base) > 1e-6))


def unrounded_values(values: Table) -> int:
    """Return how many shown values have more than three significant digits."""
    seen = values[np.isfinite(values)]
    return int(np.sum(seen != few_digits(seen)))


def few_digits_of(figures: Mapping[str, float]) -> dict[str, float]:
    """Return named figures with three significant digits."""
    return {name: float(f"{value:.{DIGITS}g}") for name, value in figures.items()}


def unrounded_figures(figures: Mapping[str, float]) -> int:
    """Return how many named figures have more than three significant digits."""
    return unrounded_values(np.array(list(figures.values()), dtype=np.float64))


def _shown(value: float) -> float | None:
    return None if math.isnan(value) else float(value)

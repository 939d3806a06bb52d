"""Do synthetic timelines run like real ones? Compared with real persons whom the generator never saw.

Persons are the unit: they weigh equally, and intervals are over real persons. The corpus is what it is and is not
drawn again. A distance between two samples of one population is not 0; what resampling adds to it is taken off
(the bootstrap's estimate of bias), so that fresh timelines score near 0 and a limit means the same at any size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.attacks.persons import constants
from wardgate.measures.disclosure import coarse
from wardgate.measures.realism.resampling import Blocks, blocks, interval, spread
from wardgate.measures.realism.rules import SUSPICIOUS_PERSONS, excused
from wardgate.measures.realism.suites import breaks, meanings, speaking
from wardgate.records.clinical_rules import Suite
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

GRID = 1000
"""Places at which two distributions are compared; a distance is understated by at most 1 / GRID."""

AT_RISK = 0.20
"""Curves are compared as long as this share of real persons, and eleven of them, are still observed.

Beyond, a curve is too uncertain to read: Pocock, Clayton and Altman 2002, Lancet 359, ask for 10 to 20 %.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timelines:
    """Rows ordered by person and time.

    Attributes:
        table: In the dictionary's types.
        written: Rows in the order in which they came.
        whose: Number of each row's person, rising from 0, shape (rows,).
        time: Hours since the index, shape (rows,).
        rows: Rows of each person, shape (persons,).
    """

    table: pl.DataFrame
    written: pl.DataFrame
    whose: Indices
    time: Vector
    rows: Indices

    @property
    def persons(self) -> int:
        """How many persons there are."""
        return len(self.rows)

    @property
    def follows(self) -> Flags:
        """Whether a row belongs to the person of the row before, shape (rows,)."""
        return np.concatenate(([False], self.whose[1:] == self.whose[:-1]))


def arranged(events: pl.DataFrame, dictionary: Dictionary) -> Timelines:
    """Order timelines by person and time.

    Args:
        events: As `attacks.persons.typed` gives them.

    Raises:
        Invalid: the dictionary has no person or time, or there is no row.
    """
    if dictionary.person is None or dictionary.time is None:
        raise Invalid("timelines need a dictionary with 'person' and 'time'")
    if not events.height:
        raise Invalid("the table has no rows; timelines need at least one person")
    table = events.sort(dictionary.person, dictionary.time, maintain_order=True)
    whose = (table[dictionary.person].rle_id().to_numpy()).astype(np.int64)
    time = table[dictionary.time].cast(pl.Float64).to_numpy()
    return Timelines(table=table, written=events, whose=whose, time=time, rows=np.bincount(whose))


def visits(real: Timelines, synthetic: Timelines, *, level: float, rng: np.random.Generator) -> Measured:
    """Kolmogorov-Smirnov distance of the number of rows a person; n is (synthetic persons, real persons).

    0 is the same distribution; every row written twice scores near 1.
    """
    grid = _grid(real.rows.astype(np.float64), synthetic.rows.astype(np.float64))
    one = np.ones(synthetic.persons)
    expected = _cumulative(synthetic.rows, one, np.arange(synthetic.persons), grid)
    every = np.arange(real.persons)
    return _distance(
        "timelines.visits", real, synthetic, (real.rows, np.ones(real.persons), every), expected, grid, level, rng
    )


def gaps(real: Timelines, synthetic: Timelines, *, level: float, rng: np.random.Generator) -> Measured | None:
    """Kolmogorov-Smirnov distance of the hours between two rows, persons weighted equally.

    0 is the same distribution. Persons with one row have no gap and do not count; `visits` sees them.

    Returns:
        Nothing where fewer than eleven real persons have a gap. A corpus without any scores 1.
    """
    found, weight, whose = _gaps(real)
    if len(np.unique(whose)) < SUSPICIOUS_PERSONS:
        return None
    other, other_weight, other_whose = _gaps(synthetic)
    grid = _grid(found, other)
    expected = _cumulative(other, other_weight, other_whose, grid) if len(other) else np.zeros(len(grid))
    return _distance("timelines.gaps", real, synthetic, (found, weight, whose), expected, grid, level, rng)


def _gaps(lines: Timelines) -> tuple[Vector, Vector, Indices]:
    """Return every gap, its weight (the person's gaps add up to 1) and its person."""
    later = np.flatnonzero(lines.follows)
    whose = lines.whose[later]
    return lines.time[later] - lines.time[later - 1], 1.0 / (lines.rows[whose] - 1), whose


def _grid(real: Vector, synthetic: Vector) -> Vector:
    parts = [
        np.unique(part) if len(np.unique(part)) <= GRID else np.quantile(part, np.linspace(0, 1, GRID))
        for part in (real, synthetic)
        if len(part)
    ]
    return np.unique(np.concatenate(parts))


def _cells(values: Vector | Indices, grid: Vector) -> Indices:
    """Return the first place of the grid that is at least each value; the last place holds what lies beyond."""
    return np.minimum(np.searchsorted(grid, values, side="left"), len(grid) - 1)


def _cumulative(values: Vector | Indices, weight: Vector, whose: Indices, grid: Vector) -> Vector:
    counts = np.bincount(_cells(values, grid), weights=weight, minlength=len(grid))
    return np.asarray(np.cumsum(counts) / weight.sum())


def _distance(
    name: str,
    real: Timelines,
    synthetic: Timelines,
    sample: tuple[Vector | Indices, Vector, Indices],
    expected: Vector,
    grid: Vector,
    level: float,
    rng: np.random.Generator,
) -> Measured:
    """Return the largest distance between a weighted distribution of the real persons and an expected one."""
    values, weight, whose = sample
    by = blocks(real.persons, rng=rng)
    counts = np.zeros((by.count, len(grid)))
    np.add.at(counts, (by.of[whose], _cells(values, grid)), weight)
    return _resampled(
        name,
        lambda summed: float(np.max(np.abs(np.cumsum(summed) / max(summed.sum(), 1e-300) - expected))),
        counts,
        by,
        (synthetic.persons, coarse(real.persons)),
        level=level,
    )


def _resampled(
    name: str,
    statistic: Callable[[Vector], float],
    sums: Matrix,
    by: Blocks,
    n: tuple[int, ...],
    *,
    level: float,
    note: str = "",
    most: float = 1.0,
) -> Measured:
    """Return a distance, less what sampling adds to it, with its interval over persons.

    Args:
        statistic: From sums over persons to a distance of at least 0.
        sums: What the persons of each block add to these sums, shape (blocks, ...).

    Drawing persons again adds about as much to a distance as drawing them the first time did, so the mean over
    resamples less the plain distance estimates that addition.
    """
    plain = statistic(sums.sum(axis=0))
    drawn = np.array([statistic(part) for part in np.tensordot(by.weights, sums, axes=1)])
    value = min(most, max(0.0, 2 * plain - float(drawn.mean())))
    return interval(name, value, spread(drawn), level=level, n=n, note=note, most=most)


def time_to_event(
    real: Timelines, synthetic: Timelines, dictionary: Dictionary, *, level: float, rng: np.random.Generator
) -> Measured | None:
    """Largest difference of the Kaplan-Meier curves, from the index to the last row, with the label as the event.

    Without a label every last row is an event: then it is follow-up itself that is compared. 0 is the same curve.

    Returns:
        Nothing where fewer than eleven real persons are observed.

    Reference: Kaplan and Meier 1958, doi:10.2307/2281868.
    """
    if real.persons < SUSPICIOUS_PERSONS:
        return None
    (end, event), (other_end, other_event) = _ends(real, dictionary), _ends(synthetic, dictionary)
    grid = _grid(end, other_end)
    last = np.searchsorted(np.sort(end), grid, side="left")
    seen = real.persons - last >= max(AT_RISK * real.persons, SUSPICIOUS_PERSONS)
    everybody = np.zeros(synthetic.persons, dtype=np.int64)
    expected = _survival(_leaving(other_end, other_event, everybody, 1, grid)[0])
    by = blocks(real.persons, rng=rng)
    note = "" if dictionary.label is not None else "There is no label: the last row of every person counts as event."
    return _resampled(
        "timelines.time_to_event",
        lambda summed: float(np.max(np.abs(_survival(summed) - expected)[seen], initial=0.0)),
        _leaving(end, event, by.of, by.count, grid),
        by,
        (synthetic.persons, coarse(real.persons)),
        level=level,
        note=note,
    )


def _ends(lines: Timelines, dictionary: Dictionary) -> tuple[Vector, Flags]:
    last = np.cumsum(lines.rows) - 1
    if dictionary.label is None:
        return lines.time[last], np.ones(lines.persons, dtype=np.bool_)
    return lines.time[last], _any(lines, lines.table[LABEL].to_numpy() == 1)


def _leaving(end: Vector, event: Flags, group: Indices, groups: int, grid: Vector) -> Matrix:
    """Return events and all leavings of each group at each place of the grid, shape (groups, 2, grid)."""
    place = group * len(grid) + _cells(end, grid)
    parts = [np.bincount(place, weights=weight, minlength=groups * len(grid)) for weight in (event, np.ones(len(end)))]
    return np.stack([part.reshape(groups, len(grid)) for part in parts], axis=1)


def _survival(summed: Matrix) -> Vector:
    events, leaving = summed
    at_risk = np.cumsum(leaving[::-1])[::-1]
    return np.asarray(np.cumprod(1 - events / np.maximum(at_risk, 1e-300)))


def order(
    real: Timelines, synthetic: Timelines, dictionary: Dictionary, *, level: float, suite: Suite | None
) -> Measured:
    """Share of synthetic persons with an order that no real patient has. The corpus is counted whole: no interval.

    Rows written backwards in time; two rows at one time; a column that changes although it never changes within a
    real person; what may only rise falls (age, being dead); times out of order; anything after death. What real
    persons do as well (at least eleven and more than 1 % of them) is not counted, unless the corpus does it more
    than three times as often. n is (synthetic persons, real persons).
    """
    still = constants(real.table, dictionary)
    found, bad, excuses = {}, np.zeros(synthetic.persons, dtype=np.bool_), []
    theirs = dict(_violations(real, dictionary, still, suite))
    for name, persons in _violations(synthetic, dictionary, still, suite):
        count = int(theirs[name].sum())
        share = count / real.persons if count >= SUSPICIOUS_PERSONS else None
        if excused(float(persons.mean()), share):
            excuses.append(name)
        else:
            found[name] = float(persons.mean())
            bad |= persons
    said = [f"{len(theirs)} orders were looked at."]
    worst = sorted((name for name in found if found[name] > 0), key=lambda name: -found[name])[:5]
    if worst:
        said.append("Violated: " + ", ".join(f"{name} ({100 * found[name]:.2g} %)" for name in worst) + ".")
    if excuses:
        said.append(f"Not counted, since real persons do it too: {', '.join(excuses[:5])}.")
    share = float(bad.mean())
    n = (synthetic.persons, coarse(real.persons))
    return Measured(name="timelines.order", value=share, low=share, high=share, level=level, n=n, note=" ".join(said))


def _violations(
    lines: Timelines, dictionary: Dictionary, still: frozenset[str], suite: Suite | None
) -> Iterator[tuple[str, Flags]]:
    """Yield by name who violates an order, shape (persons,)."""
    person, time = dictionary.person or "", dictionary.time or ""
    backwards = lines.written.select(
        pl.col(person), (pl.col(time) < pl.col(time).shift().over(person)).fill_null(False).alias("bad")
    )
    by_person = backwards.group_by(person).agg(pl.col("bad").any()).sort(person)
    yield "written backwards in time", by_person["bad"].to_numpy()
    yield "two rows at one time", _any(lines, lines.follows & (np.diff(lines.time, prepend=np.nan) == 0))
    for name in sorted(still):
        several = lines.table.group_by(person, maintain_order=True).agg(pl.col(name).drop_nulls().n_unique() > 1)
        yield f"changing {name}", several[name].to_numpy()
    if suite is not None:
        yield from _of_suite(lines, dictionary, suite)


def _of_suite(lines: Timelines, dictionary: Dictionary, suite: Suite) -> Iterator[tuple[str, Flags]]:
    clock = Feature(name="event_time", type="number", unit="h", range=(-1e9, 1e9))
    features = [feature for feature in dictionary.features if feature.name != clock.name]
    table = lines.table.with_columns(pl.Series(clock.name, lines.time))
    for bound in speaking(suite, (*features, clock)):
        if bound.rule.kind == "order" or clock.name in bound.rule.concepts:
            yield bound.rule.name, _any(lines, breaks(bound, table))
    found = meanings(suite, features)
    for rule in suite.rules:
        if rule.kind == "rising" and len(found.get(rule.of or "", ())) == 1:
            values = lines.table[found[rule.of or ""][0].feature.name].cast(pl.Float64).to_numpy()
            seen = np.flatnonzero(np.isfinite(values))
            falls = np.zeros(len(values), dtype=np.bool_)
            same = lines.whose[seen[1:]] == lines.whose[seen[:-1]]
            falls[seen[1:]] = same & (values[seen[1:]] < values[seen[:-1]])
            yield rule.name, _any(lines, falls)


def _any(lines: Timelines, rows: Flags) -> Flags:
    found = np.zeros(lines.persons, dtype=np.bool_)
    found[lines.whose[rows]] = True
    return found

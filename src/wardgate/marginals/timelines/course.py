"""Rows for persons: when they come, what is measured in them, and how it moves around the person's middle.

Every number and flag follows a hidden Gaussian process that forgets over hours, correlated with the others and
drifting with time; whether a feature is measured follows another, over rows. The middle of a person (their level) is
not touched: deviations are taken from their own mean, so that what belongs to the person stays with the person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr

from wardgate.marginals.timelines.counts import Bands
from wardgate.marginals.timelines.levels import Ruler
from wardgate.marginals.timelines.people import FIRST, SHARES, SPAN, VISITS, Shape, means, middle
from wardgate.marginals.timelines.scale import Scale, numbers
from wardgate.measures.encoding import LABEL
from wardgate.measures.lines import Lines
from wardgate.records.feature import Feature

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

SWEEPS = 60
"""Rounds in which gaps are exchanged until they add up to the person's time under observation."""

ENOUGH = 0.01
"""Of the time under observation: gaps that miss it by no more are left as they were drawn."""

HOURS_A_YEAR = 8766.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What no person's rows may violate. Public; names of changing features.

    Attributes:
        rising: Numbers and flags that never fall within a person.
        ending: Flags after which there is no row: yes stands in a person's last row or nowhere.
        clocks: Ages in years: they run with the hours.
    """

    rising: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    clocks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How rows follow each other. Tracks are the numbers and flags in the order of the features.

    Attributes:
        by, related: How persons' levels go together; see `levels`.
        gaps: P(cell of a gap | group of pace), shape (groups, cells).
        edges: Cells of gaps in grains, shape (cells + 1,).
        spread: Standard deviation of scores around the person's middle, by label, shape (2, tracks).
        trend: Drift of the hidden process with the hours, by label, shape (2, tracks).
        memory: Hours after which a track has forgotten all but 1 / e, shape (tracks,).
        together: Correlation of the tracks' hidden steps, shape (tracks, tracks).
        rate: Share of rows in which a feature is measured, by group of visits, shape (groups, features).
        again: Correlation of being measured with the row before, hidden, shape (features,).
        panel: Correlation of being measured together, hidden, shape (features, features).
        stay: Probability that a category stays beyond what its person's distribution says, shape (categories,).
        where: Of each category its distribution given the person's mode, shape (values, values).
    """

    shape: Shape
    by: Ruler
    related: Matrix
    scales: tuple[Scale, ...]
    cuts: Bands
    order: Order
    grain_hours: float
    gaps: Matrix
    edges: Indices
    spread: Matrix
    trend: Matrix
    memory: Vector
    together: Matrix
    rate: Matrix
    again: Vector
    panel: Matrix
    stay: Vector
    where: tuple[Matrix, ...]


def draw(course: Course, people: pl.DataFrame, rng: np.random.Generator) -> Lines:
    """Draw the rows of persons whose own row (`people.Shape.columns` and the label) is given."""
    features = course.shape.features
    rows = people[VISITS].to_numpy().astype(np.int64)
    whose = np.repeat(np.arange(len(rows)), rows)
    first = np.concatenate(([0], np.cumsum(rows)[:-1])).astype(np.int64)
    time = times(course, people, rows, rng)
    outcome = people[LABEL].to_numpy().astype(np.int64)
    seen = _measured(course, people, rows, whose, first, rng)
    values = np.full(seen.shape, np.nan)
    tracks = [place for place, feature in enumerate(features) if feature.type != "category"]
    apart = time - means(time, whose, len(rows))[whose]
    away = np.sqrt(np.maximum(means(apart**2, whose, len(rows)), 1e-12))
    hidden = _hidden(course.together, _kept(course, time, whose), whose, first, rng)
    trend = course.trend[outcome[whose]]
    hidden = (hidden + trend * (apart / away[whose])[:, None]) / np.sqrt(1 + trend**2)
    scale_of = dict(zip(numbers(features), course.scales, strict=True))
    for track, place in enumerate(tracks):
        here = np.flatnonzero(seen[:, place])
        middles = people[str(middle(features[place])["name"])].cast(pl.Float64).to_numpy()
        if features[place].name in course.order.clocks:
            found = scale_of[place].value(middles)[whose[here]] + apart[here] / HOURS_A_YEAR
        elif place in scale_of:
            off = hidden[here, track] - means(hidden[here, track], whose[here], len(rows))[whose[here]]
            found = scale_of[place].value(middles[whose[here]] + course.spread[outcome[whose[here]], track] * off)
        else:
            found = _flags(middles / SHARES, hidden[here, track], whose[here], rng)
        values[here, place] = _ordered(course.order, features[place], found, whose[here])
    places = [place for place, feature in enumerate(features) if feature.type == "category"]
    for number, place in enumerate(places):
        here = np.flatnonzero(seen[:, place])
        modes = _places(people[str(middle(features[place])["name"])], features[place])
        values[here, place] = _chain(course.where[number], course.stay[number], modes, whose[here], rng)
    return Lines(
        statics=course.shape.statics,
        features=features,
        people=people.select([feature.name for feature in course.shape.statics] + [LABEL]),
        rows=rows,
        time=time,
        values=values,
    )


def times(course: Course, people: pl.DataFrame, rows: Indices, rng: np.random.Generator) -> Vector:
    """Return hours of every row, rising within persons on the grain, from each person's first row over their span."""
    grain, window = course.grain_hours, course.shape.window_hours
    last = int(np.floor(window / grain + 1e-9))
    begin = np.clip(np.rint(people[FIRST].to_numpy() / grain), 0, last)
    span = people[SPAN].cast(pl.Float64).to_numpy() / grain
    usual = float(np.nanmedian(span / np.maximum(rows - 1, 1))) if np.isfinite(span).any() else 1.0
    span = np.where(np.isnan(span), usual * (rows - 1), span)
    span = np.where(rows > 1, np.clip(span, rows - 1, max(last, 1)), 0)
    begin = np.minimum(begin, np.maximum(last - span, 0))
    count = rows - 1
    whose = np.repeat(np.arange(len(rows)), count)
    group = course.cuts.paces_of(span * grain, rows)
    steps = np.cumsum(course.gaps, axis=1)
    found = _drawn_gaps(course.edges, steps, group[whose], rng)
    rest = span - np.bincount(whose, weights=found, minlength=len(rows))
    start = np.concatenate(([0], np.cumsum(count)[:-1])).astype(np.int64)
    several = np.flatnonzero(count > 0)
    for _ in range(SWEEPS):
        at = start[several] + (rng.random(len(several)) * count[several]).astype(np.int64)
        fresh = _drawn_gaps(course.edges, steps, group[several], rng)
        after = rest[several] - (fresh - found[at])
        better = (np.abs(after) < np.abs(rest[several])) & (np.abs(rest[several]) > ENOUGH * span[several])
        found[at[better]] = fresh[better]
        rest[several[better]] = after[better]
    begin = np.clip(begin, 0, np.maximum(last - (span - rest), 0))
    begin = np.minimum(begin, np.maximum(last - span, 0))
    found = _fitting(found, whose, count, span, rest, begin, last)
    time = np.repeat(begin, rows)
    later = np.ones(len(time), dtype=np.bool_)
    later[np.concatenate(([0], np.cumsum(rows)[:-1]))] = False
    step = np.zeros(len(time))
    step[later] = found
    total = np.cumsum(step)
    return np.asarray((time + total - np.repeat(total[~later], rows)) * grain)


def _drawn_gaps(edges: Indices, steps: Matrix, group: Indices, rng: np.random.Generator) -> Vector:
    """Draw gaps in grains, evenly within their cell."""
    found = np.zeros(len(group))
    for number in range(len(steps)):
        here = np.flatnonzero(group == number)
        cell = np.minimum(np.searchsorted(steps[number], rng.random(len(here)), side="right"), len(edges) - 2)
        found[here] = edges[cell] + np.floor(rng.random(len(here)) * (edges[cell + 1] - edges[cell]))
    return found


def _fitting(
    found: Vector, whose: Indices, count: Indices, span: Vector, rest: Vector, begin: Vector, last: int
) -> Vector:
    """Shrink or stretch the gaps of persons whose rows would leave the window or miss their span by a fifth."""
    total = span - rest
    off = (np.abs(rest) > 0.2 * np.maximum(span, 1)) | (begin + total > last)
    wanted = np.where(off, np.minimum(span, last - begin), total)
    factor = (wanted - count) / np.maximum(total - count, 1e-9)
    moved = 1 + np.floor((found - 1) * np.maximum(factor[whose], 0.0))
    return np.where(off[whose], np.maximum(moved, 1), found)


def _kept(course: Course, time: Vector, whose: Indices) -> Matrix:
    """Return what each track remembers of the row before, shape (rows, tracks)."""
    gap = np.diff(time, prepend=time[:1])
    gap[np.concatenate(([True], whose[1:] != whose[:-1]))] = np.inf
    return np.asarray(np.exp(-np.outer(gap, 1.0 / np.maximum(course.memory, 1e-9))))


def _hidden(correlation: Matrix, kept: Matrix, whose: Indices, first: Indices, rng: np.random.Generator) -> Matrix:
    """Draw correlated processes of variance 1 over the rows of every person, shape (rows, tracks)."""
    found = rng.normal(size=kept.shape) @ np.linalg.cholesky(correlation).T
    place = np.arange(len(whose)) - first[whose]
    order = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[order], np.arange(int(place.max(initial=0)) + 2))
    for step in range(1, len(ends) - 1):
        here = order[ends[step] : ends[step + 1]]
        found[here] = kept[here] * found[here - 1] + np.sqrt(1 - kept[here] ** 2) * found[here]
    return found


def _measured(
    course: Course, people: pl.DataFrame, rows: Indices, whose: Indices, first: Indices, rng: np.random.Generator
) -> Flags:
    """Draw what is measured in each row: something in every row, every feature of a person at least once."""
    names = [str(middle(feature)["name"]) for feature in course.shape.features]
    ever = np.column_stack([people[name].is_not_null().to_numpy() for name in names])
    ever |= np.array([feature.missing == "refused" for feature in course.shape.features])
    kept = np.broadcast_to(course.again, (len(whose), len(names)))
    wish = ndtr(_hidden(course.panel, kept, whose, first, rng))
    wish = np.where(ever[whose], wish / course.rate[course.cuts.crowds(rows)][whose], np.inf)
    wish[:, [feature.missing == "refused" for feature in course.shape.features]] = 0.0
    seen = wish < 1.0
    last = [feature.name in course.order.ending for feature in course.shape.features]
    seen[np.ix_(first + rows - 1, np.flatnonzero(last))] |= ever[:, last]
    least = np.minimum.reduceat(wish, first, axis=0)
    seen |= (wish == least[whose]) & np.isfinite(wish)
    return np.asarray(seen | ((wish == wish.min(axis=1, keepdims=True)) & np.isfinite(wish)))


def _flags(share: Vector, hidden: Vector, whose: Indices, rng: np.random.Generator) -> Vector:
    """Return yes where the hidden process of a person is highest, in the person's share of their measurements."""
    count = np.bincount(whose, minlength=len(share))
    part = np.nan_to_num(share) * count
    yes = np.where(count > 1, np.clip(np.rint(part), 1, np.maximum(count - 1, 1)), part > rng.random(len(share)))
    yes = np.where(np.nan_to_num(share) <= 0, 0, np.where(share >= 1, count, yes))
    order = np.lexsort((-hidden, whose))
    place = np.empty(len(whose), dtype=np.int64)
    place[order] = np.arange(len(whose)) - (np.cumsum(count) - count)[whose]
    return (place < yes[whose]).astype(np.float64)


def _chain(where: Matrix, stay: float, modes: Indices, whose: Indices, rng: np.random.Generator) -> Vector:
    """Draw categories of persons with these modes: as before with probability `stay`, else from their distribution."""
    steps = np.cumsum(where, axis=1)
    drawn = (steps[modes[whose]] < rng.random(len(whose))[:, None]).sum(axis=1)
    fresh = (rng.random(len(whose)) >= stay) | np.concatenate(([True], whose[1:] != whose[:-1]))
    source = np.maximum.accumulate(np.where(fresh, np.arange(len(whose)), 0))
    return np.asarray(np.minimum(drawn, where.shape[1] - 1)[source], dtype=np.float64)


def _places(column: pl.Series, feature: Feature) -> Indices:
    known = {value: place for place, value in enumerate(feature.values or ())}
    return column.replace_strict(known, default=0, return_dtype=pl.Int64).to_numpy()


def _ordered(order: Order, feature: Feature, values: Vector, whose: Indices) -> Vector:
    """Put one feature's values of each person into the order that it must keep."""
    if feature.name in order.ending:
        last = np.concatenate((whose[1:] != whose[:-1], [True])) if len(whose) else np.zeros(0, dtype=np.bool_)
        some = np.bincount(whose, weights=values)[whose] > 0 if len(whose) else last
        return np.asarray(last & some, dtype=np.float64)
    return values[np.lexsort((values, whose))] if feature.name in order.rising else values


def names_of(features: Sequence[Feature], order: Order) -> tuple[str, ...]:
    """Return names that an order uses and that are no changing feature of a type that it can mean."""
    types = {feature.name: feature.type for feature in features}
    wrong = [name for name in order.rising if types.get(name) in (None, "category")]
    wrong += [name for name in order.ending if types.get(name) != "boolean"]
    return tuple(wrong + [name for name in order.clocks if types.get(name) not in ("number", "integer")])

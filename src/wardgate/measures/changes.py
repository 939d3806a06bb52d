"""Changes over calendar time: a stretch in which something is recorded much less, a day from which values are others.

Both ask for effects, not for significance alone: what hospitals do changes slowly and always, and a large hospital
would prove every small change.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from wardgate.records.errors import Invalid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Numbers = Ints | Floats

SHORTEST = 3
"""Shortest stretch that is judged, in time steps."""

_MEDIAN_OF_CHI2 = 0.4549364


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of time steps in which something is recorded less.

    Attributes:
        start, stop: First step of it, and first after it.
        ratio: Share inside over share outside.
        p_value: Of the stretch alone, before any correction for having looked at many.
    """

    start: int
    stop: int
    ratio: float
    p_value: float


def overdispersion(events: Ints, of: Ints) -> float:
    """Return how much more neighbouring shares differ than chance alone makes them; at least 1.

    By the median of squared standardised differences, so that one sudden change does not count.
    """
    known = of > 0
    events, of = events[known], of[known]
    if len(of) < 4:
        return 1.0
    share = events / of
    both = (events[1:] + events[:-1]) / (of[1:] + of[:-1])
    spread = both * (1 - both) * (1 / of[1:] + 1 / of[:-1])
    usable = spread > 0
    if usable.sum() < 3:
        return 1.0
    squares = (share[1:] - share[:-1])[usable] ** 2 / spread[usable]
    return max(1.0, float(np.median(squares)) / _MEDIAN_OF_CHI2)


def fallen(
    events: Ints, of: Ints, *, ratio: float, error: float, season: int | None = None, step: int = SHORTEST
) -> Stretch | None:
    """Find the stretch in which the share of those with an event is surely below `ratio` times the share elsewhere.

    All stretches of at least `step` steps are compared with the rest by the exact test of two Poisson rates, with
    counts divided by their overdispersion, and Bonferroni over all stretches: half of the error for the few at either
    end of time, where upgrades show, and half for the many in the middle. So the chance of any finding where no
    stretch is below that ratio is at most `error`, where counts are no more spread than neighbours show.

    Args:
        events: How many had an event in each step, shape (t,).
        of: How many could have had one, shape (t,).
        ratio: Largest ratio that counts as fallen.
        season: Steps in a year, where the year's course counts: a stretch must also be below the rest where each step
            of the year is compared with its like in other years, as far as there are such.

    Raises:
        Invalid: shapes differ, or more events than could be.
    """
    if events.shape != of.shape or events.ndim != 1 or np.any(events > of) or np.any(events < 0):
        raise Invalid("expected events and how many could have one, of the same length, never more events than those")
    steps = len(of)
    if steps < 2 * step:
        return None
    start, stop = np.triu_indices(steps + 1, k=step)
    whole = stop - start <= steps - step
    start, stop = start[whole], stop[whole]
    spread = overdispersion(events, of)
    had, could = np.concatenate([[0], np.cumsum(events)]), np.concatenate([[0], np.cumsum(of)])
    inside, among = had[stop] - had[start], could[stop] - could[start]
    outside, others = had[-1] - inside, could[-1] - among
    chance = _less(inside, among, outside, others, ratio=ratio, spread=spread)
    ends = (start == 0) | (stop == steps)
    limits = error / (2 * np.where(ends, ends.sum(), max(1, int((~ends).sum()))))
    for place in np.argsort(chance / limits, kind="stable")[:200]:
        limit = float(limits[place])
        if not chance[place] <= limit:
            return None
        begin, end = int(start[place]), int(stop[place])
        if season is not None and not _below_its_season(events, of, begin, end, season, ratio, spread, limit):
            continue
        there, elsewhere = inside[place] / among[place], outside[place] / others[place]
        return Stretch(start=begin, stop=end, ratio=float(there / elsewhere), p_value=float(chance[place]))
    return None


def _less(inside: Numbers, among: Numbers, outside: Numbers, others: Numbers, *, ratio: float, spread: float) -> Floats:
    """One-sided p-values of: the rate inside is at least `ratio` times the rate outside."""
    usable = (among > 0) & (others > 0)
    odds = np.where(usable, ratio * among / np.where(usable, ratio * among + others, 1), 0.0)
    few, all_of = np.ceil(inside / spread), np.floor((inside + outside) / spread)
    return np.where(usable, binom.cdf(few, np.maximum(all_of, few), odds), 1.0)


def _below_its_season(
    events: Ints, of: Ints, start: int, stop: int, season: int, ratio: float, spread: float, limit: float
) -> bool:
    """Whether a stretch stays below the rest where only the same steps of the year are compared, each with its like."""
    steps = np.arange(len(of))
    inside = (steps >= start) & (steps < stop)
    year = steps % season

    def by_step(values: Ints, chosen: NDArray[np.bool_]) -> Floats:
        return np.bincount(year[chosen], weights=values[chosen], minlength=season).astype(np.float64)

    there, among = by_step(events, inside), by_step(of, inside)
    others, outside = by_step(of, ~inside), by_step(events, ~inside)
    both = (among > 0) & (others > 0)
    if not both.any():
        return True
    expected = float((among[both] * outside[both] / others[both]).sum())
    if not expected:
        return False
    like = among[both].sum() * outside[both].sum() / expected
    chance = _less(
        np.array([there[both].sum()]),
        np.array([among[both].sum()]),
        np.array([outside[both].sum()]),
        np.array([like]),
        ratio=ratio,
        spread=spread,
    )
    return bool(chance[0] <= limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A step from which values are others.

    Attributes:
        start: First step of the new values.
        above: Chance that a value from then on lies above one from before; ties count half.
    """

    start: int
    above: float


def moved(counts: Ints, *, effective: Floats, away: float, error: float, step: int = 2) -> Moved | None:
    """Find the step from which values lie surely above, or surely below, those before.

    Every step is tried; the Mann-Whitney share of the values after it that lie above those before must differ from one
    half by more than `away`, beyond its normal interval at `error` divided by the steps tried.

    Args:
        counts: Values by time step and by class in rising order, shape (t, k).
        effective: For how many independent values each step counts, shape (t,).
        away: How far from one half is tolerated, below 0.5.
        step: Fewest steps on either side.

    Raises:
        Invalid: shapes differ.
    """
    if counts.ndim != 2 or effective.shape != (counts.shape[0],):
        raise Invalid("expected counts by step and class, and one effective count a step")
    cuts = np.arange(step, counts.shape[0] - step + 1)
    if not len(cuts):
        return None
    before = np.cumsum(counts, axis=0)[cuts - 1].astype(np.float64)
    after = counts.sum(axis=0) - before
    n, m = before.sum(axis=1), after.sum(axis=1)
    below = np.cumsum(before, axis=1) - before / 2
    usable = (n > 0) & (m > 0)
    above = np.where(usable, (below * after).sum(axis=1) / np.where(usable, n * m, 1.0), 0.5)
    first = np.cumsum(effective)[cuts - 1]
    second = effective.sum() - first
    sizes = np.maximum(np.minimum(first, second), 1e-9)
    reach = float(norm.isf(error / (2 * len(cuts)))) * np.sqrt(0.25 / sizes)
    gap = np.abs(above - 0.5)
    sure = usable & (gap - reach > away)
    if not sure.any():
        return None
    best = int(np.argmax(np.where(sure, gap, -1.0)))
    return Moved(start=int(cuts[best]), above=float(above[best]))

"""A site's own statistics for the comparison of definitions: no figure over fewer than eleven persons."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from wardgate.computations.definitions.statistics import FeatureStatistics, SiteStatistics, levels_of, unit_of
from wardgate.hospital.ward.cohort.cohort import Cohort
from wardgate.hospital.ward.cohort.part import part_of
from wardgate.measures.disclosure import rounded
from wardgate.records.bands import at_least, band
from wardgate.records.feature import Feature
from wardgate.records.study import Study

NORMAL_QUARTERS = 0.6493
"""Mean of the third quarter of a standard normal sample less mean of the second."""


def site_statistics(
    table: pl.DataFrame,
    y: NDArray[np.int8],
    features: Sequence[Feature],
    *,
    site: str,
    smallest_cell: int,
    step: float = 0.01,
) -> SiteStatistics:
    """Return what may be told of these persons, rounded.

    A share is told where each side is nobody or at least `smallest_cell`; the levels of a feature are told where each
    of them, absence too, holds nobody or at least `smallest_cell` with and as many without the outcome: with
    prevalence and associations, shares give the whole table of levels by outcome, the level not told as well. Centre
    and spread are means over quarters of the values, so that they rest on at least `smallest_cell` persons and hold
    nobody's value.

    Args:
        table: Columns as measures/encoding.py describes, n rows.
        y: Their labels, shape (n,).
    """
    events = int(np.sum(y))
    safe = min(events, len(y) - events) >= smallest_cell
    return SiteStatistics(
        site=site,
        persons_at_least=at_least(band(len(y))),
        step=step,
        prevalence_step=step,
        prevalence=rounded(events / len(y), step=step) if safe else None,
        features=tuple(
            _feature(table[feature.name], y, feature, smallest=smallest_cell, step=step) for feature in features
        ),
    )


def statistics_of(cohort: Cohort, study: Study, *, site: str) -> SiteStatistics:
    """Return what may be told of a whole cohort, by the study's own rules for small cells and rounding."""
    part = part_of(study, cohort.table)
    cells = study.gate.small_cells
    return site_statistics(
        part.table, part.y, study.features, site=site, smallest_cell=cells.min_count, step=cells.rounding
    )


def _feature(
    values: pl.Series, y: NDArray[np.int8], feature: Feature, *, smallest: int, step: float
) -> FeatureStatistics:
    there = values.is_not_null().to_numpy()
    present, absent = int(there.sum()), int((~there).sum())
    covered = all(count == 0 or count >= smallest for count in (present, absent)) and len(y) > 0
    coverage = rounded(present / len(y), step=step) if covered else None
    if feature.type not in ("number", "integer"):
        shares, told = _levels(values, y, feature, smallest=smallest, step=step)
        return FeatureStatistics(feature=feature.name, coverage=coverage, shares=shares, associations=told)
    numbers, outcome = values.drop_nulls().to_numpy().astype(np.float64), y[there]
    centre, spread = None, None
    if present >= 4 * smallest:
        unit = step * unit_of(feature)
        middle, wide = middle_half(numbers)
        centre, spread = rounded(middle, step=unit), rounded(wide, step=unit)
    events = int(outcome.sum())
    told = {}
    if min(events, present - events) >= smallest:
        told = _correlations({"value": stats.rankdata(numbers)}, outcome, step=step)
    return FeatureStatistics(
        feature=feature.name, coverage=coverage, centre=centre, spread=spread, shares={}, associations=told
    )


def _correlations(
    columns: Mapping[str, NDArray[np.float64]], outcome: NDArray[np.int8], *, step: float
) -> dict[str, float]:
    centred = outcome - outcome.mean()
    found = {}
    for name, values in columns.items():
        along = values - values.mean()
        size = float(np.sqrt((along**2).sum() * (centred**2).sum()))
        if size > 1e-12:
            found[name] = rounded(float(along @ centred) / size, step=step)
    return found


def middle_half(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean of the middle half, and the standard deviation that it would have in a normal distribution.

    Args:
        values: Shape (n,), finite, n at least 4. What lies in the outer quarters counts by its place alone.
    """
    ranked = np.sort(values)
    first, second, third = (len(ranked) * part // 4 for part in (1, 2, 3))
    below, above = ranked[first:second].mean(), ranked[second:third].mean()
    return float(ranked[first:third].mean()), float((above - below) / NORMAL_QUARTERS)


def _levels(
    values: pl.Series, y: NDArray[np.int8], feature: Feature, *, smallest: int, step: float
) -> tuple[dict[str, float], dict[str, float]]:
    wanted: dict[str, object] = {level: level for level in levels_of(feature)}
    if feature.type == "boolean":
        wanted = {"true": 1.0}
    inside = {level: values.eq(value).fill_null(False).to_numpy() for level, value in wanted.items()}
    gone = values.is_null().to_numpy()
    rest = ~gone
    for members in inside.values():
        rest = rest & ~members
    for members in (*inside.values(), rest, gone):
        with_outcome = int(np.sum(members & (y == 1)))
        without = int(np.sum(members)) - with_outcome
        if members.any() and min(with_outcome, without) < smallest:
            return {}, {}
    present = int((~gone).sum())
    if not present:
        return {}, {}
    shares = {level: rounded(int(members.sum()) / present, step=step) for level, members in inside.items()}
    columns = {level: members[~gone].astype(np.float64) for level, members in inside.items()}
    return shares, _correlations(columns, y[~gone], step=step)

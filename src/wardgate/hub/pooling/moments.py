"""Covariance, correlation and principal components over hospitals, from summed second moments."""

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from wardgate.computations.moments import Moments, Rows
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.measures.components import Components, components_of
from wardgate.measures.encoding import design_columns
from wardgate.measures.summaries import Second, first_of, second_of
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.claim import GaussianEvent
from wardgate.records.messages import SplitName
from wardgate.records.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Second moments and what they cost.

    Attributes:
        second: Means and covariance of the scaled design's columns; its methods give deviations and correlations.
        gaussian: What the sums cost; empty where they were exact.
        rounds, bytes_moved: Sums asked for, and bytes both ways.
    """

    second: Second
    gaussian: tuple[GaussianEvent, ...]
    rounds: int
    bytes_moved: int


def moments(
    *,
    study: Study,
    sites: tuple[str, ...],
    columns: tuple[str, ...] | None = None,
    rows: Rows = "all",
    split: SplitName = "train",
    epsilon: float | None = None,
) -> Generator[Ask, Told, Spread]:
    """Sum means, then products around them.

    Args:
        columns: Of the study's design; all but the intercept by default.
        rows: `all` persons (a missing number counts as the middle of its range) or `complete` ones only.
        epsilon: What both sums cost together at the study's delta; None for exact sums. Noisy moments are projected to
            the nearest positive semidefinite matrix.

    Raises:
        Invalid: an unknown column, or one twice.
        NotEvaluable: fewer persons than the policy's smallest count.
    """
    names = columns if columns is not None else tuple(c.name for c in design_columns(study.features)[1:])
    blank = Moments(columns=names, centre=np.zeros(len(names)), order=1, rows=rows)
    span, minimum = blank.span(study), study.gate.small_cells.min_count
    first = replace(blank, centre=(span.low + span.high) / 2)
    multiplier = None if epsilon is None else noise_multiplier_for(epsilon=epsilon, delta=study.budget.delta, count=2)
    told = yield sum_ask(
        first, what="moments: means", study=study, sites=sites, split=split, noise_multiplier=multiplier
    )
    moved = told.bytes_moved
    _, centre = first_of(told.sum(), first.centre, first.reach(study), span, minimum=minimum)
    asked = Moments(columns=names, centre=centre, order=2, rows=rows)
    told = yield sum_ask(
        asked, what="moments: products", study=study, sites=sites, split=split, noise_multiplier=multiplier
    )
    second = second_of(told.sum(), names, centre, asked.reach(study), noise=told.noise, minimum=minimum)
    gaussian = () if multiplier is None else (GaussianEvent(noise_multiplier=multiplier, count=2, what="moments"),)
    return Spread(second=second, gaussian=gaussian, rounds=2, bytes_moved=moved + told.bytes_moved)


def components(
    *,
    study: Study,
    sites: tuple[str, ...],
    count: int | None = None,
    standardise: bool = False,
    columns: tuple[str, ...] | None = None,
    rows: Rows = "all",
    split: SplitName = "train",
    epsilon: float | None = None,
) -> Generator[Ask, Told, tuple[Components, Spread]]:
    """Principal components of the design, by `moments`.

    Args:
        count: How many; all by default.
        standardise: Components of the correlation in place of the covariance.

    Raises:
        Invalid: as `moments` and `components_of`.
    """
    spread = yield from moments(study=study, sites=sites, columns=columns, rows=rows, split=split, epsilon=epsilon)
    return components_of(spread.second, count=count, standardise=standardise), spread

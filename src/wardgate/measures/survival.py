"""Cox regression on shared time bins, as sums over persons.

Two forms. Discrete time: each person is one row for each bin at whose start that person was still under observation,
and the hazard of a bin is a generalised linear model. Breslow: every person adds to the bin in which observation ended,
and the hub turns these sums into risk sets by adding them up from the last bin.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.glm import Curve, curve
from wardgate.measures.logistic import Statistics
from wardgate.records.errors import Invalid

Matrix = NDArray[np.float64]
Whole = NDArray[np.int64]

Form = Literal["breslow", "cloglog", "logistic"]

MAX_BINS = 100


def bins_of(time: Matrix, edges: Matrix) -> Whole:
    """Return the bin in which each person's observation ends: bin k holds edges[k] < time <= edges[k + 1].

    Times before the first edge or at it count as the first bin, times beyond the last edge as the last.

    Raises:
        Invalid: a time is missing, or the edges do not rise.
    """
    check_edges(edges)
    if not np.all(np.isfinite(time)):
        raise Invalid("a person's time is missing; give the time's feature 'missing: refused' in the study")
    return np.clip(np.searchsorted(edges, time, side="left") - 1, 0, len(edges) - 2)


def check_edges(edges: Matrix) -> None:
    """Check the ends of time bins.

    Raises:
        Invalid: fewer than two bins, more than 100, or edges that do not rise.
    """
    if edges.ndim != 1 or not 3 <= len(edges) <= MAX_BINS + 1:
        raise Invalid(f"expected 2 to {MAX_BINS} time bins, found {max(len(edges) - 1, 0)}")
    if not np.all(np.isfinite(edges)) or np.any(np.diff(edges) <= 0):
        raise Invalid("the edges of the time bins must be finite and rise")


def joined(edges: Matrix, counts: Matrix, *, least: int) -> Matrix:
    """Join neighbouring bins until observation ended in each for at least `least` persons.

    A bin in which one person's observation ended would carry that person's row into an exact sum.

    Raises:
        Invalid: fewer than two bins remain.
    """
    kept, held = [0], 0.0
    for number, count in enumerate(counts):
        held += float(count)
        if held >= least:
            kept.append(number + 1)
            held = 0.0
    kept[-1] = len(edges) - 1
    if len(kept) < 3:
        raise Invalid(f"observation ends for too few persons to keep two time bins of at least {least} each")
    return np.asarray(edges[kept])


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Persons of a survival analysis.

    Attributes:
        x: Columns without an intercept, shape (n, p).
        event: Whether observation ended with the event, shape (n,).
        last: The bin in which it ended, shape (n,).
    """

    x: Matrix
    event: NDArray[np.bool_]
    last: Whole


def discrete_statistics(seen: Observed, beta: Matrix, *, bins: int, form: Form, largest_rate: float) -> Statistics:
    """Return the sums of the discrete-time model.

    A person who leaves without the event counts as observed through the whole last bin.

    Args:
        beta: First one linear predictor for each bin, then the coefficients, shape (bins + p,).
        largest_rate: `cloglog`: beyond this hazard rate the likelihood goes on as a line.

    Guarantee: one person adds at most 1 row to each bin; with slope and curvature bounds s and c of a row, at most s
    to a bin's entry, bins s to a coefficient's, c and bins c to those of the Hessian.
    """
    p = seen.x.shape[1]
    score = seen.x @ beta[bins:]
    gradient, hessian, gain = np.zeros(bins + p), np.zeros((bins + p, bins + p)), 0.0
    for number in range(bins):
        at_risk = seen.last >= number
        x = seen.x[at_risk]
        found = _hazard(form, seen, at_risk, number, score, float(beta[number]), largest_rate)
        weighted = x * found.curvature[:, None]
        gradient[number] = float(np.sum(found.slope))
        gradient[bins:] += x.T @ found.slope
        hessian[number, number] = float(np.sum(found.curvature))
        hessian[number, bins:] = weighted.sum(axis=0)
        hessian[bins:, bins:] += x.T @ weighted
        gain += float(np.sum(found.gain))
    hessian[bins:, :bins] = hessian[:bins, bins:].T
    return Statistics(gradient=gradient, hessian=hessian, log_likelihood=gain)


def discrete_cut(
    seen: Observed, lens: Matrix, beta: Matrix, *, bins: int, row: float, longest: float, longest_hessian: float
) -> tuple[Matrix, Matrix]:
    """Return gradient and Hessian of the logistic hazard with each person cut to public lengths.

    Args:
        lens: Public map of the columns, levels first, shape (bins + p, q).
        beta: Coefficients of the columns seen through it, shape (q,).
        row: L2 norm to which a person's row of one bin is clipped.
        longest: L2 norm to which a person's gradient, summed over bins, is clipped.
        longest_hessian: The same for the Hessian, in trace, which bounds its Frobenius norm.
    """
    persons = len(seen.last)
    rows, curves, gradients = [], [], np.zeros((persons, len(beta)))
    traces = np.zeros(persons)
    through = seen.x @ lens[bins:]
    for number in range(bins):
        at_risk = seen.last >= number
        z = lens[number] + through[at_risk]
        z = z * np.minimum(1.0, row / np.maximum(np.linalg.norm(z, axis=1), 1e-300))[:, None]
        y = (seen.event[at_risk] & (seen.last[at_risk] == number)).astype(np.float64)
        found = curve("logistic", y, z @ beta, largest_mean=1.0)
        gradients[at_risk] += z * found.slope[:, None]
        traces[at_risk] += found.curvature * np.sum(z**2, axis=1)
        rows.append(z)
        curves.append((at_risk, found.curvature))
    kept = np.minimum(1.0, longest / np.maximum(np.linalg.norm(gradients, axis=1), 1e-300))
    scale = np.minimum(1.0, longest_hessian / np.maximum(traces, 1e-300))
    hessian = np.zeros((len(beta), len(beta)))
    for z, (at_risk, curvature) in zip(rows, curves, strict=True):
        hessian += z.T @ (z * (curvature * scale[at_risk])[:, None])
    return np.asarray(kept @ gradients), hessian


def _hazard(
    form: Form,
    seen: Observed,
    at_risk: NDArray[np.bool_],
    number: int,
    score: Matrix,
    level: float,
    largest_rate: float,
) -> Curve:
    y = (seen.event[at_risk] & (seen.last[at_risk] == number)).astype(np.float64)
    return curve("logistic" if form == "logistic" else "cloglog", y, score[at_risk] + level, largest_mean=largest_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """Sums by the bin in which observation ended.

    Attributes:
        events: Events in each bin, shape (bins,).
        rows: Sum of x over all events, shape (p,).
        risk: Sum of exp(x beta), shape (bins,).
        first: Sum of exp(x beta) x, shape (bins, p).
        second: Sum of exp(x beta) x x', shape (bins, p, p).
    """

    events: Matrix
    rows: Matrix
    risk: Matrix
    first: Matrix
    second: Matrix


def leaving(seen: Observed, beta: Matrix, *, bins: int) -> Leaving:
    """Return the sums of Breslow's partial likelihood at coefficients `beta`, shape (p,).

    A person adds to one bin: at most exp(reach) to an entry, where reach bounds |x beta|.
    """
    p = seen.x.shape[1]
    relative = np.exp(seen.x @ beta)
    first, second = np.zeros((bins, p)), np.zeros((bins, p, p))
    for number in np.unique(seen.last):
        here = seen.last == number
        weighted = seen.x[here] * relative[here, None]
        first[number] = weighted.sum(axis=0)
        second[number] = seen.x[here].T @ weighted
    return Leaving(
        events=np.bincount(seen.last[seen.event], minlength=bins).astype(np.float64),
        rows=np.asarray(seen.x[seen.event].sum(axis=0)),
        risk=np.bincount(seen.last, weights=relative, minlength=bins).astype(np.float64),
        first=first,
        second=second,
    )


def partial_likelihood(sums: Leaving, beta: Matrix) -> Statistics:
    """Turn sums by leaving bin into gradient, Hessian and value of Breslow's log partial likelihood.

    Everybody who leaves in a bin or later was at risk in it.

    Raises:
        Invalid: nobody had the event.

    Reference: Breslow (1974), Covariance analysis of censored survival data, doi:10.2307/2529620.
    """
    if not sums.events.sum() > 0.5:
        raise Invalid("nobody had the event; a Cox model needs events")
    risk = np.cumsum(sums.risk[::-1])[::-1]
    first = np.cumsum(sums.first[::-1], axis=0)[::-1]
    second = np.cumsum(sums.second[::-1], axis=0)[::-1]
    bins = np.flatnonzero(sums.events > 0.5)
    events = sums.events[bins]
    mean = first[bins] / risk[bins, None]
    spread = second[bins] / risk[bins, None, None] - mean[:, :, None] * mean[:, None, :]
    return Statistics(
        gradient=sums.rows - events @ mean,
        hessian=np.einsum("k,kij->ij", events, spread),
        log_likelihood=float(sums.rows @ beta - events @ np.log(risk[bins])),
    )


def baseline_hazard(sums: Leaving) -> Matrix:
    """Return Breslow's increment of the cumulative hazard in each bin, where x is 0, shape (bins,)."""
    risk = np.cumsum(sums.risk[::-1])[::-1]
    return np.where(sums.events > 0.5, sums.events / np.maximum(risk, 1e-300), 0.0)


def baseline_penalty(bins: int, columns: int, *, baseline_ridge: float, ridge: Matrix) -> Matrix:
    """Return the penalty of the discrete-time model, shape (bins + columns, bins + columns).

    Neighbouring bins' levels are drawn together by `baseline_ridge`, so a bin without events stays finite.
    """
    found = np.zeros((bins + columns, bins + columns))
    differences = np.diff(np.eye(bins), axis=0)
    found[:bins, :bins] = baseline_ridge * (differences.T @ differences)
    found[bins:, bins:] = ridge
    return found
